"""Tracing: a program run again gives what the function gives, and says clearly what cannot be traced."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from tests.core.test_random_graphs import draw_inputs, input_shapes, programs, run

import clearprop as cp
from clearprop import nn
from clearprop.cell import Cell
from clearprop.compiler.whole import Whole
from clearprop.errors import TraceError
from clearprop.primitive import Spec, spec_of
from clearprop.tensor import Tensor


class Traced:
    """A function traced whole, which can be called."""

    def __init__(self, f: Callable[..., Any], specs: Sequence[Spec]) -> None:
        self.whole = Whole(f, [(spec, False) for spec in specs])
        self.program = self.whole.program

    def __call__(self, *xs: Any) -> list[Tensor]:
        found: list[Tensor] = self.whole.finish(self.program.run(self.whole.inputs([cp.asarray(x) for x in xs])))
        return found


def traced(f: Callable[..., Any], *arrays: Any) -> Traced:
    """Of a function that returns a tensor, or several."""

    def listed(*xs: Tensor) -> list[Tensor]:
        result = f(*xs)
        return list(result) if isinstance(result, (tuple, list)) else [result]

    return Traced(listed, [spec_of(np.asarray(array)) for array in arrays])


def check(f: Callable[..., Any], *arrays: Any) -> Traced:
    """The traced function gives what the function gives, on numbers that it was not traced with, too."""
    program = traced(f, *arrays)
    for factor in (1.0, -0.7):
        given_arrays = [np.asarray(a * factor if a.dtype.kind == "f" else a) for a in map(np.asarray, arrays)]
        expected = f(*[cp.asarray(a) for a in given_arrays])
        expected = expected if isinstance(expected, (tuple, list)) else [expected]
        for one, other in zip(program(*[cp.asarray(a) for a in given_arrays]), expected, strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-10, atol=1e-12)
    return program


@given(program=programs, shapes=input_shapes)
def test_values_and_gradients_of_random_graphs(program: Any, shapes: Any) -> None:
    f = cp.value_and_grad(lambda *xs: run(program, xs), tuple(range(len(shapes))))
    check(lambda *xs: [(found := f(*xs))[0], *found[1]], *draw_inputs(shapes))


@given(program=programs, shapes=input_shapes)
def test_a_program_can_be_differentiated_and_traced_again(program: Any, shapes: Any) -> None:
    inner = traced(lambda *xs: run(program, xs), *draw_inputs(shapes))
    check(cp.grad(lambda *xs: inner.program.run(xs)[0]), *draw_inputs(shapes))


def test_transformations_are_traced_whatever_their_order() -> None:
    x = np.linspace(-1.0, 1.0, 6).reshape(2, 3)

    def f(x: Any) -> Any:
        return (cp.sin(x) * x[0]).sum()

    check(cp.grad(lambda x: (cp.grad(f)(x) ** 2).sum()), x)
    check(cp.hessian(f), x)
    check(lambda x: cp.jvp(f, (x,), (x * 2.0,)), x)
    check(cp.vmap(cp.grad(lambda row: (cp.exp(row) * row).sum())), x)


def test_a_backward_pass_through_leaves_of_its_own() -> None:
    def f(x: Any) -> Any:
        w = cp.tensor(np.array([1.0, 2.0, 3.0]), requires_grad=True)
        ((x * w) ** 2).sum().backward()
        return w.grad

    check(f, np.arange(3.0))


def test_numbers_and_arrays_become_constants() -> None:
    table = np.arange(6.0).reshape(2, 3)
    program = check(lambda x: cp.asarray(table) @ x * 2.0 + 1.0, np.ones(3))
    assert sorted(c.size for c in program.program.constants.values()) == [1, 1, 6]
    assert "2.0" in str(program.program)


def test_cells_that_are_read_are_inputs_and_those_assigned_are_outputs() -> None:
    counter, factor = Cell(np.float64(1.0), name="counter"), cp.Parameter(np.float64(3.0))

    def f(x: Any) -> Any:
        y = x * factor
        counter.assign(counter + y.sum())
        return y * counter

    program = traced(f, np.ones(2))
    assert counter.item() == 1.0, "tracing changes no cell"
    assert factor.value.array == 3.0
    assert set(program.whole.read) == {counter, factor}
    assert program.whole.assigned == [counter]
    assert program(cp.asarray(np.array([1.0, 2.0])))[0].tolist() == [30.0, 60.0]
    assert counter.item() == 10.0
    factor.assign(np.float64(1.0))
    assert program(cp.asarray(np.array([1.0, 2.0])))[0].tolist() == [13.0, 26.0]


def test_random_numbers_move_on_from_call_to_call() -> None:
    generator = cp.random.Generator(3)
    program = traced(lambda: cp.random.uniform((4,), generator=generator))
    first, second = program()[0].tolist(), program()[0].tolist()
    generator.manual_seed(3)
    assert [first, second] == [cp.random.uniform((4,), generator=generator).tolist() for _ in range(2)]


def test_tensors_with_a_history_are_inputs_not_constants() -> None:
    w = cp.tensor(np.array([2.0, 5.0]), requires_grad=True)
    program = traced(lambda x: (x * w).sum(), np.ones(2))
    assert [t is w for t in program.whole.captured] == [True]
    program(cp.asarray(np.array([1.0, 10.0])))[0].backward()
    assert w.grad is not None
    assert w.grad.tolist() == [1.0, 10.0]


def test_a_network_with_its_gradients() -> None:
    cp.random.seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Dropout(0.5), nn.Linear(4, 2)).to(cp.float64)
    names = [name for name, _ in model.named_parameters()]

    def f(x: Any, y: Any) -> Any:
        cp.random.seed(1)
        values = {name: parameter.value for name, parameter in model.named_parameters()}
        loss = lambda values: nn.functional.cross_entropy(nn.functional_call(model, values, x), y)  # noqa: E731
        value, gradients = cp.value_and_grad(loss)(values)
        return [value, *(gradients[name] for name in names)]

    program = check(f, np.linspace(-1, 1, 15).reshape(5, 3), np.array([0, 1, 1, 0, 1]))
    model[0].weight.assign(model[0].weight * 2.0)  # read at each call
    x, y = cp.asarray(np.ones((5, 3))), cp.asarray(np.array([0, 1, 1, 0, 1]))
    for one, other in zip(program(x, y), f(x, y), strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-10)


@pytest.mark.parametrize(
    "ask",
    [
        lambda x: 1 if x.sum() > 0 else 2,
        lambda x: float(x[0]),
        lambda x: x.numpy(),
        lambda x: x.tolist(),
        lambda x: np.asarray(x),
        lambda x: np.ones(2) @ np.asarray(x),
    ],
)
def test_asking_for_a_number_is_an_error_that_names_the_line(ask: Callable[[Any], Any]) -> None:
    def f(x: Any) -> Any:
        ask(x)
        return x

    with pytest.raises(TraceError, match=r"(?s)has no value that if, float.*test_trace\.py.*cp\.where") as caught:
        traced(f, np.ones(2))
    assert "test_trace.py" in caught.value.where
    assert not cp.ones(2).requires_grad  # and eager goes on as before
    assert (cp.ones(2) + 1.0).tolist() == [2.0, 2.0]


def test_a_symbol_that_is_kept_elsewhere_is_an_error() -> None:
    kept: list[Tensor] = []

    def f(x: Any) -> Any:
        kept.append(x * 2.0)
        return x

    traced(f, np.ones(2))
    with pytest.raises(TraceError, match="has no value"):
        kept[0] + 1.0
    with pytest.raises(TraceError, match="a trace that is over"):
        traced(lambda x: x + kept[0], np.ones(2))


def test_an_error_in_the_function_leaves_cells_and_eager_as_they_were() -> None:
    cell = Cell(np.float64(1.0))

    def f(x: Any) -> Any:
        cell.assign(cell + x)
        raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        traced(f, np.float64(2.0))
    assert cell.item() == 1.0
    assert (cell + 1.0).item() == 2.0


def test_costs_are_counted_without_running() -> None:
    program = traced(lambda x, y: x @ y, np.ones((2, 3)), np.ones((3, 4)))
    assert program.program.flops() == 2 * 2 * 3 * 4
