"""Memory that is free: kept for what comes next, or given back to the system.

Operation by operation, every value is an array of its own, and most live for a moment. GNU's C library gives large free
pieces back to the system at once, and the next array is made of pages that the system has to fill with zeros first:
a fifth of the time of a step with large matrices. So up to 256 MB stay with the process.

Compiled functions have a block of memory of their own, and what lies free beside it is too much. Before such a block is
made it is given back, which takes some milliseconds.

Other C libraries do so by themselves, or cannot; there these functions do nothing.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import Any

_KEPT = 256 << 20
"""Bytes that stay with the process when they are free."""
_APART = 64 << 20
"""Bytes of arrays that are asked of the system each by itself, and given back when they are free."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # their numbers in malloc.h


def keep() -> None:
    """From now on, leave memory that is free with the process."""
    library = _library()
    if library is not None:
        library.mallopt(_TRIM_THRESHOLD, _KEPT)
        library.mallopt(_MMAP_THRESHOLD, _APART)


def give_back() -> None:
    """Give memory back that nobody uses."""
    library = _library()
    if library is not None:
        library.malloc_trim(ctypes.c_size_t(0))


@cache
def _library() -> Any:
    """The C library, if it is GNU's; None if it is another one."""
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "malloc_trim") and hasattr(library, "mallopt") else None
