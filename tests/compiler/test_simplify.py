"""Simplifying: fewer nodes, the same values to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from tests.core.test_random_graphs import draw_inputs, input_shapes, programs, run
from tests.core.test_trace import traced

import clearprop as cp
from clearprop.compiler.simplify import Simplifier, is_simple, simplify
from clearprop.primitive import Spec, spec_of
from clearprop.trace import trace

SPECIAL = np.array([0.0, -0.0, 1.0, -2.5, np.inf, -np.inf, np.nan, 5e-324])


def names(f: Any, *arrays: Any) -> list[str]:
    program = simplify(traced(f, *arrays).program)
    found = program.run(arrays)
    for one, other in zip(found, traced(f, *arrays).program.run(arrays), strict=True):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(np.signbit(one), np.signbit(other))
    return [node.name for node in program.order]


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x * 1.0,
        lambda x: 1.0 * x,
        lambda x: x / 1.0,
        lambda x: x - 0.0,
        lambda x: cp.negative(-x),
        lambda x: x.reshape(2, 4).reshape(8),
        lambda x: cp.primitives.stop_gradient(x),
        lambda x: x.astype(cp.float64),
    ],
)
def test_what_changes_nothing_is_left_out(f: Any) -> None:
    assert names(f, SPECIAL) == []


@pytest.mark.parametrize("f", [lambda x: x * 0.0, lambda x: x + 0.0, lambda x: x - x, lambda x: x / x, lambda x: x + 1])
def test_what_only_seems_to_change_nothing_stays(f: Any) -> None:
    assert names(f, SPECIAL)


def test_views_are_joined() -> None:
    x = np.arange(24.0).reshape(2, 3, 4)
    assert names(lambda x: cp.permute_dims(cp.permute_dims(x, (1, 2, 0)), (1, 2, 0)), x) == ["permute"]
    assert names(lambda x: cp.permute_dims(cp.permute_dims(x, (1, 2, 0)), (2, 0, 1)), x) == []
    assert names(lambda x: x.reshape(6, 4).reshape(3, 8).reshape(4, 6), x) == ["reshape"]
    assert names(lambda x: cp.broadcast_to(cp.broadcast_to(x[0, 0, 0], (4,)), (3, 4)) + 0.5, x).count("broadcast") == 2


@pytest.mark.parametrize("axis", [0, 1])
def test_gradients_of_pieces_are_put_together(axis: int) -> None:
    x = np.arange(1.0, 25.0).reshape(4, 6)

    def f(x: Any) -> Any:
        first, second = (x[:1], x[1:]) if axis == 0 else (x[:, :4], x[:, 4:])
        return cp.sum(first * first) + cp.sum(cp.sin(second))

    found = names(lambda x: cp.grad(f)(x), x)
    assert "concat" in found
    assert "pad" not in found


@pytest.mark.parametrize(
    "f",
    [
        lambda x: cp.sum(x[:3] * x[:3]) + cp.sum(x[2:] * x[2:]),  # they overlap
        lambda x: cp.sum(x[:1] * x[:1]) + cp.sum(x[2:] * x[2:]),  # nothing comes to what is between
        lambda x: cp.sum(x[::2] * x[::2]) + cp.sum(x[1::2] * x[1::2]),
    ],
)
def test_but_not_of_pieces_that_do_not_lie_side_by_side(f: Any) -> None:
    assert "pad" in names(lambda x: cp.grad(f)(x), np.arange(1.0, 5.0))


def test_what_is_computed_twice_is_computed_once() -> None:
    assert names(lambda x: cp.sin(x) * cp.sin(x) + cp.sin(x), SPECIAL).count("sin") == 1


def test_the_sign_of_zero_is_not_lost_where_two_are_alike() -> None:
    assert names(lambda x: (cp.clip(x, 0.0, None), cp.clip(x, -0.0, None)), SPECIAL).count("clip") == 2


def test_what_nobody_needs_is_not_computed() -> None:
    def f(x: Any) -> Any:
        cp.exp(x)
        return x + 1.0

    assert "exp" not in names(f, SPECIAL)


@given(program=programs, shapes=input_shapes)
def test_random_graphs_and_their_gradients_keep_their_values(program: Any, shapes: Any) -> None:
    f = cp.value_and_grad(lambda *xs: run(program, xs), tuple(range(len(shapes))))
    xs = draw_inputs(shapes)
    before = traced(lambda *xs: [(found := f(*xs))[0], *found[1]], *xs).program
    after = simplify(before)
    assert len(after.order) <= len(before.order)
    for one, other in zip(after.run(xs), before.run(xs), strict=True):
        np.testing.assert_array_equal(one, other)


@given(program=programs, shapes=input_shapes)
def test_a_function_is_simplified_while_it_is_traced(program: Any, shapes: Any) -> None:
    f = cp.value_and_grad(lambda *xs: run(program, xs), tuple(range(len(shapes))))
    xs = draw_inputs(shapes)

    def step(*xs: Any) -> list[Any]:
        value, gradients = f(*xs)
        return [value, *gradients]

    at_once = trace(step, list(map(spec_of, xs)), Simplifier())
    afterwards = simplify(traced(step, *xs).program)
    assert is_simple(at_once)
    assert [node.name for node in at_once.order] == [node.name for node in afterwards.order]
    for one, other in zip(at_once.run(xs), afterwards.run(xs), strict=True):
        np.testing.assert_array_equal(one, other)


def test_pieces_that_are_used_once_are_left_to_a_second_look() -> None:
    program = trace(
        lambda x: [cp.permute_dims(cp.stack([x, x + 1.0]), (1, 0))], [Spec((3,), np.dtype(float))], Simplifier()
    )
    assert not is_simple(program)
    assert is_simple(simplify(program))


def test_nodes_keep_their_lines_and_modules() -> None:
    """Errors and reports name the line that made a node, in the simplified program too."""
    model = cp.nn.Sequential(cp.nn.Linear(2, 2))
    program = simplify(traced(lambda x: model(x * 1.0) + 2.0, np.ones((1, 2), np.float32)).program)
    assert {node.module for node in program.order if node.name == "matmul"} == {"0"}
    assert all("in test_nodes_keep_their_lines_and_modules" in node.where for node in program.order)


def test_pieces_are_put_together_in_the_order_that_is_wanted() -> None:
    def f(x: Any, y: Any) -> Any:
        return (cp.permute_dims(cp.stack([x, y]), (1, 0, 2)),)

    def twice(x: Any, y: Any) -> Any:
        both = cp.stack([x, y])
        return cp.permute_dims(both, (1, 0, 2)), both

    x, y = np.arange(6.0).reshape(2, 3), np.ones((2, 3))
    names = [node.name for node in simplify(traced(f, x, y).program).order]
    assert names.index("permute") < names.index("concat") == len(names) - 1
    assert [node.name for node in simplify(traced(twice, x, y).program).order].count("concat") == 1
    for function in (f, twice):
        program = traced(function, x, y).program
        for one, other in zip(program.run([x, y]), simplify(program).run([x, y]), strict=True):
            np.testing.assert_array_equal(one, other)
