"""Work done ahead: in order, no further than asked for, and never after it is of no use."""

from __future__ import annotations

import threading
import time

import pytest

from clearprop.data.ahead import computed_ahead


@pytest.mark.parametrize(("ahead", "workers"), [(0, 1), (1, 1), (3, 1), (8, 4)])
def test_results_come_in_order(ahead: int, workers: int) -> None:
    def slow_at_first(number: int) -> int:
        time.sleep(0.01 if number == 0 else 0.0)
        return number * number

    assert list(computed_ahead(slow_at_first, range(30), ahead, workers=workers)) == [n * n for n in range(30)]


def test_several_threads_work_at_once() -> None:
    together = threading.Barrier(3, timeout=10)  # each waits for two others: one thread alone would never come through

    def meet(number: int) -> int:
        together.wait()
        return number

    assert list(computed_ahead(meet, range(9), 6, workers=3)) == list(range(9))


def test_items_are_taken_in_the_thread_of_the_caller() -> None:
    taken = []
    items = (taken.append(threading.current_thread().name) or number for number in range(5))
    assert list(computed_ahead(abs, items, 2)) == list(range(5))
    assert taken == ["MainThread"] * 5


@pytest.mark.parametrize("ahead", [0, 2])
def test_an_error_of_the_items_comes_where_it_is_and_ends_the_threads(ahead: int) -> None:
    def items() -> object:
        yield 1
        yield 2
        raise OSError("of the disk")

    results = computed_ahead(abs, items(), ahead, name="these")
    with pytest.raises(OSError, match="of the disk"):
        list(results)
    assert not any(thread.name.startswith("these") for thread in threading.enumerate())


def test_what_is_not_begun_is_dropped() -> None:
    begun, go_on = [], threading.Event()

    def wait(number: int) -> int:
        begun.append(number)
        if number == 1:
            go_on.wait(10)
        return number

    results = computed_ahead(wait, range(100), 20)
    assert next(results) == 0
    while 1 not in begun:
        time.sleep(0.001)
    threading.Timer(0.05, go_on.set).start()
    results.close()
    assert begun == [0, 1]
