"""Cross-correlation of NumPy arrays, and its gradients, by matrix products. Arrays in and arrays out.

Images are (N, C, *lengths), weights (O, C/G, *window), for any number of spatial axes. What is computed has its
channels last in memory: (N, *lengths, O), seen through a transpose; so the next such operation finds it as it wants it.

To multiply by the weights, the elements of every window must stand in one row of a matrix. Two ways to get there:

rows    Windows are copied along all spatial axes but the last. In what comes of it, (N, leading lengths, W, leading
        window, C), the rest of a window is W elements long and already in one piece; windows overlap. Neighbouring
        windows do so within the stride of a matrix, which BLAS does not take, but every one of the places along the
        last axis is a matrix of its own, without a copy. A 3 x 3 window is copied 3 times, not 9 (M. Cho, D. Brand,
        "MEC: memory-efficient convolution for deep neural network", 2017).
images  Every image becomes a matrix (window C, lengths), copied in runs along the last axis ("im2col", K. Chellapilla
        et al. 2006). For few channels, whose rows would be copied in runs as short, and for dilated windows.

The gradient by data is again a cross-correlation, of the upstream gradient with the turned weights. A stride takes the
positions of the image apart into phases; each of them sees a part of the weights, and is one without a stride. Only
where the image has few channels, too narrow a matrix, the products are made first and then added up at their places.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from clearprop.primitives.windows import (
    Array,
    Lengths,
    Padding,
    channels_first,
    channels_last,
    output_lengths,
    padded,
    strides,
)

_BLOCK = 1 << 20
"""Elements of a lowered matrix: some images at a time, that stay in the cache."""

_LARGEST = 1 << 24
"""Elements from which on a single image is lowered in parts, a few of its rows at a time."""

_RUN = 8
"""Channels from which on copying them in one piece is worth while."""

_FEW_ROWS = 16
"""Rows from which on a matrix product is worth while; and, times 8, those that a block should have."""


class _Lowering:
    """Images as matrices, block by block: each (G, J, M, K), so that (G, J, M, K) @ (G, 1, K, O/G) -> (G, J, M, O/G).

    G are the groups and K the elements of a window, in the order (last axis of the window, its other axes, channels).
    With rows, J are the places along the last axis and M all others; with images, J are the images and M all places.
    """

    def __init__(
        self, x: Array, window: Lengths, stride: Lengths, padding: Padding, dilation: Lengths, groups: int
    ) -> None:
        self.x, self.window, self.stride, self.padding, self.dilation = x, window, stride, padding, dilation
        self.groups, self.channels = groups, x.shape[1] // groups
        self.lengths = output_lengths(x.shape[2:], window, stride, padding, dilation)
        self.images = not self._by_rows()

    def _by_rows(self) -> bool:
        if self.window[-1] == 1:
            is_copy = math.prod(self.window) > 1 or max(self.stride) > 1 or any(map(any, self.padding))
            return self.channels >= _RUN and (is_copy or not self.x.flags.c_contiguous)
        rows = self.x.shape[0] * math.prod(self.lengths[:-1])
        return self.channels >= _RUN and self.dilation[-1] == 1 and rows >= _FEW_ROWS

    def blocks(self) -> Iterator[tuple[Any, Array]]:
        """Which images, and rows of an image, of an output with the channels last; and the matrices for them."""
        count, rows = self._block_size()
        for start in range(0, self.x.shape[0], count):
            some = self.x[start : start + count]
            source = padded(some, self.padding, 2) if self.images else padded(channels_last(some), self.padding, 1)
            for row in range(0, self.lengths[0], rows):
                lengths = (min(rows, self.lengths[0] - row), *self.lengths[1:])
                lower = self._lower_images if self.images else self._lower_rows
                yield (
                    (slice(start, start + count), slice(row, row + rows)),
                    lower(source, row * self.stride[0], lengths),
                )

    def blocks_with(self, y: Array) -> Iterator[tuple[Array, Array]]:
        """For every block the part of y (N, O, *lengths) that belongs to it, (G, J, O/G, M), and its matrices."""
        if self.images and y.flags.c_contiguous:
            count, out, *lengths = y.shape
            parted = y.reshape(count, self.groups, out // self.groups, *lengths).swapaxes(0, 1)
            for (some, rows), matrices in self.blocks():
                yield parted[:, some, :, rows].reshape(self.groups, -1, out // self.groups, matrices.shape[2]), matrices
            return
        upstream = padded(channels_last(y), ((0, 0),) * len(self.window), 1)
        for where, matrices in self.blocks():
            yield self.products(upstream[where]).swapaxes(2, 3), matrices

    def _block_size(self) -> tuple[int, int]:
        """Images in a block, and rows (positions along the first spatial axis); of several images, all rows."""
        width = self.lengths[-1] if self.images or self.window[-1] == 1 else self.x.shape[-1]
        copies = math.prod(self.window if self.images else self.window[:-1])
        row = math.prod(self.lengths[1:-1]) * width * copies * self.x.shape[1]
        count = max(1, _BLOCK // (row * self.lengths[0]))
        if not self.images:
            count = max(count, 8 * _FEW_ROWS // math.prod(self.lengths[:-1]))
        return count, self.lengths[0] if count > 1 else max(1, _LARGEST // row)

    def _lower_images(self, source: Array, offset: int, lengths: Lengths) -> Array:
        """(N, C, *padded lengths) -> (G, N, M, K)."""
        by_image, by_channel, *by_place = strides(source)
        taps = [step * by for step, by in zip(self.dilation, by_place, strict=True)]
        places = [step * by for step, by in zip(self.stride, by_place, strict=True)]
        view = np.ndarray(
            (len(source), self.groups, self.window[-1], *self.window[:-1], self.channels, *lengths),
            source.dtype,
            source,
            offset * by_place[0],
            (by_image, self.channels * by_channel, taps[-1], *taps[:-1], by_channel, *places),
        )
        matrices = view.reshape(len(source), self.groups, math.prod(self.window) * self.channels, math.prod(lengths))
        return matrices.transpose(1, 0, 3, 2)

    def _lower_rows(self, source: Array, offset: int, lengths: Lengths) -> Array:
        """(N, *padded lengths, C) -> (G, J, M, K)."""
        by_image, *by_place, by_channel = strides(source)
        taps = [step * by for step, by in zip(self.dilation, by_place, strict=True)]
        places = [step * by for step, by in zip(self.stride, by_place, strict=True)]
        last, overlaps = self.window[-1], self.window[-1] > 1
        width = (lengths[-1] - 1) * self.stride[-1] + last if overlaps else lengths[-1]
        view = np.ndarray(
            (self.groups, len(source), *lengths[:-1], width, *self.window[:-1], self.channels),
            source.dtype,
            source,
            offset * by_place[0],
            (
                self.channels * by_channel,
                by_image,
                *places[:-1],
                by_place[-1] if overlaps else places[-1],
                *taps[:-1],
                by_channel,
            ),
        )
        run = math.prod(self.window[:-1]) * self.channels
        if not overlaps:
            return view.reshape(self.groups, 1, len(source) * math.prod(lengths), run)
        rows = len(source) * math.prod(lengths[:-1])
        lowered = np.ascontiguousarray(view.reshape(self.groups, rows, width * run))
        size = lowered.itemsize
        return np.ndarray(
            (self.groups, lengths[-1], rows, last * run),
            lowered.dtype,
            lowered,
            0,
            (rows * width * run * size, self.stride[-1] * run * size, width * run * size, size),
        )

    def products(self, y: Array) -> Array:
        """A contiguous block of outputs (N, *lengths, O) as the products (G, J, M, O/G) that it holds."""
        count, *lengths, channels = y.shape
        columns = (self.groups, channels // self.groups)
        if self.images:
            return y.reshape(count, math.prod(lengths), *columns).transpose(2, 0, 1, 3)
        if self.window[-1] == 1:
            return y.reshape(1, count * math.prod(lengths), *columns).transpose(2, 0, 1, 3)
        return y.reshape(count * math.prod(lengths[:-1]), lengths[-1], *columns).transpose(2, 1, 0, 3)


def correlate(x: Array, w: Array, stride: Lengths, padding: Padding, dilation: Lengths, groups: int) -> Array:
    """z[n, o, t] = sum over c, k of x[n, c, stride t + dilation k - low] w[o, c, k].

    (N, C, *lengths), (O, C/G, *window) -> (N, O, *places).
    A padding may be negative: it cuts off.
    """
    window = w.shape[2:]
    lengths = output_lengths(x.shape[2:], window, stride, padding, dilation)
    z = np.empty((x.shape[0], *lengths, w.shape[0]), x.dtype)
    if not x.size or not w.size or not z.size:
        z.fill(0)
    elif _is_depthwise(x, w, groups):
        _correlate_depthwise(x, w, stride, padding, dilation, z)
    else:
        lowering = _Lowering(x, window, stride, padding, dilation, groups)
        matrix = _weight_matrix(w, groups)
        for where, matrices in lowering.blocks():
            np.matmul(matrices, matrix, out=lowering.products(z[where]))
    return channels_first(z)


def _weight_matrix(w: Array, groups: int) -> Array:
    """(O, C/G, *window) -> (G, 1, K, O/G), K in the order of a lowered window."""
    out, channels, *window = w.shape
    axes = w.ndim + 1
    parted = w.reshape(groups, out // groups, channels, *window)
    return parted.transpose(0, axes - 1, *range(3, axes - 1), 2, 1).reshape(groups, 1, -1, out // groups)


def weight_gradient(
    x: Array, y: Array, window: Lengths, stride: Lengths, padding: Padding, dilation: Lengths, groups: int
) -> Array:
    """z[o, c, k] = sum over n, t of x[n, c, stride t + dilation k - low] y[n, o, t].

    (N, C, *lengths), (N, O, *places) -> (O, C/G, *window).
    """
    out, channels = y.shape[1], x.shape[1] // groups
    if not x.size or not y.size:
        return np.zeros((out, channels, *window), x.dtype)
    if channels == 1 and out == groups:
        return _weight_gradient_depthwise(x, y, window, stride, padding, dilation)
    lowering = _Lowering(x, window, stride, padding, dilation, groups)
    total = np.zeros((groups, out // groups, math.prod(window) * channels), x.dtype)
    at_once = max(1, _BLOCK // total.size)
    for products, matrices in lowering.blocks_with(y):
        for start in range(0, matrices.shape[1], at_once):
            some = slice(start, start + at_once)
            total += np.add.reduce(np.matmul(products[:, some], matrices[:, some]), 1)  # (O/G, M) @ (M, K)
    axes = len(window)
    parted = total.reshape(out, window[-1], *window[:-1], channels)
    return np.ascontiguousarray(parted.transpose(0, axes + 1, *range(2, axes + 1), 1))


class _Phase(NamedTuple):
    """Positions of one axis that see the same weights: every ``stride``-th from ``start`` on, ``count`` of them."""

    start: int
    count: int
    taps: range
    dilation: int
    padding: tuple[int, int]


def _phases(length: int, places: int, size: int, stride: int, low: int, dilation: int) -> Iterator[_Phase]:
    """Taking one axis of the gradient by data apart.

    Position p receives from place t through element k of the window where p + low = stride t + dilation k. For the
    positions p = start + stride q these are every (stride / common)-th k, where common is the greatest common divisor
    of stride and dilation, and the next k has its t dilation / common earlier.
    """
    common = math.gcd(stride, dilation)
    for start in range(min(stride, length)):
        firsts = [k for k in range(min(size, stride // common)) if (start + low - dilation * k) % stride == 0]
        taps = range(firsts[0], size, stride // common) if firsts else range(0)
        count = -((start - length) // stride)
        spread = dilation // common * (len(taps) - 1)
        before = spread - (start + low - dilation * taps.start) // stride
        yield _Phase(start, count, taps, dilation // common, (before, count + spread - places - before))


def data_gradient(
    y: Array, w: Array, lengths: Lengths, stride: Lengths, padding: Padding, dilation: Lengths, groups: int
) -> Array:
    """z[n, c, stride t + dilation k - low] += y[n, o, t] w[o, c, k] for all o, t, k.

    (N, O, *places), (O, C/G, *window) -> (N, C, *lengths).
    """
    out, channels, *window = w.shape
    if channels < _RUN and not (channels == 1 and out == groups) and y.size and w.size:
        return _data_gradient_of_few(y, w, lengths, stride, padding, dilation, groups)
    swapped = w.reshape(groups, out // groups, channels, *window).swapaxes(1, 2)
    turned = swapped.reshape(groups * channels, out // groups, *window)
    by_axis = [
        list(_phases(length, places, size, by, low, step))
        for length, places, size, by, (low, _), step in zip(
            lengths, y.shape[2:], window, stride, padding, dilation, strict=True
        )
    ]
    if all(len(phases) == 1 and phases[0].taps for phases in by_axis):
        return _of_phase(y, turned, [phase for (phase,) in by_axis], groups)
    z = channels_first(np.zeros((y.shape[0], *lengths, groups * channels), y.dtype))
    for phases in product(*by_axis):
        if all(phase.taps for phase in phases):
            at = tuple(slice(phase.start, None, by) for phase, by in zip(phases, stride, strict=True))
            z[:, :, *at] = _of_phase(y, turned, phases, groups)
    return z


def _of_phase(y: Array, w: Array, phases: Sequence[_Phase], groups: int) -> Array:
    """The positions of one phase: a cross-correlation without stride, the elements of the window in reverse."""
    taps = np.ix_(*(phase.taps[::-1] for phase in phases))
    dilation = tuple(phase.dilation for phase in phases)
    return correlate(y, w[:, :, *taps], (1,) * len(phases), tuple(phase.padding for phase in phases), dilation, groups)


def _data_gradient_of_few(
    y: Array, w: Array, lengths: Lengths, stride: Lengths, padding: Padding, dilation: Lengths, groups: int
) -> Array:
    """`data_gradient` for few channels: (K C/G, O/G) @ (O/G, places), then each element of the window at its place.

    The result has its channels first in memory.
    """
    out, channels, *window = w.shape
    places, count = y.shape[2:], y.shape[0]
    around = tuple(length + low + high for length, (low, high) in zip(lengths, padding, strict=True))
    z = np.zeros((count, groups, channels, *around), y.dtype)
    matrix = w.reshape(groups, out // groups, -1).swapaxes(1, 2)
    upstream = y.reshape(count, groups, out // groups, math.prod(places))
    at_once = max(1, _BLOCK // (math.prod(places) * groups * matrix.shape[1]))
    for start in range(0, count, at_once):
        some = slice(start, start + at_once)
        products = np.matmul(matrix, upstream[some]).reshape(-1, groups, channels, *window, *places)
        for tap in np.ndindex(*window):
            firsts = [k * step for k, step in zip(tap, dilation, strict=True)]
            at = [slice(a, a + by * (n - 1) + 1, by) for a, by, n in zip(firsts, stride, places, strict=True)]
            z[some, :, :, *at] += products[:, :, :, *tap]
    inside = [slice(low, low + length) for length, (low, _) in zip(lengths, padding, strict=True)]
    return np.ascontiguousarray(z[:, :, :, *inside]).reshape(count, groups * channels, *lengths)


# One channel in each group, and one out of it: no matrix products, but multiplying and adding along the channels -----


def _is_depthwise(x: Array, w: Array, groups: int) -> bool:
    return x.shape[1] == w.shape[0] == groups


def _depthwise_windows(
    x: Array, window: Lengths, stride: Lengths, padding: Padding, dilation: Lengths
) -> tuple[Array, int]:
    """(N, C, *lengths) -> (N, *places but the last, *window, last place and channels); and the length of the last.

    With a stride along the last axis, place and channels are not neighbours, and there are two axes for them.
    """
    source = padded(channels_last(x), padding, 1)
    lengths = output_lengths(source.shape[1:-1], window, stride, ((0, 0),) * len(window), dilation)
    by_image, *by_place, by_channel = strides(source)
    ends: tuple[int, ...] = (lengths[-1] * x.shape[1],)
    end_strides: tuple[int, ...] = (by_channel,)
    if stride[-1] > 1:
        ends, end_strides = (lengths[-1], x.shape[1]), (stride[-1] * by_place[-1], by_channel)
    view = np.ndarray(
        (len(x), *lengths[:-1], *window, *ends),
        x.dtype,
        source,
        0,
        (
            by_image,
            *(step * by for step, by in zip(stride[:-1], by_place[:-1], strict=True)),
            *(step * by for step, by in zip(dilation, by_place, strict=True)),
            *end_strides,
        ),
    )
    return view, lengths[-1]


def _correlate_depthwise(x: Array, w: Array, stride: Lengths, padding: Padding, dilation: Lengths, z: Array) -> None:
    """`correlate` of each channel with a window of its own, into z (N, *lengths, C)."""
    axes, channels = len(stride), x.shape[1]
    view, places = _depthwise_windows(x, w.shape[2:], stride, padding, dilation)
    weights = np.ascontiguousarray(w[:, 0].transpose(*range(1, axes + 1), 0))
    if stride[-1] == 1:  # repeated for every place, so that both run on in memory together
        weights = np.repeat(weights[..., None, :], places, axis=-2).reshape(*weights.shape[:-1], places * channels)
    rows = list(range(axes))  # image and leading places
    taps = list(range(axes, 2 * axes))
    ends = list(range(2 * axes, view.ndim))
    kept = [*taps, ends[-1]]
    sums = z.reshape(view.shape[:axes] + view.shape[2 * axes :])
    np.einsum(view, [*rows, *taps, *ends], weights, kept, [*rows, *ends], out=sums)


def _weight_gradient_depthwise(
    x: Array, y: Array, window: Lengths, stride: Lengths, padding: Padding, dilation: Lengths
) -> Array:
    """`weight_gradient` where each channel has a window of its own."""
    axes, channels = len(window), x.shape[1]
    view, places = _depthwise_windows(x, window, stride, padding, dilation)
    upstream = np.ascontiguousarray(channels_last(y)).reshape(view.shape[:axes] + view.shape[2 * axes :])
    operand = list(range(upstream.ndim))
    z = np.empty((channels, 1, *window), x.dtype)
    for tap in np.ndindex(*window):
        sums = np.einsum(view[(slice(None),) * axes + tap], operand, upstream, operand, operand[axes:])
        z[:, 0, *tap] = sums.reshape(places, channels).sum(0)
    return z
