"""Normalization as modules: weight and bias are parameters, running statistics are buffers; see `functional`."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from clearprop import functional
from clearprop.arguments import number
from clearprop.array import add, astype, divide, expand_dims, reshape
from clearprop.cell import Buffer, Parameter
from clearprop.dtypes import to_numpy
from clearprop.errors import ShapeError, UsageError
from clearprop.nn import init
from clearprop.nn.linear import check_sizes
from clearprop.nn.module import Module
from clearprop.tensor import Tensor, as_tensor


class ChannelNorm(Module):
    """What batch and instance normalization share; for arguments and attributes see `BatchNorm1d`."""

    _axes: ClassVar[tuple[int, ...]] = ()
    """How many axes x may have."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        bias: bool = True,
        dtype: Any = None,
    ) -> None:
        check_sizes(type(self).__name__, num_features=num_features)
        number(type(self).__name__, "eps", eps, 0.0)
        if momentum is not None:
            number(type(self).__name__, "momentum", momentum, 0.0, 1.0)
        kind = _floating(dtype)
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        self.weight = Parameter(np.ones(num_features, kind)) if affine else None
        self.bias = Parameter(np.zeros(num_features, kind)) if affine and bias else None
        self.running_mean = Buffer(np.zeros(num_features, kind)) if track_running_stats else None
        self.running_var = Buffer(np.ones(num_features, kind)) if track_running_stats else None
        self.num_batches_tracked = Buffer(0) if track_running_stats else None

    def reset_running_stats(self) -> None:
        """Forget the batches that have been seen."""
        for buffer, value in ((self.running_mean, 0.0), (self.running_var, 1.0), (self.num_batches_tracked, 0)):
            if buffer is not None:
                init.constant_(buffer, value)

    def reset_parameters(self) -> None:
        """Weight 1, bias 0, and no batches seen."""
        self.reset_running_stats()
        _reset(self.weight, self.bias)

    def _check_axes(self, x: Tensor) -> None:
        if x.ndim not in self._axes:
            name = type(self).__name__
            wanted = " or ".join(map(str, self._axes))
            fitting = f"nn.{name[:-2]}{max(x.ndim - 2, 1)}d for this x" if x.ndim in (2, 3, 4, 5) else f"{wanted} axes"
            raise ShapeError(f"{name}: x has shape {x.shape}; it must have {wanted} axes", hint=fitting)

    def extra_repr(self) -> str:
        """Its arguments, as far as they are not the usual ones."""
        usual = inspect.signature(type(self)).parameters
        names = ("eps", "momentum", "affine", "track_running_stats")
        changed = [f"{name}={getattr(self, name)}" for name in names if getattr(self, name) != usual[name].default]
        without_bias = ["bias=False"] if self.affine and self.bias is None else []
        return ", ".join([str(self.num_features), *changed, *without_bias])


class BatchNorm(ChannelNorm):
    """What BatchNorm1d, 2d and 3d share, see `functional.batch_norm`."""

    def forward(self, x: Any) -> Tensor:
        """The same shape. In training the running statistics move; in evaluation they are used."""
        x = as_tensor(x)
        self._check_axes(x)
        use_batch = self.training or self.running_mean is None
        factor: float | Tensor = self.momentum or 0.0
        tracked = self.num_batches_tracked if self.training else None
        if tracked is not None and self.momentum is None:
            factor = divide(1.0, astype(add(tracked, 1), np.float64))
        y = functional.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, use_batch, factor, self.eps
        )
        if tracked is not None:
            tracked.assign(add(tracked, 1))
        return y


class BatchNorm1d(BatchNorm):
    """`functional.batch_norm` of (N, C) or (N, C, L), with running statistics for each channel.

    Args:
        num_features: the number of channels C.
        eps: added to the variance.
        momentum: by which share the running statistics move towards those of a batch; None for the mean of all batches.
        affine: whether there are a weight and a bias.
        track_running_stats: whether there are running statistics, for evaluation; without them every batch has its own.
        bias: False for a weight alone.
        dtype: float32 by default.

    Attributes:
        weight, bias: (C,), at first 1 and 0; or None.
        running_mean, running_var: (C,), at first 0 and 1; or None.
        num_batches_tracked: how many batches they come from; or None.

    >>> import clearprop as cp
    >>> layer = cp.nn.BatchNorm1d(2, affine=False)
    >>> layer(cp.tensor([[-5.0, 10.0], [5.0, 30.0]])), layer.running_mean.value
    (Tensor([[-1., -1.],
            [ 1.,  1.]], dtype=float32), Tensor([0., 2.], dtype=float32))
    """

    _axes = (2, 3)


class BatchNorm2d(BatchNorm):
    """`functional.batch_norm` of images (N, C, H, W); arguments and attributes as of `BatchNorm1d`.

    >>> import clearprop as cp
    >>> cp.nn.BatchNorm2d(2)(cp.ones((3, 2, 4, 4))).shape
    (3, 2, 4, 4)
    """

    _axes = (4,)


class BatchNorm3d(BatchNorm):
    """`functional.batch_norm` of volumes (N, C, D, H, W); arguments and attributes as of `BatchNorm1d`.

    >>> import clearprop as cp
    >>> cp.nn.BatchNorm3d(2)(cp.ones((3, 2, 4, 4, 4))).shape
    (3, 2, 4, 4, 4)
    """

    _axes = (5,)


class InstanceNorm(ChannelNorm):
    """What InstanceNorm1d, 2d and 3d share, see `functional.instance_norm`."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        *,
        bias: bool = True,
        dtype: Any = None,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, bias=bias, dtype=dtype)

    def forward(self, x: Any) -> Tensor:
        """The same shape; a single example too."""
        x = as_tensor(x)
        self._check_axes(x)
        batch = expand_dims(x, 0) if x.ndim == min(self._axes) else x
        name, channels = type(self).__name__, batch.shape[1]
        if channels != self.num_features:
            raise ShapeError(
                f"{name}: x has shape {x.shape}, {channels} channels; num_features is {self.num_features}",
                hint=f"nn.{name}({channels}), or the channels of x as axis {x.ndim - batch.ndim + 1}",
            )
        use_input = self.training or self.running_mean is None
        factor = self.momentum or 0.0
        y = functional.instance_norm(
            batch, self.running_mean, self.running_var, self.weight, self.bias, use_input, factor, self.eps
        )
        return reshape(y, x.shape)


class InstanceNorm1d(InstanceNorm):
    """`functional.instance_norm` of (N, C, L) or (C, L); arguments and attributes as of `BatchNorm1d`.

    By default there are neither a weight and a bias nor running statistics.

    >>> import clearprop as cp
    >>> cp.nn.InstanceNorm1d(1)(cp.tensor([[[-5.0, 5.0]], [[10.0, 30.0]]]))
    Tensor([[[-1.,  1.]],
    <BLANKLINE>
            [[-1.,  1.]]], dtype=float32)
    """

    _axes = (2, 3)


class InstanceNorm2d(InstanceNorm):
    """`functional.instance_norm` of (N, C, H, W) or (C, H, W); arguments and attributes as of `BatchNorm1d`.

    >>> import clearprop as cp
    >>> cp.nn.InstanceNorm2d(2)(cp.ones((3, 2, 4, 4))).shape
    (3, 2, 4, 4)
    """

    _axes = (3, 4)


class InstanceNorm3d(InstanceNorm):
    """`functional.instance_norm` of (N, C, D, H, W) or (C, D, H, W); arguments and attributes as of `BatchNorm1d`.

    >>> import clearprop as cp
    >>> cp.nn.InstanceNorm3d(2)(cp.ones((3, 2, 4, 4, 4))).shape
    (3, 2, 4, 4, 4)
    """

    _axes = (4, 5)


class GroupNorm(Module):
    """See `functional.group_norm`: (N, C, …), whose channels are divided into groups.

    Args:
        num_groups: must divide ``num_channels``.
        num_channels: C.
        eps: added to the variance.
        affine: whether there are a weight and a bias.
        bias: False for a weight alone.
        dtype: float32 by default.

    Attributes:
        weight, bias: (C,), at first 1 and 0; or None.

    >>> import clearprop as cp
    >>> cp.nn.GroupNorm(2, 4, affine=False)(cp.tensor([[-5.0, 5.0, 10.0, 30.0]]))
    Tensor([[-1.,  1., -1.,  1.]], dtype=float32)
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        *,
        bias: bool = True,
        dtype: Any = None,
    ) -> None:
        check_sizes("GroupNorm", num_groups=num_groups, num_channels=num_channels)
        if num_groups < 1 or num_channels % num_groups:
            raise UsageError(
                f"GroupNorm: {num_channels} channels cannot be divided into {num_groups} groups",
                hint="num_groups must divide num_channels",
            )
        number("GroupNorm", "eps", eps, 0.0)
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.weight = Parameter(np.ones(num_channels, _floating(dtype))) if affine else None
        self.bias = Parameter(np.zeros(num_channels, _floating(dtype))) if affine and bias else None

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        _reset(self.weight, self.bias)

    def forward(self, x: Any) -> Tensor:
        """The same shape."""
        return functional.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Its arguments."""
        return f"{self.num_groups}, {self.num_channels}{_about(self.eps, 1e-5, self.weight, self.bias, 'affine')}"


class LayerNorm(Module):
    """See `functional.layer_norm`: over the last axes, for each example by itself.

    Args:
        normalized_shape: the lengths of the last axes.
        eps: added to the variance.
        elementwise_affine: whether there are a weight and a bias.
        bias: False for a weight alone.
        dtype: float32 by default.

    Attributes:
        weight, bias: of the shape ``normalized_shape``, at first 1 and 0; or None.

    >>> import clearprop as cp
    >>> cp.nn.LayerNorm(2, elementwise_affine=False)(cp.tensor([[-5.0, 5.0], [10.0, 30.0]]))
    Tensor([[-1.,  1.],
            [-1.,  1.]], dtype=float32)
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        dtype: Any = None,
    ) -> None:
        self.normalized_shape = _shape("LayerNorm", normalized_shape)
        number("LayerNorm", "eps", eps, 0.0)
        self.eps = eps
        kind = _floating(dtype)
        self.weight = Parameter(np.ones(self.normalized_shape, kind)) if elementwise_affine else None
        self.bias = Parameter(np.zeros(self.normalized_shape, kind)) if elementwise_affine and bias else None

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        _reset(self.weight, self.bias)

    def forward(self, x: Any) -> Tensor:
        """(…, *normalized_shape), the same shape."""
        return functional.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Its arguments."""
        return f"{self.normalized_shape}{_about(self.eps, 1e-5, self.weight, self.bias, 'elementwise_affine')}"


class RMSNorm(Module):
    """See `functional.rms_norm`: `LayerNorm` without a mean and without a bias.

    Args:
        normalized_shape: the lengths of the last axes.
        eps: added to the mean of the squares; None for the distance from 1 to the next number of the dtype of x.
        elementwise_affine: whether there is a weight.
        dtype: float32 by default.

    Attributes:
        weight: of the shape ``normalized_shape``, at first 1; or None.

    >>> import clearprop as cp
    >>> cp.nn.RMSNorm(4, elementwise_affine=False)(cp.tensor([3.0, 4.0, 0.0, 0.0]))
    Tensor([1.2, 1.6, 0. , 0. ], dtype=float32)
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        *,
        dtype: Any = None,
    ) -> None:
        self.normalized_shape = _shape("RMSNorm", normalized_shape)
        if eps is not None:
            number("RMSNorm", "eps", eps, 0.0)
        self.eps = eps
        self.weight = Parameter(np.ones(self.normalized_shape, _floating(dtype))) if elementwise_affine else None

    def reset_parameters(self) -> None:
        """Weight 1."""
        _reset(self.weight, None)

    def forward(self, x: Any) -> Tensor:
        """(…, *normalized_shape), the same shape."""
        return functional.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        """Its arguments."""
        return f"{self.normalized_shape}{_about(self.eps, None, self.weight, self.weight, 'elementwise_affine')}"


def _floating(dtype: Any) -> np.dtype[Any]:
    return np.dtype(np.float32) if dtype is None else to_numpy(dtype)


def _shape(name: str, normalized_shape: Any) -> tuple[int, ...]:
    is_one = isinstance(normalized_shape, str) or not isinstance(normalized_shape, Iterable)
    lengths: tuple[Any, ...] = (normalized_shape,) if is_one else tuple(normalized_shape)
    if not lengths:
        raise UsageError(
            f"{name}: normalized_shape={normalized_shape!r} names no axis",
            hint="the lengths of the last axes",
        )
    for length in lengths:
        check_sizes(name, normalized_shape=length)
    return lengths


def _reset(weight: Parameter | None, bias: Parameter | None) -> None:
    if weight is not None:
        init.ones_(weight)
    if bias is not None:
        init.zeros_(bias)


def _about(eps: float | None, usual: float | None, weight: Any, bias: Any, affine: str) -> str:
    """What a printed network says of arguments that are not the usual ones."""
    parts = [f"eps={eps}"] if eps != usual else []
    parts += [f"{affine}=False"] if weight is None else ["bias=False"] if bias is None else []
    return "".join(f", {part}" for part in parts)
