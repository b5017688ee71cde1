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

from clearprop.compiler.native.code import Code
from clearprop.compiler.native.correlating import Correlating
from clearprop.compiler.native.correlation import Correlation, Part, Strides, part_product
from clearprop.compiler.native.depthwise import Depthwise
from clearprop.compiler.native.estimates import copy_cost, product_cost
from clearprop.compiler.native.filtering import Filtering, fits
from clearprop.compiler.native.gemm import Gemm
from clearprop.compiler.native.image_blocks import Blocks, Surrounded, copy_images, lying, strides_in
from clearprop.compiler.native.kernels import Fusion, Kernel
from clearprop.compiler.native.machine import Machine
from clearprop.compiler.native.single import Array, NodeWriter
from clearprop.compiler.native.team import Team
from clearprop.compiler.native.views import row_strides

_MANY_CHANNELS, _FEW_PLACES = 32, 1024
"""With so many channels, and so few places in all, weights are packed by a transpose, which is the quicker way, but
leaves the elements of a window behind the channels; else channels are behind, and walked through as one axis with the
elements of the window, or as neighbours."""


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
    """How weights lie: as they are, or packed, with the outputs as neighbours.

    Packed for a gradient by data they are turned round: then it needs the same product as a convolution.

    Args:
        steps: how far it is from group to group, from element to element of the window, from channel to channel and
            from output to output.

    Attributes:
        is_packed: whether they are packed; they are not if a window has one element, or outputs are neighbours anyway.
        size: of the packed ones, in elements.
    """

    def __init__(self, about: Correlation, window: Sequence[int], steps: Sequence[int]) -> None:
        self.given, self.steps, self.start, self.size = tuple(steps), tuple(steps), 0, 0
        self.shape = (about.groups, *window, about.channels, about.outputs)
        self.is_packed = steps[-1] != 1 and math.prod(window) > 1
        if not self.is_packed:
            return
        group, *taps, channel, output = range(len(self.shape))
        is_brief = about.channels >= _MANY_CHANNELS and about.images * math.prod(about.sizes) <= _FEW_PLACES
        order = (group, channel, *taps, output) if is_brief else (group, *taps, channel, output)
        by_group, *by_tap, by_channel, by_output = strides_in(self.shape, order)
        self.size = math.prod(self.shape)
        if about.parts[0].taps[0].step < 0:
            self.start = sum((length - 1) * step for length, step in zip(window, by_tap, strict=True))
            by_tap = [-step for step in by_tap]
        self.steps = (by_group, *by_tap, by_channel, by_output)

    def of(self, part: Part) -> tuple[int, tuple[int, ...]]:
        """Where the weights of a part begin, and their steps."""
        by_group, *by_tap, by_channel, by_output = self.steps
        start = self.start + sum(taps.start * step for taps, step in zip(part.taps, by_tap, strict=True))
        among = (taps.step * step for taps, step in zip(part.taps, by_tap, strict=True))
        return start, (by_group, *among, by_channel, by_output)

    def pack(self, code: Code, machine: Machine, w: Array, packed: Array, team: Team) -> Array:
        """Write the code that packs, if they are to be packed; returns what is read when all are done."""
        if not self.is_packed:
            return w
        source = w._replace(shape=self.shape, strides=self.given)
        target = packed.moved(code, self.start)._replace(shape=self.shape, strides=self.steps)
        copy_images(code, machine, source, target, team)
        return packed


class Convolution(Correlating):
    """Writes a convolution, or a gradient by data, as matrix products."""

    def __init__(self, fusion: Fusion, kernel: Kernel, machine: Machine) -> None:
        super().__init__(fusion, kernel, machine)
        if not self.about.parts:
            return
        dtype = self.node.dtype
        self.packed_weights = Weights(self.about, self.views[1].shape[2:], self.steps)
        self.way = min(self._ways(self.views[0].strides, row_strides(self.node.shape)), key=lambda way: way.cost)
        self.blocks, self.source, self.target = self.way.blocks, self.way.source, self.way.target
        self.reserve_blocks()
        self.has_packed = self.packed_weights.is_packed
        self._packed = self.scratch.reserve(self.packed_weights.size, dtype)
        panels = max(product.scratch_bytes for product in self.way.products)
        self._panels = self.scratch.reserve(panels // dtype.itemsize, dtype)

    # Which way --------------------------------------------------------------------------------------------------------

    def _ways(self, x: Strides, z: Strides) -> Iterator[Way]:
        """In place where that can be, or with copies."""
        for last in (False, True):
            for copied in (False, True):
                if copied or not self.about.is_padded:
                    yield self._way(x, z, last if copied else None, last)

    def _way(self, x: Strides, z: Strides, source_last: bool | None, target_last: bool) -> Way:
        about, itemsize = self.about, self.node.dtype.itemsize
        blocks = self.blocks_for(copies_images=source_last is not None, copies_results=target_last)
        images, rows = blocks.images[1], blocks.rows[1]
        cost, source, target = 0.0, None, None
        if source_last is not None:
            source = self.surrounded(blocks, last=source_last)
            cost += copy_cost(source.shape, x, source.strides, itemsize)
            x = source.strides
        if target_last:
            shape = (images, about.groups * about.outputs, rows, *about.sizes[1:])
            target = lying(shape, last=True)
            cost += copy_cost(shape, target, z, itemsize)
            z = target
        some = 0 if blocks.is_whole else rows
        products = tuple(
            Gemm(
                part_product(about, part, images, x, self.packed_weights.of(part)[1], z, some),
                self.machine,
                alone=blocks.total > 1,
            )
            for part in about.parts
        )
        cost += sum(product_cost(product) for product in products)
        return Way(blocks, source, target, products, cost * blocks.total)

    # Writing it -------------------------------------------------------------------------------------------------------

    def weights(self, code: Code, w: Array) -> Array:
        """Packed, if they are to be."""
        packed = self.part(code, self._packed, common=True)
        return self.packed_weights.pack(code, self.machine, w, packed, self.team)

    def multiply(self, code: Code, number: int, x: Array, w: Array, z: Array) -> None:
        """Call the product."""
        w = w.moved(code, self.packed_weights.of(self.about.parts[number])[0])
        self.way.products[number].call(code, x, w, z, self.part(code, self._panels), self.inside)


def convolution_writer(fusion: Fusion, kernel: Kernel, machine: Machine) -> NodeWriter | None:
    """Who writes a convolution, or its gradient by data; None if these are no floats, or none at all.

    Direct sums or minimal filtering, whichever is estimated to take less time.
    """
    groups, shape = kernel.node.attributes["moves"].groups, fusion.reads(kernel.node)[1].shape
    if groups > 1 and (shape[0] == groups or shape[1] == 1):
        return Depthwise.of(fusion, kernel, machine)
    direct = Convolution.of(fusion, kernel, machine)
    if not isinstance(direct, Convolution) or not fits(direct.about):
        return direct
    filtering = Filtering(fusion, kernel, machine)
    return direct if direct.way.cost <= filtering.way.cost else filtering
