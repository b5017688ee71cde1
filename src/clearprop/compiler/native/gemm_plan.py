"""How a product is computed: tiles that fit the registers, blocks that fit the caches, and what is packed.

Two kinds of kernel compute a tile of c, and keep it in registers while they do. One spreads an element of a and
multiplies it with a vector of b's columns: it wants neighbouring columns. The other multiplies vectors along the depth
and adds up their lanes in the end: it wants both operands to be contiguous along the depth, and little else, and is the
better one where rows or columns are few. Which one, and whether a and b change roles, is decided by an estimate of the
time that each takes. What does not lie as a kernel wants it is packed into a buffer first.

Blocking follows Goto and van de Geijn, "Anatomy of high-performance matrix multiplication" (2008): a panel of b stays
in the first-level cache while it meets all rows, a block of a in the second.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from clearprop.compiler.native.machine import Machine
from clearprop.compiler.native.product import Product, Walk, Walks, walks

DEPTH = 384
"""Steps of a pass: so many that adding to c in between costs little, so few that a panel of b is not far away."""
LONG_DEPTH = 704
"""The same where a is read along the depth, as it lies: c is then added to less often, and b is fast enough from a
second-level cache."""
PANEL_BYTES = 24 << 10
"""Of b, if it stays in a first-level data cache."""
BLOCK_BYTES = 384 << 10
"""Of a block of a: less than a second-level cache."""
CACHE_BYTES = 512 << 10
"""Of b, if it is read again and again as it is: part of a second-level cache."""
FEW_ROWS = 32
"""So few that a large b is better read only once than packed."""
PACKED_BYTES = 4 << 20
"""Of the packed panels of b."""

LARGE = 1 << 26
"""Operations: some tenths of a millisecond, in which threads lose more by waiting than by taking turns."""
LEAST_PART = 24
"""Rows, or columns, that are taken at once: for fewer of them the panels of the other operand are read too often."""


class Run(NamedTuple):
    """Tiles of one size: tile t begins at ``start + (t - first) * size``.

    Attributes:
        first, last: tiles, without the last.
        start: the element where the first one begins.
        size: in elements.
    """

    first: int
    last: int
    start: int
    size: int


def even_runs(count: int, size: int) -> tuple[Run, ...]:
    """Tiles that differ by one element at most, none larger than ``size``."""
    tiles = -(-count // size)
    small, larger = divmod(count, tiles) if tiles else (0, 0)
    runs = (Run(0, larger, 0, small + 1), Run(larger, tiles, larger * (small + 1), small))
    return tuple(run for run in runs if run.first < run.last)


def whole_runs(count: int, size: int) -> tuple[Run, ...]:
    """Tiles of that size, and what remains."""
    tiles, rest = divmod(count, size)
    runs = (Run(0, tiles, 0, size), Run(tiles, tiles + (rest > 0), tiles * size, rest))
    return tuple(run for run in runs if run.first < run.last)


class Packing(NamedTuple):
    """A packed copy: how far its tiles, rows (or columns) and steps along the depth stand apart, in elements."""

    tile: int
    across: int
    depth: int


@dataclass(frozen=True)
class Plan:
    """All decisions about one product.

    Attributes:
        walks: its axes.
        is_dot: whether vectors run along the depth.
        rows, columns: runs of tiles.
        width: columns of a full tile.
        slow_blocks: block axes that come one after the other, each step adding to c.
        fast_blocks: block axes that are summed over within a tile.
        chunk: the depth of one pass.
        row_tiles, column_tiles, items: how many tiles of rows, of columns, and how many inner batch items a block has.
        pack_a, pack_b: how, or None.
        prepacked: whether b comes packed, all of it.
        cost: what this is estimated to take, to be compared with other plans for the same product.
    """

    product: Product
    walks: Walks
    lanes: int
    is_dot: bool
    rows: tuple[Run, ...]
    columns: tuple[Run, ...]
    width: int
    slow_blocks: tuple[Walk, ...]
    fast_blocks: tuple[Walk, ...]
    chunk: int
    row_tiles: int
    column_tiles: int
    items: int
    pack_a: Packing | None
    pack_b: Packing | None
    prepacked: bool
    cost: float

    def turns(self, threads: int) -> tuple[int, ...]:
        """The parts of a large product that threads take in turn: large ones first, so that all end together.

        A thread that is slower, because other processes run on its core, then does less. None for a product that is
        small, or several, or whose panels do not all fit the scratch memory.
        """
        walks, whole_a = self.walks, self.row_tiles >= tiles(self.rows)
        is_one = count(walks.outer) == count(walks.inner) == 1
        fits = self.column_tiles >= tiles(self.columns) and (self.walks.by_rows or self.pack_a is None or whole_a)
        if threads == 1 or not is_one or not fits or self.product.operations < LARGE:
            return ()
        units, size = (tiles(self.rows), self.rows[0].size) if self.walks.by_rows else (tiles(self.columns), self.width)
        least, ends = -(-LEAST_PART // size), [0]
        while ends[-1] < units:
            rest = units - ends[-1]
            ends.append(ends[-1] + min(rest, max(least, rest // (2 * threads))))
        return tuple(ends) if len(ends) > 2 * threads else ()

    @property
    def chunks(self) -> int:
        """How many parts the depth has."""
        return max(1, -(-self.walks.depth.length // max(1, self.chunk)))

    @property
    def passes(self) -> int:
        """How often c is added to."""
        return self.chunks * count(self.slow_blocks)

    @property
    def packed_b(self) -> int:
        """Elements of the packed panels of b, in scratch memory."""
        return self.pack_b.tile * self.column_tiles if self.pack_b and not self.prepacked else 0

    @property
    def prepacked_pass(self) -> int:
        """Elements of what one pass needs of a b that comes packed."""
        return self.pack_b.tile * tiles(self.columns) if self.pack_b and self.prepacked else 0

    @property
    def prepacked_bytes(self) -> int:
        """Of a b that comes packed."""
        return self.passes * self.prepacked_pass * (4 if self.product.dtype == "float32" else 8)

    @property
    def packed_a(self) -> int:
        """Elements of the packed block of a."""
        return self.pack_a.tile * self.row_tiles if self.pack_a else 0

    @property
    def scratch_bytes(self) -> int:
        """Of one thread, a multiple of a cache line."""
        itemsize = 4 if self.product.dtype == "float32" else 8
        return -(-(self.packed_a + self.packed_b) * itemsize // 64) * 64


def count(axes: tuple[Walk, ...]) -> int:
    """Steps along all of these axes."""
    return math.prod(walk.length for walk in axes)


def tiles(runs: tuple[Run, ...]) -> int:
    """How many tiles there are."""
    return runs[-1].last if runs else 0


@lru_cache(maxsize=1024)
def plan(product: Product, machine: Machine, *, join_columns: bool = True, prepacked: str = "") -> Plan:
    """The plan that is estimated to take the least time.

    Args:
        join_columns: see `walks`.
        prepacked: "a" or "b" if that one is packed beforehand, which costs nothing; there must be no batch.
    """
    return min(_candidates(product, machine, join_columns, prepacked), key=lambda made: made.cost)


def _candidates(product: Product, machine: Machine, join_columns: bool, prepacked: str) -> Iterator[Plan]:
    for flip in (False, True) if not prepacked else (prepacked == "a",):
        axes = walks(product, flip=flip, join_columns=join_columns)
        if prepacked:
            yield _Planner(product, axes, machine, is_dot=False, prepacked=True).plan()
            continue
        few = axes.rows.length * count(axes.inner) <= FEW_ROWS // 2
        for is_dot in (False, True) if few else (False,):
            yield _Planner(product, axes, machine, is_dot=is_dot).plan()


class _Planner:
    """Makes a plan for given roles of a and b and a given kind of kernel."""

    def __init__(
        self, product: Product, axes: Walks, machine: Machine, *, is_dot: bool, prepacked: bool = False
    ) -> None:
        self.product, self.axes, self.machine, self.is_dot = product, axes, machine, is_dot
        self.prepacked = prepacked
        self.lanes = machine.lanes(np.dtype(product.dtype))
        self.itemsize = 4 if product.dtype == "float32" else 8
        self.total_rows = axes.rows.length * count(axes.inner)

    def plan(self) -> Plan:
        """See `Plan`."""
        axes = self.axes
        kernel, rows, width = min(self._dot_tiles() if self.is_dot else self._spread_tiles())
        columns = whole_runs(axes.columns.length, width)
        is_packed = self._packs_b()
        slow, fast, chunk = self._passes(tiles(columns), is_packed=is_packed)
        depth = count(fast) * chunk
        pack_b, cost_b = self._pack_b(width, depth) if is_packed else (None, 0.0)
        cost_b = 0.0 if self.prepacked else cost_b
        pack_a, cost_a = self._pack_a(rows, columns, fast, chunk)
        row_tiles, items = self._block_of_a(rows, depth, packed=pack_a is not None)
        block = PACKED_BYTES if self.total_rows > 128 else PACKED_BYTES // 8
        column_tiles = max(1, block // self.itemsize // max(1, depth * width))
        passes = count(slow) * -(-axes.depth.length // max(1, chunk))
        apart = 0.0 if axes.columns.c == 1 else 8.0 if self._is_aliased(axes.columns.c) else 1.0
        cost_c = apart * axes.rows.length * axes.columns.length * (1.0 if passes == 1 else 2.0 * passes)
        return Plan(
            self.product,
            axes,
            self.lanes,
            self.is_dot,
            rows,
            columns,
            width,
            slow,
            fast,
            chunk,
            row_tiles,
            min(column_tiles, tiles(columns)) if pack_b and not self.prepacked else tiles(columns),
            items,
            pack_a,
            pack_b,
            self.prepacked,
            count(axes.outer) * (cost_b + count(axes.inner) * (kernel + cost_a + cost_c)),
        )

    # Tiles: the estimate is in cycles of a processor that multiplies two vectors and loads two in each ----------------

    def _spread_tiles(self) -> Iterator[tuple[float, tuple[Run, ...], int]]:
        axes, lanes, registers = self.axes, self.lanes, self.machine.registers
        depth = axes.depth.length * count(axes.blocks)
        is_packed = self._packs_b()
        load_b = 0.6 if is_packed or self._is_aligned() else 1.0
        for vectors in range(1, max(1, min(-(-axes.columns.length // lanes), registers - 4)) + 1):
            columns = whole_runs(axes.columns.length, vectors * lanes)
            passes = -(-depth // (self._longest_pass() * 3 // 2)) if is_packed else 1
            most = max(1, (registers - 1 - vectors) // vectors)  # besides the tile, a row of b and an element of a
            for size in range(1, min(most, max(1, axes.rows.length)) + 1):
                rows, cost = even_runs(axes.rows.length, size), 0.0
                for r in rows:
                    for c in columns:
                        wide = -(-c.size // lanes)
                        step = max(r.size * wide / 2, 0.6 * r.size + load_b * wide, 4.0)
                        if min(depth, DEPTH) * c.size * self.itemsize > PANEL_BYTES:
                            step = max(step, 1.2 * wide)  # b comes from the second-level cache
                        step += 0.5 + 0.03 * (r.size + wide)
                        if r.size > 7 and self._is_aliased(axes.rows.a):
                            step *= 2
                        put = 5 if r.size > 1 and self._is_aliased(axes.rows.c) else 1 if passes == 1 else 2
                        once = passes * (8 + put * r.size * wide)
                        cost += (r.last - r.first) * (c.last - c.first) * (depth * step + once)
                variants = len(rows) * len(columns)
                yield cost * (1 + 0.01 * variants) * self._unevenness(rows, columns), rows, vectors * lanes

    def _dot_tiles(self) -> Iterator[tuple[float, tuple[Run, ...], int]]:
        axes, lanes, registers = self.axes, self.lanes, self.machine.registers
        depth = count(axes.blocks) * -(-axes.depth.length // lanes)
        width = lanes
        while width > 1:
            columns = whole_runs(axes.columns.length, width)
            most = max(1, (registers - 1) // (width + 1))  # besides the tile, as many rows and a column
            for size in range(1, min(most, max(1, axes.rows.length)) + 1):
                rows, cost = even_runs(axes.rows.length, size), 0.0
                for r in rows:
                    step = max(r.size * width / 2, 0.5 * (r.size + width), 4.3)
                    if tiles(rows) > 1 and width * axes.depth.length * self.itemsize > PANEL_BYTES // 2:
                        step = max(step, width)  # columns come from the second-level cache
                    cost += (r.last - r.first) * (depth * step + 8 + 1.5 * r.size * width)
                variants = len(rows) * len(columns)
                yield cost * tiles(columns) * (1 + 0.01 * variants), rows, width
            width //= 2

    def _unevenness(self, rows: tuple[Run, ...], columns: tuple[Run, ...]) -> float:
        """How much longer the one of two threads takes that has a tile more; the plan is the same for any number."""
        axes = self.axes
        units = count(axes.outer) * (count(axes.inner) * tiles(rows) if axes.by_rows else tiles(columns))
        if units < 2 or not self.machine.shares(self.product.operations // 2):
            return 1.0
        return 2 * -(-units // 2) / units

    # Blocks -----------------------------------------------------------------------------------------------------------

    def _passes(self, column_tiles: int, *, is_packed: bool) -> tuple[tuple[Walk, ...], tuple[Walk, ...], int]:
        """Which blocks come one after the other, which are summed within a tile, and what depth at a time.

        A panel of b should stay in the cache while it meets all rows. If b is not packed and meets few rows, it is
        better read in the order of memory: all columns of a few rows of it.
        """
        blocks, depth = self.axes.blocks, self.axes.depth.length
        limit = self._longest_pass()
        if not is_packed:
            aliased = self._is_aliased(self.axes.depth.b)
            fits = self._size_of_b() <= (4 * PANEL_BYTES if aliased else CACHE_BYTES)
            whole = fits or self.total_rows > FEW_ROWS or column_tiles == 1
            limit = max(1, depth * count(blocks)) if whole else 8 if aliased else 16
        if self.is_dot or depth * count(blocks) <= limit * 3 // 2:
            return (), blocks, depth
        fast, inside = len(blocks), depth
        while fast and inside * blocks[fast - 1].length <= limit * 3 // 2:
            fast -= 1
            inside *= blocks[fast].length
        if inside <= limit * 3 // 2:
            return blocks[:fast], blocks[fast:], depth
        parts = -(-depth // limit)
        return blocks, (), -(-depth // parts // 4) * 4

    def _longest_pass(self) -> int:
        """Steps of the depth, if b is packed."""
        return LONG_DEPTH if self.axes.depth.a == 1 else DEPTH

    def _size_of_b(self) -> int:
        """Bytes of what is multiplied for one item of the outer batch."""
        return self.axes.columns.length * self.axes.depth.length * count(self.axes.blocks) * self.itemsize

    def _is_aliased(self, stride: int) -> bool:
        """Whether rows so far apart compete for the same few places in the first-level cache."""
        nbytes = abs(stride) * self.itemsize
        return nbytes >= 2048 and min(nbytes % 4096, -nbytes % 4096) < 64

    def _block_of_a(self, rows: tuple[Run, ...], depth: int, *, packed: bool) -> tuple[int, int]:
        """How many tiles of rows, and how many items of the inner batch."""
        there = tiles(rows)
        if not there:
            return 1, 1
        wanted = max(1, BLOCK_BYTES // self.itemsize // max(1, depth * rows[0].size))
        if wanted < there or packed:
            return min(wanted, there), 1
        return there, min(count(self.axes.inner), max(1, wanted // there))

    # Packing ----------------------------------------------------------------------------------------------------------

    def _packs_b(self) -> bool:
        """Whether b is packed: it has to if it does not lie right, it had better if its rows meet many rows of a."""
        axes = self.axes
        if axes.depth.length == 0 or axes.columns.length == 0:
            return False
        if self.prepacked:
            return True
        if self.is_dot:
            return axes.depth.b != 1
        if axes.columns.b != 1:
            return True
        if self._size_of_b() <= PANEL_BYTES // 2:
            return False
        if self._is_aliased(axes.depth.b):
            return self.total_rows > 8
        if self._size_of_b() > CACHE_BYTES:
            return self.total_rows > FEW_ROWS
        return self.total_rows > (192 if self._is_aligned() and axes.depth.a == 1 else 96)

    def _is_aligned(self) -> bool:
        """Whether vectors of b, as it lies, are whole and do not cross the ends of vectors in memory."""
        return self.axes.depth.b % self.lanes == 0 and self.axes.columns.length % self.lanes == 0

    def _pack_b(self, width: int, depth: int) -> tuple[Packing, float]:
        axes = self.axes
        elements = self._size_of_b() // self.itemsize
        if self.is_dot:
            stride = _padded(depth)
            return Packing(width * stride, stride, 1), elements
        step = 0.2 if axes.columns.b == 1 else 0.6 if axes.depth.b == 1 and axes.depth.length >= self.lanes else 1.0
        return Packing(width * depth, 1, width), step * elements

    def _pack_a(
        self, rows: tuple[Run, ...], columns: tuple[Run, ...], fast: tuple[Walk, ...], chunk: int
    ) -> tuple[Packing | None, float]:
        axes, depth = self.axes, count(fast) * chunk
        elements = axes.rows.length * axes.depth.length * count(axes.blocks)
        if not rows or not elements:
            return None, 0.0
        if self.is_dot:
            stride = _padded(depth)
            return (None, 0.0) if axes.depth.a == 1 else (Packing(rows[0].size * stride, stride, 1), elements)
        if axes.depth.a == 1:
            pays = elements * self.itemsize > 2 * CACHE_BYTES and tiles(columns) >= 24 and depth >= 64
        else:
            stride = abs(axes.depth.a) * self.itemsize
            pays = depth >= (64 if stride >= 2048 else 192) and tiles(columns) >= 8
        if not pays or axes.rows.length < 32:
            return None, 0.0
        size = rows[0].size
        step = 0.4 if axes.rows.a == 1 else 0.6 if axes.depth.a == 1 else 1.0
        return Packing(size * depth, 1, size), step * elements


def _padded(depth: int) -> int:
    """A distance between rows that is no power of two, so that they do not compete for one place in the cache."""
    return -(-depth // 16) * 16 + 16
