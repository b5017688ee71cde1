"""Where buffers lie: one block of memory for all values that stay inside, each part of it used many times."""

from __future__ import annotations

from bisect import bisect, insort
from collections.abc import Sequence
from heapq import heappop, heappush
from typing import NamedTuple

from clearprop.alignment import ALIGNMENT

_FEW = 1000
"""Of so many buffers each can be compared with each."""


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

    >>> plan([Lifetime(100, 0, 1), Lifetime(64, 1, 2), Lifetime(100, 2, 3)])
    Arena(offsets=[0, 128, 0], nbytes=192)
    """
    offsets = _by_size(lifetimes) if len(lifetimes) <= _FEW else _by_time(lifetimes)
    ends = (offset + lifetime.nbytes for offset, lifetime in zip(offsets, lifetimes, strict=True))
    return Arena(offsets, aligned(max(ends, default=0)))


def _by_size(lifetimes: Sequence[Lifetime]) -> list[int]:
    """The largest come first, each to the lowest place that is free all its life long (greedy by size).

    Y. Pisarchyk, J. Lee, "Efficient memory management for deep neural net inference", 2020.
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
    return offsets


def _by_time(lifetimes: Sequence[Lifetime]) -> list[int]:
    """One after the other, each into the smallest gap that it fits into (best fit): for many buffers, a few % more."""
    offsets, gaps = [0] * len(lifetimes), _Gaps()
    in_use: list[tuple[int, int]] = []  # by the end of their lives
    for i in sorted(range(len(lifetimes)), key=lambda i: (lifetimes[i].first, -lifetimes[i].nbytes)):
        while in_use and in_use[0][0] < lifetimes[i].first:
            _, old = heappop(in_use)
            gaps.give(offsets[old], aligned(lifetimes[old].nbytes))
        offsets[i] = gaps.take(aligned(lifetimes[i].nbytes))
        heappush(in_use, (lifetimes[i].last, i))
    return offsets


class _Gaps:
    """What is free between buffers; neighbours are joined."""

    def __init__(self) -> None:
        self._end = 0
        self._starts: dict[int, int] = {}  # the size of each gap, by where it begins
        self._ends: dict[int, int] = {}  # where it begins, by where it ends
        self._sizes: list[tuple[int, int]] = []  # sorted

    def take(self, nbytes: int) -> int:
        """The beginning of the smallest gap that is large enough, or of new memory; a gap at the end grows."""
        at = bisect(self._sizes, (nbytes, -1))
        if at < len(self._sizes):
            size, start = self._sizes[at]
        else:
            start = self._ends.get(self._end, self._end)
            size = self._starts.get(start, 0)
            self._end = start + nbytes
        if size:
            self._remove(start, size)
        if size > nbytes:
            self._add(start + nbytes, size - nbytes)
        return start

    def give(self, start: int, nbytes: int) -> None:
        """Memory that is free again."""
        if not nbytes:
            return
        if start + nbytes in self._starts:
            behind = self._starts[start + nbytes]
            self._remove(start + nbytes, behind)
            nbytes += behind
        if start in self._ends:
            before = self._ends[start]
            nbytes += start - before
            self._remove(before, start - before)
            start = before
        self._add(start, nbytes)

    def _add(self, start: int, size: int) -> None:
        self._starts[start] = size
        self._ends[start + size] = start
        insort(self._sizes, (size, start))

    def _remove(self, start: int, size: int) -> None:
        del self._starts[start], self._ends[start + size]
        self._sizes.pop(bisect(self._sizes, (size, start)) - 1)


def aligned(nbytes: int) -> int:
    """The next multiple of `ALIGNMENT`."""
    return -(-nbytes // ALIGNMENT) * ALIGNMENT
