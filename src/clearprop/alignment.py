"""Where the numbers of arrays lie in memory."""

from __future__ import annotations

import ctypes
import math
from typing import Any

import numpy as np

ALIGNMENT = 64
"""Bytes: a cache line, and the widest vector."""

SMALL = 4096
"""Bytes: of an array that is not larger it does not matter where it begins."""

_HEAD = object.__basicsize__
"""Where, in an array, the address of its numbers stands: behind what all objects of Python begin with."""


def _address_by_numpy(array: Any) -> int:
    found: int = array.ctypes.data
    return found


_pointer_at = ctypes.c_void_p.from_address


def _address_in_head(array: Any) -> int:
    return _pointer_at(id(array) + _HEAD).value or 0


def _is_in_head() -> bool:
    """Whether addresses stand where they are looked for, as in NumPy's C interface (`PyArrayObject`)."""
    base = np.arange(16)
    probes = (base, base[3:], base[::-2], np.zeros(()), np.zeros((2, 3), np.float32).T)
    return all(_address_in_head(probe) == _address_by_numpy(probe) for probe in probes)


address = _address_in_head if _is_in_head() else _address_by_numpy
"""Where the first number of an array lies. To ask NumPy takes five times as long."""


def aligned_empty(shape: tuple[int, ...], dtype: np.dtype[Any], margin: int = 0) -> Any:
    """An array with memory of its own, at the beginning of a cache line if it is not small.

    Args:
        margin: bytes before and behind it, a multiple of `ALIGNMENT`.
    """
    nbytes = math.prod(shape) * dtype.itemsize
    if nbytes <= SMALL and not margin:
        return np.empty(shape, dtype)
    memory = np.empty(nbytes + ALIGNMENT + 2 * margin, np.uint8)
    start = margin + -address(memory) % ALIGNMENT
    return memory[start : start + nbytes].view(dtype).reshape(shape)


def aligned_copy(array: Any, dtype: Any = None) -> Any:
    """A copy of an array, which lies so if it holds numbers."""
    wanted = array.dtype if dtype is None else np.dtype(dtype)
    if array.nbytes <= SMALL or wanted.kind not in "biuf":
        return np.array(array, wanted)
    copied = aligned_empty(array.shape, wanted.newbyteorder("="))
    copied[...] = array
    return copied


def is_aligned(array: Any) -> bool:
    """Whether an array lies as `aligned_empty` would have it."""
    return bool(array.flags.c_contiguous) and (array.nbytes <= SMALL or address(array) % ALIGNMENT == 0)
