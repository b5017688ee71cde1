"""Layers that multiply by a matrix, and those that only pass on or reshape."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from clearprop import functional
from clearprop.array import flatten
from clearprop.dtypes import to_numpy
from clearprop.errors import UsageError
from clearprop.nn import init
from clearprop.nn.module import Module
from clearprop.random import Generator
from clearprop.tensor import Parameter, Tensor


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
    """y = x."""

    def forward(self, x: Any) -> Any:
        """X itself."""
        return x


class Flatten(Module):
    """All axes from ``start_dim`` on as one: (N, C, H, W) -> (N, C H W).

    >>> import clearprop as cp
    >>> cp.nn.Flatten()(cp.ones((5, 1, 28, 28))).shape
    (5, 784)
    """

    def __init__(self, start_dim: int = 1) -> None:
        self.start_dim = start_dim

    def forward(self, x: Any) -> Tensor:
        """The same elements in fewer axes."""
        return flatten(x, self.start_dim)

    def extra_repr(self) -> str:
        """Its argument, if it is not the usual one."""
        return "" if self.start_dim == 1 else f"start_dim={self.start_dim}"


def check_sizes(name: str, **sizes: Any) -> None:
    """Raise UsageError unless all are whole numbers from 1 on (a layer without inputs may have 0 of them)."""
    for label, size in sizes.items():
        if not isinstance(size, (int, np.integer)) or isinstance(size, bool) or size < (label == "pieces"):
            raise UsageError(f"{name}: {label}={size!r}", hint="a whole number, such as 64")
