"""Windows that move over an image: how many places there are for one, and what to say when it does not fit.

Along each spatial axis a window takes ``window`` elements that lie ``dilation`` apart, and moves by ``stride``; before,
so many elements are added at both ends of the axis (``padding``: a pair). What is added is 0 for sums and -inf for the
maximum. No primitives, but what convolution and pooling have in common.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from clearprop.errors import ShapeError

Lengths: TypeAlias = tuple[int, ...]
Padding: TypeAlias = tuple[tuple[int, int], ...]
Array: TypeAlias = np.ndarray[Any, Any]


_PAGE, _FEW = 4096, 8
"""Elements so many bytes apart compete for the same few lines of the cache: of such, only a few are read in turn."""


def output_lengths(
    lengths: Sequence[int], window: Lengths, stride: Lengths, padding: Padding, dilation: Lengths
) -> Lengths:
    """At how many places the window can stand, for each axis; not positive where it does not fit."""
    return tuple(
        (length + low + high - step * (size - 1) - 1) // by + 1
        for length, size, by, (low, high), step in zip(lengths, window, stride, padding, dilation, strict=True)
    )


@lru_cache(maxsize=1024)
def checked_lengths(
    name: str, shape: Lengths, window: Lengths, stride: Lengths, padding: Padding, dilation: Lengths
) -> Lengths:
    """The output lengths for an image of shape (N, C, *lengths).

    Raises:
        ShapeError: if the image has not one axis for each of the window and two in front, the window is larger than the
            padded image, or a setting is not what it should be.
    """
    axes = len(window)
    if len(shape) != axes + 2:
        raise ShapeError(
            f"{name}: x has shape {shape}; a window with {axes} axes takes images (N, C{', *' * axes})",
            hint="x.reshape(1, *x.shape): the batch axis is missing" if len(shape) == axes + 1 else "",
        )
    check_settings(name, window, stride, padding, dilation)
    lengths = output_lengths(shape[2:], window, stride, padding, dilation)
    if min(lengths, default=1) < 1:
        raise ShapeError(_too_large(name, shape, window, padding, dilation), hint="a smaller window, or padding")
    return lengths


def check_settings(name: str, window: Lengths, stride: Lengths, padding: Padding, dilation: Lengths) -> None:
    """Raise ShapeError unless there is a setting for each axis, each in its range."""
    for label, setting in (("stride", stride), ("padding", padding), ("dilation", dilation)):
        if len(setting) != len(window):
            raise ShapeError(f"{name}: {label} {setting} for a window with {len(window)} axes, {window}")
    if min((*window, *stride, *dilation), default=1) < 1 or min(min(pair) for pair in padding) < 0:
        raise ShapeError(
            f"{name}: window {window}, stride {stride}, padding {padding}, dilation {dilation}",
            hint="a window, a stride and a dilation of at least 1, a padding of at least 0",
        )


def _too_large(name: str, shape: Lengths, window: Lengths, padding: Padding, dilation: Lengths) -> str:
    """The message for a window that is larger than the image."""
    spread = tuple(step * (size - 1) + 1 for size, step in zip(window, dilation, strict=True))
    dilated = f", with its dilation {spread}," if spread != window else ""
    padded = tuple(length + sum(pair) for length, pair in zip(shape[2:], padding, strict=True))
    around = f", which the padding makes {padded}" if padded != shape[2:] else ""
    return f"{name}: the window {window}{dilated} is larger than the image {shape[2:]}{around} (x has shape {shape})"


def channels_last(x: Array) -> Array:
    """(N, C, *lengths) seen as (N, *lengths, C)."""
    return x.transpose(0, *range(2, x.ndim), 1)


def channels_first(x: Array) -> Array:
    """(N, *lengths, C) seen as (N, C, *lengths)."""
    return x.transpose(0, x.ndim - 1, *range(1, x.ndim - 1))


def padded(x: Array, padding: Padding, first: int, value: Any = 0) -> Array:
    """x with ``value`` around its spatial axes, which begin at axis ``first``; a negative width cuts off.

    The result is contiguous; it is x itself if it is so already and nothing is added.
    """
    before = [(0, 0)] * first
    after = [(0, 0)] * (x.ndim - first - len(padding))
    pairs = [*before, *padding, *after]
    kept = x[tuple(slice(max(0, -low), n - max(0, -high)) for n, (low, high) in zip(x.shape, pairs, strict=True))]
    if kept.flags.c_contiguous and all(low <= 0 and high <= 0 for low, high in padding):
        return kept
    widths = [(max(0, low), max(0, high)) for low, high in pairs]
    shape = tuple(n + low + high for n, (low, high) in zip(kept.shape, widths, strict=True))
    result = np.full(shape, value, x.dtype) if value else np.zeros(shape, x.dtype)
    inside = result[tuple(slice(low, low + n) for n, (low, _) in zip(kept.shape, widths, strict=True))]
    at_once = _FEW if kept.strides[-1] % _PAGE == 0 else max(1, kept.shape[-1])
    for start in range(0, kept.shape[-1], at_once):
        inside[..., start : start + at_once] = kept[..., start : start + at_once]
    return result


def strides(x: Array) -> tuple[int, ...]:
    """Of a contiguous array; as NumPy's, but well-defined for axes of length 1 too, where NumPy may give any number."""
    steps = [x.itemsize]
    for length in x.shape[:0:-1]:
        steps.append(steps[-1] * length)
    return tuple(steps[::-1])
