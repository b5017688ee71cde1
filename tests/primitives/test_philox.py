"""Random bits: Philox4x32-10 against its published vectors (Random123, kat_vectors), and the order of its words."""

from __future__ import annotations

import numpy as np
import pytest

from clearprop import primitives
from clearprop.primitives.random import philox

VECTORS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def words(text: str) -> list[np.uint64]:
    return [np.uint64(int(word, 16)) for word in text.split()]


@pytest.mark.parametrize(("counter", "key", "expected"), VECTORS)
def test_published_vectors(counter: str, key: str, expected: str) -> None:
    assert philox(words(counter), words(key)) == words(expected)


def bits(key: int, counter: int, *shape: int) -> list[int]:
    array = primitives.random_bits(np.uint64(key), np.int64(counter), shape=shape)
    assert array.dtype == np.uint32
    assert array.shape == shape
    return [int(word) for word in array.reshape(-1)]


def test_first_block_is_the_published_one() -> None:
    assert bits(0, 0, 4) == words(VECTORS[0][2])


def test_words_follow_block_by_block() -> None:
    assert bits(7, 3, 8) == bits(7, 3, 4) + bits(7, 4, 4)
    assert bits(7, 3, 6) == bits(7, 3, 8)[:6]
    assert bits(7, 3, 2, 3) == bits(7, 3, 6)


def test_counter_runs_on_past_32_bits() -> None:
    low = 2**32 - 1
    assert bits(1, low, 8)[4:] == bits(1, low + 1, 4)
    assert bits(1, 2**32, 4) != bits(1, 0, 4)


def test_key_has_64_bits() -> None:
    assert bits(2**32, 0, 4) != bits(0, 0, 4)
    assert bits(2**64 - 1, 0, 4) != bits(2**32 - 1, 0, 4)
