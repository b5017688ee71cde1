"""Arrays for results: new ones, or used again as soon as nobody else has them.

To ask the system for fresh memory in every call, and give it back, costs several times as much as to write to it. So
the large arrays of earlier calls are kept, and one that nobody refers to any more is written to again. Who refers to it
is what Python's reference count says: a tensor, a NumPy array that shares its memory, a graph that keeps it. A small
result is written to one place always, and copied from there.
"""

from __future__ import annotations

import ctypes
from sys import getrefcount
from typing import Any

import numpy as np

from clearprop.compiler.native.arena import ALIGNMENT
from clearprop.graph import Node

_SMALL = 4096
"""Bytes: to copy so many takes less time than to find an array that nobody has."""
_MOST_KEPT = 3
"""Two take turns; a third is for one who looks at the results now and then."""

_HEAD = object.__basicsize__
"""Where, in an array, the address of its numbers stands: behind what all objects of Python begin with."""


def _address_by_numpy(array: Any) -> int:
    found: int = array.ctypes.data
    return found


def _address_in_head(array: Any) -> int:
    return ctypes.c_void_p.from_address(id(array) + _HEAD).value or 0


def _probe() -> bool:
    """Whether addresses stand where they are looked for, as they do in NumPy's C interface (`PyArrayObject`)."""
    base = np.arange(16)
    probes = (base, base[3:], base[::2], np.zeros(()), np.zeros((2, 3), np.float32).T)
    return all(_address_in_head(probe) == _address_by_numpy(probe) for probe in probes)


address = _address_in_head if _probe() else _address_by_numpy
"""Where the numbers of an array lie. To ask NumPy takes five times as long."""


def aligned_empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    """An array with memory of its own, at the beginning of a cache line if it is large."""
    nbytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if nbytes <= _SMALL:
        return np.empty(shape, dtype)
    memory = np.empty(nbytes + ALIGNMENT, np.uint8)
    start = -address(memory) % ALIGNMENT
    return memory[start : start + nbytes].view(dtype).reshape(shape)


def is_aligned(array: Any) -> bool:
    """Whether an array lies as `aligned_empty` would have it."""
    return array.nbytes <= _SMALL or address(array) % ALIGNMENT == 0


def _references(arrays: list[Any], i: int) -> tuple[int, int]:
    """How many refer to an array, and to the memory that it is a part of, to which views of the array refer."""
    return getrefcount(arrays[i]), 0 if arrays[i].base is None else getrefcount(arrays[i].base)


class Results:
    """The arrays of one result of a program.

    Args:
        node: whose shape and dtype they have.

    Attributes:
        is_small: whether its place is always the same: what is there has to be copied.
    """

    def __init__(self, node: Node) -> None:
        self._shape, self._dtype = node.shape, node.dtype
        self._arrays = [aligned_empty(self._shape, self._dtype)]
        self._free = _references(self._arrays, 0)
        self.is_small = self._arrays[0].nbytes <= _SMALL

    def take(self) -> Any:
        """An array that nobody uses."""
        if self.is_small:
            return self._arrays[0]
        for i in range(len(self._arrays)):
            if _references(self._arrays, i) == self._free:
                return self._arrays[i]
        if len(self._arrays) == _MOST_KEPT:
            del self._arrays[0]
        self._arrays.append(aligned_empty(self._shape, self._dtype))
        return self._arrays[-1]
