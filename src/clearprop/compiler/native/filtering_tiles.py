"""The transforms of minimal filtering as code: tiles of images, and windows, to 16 planes and back.

A plane has one number for each tile and channel, or for each output and channel, and there is one for each of the 4 × 4
positions. The functions are the same for layers of all sizes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from clearprop.compiler.native.code import I64, POINTER, Code, Value, index
from clearprop.compiler.native.correlation import Bounds
from clearprop.compiler.native.integers import Integer, Integers
from clearprop.compiler.native.lanes import SUBLANE_BYTES, shuffled
from clearprop.compiler.native.minimal_filtering import (
    POSITIONS,
    SIDE,
    WINDOW,
    Transform,
    along_both,
    of_image,
    of_result,
    of_window,
    to_result,
    to_window,
)
from clearprop.compiler.native.single import Array, at, nest
from clearprop.compiler.native.team import Team

TILES = 64
"""Of a block, or some more: products with fewer rows are slower, and more do not stay in the cache."""
APART = 16
"""Elements between the planes of two positions: without them all 16 would compete for the same places in the cache."""
_TRANSFORM, _TRANSFORM_WINDOW = 1.5, 30.0
"""Cycles that it takes to transform a vector of one position, and a window."""


def plane_of_windows(channels: int, outputs: int) -> int:
    """Elements from position to position of transformed windows."""
    return channels * outputs + APART


def cost_of_windows(channels: int, outputs: int) -> float:
    """Cycles that it takes to transform all of them, once for all images."""
    return _TRANSFORM_WINDOW * channels * outputs


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

    def cost(self, *channels: int) -> float:
        """Cycles that it takes to transform arrays of so many channels each."""
        vectors = sum(self.total * count // self.lanes_for(count) for count in channels)
        return _TRANSFORM * POSITIONS * vectors

    def seen(self, bounds: Bounds) -> Bounds:
        """What all tiles of an image see, from where those bounds begin."""
        counts = zip(bounds, (self.rows, self.columns), strict=True)
        return tuple((first, first + 2 * count + WINDOW - 1) for (first, _), count in counts)

    # Writing code -----------------------------------------------------------------------------------------------------

    def transform_images(self, code: Code, x: Array, planes: Array) -> None:
        """Bᵀ d B, of all tiles and channels.

        Args:
            x: (N, C, H, W), beginning with what the first tile sees.
            planes: where the transformed elements go.
        """
        self._call(code, _ImageTransform, x, planes)

    def transform_upstream(self, code: Code, y: Array, planes: Array) -> None:
        """A dy Aᵀ, of all tiles and channels; for the arguments see `transform_images`."""
        self._call(code, _UpstreamTransform, y, planes)

    def transform_results(self, code: Code, planes: Array, z: Array) -> None:
        """Aᵀ m A, of all tiles and channels, into z: (N, C, H, W)."""
        self._call(code, _ResultTransform, z, planes)

    def _call(self, code: Code, transform: type[_Transform], images: Array, planes: Array) -> None:
        """Call the function, which is the same for images of all sizes."""
        channels = images.shape[1]
        lanes = self.lanes_for(channels)
        by_image, by_channel, by_row, by_column = images.strides
        tile, channel = self.steps(channels)
        row = self.columns * tile
        if self.across:
            loops = [(channels, by_channel, channel), (self.columns // lanes, 2 * lanes, lanes)]
        else:
            loops = [(self.columns, 2 * by_column, tile), (channels // lanes, lanes, lanes)]
        walked = [number for loop in [(self.images, by_image, self.rows * row), *loops] for number in loop]
        steps = self.rows, by_row, row, by_column, self.plane(channels)
        function = transform(code.module, images.dtype, lanes, across=self.across).function
        code.builder.call(function, [images.pointer, planes.pointer, *map(index, (*walked, *steps))])


class _Transform:
    """Writes a function that transforms columns of tiles, one after the other; a subclass transforms one column.

        name(images, planes, [count, step in images, step in planes] of three loops, rows of tiles, step from row to
             row of images, from row to row of tiles, from column to column of images, from position to position)

    Attributes:
        name: of what is transformed.
        function: which is written if it is not there yet.
    """

    name: str

    def __init__(self, module: ir.Module, dtype: Any, lanes: int, *, across: bool) -> None:
        self.dtype, self.lanes, self.across = dtype, lanes, across
        name = f"filtering.{self.name}.{dtype.name}.{lanes}.{'across' if across else 'channels'}"
        if name not in module.globals:
            self._write(Code.function(module, name, [POINTER, POINTER, *[I64] * 14]))
        self.function = module.globals[name]

    def _write(self, code: Code) -> None:
        images, planes, *numbers = code.builder.function.args
        loops, steps = [numbers[k : k + 3] for k in (0, 3, 6)], numbers[9:]
        self.code, self.integers = code, Integers(code)
        self.rows, self.row, self.tile_row, self.column, self.plane = steps

        def walk(depth: int, image: Value, plane: Value) -> None:
            if depth == len(loops):
                self.transform(image, plane)
                return
            count, of_images, of_planes = loops[depth]
            self.integers.each(
                0, count, 1, lambda i: walk(depth + 1, self.at(image, i, of_images), self.at(plane, i, of_planes))
            )

        walk(0, images, planes)
        code.builder.ret_void()

    def transform(self, image: Value, plane: Value) -> None:
        """Write the transform of the tiles below each other, of which the first ones begin there."""
        raise NotImplementedError

    def at(self, pointer: Value, count: Integer, step: Integer) -> Value:
        """So many steps further on."""
        return self.code.at(pointer, self.dtype, self.integers.value(self.integers.times(count, step)))

    def positions(self, plane: Value, row: Value) -> Iterator[Value]:
        """Where the elements of a row of tiles are, position by position."""
        place = self.at(plane, row, self.tile_row)
        for _ in range(POSITIONS):
            yield place
            place = self.code.at(place, self.dtype, self.plane)

    def put(self, plane: Value, row: Value, values: Sequence[Value]) -> None:
        """Store a vector for each position."""
        for place, value in zip(self.positions(plane, row), values, strict=True):
            self.code.store(value, place, self.dtype)

    def load(self, row: Value, count: int) -> list[Value]:
        """The first elements of a row that each tile sees, an even number of them: a vector for each."""
        code, lanes = self.code, self.lanes
        if not self.across:
            return [code.load(self.at(row, i, self.column), self.dtype, lanes) for i in range(count)]
        values = []
        for first in range(0, count, 2):
            low, high = (code.load(self.at(row, first + more, 1), self.dtype, lanes) for more in (0, lanes))
            values += _apart(code, low, high, self.dtype)
        return values

    def store(self, values: Sequence[Value], row: Value) -> None:
        """Store both elements of a row of each tile."""
        if self.across:
            values = _together(self.code, values, self.dtype)
        for i, value in enumerate(values):
            place = self.at(row, i * self.lanes, 1) if self.across else self.at(row, i, self.column)
            self.code.store(value, place, self.dtype)


class _ImageTransform(_Transform):
    name = "images"

    def transform(self, image: Value, plane: Value) -> None:
        b = self.code.builder

        def transformed(row: Integer) -> list[Value]:
            return of_image(b, self.load(self.at(image, row, self.row), SIDE))

        def tile(i: Value, above: list[Value]) -> list[Value]:
            first = self.integers.times(i, 2)
            below = [value for row in (2, 3) for value in transformed(self.integers.add(first, row))]
            seen = [*above, *below]
            rows = zip(*(of_image(b, seen[k::SIDE]) for k in range(SIDE)), strict=True)
            self.put(plane, i, [value for row in rows for value in row])
            return below

        above = [value for row in (0, 1) for value in transformed(row)]
        self.code.loop(index(0), self.rows, 1, tile, above)


class _UpstreamTransform(_Transform):
    name = "upstream"

    def transform(self, image: Value, plane: Value) -> None:
        def tile(i: Value) -> None:
            first = self.at(image, self.integers.times(i, 2), self.row)
            rows = [self.load(self.at(first, row, self.row), 2) for row in (0, 1)]
            self.put(plane, i, along_both(self.code.builder, of_result, rows))

        self.integers.each(0, self.rows, 1, tile)


class _ResultTransform(_Transform):
    name = "results"

    def transform(self, image: Value, plane: Value) -> None:
        def tile(i: Value) -> None:
            values = [self.code.load(place, self.dtype, self.lanes) for place in self.positions(plane, i)]
            rows = [values[k : k + SIDE] for k in range(0, POSITIONS, SIDE)]
            results = along_both(self.code.builder, to_result, rows)
            first = self.at(image, self.integers.times(i, 2), self.row)
            for row in (0, 1):
                self.store(results[2 * row : 2 * row + 2], self.at(first, row, self.row))

        self.integers.each(0, self.rows, 1, tile)


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
    """G g Gᵀ of all windows; threads share them.

    Args:
        w: (outputs, channels, 3, 3).
        planes: (outputs, channels, positions).
    """
    _each_window(code, of_window, w, planes, team)


def window_gradients(code: Code, planes: Array, w: Array, team: Team) -> None:
    """Gᵀ u G, the gradient by each window; threads share them. For the arguments see `transform_windows`."""
    _each_window(code, to_window, w, planes, team)


def _each_window(code: Code, transform: Transform, w: Array, planes: Array, team: Team) -> None:
    """Call a function for all windows of each output; it is the same for windows of all layers."""
    name = f"filtering.{transform.__name__}.{w.dtype.name}"
    if name not in code.module.globals:
        _write_windows(Code.function(code.module, name, [POINTER, POINTER, *[I64] * 6]), transform, w.dtype)
    steps = [w.shape[1], *w.strides[1:], *planes.strides[1:]]

    def one(place: list[Integer]) -> None:
        pointers = [array.moved(code, at(code, place, array.strides[:1])).pointer for array in (w, planes)]
        code.builder.call(code.module.globals[name], [*pointers, *map(index, steps)])

    nest(code, w.shape[:1], one, team)


def _write_windows(code: Code, transform: Transform, dtype: Any) -> None:
    windows, planes, count, by_channel, by_row, by_column, of_planes, by_position = code.builder.function.args

    def along(pointer: Value, step: Value, count: int) -> list[Value]:
        places = [pointer]
        while len(places) < count:
            places.append(code.at(places[-1], dtype, step))
        return places

    def one(i: Value) -> None:
        window, plane = (
            code.at(pointer, dtype, code.builder.mul(i, step))
            for pointer, step in ((windows, by_channel), (planes, of_planes))
        )
        elements = [place for row in along(window, by_row, WINDOW) for place in along(row, by_column, WINDOW)]
        positions = along(plane, by_position, POSITIONS)
        source, side, target = (elements, WINDOW, positions) if transform is of_window else (positions, SIDE, elements)
        values = [code.load(place, dtype) for place in source]
        rows = [values[k : k + side] for k in range(0, len(values), side)]
        for place, value in zip(target, along_both(code.builder, transform, rows), strict=True):
            code.store(value, place, dtype)

    Integers(code).each(0, count, 1, one)
    code.builder.ret_void()
