"""Arrays for results: new ones, or used again as soon as nobody else has them.

To ask the system for fresh memory in every call, and give it back, costs several times as much as to write to it. So
the large arrays of earlier calls are kept, and one that nobody refers to any more is written to again. Who refers to it
is what Python's reference count says: a tensor, a NumPy array that shares its memory, a graph that keeps it. A small
result is written to one place always, and copied from there.
"""

from __future__ import annotations

from sys import getrefcount
from typing import Any

from clearprop.alignment import SMALL, aligned_empty
from clearprop.graph import Node

_MOST_KEPT = 3
"""Two take turns; a third is for one who looks at the results now and then."""


def _references(arrays: list[Any], i: int) -> tuple[int, int]:
    """How many refer to an array, and to the memory that it is a part of, to which views of the array refer."""
    return getrefcount(arrays[i]), 0 if arrays[i].base is None else getrefcount(arrays[i].base)


class Results:
    """The arrays of one result of a program.

    Args:
        node: whose shape and dtype they have.
        margin: bytes before and behind each of them that nobody uses.

    Attributes:
        is_small: whether its place is always the same: what is there has to be copied.
    """

    def __init__(self, node: Node, margin: int = 0) -> None:
        self._shape, self._dtype, self._margin = node.shape, node.dtype, margin
        self._arrays = [self._new()]
        self._free = _references(self._arrays, 0)
        self.is_small = self._arrays[0].nbytes <= SMALL

    def take(self) -> Any:
        """An array that nobody uses."""
        if self.is_small:
            return self._arrays[0]
        for i in range(len(self._arrays)):
            if _references(self._arrays, i) == self._free:
                return self._arrays[i]
        if len(self._arrays) == _MOST_KEPT:
            del self._arrays[0]
        self._arrays.append(self._new())
        return self._arrays[-1]

    def _new(self) -> Any:
        return aligned_empty(self._shape, self._dtype, self._margin)
