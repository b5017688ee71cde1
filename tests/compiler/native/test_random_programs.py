"""Random programs with state, run natively in single precision, against the same in double precision by NumPy.

A program takes arrays and cells through a list of steps, each of which applies an operation to earlier values: these
are used any number of times, as they are and as views. Then it assigns the cells, and is called again: what was updated
in place is read. All operations are smooth, or choose by what is the same in both precisions, and map the numbers that
occur to numbers of moderate size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import clearprop as cp
from clearprop import functional
from clearprop.compiler.executors import EXECUTORS
from clearprop.compiler.native.inspection import Guards, Inspector
from clearprop.compiler.native.machine import host
from clearprop.compiler.native.program import NativeProgram

TOLERANCE = 1e-5
"""Of the largest value of an array, or of 1."""

LENGTHS = (1, 2, 3, 5, 8, 9, 17, 33)


def rows(x: Any) -> Any:
    """As a matrix."""
    return x.reshape(-1, x.shape[-1]) if x.ndim else x.reshape(1, 1)


def planes(x: Any) -> Any:
    """As images with one channel, of at least 3 x 3."""
    image = rows(x)
    return cp.pad(image, ((1, 1), (1, 1)))[None, None]


def several(x: Any, axis: int, k: int) -> list[int]:
    return [(axis + i * k) % x.shape[axis] for i in range(3)] if x.ndim else []


UNARY: dict[str, Callable[[Any, int], Any]] = {
    "sin": lambda x, k: cp.sin(x),
    "cos": lambda x, k: cp.cos(x * (1 + k % 3)),
    "tanh": lambda x, k: cp.tanh(x),
    "exp": lambda x, k: cp.exp(-cp.square(x)),
    "log": lambda x, k: cp.log(1.5 + cp.square(x)),
    "sqrt": lambda x, k: cp.sqrt(1.5 + cp.square(x)),
    "sigmoid": lambda x, k: functional.sigmoid(x),
    "gelu": lambda x, k: functional.gelu(x),
    "softplus": lambda x, k: functional.softplus(x),
    "cube": lambda x, k: cp.tanh(x) ** 3,
    "transposed": lambda x, k: x.mT if x.ndim >= 2 else x,
    "turned": lambda x, k: cp.flip(x, axis=k % x.ndim) if x.ndim else x,
    "every other": lambda x, k: x[:: 1 + k % 2] if x.ndim else x,
    "a part": lambda x, k: x[..., k % x.shape[-1] :] if x.ndim else x,
    "flat": lambda x, k: x.reshape(-1),
    "spread": lambda x, k: cp.broadcast_to(x, (1 + k % 3, *x.shape)) if x.ndim < 3 else x,
    "mean": lambda x, k: x.mean(axis=k % x.ndim, keepdims=bool(k & 4)) if x.ndim else x,
    "sum": lambda x, k: x.sum(axis=k % x.ndim) / x.shape[k % x.ndim] if x.ndim else x,
    "all of it": lambda x, k: cp.mean(x),
    "norm": lambda x, k: x / cp.sqrt(1.0 + cp.mean(x * x)),
    "softmax": lambda x, k: functional.softmax(x, dim=-1) if x.ndim else x,
    "layer norm": lambda x, k: functional.layer_norm(x, x.shape[-1:], eps=0.1) if x.ndim else x,
    "logsumexp": lambda x, k: cp.logsumexp(x, axis=-1) if x.ndim else x,
    "running": lambda x, k: cp.cumulative_sum(x, axis=k % x.ndim) / x.shape[k % x.ndim] if x.ndim else x,
    "picked": lambda x, k: cp.take(x, np.array(several(x, 0, k)), axis=0) if x.ndim else x,
    "changed": lambda x, k: x.at[k % x.shape[0]].set(cp.sin(x[-1])) if x.ndim else x,
    "added to": lambda x, k: x.at[np.array(several(x, 0, k))].add(0.25) if x.ndim else x,
    "padded": lambda x, k: cp.pad(x, [(k % 2, k % 3)] * x.ndim) if x.ndim and x.size < 400 else x,
    "convolved": lambda x, k: functional.conv2d(planes(x), KERNEL.astype(x.dtype), padding=k % 2, stride=1 + k % 2)[
        0, 0
    ],
    "pooled": lambda x, k: functional.avg_pool2d(planes(x), 2)[0, 0],
    "pooled by the largest": lambda x, k: functional.max_pool2d(planes(x), 3, stride=2)[0, 0],
    "in a loop": lambda x, k: (
        cp.scan(lambda c, r: (0.5 * cp.tanh(c + r), c * r), cp.zeros_like(x[0]), x)[1] if x.ndim and x.size < 400 else x
    ),
}
KERNEL = np.array([[[[0.2, -0.3, 0.1], [0.4, 0.2, -0.2], [0.1, -0.1, 0.3]]]])


def product(x: Any, y: Any) -> Any:
    """Of the matrices, if they fit together one way or another."""
    x, y = rows(x), rows(y)
    for a, b in ((x, y), (x, y.mT), (x.mT, y)):
        if a.shape[1] == b.shape[0]:
            return a @ b / a.shape[1]
    return x


def joined(x: Any, y: Any) -> Any:
    return cp.concat([x, y]) if x.ndim and y.ndim == x.ndim and x.shape[1:] == y.shape[1:] and x.size < 400 else y


BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "multiply": lambda x, y: cp.tanh(x) * y,
    "divide": lambda x, y: x / (y * y + 1.0),
    "atan2": lambda x, y: cp.atan2(x, 1.5 + cp.square(y)),
    "where": lambda x, y: cp.where(POSITIONS[: x.shape[-1] if x.ndim else 1] % 3 == 0, x, cp.sin(y)),
    "matmul": product,
    "concat": joined,
}
POSITIONS = np.arange(10_000)

steps = st.tuples(st.sampled_from([*UNARY, *BINARY]), st.integers(0, 30), st.integers(0, 30))
programs = st.lists(steps, min_size=1, max_size=14)
shapes = st.lists(st.lists(st.sampled_from(LENGTHS), max_size=2).map(tuple), min_size=1, max_size=3)


def run(program: list[tuple[str, int, int]], inputs: Any) -> list[Any]:
    """All values, first the inputs; what became too large is left out."""
    values = list(inputs)
    for name, i, j in program:
        x, y = values[i % len(values)], values[j % len(values)]
        try:
            value = UNARY[name](x, j) if name in UNARY else BINARY[name](x, y)
        except cp.ShapeError:
            continue
        values.append(value if value.size < 5000 else value.mean(axis=0))
    return values


def a_step(program: Any, cells: list[cp.Parameter]) -> Callable[..., Any]:
    """Values, gradients of their mean, and new cells."""

    def step(*xs: Any) -> Any:
        for cell in cells:
            cell.grad = None
        values = run(program, [*xs, *cells])
        loss: Any = 0.0
        for value in values:
            loss = loss + cp.mean(cp.sin(value))
        loss.backward()
        for cell in cells:
            if cell.grad is not None:
                cell.assign(0.9 * cell - 0.5 * cell.grad)
        return [loss, *values[-2:]]

    return step


def draw(shapes: Any, dtype: Any, seed: int) -> list[Any]:
    random = np.random.default_rng(seed)
    return [random.uniform(-1.5, 1.5, shape).astype(np.float32).astype(dtype) for shape in shapes]


def close(found: Any, expected: Any, what: str) -> None:
    allowed = TOLERANCE * max(1.0, float(abs(expected).max(initial=0.0)))
    np.testing.assert_allclose(found, expected, rtol=0, atol=allowed, err_msg=what)


def check(program: Any, given_shapes: Any, cell_shapes: Any, threads: int, inspector: Inspector | None) -> None:
    single = [cp.Parameter(x) for x in draw(cell_shapes, np.float32, 1)]
    double = [cp.Parameter(x) for x in draw(cell_shapes, np.float64, 1)]
    eager_to_share = replace(host(), threads=threads, grain=1 if threads > 1 else 1 << 15)

    def make(program: Any, updates: Any) -> NativeProgram:
        return NativeProgram(program, eager_to_share, updates, inspector)

    with patch.dict(EXECUTORS, native=make):
        compiled = cp.compile(a_step(program, single), executor="native")
    reference = a_step(program, double)
    for seed in (2, 3, 4):
        found = compiled(*map(cp.asarray, draw(given_shapes, np.float32, seed)))
        expected = reference(*map(cp.asarray, draw(given_shapes, np.float64, seed)))
        for i, (one, other) in enumerate(zip(found, expected, strict=True)):
            close(one.numpy(), other.numpy(), f"result {i}")
        for i, (cell, exact) in enumerate(zip(single, double, strict=True)):
            close(cell.numpy(), exact.numpy(), f"cell {i}")
            exact.assign(cell.value.astype(np.float64))  # errors of one call alone


@pytest.mark.parametrize("threads", [1, 2])
@given(program=programs, given_shapes=shapes, cell_shapes=shapes)
def test_native_against_double_precision(threads: int, program: Any, given_shapes: Any, cell_shapes: Any) -> None:
    check(program, given_shapes, cell_shapes, threads, None)


@given(program=programs, given_shapes=shapes, cell_shapes=shapes)
def test_every_kernel_keeps_to_its_buffers(program: Any, given_shapes: Any, cell_shapes: Any) -> None:
    check(program, given_shapes, cell_shapes, 2, Guards())
