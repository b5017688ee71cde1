"""Primitives that give another shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from tests.primitives.table.declaring import Array, Case, Wrong, declare, f32, f64, one

from clearprop.errors import DTypeError, RangeError, ShapeError

declare(
    "reshape",
    [
        one("flatten", (2, 3), shape=(6,)),
        one("unflatten", (6,), shape=(3, 1, 2)),
        one("from 0-d", (), shape=(1, 1)),
        one("to 0-d", (1,), shape=()),
        one("empty", (0, 3), shape=(2, 0)),
    ],
    lambda x, shape: np.array(list(x.flat)).reshape(shape),
    keeps="x:",
    wrong=(Wrong(ShapeError, (f64(2, 3),), {"shape": (5,)}), Wrong(ShapeError, (f64(),), {"shape": (0,)})),
)

declare(
    "permute",
    [
        one("matrix", (2, 3), axes=(1, 0)),
        one("three axes", (2, 3, 4), axes=(1, 2, 0)),
        one("0-d", (), axes=()),
        one("empty", (2, 0, 3), axes=(2, 0, 1)),
    ],
    np.transpose,
    keeps="x:",
    wrong=(
        Wrong(ShapeError, (f64(2, 3),), {"axes": (0, 0)}),
        Wrong(ShapeError, (f64(2, 3),), {"axes": (0,)}),
        Wrong(ShapeError, (f64(2),), {"axes": (1,)}),
    ),
)

declare(
    "broadcast",
    [
        one("rows", (3,), shape=(2, 3), axes=(0,)),
        one("columns", (2,), shape=(2, 3), axes=(1,)),
        one("both sides", (2,), shape=(3, 2, 4), axes=(0, 2)),
        one("0-d", (), shape=(2, 3), axes=(0, 1)),
        one("to nothing", (3,), shape=(0, 3), axes=(0,)),
        one("of nothing", (0,), shape=(2, 0), axes=(0,)),
    ],
    lambda x, shape, axes: np.broadcast_to(np.expand_dims(x, axes), shape),
    keeps="x:",
    wrong=(Wrong(ShapeError, (f64(3),), {"shape": (2, 4), "axes": (0,)}),),
)

declare(
    "slice",
    [
        one("part", (5,), start=(1,), stop=(4,), step=(1,)),
        one("every second", (6,), start=(1,), stop=(6,), step=(2,)),
        one("every third, not to the end", (9,), start=(0,), stop=(8,), step=(3,)),
        one("matrix", (4, 5), start=(1, 0), stop=(3, 5), step=(1, 2)),
        one("nothing", (4,), start=(0,), stop=(0,), step=(2,)),
        one("0-d", (), start=(), stop=(), step=()),
    ],
    lambda x, start, stop, step: x[tuple(slice(*ends) for ends in zip(start, stop, step, strict=True))],
    keeps="x:",
    wrong=(
        Wrong(RangeError, (f64(2, 3),), {"start": (0,), "stop": (1,), "step": (1,)}),
        Wrong(RangeError, (f64(2),), {"start": (0,), "stop": (3,), "step": (1,)}),
    ),
)


def padded(x: Array, before: Any, after: Any, between: Any) -> Array:
    """x among zeros, one element after the other."""
    lengths = [
        low + (n + (n - 1) * gap if n else 0) + high
        for n, low, high, gap in zip(x.shape, before, after, between, strict=True)
    ]
    result = np.zeros(lengths)
    for index in np.ndindex(*x.shape):
        result[tuple(low + i * (gap + 1) for i, low, gap in zip(index, before, between, strict=True))] = x[index]
    return result


declare(
    "pad",
    [
        one("vector", (3,), before=(1,), after=(2,), between=(0,)),
        one("with gaps", (3,), before=(0,), after=(1,), between=(2,)),
        one("matrix", (2, 3), before=(1, 0), after=(0, 2), between=(0, 1)),
        one("nothing", (0,), before=(2,), after=(1,), between=(3,)),
        one("0-d", (), before=(), after=(), between=()),
    ],
    padded,
    keeps="x:",
    wrong=(
        Wrong(ShapeError, (f64(3),), {"before": (-1,), "after": (0,), "between": (0,)}),
        Wrong(ShapeError, (f64(3),), {"before": (1, 1), "after": (0, 0), "between": (0, 0)}),
        Wrong(ShapeError, (f64(3),), {"before": (0,), "after": (0,), "between": (-1,)}),
    ),
)

declare(
    "flip",
    [
        one("vector", (3,), axes=(0,)),
        one("one of two", (2, 3), axes=(1,)),
        one("all", (2, 3), axes=(0, 1)),
        one("none", (2, 3), axes=()),
        one("0-d", (), axes=()),
        one("empty", (0, 2), axes=(0,)),
    ],
    lambda x, axes: x[tuple(slice(None, None, -1 if i in axes else 1) for i in range(x.ndim))],
    keeps="x:",
    wrong=(Wrong(ShapeError, (f64(3),), {"axes": (1,)}),),
)


def several(label: str, shapes: Sequence[tuple[int, ...]], axis: int) -> Case:
    return Case(
        label,
        lambda random: [random.uniform(-2.0, 2.0, shape) for shape in shapes],
        {"axis": axis, "lengths": tuple(shape[axis] for shape in shapes)},
    )


declare(
    "concat",
    [
        several("vectors", [(2,), (3,)], 0),
        several("columns", [(2, 1), (2, 3), (2, 2)], 1),
        several("one alone", [(2, 2)], 0),
        several("one empty", [(0, 2), (3, 2)], 0),
    ],
    lambda *xs, axis, lengths: np.concatenate(xs, axis),
    keeps="xs:",
    wrong=(
        Wrong(ShapeError, (f64(2, 3), f64(2, 4)), {"axis": 0, "lengths": (2, 2)}),
        Wrong(ShapeError, (f64(2, 3), f64(2)), {"axis": 0, "lengths": (2, 2)}),
        Wrong(DTypeError, (f64(2), f32(2)), {"axis": 0, "lengths": (2, 2)}),
    ),
)
