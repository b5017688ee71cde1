"""The native executor gives what the reference executor gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.test_random_graphs import draw_inputs, input_shapes, programs, run
from tests.core.test_trace import traced
from tests.primitives.table import TABLE, Case, Declaration

import clearprop as cp
from clearprop.compiler.native.arena import Lifetime, plan
from clearprop.compiler.native.inspection import Guards, Inspector
from clearprop.compiler.native.machine import Machine, host
from clearprop.compiler.native.program import NativeProgram
from clearprop.compiler.simplify import simplify
from clearprop.primitive import PRIMITIVES

SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, 2.5, -2.5, 0.5, 1.5, np.inf, -np.inf, np.nan, 5e-324, 1e300, 3.0, 7.0])


EAGER_TO_SHARE = replace(host(), threads=2, grain=1)
"""Divides between threads whatever can be divided, however small."""


def native(
    f: Callable[..., Any], *arrays: Any, machine: Machine = EAGER_TO_SHARE, inspector: Inspector | None = None
) -> NativeProgram:
    return NativeProgram(simplify(traced(f, *arrays).program), machine, inspector=inspector)


def same(f: Callable[..., Any], *arrays: Any, rtol: float = 1e-12) -> NativeProgram:
    """Runs natively what NumPy runs, twice: buffers are used again. Then with guards around all buffers."""
    arrays = tuple(np.asarray(array) for array in arrays)
    compiled = native(f, *arrays)
    native(f, *arrays, inspector=Guards())(arrays)
    for _ in range(2):
        found = compiled(arrays)
        for one, other in zip(found, traced(f, *arrays).program.run(arrays), strict=True):
            assert one.dtype == other.dtype
            assert one.shape == other.shape
            np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol)
    return compiled


CASES = [
    pytest.param(declaration, case, id=f"{declaration.name}-{case.label}")
    for declaration in TABLE.values()
    for case in declaration.cases
]


@pytest.mark.parametrize(("declaration", "case"), CASES)
def test_every_primitive(declaration: Declaration, case: Case) -> None:
    inputs = [np.asarray(x) for x in case.sample(np.random.default_rng(0))]
    same(lambda *xs: PRIMITIVES[declaration.name](*xs, **case.attributes), *inputs)


@given(program=programs, shapes=input_shapes)
def test_random_graphs_with_their_gradients(program: Any, shapes: Any) -> None:
    f = cp.value_and_grad(lambda *xs: run(program, xs), tuple(range(len(shapes))))
    same(lambda *xs: [(found := f(*xs))[0], *found[1]], *draw_inputs(shapes), rtol=1e-9)


@given(program=programs, shapes=input_shapes)
def test_random_graphs_in_single_precision(program: Any, shapes: Any) -> None:
    xs = [x.astype(np.float32) for x in draw_inputs(shapes)]
    f = cp.value_and_grad(lambda *xs: run(program, xs), tuple(range(len(shapes))))
    same(lambda *xs: [(found := f(*xs))[0], *found[1]], *xs, rtol=2e-4)


ELEMENTWISE: dict[str, Callable[[Any], Any]] = {
    "abs": cp.abs,
    "sign": cp.sign,
    "relu": cp.primitives.relu,
    "sqrt": cp.sqrt,
    "floor": cp.floor,
    "ceil": cp.ceil,
    "trunc": cp.trunc,
    "round": cp.round,
    "isnan": cp.isnan,
    "isinf": cp.isinf,
    "isfinite": cp.isfinite,
    "clip": lambda x: cp.clip(x, -1.0, 2.0),
    "maximum": lambda x: cp.maximum(x, x[::-1]),
    "minimum": lambda x: cp.minimum(x, x[::-1]),
    "divide": lambda x: x / x[::-1],
    "where": lambda x: cp.where(x > 0.5, x, x[::-1]),
    "compare": lambda x: cp.stack([x < x[::-1], x <= 1.0, x == x[::-1], x != x[::-1], x >= 1.0, x > 2.0]),
    "cast": lambda x: cp.astype(cp.astype(x, cp.bool), cp.float32),
}


@pytest.mark.parametrize("name", ELEMENTWISE)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_special_values(name: str, dtype: str) -> None:
    with np.errstate(all="ignore"):
        x = SPECIAL.astype(dtype)
        compiled = native(ELEMENTWISE[name], x)
        for one, other in zip(compiled([x]), traced(ELEMENTWISE[name], x).program.run([x]), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
def test_integers(dtype: str) -> None:
    limits = np.iinfo(dtype)
    x = np.array([limits.min, limits.max, 0, 1, 2, 3, 100, limits.max - 1, 5] * 3, dtype)
    f = lambda x, y: [  # noqa: E731
        x + y, x - y, x * y, cp.abs(x), cp.sign(x), cp.maximum(x, y), x < y, x == y,
        cp.sum(x, dtype=x.dtype), cp.max(x), cp.min(x), x.astype(cp.float32), x.astype(cp.int16), x & y, ~x,
    ]  # fmt: skip
    with np.errstate(all="ignore"):
        compiled = native(f, x, x[::-1].copy())
        expected = traced(f, x, x[::-1].copy()).program.run([x, x[::-1].copy()])
        for one, other in zip(compiled([x, x[::-1]]), expected, strict=True):
            np.testing.assert_array_equal(one, other)


shapes = st.lists(st.sampled_from([1, 2, 3, 5, 8, 17]), min_size=1, max_size=4).map(tuple)


@given(shape=shapes, data=st.data())
def test_reductions_over_any_axes_of_any_view(shape: tuple[int, ...], data: Any) -> None:
    axes = tuple(sorted(data.draw(st.sets(st.integers(0, len(shape) - 1)))))
    order = tuple(data.draw(st.permutations(range(len(shape)))))
    x = np.random.default_rng(0).standard_normal(shape)

    def f(x: Any) -> Any:
        y = cp.flip(cp.permute_dims(x * 2.0, order), axis=0) + 1.0
        return [cp.sum(y, axis=axes), cp.max(y, axis=axes), cp.sum(y * y) + cp.sum(x), cp.any(y > 1.0, axis=axes)]

    same(f, x, rtol=1e-10)


@given(st.lists(st.tuples(st.integers(1, 300), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=40))
def test_buffers_that_live_together_do_not_overlap(entries: Any) -> None:
    lifetimes = [Lifetime(nbytes, min(a, b), max(a, b)) for nbytes, a, b in entries]
    arena = plan(lifetimes)
    for i, (one, first) in enumerate(zip(lifetimes, arena.offsets, strict=True)):
        assert first % 64 == 0
        assert first + one.nbytes <= arena.nbytes
        for other, second in list(zip(lifetimes, arena.offsets, strict=True))[:i]:
            apart = first + one.nbytes <= second or second + other.nbytes <= first
            assert apart or one.last < other.first or other.last < one.first


def test_a_chain_is_one_kernel_and_takes_no_memory() -> None:
    compiled = same(lambda x: cp.sqrt(cp.abs(x * 2.0 + 1.0)) - x, np.ones((40, 5)))
    assert [len(step.kernels) for step in compiled.steps] == [1]
    assert compiled.arena_bytes == 0


def test_an_update_is_one_kernel() -> None:
    """Adam's new moments and the new weight, from six arrays: one walk through memory."""

    def update(w: Any, m: Any, v: Any, g: Any) -> Any:
        m, v = m * 0.9 + g * 0.1, v * 0.99 + g * g * 0.01
        return [w - 0.1 * m / (cp.sqrt(v) + 1e-8), m, v]

    compiled = same(update, *[np.random.default_rng(i).uniform(0.5, 1.0, (7, 9)) for i in range(4)])
    (segment,) = compiled.steps
    assert len(segment.kernels) == 1


def test_no_kernel_waits_for_itself() -> None:
    """``y`` must not join the kernel of ``x * 2``: it needs the sum over it."""

    def f(x: Any) -> Any:
        doubled = x * 2.0
        return doubled - cp.sum(doubled, axis=0) + cp.max(doubled)

    same(f, np.random.default_rng(0).standard_normal((5, 7)))


def test_equal_layers_share_their_kernels() -> None:
    def f(x: Any) -> Any:
        for _ in range(10):
            x = cp.relu(x @ x) if hasattr(cp, "relu") else cp.primitives.relu(x @ x)
        return x

    compiled = same(f, np.eye(6) * 0.5)
    assert compiled.functions == 2, "a product and a relu"


def test_inputs_of_any_layout_and_results_that_are_views() -> None:
    compiled = native(lambda x: [x * 2.0, x.mT, (x + 1.0)[:, ::2], x[0]], np.ones((4, 6)))
    x = np.arange(24.0).reshape(6, 4).T
    for one, other in zip(compiled([x]), [x * 2, x.T, (x + 1)[:, ::2], x[0]], strict=True):
        np.testing.assert_array_equal(one, other)
    zeros = np.broadcast_to(np.float64(3.0), (4, 6))
    np.testing.assert_array_equal(compiled([zeros])[0], np.full((4, 6), 6.0))


def test_results_stay_what_they_were() -> None:
    compiled = native(lambda x: x + 1.0, np.ones(4))
    first = compiled([np.zeros(4)])[0]
    compiled([np.full(4, 5.0)])
    assert first.tolist() == [1.0] * 4


def test_memory_is_used_again_only_if_nobody_has_it() -> None:
    """Every way of keeping a value keeps it: a tensor, an array, a view, a slice, a buffer, a graph."""
    run = cp.compile(lambda x: x + 1.0, executor="native")
    keep: list[Callable[[Any], Any]] = [
        lambda t: t,
        lambda t: t.numpy(),
        lambda t: t.numpy()[3:],
        lambda t: memoryview(t.numpy()),
        lambda t: np.from_dlpack(t),
        lambda t: t[1:].numpy(),
        lambda t: cp.sin(t * cp.tensor(np.ones(2000), requires_grad=True)),
    ]
    for size in (10, 2000):
        for how in keep:
            if how is keep[-1] and size != 2000:
                continue
            kept = how(run(np.arange(float(size))))
            before = np.array(kept)
            for _ in range(5):
                run(np.full(size, 7.0))
            np.testing.assert_array_equal(np.array(kept), before)


def test_a_training_loop_asks_for_no_new_memory() -> None:
    w = cp.Parameter(np.ones(5000))
    rule = cp.optim.SGD([w], lr=0.1)

    @cp.compile(executor="native")
    def step() -> None:
        rule.zero_grad()
        (w * w).sum().backward()
        rule.step()

    places = []
    for _ in range(8):
        step()
        places.append(w.peek().array.ctypes.data)
    assert len(set(places[1:])) == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_short_rows_are_walked_through_across(dtype: Any) -> None:
    """With costly functions, views, and sums along either axis, whose elements then stand apart."""
    x = np.random.default_rng(0).standard_normal((67, 6)).astype(dtype)

    def f(x: Any) -> Any:
        part = x[:, 1:]
        y = cp.tanh(part) * cp.exp(-part)
        return y, cp.sum(y), cp.sum(y, axis=0), cp.max(y, axis=1), y > 0.0, cp.sin(x.mT)

    same(f, x, rtol=1e-12 if dtype == np.float64 else 2e-5)
