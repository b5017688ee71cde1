"""Who keeps a value of a cell that a compiled function updates, keeps it."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.compiler.cells import SIZES, counting, place_of

import clearprop as cp
from clearprop import nn, optim
from clearprop.cell import Cell

KEEPERS: dict[str, Callable[[Cell], Any]] = {
    "a tensor": lambda cell: cell.value,
    "a tensor without history": lambda cell: cell.value.detach(),
    "an array": lambda cell: cell.numpy(),
    "a part of an array": lambda cell: cell.numpy()[1:],
    "a slice": lambda cell: cell.value[1:],
    "a transpose": lambda cell: cell.value.reshape((-1, 1)).mT,
    "a buffer": lambda cell: memoryview(cell.numpy()),
    "dlpack": lambda cell: np.from_dlpack(cell.value),
    "asarray": lambda cell: cp.asarray(cell.value, copy=False),
    "another cell": lambda cell: _assigned(Cell(np.zeros(cell.shape)), cell.value),
    "a copy": copy.copy,
    "a deep copy": copy.deepcopy,
    "a weak reference": lambda cell: weakref.ref(cell.peek_array()),
}


def _assigned(cell: Cell, value: Any) -> Cell:
    cell.assign(value)
    return cell


def numbers(kept: Any) -> Any:
    return np.array(kept.numpy() if hasattr(kept, "numpy") else kept).ravel()


@pytest.mark.parametrize("before", [0, 1, 4])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("how", [how for how in KEEPERS if how != "a weak reference"])
def test_a_value_that_somebody_keeps_stays(how: str, size: int, before: int) -> None:
    cell = Cell(np.zeros(size))
    count = counting(cell)
    for _ in range(before):
        count()
    kept = KEEPERS[how](cell)
    first = numbers(kept)
    assert first.tolist() == [float(before)] * len(first)
    for i in range(4):
        assert count().item() == (before + i) * size
        assert numbers(kept).tolist() == first.tolist()
    assert cell.value.tolist() == [before + 4.0] * size
    del kept
    count()
    place = place_of(cell)
    count()
    assert place_of(cell) == place


def test_a_graph_keeps_the_values_that_it_needs() -> None:
    w = cp.Parameter(np.full(2000, 3.0))
    rule = optim.SGD([w], lr=1.0)

    @cp.compile(executor="native")
    def step() -> None:
        rule.zero_grad()
        w.value.sum().backward()
        rule.step()

    step()
    step()
    y = (w * w).sum()  # the gradient is twice the value as it is now
    rule.zero_grad()
    for _ in range(3):
        step()
    w.grad = None
    y.backward()
    assert w.grad is not None
    assert set(w.grad.tolist()) == {2.0}
    assert set(w.value.tolist()) == {-2.0}


def test_a_state_dict_is_not_trained_on() -> None:
    model = nn.Linear(30, 30)
    rule = optim.Adam(model.parameters(), lr=0.1)

    @cp.compile(executor="native")
    def step(x: Any) -> None:
        rule.zero_grad()
        (model(x) ** 2).sum().backward()
        rule.step()

    x = cp.ones((4, 30))
    for _ in range(3):
        step(x)
    saved = {**model.state_dict(), **rule.state_dict()["state"]}
    before = {name: np.array(value) for name, value in saved.items()}
    for _ in range(3):
        step(x)
    for name, value in saved.items():
        np.testing.assert_array_equal(np.array(value), before[name])
    assert not np.array_equal(model.weight.numpy(), before["weight"])


@pytest.mark.parametrize("size", SIZES)
def test_a_result_that_is_the_value_of_a_cell(size: int) -> None:
    cell = Cell(np.zeros(size))

    @cp.compile(executor="native")
    def old_and_new() -> Any:
        old = cell.value
        cell.assign(cell + 1.0)
        return old, cell.value

    kept = [old_and_new() for _ in range(5)]
    assert [(old[0].item(), new[-1].item()) for old, new in kept] == [(i, i + 1.0) for i in range(5)]


def test_a_function_that_returns_what_another_one_updates() -> None:
    cell = Cell(np.zeros(2000))
    count, look = counting(cell), cp.compile(lambda: cp.flip(cell.value), executor="native")
    kept = []
    for _ in range(4):
        count()
        count()
        kept.append(look())
    assert [set(value.tolist()) for value in kept] == [{2.0}, {4.0}, {6.0}, {8.0}]


@pytest.mark.parametrize("size", SIZES)
def test_an_argument_that_is_the_value_of_a_cell(size: int) -> None:
    cell = Cell(np.ones(size))

    @cp.compile(executor="native")
    def step(x: Any) -> Any:
        cell.assign(cell * 2.0)
        return (cell.value + x).sum()

    for i in range(4):
        x = cell.value
        assert step(x).item() == 3 * 2**i * size
        assert x.tolist() == [2.0**i] * size
    same = cell.value
    assert [step(same).item() / size for _ in range(3)] == [48.0, 80.0, 144.0]


@pytest.mark.parametrize("size", SIZES)
def test_one_array_in_two_cells(size: int) -> None:
    one, other = Cell(np.zeros(size)), Cell(np.zeros(size))
    other.assign(one.value)

    @cp.compile(executor="native")
    def step() -> None:
        one.assign(one + 1.0)

    for i in range(3):
        step()
        assert (one.value[0].item(), other.value[0].item()) == (i + 1.0, 0.0)

    @cp.compile(executor="native")
    def both() -> None:
        value = one + 1.0
        one.assign(value)
        other.assign(value)

    for _ in range(3):
        both()
    step()
    assert (one.value[0].item(), other.value[0].item()) == (7.0, 6.0)


def test_memory_of_somebody_else_is_not_written_to() -> None:
    memory = bytearray(np.zeros(2000).tobytes())
    for array in (np.frombuffer(memory), np.frombuffer(bytes(memory))):
        cell = Cell(np.zeros(2000))
        cell.assign(cp.asarray(array, copy=False))
        del array
        count = counting(cell)
        for _ in range(3):
            count()
        assert set(cell.value.tolist()) == {3.0}
        assert not any(memory)


@pytest.mark.parametrize("value", [np.zeros((30, 40)).T, np.zeros((60, 40))[::2], np.zeros((1, 1))[0, 0]])
def test_values_that_lie_otherwise(value: Any) -> None:
    cell = Cell(np.zeros(value.shape))
    count = counting(cell)
    for _ in range(3):
        count()
    cell.put(value)
    for i in range(3):
        assert count().item() == i * value.size
    assert not value.any()


def test_who_has_a_number_keeps_it() -> None:
    """A tensor that was read before does not change when another number is assigned."""
    count = Cell(1.0)
    run = counting(count)
    run()
    held = count.value
    also = count.numpy()
    count.assign(7.0)
    assert (held.item(), also.item(), count.item()) == (2.0, 2.0, 7.0)
    assert run().item() == 7.0
    graph = cp.Parameter(3.0)
    squared = graph * graph
    cp.compile(lambda: graph * 2.0)()
    graph.assign(5.0)
    squared.backward()
    assert graph.grad.item() == 6.0  # type: ignore[union-attr]
