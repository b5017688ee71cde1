"""The one building block of contractions: a batch-reduce matrix product, written for one machine and one product.

A `Gemm` writes a function that computes what a `Product` describes, as its `Plan` says:

    name(a, b, c, additional pointers of the epilogue …, scratch, thread, threads)

Every thread calls it with its number; together they compute c, and none waits for another. What is packed each thread
packs for itself, in its own part of the scratch buffer. An element of c is summed in the same order whatever the number
of threads. No element is skipped because it is 0: NaN and infinities come out as the sums have them.

See Georganas et al., "Harnessing deep learning via a single building block" (IPDPS 2020), for why one is enough.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache

from llvmlite import ir

from clearprop.compiler.native.code import I32, I64, POINTER, VOID, Code, Value, index
from clearprop.compiler.native.gemm_packing import Packer
from clearprop.compiler.native.gemm_place import Epilogue, Place
from clearprop.compiler.native.gemm_plan import Packing, Plan, Run, count, plan, tiles, whole_runs
from clearprop.compiler.native.gemm_tile import Operand, Sums, Tile, dot_sums, spread_sums
from clearprop.compiler.native.integers import Integer, Integers
from clearprop.compiler.native.lanes import part, parts_of, store_apart
from clearprop.compiler.native.machine import Machine, host
from clearprop.compiler.native.product import Product, Walk

_plan = lru_cache(maxsize=1024)(plan)


class Gemm:
    """A product that can be written into a module.

    Attributes:
        plan: how it is computed.
        key: products with equal keys are the same function.
        scratch_bytes: what one thread needs; the buffer holds that much for each of them.
    """

    def __init__(self, product: Product, machine: Machine | None = None, epilogue: Epilogue | None = None) -> None:
        self.product, self.machine, self.epilogue = product, machine or host(), epilogue
        self.plan = _plan(product, self.machine)
        self.key = ("gemm", product, self.machine, epilogue)
        self.scratch_bytes = self.plan.scratch_bytes

    @property
    def name(self) -> str:
        """Of the function: equal for equal keys, in every process."""
        words = repr((self.product, self.machine, self.epilogue and self.epilogue.key))
        return f"gemm_{hashlib.sha256(words.encode()).hexdigest()[:24]}"

    def write(self, module: ir.Module, name: str = "") -> ir.Function:
        """The function in that module; written if it is not there yet."""
        name = name or self.name
        if name not in module.globals:
            _Writer(module, name, self.plan, self.epilogue).write()
        return module.globals[name]


class _Pass:
    """One pass over the depth, for one panel block of b.

    Attributes:
        depth: how many steps it has.
        is_first, is_last: whether c is there already, whether it will be complete; bits, or known.
        a, b: where it begins, in elements.
    """

    def __init__(self, writer: _Writer, number: Integer, outer: Integer) -> None:
        plan, integers, b = writer.plan, writer.integers, writer.code.builder
        chunk = integers.remainder(number, plan.chunks)
        block = integers.quotient(number, plan.chunks)
        last = plan.walks.depth.count - (plan.chunks - 1) * plan.chunk
        self.depth: Integer = last
        if plan.chunks > 1 and last != plan.chunk:
            is_tail = b.icmp_unsigned("==", integers.value(chunk), index(plan.chunks - 1))
            self.depth = b.select(is_tail, index(last), index(plan.chunk))
        self.number = number
        self.a, self.b = (
            integers.add(
                writer.offset(plan.walks.outer, outer, side),
                writer.offset(plan.slow_blocks, block, side),
                integers.times(chunk, plan.chunk * getattr(plan.walks.depth, side)),
            )
            for side in ("a", "b")
        )


class _Writer:
    """Writes one function."""

    def __init__(self, module: ir.Module, name: str, plan: Plan, epilogue: Epilogue | None) -> None:
        extra = epilogue.pointers if epilogue else 0
        self.code = Code.function(module, name, [POINTER] * (4 + extra) + [I64, I64])
        self.integers = Integers(self.code)
        self.plan, self.epilogue, self.dtype, self.lanes = plan, epilogue, plan.product.dtype, plan.lanes
        self.a, self.b, self.c, *self.extra, scratch, self.thread, self.threads = self.code.builder.function.args
        self.scratch = scratch
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
            self._shares(outer)
        self.code.builder.ret_void()

    # Which part is whose ----------------------------------------------------------------------------------------------

    def _shares(self, outer: int) -> None:
        """Threads share what there is more of, rows or columns; if that is not enough for all, the other one, too."""
        integers, plan = self.integers, self.plan
        rows, columns = self.items * self.down_tiles, self.across_tiles
        by_rows = self.items * plan.walks.rows.count >= plan.walks.columns.count
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

        b = self.code.builder
        with b.if_then(b.icmp_signed("<", integers.value(member), integers.value(within))):
            body()

    def _share(self, units: int, number: Integer, parts: Integer) -> tuple[Integer, Integer]:
        """The range of one of several parts."""
        integers = self.integers
        ends = (integers.quotient(integers.times(at, units), parts) for at in (number, integers.add(number, 1)))
        low, high = ends
        return low, high

    def _items_between(self, low: Integer, high: Integer, size: int, items: int) -> tuple[Integer, Integer]:
        """The items, ``size`` units each, that a range of units touches."""
        if items == 1:
            return 0, 1
        integers = self.integers
        return integers.quotient(low, size), integers.quotient(integers.add(high, size - 1), size)

    def _clipped(
        self, low: Integer, high: Integer, item: Integer, size: int, items: int
    ) -> tuple[Integer, Integer]:
        """What a range of units has of one item."""
        if items == 1:
            return low, high
        integers = self.integers
        begin = integers.times(item, size)
        low, high = integers.sub(low, begin), integers.sub(high, begin)
        return integers.larger(low, 0), integers.smaller(high, size)

    # Blocks -----------------------------------------------------------------------------------------------------------

    def _panels(self, outer: Integer, rows: tuple[Integer, Integer], columns: tuple[Integer, Integer]) -> None:
        """Blocks of columns, and for each of them the passes over the depth."""
        self.outer = outer

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
        self.now = _Pass(self, number, self.outer)
        self.first_column = columns[0]
        if self.plan.pack_b is not None:
            self._pack_b(columns)
        first, last = self._items_between(rows[0], rows[1], self.down_tiles, self.items)
        if self.plan.row_tiles >= self.down_tiles and self.plan.pack_a is None:
            self._whole_items(first, last, rows, columns)
        else:
            self.integers.each(first, last, 1, lambda item: self._parts_of_item(item, rows, columns))

    def _whole_items(
        self, first: Integer, last: Integer, rows: tuple[Integer, Integer], columns: tuple[Integer, Integer]
    ) -> None:
        """Some items of the inner batch, all rows of each."""

        def some(begin: Integer) -> None:
            end = self.integers.smaller(last, self.integers.add(begin, self.plan.items))

            def panel(run: Run, j: Integer) -> None:
                def item(number: Integer) -> None:
                    mine = self._clipped(rows[0], rows[1], number, self.down_tiles, self.items)
                    self._rows(number, mine, run, j)

                self.integers.each(begin, end, 1, item)

            self._each_tile(self.plan.columns, columns, panel)

        self.integers.each(first, last, self.plan.items, some)

    def _parts_of_item(self, item: Integer, rows: tuple[Integer, Integer], columns: tuple[Integer, Integer]) -> None:
        """One item of the inner batch, some rows after the other."""
        low, high = self._clipped(rows[0], rows[1], item, self.down_tiles, self.items)

        def some(begin: Integer) -> None:
            end = self.integers.smaller(high, self.integers.add(begin, self.plan.row_tiles))
            self.first_row = begin
            if self.plan.pack_a is not None:
                self._pack_a(item, (begin, end))
            self._each_tile(self.plan.columns, columns, lambda run, j: self._rows(item, (begin, end), run, j))

        self.integers.each(low, high, self.plan.row_tiles, some)

    def _rows(self, item: Integer, rows: tuple[Integer, Integer], run: Run, j: Integer) -> None:
        self._each_tile(self.plan.rows, rows, lambda row_run, i: self._tile(item, row_run, i, run, j))

    def _each_tile(
        self, runs: tuple[Run, ...], among: tuple[Integer, Integer], body: Callable[[Run, Integer], None]
    ) -> None:
        """The tiles of a range, run by run."""
        for run in runs:
            low, high = among
            if len(runs) > 1:
                low = self.integers.larger(low, run.first) if run.first else low
                high = self.integers.smaller(high, run.last)
            self.integers.each(low, high, 1, lambda i, run=run: body(run, i))

    # Operands ---------------------------------------------------------------------------------------------------------

    def offset(self, axes: tuple[Walk, ...], number: Integer, side: str) -> Integer:
        """How far it is to a position on some axes, the last of which runs fastest."""
        integers, total = self.integers, 0
        for i, walk in enumerate(reversed(axes)):
            position = number if i == len(axes) - 1 else integers.remainder(number, walk.count)
            number = integers.quotient(number, walk.count)
            total = integers.add(total, integers.times(position, getattr(walk, side)))
        return total

    def _start(self, run: Run, tile: Integer) -> Integer:
        """The element where a tile begins."""
        return self.integers.add(self.integers.times(tile, run.size), run.start - run.first * run.size)

    def _at(self, pointer: Value, *offsets: Integer) -> Value:
        return self.code.at(pointer, self.dtype, self.integers.value(self.integers.add(*offsets)))

    def _source_a(self, item: Integer, run: Run, i: Integer) -> Operand:
        walks = self.plan.walks
        start = self.integers.times(self._start(run, i), walks.rows.a)
        pointer = self._at(self.a, self.now.a, self.offset(walks.inner, item, "a"), start)
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
            length *= walk.count
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

    def _pack_a(self, item: Integer, rows: tuple[Integer, Integer]) -> None:
        packer, walks = self._packer(filled=False), self.plan.walks
        pack = packer.along_depth if self.plan.is_dot else packer.copy if walks.rows.a == 1 else packer.turn
        pack(
            lambda body: self._each_tile(
                self.plan.rows, rows, lambda run, i: body(self._source_a(item, run, i), self._packed_a(i), run.size)
            )
        )

    def _packer(self, *, filled: bool) -> Packer:
        blocks = [walk.count for walk in self.plan.fast_blocks]
        return Packer(self.code, self.dtype, self.lanes, blocks, self.now.depth, filled=filled)

    def _each_strip(
        self, columns: tuple[Integer, Integer], body: Callable[[Operand, Operand, int], None]
    ) -> None:
        """The vectors of columns that some tiles have, and where each goes."""
        plan, integers = self.plan, self.integers
        vectors = plan.width // self.lanes
        runs = whole_runs(plan.walks.columns.count, self.lanes)

        def strip(run: Run, number: Integer) -> None:
            target = self._packed_b(integers.quotient(number, vectors))
            within = integers.times(integers.remainder(number, vectors), self.lanes)
            body(self._source_b(run, number), target._replace(pointer=self._at(target.pointer, within)), run.size)

        low, high = (integers.times(end, vectors) for end in columns)
        self._each_tile(runs, (low, integers.smaller(high, tiles(runs))), strip)

    # One tile ---------------------------------------------------------------------------------------------------------

    def _tile(self, item: Integer, row_run: Run, i: Integer, column_run: Run, j: Integer) -> None:
        plan = self.plan
        a = self._source_a(item, row_run, i) if plan.pack_a is None else self._packed_a(i)
        b = self._source_b(column_run, j) if plan.pack_b is None else self._packed_b(j)
        blocks = tuple(walk.count for walk in plan.fast_blocks)
        tile = Tile(row_run.size, column_run.size, self.now.depth, blocks, a, b)
        end = _End(self, item, self._start(row_run, i), self._start(column_run, j), tile)
        if plan.passes > 1 and plan.chunk >= 64:
            end.prefetch()
        sums = (dot_sums if plan.is_dot else spread_sums)(self.code, self.dtype, self.lanes, tile)
        end.write(sums)


class _End:
    """From the registers of a tile to c."""

    def __init__(self, writer: _Writer, item: Integer, row: Integer, column: Integer, tile: Tile) -> None:
        self.writer, self.item, self.row, self.column, self.tile = writer, item, row, column, tile
        walks, integers = writer.plan.walks, writer.integers
        self.start = integers.add(
            writer.offset(walks.outer, writer.outer, "c"),
            writer.offset(walks.inner, item, "c"),
            integers.times(row, walks.rows.c),
            integers.times(column, walks.columns.c),
        )
        self.vectors = -(-tile.columns // writer.lanes)

    def write(self, sums: Sums) -> None:
        """Add to c, or overwrite it; then the epilogue."""
        writer, plan, b = self.writer, self.writer.plan, self.writer.code.builder
        epilogue, now = writer.epilogue, writer.now
        if plan.passes == 1:
            in_place = epilogue is not None and epilogue.is_long
            self._store(sums, add=plan.product.accumulate, finish=not in_place)
            if in_place:
                self._finish_in_place()
            return
        if plan.product.accumulate:
            self._store(sums, add=True, finish=False)
        else:
            with b.if_else(b.icmp_signed("==", now.number, index(0))) as (first, later):
                with first:
                    self._store(sums, add=False, finish=False)
                with later:
                    self._store(sums, add=True, finish=False)
        if epilogue is not None:
            with b.if_then(b.icmp_signed("==", now.number, index(plan.passes - 1))):
                self._finish_in_place()

    def prefetch(self) -> None:
        """Have the tile's part of c ready when its sums are."""
        code = self.writer.code
        function = code.module.globals.get("llvm.prefetch.p0")
        if function is None:
            kinds = [POINTER, I32, I32, I32]
            function = ir.Function(code.module, ir.FunctionType(VOID, kinds), "llvm.prefetch.p0")
        for r in range(self.tile.rows):
            for column in {0, self.tile.columns - 1}:
                address = self.writer._at(self.writer.c, self._offset(r, column))
                code.builder.call(function, [address, ir.Constant(I32, 1), ir.Constant(I32, 3), ir.Constant(I32, 1)])

    def _store(self, sums: Sums, *, add: bool, finish: bool) -> None:
        code = self.writer.code
        for r in range(self.tile.rows):
            for column, lanes, pointer in self._parts(r):
                vector = sums[r * self.vectors + column // self.writer.lanes]
                value = part(code, vector, column % self.writer.lanes, lanes)
                if add:
                    value = code.builder.fadd(self._load(pointer, lanes), value)
                if finish:
                    value = self._finished(value, r, column, lanes)
                self._put(value, pointer)

    def _finish_in_place(self) -> None:
        """The epilogue for a tile that is in c already: written once for all of its rows."""

        def row(r: Integer) -> None:
            for column, lanes, pointer in self._parts(r):
                self._put(self._finished(self._load(pointer, lanes), r, column, lanes), pointer)

        self.writer.integers.each(0, self.tile.rows, 1, row)

    def _finished(self, value: Value, row: Integer, column: int, lanes: int) -> Value:
        """What the epilogue makes of some neighbouring elements."""
        writer, integers = self.writer, self.writer.integers
        if writer.epilogue is None:
            return value
        walks = writer.plan.walks
        positions = [
            (walks.rows, integers.add(self.row, row)),
            (walks.columns, integers.add(self.column, column)),
            *self._digits(walks.outer, writer.outer),
            *self._digits(walks.inner, self.item),
        ]
        axis = "rows" if walks.flipped else "columns"
        place = Place(writer.code, positions, lanes, axis, writer.extra, integers.value(self._offset(row, column)))
        return writer.epilogue.write(writer.code, value, place)

    def _digits(self, axes: tuple[Walk, ...], number: Integer) -> list[tuple[Walk, Integer]]:
        integers, digits = self.writer.integers, []
        for walk in reversed(axes):
            digits.append((walk, integers.remainder(number, walk.count)))
            number = integers.quotient(number, walk.count)
        return digits

    def _offset(self, row: Integer, column: int) -> Integer:
        walks, integers = self.writer.plan.walks, self.writer.integers
        return integers.add(self.start, integers.times(row, walks.rows.c), column * walks.columns.c)

    def _parts(self, row: Integer) -> list[tuple[int, int, Value]]:
        """Of one row of the tile: first column, number of lanes and address of each part."""
        lanes, found = self.writer.lanes, []
        for first in range(0, self.tile.columns, lanes):
            for at, length in parts_of(lanes, min(lanes, self.tile.columns - first)):
                address = self.writer.code.at(
                    self.writer.c, self.writer.dtype, self.writer.integers.value(self._offset(row, first + at))
                )
                found.append((first + at, length, address))
        return found

    def _load(self, pointer: Value, lanes: int) -> Value:
        stride = self.writer.plan.walks.columns.c
        if lanes == 1 or stride == 1:
            return self.writer.code.load(pointer, self.writer.dtype, lanes)
        return self.writer.code.load_apart(pointer, self.writer.dtype, stride, lanes)

    def _put(self, value: Value, pointer: Value) -> None:
        stride = self.writer.plan.walks.columns.c
        if stride == 1:
            self.writer.code.store(value, pointer, self.writer.dtype)
        else:
            store_apart(self.writer.code, value, pointer, self.writer.dtype, stride)
