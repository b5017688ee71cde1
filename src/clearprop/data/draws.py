"""Random numbers for augmentation, from counters: each example of an epoch has its own, whoever else is in its batch.

The numbers of an example depend on the seed, the epoch and its position in the epoch, and on nothing else: not on the
batch size, not on the thread that prepares the batch, not on what was drawn before. So a run that is resumed in the
middle of an epoch sees the very images that the uninterrupted one would have seen.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from clearprop.arguments import is_whole, whole
from clearprop.errors import UsageError

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

_WORDS = 4  # of 64 bits, in a block of Philox


class Draws:
    """A source of random numbers for some examples that follow one another in an epoch. Each call draws one for each.

    They are the raw output of a Philox generator, which NumPy guarantees to stay the same in all versions (NEP 19). Its
    key is (seed, epoch). Its counter is (position, block), blocks from 1 on: `shuffled` uses those of block 0.

    Args:
        count: how many examples.
        seed: of the loader.
        epoch: number of the epoch, from 0.
        start: position of the first of the examples in the epoch.

    >>> draws = Draws(4, seed=7)
    >>> draws.integers(0, 10), draws.integers(0, 10)
    (array([8, 4, 7, 8]), array([8, 6, 6, 1]))
    >>> Draws(2, seed=7, start=2).integers(0, 10)
    array([7, 8])
    """

    def __init__(self, count: int, seed: int = 0, epoch: int = 0, start: int = 0) -> None:
        self.count = whole("Draws", "count", count, 0)
        for name, value in (("seed", seed), ("epoch", epoch), ("start", start)):
            if not is_whole(value):
                raise UsageError(f"Draws: {name}={value!r}", hint="a whole number, such as 0")
        self._key = np.array([seed % 2**64, epoch], dtype=np.uint64)
        self._start = start
        self._drawn = 0
        self._block = np.empty((0, _WORDS), np.uint64)

    def words(self) -> Array:
        """A random word of 64 bits for each example: uint64 of shape (count,)."""
        block, word = divmod(self._drawn, _WORDS)
        if word == 0:
            counter = np.array([self._start, block + 1, 0, 0], dtype=np.uint64)
            generator = np.random.Philox(key=self._key, counter=counter)
            self._block = generator.random_raw(self.count * _WORDS).reshape(self.count, _WORDS)
        self._drawn += 1
        return self._block[:, word]

    def uniform(self, low: float = 0.0, high: float = 1.0) -> Array:
        """A number equally likely in [low, high) for each example: float64 of shape (count,)."""
        unit = (self.words() >> np.uint64(11)) * 2.0**-53
        return unit if (low, high) == (0.0, 1.0) else unit * (high - low) + low

    def integers(self, low: int, high: int) -> Array:
        """A whole number equally likely in [low, high) for each example: int64 of shape (count,).

        The bias (Lemire's multiplication, without rejection) is below (high - low) / 2**32; spans up to 2**32.
        """
        scaled = ((self.words() >> np.uint64(32)) * np.uint64(high - low)) >> np.uint64(32)
        return scaled.astype(np.int64) + low

    def order(self) -> Array:
        """The examples in a random order: the numbers 0 … count - 1, intp of shape (count,)."""
        return np.argsort(self.words(), kind="stable")
