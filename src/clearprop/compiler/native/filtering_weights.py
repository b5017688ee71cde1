"""Kernels of the gradient of a convolution by its weights, by minimal filtering.

Images and upstream gradients are transformed, a block of tiles at a time with channels behind the places, and what they
make at each of the 16 positions is added up over all tiles; the sums are transformed back when all are there.
"""

from __future__ import annotations

from clearprop.compiler.native.code import Code
from clearprop.compiler.native.estimates import copy_cost, product_cost
from clearprop.compiler.native.filtering_tiles import (
    TILES,
    Tiles,
    cost_of_windows,
    plane_of_windows,
    window_gradients,
)
from clearprop.compiler.native.gemm import Gemm
from clearprop.compiler.native.image_blocks import Surrounded
from clearprop.compiler.native.kernels import Fusion, Kernel
from clearprop.compiler.native.machine import Machine
from clearprop.compiler.native.minimal_filtering import ALGORITHM, POSITIONS, applies
from clearprop.compiler.native.product import Axis, Product
from clearprop.compiler.native.single import Array
from clearprop.compiler.native.summing import Blocking, Run, Summing


def fits(about: Summing) -> bool:
    """Whether minimal filtering computes this: blocks need sets of sums, see `Summing`."""
    channels, outputs, moves = about.channels, about.outputs, about.moves
    if not applies(channels, outputs, about.groups, about.window, moves.stride, moves.dilation):
        return False
    return about.sets_for(Blocking(_runs(about)), POSITIONS * plane_of_windows(channels, outputs)) > 1


def _runs(about: Summing) -> tuple[Run, ...]:
    """How images are divided: into parts of so many tiles, no two of which have anything in common."""
    rows, columns = (-(-places // 2) for places in about.places)
    if 2 * rows * columns <= 3 * TILES and about.images > 1:
        return about.runs_of_images(max(1, TILES // (rows * columns)))
    return about.runs_of_rows(2 * max(1, min(rows, TILES // columns)))


class FilteringWeights(Summing):
    """Writes a gradient by weights that `fits`."""

    algorithm = ALGORITHM

    def __init__(self, fusion: Fusion, kernel: Kernel, machine: Machine) -> None:
        super().__init__(fusion, kernel, machine)
        lanes, runs = machine.lanes(self.node.dtype), _runs(self)
        rows, columns = ([-(-run.rows // 2) for run in runs], -(-self.places[1] // 2))
        self._tiles = [
            Tiles(run.images, count, columns, lanes, across=False) for run, count in zip(runs, rows, strict=True)
        ]
        upstream = [self.block_of_y(run, (2 * count, 2 * columns)) for run, count in zip(runs, rows, strict=True)]
        source = [self._seen(run, tiles) for run, tiles in zip(runs, self._tiles, strict=True)]
        self.blocking = Blocking(runs, tuple(source), tuple(upstream))
        self._products = [Gemm(self._product(tiles), machine, alone=True) for tiles in self._tiles]
        size = POSITIONS * plane_of_windows(self.channels, self.outputs)
        self.reserve_blocks(size)
        self._totals = self.scratch.reserve(size, self.node.dtype)
        self._image_planes, self._upstream_planes = (
            self.scratch.reserve(max(tiles.size(channels) for tiles in self._tiles), self.node.dtype)
            for channels in (self.channels, self.outputs)
        )
        panels = max(product.scratch_bytes for product in self._products)
        self._panels = self.scratch.reserve(panels // self.itemsize, self.node.dtype)

    def _seen(self, run: Run, tiles: Tiles) -> Surrounded:
        """What the tiles of a block see."""
        bounds, is_moving = tiles.seen(self.bounds(run.rows)), run.rows != self.places[0]
        return Surrounded(run.images, self.channels, self.lengths, bounds, last=True, moving=is_moving)

    def _product(self, tiles: Tiles) -> Product:
        channels, outputs = self.channels, self.outputs
        planes = {"a": tiles.plane(outputs), "b": tiles.plane(channels), "c": plane_of_windows(channels, outputs)}
        return Product(
            self.node.dtype.name,
            rows=Axis(outputs, a=1, c=channels),
            columns=Axis(channels, b=1, c=1),
            depth=Axis(tiles.total, a=outputs, b=channels),
            batch=(Axis(POSITIONS, **planes),),
            accumulate=True,
        )

    @property
    def cost(self) -> float:
        """Cycles, estimated."""
        (x, y), cost = (view.strides for view in self.views), cost_of_windows(self.channels, self.outputs)
        for run, source, upstream, tiles, product in zip(*self.blocking, self._tiles, self._products, strict=True):
            once = product_cost(product) + sum(
                copy_cost(block.shape, strides, block.strides, self.itemsize)
                for block, strides in ((source, x), (upstream, y))
            )
            cost += run.total * (once + tiles.cost(self.channels, self.outputs))
        return cost

    # Writing it -------------------------------------------------------------------------------------------------------

    def begin(self, code: Code, result: Array) -> Array:
        """All sets of sums, by position, output and channel, are 0."""
        channels, outputs = self.channels, self.outputs
        steps = (channels, 1, plane_of_windows(channels, outputs))
        sums = self.sums(code, (outputs, channels, POSITIONS), steps)
        self.clear(code, sums)
        return sums

    def add(self, code: Code, number: int, x: Array, y: Array, sums: Array) -> None:
        """Transform both, and multiply."""
        tiles = self._tiles[number]
        images, upstream = self.part(code, self._image_planes), self.part(code, self._upstream_planes)
        tiles.transform_images(code, x, images)
        tiles.transform_upstream(code, y, upstream)
        self._products[number].call(code, upstream, images, sums, self.part(code, self._panels), self.inside)

    def end(self, code: Code, sums: Array, result: Array) -> None:
        """Add up the sets, and transform back."""
        totals = self.part(code, self._totals, sums.shape, sums.strides, common=True)
        self.add_up(code, sums, totals)
        self.team.wait()
        window_gradients(code, totals, result.part(1), self.team)
