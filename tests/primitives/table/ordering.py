"""Sorting, and places in what is sorted. In all cases the axis in question is the longest of inputs and output."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from tests.primitives.table.declaring import Array, Case, Wrong, declare, f32, f64, one

from clearprop.errors import DTypeError, ShapeError


def rows_of(function: Callable[[list[Any]], Any], dtype: Any = np.float64) -> Callable[..., Array]:
    """A function of a list of numbers, and of what attributes there are, applied to each row along an axis."""

    def reference(x: Array, axis: int, **attributes: Any) -> Array:
        if x.size == 0:
            shape = list(x.shape)
            shape[axis] = attributes.get("k", shape[axis])
            return np.zeros(shape, dtype)
        return np.apply_along_axis(lambda row: np.array(function(row.tolist(), **attributes), dtype), axis, x)

    return reference


def sorted_row(row: list[Any], descending: bool) -> list[Any]:
    return sorted(row, reverse=descending)


def sorting_positions(row: list[Any], descending: bool, stable: bool = True) -> list[int]:
    return sorted(range(len(row)), key=row.__getitem__, reverse=descending)


def comparisons(x: Array) -> int:
    return x.size * (max(x.shape) - 1).bit_length() if x.size else 0


def with_ties(label: str, shape: tuple[int, ...], **attributes: Any) -> Case:
    return Case(label, lambda random: [np.asarray(random.integers(0, 3, shape))], attributes)


NO_AXIS: dict[str, Any] = {"axis": 2, "descending": False}

declare(
    "sort",
    [
        one("vector", (5,), axis=0, descending=False),
        one("the largest first", (5,), axis=0, descending=True),
        one("columns", (4, 2), axis=0, descending=False),
        one("the middle axis", (2, 3, 2), axis=1, descending=True),
        one("one element", (1,), axis=0, descending=False),
        one("empty", (2, 0), axis=1, descending=False),
        with_ties("integers", (7,), axis=0, descending=True),
    ],
    lambda x, **attributes: rows_of(sorted_row, x.dtype)(x, **attributes),
    keeps="x: x",
    flops=lambda z, x: comparisons(x),
    wrong=(Wrong(ShapeError, (f64(2, 3),), NO_AXIS),),
)
declare(
    "argsort",
    [
        one("vector", (5,), axis=0, descending=False, stable=True),
        one("the largest first", (2, 5), axis=1, descending=True, stable=False),
        one("the middle axis", (2, 3, 2), axis=1, descending=True, stable=True),
        one("empty", (0, 3), axis=1, descending=False, stable=True),
        with_ties("equal ones", (9,), axis=0, descending=False, stable=True),
        with_ties("equal ones, the largest first", (9, 2), axis=0, descending=True, stable=True),
        with_ties("long rows with equal ones", (2, 3000), axis=1, descending=True, stable=True),
        one("long rows", (5000,), axis=0, descending=False, stable=True),
    ],
    rows_of(sorting_positions, np.int64),
    flops=lambda z, x: comparisons(x),
    wrong=(Wrong(ShapeError, (f64(2, 3),), {**NO_AXIS, "stable": True}),),
)


def best_positions(row: list[Any], k: int, largest: bool) -> list[int]:
    return sorting_positions(row, largest)[:k]


declare(
    "argtopk",
    [
        one("the two largest", (5,), axis=0, k=2, largest=True),
        one("the smallest", (4, 2), axis=0, k=3, largest=False),
        one("all", (2, 3), axis=1, k=3, largest=True),
        one("none", (2, 3), axis=1, k=0, largest=True),
        one("of nothing", (0, 3), axis=1, k=2, largest=True),
        one("few of many", (3, 400), axis=1, k=5, largest=True),
        with_ties("few of many equal ones", (3, 400), axis=1, k=5, largest=True),
        with_ties("the smallest of many equal ones", (400, 3), axis=0, k=100, largest=False),
    ],
    rows_of(best_positions, np.int64),
    flops=lambda z, x: x.size + comparisons(z),
    wrong=(
        Wrong(ShapeError, (f64(2, 3),), {"axis": 2, "k": 1, "largest": True}),
        Wrong(ShapeError, (f64(2, 3),), {"axis": 1, "k": 4, "largest": True}),
        Wrong(ShapeError, (f64(2, 3),), {"axis": 1, "k": -1, "largest": True}),
    ),
)


def search_case(label: str, x: tuple[int, ...], y: tuple[int, ...], right: bool) -> Case:
    def draw(random: np.random.Generator) -> list[Array]:
        return [np.sort(random.integers(0, 4, x).astype(np.float64)), random.integers(-1, 5, y).astype(np.float64)]

    return Case(label, draw, {"right": right})


def counted(x: Array, y: Array, right: bool) -> Array:
    """How many elements of each row of x stand before those of y: the definition."""
    before = x[..., None, :] <= y[..., :, None] if right else x[..., None, :] < y[..., :, None]
    return np.asarray(np.sum(before, -1))


declare(
    "searchsorted",
    [
        search_case("before equals", (5,), (7,), False),
        search_case("behind equals", (5,), (7,), True),
        search_case("a batch", (2, 2, 3), (2, 2, 4), False),
        search_case("in nothing", (0,), (2,), False),
        search_case("nothing", (3,), (0,), True),
    ],
    counted,
    flops=lambda z, x, y: z.size * x.shape[-1].bit_length(),
    wrong=(
        Wrong(ShapeError, (f64(2, 3), f64(3)), {"right": False}),
        Wrong(ShapeError, (f64(2, 3), f64(3, 3)), {"right": False}),
        Wrong(ShapeError, (f64(), f64()), {"right": False}),
        Wrong(DTypeError, (f64(3), f32(2)), {"right": False}),
    ),
)
