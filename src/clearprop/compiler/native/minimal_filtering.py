"""Minimal filtering, F(2 × 2, 3 × 3): windows of 3 × 3 that move by one place, with fewer multiplications.

Four neighbouring results, a tile, see 4 × 4 elements of an image. Their sums of products are 36 multiplications for
each channel. With Winograd's transforms they are 16, and some additions before and behind:

    y = Aᵀ [(G g Gᵀ) * (Bᵀ d B)] A

where d is what the tile sees, g the window, y the tile, and * multiplies elements: so a convolution becomes 16 matrix
products, one for each of the 4 × 4 positions. All of this is linear in d and in g, so the gradient by g is made of the
same transforms, transposed: Gᵀ [Σ (A dy Aᵀ) * (Bᵀ d B)] G.

A. Lavin, S. Gray, "Fast algorithms for convolutional neural networks" (CVPR 2016), equation 8; S. Winograd, "Arithmetic
complexity of computations" (1980).

The results differ from direct sums by rounding, by some ulp of the largest sum in the tile. An infinity or NaN makes
the results not finite whose windows meet it, as ever, and the others of its tile as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from clearprop.compiler.native.code import Code, Value, index
from clearprop.compiler.native.integers import Integer, Integers
from clearprop.compiler.native.lanes import SUBLANE_BYTES, shuffled
from clearprop.compiler.native.single import Array, at, nest
from clearprop.compiler.native.team import Team

ALGORITHM = "minimal filtering"
"""Its name, for people."""
SIDE = 4
"""A tile sees so many elements along each axis, of which two are seen by the next tile as well."""
POSITIONS = SIDE * SIDE
WINDOW = 3
APART = 16
"""Elements between the planes of two positions: without them all 16 would compete for the same places in the cache."""


# The transforms along one axis ----------------------------------------------------------------------------------------


def of_image(b: ir.IRBuilder, d: Sequence[Value]) -> list[Value]:
    """Bᵀ d."""
    return [b.fsub(d[0], d[2]), b.fadd(d[1], d[2]), b.fsub(d[2], d[1]), b.fsub(d[1], d[3])]


def of_window(b: ir.IRBuilder, g: Sequence[Value]) -> list[Value]:
    """G g."""
    half, outer = ir.Constant(g[0].type, 0.5), b.fadd(g[0], g[2])
    return [g[0], b.fmul(half, b.fadd(outer, g[1])), b.fmul(half, b.fsub(outer, g[1])), g[2]]


def to_window(b: ir.IRBuilder, u: Sequence[Value]) -> list[Value]:
    """Gᵀ u, the transpose of `of_window`."""
    half = ir.Constant(u[0].type, 0.5)
    outer, inner = b.fmul(half, b.fadd(u[1], u[2])), b.fmul(half, b.fsub(u[1], u[2]))
    return [b.fadd(u[0], outer), inner, b.fadd(outer, u[3])]


def to_result(b: ir.IRBuilder, m: Sequence[Value]) -> list[Value]:
    """Aᵀ m."""
    return [b.fadd(b.fadd(m[0], m[1]), m[2]), b.fsub(b.fsub(m[1], m[2]), m[3])]


def of_result(b: ir.IRBuilder, y: Sequence[Value]) -> list[Value]:
    """A y, the transpose of `to_result`."""
    return [y[0], b.fadd(y[0], y[1]), b.fsub(y[0], y[1]), b.fneg(y[1])]


Transform = Callable[[ir.IRBuilder, Sequence[Value]], list[Value]]


def _along_both(b: ir.IRBuilder, transform: Transform, rows: Iterable[Sequence[Value]]) -> list[Value]:
    """A transform along both axes of a square; row by row."""
    columns = zip(*(transform(b, row) for row in rows), strict=True)
    return [value for row in zip(*(transform(b, column) for column in columns), strict=True) for value in row]


# Tiles ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tiles:
    """The tiles of a block of images, and how what is transformed lies: a plane of tiles and channels per position.

    Attributes:
        images, rows, columns: how many there are along each axis.
        lanes: of a vector.
        across: whether the lanes are neighbouring tiles of a row, which are whole vectors, and tiles are neighbours in
            a plane; else channels are both.
    """

    images: int
    rows: int
    columns: int
    lanes: int
    across: bool

    @property
    def total(self) -> int:
        """How many tiles."""
        return self.images * self.rows * self.columns

    def plane(self, channels: int) -> int:
        """Elements from position to position."""
        return self.total * channels + APART

    def size(self, channels: int) -> int:
        """Of all planes, in elements."""
        return POSITIONS * self.plane(channels)

    def steps(self, channels: int) -> tuple[int, int]:
        """From tile to tile, and from channel to channel."""
        return (1, self.total) if self.across else (channels, 1)

    def lanes_for(self, channels: int) -> int:
        """Of vectors that do not reach beyond the channels."""
        return self.lanes if self.across else math.gcd(self.lanes, channels)

    def vectors(self, channels: int) -> int:
        """How many of them a plane has."""
        return self.total * channels // self.lanes_for(channels)

    # Writing code -----------------------------------------------------------------------------------------------------

    def transform_images(self, code: Code, x: Array, planes: Array) -> None:
        """Bᵀ d B, of all tiles and channels.

        Args:
            x: (N, C, H, W), beginning with what the first tile sees.
            planes: where the transformed elements go.
        """
        b, steps = code.builder, x.strides[2:]

        def column(source: Array, target: Array, lanes: int) -> None:
            def transformed(row: Integer) -> list[Value]:
                there = source.moved(code, Integers(code).times(row, steps[0]))
                return of_image(b, self._load(code, there, SIDE, lanes))

            def tile(i: Value, above: list[Value]) -> list[Value]:
                first = Integers(code).times(i, 2)
                below = [value for row in (2, 3) for value in transformed(Integers(code).add(first, row))]
                seen = [*above, *below]
                rows = zip(*(of_image(b, seen[k::SIDE]) for k in range(SIDE)), strict=True)
                self._put(code, target, i, [value for row in rows for value in row])
                return below

            code.loop(index(0), index(self.rows), 1, tile, [value for row in (0, 1) for value in transformed(row)])

        self._columns(code, x, planes, column)

    def transform_upstream(self, code: Code, y: Array, planes: Array) -> None:
        """A dy Aᵀ, of all tiles and channels; for the arguments see `transform_images`."""
        b, steps = code.builder, y.strides[2:]

        def column(source: Array, target: Array, lanes: int) -> None:
            def tile(i: Integer) -> None:
                first = source.moved(code, Integers(code).times(i, 2 * steps[0]))
                rows = [self._load(code, first.moved(code, row * steps[0]), 2, lanes) for row in (0, 1)]
                self._put(code, target, i, _along_both(b, of_result, rows))

            Integers(code).each(0, self.rows, 1, tile)

        self._columns(code, y, planes, column)

    def transform_results(self, code: Code, planes: Array, z: Array) -> None:
        """Aᵀ m A, of all tiles and channels, into z: (N, C, H, W)."""
        b, steps = code.builder, z.strides[2:]

        def column(target: Array, source: Array, lanes: int) -> None:
            def tile(i: Integer) -> None:
                values = self._get(code, source, i, lanes)
                rows = [values[k : k + SIDE] for k in range(0, POSITIONS, SIDE)]
                results = _along_both(b, to_result, rows)
                first = target.moved(code, Integers(code).times(i, 2 * steps[0]))
                for row in (0, 1):
                    self._store(code, results[2 * row : 2 * row + 2], first.moved(code, row * steps[0]))

            Integers(code).each(0, self.rows, 1, tile)

        self._columns(code, z, planes, column)

    def _columns(self, code: Code, images: Array, planes: Array, body: Callable[[Array, Array, int], None]) -> None:
        """Call the body for each column of tiles, and each channel, or a vector of either.

        The body gets the images and the planes from the first tile of the column on, and the lanes of a vector.
        """
        channels, integers = images.shape[1], Integers(code)
        lanes = self.lanes_for(channels)
        by_tile, by_channel = self.steps(channels)

        def one(place: list[Integer]) -> None:
            image, column, channel = place
            if self.across:
                column = integers.times(column, lanes)
            else:
                channel = integers.times(channel, lanes)
            pixel = integers.times(column, 2)
            tile = integers.add(integers.times(image, self.rows * self.columns), column)
            body(
                images.moved(code, at(code, [image, channel, 0, pixel], images.strides)),
                planes.moved(code, at(code, [tile, channel], (by_tile, by_channel)))._replace(
                    strides=(self.plane(channels), by_tile * self.columns)
                ),
                lanes,
            )

        count = (self.columns // lanes, channels) if self.across else (self.columns, channels // lanes)
        nest(code, (self.images, *count), one)

    def _put(self, code: Code, planes: Array, row: Integer, values: Sequence[Value]) -> None:
        """Store one vector for each position."""
        there = planes.moved(code, Integers(code).times(row, planes.strides[1]))
        for position, value in enumerate(values):
            code.store(value, there.moved(code, position * planes.strides[0]).pointer, planes.dtype)

    def _get(self, code: Code, planes: Array, row: Integer, lanes: int) -> list[Value]:
        """Load one vector for each position."""
        there = planes.moved(code, Integers(code).times(row, planes.strides[1]))
        places = (there.moved(code, position * planes.strides[0]) for position in range(POSITIONS))
        return [code.load(place.pointer, planes.dtype, lanes) for place in places]

    def _load(self, code: Code, row: Array, count: int, lanes: int) -> list[Value]:
        """The first elements of a row that each tile sees, an even number of them: a vector for each."""
        if not self.across:
            places = (row.moved(code, i * row.strides[3]) for i in range(count))
            return [code.load(place.pointer, row.dtype, lanes) for place in places]
        values = []
        for first in range(0, count, 2):
            low, high = (code.load(row.moved(code, first + more).pointer, row.dtype, lanes) for more in (0, lanes))
            values += _apart(code, low, high, row.dtype)
        return values

    def _store(self, code: Code, values: Sequence[Value], row: Array) -> None:
        """Store both elements of a row of each tile."""
        if not self.across:
            for i, value in enumerate(values):
                code.store(value, row.moved(code, i * row.strides[3]).pointer, row.dtype)
            return
        for more, value in zip((0, self.lanes), _together(code, values, row.dtype), strict=True):
            code.store(value, row.moved(code, more).pointer, row.dtype)


def _sublane(lanes: int, dtype: Any) -> int:
    return min(lanes, SUBLANE_BYTES // dtype.itemsize)


def _apart(code: Code, low: Value, high: Value, dtype: Any) -> list[Value]:
    """Of two vectors that follow each other, every other element from the first on, and from the second on.

    They do not leave their part of a vector, which is quicker: so tiles are in an order of their own.
    """
    lanes = low.type.count
    part = _sublane(lanes, dtype)
    of_both = [
        vector + i for start in range(0, lanes, part) for vector in (0, lanes) for i in range(start, start + part, 2)
    ]
    return [shuffled(code, low, high, [i + odd for i in of_both]) for odd in (0, 1)]


def _together(code: Code, values: Sequence[Value], dtype: Any) -> list[Value]:
    """The opposite of `_apart`."""
    even, odd = values
    lanes = even.type.count
    part = _sublane(lanes, dtype)
    half = part // 2
    return [
        shuffled(
            code,
            even,
            odd,
            [vector + start + i for start in range(first, lanes, part) for i in range(half) for vector in (0, lanes)],
        )
        for first in (0, half)
    ]


# Windows --------------------------------------------------------------------------------------------------------------


def transform_windows(code: Code, w: Array, planes: Array, team: Team) -> None:
    """G g Gᵀ; threads share the windows.

    Args:
        w: (outputs, channels, 3, 3).
        planes: (outputs, channels, positions).
    """

    def window(place: list[Integer]) -> None:
        corner = w.moved(code, at(code, place, w.strides))
        rows = [[corner.moved(code, at(code, [i, j], w.strides[2:])) for j in range(WINDOW)] for i in range(WINDOW)]
        values = _along_both(
            code.builder, of_window, [[code.load(element.pointer, w.dtype) for element in row] for row in rows]
        )
        target = planes.moved(code, at(code, place, planes.strides))
        for position, value in enumerate(values):
            code.store(value, target.moved(code, position * planes.strides[2]).pointer, planes.dtype)

    nest(code, w.shape[:2], window, team)


def window_gradients(code: Code, planes: Array, w: Array, team: Team) -> None:
    """Gᵀ u G, the gradient by each window; threads share them. For the arguments see `transform_windows`."""

    def window(place: list[Integer]) -> None:
        source = planes.moved(code, at(code, place, planes.strides))
        places = [source.moved(code, position * planes.strides[2]) for position in range(POSITIONS)]
        values = [code.load(element.pointer, planes.dtype) for element in places]
        rows = [values[k : k + SIDE] for k in range(0, POSITIONS, SIDE)]
        corner = w.moved(code, at(code, place, w.strides))
        for number, value in enumerate(_along_both(code.builder, to_window, rows)):
            element = corner.moved(code, at(code, divmod(number, WINDOW), w.strides[2:]))
            code.store(value, element.pointer, w.dtype)

    nest(code, w.shape[:2], window, team)
