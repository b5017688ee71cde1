"""What functions of images share: one setting for each spatial axis, and images with or without a batch axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clearprop import primitives
from clearprop.arguments import is_whole
from clearprop.errors import ShapeError, UsageError
from clearprop.primitives.windows import Lengths
from clearprop.tensor import Tensor

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
