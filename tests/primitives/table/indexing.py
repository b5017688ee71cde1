"""Reading and writing at positions that are data."""

from __future__ import annotations

import numpy as np
from tests.primitives.table.declaring import Array, Case, Random, Wrong, declare, f32, f64, i64, per_input

from clearprop.errors import DTypeError, RangeError, ShapeError


def positions(random: Random, length: int, shape: tuple[int, ...]) -> Array:
    return np.asarray(random.integers(0, length, shape))


def gather_case(label: str, x: tuple[int, ...], index: tuple[int, ...], count: int = 1) -> Case:
    return Case(
        label,
        lambda random: [random.uniform(-2.0, 2.0, x), *(positions(random, x[i], index) for i in range(count))],
    )


FIVE = {"count": 5, "message": "{wrong} of 5{more}", "hint": ""}


declare(
    "in_range",
    [
        Case(str(list(shape)), lambda random, shape=shape: [positions(random, 5, shape)], FIVE)
        for shape in ((), (6,), (2, 3), (2, 0))
    ],
    lambda x, **_: x,
    takes="iu",
    wrong=(Wrong(DTypeError, (f64(4),), FIVE),),
)

declare(
    "gather",
    [
        gather_case("of a vector", (4,), (6,)),
        gather_case("rows", (4, 3), (2,)),
        gather_case("a table of rows", (4, 3), (2, 2)),
        gather_case("elements", (4, 3), (5,), count=2),
        gather_case("one row", (4, 3), ()),
        gather_case("nothing", (4, 3), (0,)),
    ],
    lambda x, *indices: x[indices],
    keeps="x: indices",
    wrong=(
        Wrong(DTypeError, (f64(4), f64(2))),
        Wrong(ShapeError, (f64(4, 3), i64(2), i64(3))),
        Wrong(RangeError, (f64(4), i64(2), i64(2))),
    ),
)


def scattered(x: Array, *indices: Array, shape: tuple[int, ...]) -> Array:
    """Added one after the other."""
    total = np.zeros(shape)
    for place in np.ndindex(*indices[0].shape):
        total[tuple(int(index[place]) for index in indices)] += x[place]
    return total


def scatter_case(label: str, shape: tuple[int, ...], index: tuple[int, ...], count: int = 1) -> Case:
    return Case(
        label,
        lambda random: [
            random.uniform(-2.0, 2.0, (*index, *shape[count:])),
            *(positions(random, shape[i], index) for i in range(count)),
        ],
        {"shape": shape},
    )


declare(
    "scatter_add",
    [
        scatter_case("into a vector", (3,), (6,)),
        scatter_case("rows", (4, 3), (5,)),
        scatter_case("elements", (4, 3), (2, 2), count=2),
        scatter_case("one row", (4, 3), ()),
        scatter_case("nothing", (4, 3), (0,)),
    ],
    scattered,
    keeps="x: indices",
    flops=per_input(1),
    wrong=(
        Wrong(ShapeError, (f64(2, 3), i64(3)), {"shape": (4, 3)}),
        Wrong(DTypeError, (f64(2), f64(2)), {"shape": (4,)}),
    ),
)


def overwritten(x: Array, y: Array, index: Array) -> Array:
    """Written one after the other."""
    result = x.copy()
    for value, at in zip(y, index, strict=True):
        result[at] = value
    return result


def set_case(label: str, length: int, count: int) -> Case:
    return Case(
        label,
        lambda random: [
            random.uniform(-2.0, 2.0, length), random.uniform(-2.0, 2.0, count), positions(random, max(length, 1),
            (count,))
        ],
    )  # fmt: skip


declare(
    "scatter_set",
    [set_case("some", 5, 3), set_case("some twice", 3, 7), set_case("nothing", 3, 0), set_case("into nothing", 0, 0)],
    overwritten,
    keeps="x: index; y: index",
    wrong=(
        Wrong(ShapeError, (f64(5), f64(3), i64(2))),
        Wrong(ShapeError, (f64(5, 2), f64(2), i64(2))),
        Wrong(DTypeError, (f64(5), f64(2), f64(2))),
        Wrong(DTypeError, (f64(5), f32(2), i64(2))),
    ),
)


def along_case(label: str, x: tuple[int, ...], index: tuple[int, ...], axis: int) -> Case:
    return Case(label, lambda random: [random.uniform(-2.0, 2.0, x), positions(random, x[axis], index)], {"axis": axis})


def taken_along(x: Array, index: Array, axis: int) -> Array:
    result = np.zeros(index.shape)
    for place in np.ndindex(*index.shape):
        result[place] = x[(*place[:axis], int(index[place]), *place[axis + 1 :])]
    return result


declare(
    "take_along_axis",
    [
        along_case("vector", (4,), (6,), 0),
        along_case("rows", (3, 2), (4, 2), 0),
        along_case("columns", (2, 3), (2, 1), 1),
        along_case("nothing", (2, 3), (2, 0), 1),
    ],
    taken_along,
    keeps="x: index",
    wrong=(
        Wrong(ShapeError, (f64(2, 3), i64(3, 1)), {"axis": 1}),
        Wrong(ShapeError, (f64(2, 3), i64(2)), {"axis": 1}),
        Wrong(DTypeError, (f64(2, 3), f64(2, 1)), {"axis": 1}),
        Wrong(ShapeError, (f64(2, 3), i64(2, 3)), {"axis": 2}),
    ),
)


def add_along_case(label: str, shape: tuple[int, ...], axis: int, length: int) -> Case:
    return Case(
        label,
        lambda random: [random.uniform(-2.0, 2.0, shape), positions(random, length, shape)],
        {"axis": axis, "length": length},
    )


def added_along(x: Array, index: Array, axis: int, length: int) -> Array:
    result = np.zeros((*x.shape[:axis], length, *x.shape[axis + 1 :]))
    for place in np.ndindex(*x.shape):
        result[(*place[:axis], int(index[place]), *place[axis + 1 :])] += x[place]
    return result


declare(
    "add_along_axis",
    [
        add_along_case("vector", (6,), 0, 4),
        add_along_case("rows", (4, 2), 0, 3),
        add_along_case("columns", (2, 3), 1, 2),
        add_along_case("nothing", (2, 0), 1, 3),
    ],
    added_along,
    keeps="x: index",
    flops=per_input(1),
    wrong=(
        Wrong(ShapeError, (f64(2, 3), i64(3, 3)), {"axis": 1, "length": 4}),
        Wrong(ShapeError, (f64(2, 3), i64(2, 4)), {"axis": 1, "length": 4}),
        Wrong(DTypeError, (f64(2, 3), f64(2, 3)), {"axis": 1, "length": 4}),
    ),
)
