"""Memory that was used before, given back to the system.

What a program gives free stays with its process, and much of it: where weights have been drawn, loaded and copied, as
much again as they take. New blocks for compiled functions come on top. GNU's C library gives it back if asked to, in
some milliseconds; others do so by themselves, or cannot.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import cache


def give_back() -> None:
    """Give memory back that nobody uses."""
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim() -> Callable[[int], int] | None:
    """The C library's function; None if it has none such."""
    if not sys.platform.startswith("linux"):
        return None
    found = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if found is not None:
        found.argtypes, found.restype = [ctypes.c_size_t], ctypes.c_int
    return found
