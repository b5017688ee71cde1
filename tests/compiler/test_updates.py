"""Cells that a compiled function updates where they lie: nobody else may see it, and nothing may get lost."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import numpy as np
import pytest
from tests.compiler.cells import SIZES, counting, place_of

import clearprop as cp
from clearprop import nn, optim
from clearprop.cell import Cell


@pytest.fixture
def claims(monkeypatch: pytest.MonkeyPatch) -> list[Cell]:
    """The cells that compiled functions have looked at."""
    seen: list[Cell] = []
    claim = Cell.claim

    def noted(cell: Cell) -> bool:
        seen.append(cell)
        return claim(cell)

    monkeypatch.setattr(Cell, "claim", noted)
    return seen


# Where new values go --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rule",
    [
        lambda params: optim.SGD(params, lr=0.1),
        lambda params: optim.SGD(params, lr=0.1, momentum=0.9),
        lambda params: optim.AdamW(params, lr=0.001),
    ],
)
@pytest.mark.parametrize("width", [3, 40])
def test_a_training_step_writes_over_what_it_read(rule: Any, width: int) -> None:
    """All weights, moments and counts stay where they are, and are those of eager."""
    x, y = np.linspace(-1.0, 1.0, 60, dtype=np.float32).reshape(20, 3), np.arange(20) % 2
    states = []
    for compiled in (False, True):
        cp.random.seed(0)
        model = nn.Sequential(nn.Linear(3, width), nn.Tanh(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2))
        optimizer = rule(model.parameters())

        def step(x: Any, y: Any, model: Any = model, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            return loss.detach()

        run = cp.compile(step, executor="native") if compiled else step
        cells = [*model.parameters(), *(cell for slots in optimizer.state.values() for cell in slots.values())]
        places = []
        for _ in range(6):
            loss = run(cp.asarray(x), cp.asarray(y))
            if compiled:
                places.append([place_of(cell) for cell in cells])
        assert places[1:] == places[1:2] * (len(places) - 1)
        states.append([loss.item(), *(cell.value.detach().numpy() for cell in cells)])
    for one, other in zip(*states, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_a_call_like_the_one_before_looks_at_no_cell(claims: list[Cell]) -> None:
    cell = Cell(np.zeros(5))
    count = counting(cell)
    for _ in range(3):
        count()
    claims.clear()
    assert [count().item() for _ in range(3)] == [15.0, 20.0, 25.0]
    assert claims == []
    assert cell.value.tolist() == [6.0] * 5
    count()
    assert claims == [cell], "somebody has looked at the value"


def test_a_value_that_another_kernel_still_reads_is_written_over_last() -> None:
    """Whatever is computed from the old value, in whatever order the function says it."""
    a, b = Cell(np.arange(6.0).reshape(2, 3)), Cell(np.ones((2, 3)))

    def step() -> Any:
        old_a, old_b = a.value, b.value
        a.assign(old_a * 2.0 + old_b)
        b.assign(old_b + 1.0)
        return old_a.mT @ old_b, cp.flip(old_a, axis=0) - old_a, old_a.sum(axis=0), cp.cumulative_sum(old_b, axis=1)

    run = cp.compile(step, executor="native")
    found = [[np.array(y.tolist()) for y in run()] for _ in range(5)]
    a.assign(np.arange(6.0).reshape(2, 3))
    b.assign(np.ones((2, 3)))
    for results in found:
        for one, other in zip(results, step(), strict=True):
            np.testing.assert_allclose(one, other.tolist())


def test_values_that_change_places() -> None:
    """Each new value needs the other old one: one of them has to go elsewhere."""
    a, b = Cell(np.full(2000, 1.0)), Cell(np.full(2000, 2.0))

    @cp.compile(executor="native")
    def turn() -> None:
        a_now, b_now = a.value, b.value
        a.assign(cp.flip(b_now) + 0.0)
        b.assign(cp.flip(a_now) + 0.0)

    for _ in range(4):
        turn()
        assert {a.value[0].item(), b.value[-1].item()} == {1.0, 2.0}
    assert a.value.tolist() == [1.0] * 2000


def test_a_value_that_needs_its_old_one_at_other_places() -> None:
    cell = Cell(np.arange(3000.0))

    @cp.compile(executor="native")
    def step() -> None:
        cell.assign(cell.value + cp.flip(cell.value) * 2.0)

    expected = np.arange(3000.0)
    for _ in range(4):
        step()
        expected = expected + expected[::-1] * 2.0
    np.testing.assert_array_equal(cell.numpy(), expected)


# Who changes a cell in between ----------------------------------------------------------------------------------------


def test_cells_that_are_assigned_in_between() -> None:
    cell, factor = Cell(np.zeros(3)), Cell(2.0)

    @cp.compile(executor="native")
    def step(x: Any) -> Any:
        cell.assign(cell + x * factor.value)
        return cell.value.sum()

    x = cp.ones(3, dtype=cp.float64)
    assert [step(x).item() for _ in range(3)] == [6.0, 12.0, 18.0]
    factor.assign(1.0)
    assert step(x).item() == 21.0
    cell.assign(np.zeros(3))
    assert [step(x).item() for _ in range(2)] == [3.0, 6.0]
    cell.restore(cp.ones(3, dtype=cp.float64))
    assert step(x).item() == 6.0


def test_two_functions_that_update_the_same_cells_in_turn(claims: list[Cell]) -> None:
    """Neither disturbs the other: the cells stay where they are, and both go the short way."""
    a, b = Cell(np.zeros(2000)), Cell(np.zeros(2000))

    @cp.compile(executor="native")
    def add() -> None:
        a.assign(a + 1.0)
        b.assign(b + a.value)

    @cp.compile(executor="native")
    def double() -> Any:
        b.assign(b * 2.0)
        return (a.value + b.value).max()

    x = y = 0.0
    for i in range(6):
        if i == 3:
            places = place_of(a), place_of(b)
            claims.clear()
        add()
        x, y = x + 1.0, 2.0 * (y + x + 1.0)
        assert double().item() == x + y
    assert (place_of(a), place_of(b)) == places
    assert claims == []


def test_functions_that_share_some_of_their_cells() -> None:
    """Each pair was compiled by itself before a third function needs them all."""
    a, b = Cell(np.zeros(3)), Cell(np.zeros(3))
    one, other = counting(a), counting(b)

    @cp.compile(executor="native")
    def all_of_them() -> Any:
        a.assign(a + b.value)
        b.assign(b + 1.0)
        return a.value.sum()

    x = y = 0.0
    for _ in range(5):
        one()
        other()
        x, y = x + 1.0 + (y + 1.0), y + 2.0
        assert all_of_them().item() == 3 * x


def test_training_and_evaluation_in_turn() -> None:
    model = nn.Sequential(nn.Linear(3, 20), nn.BatchNorm1d(20), nn.ReLU(), nn.Dropout(0.5), nn.Linear(20, 2))
    rule = optim.SGD(model.parameters(), lr=0.1)
    x, y = cp.asarray(np.linspace(-1.0, 1.0, 24, dtype=np.float32).reshape(8, 3)), cp.asarray(np.arange(8) % 2)

    def step(x: Any, y: Any) -> Any:
        rule.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        rule.step()
        return loss.detach()

    first = {name: np.array(value) for name, value in model.state_dict().items()}
    curves = []
    for compiled in (False, True):
        model.load_state_dict(first)
        cp.random.seed(3)
        train = cp.compile(step, executor="native") if compiled else step
        evaluate = cp.compile(lambda x: model(x), executor="native") if compiled else model
        curve = []
        for _ in range(4):
            model.train()
            curve += [train(x, y).item() for _ in range(3)]
            model.eval()
            with cp.no_grad():
                curve.append(evaluate(x).sum().item())
        curves.append(curve)
    np.testing.assert_allclose(*curves, rtol=1e-4)


# Errors, threads, ends ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("good_calls", [0, 1, 3])
@pytest.mark.parametrize("size", SIZES)
def test_an_error_leaves_all_cells_as_they_were(size: int, good_calls: int) -> None:
    a, b = Cell(np.zeros(size)), Cell(np.zeros(size))

    @cp.compile(executor="native")
    def step(i: Any) -> Any:
        a.assign(a + 1.0)
        found = cp.take(a.value, i)
        b.assign(b + found.sum())
        return found

    good, bad = cp.asarray(np.array([1, 2])), cp.asarray(np.array([1, size]))
    for _ in range(good_calls):
        step(good)
    before = a.value.tolist(), b.value.tolist()
    for _ in range(2):
        with pytest.raises(cp.RangeError):
            step(bad)
    assert (a.value.tolist(), b.value.tolist()) == before
    assert step(good).tolist() == [good_calls + 1.0] * 2
    assert a.value.tolist() == [good_calls + 1.0] * size


def test_what_numpy_computes_comes_before_the_updates() -> None:
    """It may fail, too."""
    cell = Cell(np.zeros(2000))

    @cp.compile(executor="native")
    def step(x: Any) -> Any:
        cell.assign(cell + 1.0)
        return x ** cp.asarray(np.full(3, -1))

    for _ in range(3):
        with pytest.raises(cp.DTypeError, match="negative integer powers"):
            step(cp.asarray(np.array([1, 2, 3])))
        assert set(cell.value.tolist()) == {0.0}


@pytest.mark.parametrize("size", SIZES)
def test_threads_that_call_the_same_function(size: int) -> None:
    """No call gets lost; who reads meanwhile sees the value before or after a call, never one in the middle."""
    cell = Cell(np.zeros(size))
    count = counting(cell)
    count()
    calls, problems = 300, list[Any]()

    def work() -> None:
        for _ in range(calls):
            total = count().item()
            if total % size:
                problems.append(total)

    def read() -> None:
        for _ in range(calls):
            value = cell.value
            first = np.array(value)
            if len(set(first.tolist())) != 1 or not np.array_equal(value, first):
                problems.append(first)

    threads = [threading.Thread(target=target) for target in (work, work, work, read, read)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert set(cell.value.tolist()) == {3 * calls + 1.0}


def test_threads_that_call_different_functions_of_one_cell() -> None:
    cell = Cell(np.zeros(3000))
    up = counting(cell)
    down = cp.compile(lambda: cell.assign(cell - 1.0), executor="native")
    up()
    down()

    def work(f: Any) -> None:
        for _ in range(300):
            f()

    threads = [threading.Thread(target=work, args=(f,)) for f in (up, down, up, down)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(cell.value.tolist()) == {0.0}


def test_inside_of_transformations_a_function_is_a_part_of_them() -> None:
    cell = Cell(np.zeros(4))
    count = counting(cell)
    for _ in range(3):
        count()
    step = cp.compile(lambda: (count(), count())[1], executor="native")
    assert [step().item() for _ in range(2)] == [16.0, 24.0]
    assert count().item() == 28.0
    look = cp.compile(lambda: cell.value.sum(), executor="native")
    batch = cp.vmap(lambda x: look() + x)
    assert [batch(cp.zeros(2, dtype=cp.float64)).tolist() for _ in range(2)] == [[32.0, 32.0]] * 2
    again = cp.checkpoint(lambda x: x * cell.value * count())
    assert again(cp.ones(4, dtype=cp.float64)).tolist() == [8.0 * 32.0] * 4
    assert count().item() == 36.0


def test_a_compiled_function_does_not_outlive_its_name() -> None:
    cell = Cell(np.zeros(4))
    count = counting(cell)
    for _ in range(3):
        count()
    ended = weakref.ref(cell)
    del cell, count
    gc.collect()
    assert ended() is None


def test_arguments_are_not_kept() -> None:
    cell = Cell(np.zeros(2000))
    step = cp.compile(lambda x: cell.assign(cell + x), executor="native")
    for i in range(4):
        array = np.full(2000, float(i))
        ended = weakref.ref(array)
        x = cp.asarray(array, copy=False)
        step(x)
        del x, array
        assert ended() is None, i
    assert set(cell.value.tolist()) == {6.0}


# Numbers that are other ones in every step ---------------------------------------------------------------------------


def test_another_learning_rate_is_written_where_the_old_one_was(claims: list[Cell]) -> None:
    """As a schedule does it before each step: the arrays of the others need not be looked at again."""
    w = cp.Parameter(np.ones(3))
    rule = optim.SGD([w], lr=1.0)

    @cp.compile(executor="native")
    def step(g: Any) -> None:
        w.grad = g
        rule.step()
        w.grad = None

    g = cp.ones(3, dtype=cp.float64)
    total = 0.0
    for i in range(12):
        if i == 6:
            claims.clear()
        rule.param_groups[0]["lr"] = rate = 0.5**i
        assert rule.param_groups[0]["lr"] == rate
        step(g)
        total += rate
    assert not any(cell is w for cell in claims)
    assert w.tolist() == [1.0 - total] * 3
