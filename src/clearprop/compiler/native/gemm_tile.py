"""One tile of c: its sums in registers, and how they leave them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from clearprop.compiler.native.code import Code, Value, constant, index
from clearprop.compiler.native.integers import Integer, Integers
from clearprop.compiler.native.lanes import load_some, sums_of


class Operand(NamedTuple):
    """The part of a, or of b, that a tile needs.

    Attributes:
        pointer: its first element.
        across: from one row of a, or column of b, to the next, in elements.
        depth: from one step along the depth to the next.
        blocks: from one step along each block axis to the next.
    """

    pointer: Value
    across: int
    depth: int
    blocks: tuple[int, ...]


class Tile(NamedTuple):
    """What is summed.

    Attributes:
        rows, columns: how many.
        depth: how many steps.
        blocks: the lengths of the block axes.
    """

    rows: int
    columns: int
    depth: Integer
    blocks: tuple[int, ...]
    a: Operand
    b: Operand


Sums = list[Value]
"""By row, then by vector of columns."""


def spread_sums(code: Code, dtype: str, lanes: int, tile: Tile) -> Sums:
    """Elements of a times vectors of b's columns."""
    vectors = -(-tile.columns // lanes)
    widths = [min(lanes, tile.columns - v * lanes) for v in range(vectors)]

    def step(a: Value, b: Value, sums: Sums) -> Sums:
        columns = [
            load_some(code, code.at(b, dtype, index(v * lanes)), dtype, lanes, width) for v, width in enumerate(widths)
        ]
        following = []
        for r in range(tile.rows):
            element = code.load(code.at(a, dtype, index(r * tile.a.across)), dtype)
            everywhere = code.splat(element, lanes)
            for v, column in enumerate(columns):
                following.append(code.intrinsic("fmuladd", everywhere, column, sums[r * vectors + v]))
        return following

    def block(a: Value, b: Value, sums: Sums) -> Sums:
        def turn(_: Value, carried: Sums) -> Sums:
            a, b, *sums = carried
            there = [code.at(a, dtype, index(tile.a.depth)), code.at(b, dtype, index(tile.b.depth))]
            return [*there, *step(a, b, sums)]

        if isinstance(tile.depth, int) and tile.depth <= 2:
            for k in range(tile.depth):
                sums = step(
                    code.at(a, dtype, index(k * tile.a.depth)), code.at(b, dtype, index(k * tile.b.depth)), sums
                )
            return sums
        return code.loop(index(0), Integers(code).value(tile.depth), 1, turn, [a, b, *sums])[2:]

    return _over_blocks(code, dtype, tile, [constant(dtype, 0, lanes)] * (tile.rows * vectors), block)


def dot_sums(code: Code, dtype: str, lanes: int, tile: Tile) -> Sums:
    """Vectors of a along the depth times vectors of b along the depth."""
    depth = tile.depth
    assert isinstance(depth, int)
    rest = depth % lanes

    def products(a: Value, b: Value, at: int, sums: Sums, some: int) -> Sums:
        def loaded(operand: Operand, pointer: Value, i: int) -> Value:
            return load_some(code, code.at(pointer, dtype, index(i * operand.across + at)), dtype, lanes, some)

        rows = [loaded(tile.a, a, r) for r in range(tile.rows)]
        following = list(sums)
        for c in range(tile.columns):
            column = loaded(tile.b, b, c)
            for r, row in enumerate(rows):
                at_c = r * tile.columns + c
                following[at_c] = code.intrinsic("fmuladd", row, column, sums[at_c])
        return following

    def block(a: Value, b: Value, sums: Sums) -> Sums:
        def body(i: Value, carried: Sums) -> Sums:
            return products(code.at(a, dtype, i), code.at(b, dtype, i), 0, carried, lanes)

        if depth >= lanes:
            sums = code.loop(index(0), index(depth - rest), lanes, body, sums)
        return products(a, b, depth - rest, sums, rest) if rest else sums

    zero = constant(dtype, 0, lanes)
    sums = _over_blocks(code, dtype, tile, [zero] * (tile.rows * tile.columns), block)
    by_row = [sums[r * tile.columns : (r + 1) * tile.columns] for r in range(tile.rows)]
    return [sums_of(code, row, dtype) for row in by_row]


def _over_blocks(code: Code, dtype: str, tile: Tile, sums: Sums, body: Callable[[Value, Value, Sums], Sums]) -> Sums:
    """The loops over the block axes; the body is written for one block of a and of b."""
    integers = Integers(code)

    def along(axis: int, a: Value, b: Value, carried: Sums) -> Sums:
        if axis == len(tile.blocks):
            return body(a, b, carried)

        def turn(i: Value, carried: Sums) -> Sums:
            next_a = code.at(a, dtype, integers.value(integers.times(i, tile.a.blocks[axis])))
            next_b = code.at(b, dtype, integers.value(integers.times(i, tile.b.blocks[axis])))
            return along(axis + 1, next_a, next_b, carried)

        return code.loop(index(0), index(tile.blocks[axis]), 1, turn, carried)

    return along(0, tile.a.pointer, tile.b.pointer, sums)
