"""Arrays for results: used again as soon as nobody else has them.

A training step returns the new weights, and with them goes the memory of the old ones, which nobody needs any more. To
ask the system for fresh memory in every step, and give it back, costs several times as much as to write the weights. So
the arrays of earlier calls are kept, and one that nobody refers to any more is written to again. Who refers to it is
what Python's reference count says: a tensor, a NumPy array that shares its memory, a graph that keeps it.
"""

from __future__ import annotations

from sys import getrefcount
from typing import Any

import numpy as np

from clearprop.compiler.native.arena import ALIGNMENT
from clearprop.graph import Node

_MOST_KEPT = 3
"""Two take turns in a training loop; a third is for one who looks at the weights now and then."""


def _references(arrays: list[Any], i: int) -> tuple[int, int]:
    """How many refer to an array, and to the memory that it is a part of, to which views of the array refer."""
    return getrefcount(arrays[i]), 0 if arrays[i].base is None else getrefcount(arrays[i].base)


class Results:
    """The arrays of one output of a program.

    Args:
        node: whose shape and dtype they have.
    """

    def __init__(self, node: Node) -> None:
        self._shape, self._dtype = node.shape, node.dtype
        self._free = _references([self._new()], 0)
        self._arrays: list[Any] = []
        self._addresses: dict[int, int] = {}

    def take(self) -> tuple[Any, int]:
        """An array that nobody uses, and its address."""
        for i in range(len(self._arrays)):
            if _references(self._arrays, i) == self._free:
                array = self._arrays[i]
                return array, self._addresses[id(array)]
        array = self._new()
        if len(self._arrays) == _MOST_KEPT:
            del self._addresses[id(self._arrays.pop(0))]
        self._arrays.append(array)
        address: int = array.ctypes.data
        self._addresses[id(array)] = address
        return array, address

    def _new(self) -> Any:
        """Memory of its own, at the beginning of a cache line if it is large."""
        nbytes = int(np.prod(self._shape, dtype=np.int64)) * self._dtype.itemsize
        if nbytes < 4096:
            return np.empty(self._shape, self._dtype)
        memory = np.empty(nbytes + ALIGNMENT, np.uint8)
        start = -memory.ctypes.data % ALIGNMENT
        return memory[start : start + nbytes].view(self._dtype).reshape(self._shape)
