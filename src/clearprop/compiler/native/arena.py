"""Where buffers lie: one block of memory for all values that stay inside, each part of it used many times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

ALIGNMENT = 64
"""Bytes: a cache line, and the widest vector."""


class Lifetime(NamedTuple):
    """A buffer that is needed from one step to another, both included."""

    nbytes: int
    first: int
    last: int


class Arena(NamedTuple):
    """Where each buffer begins, and how many bytes there are in all."""

    offsets: list[int]
    nbytes: int


def plan(lifetimes: Sequence[Lifetime]) -> Arena:
    """Give every buffer a place such that no two that are needed at the same time overlap.

    The largest come first, each to the lowest place that is free all its life long (greedy by size: Pisarchyk and Lee,
    "Efficient memory management for deep neural net inference", 2020).

    >>> plan([Lifetime(100, 0, 1), Lifetime(64, 1, 2), Lifetime(100, 2, 3)])
    Arena(offsets=[0, 128, 0], nbytes=192)
    """
    offsets, placed = [0] * len(lifetimes), list[int]()
    for i in sorted(range(len(lifetimes)), key=lambda i: (-lifetimes[i].nbytes, i)):
        mine, start = lifetimes[i], 0
        others = [j for j in placed if lifetimes[j].first <= mine.last and mine.first <= lifetimes[j].last]
        for j in sorted(others, key=lambda j: offsets[j]):
            if start + mine.nbytes <= offsets[j]:
                break
            start = max(start, aligned(offsets[j] + lifetimes[j].nbytes))
        offsets[i] = start
        placed.append(i)
    ends = (offset + lifetime.nbytes for offset, lifetime in zip(offsets, lifetimes, strict=True))
    return Arena(offsets, aligned(max(ends, default=0)))


def aligned(nbytes: int) -> int:
    """The next multiple of `ALIGNMENT`."""
    return -(-nbytes // ALIGNMENT) * ALIGNMENT
