"""Kernels of the gradient of a convolution by its weights.

For each element of the window, images are multiplied with upstream gradients, and the products added up over all images
and places: a `Product` whose depth and blocks are those, and whose rows and columns are outputs and channels. As in
`convolution`, images are read in place or copied, a block at a time; blocks are added up one after the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product as all_of
from typing import NamedTuple

from clearprop.compiler.native.code import Code
from clearprop.compiler.native.convolution import call_product
from clearprop.compiler.native.copying import fill
from clearprop.compiler.native.correlation import Bounds, Strides
from clearprop.compiler.native.estimates import copy_cost, product_cost
from clearprop.compiler.native.gemm import Gemm
from clearprop.compiler.native.image_blocks import BLOCK_BYTES, Surrounded, blocks_of, copy_images, lying, strides_in
from clearprop.compiler.native.integers import Integer, Integers
from clearprop.compiler.native.kernels import Fusion, Kernel
from clearprop.compiler.native.machine import Machine
from clearprop.compiler.native.product import Axis, Product
from clearprop.compiler.native.scratch import ScratchWriter
from clearprop.compiler.native.single import Array, at
from clearprop.compiler.native.views import row_strides


class Run(NamedTuple):
    """Blocks of one size: so many of images, and in each of them so many of rows.

    Attributes:
        count, row_count: how many blocks.
        images, rows: of each; rows are places along the first spatial axis.
        first_image, first_row: where the first one begins.
    """

    count: int
    images: int
    row_count: int
    rows: int
    first_image: int = 0
    first_row: int = 0


@dataclass(frozen=True)
class Way:
    """One way to compute it.

    Attributes:
        runs: of blocks.
        source: for each run, a block of images in scratch memory; none if they are read in place.
        upstream: for each run, strides of a block of upstream gradients in scratch memory; none if they are read in
            place.
        sums: strides of the sums (G, O, C, *window) in scratch memory, or None if they are where they belong.
        products: one for each run.
        cost: cycles, estimated.
    """

    runs: tuple[Run, ...]
    source: tuple[Surrounded, ...]
    upstream: tuple[Strides, ...]
    sums: Strides | None
    products: tuple[Gemm, ...]
    cost: float


class WeightGradient(ScratchWriter):
    """Writes one."""

    def __init__(self, fusion: Fusion, kernel: Kernel, machine: Machine) -> None:
        super().__init__(fusion, kernel, machine)
        x, y = self.views
        self.moves, self.itemsize = self.attributes["moves"], self.node.dtype.itemsize
        self.window, self.places, self.lengths = self.node.shape[2:], y.shape[2:], x.shape[2:]
        self.images, self.groups = x.shape[0], self.moves.groups
        self.channels, self.outputs = x.shape[1] // self.groups, y.shape[1] // self.groups
        by_output, by_channel, *by_tap = row_strides(self.node.shape)
        self.result = (self.outputs * by_output, by_output, by_channel, *by_tap)
        self.way = way = min(self._ways(x.strides, y.strides), key=lambda way: way.cost)
        y_block = max(run.images * run.rows for run in way.runs) * self._row_of_y()
        sizes = [
            max((block.size for block in way.source), default=0),
            y_block if way.upstream else 0,
            math.prod(self.node.shape) if way.sums else 0,
            max(product.scratch_bytes for product in way.products) // self.itemsize,
        ]
        self.source, self.upstream, self.sums, self.panels = (
            self.scratch.reserve(size, self.node.dtype) for size in sizes
        )

    # Which way --------------------------------------------------------------------------------------------------------

    def _row_of_y(self) -> int:
        return self.groups * self.outputs * math.prod(self.places[1:])

    def _bounds(self, rows: int) -> Bounds:
        """Which elements of an image are seen from the first rows."""
        moves, places = self.moves, (rows, *self.places[1:])
        settings = zip(moves.padding, moves.stride, places, moves.dilation, self.window, strict=True)
        return tuple((-low, stride * (n - 1) + step * (k - 1) + 1 - low) for (low, _), stride, n, step, k in settings)

    def _ways(self, x: Strides, y: Strides) -> Iterator[Way]:
        ends = zip(self._bounds(self.places[0]), self.lengths, strict=True)
        is_padded = any(a < 0 or b > n for (a, b), n in ends)
        sources = [False, True] if is_padded else [None, False, True]
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
        runs, z = self._runs(last is not None, copies_y), sums or self.result
        source, upstream, products, cost = list[Surrounded](), list[Strides](), list[Gemm](), 0.0
        is_only = len(runs) == runs[0].count == runs[0].row_count == 1
        for run in runs:
            once, here, there = 0.0, x, y
            if last is not None:
                bounds, moving = self._bounds(run.rows), run.rows != self.places[0]
                channels = self.groups * self.channels
                source.append(Surrounded(run.images, channels, self.lengths, bounds, last=last, moving=moving))
                here = source[-1].strides
                once += copy_cost(source[-1].shape, x, here, self.itemsize)
            if copies_y:
                shape = self._block_of_y(run)
                upstream.append(there := lying(shape, last=True))
                once += copy_cost(shape, y, there, self.itemsize)
            products.append(Gemm(self._product(run, here, there, z, accumulate=not is_only), self.machine))
            cost += run.count * run.row_count * (once + product_cost(products[-1]))
        return Way(runs, tuple(source), tuple(upstream), sums, tuple(products), cost)

    def _block_of_y(self, run: Run) -> tuple[int, ...]:
        return (run.images, self.groups * self.outputs, run.rows, *self.places[1:])

    def _runs(self, copies_x: bool, copies_y: bool) -> tuple[Run, ...]:
        """No block may be moved back here, and have something in common with the one before.

        With each block goes a walk through all sums: with more sums, blocks are larger.
        """
        images, rows = self.images, self.places[0]
        if not copies_x and not copies_y:
            return (Run(1, images, 1, rows),)
        (start, end), *others = self._bounds(rows)
        of_x = copies_x * self.groups * self.channels * math.prod(b - a for a, b in others) * self.itemsize
        of_y = copies_y * self._row_of_y() * self.itemsize
        image_bytes = of_x * (end - start) + of_y * rows
        of_row = of_x * self.moves.stride[0] + of_y
        nbytes = max(BLOCK_BYTES, min(2 * math.prod(self.node.shape) * self.itemsize, 4 * BLOCK_BYTES))
        blocks = blocks_of(images, image_bytes, math.prod(self.places), rows, of_row if others else 0, nbytes)
        if not blocks.is_whole:
            taken = blocks.rows[1]
            rest = rows % taken
            runs = [Run(images, 1, rows // taken, taken), Run(images, 1, 1, rest, first_row=rows - rest)]
        else:
            taken = blocks.images[1]
            taken = max((n for n in range(taken // 2 + 1, taken + 1) if images % n == 0), default=taken)
            rest = images % taken
            runs = [Run(images // taken, taken, 1, rows), Run(1, rest, 1, rows, first_image=images - rest)]
        return tuple(run for run in runs if run.images and run.rows)

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

    def body(self, code: Code, operands: Sequence[Array], output: Array) -> None:
        """Add up block after block."""
        x, y = operands
        way, shape = self.way, (self.groups, self.outputs, *self.node.shape[1:])
        result = output._replace(shape=shape, strides=self.result)
        sums = result if way.sums is None else self.part(code, self.sums, shape, way.sums)
        if any(product.product.accumulate for product in way.products):
            fill(code, self.machine, sums)
        for number, run in enumerate(way.runs):
            if way.source:
                way.source[number].clear(code, self.machine, self.part(code, self.source))
            self._each_block(code, run, lambda i, j, number=number: self._block(code, x, y, sums, number, i, j))
        if way.sums is not None:
            copy_images(code, self.machine, sums, result)

    def _each_block(self, code: Code, run: Run, body: Callable[[Integer, Integer], None]) -> None:
        integers = Integers(code)

        def images(i: Integer) -> None:
            image = integers.add(integers.times(i, run.images), run.first_image)
            integers.each(
                0, run.row_count, 1, lambda j: body(image, integers.add(integers.times(j, run.rows), run.first_row))
            )

        integers.each(0, run.count, 1, images)

    def _block(self, code: Code, x: Array, y: Array, sums: Array, number: int, image: Integer, row: Integer) -> None:
        way, run, integers = self.way, self.way.runs[number], Integers(code)
        first = integers.times(row, self.moves.stride[0])
        x = x.moved(code, integers.times(image, x.strides[0]))
        y = y.moved(code, at(code, [image, row], (y.strides[0], y.strides[2])))
        if way.source:
            target = self.part(code, self.source)
            way.source[number].load(code, self.machine, x, target, first)
            x = target
        else:
            corner = [start for start, _ in self._bounds(run.rows)]
            x = x.moved(code, at(code, [integers.add(corner[0], first), *corner[1:]], x.strides[2:]))
        if way.upstream:
            shape = self._block_of_y(run)
            target = self.part(code, self.upstream, shape, way.upstream[number])
            copy_images(code, self.machine, y._replace(shape=shape), target)
            y = target
        call_product(code, way.products[number], y, x, sums, self.part(code, self.panels))
