"""Random bits, natively: equal to the bit, whatever their number, the seed and the counter."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.compiler.native.test_native import native, same

import clearprop as cp
from clearprop import primitives

edges = st.sampled_from([0, 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1])


def check(shape: tuple[int, ...], key: int, counter: int) -> Any:
    inputs = np.array(key, np.uint64), np.array(counter, np.int64)
    compiled = same(lambda k, c: primitives.random_bits(k, c, shape=shape), *inputs, rtol=0)
    assert compiled.by_numpy() == []
    return compiled(inputs)[0]


@given(
    count=st.one_of(st.integers(1, 200), st.sampled_from([1023, 1024, 1025])),
    key=st.one_of(edges, st.just(2**64 - 1), st.integers(0, 2**64 - 1)),
    counter=st.one_of(edges, st.integers(0, 2**63 - 1)),
)
def test_any_number_of_words(count: int, key: int, counter: int) -> None:
    check((count,), key, counter)


def test_the_counter_is_carried_into_its_upper_half() -> None:
    assert len(np.unique(check((3, 11, 7), 5, 2**32 - 9))) == 231


def test_the_published_block() -> None:
    """Salmon et al.'s known answers for zeros."""
    assert [hex(word) for word in check((4,), 0, 0)] == ["0x6627e8d5", "0xe169c58d", "0xbc57ac4c", "0x9b00dbd8"]


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

    inputs = np.array(3, np.uint64), np.arange(4)
    (found,) = native(f, *inputs)(inputs)
    np.testing.assert_array_equal(found[2], check((5,), 3, 2))
