"""The order of examples, from a seed alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from clearprop.arguments import is_whole
from clearprop.errors import UsageError


def checked_seed(name: str, seed: Any) -> int:
    """A seed as an integer; UsageError if it is none."""
    if not is_whole(seed):
        raise UsageError(f"{name}: seed is {seed!r}", hint="a whole number, such as 0")
    return int(seed)


def shuffled(length: int, seed: int, epoch: int = 0) -> np.ndarray[Any, np.dtype[np.intp]]:
    """The indices 0 … length - 1 in an order that depends on nothing but the arguments.

    It sorts one random 64-bit number per index: the raw output of a Philox generator with the key (seed, epoch), which
    NumPy guarantees to stay the same in all versions; of `Generator.permutation` it does not (NEP 19). So a run resumed
    years later sees the same order.

    >>> shuffled(5, seed=0), shuffled(5, seed=0, epoch=1)
    (array([0, 2, 1, 4, 3]), array([3, 2, 4, 1, 0]))
    """
    key = np.array([seed % 2**64, epoch], dtype=np.uint64)
    return np.argsort(np.random.Philox(key=key).random_raw(length), kind="stable")
