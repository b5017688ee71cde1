"""Kernels of convolution, and of its gradient by data.

There are several ways to bring a `Correlation` into the form of matrix products, and the one that is estimated to take
the least time is taken:

in place     The image is read, or the result written, where it lies.
in front     A block of images is copied, with zeros around it and channels in front: then vectors run along the places.
behind       The same with the channels behind the places: then vectors run along the outputs. A block of results with
             the channels behind is copied to where it belongs when it is complete.

Every element of a result is the sum of all products of its window, zeros around the image included.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from clearprop.compiler.native.code import Code, index
from clearprop.compiler.native.copying import copy, fill
from clearprop.compiler.native.correlation import (
    Correlation,
    Part,
    Strides,
    convolution,
    data_gradient,
    part_product,
)
from clearprop.compiler.native.estimates import copy_cost, product_cost
from clearprop.compiler.native.gemm import Gemm
from clearprop.compiler.native.image_blocks import (
    Blocks,
    Surrounded,
    blocks_of,
    copy_images,
    lying,
    strides_in,
)
from clearprop.compiler.native.integers import Integer, Integers
from clearprop.compiler.native.kernels import Fusion, Kernel
from clearprop.compiler.native.machine import Machine
from clearprop.compiler.native.scratch import ScratchWriter
from clearprop.compiler.native.single import Array, at
from clearprop.compiler.native.views import row_strides


@dataclass(frozen=True)
class Way:
    """One way to compute a correlation.

    Attributes:
        blocks: how images are divided.
        source: a block of images in scratch memory, or None if they are read in place.
        target: the strides of a block of results in scratch memory, or None if they are written in place.
        products: one for each part.
        cost: cycles, estimated.
    """

    blocks: Blocks
    source: Surrounded | None
    target: Strides | None
    products: tuple[Gemm, ...]
    cost: float


class Weights:
    """How the weights of each part lie: as they are, or packed, with the outputs as neighbours.

    Args:
        steps: how far it is from group to group, from element to element of the window, from channel to channel and
            from output to output.

    Attributes:
        is_packed: whether they are packed.
        size: of the packed ones, in elements.
    """

    def __init__(self, about: Correlation, steps: Sequence[int]) -> None:
        self.about, self.steps = about, tuple(steps)
        self.is_packed = steps[-1] != 1 and any(math.prod(part.window) > 1 for part in about.parts)
        self.size = about.weights if self.is_packed else 0

    def of(self, number: int) -> tuple[int, tuple[int, ...]]:
        """Where the weights of a part begin, and their steps."""
        part = self.about.parts[number]
        if not self.is_packed:
            return self._unpacked(part)
        before = sum(math.prod(self._shape(other)) for other in self.about.parts[:number])
        shape = self._shape(part)
        return before, strides_in(shape, range(len(shape)))

    def _unpacked(self, part: Part) -> tuple[int, tuple[int, ...]]:
        by_group, *by_tap, by_channel, by_output = self.steps
        start = sum(taps.start * step for taps, step in zip(part.taps, by_tap, strict=True))
        among = (taps.step * step for taps, step in zip(part.taps, by_tap, strict=True))
        return start, (by_group, *among, by_channel, by_output)

    def _shape(self, part: Part) -> tuple[int, ...]:
        return (self.about.groups, *part.window, self.about.channels, self.about.outputs)

    def pack(self, code: Code, machine: Machine, w: Array, packed: Array) -> Array:
        """Write the code that packs, if they are to be packed; returns what is read then."""
        if not self.is_packed:
            return w
        for number, part in enumerate(self.about.parts):
            shape, (start, steps), (goal, to_steps) = self._shape(part), self._unpacked(part), self.of(number)
            source = w.moved(code, start)._replace(shape=shape, strides=steps)
            copy(code, machine, source, packed.moved(code, goal)._replace(shape=shape, strides=to_steps))
        return packed


class Correlating(ScratchWriter):
    """Writes a convolution, or a gradient by data."""

    def __init__(self, fusion: Fusion, kernel: Kernel, machine: Machine) -> None:
        super().__init__(fusion, kernel, machine)
        x, w = self.views
        z, dtype, moves = self.node.shape, self.node.dtype, self.attributes["moves"]
        by_out, by_channel, *by_tap = w.strides
        by_group = w.shape[0] // moves.groups * by_out
        if self.node.name == "convolution":
            self.about = convolution(x.shape, w.shape, z, moves, dtype.name)
            self.weights = Weights(self.about, (by_group, *by_tap, by_channel, by_out))
        else:
            self.about = data_gradient(x.shape, w.shape, z, moves, dtype.name)
            self.weights = Weights(self.about, (by_group, *by_tap, by_out, by_channel))
        if not self.about.parts:
            return
        self.way = way = min(self._ways(x.strides, row_strides(z)), key=lambda way: way.cost)
        self.target_shape = (way.blocks.images[1], z[1], way.blocks.rows[1], *z[3:])
        self.packed = self.scratch.reserve(self.weights.size, dtype)
        self.source = self.scratch.reserve(way.source.size if way.source else 0, dtype)
        self.target = self.scratch.reserve(math.prod(self.target_shape) if way.target else 0, dtype)
        self.panels = self.scratch.reserve(
            max(product.scratch_bytes for product in way.products) // dtype.itemsize, dtype
        )

    # Which way --------------------------------------------------------------------------------------------------------

    def _ways(self, x: Strides, z: Strides) -> Iterator[Way]:
        """In place where that can be, or with copies."""
        for last in (False, True):
            for copied in (False, True):
                if copied or not self.about.is_padded:
                    yield self._way(x, z, last if copied else None, last)

    def _way(self, x: Strides, z: Strides, source_last: bool | None, target_last: bool) -> Way:
        about, itemsize = self.about, self.node.dtype.itemsize
        blocks = self._blocks(source_last is not None, target_last)
        images, rows = blocks.images[1], blocks.rows[1]
        cost, source, target = 0.0, None, None
        if source_last is not None:
            (start, end), *others = about.bounds
            end -= about.parts[0].stride[0] * (blocks.rows[0] - rows)
            source = Surrounded(
                images,
                about.groups * about.channels,
                about.lengths,
                ((start, end), *others),
                last=source_last,
                moving=not blocks.is_whole,
            )
            cost += copy_cost(source.shape, x, source.strides, itemsize)
            x = source.strides
        if target_last:
            shape = (images, about.groups * about.outputs, rows, *about.sizes[1:])
            target = lying(shape, last=True)
            cost += copy_cost(shape, target, z, itemsize)
            z = target
        some = 0 if blocks.is_whole else rows
        products = tuple(
            Gemm(part_product(about, part, images, x, self.weights.of(i)[1], z, some), self.machine)
            for i, part in enumerate(about.parts)
        )
        cost += sum(product_cost(product) for product in products)
        return Way(blocks, source, target, products, cost * blocks.count)

    def _blocks(self, with_source: bool, with_target: bool) -> Blocks:
        about = self.about
        if not with_source and not with_target:
            return Blocks((about.images, about.images), (about.sizes[0], about.sizes[0]))
        part, itemsize = about.parts[0], self.node.dtype.itemsize
        lengths = [end - start for start, end in about.bounds]
        of_x = with_source * about.groups * about.channels * math.prod(lengths[1:]) * itemsize
        of_z = with_target * about.groups * about.outputs * math.prod(about.sizes[1:]) * itemsize
        divisible = len(about.parts) == 1 and len(lengths) > 1 and part.places == about.sizes
        return blocks_of(
            about.images,
            of_x * lengths[0] + of_z * about.sizes[0],
            math.prod(about.sizes),
            about.sizes[0],
            divisible * (of_x * part.stride[0] + of_z),
        )

    # Writing it -------------------------------------------------------------------------------------------------------

    def body(self, code: Code, operands: Sequence[Array], output: Array) -> None:
        """Pack the weights, then block after block."""
        x, w = operands
        if not self.about.parts:
            fill(code, self.machine, output)
            return
        way = self.way
        weights = self.weights.pack(code, self.machine, w, self.part(code, self.packed))
        source = self.part(code, self.source)
        target = output if way.target is None else self.part(code, self.target, self.target_shape, way.target)
        if way.source is not None:
            way.source.clear(code, self.machine, source)
        if not self.about.is_complete:
            fill(code, self.machine, target)

        def block(image: Integer, row: Integer) -> None:
            results = output.moved(code, at(code, [image, row], (output.strides[0], output.strides[2])))
            images = self._images(code, x, source, image, row)
            self._products(code, images, weights, results if way.target is None else target)
            if way.target is not None:
                copy_images(code, self.machine, target, results._replace(shape=target.shape))

        way.blocks.each(code, block)

    def _images(self, code: Code, x: Array, source: Array, image: Integer, row: Integer) -> Array:
        """The images of a block, beginning at their bounds."""
        way, integers = self.way, Integers(code)
        first = integers.times(row, self.about.parts[0].stride[0])
        x = x.moved(code, integers.times(image, x.strides[0]))
        if way.source is None:
            corner = [start for start, _ in self.about.bounds]
            return x.moved(code, at(code, [integers.add(corner[0], first), *corner[1:]], x.strides[2:]))
        way.source.load(code, self.machine, x, source, first)
        return source._replace(strides=way.source.strides)

    def _products(self, code: Code, x: Array, w: Array, z: Array) -> None:
        corner = [start for start, _ in self.about.bounds]
        for number, (part, product) in enumerate(zip(self.about.parts, self.way.products, strict=True)):
            start = [a - b for a, b in zip(part.start, corner, strict=True)]
            a = x.moved(code, at(code, start, x.strides[2:]))
            b = w.moved(code, self.weights.of(number)[0])
            c = z.moved(code, at(code, part.at, z.strides[2:]))
            call_product(code, product, a, b, c, self.part(code, self.panels))


def call_product(code: Code, product: Gemm, a: Array, b: Array, c: Array, panels: Array) -> None:
    """Call it, on one thread."""
    pointers = [array.pointer for array in (a, b, c, panels)]
    code.builder.call(product.write(code.module), [*pointers, index(0), index(1)])
