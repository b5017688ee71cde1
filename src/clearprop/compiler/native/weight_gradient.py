"""Kernels of the gradient of a convolution by its weights.

For each element of the window, images are multiplied with upstream gradients, and the products added up over all images
and places: a `Product` whose depth and blocks are those, and whose rows and columns are outputs and channels. As in
`convolution`, there are several ways, and the one that is estimated to take the least time is taken: images and
upstream gradients are read in place or copied, with channels in front or behind, and so are the sums.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product as all_of

from clearprop.compiler.native.code import Code
from clearprop.compiler.native.correlation import Strides
from clearprop.compiler.native.depthwise_weights import DepthwiseWeights
from clearprop.compiler.native.estimates import copy_cost, product_cost
from clearprop.compiler.native.filtering_weights import FilteringWeights, fits
from clearprop.compiler.native.gemm import Gemm
from clearprop.compiler.native.image_blocks import Surrounded, copy_images, strides_in
from clearprop.compiler.native.kernels import Fusion, Kernel
from clearprop.compiler.native.machine import Machine
from clearprop.compiler.native.product import Axis, Product
from clearprop.compiler.native.single import Array, NodeWriter
from clearprop.compiler.native.summing import Blocking, Run, Summing


@dataclass(frozen=True)
class Way:
    """One way to compute it.

    Attributes:
        blocking: how images are divided.
        sums: strides of the sums (G, O, C, *window) in scratch memory, or None if they are where they belong.
        products: one for each run of blocks.
        cost: cycles, estimated.
    """

    blocking: Blocking
    sums: Strides | None
    products: tuple[Gemm, ...]
    cost: float


class WeightGradient(Summing):
    """Writes one as matrix products."""

    def __init__(self, fusion: Fusion, kernel: Kernel, machine: Machine) -> None:
        super().__init__(fusion, kernel, machine)
        x, y = self.views
        self.way = min(self._ways(x.strides, y.strides), key=lambda way: way.cost)
        self.blocking = self.way.blocking
        size = math.prod(self.node.shape)
        self.is_direct = self.way.sums is None and self.sets_for(self.blocking, size) == 1
        self.reserve_blocks(size, in_place=self.is_direct)
        has_totals = self.sets > 1 and self.way.sums is not None
        self._totals = self.scratch.reserve(has_totals * size, self.node.dtype)
        panels = max(product.scratch_bytes for product in self.way.products)
        self._panels = self.scratch.reserve(panels // self.itemsize, self.node.dtype)

    # Which way --------------------------------------------------------------------------------------------------------

    def _ways(self, x: Strides, y: Strides) -> Iterator[Way]:
        sources = [False, True] if self.is_padded else [None, False, True]
        for last, copies_y, sums in all_of(sources, (False, True), self._sums_lying()):
            yield self._way(x, y, last, copies_y, sums)

    def _sums_lying(self) -> list[Strides | None]:
        """Strides for (G, O, C, *window): with channels or with outputs as neighbours."""
        if math.prod(self.window) == 1:
            return [None]
        lengths = (self.groups, self.outputs, self.channels, *self.window)
        o, c, k, leading = 1, 2, len(lengths) - 1, range(3, len(lengths) - 1)
        return [strides_in(lengths, (0, *leading, *order)) for order in ((o, k, c), (k, c, o))]

    def _way(self, x: Strides, y: Strides, last: bool | None, copies_y: bool, sums: Strides | None) -> Way:
        runs = self.runs_for(copies_x=last is not None, copies_y=copies_y)
        source, upstream, products, cost = list[Surrounded](), list[Surrounded](), list[Gemm](), 0.0
        blocking = Blocking(runs)
        sets = self.sets_for(blocking, math.prod(self.node.shape))
        for run in runs:
            once, here, there = 0.0, x, y
            if last is not None:
                source.append(self.surrounded(run, last=last))
                here = source[-1].strides
                once += copy_cost(source[-1].shape, x, here, self.itemsize)
            if copies_y:
                upstream.append(self.block_of_y(run))
                there = upstream[-1].strides
                once += copy_cost(upstream[-1].shape, y, there, self.itemsize)
            product = self._product(run, here, there, sums or self.result, accumulate=sets < blocking.total)
            products.append(Gemm(product, self.machine, alone=sets > 1))
            cost += run.turns * run.row_turns * (once + product_cost(products[-1]))
        return Way(Blocking(runs, tuple(source), tuple(upstream)), sums, tuple(products), cost)

    def _product(self, run: Run, x: Strides, y: Strides, z: Strides, *, accumulate: bool) -> Product:
        by_group, by_output, by_channel, *by_tap = z
        places, moves = (run.rows, *self.places[1:]), self.moves
        along = [
            Axis(n, a=y_step, b=stride * x_step)
            for n, stride, x_step, y_step in zip(places, moves.stride, x[2:], y[2:], strict=True)
        ]
        taps = [
            Axis(k, b=step * x_step, c=z_step)
            for k, step, x_step, z_step in zip(self.window, moves.dilation, x[2:], by_tap, strict=True)
        ]
        return Product(
            self.node.dtype.name,
            rows=Axis(self.outputs, a=y[1], c=by_output),
            columns=Axis(self.channels, b=x[1], c=by_channel),
            depth=along[-1],
            blocks=(Axis(run.images, a=y[0], b=x[0]), *along[:-1]),
            batch=(Axis(self.groups, a=self.outputs * y[1], b=self.channels * x[1], c=by_group), *taps),
            accumulate=accumulate,
        )

    # Writing it -------------------------------------------------------------------------------------------------------

    def begin(self, code: Code, result: Array) -> Array:
        """In scratch memory, or where they belong."""
        sums = result if self.is_direct else self.sums(code, result.shape, self.way.sums or result.strides)
        if any(product.product.accumulate for product in self.way.products):
            self.clear(code, sums)
        return sums

    def add(self, code: Code, number: int, x: Array, y: Array, sums: Array) -> None:
        """Call the product."""
        self.way.products[number].call(code, y, x, sums, self.part(code, self._panels), self.inside)

    def end(self, code: Code, sums: Array, result: Array) -> None:
        """Add up the sets, and copy, if the sums are not where they belong."""
        if self.is_direct:
            return
        if self.sets > 1 and self.way.sums is None:
            self.add_up(code, sums, result)
            return
        if self.sets > 1:
            totals = self.part(code, self._totals, sums.shape, sums.strides, common=True)
            self.add_up(code, sums, totals)
            self.team.wait()
            sums = totals
        copy_images(code, self.machine, sums, result, self.team)


def weight_gradient_writer(fusion: Fusion, kernel: Kernel, machine: Machine) -> NodeWriter | None:
    """Who writes a gradient by weights, as `convolution_writer`; None if these are no floats, or none at all."""
    groups, shape = kernel.node.attributes["moves"].groups, kernel.node.shape
    if groups > 1 and (shape[0] == groups or shape[1] == 1):
        return DepthwiseWeights.of(fusion, kernel, machine)
    direct = WeightGradient.of(fusion, kernel, machine)
    if not isinstance(direct, WeightGradient) or not fits(direct):
        return direct
    filtering = FilteringWeights(fusion, kernel, machine)
    return direct if direct.way.cost <= filtering.cost else filtering
