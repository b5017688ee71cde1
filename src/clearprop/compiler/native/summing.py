"""What kernels of the gradient of a convolution by its weights have in common: a walk over blocks of images.

What a block adds to the sums is added up, one block after the other. So that threads can share the blocks and the order
of every sum is the same for any number of threads, there are several sets of sums, each with blocks of its own, which
are added up in the end. Where sums are too large for that, all threads go through all blocks, and share the sums.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import NamedTuple

from clearprop.compiler.native.code import Code, Value
from clearprop.compiler.native.copying import fill, part_size
from clearprop.compiler.native.correlation import Bounds, without_gaps
from clearprop.compiler.native.image_blocks import BLOCK_BYTES, Surrounded, blocks_of
from clearprop.compiler.native.integers import Integer, Integers
from clearprop.compiler.native.kernels import Fusion, Kernel
from clearprop.compiler.native.machine import Machine
from clearprop.compiler.native.scratch import ScratchWriter
from clearprop.compiler.native.single import Array, at, in_parts, spans
from clearprop.compiler.native.team import Team
from clearprop.compiler.native.views import row_strides

_SETS, _SETS_BYTES = (8, 4, 2), 8 << 20
"""How many sets of sums there may be, and how large they may be together."""


class Run(NamedTuple):
    """Blocks of one size: so many of images, and in each of them so many of rows.

    Attributes:
        turns, row_turns: how many blocks.
        images, rows: of each; rows are places along the first spatial axis.
        first_image, first_row: where the first one begins.
    """

    turns: int
    images: int
    row_turns: int
    rows: int
    first_image: int = 0
    first_row: int = 0

    @property
    def total(self) -> int:
        """How many blocks in all."""
        return self.turns * self.row_turns


class Blocking(NamedTuple):
    """Which blocks there are, and how they lie.

    Attributes:
        runs: of blocks.
        source: for each run, a block of images in scratch memory; none if they are read in place.
        upstream: for each run, a block of upstream gradients in scratch memory; none if they are read in place.
    """

    runs: tuple[Run, ...]
    source: tuple[Surrounded, ...] = ()
    upstream: tuple[Surrounded, ...] = ()

    @property
    def total(self) -> int:
        """How many blocks in all."""
        return sum(run.total for run in self.runs)


class Summing(ScratchWriter):
    """Writes a gradient by weights; a subclass decides on the way, and writes what a block adds.

    Attributes:
        blocking: how images are divided.
        result: strides of the gradient as (G, O, C, *window).
        inside: those who work at a block together; known while the body is written.
    """

    blocking: Blocking
    inside: Team

    def __init__(self, fusion: Fusion, kernel: Kernel, machine: Machine) -> None:
        super().__init__(fusion, kernel, machine)
        x, y = self.views
        x, self.moves = without_gaps(x, self.node.shape[2:], y.shape[2:], self.attributes["moves"])
        self.views[0], self.itemsize = x, self.node.dtype.itemsize
        self.window, self.places, self.lengths = self.node.shape[2:], y.shape[2:], x.shape[2:]
        self.images, self.groups = x.shape[0], self.moves.groups
        self.channels, self.outputs = x.shape[1] // self.groups, y.shape[1] // self.groups
        by_output, by_channel, *by_tap = row_strides(self.node.shape)
        self.result = (self.outputs * by_output, by_output, by_channel, *by_tap)
        self.shared = machine.shares(self.images * math.prod(self.places) * math.prod(self.node.shape))

    @property
    def is_padded(self) -> bool:
        """Whether elements are seen that are not in the image."""
        ends = zip(self.bounds(self.places[0]), self.lengths, strict=True)
        return any(first < 0 or last > length for (first, last), length in ends)

    def bounds(self, rows: int) -> Bounds:
        """Which elements of an image are seen from the first rows."""
        moves, places = self.moves, (rows, *self.places[1:])
        settings = zip(moves.padding, moves.stride, places, moves.dilation, self.window, strict=True)
        return tuple((-low, stride * (n - 1) + step * (k - 1) + 1 - low) for (low, _), stride, n, step, k in settings)

    def surrounded(self, run: Run, *, last: bool, more: int = 0) -> Surrounded:
        """A block of images; for the arguments see `Correlating.surrounded`."""
        bounds = list(self.bounds(run.rows))
        bounds[-1] = (bounds[-1][0], bounds[-1][1] + more)
        channels, moving = self.groups * self.channels, run.rows != self.places[0]
        return Surrounded(run.images, channels, self.lengths, tuple(bounds), last=last, moving=moving)

    def block_of_y(self, run: Run, sizes: Sequence[int] | None = None) -> Surrounded:
        """A block of upstream gradients, with channels behind places.

        Args:
            sizes: of what there is room for, if that is more than there are places; there, they are 0.
        """
        places = (run.rows, *self.places[1:])
        bounds = tuple((0, size) for size in sizes or places)
        return Surrounded(run.images, self.groups * self.outputs, places, bounds, last=True)

    def runs_for(self, *, copies_x: bool, copies_y: bool) -> tuple[Run, ...]:
        """How to divide images, if these are copied. No two blocks have anything in common.

        With each block goes a walk through all sums: with more sums, blocks are larger.
        """
        images, rows = self.images, self.places[0]
        if not copies_x and not copies_y:
            return self.runs_of_images(-(-images // _SETS[0]))
        (start, end), *others = self.bounds(rows)
        of_x = copies_x * self.groups * self.channels * math.prod(b - a for a, b in others) * self.itemsize
        of_y = copies_y * self.groups * self.outputs * math.prod(self.places[1:]) * self.itemsize
        image_bytes = of_x * (end - start) + of_y * rows
        of_row = of_x * self.moves.stride[0] + of_y
        nbytes = max(BLOCK_BYTES, min(2 * math.prod(self.node.shape) * self.itemsize, 4 * BLOCK_BYTES))
        blocks = blocks_of(images, image_bytes, math.prod(self.places), rows, of_row if others else 0, nbytes)
        if blocks.is_whole:
            return self.runs_of_images(blocks.images[1])
        return self.runs_of_rows(blocks.rows[1])

    def runs_of_images(self, most: int) -> tuple[Run, ...]:
        """Whole images, so many at a time or a few less."""
        images, rows = self.images, self.places[0]
        taken = max((n for n in range(most // 2 + 1, most + 1) if images % n == 0), default=most)
        rest = images % taken
        runs = Run(images // taken, taken, 1, rows), Run(1, rest, 1, rows, first_image=images - rest)
        return tuple(run for run in runs if run.images)

    def runs_of_rows(self, taken: int) -> tuple[Run, ...]:
        """Parts of images, of so many rows."""
        images, rows = self.images, self.places[0]
        rest = rows % taken
        runs = Run(images, 1, rows // taken, taken), Run(images, 1, 1, rest, first_row=rows - rest)
        return tuple(run for run in runs if run.rows and run.row_turns)

    def sets_for(self, blocking: Blocking, elements: int) -> int:
        """How many sets of sums, so large each, there are for these blocks."""
        most = min(blocking.total, _SETS_BYTES // max(1, elements * self.itemsize))
        return next((sets for sets in _SETS if sets <= most), 1)

    def reserve_blocks(self, sums: int, *, in_place: bool = False) -> None:
        """Reserve memory for a block of images, and of upstream gradients, and for sets of so many sums.

        Args:
            in_place: whether the only set is where the result belongs.
        """
        _, source, upstream = self.blocking
        sizes = (max((block.size for block in blocks), default=0) for blocks in (source, upstream))
        self._source, self._upstream = (self.scratch.reserve(size, self.node.dtype) for size in sizes)
        self.sets, self.set_size = self.sets_for(self.blocking, sums), sums
        self._sums = self.scratch.reserve(0 if in_place else self.sets * sums, self.node.dtype)

    # Writing it -------------------------------------------------------------------------------------------------------

    def begin(self, code: Code, result: Array) -> Array:
        """Where the first set of sums is; threads make all of them 0 together if blocks are added to them."""
        raise NotImplementedError

    def add(self, code: Code, number: int, x: Array, y: Array, sums: Array) -> None:
        """Write this thread's share of what a block of a run adds; x begins with the first element that is seen."""
        raise NotImplementedError

    def end(self, code: Code, sums: Array, result: Array) -> None:
        """From all sets of sums to the result; by the threads together."""
        raise NotImplementedError

    def sums(self, code: Code, shape: Sequence[int], strides: Sequence[int]) -> Array:
        """The first set, in scratch memory."""
        return self.part(code, self._sums, shape, strides, common=True)

    def clear(self, code: Code, sums: Array) -> None:
        """Make all sets 0."""
        every = sums._replace(shape=(self.sets * self.set_size,), strides=(1,))
        fill(code, self.machine, every, team=self.team)
        self.team.wait()

    def body(self, code: Code, operands: Sequence[Array], output: Array) -> None:
        """Run after run: each thread has sets of its own, or all work together if there is one only."""
        x, y = operands
        result = output._replace(shape=(self.groups, self.outputs, *self.node.shape[1:]), strides=self.result)
        sums, first = self.begin(code, result), 0
        together = self.sets == 1
        self.inside = self.team if together else Team.alone(code)
        for number, run in enumerate(self.blocking.runs):
            if together and number:
                self.team.wait()  # another product may be divided otherwise
            _, source, upstream = self.blocking
            for blocks, memory in ((source, self._source), (upstream, self._upstream)):
                if blocks:
                    blocks[number].clear(code, self.machine, self.part(code, memory))
            self._each_block(code, run, first, partial(self._block, code, x, y, sums, number))
            first += run.total
        self.team.wait()
        self.end(code, sums, result)

    def _each_block(self, code: Code, run: Run, before: int, body: Callable[[Integer, Integer, Integer], None]) -> None:
        """Loops over the sets of this thread, and the blocks of a run that belong to each; ``before`` come first."""
        integers = Integers(code)

        def one(at_set: Integer, number: Integer) -> None:
            turn, row_turn = integers.quotient(number, run.row_turns), integers.remainder(number, run.row_turns)
            body(
                at_set,
                integers.add(integers.times(turn, run.images), run.first_image),
                integers.add(integers.times(row_turn, run.rows), run.first_row),
            )

        def blocks(at_set: Integer) -> None:
            first, last = (
                integers.quotient(integers.times(following, self.blocking.total), self.sets)
                for following in (at_set, integers.add(at_set, 1))
            )
            first, last = (
                integers.sub(integers.larger(integers.smaller(end, before + run.total), before), before)
                for end in (first, last)
            )
            integers.each(first, last, 1, partial(one, at_set))

        (Team.alone(code) if self.sets == 1 else self.team).each(self.sets, blocks)

    def _block(
        self,
        code: Code,
        x: Array,
        y: Array,
        sums: Array,
        number: int,
        at_set: Integer,
        image: Integer,
        row: Integer,
    ) -> None:
        (runs, source, upstream), integers = self.blocking, Integers(code)
        sums = sums.moved(code, integers.times(at_set, self.set_size))
        first = integers.times(row, self.moves.stride[0])
        x = x.moved(code, integers.times(image, x.strides[0]))
        y = y.moved(code, at(code, [image, row], (y.strides[0], y.strides[2])))
        if source:
            block = source[number]
            copied = self.part(code, self._source, block.shape, block.strides)
            block.load(code, self.machine, x, copied, first)
            x = copied
        else:
            corner = [start for start, _ in self.bounds(runs[number].rows)]
            x = x.moved(code, at(code, [integers.add(corner[0], first), *corner[1:]], x.strides[2:]))
        if upstream:
            block = upstream[number]
            copied = self.part(code, self._upstream, block.shape, block.strides)
            block.load(code, self.machine, y, copied)
            y = copied
        self.add(code, number, x, y, sums)

    def add_up(self, code: Code, sums: Array, target: Array) -> None:
        """All sets of sums, into an array that lies as they do; by the threads together."""
        integers, lanes = Integers(code), self.machine.lanes(self.node.dtype)

        def some(start: Integer) -> None:
            def body(i: Integer, lanes: int) -> None:
                place = integers.add(start, i)
                code.store(self.total(code, sums, place, lanes), target.moved(code, place).pointer, sums.dtype)

            spans(code, size, lanes, body, unrolled=1)

        size = part_size(self.set_size, of_neighbours=True)
        in_parts(code, self.team, self.set_size, size, some)

    def total(self, code: Code, sums: Array, offset: Integer, lanes: int) -> Value:
        """What stands at a place of all sets, added up."""
        values = (
            code.load(sums.moved(code, Integers(code).add(offset, i * self.set_size)).pointer, sums.dtype, lanes)
            for i in range(self.sets)
        )
        return reduce(code.builder.fadd, values)
