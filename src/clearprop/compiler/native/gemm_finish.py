"""A long epilogue: a function of its own, which is called for each tile whose sums are complete.

It is apart from the product because both want all registers: what the epilogue keeps in them, were it in the same
function, would be missing where the sums are computed. The sums come in memory that is the tile's own, not in c: rows
are often 4 KiB apart, or a multiple, and a processor that meets a load behind a store to an address with the same last
12 bits has to wait until it knows that they are not the same.
"""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir

from clearprop.compiler.native.code import I64, POINTER, Code, Value
from clearprop.compiler.native.gemm_corner import Corner, Part, Tiles
from clearprop.compiler.native.gemm_place import Epilogue, Row
from clearprop.compiler.native.gemm_plan import Plan
from clearprop.compiler.native.integers import Integer, Integers


def own_width(plan: Plan) -> int:
    """How far the rows of a tile stand apart in memory of its own: whole vectors."""
    return -(-plan.width // plan.lanes) * plan.lanes


def own_size(plan: Plan) -> int:
    """How many elements the memory of a tile has."""
    return max(run.size for run in plan.rows) * own_width(plan)


class Finish:
    """The function of an epilogue.

    Args:
        name: of the function; it is written into the module if it is not there yet.
    """

    def __init__(self, module: ir.Module, name: str, plan: Plan, epilogue: Epilogue) -> None:
        self.plan, self.epilogue = plan, epilogue
        self.batches = [bool(axes) for axes in (plan.walks.outer, plan.walks.inner)]
        if name not in module.globals:
            numbers = [I64] * (4 + sum(self.batches))
            types = [*[POINTER] * (2 + epilogue.pointers), *numbers]
            self._write(Code.function(module, name, types, may_overlap=True))  # c may be where it reads
        self.function: ir.Function = module.globals[name]

    def call(self, code: Code, corner: Corner, sums: Value, extra: list[Value]) -> None:
        """Call it for a tile, with the additional pointers of the epilogue."""
        where = [corner.row, corner.column, corner.rows, corner.columns]
        where += [at for at, is_there in zip((corner.outer, corner.item), self.batches, strict=True) if is_there]
        integers = Integers(code)
        code.builder.call(self.function, [corner.pointer, sums, *extra, *map(integers.value, where)])

    def _write(self, code: Code) -> None:
        pointer, sums, *rest = code.builder.function.args
        extra, where = rest[: self.epilogue.pointers], rest[self.epilogue.pointers :]
        row, column, rows, columns, *batch = where
        outer, item = (batch.pop(0) if is_there else 0 for is_there in self.batches)
        self.code, self.tiles = code, Tiles(code, self.plan, extra)
        self.corner = Corner(outer, item, row, column, rows, columns, pointer)
        self._each_part(lambda r, row, there: self._finish(sums, r, row, there))
        code.builder.ret_void()

    def _finish(self, sums: Value, r: Integer, row: Row, there: Part) -> None:
        """Compute, and store."""
        tiles, integers = self.tiles, self.tiles.integers
        offset = integers.add(integers.times(r, own_width(self.plan)), there.column)
        start = self.code.at(sums, tiles.dtype, integers.value(offset))
        value = self.code.load(start, tiles.dtype, there.lanes)
        tiles.put(self.epilogue.write(self.code, value, tiles.place(self.corner, row, there)), there)

    def _each_part(self, body: Callable[[Integer, Row, Part], None]) -> None:
        """Loops over the rows, their whole vectors, and what remains of each row."""
        corner, integers, sizes = self.corner, self.tiles.integers, [run.size for run in self.plan.columns]
        lanes = min(self.plan.lanes, 1 << (max(sizes).bit_length() - 1))
        rest = integers.remainder(corner.columns, lanes) if any(size % lanes for size in sizes) else 0
        whole = integers.sub(corner.columns, rest)

        def row(r: Integer) -> None:
            this = self.tiles.row(corner, r)
            integers.each(0, whole, lanes, lambda c: body(r, this, self.tiles.part(corner, r, c, lanes)))
            if not isinstance(rest, int):
                integers.each(whole, corner.columns, 1, lambda c: body(r, this, self.tiles.part(corner, r, c, 1)))

        integers.each(0, corner.rows, 1, row)
