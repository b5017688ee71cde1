"""Normalization: bring values to mean 0 and variance 1 over some axes, then let weight and bias choose others.

    batch_norm      over the examples and places, for each channel      Ioffe and Szegedy 2015, algorithm 1
    layer_norm      over the last axes, for each example                Ba, Kiros, Hinton 2016, equation 4
    rms_norm        the same without a mean                             Zhang and Sennrich 2019, equation 4
    group_norm      over groups of channels, for each example           Wu and He 2018, equation 7
    instance_norm   over the places, for each example and channel       Ulyanov, Vedaldi, Lempitsky 2016

The variance is the mean of squares of what is left after the mean is taken off (two passes), not E[x²] - E[x]²: the
difference of two large numbers would have no correct digit. Channels are axis 1 of (N, C, …).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from clearprop import primitives
from clearprop.arguments import is_whole, number
from clearprop.array import add, divide, multiply, reshape, sqrt, stop_gradient, subtract
from clearprop.array.promotion import ArrayLike, as_float, cast_to, whole_numbers
from clearprop.autodiff.batching import levels_of
from clearprop.cell import Buffer
from clearprop.errors import GradientError, ShapeError, UsageError
from clearprop.primitive import numpy_dtype
from clearprop.tensor import Tensor, as_tensor


def batch_norm(
    x: ArrayLike,
    running_mean: ArrayLike | None,
    running_var: ArrayLike | None,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    training: bool = False,
    momentum: float | Tensor = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / √(variance + eps) * weight + bias, for each channel over the examples and all places.

    Args:
        x: (N, C) or (N, C, d1, …).
        running_mean, running_var: (C,), what is used where ``training`` is False. In training the statistics are those
            of the batch, and the running ones, if they are a `Buffer`, move towards them:
            running = (1 - momentum) * running + momentum * batch, with the unbiased variance.
        weight, bias: (C,), or None.

    Raises:
        ShapeError: if something has not C elements, or there is one value for each channel, whose variance is 0.
        GradientError: if running statistics would have to be changed inside ``vmap``.
        UsageError: if ``training`` is False and there are no running statistics.

    >>> import clearprop.functional as F
    >>> F.batch_norm([[-5.0, 10.0], [5.0, 30.0]], None, None, training=True)
    Tensor([[-1., -1.],
            [ 1.,  1.]], dtype=float32)
    """
    x, dtype = _wide(x)
    eps = _checked_settings("batch_norm", eps, momentum)
    _check_channels("batch_norm", x, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    axes = (0, *range(2, x.ndim))
    if not training:
        if running_mean is None or running_var is None:
            raise UsageError("batch_norm: there are no running statistics to use", hint="training=True")
        mean, variance = (cast_to(as_tensor(one), numpy_dtype(x)) for one in (running_mean, running_var))
        centered = primitives.subtract(x, primitives.broadcast(mean, shape=x.shape, axes=axes))
        return cast_to(_scaled(centered, variance, eps, axes, weight, bias), dtype)
    count = _count(x, axes)
    if count < 2:
        raise ShapeError(
            f"batch_norm: x has shape {x.shape}, one value for each channel: it has no variance to train with",
            hint="a larger batch (DataLoader(…, drop_last=True)), or model.eval()",
        )
    moments = _moments(x, axes)
    _move(running_mean, moments.mean, momentum)
    _move(running_var, multiply(stop_gradient(moments.variance), count / (count - 1)), momentum)
    return cast_to(_scaled(moments.centered, moments.variance, eps, axes, weight, bias), dtype)


def instance_norm(
    x: ArrayLike,
    running_mean: ArrayLike | None = None,
    running_var: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    use_input_stats: bool = True,
    momentum: float | Tensor = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """`batch_norm` of each example alone: for each example and channel, over all places.

    Args:
        x: (N, C, d1, …).
        use_input_stats: False for the running statistics, as in evaluation.

    Raises:
        ShapeError: if something has not C elements, or there is one place, whose variance is 0.

    >>> import clearprop.functional as F
    >>> F.instance_norm([[[-5.0, 5.0], [10.0, 30.0]]])
    Tensor([[[-1.,  1.],
             [-1.,  1.]]], dtype=float32)
    """
    if not use_input_stats:
        return batch_norm(x, running_mean, running_var, weight, bias, eps=eps)
    x, dtype = _wide(x)
    eps = _checked_settings("instance_norm", eps, momentum)
    _check_channels("instance_norm", x, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    axes = tuple(range(2, x.ndim))
    count = _count(x, axes)
    if count < 2:
        raise ShapeError(
            f"instance_norm: x has shape {x.shape}, one value for each example and channel: it has no variance",
            hint="larger images, or layer_norm",
        )
    moments = _moments(x, axes)
    examples = float(max(x.shape[0], 1))
    for running, found, correction in (
        (running_mean, moments.mean, 1.0),
        (running_var, moments.variance, count / (count - 1)),
    ):
        if isinstance(running, Buffer):
            total = primitives.sum_(stop_gradient(found), axes=(0,))
            _move(running, multiply(total, correction / examples), momentum)
    normal = multiply(moments.centered, _spread(_inverse_root(moments.variance, eps), x, axes))
    return cast_to(_affine(normal, weight, bias, (0, *axes)), dtype)


def layer_norm(
    x: ArrayLike,
    normalized_shape: int | Sequence[int],
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / √(variance + eps) * weight + bias over the last axes, for each example by itself.

    Args:
        x: (…, *normalized_shape).
        normalized_shape: the lengths of the last axes, over which mean and variance are taken.
        weight, bias: of that shape, or None.

    Raises:
        ShapeError: if x does not end in ``normalized_shape``, or weight or bias have another shape.

    >>> import clearprop.functional as F
    >>> F.layer_norm([[-5.0, 5.0], [10.0, 30.0]], 2)
    Tensor([[-1.,  1.],
            [-1.,  1.]], dtype=float32)
    """
    x, dtype = _wide(x)
    eps = _checked_settings("layer_norm", eps)
    axes = _last_axes("layer_norm", x, normalized_shape, weight=weight, bias=bias)
    moments = _moments(x, axes)
    normal = multiply(moments.centered, _spread(_inverse_root(moments.variance, eps), x, axes))
    return cast_to(_affine(normal, weight, bias, tuple(range(x.ndim - len(axes)))), dtype)


def rms_norm(
    x: ArrayLike, normalized_shape: int | Sequence[int], weight: ArrayLike | None = None, eps: float | None = None
) -> Tensor:
    """x / √(mean of x² + eps) * weight over the last axes: `layer_norm` without a mean and without a bias.

    Args:
        x: (…, *normalized_shape).
        weight: of the shape ``normalized_shape``, or None.
        eps: by default the distance from 1 to the next number of the dtype of x.

    Raises:
        ShapeError: if x does not end in ``normalized_shape``, or weight has another shape.

    >>> import clearprop.functional as F
    >>> F.rms_norm([3.0, 4.0, 0.0, 0.0], 4)
    Tensor([1.2, 1.6, 0. , 0. ], dtype=float32)
    """
    x, dtype = _wide(x)
    axes = _last_axes("rms_norm", x, normalized_shape, weight=weight)
    smallest = float(np.finfo(dtype).eps) if eps is None else _checked_settings("rms_norm", eps)
    mean_square = _mean(multiply(x, x), axes)
    normal = multiply(x, _spread(_inverse_root(mean_square, smallest), x, axes))
    return cast_to(_affine(normal, weight, None, tuple(range(x.ndim - len(axes)))), dtype)


def group_norm(
    x: ArrayLike,
    num_groups: int,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / √(variance + eps), for each example over all places of a group of neighbouring channels.

    Args:
        x: (N, C) or (N, C, d1, …).
        num_groups: into how many groups the channels are divided.
        weight, bias: (C,), or None: they differ within a group.

    Raises:
        ShapeError: if the channels cannot be divided so, or weight or bias have not C elements.

    >>> import clearprop.functional as F
    >>> F.group_norm([[-5.0, 5.0, 10.0, 30.0]], 2)
    Tensor([[-1.,  1., -1.,  1.]], dtype=float32)
    """
    x, dtype = _wide(x)
    eps = _checked_settings("group_norm", eps)
    _check_channels("group_norm", x, weight=weight, bias=bias)
    if not is_whole(num_groups) or num_groups < 1 or x.shape[1] % num_groups:
        raise ShapeError(
            f"group_norm: x has shape {x.shape}; {x.shape[1]} channels cannot be divided into {num_groups} groups",
            hint="num_groups must divide the number of channels",
        )
    size = math.prod(x.shape[1:]) // num_groups
    grouped = reshape(x, (x.shape[0], num_groups, size))
    moments = _moments(grouped, (2,))
    normal = multiply(moments.centered, _spread(_inverse_root(moments.variance, eps), grouped, (2,)))
    return cast_to(_affine(reshape(normal, x.shape), weight, bias, (0, *range(2, x.ndim))), dtype)


def _wide(x: ArrayLike) -> tuple[Tensor, np.dtype[Any]]:
    """The tensor to compute with, and the dtype of the result: sums of half precision are taken in single precision."""
    tensor = as_float(x)
    dtype = numpy_dtype(tensor)
    return cast_to(tensor, np.dtype(np.float32)) if dtype.itemsize < 4 else tensor, dtype


class _Moments(NamedTuple):
    """Mean and variance without the axes that they were taken over, and x without its mean."""

    mean: Tensor
    variance: Tensor
    centered: Tensor


def _moments(x: Tensor, axes: tuple[int, ...]) -> _Moments:
    mean = _mean(x, axes)
    centered = primitives.subtract(x, _spread(mean, x, axes))
    return _Moments(mean, _mean(multiply(centered, centered), axes), centered)


def _mean(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    return divide(primitives.sum_(x, axes=axes), float(_count(x, axes)))


def _count(x: Tensor, axes: tuple[int, ...]) -> int:
    return math.prod(x.shape[axis] for axis in axes)


def _spread(values: Tensor, x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """One value for all places along the axes."""
    return primitives.broadcast(values, shape=x.shape, axes=axes)


def _inverse_root(variance: Tensor, eps: float) -> Tensor:
    return divide(1.0, sqrt(add(variance, eps)))


def _scaled(
    centered: Tensor,
    variance: Tensor,
    eps: float,
    axes: tuple[int, ...],
    weight: ArrayLike | None,
    bias: ArrayLike | None,
) -> Tensor:
    """Statistics and weight belong to the same axis: one factor of its length, so the large array is passed once."""
    scale: Any = 1.0 if weight is None else cast_to(as_tensor(weight), numpy_dtype(centered))
    factor = divide(scale, sqrt(add(variance, eps)))
    return _affine(multiply(centered, _spread(factor, centered, axes)), None, bias, axes)


def _affine(x: Tensor, weight: ArrayLike | None, bias: ArrayLike | None, axes: tuple[int, ...]) -> Tensor:
    """x * weight + bias, which are the same along these axes."""
    if weight is not None:
        x = multiply(x, _spread(cast_to(as_tensor(weight), numpy_dtype(x)), x, axes))
    if bias is not None:
        x = add(x, _spread(cast_to(as_tensor(bias), numpy_dtype(x)), x, axes))
    return x


def _move(running: ArrayLike | None, found: Tensor, momentum: float | Tensor) -> None:
    """Move a running statistic towards the one that was found; its history is not recorded."""
    if not isinstance(running, Buffer):
        return
    if levels_of(found):
        raise GradientError(
            f"inside vmap each example would have running statistics of its own: {running.name or 'a buffer'}",
            hint="model.eval(), track_running_stats=False, or a GroupNorm",
        )
    held = running.value
    step = subtract(cast_to(stop_gradient(found), numpy_dtype(held)), held)
    factor = cast_to(momentum, numpy_dtype(held)) if isinstance(momentum, Tensor) else momentum
    running.assign(add(held, multiply(step, factor)))


def _checked_settings(name: str, eps: float, momentum: float | Tensor = 0.0) -> float:
    """Eps, a number from 0 on. A momentum is a share, from 0 to 1; what is computed of a count is a tensor."""
    if not isinstance(momentum, Tensor):
        number(name, "momentum", momentum, 0.0, 1.0)
    return number(name, "eps", eps, 0.0)


def _check_channels(name: str, x: Tensor, **parts: ArrayLike | None) -> None:
    """Raise unless x has channels, and every part an element for each of them."""
    if x.ndim < 2:
        raise ShapeError(
            f"{name}: x has shape {x.shape}; it must be (N, C) or (N, C, d1, …)", hint="x[None] is a batch of one"
        )
    channels = x.shape[1]
    for label, part in parts.items():
        if part is not None and as_tensor(part).shape != (channels,):
            raise ShapeError(
                f"{name}: x has shape {x.shape}, {channels} channels (axis 1); {label} has shape "
                f"{as_tensor(part).shape}; it must be ({channels},)",
                hint=f"a layer for {channels} channels, or the channels of x as its axis 1",
            )


def _last_axes(
    name: str, x: Tensor, normalized_shape: int | Sequence[int], **parts: ArrayLike | None
) -> tuple[int, ...]:
    """The axes to normalize over; raises unless x ends in that shape, and every part has it."""
    wanted = whole_numbers(normalized_shape, name, "normalized_shape")
    if not wanted or x.shape[-len(wanted) :] != wanted:
        raise ShapeError(
            f"{name}: x has shape {x.shape}, which does not end in normalized_shape {wanted}",
            hint=f"normalized_shape={x.shape[-max(len(wanted), 1) :]}",
        )
    for label, part in parts.items():
        if part is not None and as_tensor(part).shape != wanted:
            raise ShapeError(
                f"{name}: {label} has shape {as_tensor(part).shape}; normalized_shape is {wanted}",
                hint=f"{label} of shape {wanted}",
            )
    return tuple(range(x.ndim - len(wanted), x.ndim))
