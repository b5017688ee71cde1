"""From the registers of a tile to c: add to what is there or overwrite it, and the epilogue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from clearprop.compiler.native.code import Code, Value, index
from clearprop.compiler.native.gemm_place import Epilogue, Place, positions
from clearprop.compiler.native.gemm_plan import Plan
from clearprop.compiler.native.gemm_tile import Sums
from clearprop.compiler.native.integers import Integer, Integers
from clearprop.compiler.native.lanes import part, parts_of, store_apart


class Corner(NamedTuple):
    """Which tile: of which item of the outer and of the inner batch, where it begins, its size, and where c has it."""

    outer: Integer
    item: Integer
    row: Integer
    column: Integer
    rows: int
    columns: int
    pointer: Value


class Part(NamedTuple):
    """Neighbouring elements of one row of a tile: the first column, how many there are, where they are in c."""

    column: int
    lanes: int
    pointer: Value


class Store:
    """Writes how tiles come to c.

    Args:
        extra: the additional pointers of the epilogue.
    """

    def __init__(self, code: Code, plan: Plan, epilogue: Epilogue | None, extra: Sequence[Value]) -> None:
        self.code, self.integers = code, Integers(code)
        self.plan, self.epilogue, self.dtype, self.lanes = plan, epilogue, plan.product.dtype, plan.lanes
        self.extra = list(extra)

    def prefetch(self, corner: Corner) -> None:
        """Have c at hand when the sums are complete."""
        for row, column in self._ends(corner):
            self.code.prefetch(self._address(corner, row, column), to_write=True)

    def prefetch_others(self, corner: Corner) -> None:
        """The same for what the epilogue reads and writes."""
        if self.epilogue is None or self.epilogue.prefetch is None:
            return
        for row, column in self._ends(corner):
            self.epilogue.prefetch(self.code, self._place(corner, row, Part(column, 1, None)))

    def _ends(self, corner: Corner) -> list[tuple[int, int]]:
        """Where the neighbours of each row of c begin and end."""
        if self.plan.walks.flipped:
            return [(row, column) for column in range(corner.columns) for row in {0, corner.rows - 1}]
        return [(row, column) for row in range(corner.rows) for column in {0, corner.columns - 1}]

    def write(self, sums: Sums, corner: Corner, number: Integer) -> None:
        """Add to c, or overwrite it; then the epilogue.

        Args:
            number: of this pass over the depth: all but the first add to c, after the last comes the epilogue.
        """
        adds, passes = self.plan.product.accumulate, self.plan.passes
        if passes == 1:
            in_place = self.epilogue is not None and self.epilogue.is_long
            self._store(sums, corner, add=adds, finish=not in_place)
            if in_place:
                self._finish_in_place(corner)
            return
        b = self.code.builder
        if adds:
            self._store(sums, corner, add=True, finish=False)
        else:
            with b.if_else(b.icmp_signed("==", number, index(0))) as (first, later):
                with first:
                    self._store(sums, corner, add=False, finish=False)
                with later:
                    self._store(sums, corner, add=True, finish=False)
        if self.epilogue is not None:
            with b.if_then(b.icmp_signed("==", number, index(passes - 1))):
                self._finish_in_place(corner)

    def _store(self, sums: Sums, corner: Corner, *, add: bool, finish: bool) -> None:
        vectors = -(-corner.columns // self.lanes)
        for row in range(corner.rows):
            for there in self._parts(corner, row):
                vector, first = divmod(there.column, self.lanes)
                value = part(self.code, sums[row * vectors + vector], first, there.lanes)
                if add:
                    value = self.code.builder.fadd(self._load(there), value)
                if finish:
                    value = self._finished(value, corner, row, there)
                self._put(value, there)

    def _finish_in_place(self, corner: Corner) -> None:
        """The epilogue for a tile that is in c already: written once for all of its rows."""

        def row(r: Integer) -> None:
            for there in self._parts(corner, r):
                self._put(self._finished(self._load(there), corner, r, there), there)

        self.integers.each(0, corner.rows, 1, row)

    def _finished(self, value: Value, corner: Corner, row: Integer, there: Part) -> Value:
        """What the epilogue makes of some neighbouring elements."""
        if self.epilogue is None:
            return value
        return self.epilogue.write(self.code, value, self._place(corner, row, there))

    def _place(self, corner: Corner, row: Integer, there: Part) -> Place:
        walks, integers = self.plan.walks, self.integers
        where = [
            (walks.rows, integers.add(corner.row, row)),
            (walks.columns, integers.add(corner.column, there.column)),
            *positions(integers, walks.outer, corner.outer),
            *positions(integers, walks.inner, corner.item),
        ]
        axis = "rows" if walks.flipped else "columns"
        return Place(self.code, where, there.lanes, axis, self.extra)

    def _parts(self, corner: Corner, row: Integer) -> list[Part]:
        """Of one row of the tile."""
        found = []
        for first in range(0, corner.columns, self.lanes):
            for at, lanes in parts_of(self.lanes, min(self.lanes, corner.columns - first)):
                found.append(Part(first + at, lanes, self._address(corner, row, first + at)))
        return found

    def _address(self, corner: Corner, row: Integer, column: int) -> Value:
        walks, integers = self.plan.walks, self.integers
        offset = integers.add(integers.times(row, walks.rows.c), column * walks.columns.c)
        return self.code.at(corner.pointer, self.dtype, integers.value(offset))

    def _load(self, there: Part) -> Value:
        stride = self.plan.walks.columns.c
        if there.lanes == 1 or stride == 1:
            return self.code.load(there.pointer, self.dtype, there.lanes)
        return self.code.load_apart(there.pointer, self.dtype, stride, there.lanes)

    def _put(self, value: Value, there: Part) -> None:
        stride = self.plan.walks.columns.c
        if stride == 1:
            self.code.store(value, there.pointer, self.dtype)
        else:
            store_apart(self.code, value, there.pointer, self.dtype, stride)
