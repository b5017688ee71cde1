"""Warnings of the library as notes on stderr, without file names and line numbers of the library."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import TypeVar

from clearprop.cli.terminal import printable_on

T = TypeVar("T")


def noting(work: Callable[[], T]) -> T:
    """Do the work, and say what it warns of.

    >>> noting(lambda: 3)
    3
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        result = work()
    for one in caught:
        sys.stderr.write(printable_on(sys.stderr, f"note: {one.message}") + "\n")
    return result
