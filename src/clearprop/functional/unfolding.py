"""The places of a window as columns, and back: what a convolution multiplies by its weights, made visible."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Any

from clearprop import primitives
from clearprop.array import add, concat, reshape
from clearprop.array.promotion import ArrayLike
from clearprop.errors import ShapeError
from clearprop.functional.windows import Setting, like_input, moves_of, one_per_axis, with_batch_axis
from clearprop.primitives.shaping import take_range
from clearprop.primitives.windows import Lengths, Moves, checked_lengths
from clearprop.tensor import Tensor, as_tensor


def unfold(
    x: ArrayLike, kernel_size: Setting, dilation: Setting = 1, padding: Setting = 0, stride: Setting = 1
) -> Tensor:
    """Each place of a window as a column: (N, C, H, W) -> (N, C * K * L, places), for a window (K, L).

    A convolution is a matrix product with these columns: ``weight.reshape(out, -1) @ F.unfold(x, …)``.

    Args:
        x: (N, C, H, W), or one image (C, H, W).
        kernel_size, dilation, padding, stride: one number for both axes, or one for each.

    Raises:
        ShapeError: if the window is larger than the image, or x has another number of axes.

    >>> import clearprop as cp
    >>> cp.functional.unfold(cp.reshape(cp.arange(6), (1, 1, 2, 3)), 2)
    Tensor([[[0, 1],
             [1, 2],
             [3, 4],
             [4, 5]]], dtype=int64)
    """
    given = as_tensor(x)
    images = with_batch_axis("unfold", given, 2)
    window = one_per_axis("unfold", "kernel_size", kernel_size, 2)
    moves = moves_of("unfold", window, stride, padding, dilation)
    places = checked_lengths("unfold", images.shape, window, moves)
    low, high = zip((0, 0), (0, 0), *moves.padding, strict=True)
    around: Tensor = primitives.pad(images, before=low, after=high, between=(0, 0, 0, 0))
    columns = [_at_tap(around, tap, places, moves) for tap in product(*map(range, window))]
    count, channels, *_ = images.shape
    rows = [reshape(column, (count, channels, 1, math.prod(places))) for column in columns]
    return like_input(reshape(concat(rows, axis=2), (count, channels * len(rows), -1)), given, 2)


def _at_tap(x: Tensor, tap: Sequence[int], places: Lengths, moves: Moves) -> Tensor:
    """What stands at one element of the window, for all its places: (N, C, *places)."""
    starts = tuple(k * step for k, step in zip(tap, moves.dilation, strict=True))
    stops = tuple(a + by * (n - 1) + 1 for a, by, n in zip(starts, moves.stride, places, strict=True))
    return primitives.slice_(x, start=(0, 0, *starts), stop=(*x.shape[:2], *stops), step=(1, 1, *moves.stride))


def fold(
    x: ArrayLike,
    output_size: Setting,
    kernel_size: Setting,
    dilation: Setting = 1,
    padding: Setting = 0,
    stride: Setting = 1,
) -> Tensor:
    """The transpose of `unfold`: columns are laid over an image, and added where they overlap.

    Args:
        x: (N, C * K * L, places), or (C * K * L, places).
        output_size: the lengths (H, W) of the image.

    Returns:
        (N, C, H, W), or (C, H, W).

    Raises:
        ShapeError: if x has not as many places as the window has in such an image, or its rows are no windows.

    >>> import clearprop as cp
    >>> cp.functional.fold(cp.ones((1, 4, 2)), (2, 3), 2)
    Tensor([[[[1., 2., 1.],
              [1., 2., 1.]]]], dtype=float32)
    """
    given = as_tensor(x)
    columns = with_batch_axis("fold", given, 1)
    window = one_per_axis("fold", "kernel_size", kernel_size, 2)
    moves = moves_of("fold", window, stride, padding, dilation)
    lengths = one_per_axis("fold", "output_size", output_size, 2)
    elements = math.prod(window)
    if columns.shape[1] % elements:
        raise ShapeError(
            f"fold: x has shape {given.shape}; its rows are no windows of {elements} elements, {window}",
            hint=f"(N, channels * {elements}, places)",
        )
    count, channels = columns.shape[0], columns.shape[1] // elements
    places = checked_lengths("fold", (count, channels, *lengths), window, moves)
    if columns.shape[2] != math.prod(places):
        raise ShapeError(
            f"fold: x has shape {given.shape}; the window has {places} places in an image {lengths}",
            hint=f"{math.prod(places)} columns, or the output_size that they come from",
        )
    parts = reshape(columns, (count, channels, elements, *places))
    around = tuple(length + low + high for length, (low, high) in zip(lengths, moves.padding, strict=True))
    total: Any = None
    for i, tap in enumerate(product(*map(range, window))):
        part = reshape(take_range(parts, 2, i, i + 1), (count, channels, *places))
        laid = _laid(part, tap, around, moves)
        total = laid if total is None else add(total, laid)
    for axis, (length, (low, _)) in enumerate(zip(lengths, moves.padding, strict=True), 2):
        total = take_range(total, axis, low, low + length)
    return like_input(total, given, 1)


def _laid(x: Tensor, tap: Sequence[int], lengths: Lengths, moves: Moves) -> Tensor:
    """The opposite of `_at_tap`: (N, C, *places) -> (N, C, *lengths)."""
    before = tuple(k * step for k, step in zip(tap, moves.dilation, strict=True))
    after = tuple(
        length - start - by * (n - 1) - 1
        for length, start, by, n in zip(lengths, before, moves.stride, x.shape[2:], strict=True)
    )
    between = tuple(by - 1 for by in moves.stride)
    return primitives.pad(x, before=(0, 0, *before), after=(0, 0, *after), between=(0, 0, *between))
