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
    Moves,
    channels_first,
    channels_last,
    output_lengths,
    padded,
    plain_moves,
    steps,
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

    def __init__(self, x: Array, window: Lengths, moves: Moves) -> None:
        self.x, self.window, self.moves = x, window, moves
        self.groups, self.channels = moves.groups, x.shape[1] // moves.groups
        self.lengths = output_lengths(x.shape[2:], window, moves)
        self.overlaps = window[-1] > 1  # if not, all places together are one matrix of rows
        self.images = self.channels < _RUN or not self._wants_rows()
        self.buffer = np.empty(0, x.dtype)  # for one block after the other

    def _wants_rows(self) -> bool:
        if self.overlaps:
            return self.moves.dilation[-1] == 1 and self.x.shape[0] * math.prod(self.lengths[:-1]) >= _FEW_ROWS
        is_matrix = math.prod(self.window) == max(self.moves.stride) == 1 and not any(map(any, self.moves.padding))
        return not (is_matrix and self.x.flags.c_contiguous)

    def blocks(self) -> Iterator[tuple[Any, Array]]:
        """Which images, and rows of an image, of an output with the channels last; and the matrices for them."""
        count, rows = self._block_size()
        for start in range(0, self.x.shape[0], count):
            some = self.x[start : start + count]
            source = padded(some, self.moves.padding, 2) if self.images else self._padded_last(some)
            for row in range(0, self.lengths[0], rows):
                lengths = (min(rows, self.lengths[0] - row), *self.lengths[1:])
                where = slice(start, start + count), slice(row, row + rows)
                yield where, (self._lower_images if self.images else self._lower_rows)(source, row, lengths)

    def blocks_with(self, y: Array) -> Iterator[tuple[Array, Array]]:
        """For every block the part of y (N, O, *lengths) that belongs to it, (G, J, O/G, M), and its matrices."""
        if self.images and y.flags.c_contiguous:
            count, out, *lengths = y.shape
            parted = y.reshape(count, self.groups, out // self.groups, *lengths).swapaxes(0, 1)
            for (some, rows), matrices in self.blocks():
                yield parted[:, some, :, rows].reshape(self.groups, -1, out // self.groups, matrices.shape[2]), matrices
            return
        upstream = padded(channels_last(y), plain_moves(len(self.window)).padding, 1)
        for where, matrices in self.blocks():
            yield self.products(upstream[where]).swapaxes(2, 3), matrices

    def _padded_last(self, x: Array) -> Array:
        return padded(channels_last(x), self.moves.padding, 1)

    def _block_size(self) -> tuple[int, int]:
        """Images in a block, and rows (positions along the first spatial axis); of several images, all rows."""
        width = self.x.shape[-1] if self.overlaps and not self.images else self.lengths[-1]
        copies = math.prod(self.window if self.images else self.window[:-1])
        row = math.prod(self.lengths[1:-1]) * width * copies * self.x.shape[1]
        count = max(1, _BLOCK // (row * self.lengths[0]))
        if not self.images:
            count = max(count, 8 * _FEW_ROWS // math.prod(self.lengths[:-1]))
        return count, self.lengths[0] if count > 1 else max(1, _LARGEST // row)

    def _lower_images(self, source: Array, row: int, lengths: Lengths) -> Array:
        """(N, C, *padded lengths), from a row on -> (G, N, M, K)."""
        by_image, by_channel, *by_place = steps(source)
        places, taps = self._steps(by_place)
        shape = (len(source), self.groups, self.window[-1], *self.window[:-1], self.channels, *lengths)
        by = (by_image, self.channels * by_channel, taps[-1], *taps[:-1], by_channel, *places)
        view = np.ndarray(shape, source.dtype, source, row * places[0], by)
        columns = math.prod(self.window) * self.channels
        matrices = self._in_one_piece(view).reshape(len(source), self.groups, columns, math.prod(lengths))
        return matrices.transpose(1, 0, 3, 2)

    def _lower_rows(self, source: Array, row: int, lengths: Lengths) -> Array:
        """(N, *padded lengths, C), from a row on -> (G, J, M, K)."""
        by_image, *by_place, by_channel = steps(source)
        places, taps = self._steps(by_place)
        last, stride, size = self.window[-1], self.moves.stride[-1], source.itemsize
        width, by_width = lengths[-1], places[-1]
        if self.overlaps:
            width, by_width = (lengths[-1] - 1) * stride + last, by_place[-1]
        shape = (self.groups, len(source), *lengths[:-1], width, *self.window[:-1], self.channels)
        by = (self.channels * by_channel, by_image, *places[:-1], by_width, *taps[:-1], by_channel)
        view = np.ndarray(shape, source.dtype, source, row * places[0], by)
        rows, run = len(source) * math.prod(lengths[:-1]), math.prod(self.window[:-1]) * self.channels
        lowered = self._in_one_piece(view)
        if not self.overlaps:
            return lowered.reshape(self.groups, 1, rows * width, run)
        by = (rows * width * run * size, stride * run * size, width * run * size, size)
        return np.ndarray((self.groups, lengths[-1], rows, last * run), lowered.dtype, lowered, 0, by)

    def _in_one_piece(self, view: Array) -> Array:
        """A copy in the buffer, unless it is in one piece already."""
        if view.flags.c_contiguous:
            return view
        if self.buffer.size < view.size:
            self.buffer = np.empty(view.size, view.dtype)
        copy = self.buffer[: view.size].reshape(view.shape)
        copy[...] = view
        return copy

    def _steps(self, by_place: Sequence[int]) -> tuple[Lengths, Lengths]:
        """Bytes from place to place, and from one element of a window to the next, along each spatial axis."""
        places = tuple(stride * by for stride, by in zip(self.moves.stride, by_place, strict=True))
        return places, tuple(dilation * by for dilation, by in zip(self.moves.dilation, by_place, strict=True))

    def products(self, y: Array) -> Array:
        """A contiguous block of outputs (N, *lengths, O) as the products (G, J, M, O/G) that it holds."""
        count, *lengths, channels = y.shape
        columns = (self.groups, channels // self.groups)
        if self.images:
            return y.reshape(count, math.prod(lengths), *columns).transpose(2, 0, 1, 3)
        if self.overlaps:
            return y.reshape(count * math.prod(lengths[:-1]), lengths[-1], *columns).transpose(2, 1, 0, 3)
        return y.reshape(1, count * math.prod(lengths), *columns).transpose(2, 0, 1, 3)


def correlate(x: Array, w: Array, moves: Moves) -> Array:
    """z[n, o, t] = sum over c, k of x[n, c, stride t + dilation k - low] w[o, c, k].

    (N, C, *lengths), (O, C/G, *window) -> (N, O, *places). A padding may be negative: it cuts off.
    """
    lengths = output_lengths(x.shape[2:], w.shape[2:], moves)
    z = np.empty((x.shape[0], *lengths, w.shape[0]), x.dtype)
    if not x.size or not w.size or not z.size:
        z.fill(0)
    elif x.shape[1] == w.shape[0] == moves.groups:
        _correlate_depthwise(x, w, moves, z)
    else:
        lowering = _Lowering(x, w.shape[2:], moves)
        matrix = _weight_matrix(w, moves.groups)
        for where, matrices in lowering.blocks():
            np.matmul(matrices, matrix, out=lowering.products(z[where]))
    return channels_first(z)


def _weight_matrix(w: Array, groups: int) -> Array:
    """(O, C/G, *window) -> (G, 1, K, O/G), K in the order of a lowered window."""
    out, channels, *window = w.shape
    axes = w.ndim + 1
    parted = w.reshape(groups, out // groups, channels, *window)
    return parted.transpose(0, axes - 1, *range(3, axes - 1), 2, 1).reshape(groups, 1, -1, out // groups)


def weight_gradient(x: Array, y: Array, window: Lengths, moves: Moves) -> Array:
    """z[o, c, k] = sum over n, t of x[n, c, stride t + dilation k - low] y[n, o, t].

    (N, C, *lengths), (N, O, *places) -> (O, C/G, *window).
    """
    out, groups, channels = y.shape[1], moves.groups, x.shape[1] // moves.groups
    if not x.size or not y.size:
        return np.zeros((out, channels, *window), x.dtype)
    if channels == 1 and out == groups:
        return _weight_gradient_depthwise(x, y, window, moves)
    total = np.zeros((groups, out // groups, math.prod(window) * channels), x.dtype)
    at_once = max(1, _BLOCK // total.size)
    for upstream, matrices in _Lowering(x, window, moves).blocks_with(y):
        for start in range(0, matrices.shape[1], at_once):
            some = slice(start, start + at_once)
            total += np.add.reduce(np.matmul(upstream[:, some], matrices[:, some]), 1)  # (O/G, M) @ (M, K)
    axes = len(window)
    parted = total.reshape(out, window[-1], *window[:-1], channels)
    return np.ascontiguousarray(parted.transpose(0, axes + 1, *range(2, axes + 1), 1))


# The gradient by data -------------------------------------------------------------------------------------------------


class Phase(NamedTuple):
    """Positions of one axis that see the same weights: ``count`` of them, from ``start`` on, a stride apart.

    Attributes:
        taps: the elements of the window that they see.
        dilation, padding: of the cross-correlation with these, turned.
    """

    start: int
    taps: range
    dilation: int
    padding: tuple[int, int]


def phases_of(length: int, places: int, size: int, stride: int, low: int, dilation: int) -> Iterator[Phase]:
    """One axis of the gradient by data taken apart.

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
        yield Phase(start, taps, dilation // common, (before, count + spread - places - before))


def data_gradient(y: Array, w: Array, lengths: Lengths, moves: Moves) -> Array:
    """z[n, c, stride t + dilation k - low] += y[n, o, t] w[o, c, k] for all o, t, k.

    (N, O, *places), (O, C/G, *window) -> (N, C, *lengths).
    """
    (out, channels, *window), groups = w.shape, moves.groups
    if channels < _RUN and not (channels == 1 and out == groups) and y.size and w.size:
        return _data_gradient_of_few(y, w, lengths, moves)
    swapped = w.reshape(groups, out // groups, channels, *window).swapaxes(1, 2)
    turned = swapped.reshape(groups * channels, out // groups, *window)
    by_axis = [
        list(phases_of(length, places, size, stride, low, dilation))
        for length, places, size, stride, (low, _), dilation in zip(
            lengths, y.shape[2:], window, moves.stride, moves.padding, moves.dilation, strict=True
        )
    ]
    if all(len(phases) == 1 and phases[0].taps for phases in by_axis):
        return _of_phase(y, turned, [phase for (phase,) in by_axis], groups)
    z = channels_first(np.zeros((y.shape[0], *lengths, groups * channels), y.dtype))
    for phases in product(*by_axis):
        if all(phase.taps for phase in phases):
            at = tuple(slice(phase.start, None, stride) for phase, stride in zip(phases, moves.stride, strict=True))
            z[:, :, *at] = _of_phase(y, turned, phases, groups)
    return z


def _of_phase(y: Array, w: Array, phases: Sequence[Phase], groups: int) -> Array:
    """The positions of one phase: a cross-correlation without stride, the elements of the window in reverse."""
    taps: Any = np.ix_(*(phase.taps[::-1] for phase in phases))
    padding, dilation = tuple(phase.padding for phase in phases), tuple(phase.dilation for phase in phases)
    return correlate(y, w[:, :, *taps], Moves((1,) * len(phases), padding, dilation, groups))


def _data_gradient_of_few(y: Array, w: Array, lengths: Lengths, moves: Moves) -> Array:
    """`data_gradient` for few channels: (K C/G, O/G) @ (O/G, places), then each element of the window at its place.

    The result has its channels first in memory.
    """
    (out, channels, *window), groups = w.shape, moves.groups
    count, _, *places = y.shape
    around = tuple(length + low + high for length, (low, high) in zip(lengths, moves.padding, strict=True))
    z = np.zeros((count, groups, channels, *around), y.dtype)
    matrix = w.reshape(groups, out // groups, -1).swapaxes(1, 2)
    upstream = y.reshape(count, groups, out // groups, math.prod(places))
    at_once = max(1, _BLOCK // (math.prod(places) * groups * matrix.shape[1]))
    for start in range(0, count, at_once):
        some = slice(start, start + at_once)
        products = np.matmul(matrix, upstream[some]).reshape(-1, groups, channels, *window, *places)
        for tap in np.ndindex(*window):
            firsts = [k * dilation for k, dilation in zip(tap, moves.dilation, strict=True)]
            at = [slice(a, a + by * (n - 1) + 1, by) for a, by, n in zip(firsts, moves.stride, places, strict=True)]
            z[some, :, :, *at] += products[:, :, :, *tap]
    inside = [slice(low, low + length) for length, (low, _) in zip(lengths, moves.padding, strict=True)]
    return np.ascontiguousarray(z[:, :, :, *inside]).reshape(count, groups * channels, *lengths)


# One channel in each group, and one out of it: no matrix products, but multiplying and adding along the channels ------


def _depthwise_windows(x: Array, window: Lengths, moves: Moves) -> tuple[Array, int]:
    """(N, C, *lengths) -> (N, *places but the last, *window, last place and channels); and the number of last places.

    With a stride along the last axis, place and channels are not neighbours, and there are two axes for them.
    """
    source = padded(channels_last(x), moves.padding, 1)
    lengths = output_lengths(x.shape[2:], window, moves)
    by_image, *by_place, by_channel = steps(source)
    places = [stride * by for stride, by in zip(moves.stride, by_place, strict=True)]
    taps = [dilation * by for dilation, by in zip(moves.dilation, by_place, strict=True)]
    ends: Lengths = (lengths[-1], x.shape[1])
    by_end: Lengths = (places[-1], by_channel)
    if moves.stride[-1] == 1:
        ends, by_end = (lengths[-1] * x.shape[1],), (by_channel,)
    shape = (len(x), *lengths[:-1], *window, *ends)
    return np.ndarray(shape, x.dtype, source, 0, (by_image, *places[:-1], *taps, *by_end)), lengths[-1]


def _correlate_depthwise(x: Array, w: Array, moves: Moves, z: Array) -> None:
    """`correlate` of each channel with a window of its own, into z (N, *lengths, C)."""
    axes, channels = len(moves.stride), x.shape[1]
    view, places = _depthwise_windows(x, w.shape[2:], moves)
    weights = np.ascontiguousarray(w[:, 0].transpose(*range(1, axes + 1), 0))
    if moves.stride[-1] == 1:  # repeated for every place, so that both run on in memory together
        weights = np.repeat(weights[..., None, :], places, axis=-2).reshape(*w.shape[2:], places * channels)
    rows, taps, ends = range(axes), range(axes, 2 * axes), range(2 * axes, view.ndim)
    sums = z.reshape(view.shape[:axes] + view.shape[2 * axes :])
    np.einsum(view, [*rows, *taps, *ends], weights, [*taps, ends[-1]], [*rows, *ends], out=sums)


def _weight_gradient_depthwise(x: Array, y: Array, window: Lengths, moves: Moves) -> Array:
    """`weight_gradient` where each channel has a window of its own."""
    axes, channels = len(window), x.shape[1]
    view, places = _depthwise_windows(x, window, moves)
    upstream = np.ascontiguousarray(channels_last(y)).reshape(view.shape[:axes] + view.shape[2 * axes :])
    every = list(range(upstream.ndim))
    z = np.empty((channels, 1, *window), x.dtype)
    for tap in np.ndindex(*window):
        sums = np.einsum(view[(slice(None),) * axes + tap], every, upstream, every, every[axes:])
        z[:, 0, *tap] = sums.reshape(places, channels).sum(0)
    return z
