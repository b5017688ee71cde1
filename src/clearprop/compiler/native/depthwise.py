"""Convolutions whose groups have one channel, or one output: too little for matrix products.

Vectors run along the last spatial axis. A tile of some rows of results stays in registers while the elements of the
window pass: an element of an image that several of the rows need is loaded once for all of them. In one dimension there
are no rows; there, the vectors of a tile lie side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from clearprop.compiler.native.code import Code, Value, constant, index
from clearprop.compiler.native.correlating import Correlating
from clearprop.compiler.native.integers import Integer, Integers
from clearprop.compiler.native.kernels import Fusion, Kernel
from clearprop.compiler.native.lanes import part, parts_of, store_apart
from clearprop.compiler.native.machine import Machine
from clearprop.compiler.native.single import Array, at, moved, nest
from clearprop.compiler.native.sliding import load_every

_ROWS = 4
"""In a tile: with the weights of a column of the window, about as many registers as there are."""


class Depthwise(Correlating):
    """Writes one, or its gradient by data."""

    def __init__(self, fusion: Fusion, kernel: Kernel, machine: Machine) -> None:
        super().__init__(fusion, kernel, machine)
        if not self.about.parts:
            return
        lanes = machine.lanes(self.node.dtype)
        widths = {part.places[-1] for part in self.about.parts}
        self.lanes = lanes
        beyond = max(_fitting(width, lanes) - width for width in widths) * self.about.parts[0].stride[-1]
        copies = self.about.is_padded or self.views[0].strides[-1] != 1 or beyond > 0
        self.blocks = self.blocks_for(copies_images=copies, copies_results=False)
        if copies:
            self.source = self.surrounded(self.blocks, last=False, more=beyond)
        self.reserve_blocks()

    def multiply(self, code: Code, number: int, x: Array, w: Array, z: Array) -> None:
        """All results, image after image, output after output."""
        about, integers = self.about, Integers(code)
        by_group, *by_tap, by_channel, by_output = self.steps
        taps = about.parts[number].taps
        w = w.moved(code, sum(some.start * step for some, step in zip(taps, by_tap, strict=True)))
        w = w._replace(strides=(by_channel, *(some.step * step for some, step in zip(taps, by_tap, strict=True))))

        def one(place: list[Integer]) -> None:
            image, group, output = place
            of_x = integers.add(
                integers.times(image, x.strides[0]), integers.times(group, about.channels * x.strides[1])
            )
            of_z = at(
                code, [image, integers.add(integers.times(group, about.outputs), output)], (z.strides[0], z.strides[1])
            )
            of_w = at(code, [group, output], (by_group, by_output))
            self._image(code, number, x.moved(code, of_x), w.moved(code, of_w), z.moved(code, of_z))

        nest(code, (self.blocks.images[1], about.groups, about.outputs), one, self.inside)

    def _image(self, code: Code, number: int, x: Array, w: Array, z: Array) -> None:
        """One channel of results: tile by tile."""
        part, integers = self.about.parts[number], Integers(code)
        places = part.places if self.blocks.is_whole else (self.blocks.rows[1], *part.places[1:])
        x_steps = [step * stride for step, stride in zip(x.strides[2:], part.stride, strict=True)]
        z_steps = [step * every for step, every in zip(z.strides[2:], part.every, strict=True)]
        lanes = min(self.lanes, _fitting(places[-1], self.lanes))
        *leading, width = places
        if len(places) == 1:
            rows = max(1, min(_ROWS, width // lanes))
            tile = _Tile(self, number, rows, lanes, min(lanes, width), lanes * x_steps[-1], lanes * z_steps[-1])
            span = rows * lanes
        else:
            rows = min(_ROWS, leading[-1])
            tile = _Tile(self, number, rows, lanes, min(lanes, width), x_steps[-2], z_steps[-2])
            span = lanes
            leading[-1] = -(-leading[-1] // rows)

        def some(place: list[Integer]) -> None:
            place = list(place)
            if len(places) > 1:  # the last rows are computed with some of those before
                place[-1] = integers.smaller(integers.times(place[-1], rows), places[-2] - rows)

            def vector(i: Integer) -> None:
                i = integers.smaller(i, width - span) if width > span else i
                to = [*place, i]
                tile.write(code, x.moved(code, at(code, to, x_steps)), w, z.moved(code, at(code, to, z_steps)))

            integers.each(0, width, span, vector)

        nest(code, leading, some)


def _fitting(width: int, lanes: int) -> int:
    """The least power of two that is not smaller than the width, but no more than the lanes of a vector."""
    return width if width >= lanes else 1 << (width - 1).bit_length()


class _Tile:
    """Some rows of results, a vector of each.

    Args:
        lanes, stored: of a vector, and how many of them are results.
        x_row, z_row: from row to row.
    """

    def __init__(
        self, writer: Depthwise, number: int, rows: int, lanes: int, stored: int, x_row: int, z_row: int
    ) -> None:
        self.about, self.part, self.dtype = writer.about, writer.about.parts[number], writer.node.dtype
        self.rows, self.lanes, self.stored, self.x_row, self.z_row = rows, lanes, stored, x_row, z_row

    def write(self, code: Code, x: Array, w: Array, z: Array) -> None:
        """The sums, and where they go."""
        sums = [constant(self.dtype, 0, self.lanes)] * self.rows
        *leading, last = zip(self.part.window, self.part.dilation, x.strides[2:], w.strides[1:], strict=True)
        columns = leading.pop() if leading else (1, 1, 0, 0)  # the axis whose elements are passed at once
        loops = [(self.about.channels, x.strides[1], w.strides[0])]
        loops += [(count, step * by_x, by_w) for count, step, by_x, by_w in (*leading, last)]
        sums = nested(
            code,
            loops,
            lambda of_x, of_w, before: self._column(code, x.moved(code, of_x), w.moved(code, of_w), columns, before),
            sums,
        )
        every = z.strides[-1] * self.part.every[-1]
        for r, value in enumerate(sums):
            self._store(code, value, moved(code, z.pointer, self.dtype, r * self.z_row), every)

    def _column(
        self, code: Code, x: Array, w: Array, axis: tuple[int, int, int, int], sums: list[Value]
    ) -> list[Value]:
        """A column of the window: all that lies along the axis before the last."""
        count, dilation, by_x, by_w = axis
        weights = [
            code.splat(code.load(moved(code, w.pointer, self.dtype, k * by_w), self.dtype), self.lanes)
            for k in range(count)
        ]
        uses: dict[int, list[tuple[int, int]]] = {}
        for r in range(self.rows):
            for k in range(count):
                uses.setdefault(r * self.x_row + k * dilation * by_x, []).append((r, k))
        sums, stride = list(sums), self.part.stride[-1] * x.strides[-1]
        for offset, pairs in sorted(uses.items()):
            value = load_every(code, moved(code, x.pointer, self.dtype, offset), self.dtype, stride, self.lanes)
            for r, k in pairs:
                sums[r] = code.intrinsic("fmuladd", value, weights[k], sums[r])
        return sums

    def _store(self, code: Code, value: Value, pointer: Value, stride: int) -> None:
        for first, length in parts_of(self.lanes, self.stored):
            some, place = part(code, value, first, length), moved(code, pointer, self.dtype, first * stride)
            if stride == 1:
                code.store(some, place, self.dtype)
            else:
                store_apart(code, some, place, self.dtype, stride)


def nested(
    code: Code,
    loops: Sequence[tuple[int, int, int]],
    body: Callable[[Integer, Integer, list[Value]], list[Value]],
    carried: list[Value],
    one: Integer = 0,
    other: Integer = 0,
) -> list[Value]:
    """Loops (count, step of one array, step of the other), with values that are carried from turn to turn."""
    if not loops:
        return body(one, other, carried)
    integers, (count, by_one, by_other) = Integers(code), loops[0]

    def turn(i: Integer, values: list[Value]) -> list[Value]:
        there = integers.add(one, integers.times(i, by_one)), integers.add(other, integers.times(i, by_other))
        return nested(code, loops[1:], body, values, *there)

    if count == 1:
        return turn(0, carried)
    return code.loop(index(0), index(count), 1, turn, carried)
