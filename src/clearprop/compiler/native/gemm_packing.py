"""Packing: copies of a and b that lie as the kernels want to read them.

Panels of b, for kernels that spread elements of a, hold whole vectors of columns, one step along the depth after the
other; columns that are not there are 0. All other packed operands hold rows (or columns) that are contiguous along the
depth, or the few rows of a tile side by side.
"""

from __future__ import annotations

from collections.abc import Callable

from clearprop.compiler.native.code import Code, Value, constant
from clearprop.compiler.native.gemm_tile import Operand
from clearprop.compiler.native.integers import Integer, Integers
from clearprop.compiler.native.lanes import load_some, parts_of, transposed

Body = Callable[[Value, Value], None]


class Packer:
    """Writes the code that copies the part of an operand which belongs to one tile.

    Args:
        lanes: of a vector.
        blocks: the lengths of the block axes.
        depth: how many steps.
    """

    def __init__(self, code: Code, dtype: str, lanes: int, blocks: tuple[int, ...], depth: Integer) -> None:
        self.code, self.dtype, self.lanes, self.blocks, self.depth = code, dtype, lanes, blocks, depth
        self.integers = Integers(code)

    def panel(self, source: Operand, target: Operand, columns: int) -> None:
        """Vectors of columns, filled with 0."""
        if source.across == 1:
            self._each_block(source, target, lambda s, t: self._copy_vectors(s, t, source, target, columns))
        else:
            self._each_block(source, target, lambda s, t: self._turn_vectors(s, t, source, target, columns))

    def side_by_side(self, source: Operand, target: Operand, rows: int) -> None:
        """The rows of a tile, one step along the depth after the other."""

        def block(s: Value, t: Value) -> None:
            def step(k: Integer) -> None:
                here, there = self._at(s, k, source.depth), self._at(t, k, target.depth)
                self._copy(here, there, rows, source.across)

            self.integers.each(0, self.depth, 1, step)

        self._each_block(source, target, block)

    def along_depth(self, source: Operand, target: Operand, rows: int) -> None:
        """Rows that are contiguous along the depth."""

        def block(s: Value, t: Value) -> None:
            def row(r: Integer) -> None:
                self._row(self._at(s, r, source.across), self._at(t, r, target.across), source.depth)

            self.integers.each(0, rows, 1, row)

        self._each_block(source, target, block)

    # Parts ------------------------------------------------------------------------------------------------------------

    def _copy_vectors(self, s: Value, t: Value, source: Operand, target: Operand, columns: int) -> None:
        def step(k: Integer) -> None:
            here, there = self._at(s, k, source.depth), self._at(t, k, target.depth)
            for first in range(0, columns, self.lanes):
                some = min(self.lanes, columns - first)
                vector = load_some(self.code, self._at(here, first, 1), self.dtype, self.lanes, some)
                self.code.store(vector, self._at(there, first, 1), self.dtype)

        self.integers.each(0, self.depth, 1, step)

    def _turn_vectors(self, s: Value, t: Value, source: Operand, target: Operand, columns: int) -> None:
        """Squares of vectors along the depth are transposed; the rest, or all if not contiguous, is gathered."""
        integers, lanes = self.integers, self.lanes
        whole: Integer = 0
        if source.depth == 1:
            whole = integers.times(integers.quotient(self.depth, lanes), lanes)
        for first in range(0, columns, lanes):
            some = min(lanes, columns - first)
            here, there = self._at(s, first, source.across), self._at(t, first, 1)

            def square(k: Integer, here: Value = here, there: Value = there, some: int = some) -> None:
                begin = self._at(here, k, 1)
                rows = [self.code.load(self._at(begin, c, source.across), self.dtype, lanes) for c in range(some)]
                rows += [constant(self.dtype, 0, lanes)] * (lanes - some)
                for i, vector in enumerate(transposed(self.code, rows)):
                    self.code.store(vector, self._at(there, integers.add(k, i), target.depth), self.dtype)

            def gather(k: Integer, here: Value = here, there: Value = there, some: int = some) -> None:
                begin = self._at(here, k, source.depth)
                goal = self._at(there, k, target.depth)
                for c in range(lanes):
                    value = constant(self.dtype, 0)
                    if c < some:
                        value = self.code.load(self._at(begin, c, source.across), self.dtype)
                    self.code.store(value, self._at(goal, c, 1), self.dtype)

            integers.each(0, whole, lanes, square)
            integers.each(whole, self.depth, 1, gather)

    def _row(self, s: Value, t: Value, stride: int) -> None:
        integers = self.integers
        whole: Integer = 0
        if stride == 1:
            whole = integers.times(integers.quotient(self.depth, self.lanes), self.lanes)

        def move(lanes: int) -> Callable[[Integer], None]:
            def body(k: Integer) -> None:
                self.code.store(
                    self.code.load(self._at(s, k, stride), self.dtype, lanes), self._at(t, k, 1), self.dtype
                )

            return body

        integers.each(0, whole, self.lanes, move(self.lanes))
        integers.each(whole, self.depth, 1, move(1))

    def _copy(self, s: Value, t: Value, count: int, stride: int) -> None:
        """So many elements, to neighbouring places."""
        parts = [p for first in range(0, count, self.lanes) for p in self._parts(first, count)] if stride == 1 else []
        for first, length in parts or [(i, 1) for i in range(count)]:
            self.code.store(
                self.code.load(self._at(s, first, stride), self.dtype, length), self._at(t, first, 1), self.dtype
            )

    def _parts(self, first: int, count: int) -> list[tuple[int, int]]:
        return [(first + at, length) for at, length in parts_of(self.lanes, min(self.lanes, count - first))]

    def _at(self, pointer: Value, steps: Integer, stride: int) -> Value:
        return self.code.at(pointer, self.dtype, self.integers.value(self.integers.times(steps, stride)))

    def _each_block(self, source: Operand, target: Operand, body: Body) -> None:
        def along(axis: int, s: Value, t: Value) -> None:
            if axis == len(self.blocks):
                body(s, t)
                return
            self.integers.each(
                0,
                self.blocks[axis],
                1,
                lambda i: along(
                    axis + 1, self._at(s, i, source.blocks[axis]), self._at(t, i, target.blocks[axis])
                ),
            )

        along(0, source.pointer, target.pointer)


