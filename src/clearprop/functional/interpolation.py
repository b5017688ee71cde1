"""Images of other lengths: padded in four ways, and resampled. Names, arguments and defaults are PyTorch's.

What is added around an image, or lies between its elements, is taken from it axis after axis; so an image can have any
number of spatial axes, and the gradients are those of slices, sums and joined parts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from clearprop import primitives
from clearprop.arguments import is_whole, one_of
from clearprop.array import add, concat, flip, multiply, reshape, take, where
from clearprop.array.promotion import ArrayLike, as_float
from clearprop.errors import ShapeError, UsageError
from clearprop.functional.adaptive_pooling import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d
from clearprop.functional.windows import one_per_axis
from clearprop.primitive import numpy_dtype
from clearprop.primitives.shaping import take_range
from clearprop.tensor import Tensor, as_tensor

Array = Any


def pad(x: ArrayLike, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """x with more around it.

    Args:
        x: of any shape.
        pad: widths before and after the last axis, then before and after the one before it, and so on. Negative widths
            cut off.
        mode: "constant": ``value``, 0 if None; "replicate": the element at the edge; "reflect": mirrored at the edge,
            which is not repeated; "circular": from the other side.

    Raises:
        UsageError: if ``pad`` is no list of pairs, or the mode is unknown.
        ShapeError: if there are more pairs than axes, or an axis is too short to take from it what is to be added.

    >>> import clearprop.functional as F
    >>> F.pad([1.0, 2.0, 3.0], (2, 1)), F.pad([1.0, 2.0, 3.0], (2, 1), mode="reflect")
    (Tensor([0., 0., 1., 2., 3., 0.], dtype=float32), Tensor([3., 2., 1., 2., 3., 2.], dtype=float32))
    """
    tensor = as_tensor(x)
    pairs = _pairs(tensor, pad)
    if mode == "constant":
        return _surrounded(tensor, pairs, value)
    one_of("pad", "mode", mode, "constant", *_EDGES)
    if value:
        raise UsageError(f"pad: value={value} with mode={mode!r}", hint='mode="constant"')
    for axis, (low, high) in pairs.items():
        inner = _cut(tensor, {axis: (min(low, 0), min(high, 0))})
        before, after = (
            _EDGES[mode](inner, axis, max(width, 0), at_end) for width, at_end in ((low, False), (high, True))
        )
        parts = [part for part in (before, inner, after) if part.shape[axis]]
        tensor = concat(parts, axis=axis) if len(parts) > 1 else inner
    return tensor


def _pairs(x: Tensor, pad: Any) -> dict[int, tuple[int, int]]:
    """The widths (before, after) by axis, of axes where there are any."""
    widths: list[Any] = list(pad) if isinstance(pad, Iterable) else [pad]
    if len(widths) % 2 or not all(map(is_whole, widths)):
        raise UsageError(
            f"pad: pad={pad!r}", hint="pairs of whole numbers: (left, right), (left, right, top, bottom), …"
        )
    if len(widths) > 2 * x.ndim:
        raise ShapeError(
            f"pad: {len(widths) // 2} pairs {tuple(widths)} for x of shape {x.shape}",
            hint=f"at most {x.ndim} pairs, that of the last axis first",
        )
    pairs = {x.ndim - 1 - i: (int(widths[2 * i]), int(widths[2 * i + 1])) for i in range(len(widths) // 2)}
    for axis, (low, high) in pairs.items():
        if x.shape[axis] + min(low, 0) + min(high, 0) < 0:
            raise ShapeError(
                f"pad: x has shape {x.shape}; {(low, high)} would cut more than there is off axis {axis}",
                hint="narrower cuts",
            )
    return {axis: pair for axis, pair in pairs.items() if any(pair)}


def _cut(x: Tensor, pairs: dict[int, tuple[int, int]]) -> Tensor:
    """x without what negative widths cut off."""
    for axis, (low, high) in pairs.items():
        if low < 0 or high < 0:
            x = take_range(x, axis, max(0, -low), x.shape[axis] - max(0, -high))
    return x


def _surrounded(x: Tensor, pairs: dict[int, tuple[int, int]], value: float | None) -> Tensor:
    """x among equal elements."""
    x = _cut(x, pairs)
    before, after = [0] * x.ndim, [0] * x.ndim
    for axis, (low, high) in pairs.items():
        before[axis], after[axis] = max(0, low), max(0, high)
    if not any(before) and not any(after):
        return x
    z: Tensor = primitives.pad(x, before=tuple(before), after=tuple(after), between=(0,) * x.ndim)
    if not value:
        return z
    inside = np.zeros(z.shape, np.bool_)
    inside[tuple(slice(low, low + length) for low, length in zip(before, x.shape, strict=True))] = True
    return where(Tensor(inside), z, value)


def _replicated(x: Tensor, axis: int, width: int, at_end: bool) -> Tensor:
    """The element at an edge, so many times."""
    if not x.shape[axis]:
        raise ShapeError(
            f"pad: x has shape {x.shape}; there is nothing to replicate along axis {axis}",
            hint="an x with elements",
        )
    edge = x.shape[axis] - 1 if at_end else 0
    one = take_range(x, axis, edge, edge + 1)
    shape = (*x.shape[:axis], width, *x.shape[axis + 1 :])
    return primitives.broadcast(reshape(one, (*shape[:axis], *shape[axis + 1 :])), shape=shape, axes=(axis,))


def _reflected(x: Tensor, axis: int, width: int, at_end: bool) -> Tensor:
    """The elements next to an edge, in reverse."""
    length = x.shape[axis]
    if width >= max(length, 1):
        raise ShapeError(
            f"pad: x has shape {x.shape}; of {length} elements along axis {axis} no {width} can be reflected",
            hint="less than the length; or pad twice",
        )
    start = length - 1 - width if at_end else 1
    return flip(take_range(x, axis, start, start + width), axis)


def _wrapped(x: Tensor, axis: int, width: int, at_end: bool) -> Tensor:
    """The elements at the other edge."""
    length = x.shape[axis]
    if width > length:
        raise ShapeError(
            f"pad: x has shape {x.shape}; of {length} elements along axis {axis} no {width} can be wrapped around",
            hint="at most the length; or pad twice",
        )
    return take_range(x, axis, 0, width) if at_end else take_range(x, axis, length - width, length)


_EDGES: dict[str, Callable[[Tensor, int, int, bool], Tensor]] = {
    "reflect": _reflected,
    "replicate": _replicated,
    "circular": _wrapped,
}


# Resampling -----------------------------------------------------------------------------------------------------------

_AXES = {"linear": 1, "bilinear": 2, "trilinear": 3, "bicubic": 2}
_MEANS = {1: adaptive_avg_pool1d, 2: adaptive_avg_pool2d, 3: adaptive_avg_pool3d}


def interpolate(
    x: ArrayLike,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """Images of other lengths, by one or several of the elements that lie nearest.

    Elements are thought of as squares side by side, so that element i of an axis stretched s times has its middle at
    (i + ½) / s - ½. With ``align_corners`` they are thought of as points, and the first and last ones stay in place.

    Args:
        x: (N, C, L), (N, C, H, W) or (N, C, D, H, W).
        size: the new lengths, one for all axes or one for each.
        scale_factor: or, by how much lengths grow, one number or one for each axis; lengths are rounded down.
        mode: "nearest" (the element whose beginning is next before), "nearest-exact" (the one whose middle is nearest);
            "linear", "bilinear", "trilinear" (for 1, 2, 3 axes: between two elements along each); "bicubic" (for 2
            axes: a cubic through four, R. Keys 1981 with a = -0.75); "area" (the mean of what is covered).
        align_corners: for the modes that end in "linear" and "cubic"; False if None.

    Raises:
        UsageError: if not exactly one of size and scale_factor is given, or mode and number of axes do not fit.
        ShapeError: if x has another number of axes, or no elements along one.

    >>> import clearprop.functional as F
    >>> F.interpolate([[[1.0, 2.0]]], scale_factor=2), F.interpolate([[[1.0, 2.0]]], 4, mode="linear")
    (Tensor([[[1., 1., 2., 2.]]], dtype=float32), Tensor([[[1.  , 1.25, 1.75, 2.  ]]], dtype=float32))
    """
    tensor = as_float(x)
    axes = tensor.ndim - 2
    _check_mode(tensor, axes, mode, align_corners)
    lengths, scales = _new_lengths(tensor, axes, size, scale_factor)
    if mode == "area":
        return _MEANS[axes](tensor, lengths)
    for axis, (length, scale) in enumerate(zip(lengths, scales, strict=True), 2):
        if mode.startswith("nearest"):
            tensor = _nearest(tensor, axis, length, scale, 0.5 if mode == "nearest-exact" else 0.0)
        elif length != tensor.shape[axis] or scale != 1.0:
            sources = _sources(tensor.shape[axis], length, scale, bool(align_corners))
            tensor = _mixed(tensor, axis, *(_cubic if mode == "bicubic" else _linear)(sources, tensor.shape[axis]))
    return tensor


def _check_mode(x: Tensor, axes: int, mode: str, align_corners: bool | None) -> None:
    if axes not in (1, 2, 3) or 0 in x.shape[2:]:
        raise ShapeError(
            f"interpolate: x has shape {x.shape}; it must be (N, C, L), (N, C, H, W) or (N, C, D, H, W)",
            hint="x[None] is a batch of one image",
        )
    one_of("interpolate", "mode", mode, "nearest", "nearest-exact", "area", *_AXES)
    if _AXES.get(mode, axes) != axes:
        fitting = [repr(name) for name, count in _AXES.items() if count == axes]
        raise UsageError(f"interpolate: mode={mode!r} for x of shape {x.shape}", hint=" or ".join(fitting))
    if align_corners is not None and mode not in _AXES:
        raise UsageError(f"interpolate: align_corners={align_corners} with mode={mode!r}", hint=", ".join(_AXES))


def _new_lengths(x: Tensor, axes: int, size: Any, scale_factor: Any) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """The new length of each axis, and by how much an element of it advances among the old ones."""
    old = x.shape[2:]
    if (size is None) == (scale_factor is None):
        raise UsageError(f"interpolate: size={size}, scale_factor={scale_factor}", hint="one of the two")
    if size is not None:
        new = one_per_axis("interpolate", "size", size, axes)
        return new, tuple(a / b for a, b in zip(old, new, strict=True))
    given = list(scale_factor) if isinstance(scale_factor, Sequence) else [scale_factor] * axes
    wrong = [one for one in given if not isinstance(one, (int, float)) or not 0.0 < one < math.inf]
    if len(given) != axes or wrong:
        raise UsageError(
            f"interpolate: scale_factor={scale_factor!r}", hint="numbers > 0, one for all axes or for each"
        )
    new = tuple(math.floor(length * factor) for length, factor in zip(old, given, strict=True))
    if min(new) < 1:
        raise ShapeError(
            f"interpolate: scale_factor={scale_factor} leaves nothing of x, of shape {x.shape}",
            hint="a larger factor, or size=…",
        )
    return new, tuple(1.0 / factor for factor in given)


def _nearest(x: Tensor, axis: int, length: int, scale: float, middle: float) -> Tensor:
    """One old element for each new one; computed in float32, which decides ties as PyTorch does."""
    old = x.shape[axis]
    if length == old and scale == 1.0:
        return x
    if length % old == 0 and scale * length == old:  # each of them so many times, which needs no positions
        times = length // old
        shape = (*x.shape[: axis + 1], times, *x.shape[axis + 1 :])
        repeated: Tensor = primitives.broadcast(x, shape=shape, axes=(axis + 1,))
        return reshape(repeated, (*x.shape[:axis], length, *x.shape[axis + 1 :]))
    places = (np.arange(length, dtype=np.float32) + np.float32(middle)) * np.float32(scale)
    return take(x, np.minimum(places.astype(np.int64), old - 1), axis=axis)


def _sources(old: int, new: int, scale: float, align_corners: bool) -> Array:
    """Where among the old elements the new ones lie."""
    if align_corners:
        return np.arange(new) * ((old - 1) / (new - 1) if new > 1 else 0.0)
    return (np.arange(new) + 0.5) * scale - 0.5


def _linear(sources: Array, length: int) -> tuple[list[Array], list[Array]]:
    """The two old elements next to each new one, and their weights."""
    sources = np.maximum(sources, 0.0)
    first = np.minimum(sources.astype(np.int64), length - 1)
    second = np.minimum(first + 1, length - 1)
    share = np.clip(sources - first, 0.0, 1.0)
    return [first, second], [1.0 - share, share]


_A = -0.75
"""The slope of the cubic at its second zero; PyTorch's choice, and OpenCV's."""


def _cubic(sources: Array, length: int) -> tuple[list[Array], list[Array]]:
    """The four old elements around each new one, and their weights (Keys 1981, equation 4)."""
    first = np.floor(sources)
    share = sources - first
    members = [np.clip(first.astype(np.int64) + k, 0, length - 1) for k in (-1, 0, 1, 2)]
    return members, [_far(share + 1.0), _near(share), _near(1.0 - share), _far(2.0 - share)]


def _near(distance: Array) -> Array:
    return ((_A + 2.0) * distance - (_A + 3.0)) * distance**2 + 1.0


def _far(distance: Array) -> Array:
    return ((_A * distance - 5.0 * _A) * distance + 8.0 * _A) * distance - 4.0 * _A


def _mixed(x: Tensor, axis: int, members: list[Array], weights: list[Array]) -> Tensor:
    """For each new element along an axis the sum of old ones, each times its weight."""
    after = (1,) * (x.ndim - axis - 1)
    parts = [
        multiply(take(x, some, axis=axis), weight.astype(numpy_dtype(x)).reshape(-1, *after))
        for some, weight in zip(members, weights, strict=True)
    ]
    total = parts[0]
    for part in parts[1:]:
        total = add(total, part)
    return total
