"""Some images at a time in scratch memory: with zeros around them, or with their channels behind their places.

Products read and write arrays of any strides, but they have no way to leave out what is not there, and they want
neighbours in memory along the right axis. So images are copied, a block of them at a time that stays in the cache. Of
large images a block is a few rows, where a row is all that stands at one position of the first spatial axis.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from clearprop.compiler.native.code import Code, index
from clearprop.compiler.native.copying import copy, fill
from clearprop.compiler.native.correlation import Bounds, Strides
from clearprop.compiler.native.integers import Integer, Integers
from clearprop.compiler.native.machine import Machine
from clearprop.compiler.native.single import Array, at, nest
from clearprop.compiler.native.team import Team
from clearprop.primitives.windows import Lengths

BLOCK_BYTES = 128 << 10
"""Of the images of a block: a small part of a second-level cache, which weights and results share."""

LARGE = 3
"""An image that takes more than so many blocks is divided. Neighbouring rows have much in common, which is copied for
both: so parts of images are larger than other blocks."""

FEW_PLACES = 256
"""A block should have so many: weights are brought into the cache, or packed, for each block."""


class Blocks(NamedTuple):
    """How images are divided. The last block of images, or of rows, is moved back until it is whole.

    Attributes:
        images: how many there are, and how many are in a block.
        rows: how many results along the first spatial axis there are, and how many are in a block.
    """

    images: tuple[int, int]
    rows: tuple[int, int]

    @property
    def is_whole(self) -> bool:
        """Whether blocks have all rows."""
        return self.rows[0] == self.rows[1]

    @property
    def total(self) -> int:
        """How many blocks there are."""
        return math.prod(-(-there // taken) for there, taken in self)

    def each(self, code: Code, team: Team, body: Callable[[Integer, Integer], None]) -> None:
        """Loops over the blocks, `Team.each`; the body gets the first image and the first row."""
        integers = Integers(code)
        in_column = -(-self.rows[0] // self.rows[1])

        def start(number: Integer, there: int, taken: int) -> Integer:
            place = integers.times(number, taken)
            return place if there % taken == 0 else integers.smaller(place, there - taken)

        def one(number: Integer) -> None:
            image, row = integers.quotient(number, in_column), integers.remainder(number, in_column)
            body(start(image, *self.images), start(row, *self.rows))

        team.each(self.total, one)


def blocks_of(
    images: int, image_bytes: int, places: int, rows: int, row_bytes: int, nbytes: int = BLOCK_BYTES
) -> Blocks:
    """How to divide images such that a block fits the cache.

    Args:
        image_bytes: of one image in the block.
        places: of one image.
        rows: results along the first spatial axis.
        row_bytes: of one row more in the block; 0 if images must not be divided.
        nbytes: of a block.
    """
    if image_bytes > LARGE * nbytes and row_bytes:
        fixed = image_bytes - rows * row_bytes
        return Blocks((images, 1), (rows, even_parts(rows, max(1, (LARGE * nbytes - fixed) // row_bytes))))
    least = -(-FEW_PLACES // places)
    if images <= least:
        return Blocks((images, images), (rows, rows))
    return Blocks((images, even_parts(images, max(least, nbytes // max(1, image_bytes)))), (rows, rows))


def even_parts(count: int, most: int) -> int:
    """The size of parts, at most so large, such that as little as can be is done twice, or by one of two threads alone.

    The last part is moved back until it is whole, so it may have something in common with the one before.
    """
    most = min(-(-count // 2), most)
    return min(range(most, (most - 1) // 2, -1), key=lambda size: _work(count, size, 1) + _work(count, size, 2))


def _work(count: int, size: int, threads: int) -> int:
    """What as many threads do in the time that the one with most parts takes."""
    return -(-count // (threads * size)) * threads * size


def lying(shape: Lengths, *, last: bool) -> Strides:
    """Strides of images (N, C, *lengths) that lie in order of rows, with their channels in front or behind."""
    return strides_in(shape, [0, *range(2, len(shape)), 1] if last else range(len(shape)))


def strides_in(shape: Sequence[int], order: Sequence[int]) -> tuple[int, ...]:
    """Strides of an array whose axes lie in that order, of axes of length 1 too; the last one runs fastest."""
    strides, step = [0] * len(shape), 1
    for axis in reversed(order):
        strides[axis] = step
        step *= shape[axis]
    return tuple(strides)


def copy_images(code: Code, machine: Machine, source: Array, target: Array, team: Team | None = None) -> None:
    """Copy images, walking through the target in the order in which it lies; with a team, together."""
    axes = sorted(
        range(len(target.shape)), key=lambda axis: -abs(target.strides[axis]) if target.shape[axis] > 1 else 0
    )
    copy(code, machine, _ordered(source, axes), _ordered(target, axes), team)


def _ordered(array: Array, axes: Sequence[int]) -> Array:
    return array._replace(
        shape=tuple(array.shape[axis] for axis in axes), strides=tuple(array.strides[axis] for axis in axes)
    )


class Surrounded:
    """A block of images in scratch memory, with zeros around them.

    Args:
        count, channels: of the images.
        lengths: of the images.
        bounds: which of their elements are in the block; those that are not in the image are 0.
        last: whether channels are behind places.
        moving: whether these are bounds of the first block of rows, and further ones follow.

    Attributes:
        strides: for (N, C, *lengths).
        size: in elements.
    """

    def __init__(
        self, count: int, channels: int, lengths: Lengths, bounds: Bounds, *, last: bool, moving: bool = False
    ) -> None:
        self.lengths, self.bounds, self.moving = lengths, bounds, moving
        self.shape = (count, channels, *(end - start for start, end in bounds))
        self.strides = lying(self.shape, last=last)
        self.size = math.prod(self.shape)

    def clear(self, code: Code, machine: Machine, target: Array) -> None:
        """Make everything 0: what is around the images stays so."""
        if self.moving or any(a < 0 or b > n for (a, b), n in zip(self.bounds, self.lengths, strict=True)):
            fill(code, machine, self._plain(target, self.size))

    def load(self, code: Code, machine: Machine, images: Array, target: Array, row: Integer = 0) -> None:
        """Copy the elements that are there.

        Args:
            images: (N, C, *lengths), as many as are in the block.
            row: by how much the bounds along the first spatial axis are moved.
        """
        if not self.moving:
            self._load(code, machine, images, target, self.bounds)
            return
        integers, b = Integers(code), code.builder
        (start, end), *others = self.bounds

        def one(i: Integer) -> None:
            place = integers.value(integers.add(i, start, row))
            there = target.moved(code, integers.times(i, self.strides[2]))
            inside = b.and_(b.icmp_signed(">=", place, index(0)), b.icmp_signed("<", place, index(self.lengths[0])))
            with b.if_else(inside) as (yes, no):
                with yes:
                    source = images.moved(code, integers.times(place, images.strides[2]))
                    self._load(code, machine, source, there, ((0, 1), *others))
                with no:
                    self._clear_row(code, machine, there)

        integers.each(0, end - start, 1, one)

    def _load(self, code: Code, machine: Machine, images: Array, target: Array, bounds: Bounds) -> None:
        """Copy what is inside the bounds; the target begins where they begin."""
        clipped = [(max(0, a), min(b, n)) for (a, b), n in zip(bounds, self.lengths, strict=True)]
        shape = (*self.shape[:2], *(b - a for a, b in clipped))
        if min(shape) < 1:
            return
        source = images.moved(code, at(code, [a for a, _ in clipped], images.strides[2:]))
        inside = [a - start for (a, _), (start, _) in zip(clipped, bounds, strict=True)]
        to = target.moved(code, at(code, inside, self.strides[2:]))
        copy_images(code, machine, source._replace(shape=shape), to._replace(shape=shape, strides=self.strides))

    def _clear_row(self, code: Code, machine: Machine, target: Array) -> None:
        """One position of the first spatial axis; of one image."""
        if self.strides[1] == 1:
            fill(code, machine, self._plain(target, self.strides[2]))
            return
        nest(
            code,
            self.shape[1:2],
            lambda place: fill(
                code, machine, self._plain(target.moved(code, at(code, place, self.strides[1:2])), self.strides[2])
            ),
        )

    def _plain(self, target: Array, size: int) -> Array:
        return target._replace(shape=(size,), strides=(1,))
