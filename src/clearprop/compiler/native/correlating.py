"""What kernels of convolution, and of its gradient by data, have in common: a walk over blocks of images."""

from __future__ import annotations

import math
from collections.abc import Sequence

from clearprop.compiler.native.code import Code
from clearprop.compiler.native.copying import fill
from clearprop.compiler.native.correlation import Correlation, Strides, convolution, data_gradient, without_gaps
from clearprop.compiler.native.image_blocks import Blocks, Surrounded, blocks_of, copy_images
from clearprop.compiler.native.integers import Integer, Integers
from clearprop.compiler.native.kernels import Fusion, Kernel
from clearprop.compiler.native.machine import Machine
from clearprop.compiler.native.scratch import ScratchWriter
from clearprop.compiler.native.single import Array, at
from clearprop.compiler.native.team import Team


class Correlating(ScratchWriter):
    """Writes a `Correlation`; a subclass decides on the way, and writes the sums of a part.

    Every element of a result is the sum of all products of its window, zeros around the image included.

    Attributes:
        about: what is computed.
        steps: of the weights: how far it is from group to group, from element to element of the window, from channel to
            channel and from output to output.
        blocks: how images are divided.
        source: a block of images in scratch memory, or None if they are read in place.
        target: strides of a block of results in scratch memory, or None if they are written in place.
        has_packed: whether all threads have written weights that all of them read.
        inside: those who work at a block together; known while the body is written.
    """

    blocks: Blocks
    source: Surrounded | None = None
    target: Strides | None = None
    has_packed = False
    inside: Team

    def __init__(self, fusion: Fusion, kernel: Kernel, machine: Machine) -> None:
        super().__init__(fusion, kernel, machine)
        x, w = self.views
        z, dtype, moves = self.node.shape, self.node.dtype.name, self.attributes["moves"]
        by_out, by_channel, *by_tap = w.strides
        by_group = w.shape[0] // moves.groups * by_out
        self.about: Correlation
        if self.node.name == "convolution":
            self.views[0], moves = without_gaps(x, w.shape[2:], z[2:], moves)
            x = self.views[0]
            self.about = convolution(x.shape, w.shape, z, moves, dtype)
            self.steps = (by_group, *by_tap, by_channel, by_out)
        else:
            self.about = data_gradient(x.shape, w.shape, z, moves, dtype)
            self.steps = (by_group, *by_tap, by_out, by_channel)
        self.shared = machine.shares(max(math.prod(z), self.about.products))

    def reserve_blocks(self) -> None:
        """Reserve memory for a block of images, and of results."""
        self.target_shape = (self.blocks.images[1], self.node.shape[1], self.blocks.rows[1], *self.node.shape[3:])
        self._source = self.scratch.reserve(self.source.size if self.source else 0, self.node.dtype)
        self._target = self.scratch.reserve(
            self.blocks.images[1] * self.target[0] if self.target else 0, self.node.dtype
        )

    def blocks_for(self, *, copies_images: bool, copies_results: bool) -> Blocks:
        """How to divide images, if these are copied."""
        about = self.about
        if not copies_images and not copies_results:
            return Blocks((about.images, about.images), (about.sizes[0], about.sizes[0]))
        part, itemsize = about.parts[0], self.node.dtype.itemsize
        lengths = [end - start for start, end in about.bounds]
        of_x = copies_images * about.groups * about.channels * math.prod(lengths[1:]) * itemsize
        of_z = copies_results * about.groups * about.outputs * math.prod(about.sizes[1:]) * itemsize
        divisible = len(about.parts) == 1 and len(lengths) > 1 and part.places == about.sizes
        return blocks_of(
            about.images,
            of_x * lengths[0] + of_z * about.sizes[0],
            math.prod(about.sizes),
            about.sizes[0],
            divisible * (of_x * part.stride[0] + of_z),
        )

    def surrounded(self, blocks: Blocks, *, last: bool, more: int = 0) -> Surrounded:
        """A block of images with zeros around it.

        Args:
            last: whether channels are behind places.
            more: zeros, or elements, behind those along the last axis.
        """
        about = self.about
        bounds = list(about.bounds)
        bounds[-1] = (bounds[-1][0], bounds[-1][1] + more)
        (start, end), *others = bounds
        end -= about.parts[0].stride[0] * (blocks.rows[0] - blocks.rows[1])
        return Surrounded(
            blocks.images[1],
            about.groups * about.channels,
            about.lengths,
            ((start, end), *others),
            last=last,
            moving=not blocks.is_whole,
        )

    # Writing it -------------------------------------------------------------------------------------------------------

    def weights(self, code: Code, w: Array) -> Array:
        """The weights as `multiply` reads them; written once, by all threads, before the blocks."""
        return w

    def multiply(self, code: Code, number: int, x: Array, w: Array, z: Array) -> None:
        """Write this thread's share of the sums of a part of a block.

        Args:
            x, z: they begin where the part does, and where its first result stands.
        """
        raise NotImplementedError

    def body(self, code: Code, operands: Sequence[Array], output: Array) -> None:
        """Block after block: each thread has blocks of its own, or all work together if there is one block only."""
        x, w = operands
        if not self.about.parts:
            fill(code, self.machine, output, team=self.team)
            return
        w = self.weights(code, w)
        together = self.blocks.total == 1
        self.inside = self.team if together else Team.alone(code)
        target, is_own = output, False
        if self.target is not None:
            target, is_own = (
                self.part(code, self._target, self.target_shape, self.target, common=together),
                not together,
            )
        if self.source is not None:
            self.source.clear(code, self.machine, self.part(code, self._source))
        if not self.about.is_complete:
            fill(code, self.machine, target, team=None if is_own else self.team)
        if together and (self.has_packed or not self.about.is_complete):
            self.team.wait()

        def block(image: Integer, row: Integer) -> None:
            results = output.moved(code, at(code, [image, row], (output.strides[0], output.strides[2])))
            self._parts(code, self._images(code, x, image, row), w, results if self.target is None else target)
            if self.target is not None:
                self.inside.wait()
                there = results._replace(shape=target.shape)
                copy_images(code, self.machine, target, there, self.inside if together else None)

        self.blocks.each(code, Team.alone(code) if together else self.team, block)

    def _images(self, code: Code, x: Array, image: Integer, row: Integer) -> Array:
        """The images of a block, beginning at their bounds."""
        integers = Integers(code)
        first = integers.times(row, self.about.parts[0].stride[0])
        x = x.moved(code, integers.times(image, x.strides[0]))
        if self.source is None:
            corner = [start for start, _ in self.about.bounds]
            return x.moved(code, at(code, [integers.add(corner[0], first), *corner[1:]], x.strides[2:]))
        copied = self.part(code, self._source, self.source.shape, self.source.strides)
        self.source.load(code, self.machine, x, copied, first)
        return copied

    def _parts(self, code: Code, x: Array, w: Array, z: Array) -> None:
        corner = [start for start, _ in self.about.bounds]
        for number, part in enumerate(self.about.parts):
            start = [a - b for a, b in zip(part.start, corner, strict=True)]
            self.multiply(
                code,
                number,
                x.moved(code, at(code, start, x.strides[2:])),
                w,
                z.moved(code, at(code, part.at, z.strides[2:])),
            )
