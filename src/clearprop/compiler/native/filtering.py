"""Kernels of convolution, and of its gradient by data, by minimal filtering.

A block of images is taken at a time, so many tiles that what is transformed stays in a second-level cache: the images
are transformed, multiplied with the transformed windows at each of the 16 positions, and the products transformed back.
Lanes of vectors are neighbouring tiles of a row where rows are long enough, or else channels, which are then brought
behind the places.
"""

from __future__ import annotations

from dataclasses import dataclass

from clearprop.compiler.native.code import Code
from clearprop.compiler.native.correlating import Correlating
from clearprop.compiler.native.correlation import Correlation, Strides
from clearprop.compiler.native.estimates import copy_cost, product_cost
from clearprop.compiler.native.filtering_tiles import (
    TILES,
    Tiles,
    cost_of_windows,
    plane_of_windows,
    transform_windows,
)
from clearprop.compiler.native.gemm import Gemm
from clearprop.compiler.native.image_blocks import Blocks, Surrounded, even_parts, lying
from clearprop.compiler.native.kernels import Fusion, Kernel
from clearprop.compiler.native.machine import Machine
from clearprop.compiler.native.minimal_filtering import ALGORITHM, POSITIONS, WINDOW, applies
from clearprop.compiler.native.product import Axis, Product
from clearprop.compiler.native.single import Array
from clearprop.compiler.native.views import row_strides


def fits(about: Correlation) -> bool:
    """Whether minimal filtering computes this, for threads that share blocks of it."""
    if len(about.parts) != 1 or not about.is_complete:
        return False
    (part,) = about.parts
    is_divisible = about.images > 1 or part.places[0] > 2
    return is_divisible and applies(
        about.channels, about.outputs, about.groups, part.window, part.stride, part.dilation
    )


@dataclass(frozen=True)
class Way:
    """One way to do it.

    Attributes:
        blocks: how images are divided.
        tiles: of a block.
        source: a block of images in scratch memory.
        target: the strides of a block of results in scratch memory, or None if they are written in place.
        product: of all positions.
        cost: cycles, estimated.
    """

    blocks: Blocks
    tiles: Tiles
    source: Surrounded
    target: Strides | None
    product: Gemm
    cost: float


class Filtering(Correlating):
    """Writes a convolution, or a gradient by data, that `fits`."""

    algorithm = ALGORITHM

    def __init__(self, fusion: Fusion, kernel: Kernel, machine: Machine) -> None:
        super().__init__(fusion, kernel, machine)
        self.way = min((self._way(across=across) for across in (False, True)), key=lambda way: way.cost)
        self.blocks, self.source, self.target = self.way.blocks, self.way.source, self.way.target
        self.reserve_blocks()
        self.has_packed = True
        about, tiles, dtype = self.about, self.way.tiles, self.node.dtype
        windows = POSITIONS * plane_of_windows(about.channels, about.outputs)
        self._windows = self.scratch.reserve(windows, dtype)
        self._image_planes, self._sums = (
            self.scratch.reserve(tiles.size(channels), dtype) for channels in (about.channels, about.outputs)
        )
        self._panels = self.scratch.reserve(self.way.product.scratch_bytes // dtype.itemsize, dtype)

    # Which way --------------------------------------------------------------------------------------------------------

    def _way(self, *, across: bool) -> Way:
        about, itemsize, lanes = self.about, self.node.dtype.itemsize, self.machine.lanes(self.node.dtype)
        rows, columns = (-(-size // 2) for size in about.sizes)
        if across:
            columns = -(-columns // lanes) * lanes
        blocks = self._blocks(rows, columns)
        tiles = Tiles(blocks.images[1], -(-blocks.rows[1] // 2), columns, lanes, across)
        source = Surrounded(
            blocks.images[1],
            about.channels,
            about.lengths,
            tiles.seen(about.bounds),
            last=not across,
            moving=not blocks.is_whole,
        )
        x, z = self.views[0].strides, row_strides(self.node.shape)
        cost, target = copy_cost(source.shape, x, source.strides, itemsize), None
        if not across or (blocks.rows[1], about.sizes[1]) != (2 * tiles.rows, 2 * columns):
            shape = (blocks.images[1], about.outputs, 2 * tiles.rows, 2 * columns)
            target = lying(shape, last=not across)
            cost += copy_cost(shape, target, z, itemsize)
        product = Gemm(self._product(tiles), self.machine, alone=True)
        cost += product_cost(product) + tiles.cost(about.channels, about.outputs)
        windows = cost_of_windows(about.channels, about.outputs)
        return Way(blocks, tiles, source, target, product, cost * blocks.total + windows)

    def _blocks(self, rows: int, columns: int) -> Blocks:
        """Some images, or some rows of one, for so many rows and columns of tiles in an image."""
        images, places = self.about.images, self.about.sizes[0]
        if 2 * rows * columns <= 3 * TILES and images > 1:
            return Blocks((images, even_parts(images, max(1, TILES // (rows * columns)))), (places, places))
        return Blocks((images, 1), (places, 2 * even_parts(rows, max(1, TILES // columns))))

    def _product(self, tiles: Tiles) -> Product:
        """At each position windows times tiles, or tiles times windows: neighbours are columns."""
        channels, outputs = self.about.channels, self.about.outputs
        rows, columns = (outputs, tiles.total) if tiles.across else (tiles.total, outputs)
        windows, images = plane_of_windows(channels, outputs), tiles.plane(channels)
        a, b = (windows, images) if tiles.across else (images, windows)
        return Product(
            self.node.dtype.name,
            rows=Axis(rows, a=channels, c=columns),
            columns=Axis(columns, b=1, c=1),
            depth=Axis(channels, a=1, b=columns),
            batch=(Axis(POSITIONS, a=a, b=b, c=tiles.plane(outputs)),),
        )

    # Writing it -------------------------------------------------------------------------------------------------------

    def weights(self, code: Code, w: Array) -> Array:
        """The windows, transformed."""
        _, *by_tap, by_channel, by_output = self.steps
        taps, (outputs, channels) = self.about.parts[0].taps, (self.about.outputs, self.about.channels)
        first = w.moved(code, sum(some.start * step for some, step in zip(taps, by_tap, strict=True)))
        in_window = (some.step * step for some, step in zip(taps, by_tap, strict=True))
        windows = first._replace(shape=(outputs, channels, WINDOW, WINDOW), strides=(by_output, by_channel, *in_window))
        in_plane = (channels, 1) if self.way.tiles.across else (1, outputs)
        shape, steps = (outputs, channels, POSITIONS), (*in_plane, plane_of_windows(channels, outputs))
        planes = self.part(code, self._windows, shape, steps, common=True)
        transform_windows(code, windows, planes, self.team)
        return planes

    def multiply(self, code: Code, number: int, x: Array, w: Array, z: Array) -> None:
        """Transform, multiply, transform back."""
        tiles, product = self.way.tiles, self.way.product
        images, sums = self.part(code, self._image_planes), self.part(code, self._sums)
        tiles.transform_images(code, x, images)
        a, b = (w, images) if tiles.across else (images, w)
        product.call(code, a, b, sums, self.part(code, self._panels), self.inside)
        tiles.transform_results(code, sums, z)
