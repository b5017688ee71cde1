"""Random bits."""

from __future__ import annotations

import math

import numpy as np
from tests.primitives.table.declaring import Array, Case, Wrong, declare, i64

from clearprop.errors import ShapeError


def philox_words(key: Array, counter: Array, shape: tuple[int, ...]) -> Array:
    """Philox4x32-10 with Python's integers, block by block, as the paper writes it."""
    words: list[int] = []
    block = int(counter)
    while len(words) < math.prod(shape):
        c = [block & 0xFFFFFFFF, block >> 32, 0, 0]
        k = [int(key) & 0xFFFFFFFF, int(key) >> 32]
        for _ in range(10):
            high0, low0 = divmod(0xD2511F53 * c[0], 2**32)
            high1, low1 = divmod(0xCD9E8D57 * c[2], 2**32)
            c = [high1 ^ c[1] ^ k[0], low1, high0 ^ c[3] ^ k[1], low0]
            k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
        words += c
        block += 1
    return np.array(words[: math.prod(shape)], np.uint32).reshape(shape)


def bits_case(label: str, shape: tuple[int, ...]) -> Case:
    return Case(
        label,
        lambda random: [random.integers(0, 2**64, dtype=np.uint64), random.integers(0, 2**40, dtype=np.int64)],
        {"shape": shape},
    )


declare(
    "random_bits",
    [bits_case("0-d", ()), bits_case("part of a block", (3,)), bits_case("blocks", (3, 4)), bits_case("nothing", (0,))],
    philox_words,
    wrong=(Wrong(ShapeError, (((2,), "uint64"), i64()), {"shape": (4,)}),),
    batches=False,
)
