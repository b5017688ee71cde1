"""Packing: copies of a and b that lie as the kernels want to read them.

A packed tile holds its rows of a, or its columns of b, side by side, one step along the depth after the other. Where
they are neighbours in memory, too, they are copied step by step for all tiles, since memory is read fastest in its own
order; where the depth is contiguous, squares of vectors are transposed; else elements are gathered. Kernels whose
vectors run along the depth want each row contiguous along it: those are copied row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from clearprop.compiler.native.code import Code, Value, constant
from clearprop.compiler.native.gemm_tile import Operand
from clearprop.compiler.native.integers import Integer, Integers
from clearprop.compiler.native.lanes import load_some, part, parts_of, transposed

GROUP = 8
"""Steps that are copied for one tile before it is the next one's turn."""

EachTile = Callable[[Callable[[Operand, Operand, int], None]], None]
"""Writes loops over tiles: the body gets where a tile is, where it goes, and how many rows or columns it has."""


class Packer:
    """Writes the code that packs tiles.

    Args:
        lanes: of a vector.
        blocks: the lengths of the block axes.
        depth: how many steps.
        filled: whether rows or columns that the last vector of a tile does not have are 0 in the copy; otherwise it
            has no room for them.
    """

    def __init__(
        self, code: Code, dtype: str, lanes: int, blocks: Sequence[int], depth: Integer, *, filled: bool
    ) -> None:
        self.code, self.dtype, self.lanes, self.blocks, self.depth = code, dtype, lanes, blocks, depth
        self.filled = filled
        self.integers = Integers(code)

    def copy(self, each_tile: EachTile) -> None:
        """Rows, or columns, that are neighbours in memory, next to one another: some steps at a time, for all tiles."""
        integers = self.integers

        def block(at: Sequence[Integer]) -> None:
            def group(first: Integer) -> None:
                last = integers.smaller(integers.add(first, GROUP), self.depth)

                def tile(source: Operand, target: Operand, size: int) -> None:
                    s, t = self._moved(source, at), self._moved(target, at)

                    def step(k: Integer) -> None:
                        self._neighbours(self._at(s, k, source.depth), self._at(t, k, target.depth), size)

                    integers.each(first, last, 1, step)

                each_tile(tile)

            integers.each(0, self.depth, GROUP, group)

        self._each_block([], block)

    def turn(self, each_tile: EachTile) -> None:
        """Rows, or columns, that stand apart in memory, next to one another."""
        integers, lanes = self.integers, self.lanes

        def tile(source: Operand, target: Operand, size: int) -> None:
            def block(at: Sequence[Integer]) -> None:
                s, t = self._moved(source, at), self._moved(target, at)
                is_turned = source.depth == 1
                whole = integers.times(integers.quotient(self.depth, lanes), lanes) if is_turned else 0
                for first in range(0, size, lanes):
                    strip = (self._at(s, first, source.across), self._at(t, first, 1), min(lanes, size - first))
                    integers.each(0, whole, lanes, partial(self._square, source, target, *strip))
                    integers.each(whole, self.depth, 1, partial(self._gather, source, target, *strip))

            self._each_block([], block)

        each_tile(tile)

    def along_depth(self, each_tile: EachTile) -> None:
        """Each row, or column, contiguous along the depth."""

        def tile(source: Operand, target: Operand, size: int) -> None:
            def block(at: Sequence[Integer]) -> None:
                s, t = self._moved(source, at), self._moved(target, at)

                def row(r: Integer) -> None:
                    self._row(self._at(s, r, source.across), self._at(t, r, target.across), source.depth)

                self.integers.each(0, size, 1, row)

            self._each_block([], block)

        each_tile(tile)

    # Parts ------------------------------------------------------------------------------------------------------------

    def _each_block(self, at: list[Integer], body: Callable[[Sequence[Integer]], None]) -> None:
        if len(at) == len(self.blocks):
            body(at)
        else:
            self.integers.each(0, self.blocks[len(at)], 1, lambda i: self._each_block([*at, i], body))

    def _moved(self, operand: Operand, at: Sequence[Integer]) -> Value:
        """Where an operand has a block."""
        steps = (self.integers.times(i, step) for i, step in zip(at, operand.blocks, strict=True))
        return self._at(operand.pointer, self.integers.add(*steps), 1)

    def _neighbours(self, source: Value, target: Value, size: int) -> None:
        for first in range(0, size, self.lanes):
            some = min(self.lanes, size - first)
            if self.filled:
                vector = load_some(self.code, self._at(source, first, 1), self.dtype, self.lanes, some)
                self._store(vector, self._at(target, first, 1))
                continue
            for at, length in parts_of(self.lanes, some):
                value = self._load(self._at(source, first + at, 1), length)
                self._store(value, self._at(target, first + at, 1))

    def _square(self, source: Operand, target: Operand, s: Value, t: Value, size: int, k: Integer) -> None:
        """As many steps as a vector has lanes."""
        lanes = self.lanes
        begin = self._at(s, k, 1)
        rows = [self._load(self._at(begin, r, source.across), lanes) for r in range(size)]
        rows += [constant(self.dtype, 0, lanes)] * (lanes - size)
        for i, vector in enumerate(transposed(self.code, rows)):
            goal = self._at(t, self.integers.add(k, i), target.depth)
            for at, length in parts_of(lanes, lanes if self.filled else size):
                self._store(part(self.code, vector, at, length), self._at(goal, at, 1))

    def _gather(self, source: Operand, target: Operand, s: Value, t: Value, size: int, k: Integer) -> None:
        """One step."""
        begin, goal = self._at(s, k, source.depth), self._at(t, k, target.depth)
        for r in range(self.lanes if self.filled else size):
            value = self._load(self._at(begin, r, source.across), 1) if r < size else constant(self.dtype, 0)
            self._store(value, self._at(goal, r, 1))

    def _row(self, source: Value, target: Value, stride: int) -> None:
        integers = self.integers
        whole = integers.times(integers.quotient(self.depth, self.lanes), self.lanes) if stride == 1 else 0

        def move(lanes: int) -> Callable[[Integer], None]:
            return lambda k: self._store(self._load(self._at(source, k, stride), lanes), self._at(target, k, 1))

        integers.each(0, whole, self.lanes, move(self.lanes))
        integers.each(whole, self.depth, 1, move(1))

    def _at(self, pointer: Value, steps: Integer, stride: int) -> Value:
        steps = self.integers.times(steps, stride)
        if isinstance(steps, int) and steps == 0:
            return pointer
        return self.code.at(pointer, self.dtype, self.integers.value(steps))

    def _load(self, pointer: Value, lanes: int) -> Value:
        return self.code.load(pointer, self.dtype, lanes)

    def _store(self, value: Value, pointer: Value) -> None:
        self.code.store(value, pointer, self.dtype)
