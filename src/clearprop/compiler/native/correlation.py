"""What convolution and its gradient by data are: cross-correlations, taken apart into matrix products.

Both move windows of weights over images. Places that see the same elements of the window are a `Part`: a convolution is
one, and its gradient by data has one for each phase of the stride. A part is a `Product`: the channels are its depth,
the elements of the window its blocks, and images and places, together with the outputs, its rows and columns. How the
arrays lie in memory is a matter of strides alone: channels in front of the places, or behind them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product as all_of
from typing import NamedTuple

from clearprop.compiler.native.product import Axis, Product
from clearprop.compiler.native.views import View
from clearprop.primitives.correlation import phases_of
from clearprop.primitives.windows import Lengths, Moves

Strides = tuple[int, ...]
"""For images (N, C, *lengths): how far one step along each axis is, in elements."""

Bounds = tuple[tuple[int, int], ...]
"""From one element to another, along each spatial axis."""


class Part(NamedTuple):
    """Places that see the same elements of the window. Every setting is one number for each spatial axis.

    Attributes:
        places: how many places.
        start: which element of the image the window's first one meets at the first place; negative before the image.
        stride: from place to place, in the image.
        taps: the elements of the window that are seen.
        dilation: from one of these to the next, in the image.
        at, every: where the first result stands, and how far the next one.
    """

    places: Lengths
    start: Lengths
    stride: Lengths
    taps: tuple[range, ...]
    dilation: Lengths
    at: Lengths
    every: Lengths

    @property
    def window(self) -> Lengths:
        """How many elements of the window are seen."""
        return tuple(len(taps) for taps in self.taps)

    @property
    def bounds(self) -> Bounds:
        """The elements of the image that are seen, and those around it."""
        ends = (
            start + stride * (places - 1) + dilation * (taps - 1) + 1
            for start, stride, places, dilation, taps in zip(
                self.start, self.stride, self.places, self.dilation, self.window, strict=True
            )
        )
        return tuple(zip(self.start, ends, strict=True))


@dataclass(frozen=True)
class Correlation:
    """z[n, o, t] = the sum over c and k of x[n, c, stride t + dilation k + start] w[o, c, k], part by part.

    Attributes:
        dtype: of all arrays.
        images: how many.
        groups: of channels, each with weights of its own.
        channels, outputs: of one group.
        lengths, sizes: of an image, and of a result.
        parts: what is not in any of them is 0.
    """

    dtype: str
    images: int
    groups: int
    channels: int
    outputs: int
    lengths: Lengths
    sizes: Lengths
    parts: tuple[Part, ...]

    @property
    def bounds(self) -> Bounds:
        """The elements of an image that are seen."""
        parts = [part.bounds for part in self.parts]
        return tuple((min(a for a, _ in axis), max(b for _, b in axis)) for axis in zip(*parts, strict=True))

    @property
    def is_padded(self) -> bool:
        """Whether elements are seen that are not in the image."""
        ends = zip(self.bounds, self.lengths, strict=True)
        return any(first < 0 or last > length for (first, last), length in ends)

    @property
    def products(self) -> int:
        """How many numbers are multiplied."""
        places = sum(math.prod(part.places) * math.prod(part.window) for part in self.parts)
        return self.images * self.groups * self.channels * self.outputs * places

    @property
    def is_complete(self) -> bool:
        """Whether the parts are all of z."""
        return sum(math.prod(part.places) for part in self.parts) == math.prod(self.sizes)


def convolution(x: Lengths, w: Lengths, z: Lengths, moves: Moves, dtype: str) -> Correlation:
    """The description of `clearprop.primitives.convolution` for arrays of these shapes."""
    axes = len(w) - 2
    part = Part(
        places=z[2:],
        start=tuple(-low for low, _ in moves.padding),
        stride=moves.stride,
        taps=tuple(range(length) for length in w[2:]),
        dilation=moves.dilation,
        at=(0,) * axes,
        every=(1,) * axes,
    )
    groups = moves.groups
    return Correlation(dtype, x[0], groups, w[1], w[0] // groups, x[2:], z[2:], (part,))


def data_gradient(y: Lengths, w: Lengths, z: Lengths, moves: Moves, dtype: str) -> Correlation:
    """The description of `clearprop.primitives.convolution_data_gradient`; y takes the place of x."""
    low = [first for first, _ in moves.padding]
    by_axis = [
        list(phases_of(*settings))
        for settings in zip(z[2:], y[2:], w[2:], moves.stride, low, moves.dilation, strict=True)
    ]
    parts = []
    for phases in all_of(*by_axis):
        if not all(phase.taps for phase in phases):
            continue
        parts.append(
            Part(
                places=tuple(
                    -((phase.start - length) // stride)
                    for phase, length, stride in zip(phases, z[2:], moves.stride, strict=True)
                ),
                start=tuple(-phase.padding[0] for phase in phases),
                stride=(1,) * len(phases),
                taps=tuple(phase.taps[::-1] for phase in phases),
                dilation=tuple(phase.dilation for phase in phases),
                at=tuple(phase.start for phase in phases),
                every=moves.stride,
            )
        )
    groups = moves.groups
    return Correlation(dtype, y[0], groups, w[0] // groups, w[1], y[2:], z[2:], tuple(parts))


def without_gaps(x: View, window: Lengths, places: Lengths, moves: Moves) -> tuple[View, Moves]:
    """The same windows on the same images, without elements that no window sees: one of length 1 may leave gaps."""
    lengths, steps, stride, padding = list(x.shape), list(x.strides), list(moves.stride), list(moves.padding)
    for i, (size, count) in enumerate(zip(window, places, strict=True)):
        if size == 1 and padding[i][0] == 0 and stride[i] * (count - 1) < lengths[i + 2]:
            lengths[i + 2], steps[i + 2] = count, steps[i + 2] * stride[i]
            stride[i], padding[i] = 1, (0, 0)
    view = x._replace(shape=tuple(lengths), strides=tuple(steps))
    return view, moves._replace(stride=tuple(stride), padding=tuple(padding))


def part_product(
    about: Correlation, part: Part, images: int, x: Strides, w: Sequence[int], z: Strides, rows: int = 0
) -> Product:
    """A part as a product, of some images.

    Args:
        x, z: strides of images and results.
        w: how far it is from group to group, from element to element of the window, from channel to channel and from
            output to output.
        rows: of the places along the first axis only so many; 0 for all.
    """
    places = (rows, *part.places[1:]) if rows else part.places
    by_group, *by_tap, by_channel, by_output = w
    along = [
        Axis(count, a=stride * x_step, c=every * z_step)
        for count, stride, every, x_step, z_step in zip(places, part.stride, part.every, x[2:], z[2:], strict=True)
    ]
    return Product(
        about.dtype,
        rows=along[-1],
        columns=Axis(about.outputs, b=by_output, c=z[1]),
        depth=Axis(about.channels, a=x[1], b=by_channel),
        blocks=tuple(
            Axis(count, a=dilation * x_step, b=step)
            for count, dilation, x_step, step in zip(part.window, part.dilation, x[2:], by_tap, strict=True)
        ),
        batch=(
            Axis(about.groups, a=about.channels * x[1], b=by_group, c=about.outputs * z[1]),
            Axis(images, a=x[0], c=z[0]),
            *along[:-1],
        ),
    )
