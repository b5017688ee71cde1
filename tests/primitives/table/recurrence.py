"""Running products, and linear recurrences."""

from __future__ import annotations

import math

import numpy as np
from tests.primitives.table.declaring import Array, Case, Wrong, declare, f32, f64, one, per_output

from clearprop.errors import DTypeError, ShapeError


def running_products(x: Array, axis: int) -> Array:
    def of_row(row: Array) -> Array:
        return np.array([math.prod(row[: i + 1].tolist()) for i in range(len(row))], x.dtype)

    return np.apply_along_axis(of_row, axis, x) if x.size else x


def with_zeros(label: str, row: list[float]) -> Case:
    return Case(label, lambda random: [np.asarray(row) * random.uniform(0.5, 1.5, len(row))], {"axis": 0})


declare(
    "cumulative_prod",
    [
        one("vector", (4,), axis=0),
        one("columns", (3, 2), axis=0),
        one("last of three", (2, 2, 3), axis=2),
        one("one element", (2, 1), axis=1),
        one("empty", (2, 0), axis=1),
        one("empty beside", (0, 3), axis=1),
        with_zeros("a zero", [2.0, 0.0, 3.0, 1.0]),
        with_zeros("two zeros", [2.0, 0.0, 3.0, 0.0, 1.0]),
        with_zeros("a zero first", [0.0, 2.0, 3.0]),
        Case("integers", lambda random: [random.integers(-2, 3, (2, 4))], {"axis": 1}),
    ],
    running_products,
    keeps="x: x z",
    takes="iuf",
    flops=per_output(1),
    wrong=(Wrong(ShapeError, (f64(2),), {"axis": 1}),),
)


def step_by_step(x: Array, a: Array, axis: int, reverse: bool) -> Array:
    xs, factors = np.moveaxis(x, axis, 0), np.moveaxis(a, axis, 0)
    z = np.zeros(xs.shape, x.dtype)
    previous = np.zeros(xs.shape[1:])
    for i in reversed(range(len(xs))) if reverse else range(len(xs)):
        previous = z[i] = xs[i] + factors[i] * previous
    return np.moveaxis(z, 0, axis)


def recurrence_case(label: str, shape: tuple[int, ...], axis: int, reverse: bool) -> Case:
    return Case(
        label,
        lambda random: [random.uniform(-1.0, 1.0, shape), random.uniform(-1.0, 1.0, shape)],
        {"axis": axis, "reverse": reverse},
    )


declare(
    "linear_recurrence",
    [
        recurrence_case("vector", (4,), 0, False),
        recurrence_case("from the end", (4,), 0, True),
        recurrence_case("the middle axis", (2, 3, 2), 1, False),
        recurrence_case("many rows", (3, 20), 0, True),
        recurrence_case("one element", (1,), 0, False),
        recurrence_case("empty", (2, 0), 1, True),
        recurrence_case("empty beside", (0, 3), 1, False),
    ],
    step_by_step,
    keeps="x: a; a: a z",
    takes="f",
    flops=per_output(2),
    wrong=(
        Wrong(ShapeError, (f64(2), f64(2)), {"axis": 1, "reverse": False}),
        Wrong(ShapeError, (f64(2), f64(3)), {"axis": 0, "reverse": False}),
        Wrong(DTypeError, (f64(2), f32(2)), {"axis": 0, "reverse": False}),
    ),
)
