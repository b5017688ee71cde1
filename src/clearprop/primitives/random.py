"""Random bits from a counter: Philox4x32-10.

J. Salmon, M. Moraes, R. Dror, D. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC'11. A block of four 32-bit
words is a function of a key (the seed) and a counter alone, so every executor, thread and host can compute its part,
and a checkpoint needs to save nothing but the counter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clearprop.errors import ShapeError
from clearprop.primitive import Formula, Primitive, Spec, Value, register

WORDS = 4
"""Words of 32 bits in a block."""

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10
_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)
_TOGETHER = 4096
"""Blocks that are computed together: what lies between stays in the cache."""


def philox(counter: Sequence[Any], key: Sequence[Any]) -> list[Any]:
    """Four words for each counter: ``counter`` has four words, ``key`` two, as uint64 arrays or numbers below 2**32."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    m0, m1 = (np.uint64(m) for m in MULTIPLIERS)
    for _ in range(ROUNDS):
        product0, product1 = c0 * m0, c2 * m1
        c0, c2 = (product1 >> _SHIFT) ^ c1 ^ k0, (product0 >> _SHIFT) ^ c3 ^ k1
        c1, c3 = product1 & _LOW, product0 & _LOW
        k0, k1 = (k0 + np.uint64(KEY_STEPS[0])) & _LOW, (k1 + np.uint64(KEY_STEPS[1])) & _LOW
    return [c0, c1, c2, c3]


class RandomBits(Primitive):
    """z = uint32 words of ``shape``: word j of them is word j mod 4 of the block with number counter + j div 4.

    Inputs: ``key``, a uint64 number (the seed); ``counter``, an int64 number (the first block).
    """

    formula = Formula(r"z = \operatorname{Philox}(\mathit{key}, \mathit{counter})")
    differentiable = False

    def shape(self, *inputs: Spec, **attributes: Any) -> Spec:
        key, counter = inputs
        if key.shape or counter.shape:
            raise ShapeError(f"random_bits: key and counter are single numbers, not {key} and {counter}")
        return Spec(attributes["shape"], np.dtype(np.uint32))

    def compute(self, key: Value, counter: Value, *, shape: tuple[int, ...]) -> Value:
        count = int(np.prod(shape, dtype=np.int64))
        found = np.empty((-(-count // WORDS), WORDS), np.uint32)
        seed, zero = np.uint64(key), np.uint64(0)
        for start in range(0, len(found), _TOGETHER):
            part = found[start : start + _TOGETHER]
            blocks = np.arange(start, start + len(part), dtype=np.uint64) + np.uint64(counter)
            words = philox((blocks & _LOW, blocks >> _SHIFT, zero, zero), (seed & _LOW, seed >> _SHIFT))
            for column, word in enumerate(words):
                part[:, column] = word
        return found.reshape(-1)[:count].reshape(shape)

    def batch(self, values: Sequence[Value], mapped: Sequence[bool], size: int, **attributes: Any) -> Value:
        raise ShapeError("random_bits: the counter of a generator is the same for a whole batch")


random_bits = register(RandomBits())
