"""Reductions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from tests.primitives.table.declaring import (
    ANY,
    Array,
    Case,
    Wrong,
    booleans,
    declare,
    f64,
    one,
    per_input,
    per_output,
)

from clearprop.errors import ShapeError


def along(function: Callable[[Sequence[Any]], Any], dtype: Any = np.float64) -> Callable[..., Array]:
    """A function of a list of numbers, applied along axes."""

    def reference(x: Array, axes: tuple[int, ...]) -> Array:
        kept = [i for i in range(x.ndim) if i not in axes]
        shape = [x.shape[i] for i in kept]
        rows = x.transpose(*kept, *axes).reshape(math.prod(shape), math.prod(x.shape[i] for i in axes))
        return np.array([function(row.tolist()) for row in rows], dtype).reshape(shape)

    return reference


def reduction_cases(draw: Callable[..., Array] = ANY, *, of_nothing: bool = False) -> list[Case]:
    def case(label: str, shape: tuple[int, ...], axes: tuple[int, ...]) -> Case:
        return Case(label, lambda random: [draw(random, shape)], {"axes": axes})

    cases = [
        case("all", (2, 3), (0, 1)),
        case("first", (2, 3), (0,)),
        case("last", (2, 3), (1,)),
        case("outer two", (2, 3, 2), (0, 2)),
        case("none", (3,), ()),
        case("0-d", (), ()),
        case("one element", (2, 1), (1,)),
        case("empty beside", (0, 3), (1,)),
    ]
    return [*cases, case("of nothing", (0, 3), (0,))] if of_nothing else cases


NO_SUCH_AXIS = Wrong(ShapeError, (f64(2, 3),), {"axes": (2,)})
NOTHING = Wrong(ShapeError, (f64(0, 3),), {"axes": (0,)})

declare(
    "sum", reduction_cases(of_nothing=True), along(math.fsum),
    keeps="x:", takes="iuf", flops=per_input(1), wrong=(NO_SUCH_AXIS,),
)  # fmt: skip
declare(
    "prod", reduction_cases(of_nothing=True), along(math.prod),
    keeps="x: x", takes="iuf", flops=per_input(1), wrong=(NO_SUCH_AXIS,),
)  # fmt: skip
declare(
    "max", reduction_cases(), along(max), keeps="x: x z", takes="iuf", flops=per_input(1), wrong=(NO_SUCH_AXIS, NOTHING)
)
declare(
    "min", reduction_cases(), along(min), keeps="x: x z", takes="iuf", flops=per_input(1), wrong=(NO_SUCH_AXIS, NOTHING)
)
declare(
    "logsumexp", reduction_cases(), along(lambda row: math.log(math.fsum(map(math.exp, row)))),
    keeps="x: x z", takes="f", flops=per_input(4), wrong=(NO_SUCH_AXIS, NOTHING),
)  # fmt: skip
declare("all", reduction_cases(booleans, of_nothing=True), along(all, np.bool_), takes="b", flops=per_input(1))
declare("any", reduction_cases(booleans, of_nothing=True), along(any, np.bool_), takes="b", flops=per_input(1))

ONE_AXIS = [one("vector", (5,), axes=(0,)), one("first", (3, 2), axes=(0,)), one("empty beside", (0, 3), axes=(1,))]
declare(
    "argmax", ONE_AXIS, along(lambda row: row.index(max(row)), np.int64),
    takes="iuf", flops=per_input(1), wrong=(NO_SUCH_AXIS, NOTHING),
)  # fmt: skip
declare(
    "argmin", ONE_AXIS, along(lambda row: row.index(min(row)), np.int64),
    takes="iuf", flops=per_input(1), wrong=(NO_SUCH_AXIS, NOTHING),
)  # fmt: skip


def running_sums(x: Array, axis: int, reverse: bool) -> Array:
    def of_row(row: Array) -> Array:
        return np.array(list(accumulate(row[::-1] if reverse else row)))[:: -1 if reverse else 1]

    return np.apply_along_axis(of_row, axis, x) if x.size else x


declare(
    "cumulative_sum",
    [
        one("vector", (4,), axis=0, reverse=False),
        one("from the end", (4,), axis=0, reverse=True),
        one("last of two", (2, 3), axis=1, reverse=False),
        one("empty", (2, 0), axis=1, reverse=True),
    ],
    running_sums,
    keeps="x:",
    takes="iuf",
    flops=per_output(1),
    wrong=(Wrong(ShapeError, (f64(2),), {"axis": 1, "reverse": False}),),
)
