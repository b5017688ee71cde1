"""Normalization as modules: weight and bias are parameters, running statistics are buffers; see `functional`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from clearprop import functional
from clearprop.array import add, astype, divide
from clearprop.dtypes import to_numpy
from clearprop.errors import ShapeError, UsageError
from clearprop.nn import init
from clearprop.nn.linear import check_sizes
from clearprop.nn.module import Module
from clearprop.tensor import Buffer, Parameter, Tensor, as_tensor


class _Channels(Module):
    """What has statistics, a weight and a bias for each channel (axis 1).

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
    """

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
        kind = np.dtype(np.float32) if dtype is None else to_numpy(dtype)
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

    def _checked(self, x: Any) -> Tensor:
        tensor = as_tensor(x)
        if tensor.ndim not in self._axes:
            wanted = " or ".join(map(str, self._axes))
            hint = f"nn.{type(self).__name__[:-2]}{tensor.ndim - 2}d" if tensor.ndim in (3, 4, 5) else ""
            raise ShapeError(f"{type(self).__name__}: x has shape {tensor.shape}; it must have {wanted} axes", hint=hint)
        return tensor

    def _factor(self) -> float | Tensor:
        """The momentum of this batch; it counts as one more."""
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.assign(add(self.num_batches_tracked, 1))
        if self.momentum is not None:
            return self.momentum
        return 0.0 if self.num_batches_tracked is None else divide(1.0, astype(self.num_batches_tracked, np.float64))

    def extra_repr(self) -> str:
        """Its arguments, as far as they are not the usual ones."""
        usual = type(self)(1)
        names = ("eps", "momentum", "affine", "track_running_stats")
        changed = [f"{name}={getattr(self, name)}" for name in names if getattr(self, name) != getattr(usual, name)]
        without_bias = ["bias=False"] if self.affine and self.bias is None else []
        return ", ".join([str(self.num_features), *changed, *without_bias])


class BatchNorm1d(_Channels):
    """See `functional.batch_norm`: (N, C) or (N, C, L). In evaluation it uses the running statistics.

    >>> import clearprop as cp
    >>> layer = cp.nn.BatchNorm1d(2)
    >>> layer(cp.tensor([[-5.0, 10.0], [5.0, 30.0]])), layer.running_mean.value
    (Tensor([[-1., -1.],
            [ 1.,  1.]], dtype=float32, node=add), Tensor([0., 2.], dtype=float32))
    """

    __doc__ = f"{__doc__}\n{_Channels.__doc__}"
    _axes = (2, 3)

    def forward(self, x: Any) -> Tensor:
        """The same shape."""
        x = self._checked(x)
        factor = self._factor() if self.training and self.track_running_stats else 0.0
        use_batch = self.training or self.running_mean is None
        return functional.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, use_batch, factor, self.eps
        )


class BatchNorm2d(BatchNorm1d):
    """`BatchNorm1d` of images, (N, C, H, W)."""

    _axes = (4,)


class BatchNorm3d(BatchNorm1d):
    """`BatchNorm1d` of volumes, (N, C, D, H, W)."""

    _axes = (5,)
