"""Pooling: the maximum or the mean of each place of a window that moves over images. Names are PyTorch's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clearprop import primitives
from clearprop.arguments import is_whole
from clearprop.array import divide
from clearprop.array.promotion import ArrayLike, as_float
from clearprop.errors import UsageError
from clearprop.functional.windows import Setting, like_input, moves_of, one_per_axis, with_batch_axis
from clearprop.primitive import numpy_dtype
from clearprop.primitives.windows import Lengths, Moves, checked_lengths, reaches
from clearprop.tensor import Tensor, as_tensor


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
    window, moves = _moves(name, images.shape, kernel_size, stride, padding, dilation, ceil_mode)
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
    window, moves = _moves(name, images.shape, kernel_size, stride, padding, 1, ceil_mode)
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
    dilation: Setting,
    ceil_mode: bool,
) -> tuple[Lengths, Moves]:
    """The window, and how it moves over images of that shape."""
    axes = len(shape) - 2
    window = one_per_axis(name, "kernel_size", kernel_size, axes)
    moves = moves_of(name, window, window if stride is None else stride, padding, dilation)
    halves = [reach // 2 for reach in reaches(window, moves.dilation)]
    if any(low > half for (low, _), half in zip(moves.padding, halves, strict=True)):
        raise UsageError(
            f"{name}: padding={padding} for a window {window}",
            hint="at most half the window, so that none is all padding",
        )
    if ceil_mode:
        moves = moves._replace(padding=_hanging_over(shape[2:], window, moves))
    checked_lengths(name, shape, window, moves)
    return window, moves


def _hanging_over(lengths: Sequence[int], window: Lengths, moves: Moves) -> tuple[tuple[int, int], ...]:
    """Padding that lets a last place hang over the end, unless it would begin behind the image."""
    pairs = []
    for length, reach, stride, (width, _) in zip(
        lengths, reaches(window, moves.dilation), moves.stride, moves.padding, strict=True
    ):
        places = -(-(length + 2 * width - reach) // stride) + 1
        if (places - 1) * stride >= length + width:
            places -= 1
        pairs.append((width, max(width, (places - 1) * stride + reach - length - width)))
    return tuple(pairs)
