"""Convolution and its gradients."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
from tests.primitives.table.declaring import Array, Case, Wrong, declare, f32, f64

from clearprop.errors import DTypeError, ShapeError
from clearprop.primitives.windows import Moves, output_lengths

Lengths = tuple[int, ...]


def moves(
    axes: int,
    stride: Lengths | None = None,
    padding: tuple[tuple[int, int], ...] | None = None,
    dilation: Lengths | None = None,
    groups: int = 1,
) -> Moves:
    """Settings for so many axes, the plain ones where nothing is said."""
    return Moves(stride or (1,) * axes, padding or ((0, 0),) * axes, dilation or (1,) * axes, groups)


def terms(x: Lengths, w: Lengths, by: Moves) -> Iterator[tuple[Lengths, Lengths, Lengths]]:
    """Places in x, w and y of the three factors of every product, one after the other."""
    lengths = output_lengths(x[2:], w[2:], by)
    inside, outputs = w[1], w[0] // by.groups
    for n, o, c in product(range(x[0]), range(w[0]), range(inside)):
        channel = o // outputs * inside + c
        for t in np.ndindex(*lengths):
            for k in np.ndindex(*w[2:]):
                at = tuple(
                    s * i + d * j - low
                    for s, i, d, j, (low, _) in zip(by.stride, t, by.dilation, k, by.padding, strict=True)
                )
                if all(0 <= a < length for a, length in zip(at, x[2:], strict=True)):
                    yield (n, channel, *at), (o, c, *k), (n, o, *t)


def correlated(x: Array, w: Array, moves: Moves) -> Array:
    y = np.zeros((x.shape[0], w.shape[0], *output_lengths(x.shape[2:], w.shape[2:], moves)))
    for in_x, in_w, in_y in terms(x.shape, w.shape, moves):
        y[in_y] += x[in_x] * w[in_w]
    return y


def carried_back(y: Array, w: Array, lengths: Lengths, moves: Moves) -> Array:
    x = np.zeros((y.shape[0], w.shape[1] * moves.groups, *lengths))
    for in_x, in_w, in_y in terms(x.shape, w.shape, moves):
        x[in_x] += y[in_y] * w[in_w]
    return x


def by_weights(x: Array, y: Array, window: Lengths, moves: Moves) -> Array:
    w = np.zeros((y.shape[1], x.shape[1] // moves.groups, *window))
    for in_x, in_w, in_y in terms(x.shape, w.shape, moves):
        w[in_w] += x[in_x] * y[in_y]
    return w


SHAPES: list[tuple[str, Lengths, Lengths, Moves]] = [
    ("2d", (2, 2, 4, 3), (3, 2, 2, 2), moves(2)),
    ("1d", (2, 2, 5), (3, 2, 3), moves(1)),
    ("3d", (1, 2, 2, 3, 2), (2, 2, 2, 2, 1), moves(3)),
    ("stride", (1, 2, 5, 4), (2, 2, 2, 3), moves(2, stride=(2, 3))),
    ("stride over the window", (1, 1, 5, 6), (2, 1, 1, 2), moves(2, stride=(2, 3))),
    ("padding", (1, 1, 2, 3), (2, 1, 3, 2), moves(2, padding=((1, 1), (2, 0)))),
    ("dilation", (1, 1, 5, 6), (2, 1, 2, 2), moves(2, dilation=(2, 3))),
    ("all of them", (1, 2, 6), (2, 2, 2), moves(1, (2,), ((3, 1),), (4,))),
    ("dilation times stride", (1, 1, 9), (2, 1, 3), moves(1, (4,), ((1, 2),), (2,))),
    ("groups", (1, 4, 3, 2), (6, 2, 2, 2), moves(2, groups=2)),
    ("depthwise", (2, 3, 3, 3), (3, 1, 2, 2), moves(2, padding=((1, 0), (0, 1)), groups=3)),
    ("depthwise, stride", (1, 2, 4, 5), (2, 1, 2, 2), moves(2, stride=(1, 2), groups=2)),
    ("depthwise, more outputs", (1, 2, 4), (4, 1, 2), moves(1, groups=2)),
    ("1 x 1", (2, 3, 2, 2), (2, 3, 1, 1), moves(2)),
    ("many channels", (2, 8, 3, 2), (2, 8, 2, 2), moves(2)),
    ("no images", (0, 2, 3), (2, 2, 2), moves(1)),
    ("no channels", (1, 0, 3), (2, 0, 2), moves(1)),
    ("no outputs", (1, 2, 3), (0, 2, 2), moves(1)),
]


def draw(random: np.random.Generator, *shapes: Lengths) -> list[Array]:
    return [random.uniform(-1.5, 1.5, shape) for shape in shapes]


def places(x: Lengths, w: Lengths, by: Moves) -> Lengths:
    return (x[0], w[0], *output_lengths(x[2:], w[2:], by))


def forward(label: str, x: Lengths, w: Lengths, by: Moves) -> Case:
    return Case(label, lambda random: draw(random, x, w), {"moves": by})


def back(label: str, x: Lengths, w: Lengths, by: Moves) -> Case:
    return Case(label, lambda random: draw(random, places(x, w, by), w), {"moves": by, "lengths": x[2:]})


def weights(label: str, x: Lengths, w: Lengths, by: Moves) -> Case:
    return Case(label, lambda random: draw(random, x, places(x, w, by)), {"moves": by, "window": w[2:]})


def products_of(y: Array, w: Array) -> int:
    return int(2 * y.size * np.prod(w.shape[1:]))


def wrong(error: Any, *inputs: Any, by: Moves, **attributes: Any) -> Wrong:
    return Wrong(error, inputs, {"moves": by, **attributes})


declare(
    "convolution",
    [forward(*one) for one in SHAPES],
    correlated,
    keeps="x: w; w: x",
    takes="iuf",
    flops=lambda z, x, w: products_of(z, w),
    wrong=(
        wrong(ShapeError, f64(1, 2, 5), f64(3, 3, 2), by=moves(1)),
        wrong(ShapeError, f64(1, 4, 5), f64(3, 2, 2), by=moves(1, groups=2)),
        wrong(ShapeError, f64(1, 4, 5), f64(2, 4, 2), by=moves(1, groups=0)),
        wrong(ShapeError, f64(1, 2, 5), f64(3, 2, 6), by=moves(1)),
        wrong(ShapeError, f64(1, 2, 5), f64(3, 2, 3), by=moves(1, dilation=(3,))),
        wrong(ShapeError, f64(2, 5), f64(3, 2, 3), by=moves(1)),
        wrong(ShapeError, f64(1, 2, 5, 5), f64(3, 2, 3), by=moves(1)),
        wrong(ShapeError, f64(1, 2, 5), f64(3, 2, 3), by=moves(2)),
        wrong(ShapeError, f64(1, 2, 5), f64(3, 2, 3), by=moves(1, stride=(0,))),
        wrong(ShapeError, f64(1, 2, 5), f64(3, 2, 3), by=moves(1, padding=((0, -1),))),
        wrong(ShapeError, f64(1, 2, 5), f64(3), by=moves(1)),
        wrong(DTypeError, f64(1, 2, 5), f32(3, 2, 2), by=moves(1)),
    ),
)

declare(
    "convolution_data_gradient",
    [back(*one) for one in SHAPES],
    carried_back,
    keeps="y: w; w: y",
    takes="iuf",
    flops=lambda z, y, w: products_of(y, w),
    wrong=(
        wrong(ShapeError, f64(1, 3, 4), f64(3, 2, 2), by=moves(1), lengths=(6,)),
        wrong(ShapeError, f64(1, 2, 4), f64(3, 2, 2), by=moves(1), lengths=(5,)),
        wrong(ShapeError, f64(3, 4), f64(3, 2, 2), by=moves(1), lengths=(5,)),
        wrong(ShapeError, f64(), f64(), by=moves(0), lengths=()),
        wrong(DTypeError, f64(1, 3, 4), f32(3, 2, 2), by=moves(1), lengths=(5,)),
    ),
)

declare(
    "convolution_weight_gradient",
    [weights(*one) for one in SHAPES],
    by_weights,
    keeps="x: y; y: x",
    takes="iuf",
    flops=lambda z, x, y: products_of(y, z),
    wrong=(
        wrong(ShapeError, f64(1, 2, 5), f64(1, 3, 4), by=moves(1), window=(3,)),
        wrong(ShapeError, f64(1, 2, 5), f64(2, 3, 4), by=moves(1), window=(2,)),
        wrong(ShapeError, f64(1, 3, 5), f64(1, 4, 4), by=moves(1, groups=2), window=(2,)),
        wrong(ShapeError, f64(1, 2, 5), f64(3, 4), by=moves(1), window=(2,)),
        wrong(DTypeError, f64(1, 2, 5), f32(1, 3, 4), by=moves(1), window=(2,)),
    ),
)
