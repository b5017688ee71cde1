"""Packing: copies of a and b that lie as the kernels want to read them.

A packed tile holds its rows of a, or its columns of b, side by side, one step along the depth after the other. Where
they are neighbours in memory, too, they are copied step by step for all tiles, since memory is read fastest in its own
order; where the depth is contiguous, squares of vectors are transposed; else elements are gathered. Kernels whose
vectors run along the depth want each row contiguous along it: those are copied row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from clearprop.compiler.native.code import Code, Value, constant
from clearprop.compiler.native.gemm_tile import Operand
from clearprop.compiler.native.integers import Integer, Integers
from clearprop.compiler.native.lanes import load_some, parts_of, transposed

GROUP = 8
"""Steps that are copied for one tile before it is the next one's turn."""

Body = Callable[[Operand, Operand, int], None]
EachTile = Callable[[Body], None]
"""Writes the loops over all tiles: the body gets where a tile is, where it goes, and how many rows or columns it has."""


class Packer:
    """Writes the code that packs tiles.

    Args:
        lanes: of a vector.
        blocks: the lengths of the block axes.
        depth: how many steps.
        each_tile: see `EachTile`.
        filled: whether rows or columns that a last vector does not have are 0 in the copy; otherwise it has no room
            for them, but may be written one vector further than it is long.
    """

    def __init__(
        self,
        code: Code,
        dtype: str,
        lanes: int,
        blocks: Sequence[int],
        depth: Integer,
        each_tile: EachTile,
        *,
        filled: bool,
    ) -> None:
        self.code, self.dtype, self.lanes, self.blocks, self.depth = code, dtype, lanes, blocks, depth
        self.each_tile, self.filled = each_tile, filled
        self.integers = Integers(code)

    def side_by_side(self, source: Operand) -> None:
        """Rows, or columns, next to one another; the source tells how they lie."""
        if source.across == 1:
            self._each_block([], self._copy_steps)
        else:
            self.each_tile(lambda s, t, size: self._each_block([], lambda at: self._turn(*self._moved(s, t, at), size)))

    def along_depth(self) -> None:
        """Rows, or columns, that are contiguous along the depth."""

        def tile(source: Operand, target: Operand, size: int) -> None:
            def block(at: Sequence[Integer]) -> None:
                s, t = self._moved(source, target, at)

                def row(r: Integer) -> None:
                    self._copy_row(self._at(s.pointer, r, s.across), self._at(t.pointer, r, t.across), s.depth)

                self.integers.each(0, size, 1, row)

            self._each_block([], block)

        self.each_tile(tile)

    # Loops ------------------------------------------------------------------------------------------------------------

    def _each_block(self, at: list[Integer], body: Callable[[Sequence[Integer]], None]) -> None:
        if len(at) == len(self.blocks):
            body(at)
        else:
            self.integers.each(0, self.blocks[len(at)], 1, lambda i: self._each_block([*at, i], body))

    def _moved(self, source: Operand, target: Operand, at: Sequence[Integer]) -> tuple[Operand, Operand]:
        """Both at a block."""
        moved = []
        for operand in (source, target):
            steps = (self.integers.times(i, step) for i, step in zip(at, operand.blocks, strict=True))
            moved.append(operand._replace(pointer=self._at(operand.pointer, self.integers.add(*steps), 1)))
        return moved[0], moved[1]

    def _copy_steps(self, at: Sequence[Integer]) -> None:
        """Some steps at a time, for all tiles."""
        integers = self.integers

        def group(first: Integer) -> None:
            last = integers.smaller(integers.add(first, GROUP), self.depth)

            def tile(source: Operand, target: Operand, size: int) -> None:
                s, t = self._moved(source, target, at)

                def step(k: Integer) -> None:
                    self._copy(self._at(s.pointer, k, s.depth), self._at(t.pointer, k, t.depth), size)

                integers.each(first, last, 1, step)

            self.each_tile(tile)

        integers.each(0, self.depth, GROUP, group)

    # Copies -----------------------------------------------------------------------------------------------------------

    def _copy(self, source: Value, target: Value, size: int) -> None:
        """So many neighbours."""
        for first in range(0, size, self.lanes):
            some = min(self.lanes, size - first)
            if self.filled:
                vector = load_some(self.code, self._at(source, first, 1), self.dtype, self.lanes, some)
                self._store(vector, self._at(target, first, 1))
                continue
            for at, length in parts_of(self.lanes, some):
                value = self._load(self._at(source, first + at, 1), length)
                self._store(value, self._at(target, first + at, 1))

    def _copy_row(self, source: Value, target: Value, stride: int) -> None:
        """All steps of a row."""
        integers = self.integers
        whole = integers.times(integers.quotient(self.depth, self.lanes), self.lanes) if stride == 1 else 0

        def move(lanes: int) -> Callable[[Integer], None]:
            return lambda k: self._store(self._load(self._at(source, k, stride), lanes), self._at(target, k, 1))

        integers.each(0, whole, self.lanes, move(self.lanes))
        integers.each(whole, self.depth, 1, move(1))

    def _turn(self, source: Operand, target: Operand, size: int) -> None:
        """Rows that are not neighbours, a vector of them at a time."""
        integers, lanes = self.integers, self.lanes
        whole = integers.times(integers.quotient(self.depth, lanes), lanes) if source.depth == 1 else 0
        for first in reversed(range(0, size, lanes)):  # what the last vectors write too far, the first ones repair
            some = min(lanes, size - first)
            s = self._at(source.pointer, first, source.across)
            t = self._at(target.pointer, first, 1)

            def square(k: Integer, s: Value = s, t: Value = t, some: int = some) -> None:
                begin = self._at(s, k, 1)
                rows = [self._load(self._at(begin, r, source.across), lanes) for r in range(some)]
                rows += [constant(self.dtype, 0, lanes)] * (lanes - some)
                for i, vector in enumerate(transposed(self.code, rows)):
                    self._store(vector, self._at(t, integers.add(k, i), target.depth))

            def gather(k: Integer, s: Value = s, t: Value = t, some: int = some) -> None:
                begin, goal = self._at(s, k, source.depth), self._at(t, k, target.depth)
                for r in range(lanes if self.filled else some):
                    value = self._load(self._at(begin, r, source.across), 1) if r < some else constant(self.dtype, 0)
                    self._store(value, self._at(goal, r, 1))

            integers.each(0, whole, lanes, square)
            integers.each(whole, self.depth, 1, gather)

    def _at(self, pointer: Value, steps: Integer, stride: int) -> Value:
        steps = self.integers.times(steps, stride)
        return pointer if isinstance(steps, int) and steps == 0 else self.code.at(pointer, self.dtype, self.integers.value(steps))

    def _load(self, pointer: Value, lanes: int) -> Value:
        return self.code.load(pointer, self.dtype, lanes)

    def _store(self, value: Value, pointer: Value) -> None:
        self.code.store(value, pointer, self.dtype)
