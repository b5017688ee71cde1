"""Adaptive pooling: the maximum or the mean of so many places, whatever the lengths of the image. Names are PyTorch's.

Place i covers the elements from floor(i length / places) to ceil((i + 1) length / places), so windows may be of two
lengths and overlap. They are taken axis after axis: a mean of means, a maximum of maxima.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from clearprop import primitives
from clearprop.arguments import is_whole
from clearprop.array import divide, reshape, take, take_along_axis, where
from clearprop.array.promotion import ArrayLike, as_float
from clearprop.errors import ShapeError, UsageError
from clearprop.functional.windows import like_input, with_batch_axis
from clearprop.primitive import numpy_dtype
from clearprop.primitives.windows import Lengths, Moves, plain_moves
from clearprop.tensor import Tensor, as_tensor


def adaptive_avg_pool1d(x: ArrayLike, output_size: Any) -> Tensor:
    """`adaptive_avg_pool2d` along one axis: (N, C, L) -> (N, C, output_size).

    >>> import clearprop.functional as F
    >>> F.adaptive_avg_pool1d([[[1.0, 2.0, 3.0, 4.0]]], 2).tolist()
    [[[1.5, 3.5]]]
    """
    return _adaptive_avg_pool("adaptive_avg_pool1d", 1, x, output_size)


def adaptive_avg_pool2d(x: ArrayLike, output_size: Any) -> Tensor:
    """The mean in each of so many places, whatever the lengths of the image: (N, C, H, W) -> (N, C, *output_size).

    Args:
        output_size: the number of places, for all axes or for each; None leaves an axis as it is.

    >>> import clearprop as cp
    >>> image = cp.reshape(cp.arange(6.0), (1, 1, 2, 3))
    >>> cp.functional.adaptive_avg_pool2d(image, 1), cp.functional.adaptive_avg_pool2d(image, (None, 2))
    (Tensor([[[[2.5]]]], dtype=float32), Tensor([[[[0.5, 1.5],
              [3.5, 4.5]]]], dtype=float32))
    """
    return _adaptive_avg_pool("adaptive_avg_pool2d", 2, x, output_size)


def adaptive_avg_pool3d(x: ArrayLike, output_size: Any) -> Tensor:
    """`adaptive_avg_pool2d` along three axes: (N, C, D, H, W) -> (N, C, *output_size).

    >>> import clearprop as cp
    >>> cp.functional.adaptive_avg_pool3d(cp.ones((1, 1, 4, 4, 4)), 1).tolist()
    [[[[[1.0]]]]]
    """
    return _adaptive_avg_pool("adaptive_avg_pool3d", 3, x, output_size)


def adaptive_max_pool1d(x: ArrayLike, output_size: Any, return_indices: bool = False) -> Any:
    """`adaptive_max_pool2d` along one axis: (N, C, L) -> (N, C, output_size).

    >>> import clearprop.functional as F
    >>> F.adaptive_max_pool1d([[[1.0, 2.0, 3.0, 4.0]]], 2).tolist()
    [[[2.0, 4.0]]]
    """
    return _adaptive_max_pool("adaptive_max_pool1d", 1, x, output_size, return_indices)


def adaptive_max_pool2d(x: ArrayLike, output_size: Any, return_indices: bool = False) -> Any:
    """The largest element in each of so many places, whatever the lengths of the image.

    Args:
        output_size: as of `adaptive_avg_pool2d`.
        return_indices: as of `max_pool2d`.

    >>> import clearprop as cp
    >>> cp.functional.adaptive_max_pool2d(cp.reshape(cp.arange(6.0), (1, 1, 2, 3)), (1, 2))
    Tensor([[[[4., 5.]]]], dtype=float32)
    """
    return _adaptive_max_pool("adaptive_max_pool2d", 2, x, output_size, return_indices)


def adaptive_max_pool3d(x: ArrayLike, output_size: Any, return_indices: bool = False) -> Any:
    """`adaptive_max_pool2d` along three axes: (N, C, D, H, W) -> (N, C, *output_size).

    >>> import clearprop as cp
    >>> cp.functional.adaptive_max_pool3d(cp.ones((1, 1, 4, 4, 4)), 1).tolist()
    [[[[[1.0]]]]]
    """
    return _adaptive_max_pool("adaptive_max_pool3d", 3, x, output_size, return_indices)


def _places(name: str, images: Tensor, output_size: Any) -> Lengths:
    """The number of places along each axis."""
    axes = images.ndim - 2
    given = list(output_size) if isinstance(output_size, Sequence) else [output_size] * axes
    if len(given) != axes or not all(one is None or (is_whole(one) and one >= 1) for one in given):
        raise UsageError(
            f"{name}: output_size={output_size!r}", hint="whole numbers from 1 on; None leaves an axis alone"
        )
    if 0 in images.shape[2:]:
        raise ShapeError(
            f"{name}: x has shape {images.shape}, images without elements",
            hint="images with elements",
        )
    return tuple(length if one is None else int(one) for one, length in zip(given, images.shape[2:], strict=True))


def _equal_windows(lengths: Sequence[int], places: Lengths) -> tuple[Lengths, Moves] | None:
    """The window that moves by its own length to all places, if their numbers divide the lengths."""
    if any(length % count for length, count in zip(lengths, places, strict=True)):
        return None
    window = tuple(length // count for length, count in zip(lengths, places, strict=True))
    return window, plain_moves(len(window))._replace(stride=window)


def _members(length: int, places: int) -> tuple[Any, Any]:
    """The elements of each place along an axis, (places, most), the last one repeated; and how many there are."""
    starts = np.arange(places) * length // places
    ends = -(-(np.arange(places) + 1) * length // places)
    counts = ends - starts
    return np.minimum(starts[:, None] + np.arange(counts.max()), ends[:, None] - 1), counts


def _adaptive_avg_pool(name: str, axes: int, x: ArrayLike, output_size: Any) -> Tensor:
    """The mean in so many places."""
    given = as_float(x)
    z = with_batch_axis(name, given, axes)
    places = _places(name, z, output_size)
    equal = _equal_windows(z.shape[2:], places)
    if equal is not None:
        window, moves = equal
        sums = primitives.sum_pool(z, window=window, moves=moves)
        return like_input(divide(sums, float(math.prod(window))), given, axes)
    for axis, count in enumerate(places, 2):
        members, counts = _members(z.shape[axis], count)
        is_member = np.arange(members.shape[1]) < counts[:, None]
        after = (1,) * (z.ndim - axis - 1)
        parts = take(z, members, axis=axis)  # (…, places, most, …)
        parts = where(is_member.reshape(*is_member.shape, *after), parts, 0.0)
        z = divide(primitives.sum_(parts, axes=(axis + 1,)), counts.reshape(-1, *after).astype(numpy_dtype(z)))
    return like_input(z, given, axes)


def _adaptive_max_pool(name: str, axes: int, x: ArrayLike, output_size: Any, return_indices: bool) -> Any:
    """The maximum in so many places."""
    given = as_tensor(x)
    images = with_batch_axis(name, given, axes)
    places = _places(name, images, output_size)
    equal = _equal_windows(images.shape[2:], places)
    if equal is not None:
        window, moves = equal
        positions = primitives.max_pool_positions(images, window=window, moves=moves) if return_indices else None
        z = primitives.max_pool(images, window=window, moves=moves)
    else:
        positions = _adaptive_positions(images, places)
        flat = reshape(images, (*images.shape[:2], -1))
        picked = take_along_axis(flat, reshape(positions, (*images.shape[:2], -1)), axis=2)
        z = reshape(picked, positions.shape)
    z = like_input(z, given, axes)
    return (z, like_input(positions, given, axes)) if return_indices and positions is not None else z


def _adaptive_positions(images: Tensor, places: Lengths) -> Tensor:
    """Where the first maximum in each place is, in row-major order: axis after axis, from the last to the first."""
    best = images.detach()
    positions = Tensor(np.arange(math.prod(images.shape[2:])).reshape(images.shape[2:]))
    positions = primitives.broadcast(positions, shape=images.shape, axes=(0, 1))
    for axis in reversed(range(2, images.ndim)):
        members, _ = _members(best.shape[axis], places[axis - 2])
        best, positions = take(best, members, axis=axis), take(positions, members, axis=axis)
        chosen = primitives.argmax(best, axes=(axis + 1,))
        index = reshape(chosen, (*chosen.shape[: axis + 1], 1, *chosen.shape[axis + 1 :]))
        best, positions = (
            reshape(primitives.take_along_axis(one, index, axis=axis + 1), chosen.shape) for one in (best, positions)
        )
    return positions
