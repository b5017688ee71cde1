"""A tile of c: where it is, its parts, and how numbers come from there and go there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from clearprop.compiler.native.code import Code, Value
from clearprop.compiler.native.gemm_place import Place, Row, positions
from clearprop.compiler.native.gemm_plan import Plan
from clearprop.compiler.native.integers import Integer, Integers
from clearprop.compiler.native.lanes import parts_of, store_apart


class Corner(NamedTuple):
    """Which tile: of which item of the outer and of the inner batch, where it begins, its size, and where c has it."""

    outer: Integer
    item: Integer
    row: Integer
    column: Integer
    rows: Integer
    columns: Integer
    pointer: Value


class Part(NamedTuple):
    """Neighbouring elements of one row of a tile: the first column, how many there are, where they are in c."""

    column: Integer
    lanes: int
    pointer: Value


class Tiles:
    """Reaches the tiles of a product.

    Args:
        extra: the additional pointers of the epilogue.
    """

    def __init__(self, code: Code, plan: Plan, extra: Sequence[Value]) -> None:
        self.code, self.integers = code, Integers(code)
        self.plan, self.dtype, self.lanes = plan, plan.product.dtype, plan.lanes
        self.extra = list(extra)

    def parts(self, corner: Corner, row: Integer) -> Iterator[Part]:
        """Of one row of a tile whose size is known."""
        for first in range(0, corner.columns, self.lanes):
            for at, lanes in parts_of(self.lanes, min(self.lanes, corner.columns - first)):
                yield self.part(corner, row, first + at, lanes)

    def part(self, corner: Corner, row: Integer, column: Integer, lanes: int) -> Part:
        """So many neighbours, from a column of the tile on."""
        return Part(column, lanes, self.address(corner, row, column))

    def row(self, corner: Corner, row: Integer) -> Row:
        """A row of a tile, of which places will be asked for later on, where this block leads to."""
        walks, integers = self.plan.walks, self.integers
        where = [
            (walks.rows, integers.add(corner.row, row)),
            *positions(integers, walks.outer, corner.outer),
            *positions(integers, walks.inner, corner.item),
        ]
        return Row(self.code, where)

    def place(self, corner: Corner, row: Row, there: Part) -> Place:
        """Which elements of the product these are."""
        walks = self.plan.walks
        along = walks.columns, self.integers.add(corner.column, there.column)
        axis = "rows" if walks.flipped else "columns"
        return Place(self.code, row, along, there.lanes, axis, self.extra)

    def address(self, corner: Corner, row: Integer, column: Integer) -> Value:
        """Where an element of a tile is in c."""
        walks, integers = self.plan.walks, self.integers
        offset = integers.add(integers.times(row, walks.rows.c), integers.times(column, walks.columns.c))
        return self.code.at(corner.pointer, self.dtype, integers.value(offset))

    def load(self, there: Part) -> Value:
        """What c holds."""
        stride = self.plan.walks.columns.c
        if there.lanes == 1 or stride == 1:
            return self.code.load(there.pointer, self.dtype, there.lanes)
        return self.code.load_apart(there.pointer, self.dtype, stride, there.lanes)

    def put(self, value: Value, there: Part) -> None:
        """Write to c."""
        stride = self.plan.walks.columns.c
        if stride == 1:
            self.code.store(value, there.pointer, self.dtype)
        else:
            store_apart(self.code, value, there.pointer, self.dtype, stride)
