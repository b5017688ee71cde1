"""Pooling: the maximum or the mean of each place of a window that moves over images. Names are PyTorch's.

Adaptive pooling is told how many places there should be. Place i covers the elements from floor(i length / places) to
ceil((i + 1) length / places), so windows may be of two lengths and overlap. They are taken axis after axis: a mean of
means, a maximum of maxima.
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
from clearprop.functional.windows import like_input, one_per_axis, with_batch_axis
from clearprop.primitive import numpy_dtype
from clearprop.primitives.windows import Lengths, Moves, checked_lengths, plain_moves
from clearprop.tensor import Tensor, as_tensor

Setting = int | Sequence[int]


def max_pool1d(
    x: ArrayLike,
    kernel_size: Setting,
    stride: Setting | None = None,
    padding: Setting = 0,
    dilation: Setting = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """`max_pool2d` along one axis: (N, C, L) -> (N, C, places).

    >>> import clearprop.functional as F
    >>> F.max_pool1d([[[3.0, 1.0, 2.0, 5.0]]], 2)
    Tensor([[[3., 5.]]], dtype=float32)
    """
    return _max_pool("max_pool1d", 1, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool2d(
    x: ArrayLike,
    kernel_size: Setting,
    stride: Setting | None = None,
    padding: Setting = 0,
    dilation: Setting = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element in each place of a window. The first of several largest ones receives the gradient.

    Args:
        x: (N, C, H, W), or one image (C, H, W).
        kernel_size: the lengths of the window, one for all axes or one for each; so are stride, padding and dilation.
        stride: by how much the window moves; by its own length if None.
        padding: so many elements of -inf on both sides of each axis, at most half the window.
        ceil_mode: whether a last place that hangs over the end of the image counts.
        return_indices: whether to return the positions of the largest elements, too.

    Returns:
        (N, C, places, places); with ``return_indices`` a pair of that and the positions, counted through each (H, W) in
        row-major order.

    Raises:
        ShapeError: if the window is larger than the image, or x has another number of axes.
        UsageError: for settings that are no whole numbers, or out of their range.

    >>> import clearprop as cp
    >>> image = cp.reshape(cp.arange(16.0), (1, 1, 4, 4))
    >>> cp.functional.max_pool2d(image, 2)
    Tensor([[[[ 5.,  7.],
              [13., 15.]]]], dtype=float32)
    """
    return _max_pool("max_pool2d", 2, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool3d(
    x: ArrayLike,
    kernel_size: Setting,
    stride: Setting | None = None,
    padding: Setting = 0,
    dilation: Setting = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """`max_pool2d` along three axes: (N, C, D, H, W) -> (N, C, places, places, places).

    >>> import clearprop as cp
    >>> cp.functional.max_pool3d(cp.ones((1, 2, 4, 4, 6)), 2).shape
    (1, 2, 2, 2, 3)
    """
    return _max_pool("max_pool3d", 3, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def avg_pool1d(
    x: ArrayLike,
    kernel_size: Setting,
    stride: Setting | None = None,
    padding: Setting = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """`avg_pool2d` along one axis: (N, C, L) -> (N, C, places).

    >>> import clearprop.functional as F
    >>> F.avg_pool1d([[[3.0, 1.0, 2.0, 6.0]]], 2)
    Tensor([[[2., 4.]]], dtype=float32)
    """
    return _avg_pool("avg_pool1d", 1, x, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def avg_pool2d(
    x: ArrayLike,
    kernel_size: Setting,
    stride: Setting | None = None,
    padding: Setting = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of the elements in each place of a window.

    Args:
        x: (N, C, H, W), or one image (C, H, W).
        kernel_size, stride, padding, ceil_mode: as of `max_pool2d`; padding counts as 0.
        count_include_pad: whether the padding is counted among the elements of a place; what hangs over never is.
        divisor_override: by what to divide the sums instead.

    Raises:
        ShapeError, UsageError: as `max_pool2d`.

    >>> import clearprop as cp
    >>> image = cp.reshape(cp.arange(16.0), (1, 1, 4, 4))
    >>> cp.functional.avg_pool2d(image, 2)
    Tensor([[[[ 2.5,  4.5],
              [10.5, 12.5]]]], dtype=float32)
    """
    return _avg_pool("avg_pool2d", 2, x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def avg_pool3d(
    x: ArrayLike,
    kernel_size: Setting,
    stride: Setting | None = None,
    padding: Setting = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """`avg_pool2d` along three axes: (N, C, D, H, W) -> (N, C, places, places, places).

    >>> import clearprop as cp
    >>> cp.functional.avg_pool3d(cp.ones((1, 2, 4, 4, 6)), 2).shape
    (1, 2, 2, 2, 3)
    """
    return _avg_pool("avg_pool3d", 3, x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def adaptive_avg_pool1d(x: ArrayLike, output_size: Any) -> Tensor:
    """`adaptive_avg_pool2d` along one axis: (N, C, L) -> (N, C, output_size)."""
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
    """`adaptive_avg_pool2d` along three axes: (N, C, D, H, W) -> (N, C, *output_size)."""
    return _adaptive_avg_pool("adaptive_avg_pool3d", 3, x, output_size)


def adaptive_max_pool1d(x: ArrayLike, output_size: Any, return_indices: bool = False) -> Any:
    """`adaptive_max_pool2d` along one axis: (N, C, L) -> (N, C, output_size)."""
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
    """`adaptive_max_pool2d` along three axes: (N, C, D, H, W) -> (N, C, *output_size)."""
    return _adaptive_max_pool("adaptive_max_pool3d", 3, x, output_size, return_indices)


# A window that moves --------------------------------------------------------------------------------------------------


def _max_pool(
    name: str,
    axes: int,
    x: ArrayLike,
    kernel_size: Setting,
    stride: Setting | None,
    padding: Setting,
    dilation: Setting,
    ceil_mode: bool,
    return_indices: bool,
) -> Any:
    """The maximum along so many axes."""
    given = as_tensor(x)
    images = with_batch_axis(name, given, axes)
    apart = one_per_axis(name, "dilation", dilation, axes)
    window, moves = _moves(name, images.shape, kernel_size, stride, padding, apart, ceil_mode)
    z = like_input(primitives.max_pool(images, window=window, moves=moves), given, axes)
    if not return_indices:
        return z
    return z, like_input(primitives.max_pool_positions(images, window=window, moves=moves), given, axes)


def _avg_pool(
    name: str,
    axes: int,
    x: ArrayLike,
    kernel_size: Setting,
    stride: Setting | None,
    padding: Setting,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Tensor:
    """The mean along so many axes: the sums, by the numbers of elements."""
    if divisor_override is not None and (not is_whole(divisor_override) or divisor_override == 0):
        raise UsageError(f"{name}: divisor_override={divisor_override!r}", hint="a whole number other than 0")
    given = as_float(x)
    images = with_batch_axis(name, given, axes)
    window, moves = _moves(name, images.shape, kernel_size, stride, padding, (1,) * axes, ceil_mode)
    sums = primitives.sum_pool(images, window=window, moves=moves)
    if divisor_override is not None:
        return like_input(divide(sums, float(divisor_override)), given, axes)
    widths = one_per_axis(name, "padding", padding, axes, least=0) if count_include_pad else (0,) * axes
    counts = _counts(images.shape[2:], sums.shape[2:], window, moves, widths)
    same = counts.size > 0 and (counts == counts.flat[0]).all()
    divisor = float(counts.flat[0]) if same else Tensor(counts.astype(numpy_dtype(sums)))
    return like_input(divide(sums, divisor), given, axes)


def _counts(lengths: Sequence[int], places: Sequence[int], window: Lengths, moves: Moves, widths: Lengths) -> Any:
    """How many elements each place has in the image and in so wide a padding around it."""
    counts: Any = np.ones((), np.int64)
    for length, count, size, stride, (low, _), width in zip(
        lengths, places, window, moves.stride, moves.padding, widths, strict=True
    ):
        starts = np.arange(count) * stride - low
        along = np.minimum(starts + size, length + width) - np.maximum(starts, -width)
        counts = counts[..., None] * along
    return counts


def _moves(
    name: str,
    shape: tuple[int, ...],
    kernel_size: Setting,
    stride: Setting | None,
    padding: Setting,
    dilation: Lengths,
    ceil_mode: bool,
) -> tuple[Lengths, Moves]:
    """The window, and how it moves over images of that shape."""
    axes = len(shape) - 2
    window = one_per_axis(name, "kernel_size", kernel_size, axes)
    by = window if stride is None else one_per_axis(name, "stride", stride, axes)
    widths = one_per_axis(name, "padding", padding, axes, least=0)
    reaches = [apart * (size - 1) + 1 for size, apart in zip(window, dilation, strict=True)]
    if any(width > reach // 2 for width, reach in zip(widths, reaches, strict=True)):
        raise UsageError(
            f"{name}: padding={padding} for a window {window}",
            hint="at most half the window, so that none is all padding",
        )
    moves = Moves(by, tuple((width, width) for width in widths), dilation)
    if ceil_mode:
        moves = moves._replace(padding=_hanging_over(shape[2:], window, moves))
    checked_lengths(name, shape, window, moves)
    return window, moves


def _hanging_over(lengths: Sequence[int], window: Lengths, moves: Moves) -> tuple[tuple[int, int], ...]:
    """Padding that lets a last place hang over the end, unless it would begin behind the image."""
    pairs = []
    for length, size, stride, (width, _), dilation in zip(
        lengths, window, moves.stride, moves.padding, moves.dilation, strict=True
    ):
        reach = dilation * (size - 1) + 1
        places = -(-(length + 2 * width - reach) // stride) + 1
        if (places - 1) * stride >= length + width:
            places -= 1
        pairs.append((width, max(width, (places - 1) * stride + reach - length - width)))
    return tuple(pairs)


# So many places -------------------------------------------------------------------------------------------------------


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
