"""Cells that compiled functions update, for several tests."""

from __future__ import annotations

from typing import Any

import clearprop as cp
from clearprop.cell import Cell

SIZES = [5, 5000]
"""A small array, and one that is to lie at the beginning of a cache line."""


def place_of(cell: Cell) -> int:
    place: int = cell.peek_array().ctypes.data
    return place


def counting(cell: Cell) -> Any:
    """A function that adds one to all elements, and returns the sum of the old ones."""

    @cp.compile(executor="native")
    def count() -> Any:
        total = cell.value.sum()
        cell.assign(cell + 1.0)
        return total

    return count
