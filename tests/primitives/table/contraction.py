"""Contractions."""

from __future__ import annotations

import numpy as np
from tests.primitives.table.declaring import Case, Wrong, declare, f32, f64

from clearprop.errors import DTypeError, ShapeError


def product_case(label: str, x: tuple[int, ...], y: tuple[int, ...]) -> Case:
    return Case(label, lambda random: [random.uniform(-2.0, 2.0, x), random.uniform(-2.0, 2.0, y)])


declare(
    "matmul",
    [
        product_case("(2, 3) @ (3, 4)", (2, 3), (3, 4)),
        product_case("row @ column", (1, 3), (3, 1)),
        product_case("a batch", (2, 2, 3), (2, 3, 1)),
        product_case("inner axis empty", (2, 0), (0, 3)),
        product_case("no rows", (0, 2), (2, 3)),
        product_case("empty batch", (0, 2, 3), (0, 3, 2)),
    ],
    lambda x, y: np.einsum("...mk,...kn->...mn", x, y),
    keeps="x: y; y: x",
    takes="iuf",
    flops=lambda z, x, y: 2 * z.size * x.shape[-1],
    wrong=(
        Wrong(ShapeError, (f64(2, 3), f64(2, 3))),
        Wrong(ShapeError, (f64(3), f64(3, 2))),
        Wrong(ShapeError, (f64(2, 3), f64(3))),
        Wrong(ShapeError, (f64(2, 2, 3), f64(3, 3, 2))),
        Wrong(DTypeError, (f64(2, 2), f32(2, 2))),
    ),
)
