"""Windows that move over an image: how many places there are for one, and what to say when it does not fit.

Along each spatial axis a window takes elements that lie ``dilation`` apart, and moves by ``stride``; before, so many
elements are added at the ends of the axis (``padding``), 0 for sums and -inf for the maximum. There are no primitives
here, but what convolution and pooling have in common.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from clearprop.errors import ShapeError

Lengths: TypeAlias = tuple[int, ...]
Array: TypeAlias = np.ndarray[Any, Any]

_PAGE, _FEW = 4096, 8
"""Elements so many bytes apart compete for the same few lines of the cache: of such, only a few are read in turn."""


class Moves(NamedTuple):
    """How a window moves over an image: a setting for each spatial axis.

    Attributes:
        stride: from one place of the window to the next.
        padding: widths (low, high) that are added to the image.
        dilation: from one element of the window to the next.
        groups: of channels, each with windows of its own; for convolutions alone.
    """

    stride: Lengths
    padding: tuple[tuple[int, int], ...]
    dilation: Lengths
    groups: int = 1


def plain_moves(axes: int) -> Moves:
    """From element to element, without padding."""
    return Moves((1,) * axes, ((0, 0),) * axes, (1,) * axes)


def reaches(window: Lengths, dilation: Lengths) -> Lengths:
    """How many elements the window reaches over along each axis: its own, and those that a dilation leaves out."""
    return tuple(step * (size - 1) + 1 for size, step in zip(window, dilation, strict=True))


def output_lengths(lengths: Sequence[int], window: Lengths, moves: Moves) -> Lengths:
    """At how many places the window can stand, for each axis; not positive where it does not fit."""
    return tuple(
        (length + low + high - reach) // by + 1
        for length, reach, by, (low, high) in zip(
            lengths, reaches(window, moves.dilation), moves.stride, moves.padding, strict=True
        )
    )


@lru_cache(maxsize=1024)
def checked_lengths(name: str, shape: Lengths, window: Lengths, moves: Moves) -> Lengths:
    """The output lengths for images of shape (N, C, *lengths).

    Raises:
        ShapeError: if the images have not one axis for each of the window and two in front, the window is larger than
            the padded image, or a setting is not what it should be.
    """
    axes = len(window)
    if len(shape) != axes + 2:
        raise ShapeError(
            f"{name}: x has shape {shape}; a window with {axes} axes moves over images of shape (N, C{', *' * axes})",
            hint="x.reshape(1, *x.shape): the batch axis is missing" if len(shape) == axes + 1 else "",
        )
    _check_settings(name, window, moves)
    lengths = output_lengths(shape[2:], window, moves)
    if min(lengths, default=1) < 1:
        raise ShapeError(_too_large(name, shape, window, moves), hint="a smaller window, or padding around the image")
    return lengths


def _check_settings(name: str, window: Lengths, moves: Moves) -> None:
    """Raise ShapeError unless there is a setting for each axis, each in its range."""
    for label, setting in moves._asdict().items():
        if label != "groups" and len(setting) != len(window):
            raise ShapeError(f"{name}: {label} {setting} for a window with {len(window)} axes, {window}")
    widths = [width for pair in moves.padding for width in pair]
    if min((*window, *moves.stride, *moves.dilation), default=1) < 1 or min(widths, default=0) < 0:
        raise ShapeError(
            f"{name}: window {window}, stride {moves.stride}, padding {moves.padding}, dilation {moves.dilation}",
            hint="a window, a stride and a dilation of at least 1, a padding of at least 0",
        )


def _too_large(name: str, shape: Lengths, window: Lengths, moves: Moves) -> str:
    """The message for a window that is larger than the image."""
    reach = reaches(window, moves.dilation)
    dilated = f", {reach} with its dilation," if reach != window else ""
    padded = tuple(length + sum(pair) for length, pair in zip(shape[2:], moves.padding, strict=True))
    around = f", {padded} with its padding" if padded != shape[2:] else ""
    return f"{name}: the window {window}{dilated} is larger than the image {shape[2:]}{around} (x has shape {shape})"


# Arrays ---------------------------------------------------------------------------------------------------------------


def channels_last(x: Array) -> Array:
    """(N, C, *lengths) seen as (N, *lengths, C)."""
    return x.transpose(0, *range(2, x.ndim), 1)


def channels_first(x: Array) -> Array:
    """(N, *lengths, C) seen as (N, C, *lengths)."""
    return x.transpose(0, x.ndim - 1, *range(1, x.ndim - 1))


def padded(x: Array, padding: Sequence[tuple[int, int]], first: int, value: Any = 0) -> Array:
    """A contiguous array: x with ``value`` around the axes from ``first`` on. A negative width cuts off.

    It is x itself if nothing is added and x is contiguous already.
    """
    pairs = [*[(0, 0)] * first, *padding, *[(0, 0)] * (x.ndim - first - len(padding))]
    kept = x[tuple(slice(max(0, -low), n - max(0, -high)) for n, (low, high) in zip(x.shape, pairs, strict=True))]
    widths = [(max(0, low), max(0, high)) for low, high in pairs]
    if kept.flags.c_contiguous and not any(map(any, widths)):
        return kept
    shape = tuple(n + low + high for n, (low, high) in zip(kept.shape, widths, strict=True))
    result = np.full(shape, value, x.dtype) if value else np.zeros(shape, x.dtype)
    inside = result[tuple(slice(low, low + n) for n, (low, _) in zip(kept.shape, widths, strict=True))]
    at_once = _FEW if kept.strides[-1] % _PAGE == 0 else max(1, kept.shape[-1])
    for start in range(0, kept.shape[-1], at_once):
        inside[..., start : start + at_once] = kept[..., start : start + at_once]
    return result


def steps(x: Array) -> Lengths:
    """Strides of a contiguous array, of axes of length 1 too, for which NumPy may give any number."""
    found = [x.itemsize]
    for length in x.shape[:0:-1]:
        found.append(found[-1] * length)
    return tuple(found[::-1])
