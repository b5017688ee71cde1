"""Random bits, natively: equal to the bit, whatever their number, the seed and the counter."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.compiler.native.protected import check
from tests.compiler.native.test_native import native

import clearprop as cp
from clearprop import primitives

EDGES = [0, 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1]


def compiled(shape: tuple[int, ...], key: int = 0, counter: int = 0) -> Any:
    return check(lambda k, c: primitives.random_bits(k, c, shape=shape), *inputs(key, counter))


def inputs(key: int, counter: int) -> tuple[Any, Any]:
    return np.array(key, np.uint64), np.array(counter, np.int64)


def bits(shape: tuple[int, ...], key: int, counter: int) -> Any:
    return compiled(shape, key, counter)(inputs(key, counter))[0]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 1023])
def test_any_number_of_words(count: int) -> None:
    run = compiled((count,))
    for key in (*EDGES, 2**64 - 1, 0x123456789ABCDEF):
        for counter in (*EDGES, 2**32 - 5, 0x7EDCBA987654321):
            given = inputs(key, counter)
            np.testing.assert_array_equal(run(given)[0], primitives.random_bits(*given, shape=(count,)))


def test_the_counter_is_carried_into_its_upper_half() -> None:
    assert len(np.unique(bits((3, 11, 7), 5, 2**32 - 9))) == 231


def test_the_published_block() -> None:
    """Salmon et al.'s known answers for zeros."""
    assert [hex(word) for word in bits((4,), 0, 0)] == ["0x6627e8d5", "0xe169c58d", "0xbc57ac4c", "0x9b00dbd8"]


@pytest.mark.parametrize("draw", [cp.random.uniform, cp.random.normal, lambda shape: cp.random.bernoulli(0.3, shape)])
def test_a_generator_goes_on_as_in_eager(draw: Any) -> None:
    run = cp.compile(lambda: draw((3, 5)), executor="native")
    cp.random.seed(11)
    expected = [draw((3, 5)).numpy() for _ in range(3)]
    cp.random.seed(11)
    for numbers in expected:
        np.testing.assert_allclose(run().numpy(), numbers, rtol=1e-6, atol=1e-6)


def test_bits_are_written_in_a_loop() -> None:
    """Rows of five words: not all of them begin where eight bytes do."""

    def f(key: Any, counters: Any) -> Any:
        return cp.scan(lambda carry, c: (carry, primitives.random_bits(key, c, shape=(5,))), 0.0, counters)[1]

    key, counters = np.array(3, np.uint64), np.arange(4)
    (found,) = native(f, key, counters)([key, counters])
    np.testing.assert_array_equal(found[2], bits((5,), 3, 2))
