"""Layers that multiply by a matrix, and those that only pass on or reshape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from clearprop import functional
from clearprop.array import arange, reshape
from clearprop.array.promotion import normalize_axis, whole_numbers
from clearprop.cell import Parameter
from clearprop.dtypes import to_numpy
from clearprop.errors import ShapeError, UsageError
from clearprop.nn import init
from clearprop.nn.module import Module
from clearprop.random import Generator
from clearprop.tensor import Tensor, as_tensor


class Linear(Module):
    """y = x @ W + b.

    Args:
        in_features, out_features: lengths of the last axis of x and y.
        bias: False for y = x @ W.
        dtype: of the parameters; float32 by default.
        generator: of their first values, which are uniform in ±1/√in_features, as PyTorch's are.

    Attributes:
        weight: (in_features, out_features): transposed, compared with PyTorch.
        bias: (out_features,), or None.

    >>> import clearprop as cp
    >>> layer = cp.nn.Linear(2, 3)
    >>> layer(cp.ones((5, 2))).shape
    (5, 3)
    """

    torch_transposes = ("weight",)

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        dtype: Any = None,
        generator: Generator | None = None,
    ) -> None:
        check_sizes("Linear", in_features=in_features, out_features=out_features)
        self.in_features = in_features
        self.out_features = out_features
        kind = np.dtype(np.float32) if dtype is None else to_numpy(dtype)
        self.weight = Parameter(np.empty((in_features, out_features), kind))
        self.bias = Parameter(np.empty(out_features, kind)) if bias else None
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw the first values again."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5.0), generator=generator)  # which is ±1/√in_features
        if self.bias is not None:
            bound = 1.0 / math.sqrt(self.in_features) if self.in_features else 0.0
            init.uniform_(self.bias, -bound, bound, generator)

    def forward(self, x: Any) -> Tensor:
        """(…, in_features) -> (…, out_features)."""
        return functional.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        """Its arguments."""
        return f"{self.in_features}, {self.out_features}{'' if self.bias is not None else ', bias=False'}"


class Maxout(Module):
    """The largest of several linear functions of the input, for each output (Goodfellow et al. 2013).

    Args:
        in_features, out_features: lengths of the last axis of x and y.
        pieces: how many linear functions each output chooses from.

    Attributes:
        linear: a `Linear` with out_features * pieces outputs; the pieces of one output are neighbours.

    >>> import clearprop as cp
    >>> cp.nn.Maxout(4, 3, pieces=2)(cp.ones((5, 4))).shape
    (5, 3)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        pieces: int = 2,
        bias: bool = True,
        *,
        dtype: Any = None,
        generator: Generator | None = None,
    ) -> None:
        check_sizes("Maxout", in_features=in_features, out_features=out_features, pieces=pieces)
        self.pieces = pieces
        self.linear = Linear(in_features, out_features * pieces, bias, dtype=dtype, generator=generator)

    def forward(self, x: Any) -> Tensor:
        """(…, in_features) -> (…, out_features)."""
        return functional.maxout(self.linear(x), self.pieces)

    def extra_repr(self) -> str:
        """Its arguments."""
        return f"{self.linear.in_features}, {self.linear.out_features // self.pieces}, pieces={self.pieces}"


class Identity(Module):
    """y = x.

    >>> import clearprop as cp
    >>> cp.nn.Identity()(cp.ones(2))
    Tensor([1., 1.], dtype=float32)
    """

    def forward(self, x: Any) -> Any:
        """X itself."""
        return x


class Flatten(Module):
    """The axes from ``start_dim`` to ``end_dim`` as one: (N, C, H, W) -> (N, C H W).

    >>> import clearprop as cp
    >>> cp.nn.Flatten()(cp.ones((5, 1, 28, 28))).shape
    (5, 784)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, x: Any) -> Tensor:
        """The same elements in fewer axes.

        Raises:
            ShapeError: if x has no such axes, or the first comes after the last.
        """
        tensor = as_tensor(x)
        start, end = (normalize_axis(axis, tensor.ndim, "Flatten") for axis in (self.start_dim, self.end_dim))
        if start > end:
            raise ShapeError(
                f"Flatten: start_dim={start} comes after end_dim={end} (x has shape {tensor.shape})",
                hint=f"nn.Flatten({end}, {start})",
            )
        joined = math.prod(tensor.shape[start : end + 1])
        return reshape(tensor, (*tensor.shape[:start], joined, *tensor.shape[end + 1 :]))

    def extra_repr(self) -> str:
        """Its arguments, if they are not the usual ones."""
        settings = {"start_dim": (self.start_dim, 1), "end_dim": (self.end_dim, -1)}
        return ", ".join(f"{label}={value}" for label, (value, usual) in settings.items() if value != usual)


class Unflatten(Module):
    """One axis as several: the opposite of `Flatten`. One of the lengths may be -1 and follows from the others.

    >>> import clearprop as cp
    >>> cp.nn.Unflatten(1, (8, 7, 7))(cp.ones((5, 392))).shape
    (5, 8, 7, 7)
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        self.dim = dim
        self.unflattened_size = whole_numbers(unflattened_size, "Unflatten", "unflattened_size")

    def forward(self, x: Any) -> Tensor:
        """The same elements in more axes.

        Raises:
            ShapeError: if they are not as many.
        """
        tensor = as_tensor(x)
        axis = normalize_axis(self.dim, tensor.ndim, "Unflatten")
        lengths = _lengths(tensor.shape, axis, self.unflattened_size)
        return reshape(tensor, (*tensor.shape[:axis], *lengths, *tensor.shape[axis + 1 :]))

    def extra_repr(self) -> str:
        """Its arguments."""
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


def _lengths(shape: tuple[int, ...], axis: int, size: tuple[int, ...]) -> tuple[int, ...]:
    """What an axis is divided into, -1 filled in; ShapeError if its elements do not fit."""
    try:
        return reshape(arange(shape[axis]), size).shape
    except ShapeError:
        raise ShapeError(
            f"Unflatten: axis {axis} of x, of shape {shape}, does not fit into {size}: it has {shape[axis]} elements",
            hint="lengths whose product that is; one of them may be -1",
        ) from None


def check_sizes(name: str, **sizes: Any) -> None:
    """Raise UsageError unless all are whole numbers from 1 on (a layer without inputs may have 0 of them)."""
    for label, size in sizes.items():
        if not isinstance(size, (int, np.integer)) or isinstance(size, bool) or size < (label == "pieces"):
            raise UsageError(f"{name}: {label}={size!r}", hint="a whole number, such as 64")
