"""The code of one product: which thread computes what, blocks, passes over the depth, packing, tiles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

from llvmlite import ir

from clearprop.compiler.native.code import POINTER, Code, Value, index
from clearprop.compiler.native.gemm_corner import Corner
from clearprop.compiler.native.gemm_packing import Packer
from clearprop.compiler.native.gemm_place import Epilogue, offset_along
from clearprop.compiler.native.gemm_plan import Packing, Plan, Run, count, tiles, whole_runs
from clearprop.compiler.native.gemm_store import Store
from clearprop.compiler.native.gemm_tile import Operand, Tile, dot_sums, spread_sums
from clearprop.compiler.native.integers import Integer, Integers
from clearprop.compiler.native.team import SHARED_ARGUMENTS, Team


class _Pass:
    """One pass over the depth, for one block of panels of b.

    Attributes:
        number: how many came before it.
        depth: how many steps it has.
        a, b: where it begins, in elements.
    """

    def __init__(self, code: Code, plan: Plan, number: Integer, outer: Integer) -> None:
        integers, b = Integers(code), code.builder
        chunk = integers.remainder(number, plan.chunks)
        block = integers.quotient(number, plan.chunks)
        last = plan.walks.depth.length - (plan.chunks - 1) * plan.chunk
        self.depth: Integer = last
        if plan.chunks > 1 and last != plan.chunk:
            is_tail = b.icmp_unsigned("==", integers.value(chunk), index(plan.chunks - 1))
            self.depth = b.select(is_tail, index(last), index(plan.chunk))
        self.number = number
        self.a, self.b = (
            integers.add(
                offset_along(integers, plan.walks.outer, outer, side),
                offset_along(integers, plan.slow_blocks, block, side),
                integers.times(chunk, plan.chunk * getattr(plan.walks.depth, side)),
            )
            for side in ("a", "b")
        )


class GemmWriter:
    """Writes one function.

    Args:
        alone: see `clearprop.compiler.native.gemm.Gemm`.
        turns: where the parts begin and end that threads take in turn, in tiles; none if each has its share.
    """

    def __init__(
        self,
        module: ir.Module,
        name: str,
        plan: Plan,
        epilogue: Epilogue | None,
        *,
        alone: bool,
        turns: Sequence[int] = (),
    ) -> None:
        extra = epilogue.pointers if epilogue else 0
        types = [POINTER] * (4 + extra) + [*SHARED_ARGUMENTS][: 3 if turns else 2]
        self.code = Code.function(module, name, types, may_overlap=extra > 0)  # c may be where an epilogue reads
        self.integers = Integers(self.code)
        self.plan, self.dtype, self.lanes = plan, plan.product.dtype, plan.lanes
        arguments = list(self.code.builder.function.args)
        meeting = arguments.pop() if turns else None
        self.a, self.b, self.c, *pointers, self.thread, self.threads = arguments
        self.scratch, self.turns = pointers.pop(), turns
        if alone:
            self.thread, self.threads = 0, 1
        self.team = Team(self.code, self.thread, self.threads, meeting)
        self.store = Store(self.code, plan, epilogue, pointers)
        if plan.walks.flipped:
            self.a, self.b = self.b, self.a
        self.across_tiles, self.down_tiles = tiles(plan.columns), tiles(plan.rows)
        self.items = count(plan.walks.inner)

    def write(self) -> None:
        """The whole function."""
        outer = count(self.plan.walks.outer)
        if outer and self.items and self.across_tiles and self.down_tiles:
            itemsize = 4 if self.dtype == "float32" else 8
            mine = self.integers.times(self.thread, self.plan.scratch_bytes // itemsize)
            self.scratch_b = self._at(self.scratch, mine)
            self.scratch_a = self._at(self.scratch_b, self.plan.packed_b)
            self.packed = self.b
            if self.turns:
                self._in_turns()
            else:
                self._shares(outer)
        self.code.builder.ret_void()

    # Which part is whose ----------------------------------------------------------------------------------------------

    def _shares(self, outer: int) -> None:
        """Threads share what there is more of, rows or columns; if that is not enough for all, the other one, too."""
        integers, plan = self.integers, self.plan
        rows, columns = self.items * self.down_tiles, self.across_tiles
        by_rows = plan.walks.by_rows
        units, others = (rows, columns) if by_rows else (columns, rows)
        groups = integers.smaller(self.threads, outer * units)
        within = integers.quotient(self.threads, groups)
        group, member = integers.remainder(self.thread, groups), integers.quotient(self.thread, groups)
        low, high = self._share(outer * units, group, groups)
        other = self._share(others, member, within)

        def item(number: Integer) -> None:
            mine = self._clipped(low, high, number, units, outer)
            self._panels(number, *(mine, other) if by_rows else (other, mine))

        def body() -> None:
            first, last = self._items_between(low, high, units, outer)
            integers.each(first, last, 1, item)

        if self.threads == 1:
            body()
            return
        b = self.code.builder
        with b.if_then(b.icmp_signed("<", integers.value(member), integers.value(within))):
            body()

    def _share(self, units: int, number: Integer, parts: Integer) -> tuple[Integer, Integer]:
        """The range of one of several parts."""
        integers = self.integers
        after = integers.add(number, 1)
        low, high = (integers.quotient(integers.times(at, units), parts) for at in (number, after))
        return low, high

    def _items_between(self, low: Integer, high: Integer, size: int, items: int) -> tuple[Integer, Integer]:
        """The items, ``size`` units each, that a range of units touches."""
        if items == 1:
            return 0, 1
        integers = self.integers
        return integers.quotient(low, size), integers.quotient(integers.add(high, size - 1), size)

    def _clipped(self, low: Integer, high: Integer, item: Integer, size: int, items: int) -> tuple[Integer, Integer]:
        """What a range of units has of one item."""
        if items == 1:
            return low, high
        if (low, high) == (0, size * items):
            return 0, size
        integers = self.integers
        begin = integers.times(item, size)
        low, high = integers.sub(low, begin), integers.sub(high, begin)
        return integers.larger(low, 0), integers.smaller(high, size)

    def _in_turns(self) -> None:
        """Threads pack together what all of them need, and take parts of the rows, or columns, as they are done."""
        plan, self.outer, self.outer_c = self.plan, 0, self.c
        rows, columns = (0, self.down_tiles), (0, self.across_tiles)

        def part(low: Integer, high: Integer) -> None:
            if plan.walks.by_rows:
                self._blocks((low, high), columns)
                return
            if plan.pack_b is not None and not plan.prepacked:
                self.first_column = low
                self._pack_b((low, high))
            if plan.pack_a is None:
                self._blocks(rows, (low, high))
            else:
                self._each_tile(plan.columns, (low, high), lambda run, j: self._rows(rows, run, j))

        def one_pass(number: Integer) -> None:
            self.now = _Pass(self.code, plan, number, 0)
            self._begin_item(0)
            self.first_row = self.first_column = 0
            if plan.prepacked:
                self._begin_prepacked()
            elif plan.walks.by_rows and plan.pack_b is not None:
                self.scratch_b = self.scratch  # in the place of the first thread
                self._pack_b(self._share(self.across_tiles, self.thread, self.threads))
            if not plan.walks.by_rows and plan.pack_a is not None:
                self.scratch_a = self._at(self.scratch, plan.packed_b)
                self._pack_a(self._share(self.down_tiles, self.thread, self.threads))
            self.team.each(len(self.turns) - 1, lambda number: part(*self._ends(number)))
            if plan.passes > 1:
                self.team.wait()

        self.integers.each(0, plan.passes, 1, one_pass)

    def _ends(self, number: Integer) -> tuple[Integer, Integer]:
        """Where a part begins and ends."""
        b = self.code.builder
        low, high = index(self.turns[0]), index(self.turns[1])
        for i, (first, last) in enumerate(pairwise(self.turns)):
            is_this = b.icmp_unsigned("==", self.integers.value(number), index(i))
            low, high = b.select(is_this, index(first), low), b.select(is_this, index(last), high)
        return low, high

    # Blocks -----------------------------------------------------------------------------------------------------------

    def _panels(self, outer: Integer, rows: tuple[Integer, Integer], columns: tuple[Integer, Integer]) -> None:
        """Blocks of columns, and for each of them the passes over the depth."""
        self.outer = outer
        self.outer_c = self._at(self.c, offset_along(self.integers, self.plan.walks.outer, outer, "c"))

        def block(first: Integer) -> None:
            last = self.integers.smaller(columns[1], self.integers.add(first, self.plan.column_tiles))
            mine = (first, last)
            if self.plan.column_tiles >= self.across_tiles:
                mine = columns
            self.integers.each(0, self.plan.passes, 1, lambda number: self._pass(number, rows, mine))

        if self.plan.column_tiles >= self.across_tiles:
            block(columns[0])
        else:
            self.integers.each(columns[0], columns[1], self.plan.column_tiles, block)

    def _pass(self, number: Integer, rows: tuple[Integer, Integer], columns: tuple[Integer, Integer]) -> None:
        self.now = _Pass(self.code, self.plan, number, self.outer)
        self.first_column = columns[0]
        if self.plan.prepacked:
            self._begin_prepacked()
        elif self.plan.pack_b is not None:
            self._pack_b(columns)
        self._blocks(rows, columns)

    def _blocks(self, rows: tuple[Integer, Integer], columns: tuple[Integer, Integer]) -> None:
        """What a pass has to do with some rows and columns."""
        first, last = self._items_between(rows[0], rows[1], self.down_tiles, self.items)
        if self.plan.row_tiles >= self.down_tiles and self.plan.pack_a is None:
            self._whole_items(first, last, rows, columns)
        else:
            self.integers.each(first, last, 1, lambda item: self._parts_of_item(item, rows, columns))

    def _begin_prepacked(self) -> None:
        """Where what this pass needs of b begins, all columns of it."""
        self.first_column = 0
        self.scratch_b = self._at(self.packed, self.integers.times(self.now.number, self.plan.prepacked_pass))

    def write_packing(self) -> None:
        """Pack b: threads share the columns."""
        self.packed, self.outer = self.c, 0

        def one(number: Integer) -> None:
            self.now = _Pass(self.code, self.plan, number, 0)
            self._begin_prepacked()
            self._pack_b(self._share(self.across_tiles, self.thread, self.threads))

        self.integers.each(0, self.plan.passes, 1, one)
        self.code.builder.ret_void()

    def _whole_items(
        self, first: Integer, last: Integer, rows: tuple[Integer, Integer], columns: tuple[Integer, Integer]
    ) -> None:
        """Some items of the inner batch, all rows of each."""

        def some(begin: Integer) -> None:
            end = self.integers.smaller(last, self.integers.add(begin, self.plan.items))

            def panel(run: Run, j: Integer) -> None:
                def item(number: Integer) -> None:
                    self._begin_item(number)
                    self._rows(self._clipped(rows[0], rows[1], number, self.down_tiles, self.items), run, j)

                self.integers.each(begin, end, 1, item)

            self._each_tile(self.plan.columns, columns, panel)

        self.integers.each(first, last, self.plan.items, some)

    def _parts_of_item(self, item: Integer, rows: tuple[Integer, Integer], columns: tuple[Integer, Integer]) -> None:
        """One item of the inner batch, some rows after the other."""
        self._begin_item(item)
        low, high = self._clipped(rows[0], rows[1], item, self.down_tiles, self.items)

        def some(begin: Integer) -> None:
            end = self.integers.smaller(high, self.integers.add(begin, self.plan.row_tiles))
            self.first_row = begin
            if self.plan.pack_a is not None:
                self._pack_a((begin, end))
            self._each_tile(self.plan.columns, columns, lambda run, j: self._rows((begin, end), run, j))

        self.integers.each(low, high, self.plan.row_tiles, some)

    def _begin_item(self, item: Integer) -> None:
        """Where an item of the inner batch begins."""
        inner = self.plan.walks.inner
        self.item = item
        self.item_a = self._at(self.a, self.now.a, offset_along(self.integers, inner, item, "a"))
        self.item_c = self._at(self.outer_c, offset_along(self.integers, inner, item, "c"))

    def _rows(self, rows: tuple[Integer, Integer], run: Run, j: Integer) -> None:
        self._each_tile(self.plan.rows, rows, lambda row_run, i: self._tile(row_run, i, run, j))

    def _each_tile(
        self, runs: tuple[Run, ...], among: tuple[Integer, Integer], body: Callable[[Run, Integer], None]
    ) -> None:
        """The tiles of a range, run by run."""
        for run in runs:
            low, high = among
            if len(runs) > 1:
                low = self.integers.larger(low, run.first) if run.first else low
                high = self.integers.smaller(high, run.last)
            self.integers.each(low, high, 1, partial(body, run))

    # Operands ---------------------------------------------------------------------------------------------------------

    def _start(self, run: Run, tile: Integer) -> Integer:
        """The element where a tile begins."""
        return self.integers.add(self.integers.times(tile, run.size), run.start - run.first * run.size)

    def _at(self, pointer: Value, *offsets: Integer) -> Value:
        return self.code.at(pointer, self.dtype, self.integers.value(self.integers.add(*offsets)))

    def _source_a(self, run: Run, i: Integer) -> Operand:
        walks = self.plan.walks
        pointer = self._at(self.item_a, self.integers.times(self._start(run, i), walks.rows.a))
        return Operand(pointer, walks.rows.a, walks.depth.a, tuple(walk.a for walk in self.plan.fast_blocks))

    def _source_b(self, run: Run, j: Integer) -> Operand:
        walks = self.plan.walks
        start = self.integers.times(self._start(run, j), walks.columns.b)
        pointer = self._at(self.b, self.now.b, start)
        return Operand(pointer, walks.columns.b, walks.depth.b, tuple(walk.b for walk in self.plan.fast_blocks))

    def _packed(self, pointer: Value, packing: Packing, number: Integer) -> Operand:
        """The packed copy of what a tile needs, the number of which counts from the first one packed."""
        blocks, length = [], self.plan.chunk
        for walk in reversed(self.plan.fast_blocks):
            blocks.append(length * packing.depth)
            length *= walk.length
        start = self._at(pointer, self.integers.times(number, packing.tile))
        return Operand(start, packing.across, packing.depth, tuple(reversed(blocks)))

    def _packed_a(self, i: Integer) -> Operand:
        assert self.plan.pack_a is not None
        return self._packed(self.scratch_a, self.plan.pack_a, self.integers.sub(i, self.first_row))

    def _packed_b(self, j: Integer) -> Operand:
        assert self.plan.pack_b is not None
        return self._packed(self.scratch_b, self.plan.pack_b, self.integers.sub(j, self.first_column))

    def _pack_b(self, columns: tuple[Integer, Integer]) -> None:
        packer, walks = self._packer(filled=True), self.plan.walks

        def each_tile(body: Callable[[Operand, Operand, int], None]) -> None:
            self._each_tile(
                self.plan.columns, columns, lambda run, j: body(self._source_b(run, j), self._packed_b(j), run.size)
            )

        if self.plan.is_dot:
            packer.along_depth(each_tile)
        elif walks.columns.b == 1:
            packer.copy(each_tile)
        else:
            packer.turn(lambda body: self._each_strip(columns, body))

    def _pack_a(self, rows: tuple[Integer, Integer]) -> None:
        packer, walks = self._packer(filled=False), self.plan.walks

        def each_tile(body: Callable[[Operand, Operand, int], None]) -> None:
            self._each_tile(
                self.plan.rows, rows, lambda run, i: body(self._source_a(run, i), self._packed_a(i), run.size)
            )

        pack = packer.along_depth if self.plan.is_dot else packer.copy if walks.rows.a == 1 else packer.turn
        pack(each_tile)

    def _packer(self, *, filled: bool) -> Packer:
        blocks = [walk.length for walk in self.plan.fast_blocks]
        return Packer(self.code, self.dtype, self.lanes, blocks, self.now.depth, filled=filled)

    def _each_strip(self, columns: tuple[Integer, Integer], body: Callable[[Operand, Operand, int], None]) -> None:
        """The vectors of columns that some tiles have, and where each goes."""
        plan, integers = self.plan, self.integers
        vectors = plan.width // self.lanes
        runs = whole_runs(plan.walks.columns.length, self.lanes)

        def strip(run: Run, number: Integer) -> None:
            target = self._packed_b(integers.quotient(number, vectors))
            within = integers.times(integers.remainder(number, vectors), self.lanes)
            body(self._source_b(run, number), target._replace(pointer=self._at(target.pointer, within)), run.size)

        low, high = (integers.times(end, vectors) for end in columns)
        self._each_tile(runs, (low, integers.smaller(high, tiles(runs))), strip)

    # One tile ---------------------------------------------------------------------------------------------------------

    def _tile(self, row_run: Run, i: Integer, column_run: Run, j: Integer) -> None:
        plan = self.plan
        a = self._source_a(row_run, i) if plan.pack_a is None else self._packed_a(i)
        b = self._source_b(column_run, j) if plan.pack_b is None else self._packed_b(j)
        blocks = tuple(walk.length for walk in plan.fast_blocks)
        tile = Tile(row_run.size, column_run.size, self.now.depth, blocks, a, b)
        row, column = self._start(row_run, i), self._start(column_run, j)
        walks, integers = plan.walks, self.integers
        start = self._at(self.item_c, integers.times(row, walks.rows.c), integers.times(column, walks.columns.c))
        corner = Corner(self.outer, self.item, row, column, row_run.size, column_run.size, start)
        if plan.passes > 1 and plan.chunk >= 64:
            self.store.prefetch(corner)
        sums = (dot_sums if plan.is_dot else spread_sums)(self.code, self.dtype, self.lanes, tile)
        self.store.write(sums, corner, self.now.number)
