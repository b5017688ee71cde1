"""What functions of images share: one setting for each spatial axis, and images with or without a batch axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from clearprop import primitives
from clearprop.arguments import is_whole
from clearprop.errors import ShapeError, UsageError
from clearprop.primitives.windows import Lengths, Moves, reaches
from clearprop.tensor import Tensor

Setting: TypeAlias = int | Sequence[int]
"""One number for all spatial axes, or one for each."""

Pairs: TypeAlias = tuple[tuple[int, int], ...]
"""Widths on both sides of each spatial axis."""

SPATIAL = {1: "L", 2: "H, W", 3: "D, H, W"}
"""The usual letters of the spatial axes, by their number."""


def one_per_axis(name: str, label: str, value: Any, axes: int, least: int = 1) -> Lengths:
    """A setting as whole numbers, one for each spatial axis; a single number is meant for all of them.

    Raises:
        UsageError: names the operation and the setting.
    """
    given = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    if len(given) == 1:
        given = given * axes
    if len(given) != axes or not all(is_whole(one) and one >= least for one in given):
        many = f", or {axes} of them" if axes > 1 else ""
        raise UsageError(f"{name}: {label}={value!r}", hint=f"a whole number from {least} on{many}")
    return tuple(int(one) for one in given)


def both_sides(widths: Sequence[int]) -> Pairs:
    """As much padding behind each axis as before it."""
    return tuple((width, width) for width in widths)


def same_padding(window: Lengths, dilation: Lengths) -> Pairs:
    """Padding for as many places as there are elements; of an odd number one more behind."""
    return tuple(((reach - 1) // 2, reach // 2) for reach in reaches(window, dilation))


def moves_of(
    name: str, window: Lengths, stride: Setting, padding: Setting | str, dilation: Setting, *words: str
) -> Moves:
    """How a window moves, from settings as users give them.

    Args:
        words: those that the padding may be: "valid" for none, "same" for as many places as there are elements, "full"
            for all places where window and image overlap at all.

    Raises:
        UsageError: names the operation and the setting; also for "same" with a stride.
    """
    axes = len(window)
    by, apart = one_per_axis(name, "stride", stride, axes), one_per_axis(name, "dilation", dilation, axes)
    if not isinstance(padding, str):
        return Moves(by, both_sides(one_per_axis(name, "padding", padding, axes, least=0)), apart)
    if padding not in words:
        quoted = [f'"{word}"' for word in words]
        raise UsageError(f"{name}: padding={padding!r}", hint=" or ".join(["whole numbers", *quoted]))
    if padding == "same" and max(by, default=1) > 1:
        raise UsageError(f'{name}: padding="same" with stride {by}', hint="with a stride, padding is a number")
    reach = reaches(window, apart)
    pairs = {
        "valid": both_sides((0,) * axes),
        "same": same_padding(window, apart),
        "full": both_sides([elements - 1 for elements in reach]),
    }
    return Moves(by, pairs[padding], apart)


def with_batch_axis(name: str, x: Tensor, axes: int) -> Tensor:
    """Images (N, C, *lengths) as they are; one image (C, *lengths) as a batch of one.

    Raises:
        ShapeError: for another number of axes.
    """
    if x.ndim == axes + 2:
        return x
    if x.ndim == axes + 1:
        return primitives.reshape(x, shape=(1, *x.shape))
    spatial = SPATIAL.get(axes, f"{axes} lengths")
    hint = f"x.reshape(N, C, {', '.join('…' * axes)})"
    if x.ndim == axes + 3:
        hint = f"one batch axis: x.reshape(-1, {', '.join(map(str, x.shape[2:]))})"
    if x.ndim == axes:
        hint = f"x.reshape(1, {', '.join(map(str, x.shape))}): the axis of the channels is missing"
    raise ShapeError(f"{name}: x has shape {x.shape}; it must be (N, C, {spatial}), or (C, {spatial})", hint=hint)


def like_input(z: Tensor, x: Tensor, axes: int) -> Tensor:
    """The result without the batch axis that `with_batch_axis` gave to x."""
    return z if x.ndim == axes + 2 else primitives.reshape(z, shape=z.shape[1:])
