"""Pooling."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from tests.primitives.table.convolution import Lengths, moves
from tests.primitives.table.declaring import Array, Case, Wrong, declare, f64, one

from clearprop.errors import ShapeError
from clearprop.primitives.windows import Moves, output_lengths


def elements(lengths: Lengths, window: Lengths, by: Moves) -> Iterator[tuple[Lengths, list[Lengths]]]:
    """Each place of the window, and the elements of the image in it, in row-major order."""
    for place in np.ndindex(*output_lengths(lengths, window, by)):
        inside = []
        for k in np.ndindex(*window):
            at = tuple(
                s * i + d * j - low
                for s, i, d, j, (low, _) in zip(by.stride, place, by.dilation, k, by.padding, strict=True)
            )
            if all(0 <= a < length for a, length in zip(at, lengths, strict=True)):
                inside.append(at)
        yield place, inside


def pooled(choose: Callable[[Array, list[Lengths]], Array], dtype: type = np.float64) -> Callable[..., Array]:
    """Pooling by a function of one channel and the elements in one place of the window."""

    def reference(x: Array, window: Lengths, moves: Moves) -> Array:
        z = np.zeros((*x.shape[:2], *output_lengths(x.shape[2:], window, moves)), dtype)
        for n, c in np.ndindex(*x.shape[:2]):
            for place, inside in elements(x.shape[2:], window, moves):
                z[(n, c, *place)] = choose(x[n, c], inside)
        return z

    return reference


def spread(x: Array, lengths: Lengths, window: Lengths, moves: Moves) -> Array:
    z = np.zeros((*x.shape[:2], *lengths))
    for n, c in np.ndindex(*x.shape[:2]):
        for place, inside in elements(lengths, window, moves):
            for at in inside:
                z[(n, c, *at)] += x[(n, c, *place)]
    return z


def first_maximum(x: Array, inside: list[Lengths]) -> int:
    best = max(inside, key=lambda at: (np.isnan(x[at]), np.nan_to_num(x[at], neginf=-np.inf)))  # the first of equals
    return int(np.ravel_multi_index(best, x.shape))


SHAPES: list[tuple[str, Lengths, Lengths, Moves]] = [
    ("2d", (2, 2, 4, 4), (2, 2), moves(2, stride=(2, 2))),
    ("overlapping", (1, 2, 4, 5), (3, 2), moves(2)),
    ("1d", (2, 1, 6), (3,), moves(1, stride=(2,))),
    ("3d", (1, 1, 2, 3, 3), (2, 1, 2), moves(3)),
    ("padding", (1, 2, 3, 4), (2, 3), moves(2, stride=(2, 1), padding=((1, 0), (1, 1)))),
    ("dilation", (1, 1, 5, 6), (2, 3), moves(2, dilation=(3, 2), padding=((0, 0), (1, 2)))),
    ("one element", (1, 2, 2, 2), (1, 1), moves(2)),
    ("all elements", (1, 2, 3, 2), (3, 2), moves(2)),
    ("no images", (0, 2, 3), (2,), moves(1)),
]

IMAGES = [one(label, x, window=window, moves=by) for label, x, window, by in SHAPES]


def special(label: str, image: list[list[float]], window: Lengths, by: Moves) -> Case:
    return Case(label, lambda random: [np.array([[image]])], {"window": window, "moves": by})


INF = float("inf")
SPECIAL = [
    special("equal elements", [[1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 1.0]], (2, 2), moves(2)),
    special("-inf", [[-INF, -INF], [-INF, -INF]], (2, 2), moves(2, padding=((1, 1), (1, 1)))),
    special("NaN", [[1.0, np.nan, 2.0], [np.nan, 0.0, INF], [1.0, 1.0, 1.0]], (2, 2), moves(2)),
    Case(
        "integers",
        lambda random: [random.integers(-9, 0, (1, 1, 3, 3))],
        {"window": (2, 2), "moves": moves(2, padding=((1, 1), (1, 1)))},
    ),
    one("a large window", (1, 1, 17, 18), window=(17, 17), moves=moves(2)),
]

TOO_FEW = (
    Wrong(ShapeError, (f64(2, 5),), {"window": (2,), "moves": moves(1)}),
    Wrong(ShapeError, (f64(1, 2, 5),), {"window": (6,), "moves": moves(1)}),
    Wrong(ShapeError, (f64(1, 2, 5),), {"window": (2, 2), "moves": moves(2)}),
    Wrong(ShapeError, (f64(1, 2, 5),), {"window": (2,), "moves": moves(1, stride=(0,))}),
)
IN_PADDING = (
    Wrong(ShapeError, (f64(1, 2, 5),), {"window": (2,), "moves": moves(1, padding=((2, 0),))}),
    Wrong(ShapeError, (f64(1, 2, 1),), {"window": (2,), "moves": moves(1, padding=((1, 1),), dilation=(2,))}),
)


def per_place(z: Array, x: Array, window: Lengths, moves: Moves) -> int:
    return int(z.size * np.prod(window))


declare(
    "max_pool",
    IMAGES,
    pooled(lambda x, inside: max(x[at] for at in inside)),
    keeps="x: x",
    takes="iuf",
    flops=per_place,
    flops_ask_attributes=True,
    wrong=(*TOO_FEW, *IN_PADDING),
)

declare(
    "max_pool_positions",
    [*IMAGES, *SPECIAL],
    pooled(first_maximum, np.int64),
    takes="iuf",
    flops=per_place,
    flops_ask_attributes=True,
    wrong=(*TOO_FEW, *IN_PADDING),
)

declare(
    "sum_pool",
    IMAGES,
    pooled(lambda x, inside: sum(x[at] for at in inside)),
    keeps="x:",
    takes="iuf",
    flops=per_place,
    flops_ask_attributes=True,
    wrong=TOO_FEW,
)


def spread_case(label: str, image: Lengths, window: Lengths, by: Moves) -> Case:
    places = (*image[:2], *output_lengths(image[2:], window, by))
    return one(label, places, lengths=image[2:], window=window, moves=by)


declare(
    "spread_pool",
    [spread_case(*shape) for shape in SHAPES],
    spread,
    keeps="x:",
    takes="iuf",
    flops=lambda z, x, lengths, window, moves: int(x.size * np.prod(window)),
    flops_ask_attributes=True,
    wrong=(Wrong(ShapeError, (f64(1, 2, 5),), {"lengths": (5,), "window": (2,), "moves": moves(1)}),),
)
