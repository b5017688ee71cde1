"""Random loops: what a traced scan gives is what the loop recorded step by step gives, however it is differentiated.

A body is a list of steps as in `tests/core/test_random_graphs.py`, on vectors of three numbers: parts of the carry, xs,
tensors from outside, a cell, a parameter, random numbers. Where gradients flow is left to chance as well: through some
parts of the carry and not others, to ends that nobody asks for, or nowhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clearprop as cp
from clearprop.autodiff.tree import flatten
from clearprop.cell import Cell

N = 3
SHAPES = [(N,), (N, N), (N,), (6, N)]
"""Of w, W, a, xs."""


class Straight(cp.Function):
    """Rounding whose gradient passes through."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return cp.round(x * 4.0)

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return g * 4.0


def without_gradients(x: Any, y: Any) -> Any:
    with cp.no_grad():
        return cp.cos(x) * y


def inner_loop(x: Any, y: Any) -> Any:
    (h, count), hs = cp.scan(lambda h, r: ((cp.sin(h[0]) * y[0] + r, h[1] + 1), h[0] * r), (x[0], cp.asarray(0)), y)
    return hs + h * count.astype(cp.float64)


UNARY: dict[str, Callable[..., Any]] = {
    "sin": cp.sin,
    "tanh": cp.tanh,
    "sum": lambda x: cp.broadcast_to(x.sum() * 0.3, x.shape),
    "turned": lambda x: x[::-1],
    "picked": lambda x: x[[0, 2, 0]],
    "changed": lambda x: x.at[0].set(cp.sin(x[-1])),
    "running": lambda x: cp.cumulative_sum(x) * 0.3,
    "sorted": cp.sort,
    "clipped": lambda x: cp.clip(x, -0.5, 0.5),
    "detached": lambda x: cp.sin(x).detach(),
    "stopped": cp.stop_gradient,
    "straight": Straight.apply,
}
BINARY: dict[str, Callable[..., Any]] = {
    "add": lambda x, y: cp.tanh(x + y),
    "multiply": lambda x, y: cp.tanh(x) * y,
    "divide": lambda x, y: x / (y * y + 1.0),
    "maximum": cp.maximum,
    "where": lambda x, y: cp.where(x > y, x, y * 0.5),
    "stacked": lambda x, y: cp.stack([x, y])[1] * 1.5,
    "without gradients": without_gradients,
    "gradient inside": lambda x, y: cp.grad(lambda z: (cp.sin(z) * z * y).sum())(x),
    "tangent inside": lambda x, y: cp.jvp(lambda z: cp.sin(z) * x, (x,), (y,))[1],
    "batch inside": lambda x, y: cp.vmap(lambda one: cp.sin(one) * y.sum() * 0.2)(x),
    "computed again": lambda x, y: cp.checkpoint(lambda z: cp.sin(z) * cp.cos(z) + y)(x),
    "inner loop": inner_loop,
}
WITH_WEIGHTS: dict[str, Callable[..., Any]] = {
    "vector": lambda x, y, w: cp.tanh(w @ x + y),
    "rows": lambda x, y, w: cp.tanh(cp.stack([x, y]) @ w)[0],
    "transposed": lambda x, y, w: cp.tanh(cp.stack([x, y]) @ (w + w.mT)).sum(axis=0),
    "doubled": lambda x, y, w: cp.tanh(cp.stack([x, y]) @ ((w + w) + (w + w)))[1],
    "viewed": lambda x, y, w: cp.reshape(w, (9,))[2:5] * x,
    "bias": lambda x, y, w: w[1] + x + w[:, 0],
    "twice": lambda x, y, w: cp.tanh(cp.stack([x, y, x]) @ w @ w).sum(axis=0),
}
OPERATIONS = [*UNARY, *BINARY, *WITH_WEIGHTS]


class Loop(NamedTuple):
    """What is drawn."""

    body: list[tuple[str, int, int]]
    carries: list[int]
    """For each part of the carry: which value of the body it becomes; from 40 on, itself."""
    ys: list[int]
    xs: int
    length: int
    reverse: bool
    counts: bool
    draws: bool
    cell: int | None
    """Which value is assigned to the cell; None: there is none."""
    reads: bool
    """Whether the body reads a parameter."""
    ends: list[int]
    """Which results the loss depends on."""
    nested: bool


places = st.integers(0, 50)
loops = st.builds(
    Loop,
    body=st.lists(st.tuples(st.sampled_from(OPERATIONS), places, places), min_size=1, max_size=6),
    carries=st.lists(places, min_size=1, max_size=3),
    ys=st.lists(places, max_size=3),
    xs=st.integers(0, 2),
    length=st.integers(1, 4),
    reverse=st.booleans(),
    counts=st.booleans(),
    draws=st.booleans(),
    cell=st.none() | places,
    reads=st.booleans(),
    ends=st.lists(places, min_size=1, max_size=3),
    nested=st.booleans(),
)
few = settings(max_examples=settings().max_examples // 4)


def function_of(loop: Loop) -> Callable[..., Any]:
    """The loss of a loop, as a function of w, W, a and xs."""
    generator, cell, weight = cp.random.Generator(3), Cell(np.zeros(N)), cp.Parameter([0.3, -0.2, 0.5], name="weight")

    def f(w: Any, weights: Any, a: Any, xs: Any) -> Any:
        generator.manual_seed(3)
        cell.assign(np.full(N, 0.5))

        def step(carry: Any, rows: Any) -> Any:
            parts, count = carry
            values = [*parts, *rows, w, a * w]
            if loop.cell is not None:
                values.append(cell.value)
            if loop.reads:
                values.append(weight.value.astype(cp.float64))
            if loop.draws:
                values.append(cp.random.uniform((N,), generator=generator, dtype=cp.float64))
            if loop.counts:
                values.append(count.astype(cp.float64) * cp.asarray(np.full(N, 0.1)))
                count = count + 1
            for name, i, j in loop.body:
                x, y = values[i % len(values)], values[j % len(values)]
                if name in WITH_WEIGHTS:
                    values.append(WITH_WEIGHTS[name](x, y, weights))
                else:
                    values.append(UNARY[name](x) if name in UNARY else BINARY[name](x, y))
            if loop.cell is not None:
                cell.assign(values[loop.cell % len(values)])
            following = [values[-1 - i % len(values)] if i < 40 else parts[k] for k, i in enumerate(loop.carries)]
            return (following, count), [*(values[i % len(values)] for i in loop.ys), cp.asarray(1.0), count]

        init = [(w, a, xs[0])[i % 3] for i in loop.carries], cp.asarray(0)
        rows = [xs[k : k + loop.length] for k in range(loop.xs)]
        run = lambda carry: cp.scan(step, carry, rows, length=loop.length, reverse=loop.reverse)  # noqa: E731
        if loop.nested:
            (parts, _), ys = cp.scan(lambda carry, x: run(carry), init, None, length=2)
        else:
            (parts, _), ys = run(init)
        results = [*parts, *ys[: len(loop.ys)], cell.value]
        return sum((cp.sin(results[i % len(results)]).sum() for i in loop.ends), cp.asarray(np.float64(0.0)))

    return f


def arrays(factor: float = 1.0) -> list[Any]:
    random = np.random.default_rng(0)
    return [cp.asarray(factor * random.uniform(-1.0, 1.0, shape)) for shape in SHAPES]


ALL = (0, 1, 2, 3)
WAYS: dict[str, Callable[[Callable[..., Any]], Callable[..., Any]]] = {
    "value and gradients": lambda f: lambda *xs: cp.value_and_grad(f, ALL)(*xs),
    "one gradient": lambda f: lambda *xs: cp.grad(f, 1)(*xs),
    "second derivatives": lambda f: cp.grad(
        lambda *xs: sum(((g * g).sum() for g in cp.grad(f, ALL)(*xs)), cp.asarray(np.float64(0.0))), ALL
    ),
    "tangents": lambda f: lambda *xs: cp.jvp(f, xs, [cp.sin(x) for x in xs]),
    "Hessian": lambda f: lambda w, *others: cp.hessian(lambda w: f(w, *others))(w),
    "computed again": lambda f: lambda *xs: cp.grad(cp.checkpoint(f), ALL)(*xs),
}


def check(f: Callable[..., Any]) -> None:
    """A function of w, W, a and xs, compiled and not."""
    run = cp.compile(f, executor="reference", keep_grads=True)
    for factor in (1.0, -0.7):  # traced with one, run with both
        expected, found = flatten(f(*arrays(factor))), flatten(run(*arrays(factor)))
        for one, other in zip(found, expected, strict=True):
            assert (one.shape, one.dtype) == (other.shape, other.dtype)
            np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("way", WAYS)
@few
@given(loop=loops)
def test_all_derivatives(way: str, loop: Loop) -> None:
    check(WAYS[way](function_of(loop)))


@few
@given(loop=loops.map(lambda loop: loop._replace(carries=loop.carries[:1], length=max(2, loop.length))))
def test_gradients_that_are_left_behind(loop: Loop) -> None:
    """None stays None: a gradient of zeros would make an optimizer move what it should leave alone.

    With one part of the carry: of several, one can reach another in more steps than the loop has, which is not noticed.
    """
    f, parameters = function_of(loop), [cp.Parameter(x) for x in arrays()]

    def step(*xs: Any) -> Any:
        for parameter, x in zip(parameters, xs, strict=True):
            parameter.grad = None
            parameter.assign(x)
        loss = f(*[parameter.value for parameter in parameters])
        if loss.requires_grad:
            loss.backward()
        return loss.detach()

    def gradients(*xs: Any) -> Any:
        return step(*xs), [p.grad if p.grad is not None else cp.asarray(np.float64(0.0)) for p in parameters]

    check(gradients)


@few
@given(loop=loops.map(lambda loop: loop._replace(cell=None)))
def test_batches(loop: Loop) -> None:
    """With no cell: a cell has one value for the whole batch."""
    f = function_of(loop)

    def batched(w: Any, weights: Any, a: Any, xs: Any) -> Any:
        per_example = cp.vmap(cp.value_and_grad(f, (0, 1, 3)), (0, None, None, 0))
        return per_example(cp.stack([w, w * 0.5]), weights, a, cp.stack([xs, xs * 2.0]))

    check(batched)
    check(cp.grad(lambda *xs: batched(*xs)[0].sum(), (0, 1, 2)))
