"""Where in a sequence an element stands, as modules: what is added to the elements, or done to queries and keys."""

from __future__ import annotations

from typing import Any

import numpy as np

from clearprop import functional
from clearprop.array import add, expand_dims
from clearprop.cell import Parameter
from clearprop.dtypes import to_numpy
from clearprop.errors import DTypeError, ShapeError
from clearprop.functional.positions import check_even
from clearprop.nn import init
from clearprop.nn.linear import check_sizes
from clearprop.nn.module import Module
from clearprop.primitive import numpy_dtype
from clearprop.random import Generator
from clearprop.tensor import Tensor, as_tensor


class SinusoidalPositions(Module):
    """Adds waves of many lengths, see `functional.sinusoidal_positions`; nothing is learned, any length will do.

    Args:
        dim: length of the elements; an even number.
        base: the waves are from 2π to nearly 2π base long.
        batch_first: True for (N, T, dim) instead of (T, N, dim).

    >>> import clearprop as cp
    >>> cp.nn.SinusoidalPositions(4)(cp.zeros((2, 1, 4)))[1]
    Tensor([[0.84147, 0.5403 , 0.01   , 0.99995]], dtype=float32)
    """

    def __init__(self, dim: int, base: float = 10000.0, *, batch_first: bool = False) -> None:
        check_even("SinusoidalPositions", dim)
        self.dim = dim
        self.base = base
        self.batch_first = batch_first

    def forward(self, x: Any) -> Tensor:
        """(T, N, dim), (N, T, dim) with ``batch_first``, or (T, dim) -> the same shape."""
        x = as_tensor(x)
        steps = _steps("SinusoidalPositions", x, self.dim, self.batch_first)
        waves = functional.sinusoidal_positions(steps, self.dim, self.base, dtype=numpy_dtype(x))
        return _added(x, waves, self.batch_first)

    def extra_repr(self) -> str:
        """Its arguments, as far as they are not the usual ones."""
        return f"{self.dim}" + (f", base={self.base}" if self.base != 10000.0 else "") + _first(self.batch_first)


class LearnedPositions(Module):
    """Adds a vector of its own to each place of a sequence (Gehring et al. 2017).

    Args:
        max_length: how many places there are.
        dim: length of the elements.
        batch_first: True for (N, T, dim) instead of (T, N, dim).
        dtype: of the parameters; float32 by default.
        generator: of their first values, which are normal with standard deviation 0.02 (Radford et al. 2018).

    Attributes:
        weight: (max_length, dim).

    >>> import clearprop as cp
    >>> cp.nn.LearnedPositions(16, 4)(cp.zeros((7, 5, 4))).shape
    (7, 5, 4)
    """

    def __init__(
        self,
        max_length: int,
        dim: int,
        *,
        batch_first: bool = False,
        dtype: Any = None,
        generator: Generator | None = None,
    ) -> None:
        check_sizes("LearnedPositions", max_length=max_length, dim=dim)
        self.batch_first = batch_first
        self.weight = Parameter(np.empty((max_length, dim), np.float32 if dtype is None else to_numpy(dtype)))
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw the first values again."""
        init.normal_(self.weight, std=0.02, generator=generator)

    def forward(self, x: Any) -> Tensor:
        """(T, N, dim), (N, T, dim) with ``batch_first``, or (T, dim) -> the same shape."""
        x = as_tensor(x)
        longest, dim = self.weight.shape
        steps = _steps("LearnedPositions", x, dim, self.batch_first)
        if steps > longest:
            raise ShapeError(
                f"LearnedPositions: x has shape {x.shape}, {steps} steps; there are positions for {longest}",
                hint=f"nn.LearnedPositions({steps}, {dim}), or shorter sequences",
            )
        return _added(x, self.weight[:steps], self.batch_first)

    def extra_repr(self) -> str:
        """Its arguments."""
        return ", ".join(map(str, self.weight.shape)) + _first(self.batch_first)


class RotaryPositions(Module):
    """Turns queries and keys by angles that grow with the position, see `functional.rotary`.

    ``nn.MultiheadAttention(…, rotary=nn.RotaryPositions())`` does so in each head.

    Args:
        base: the slowest pair of columns turns nearly base times as slowly as the first.
        interleaved: whether columns 2i and 2i + 1 are a pair, as in the paper, instead of i and i + dim / 2.

    >>> import clearprop as cp
    >>> cp.nn.RotaryPositions()(cp.asarray([[1.0, 0.0], [1.0, 0.0]]))
    Tensor([[1.     , 0.     ],
            [0.5403 , 0.84147]], dtype=float32)
    """

    def __init__(self, base: float = 10000.0, interleaved: bool = False) -> None:
        self.base = base
        self.interleaved = interleaved

    def forward(self, x: Any, positions: Any = None) -> Tensor:
        """(…, L, dim) -> the same shape; positions (L,), by default 0, 1, …."""
        return functional.rotary(x, positions, self.base, self.interleaved)

    def extra_repr(self) -> str:
        """Its arguments, as far as they are not the usual ones."""
        return f"base={self.base}" + (", interleaved=True" if self.interleaved else "")


def _steps(name: str, x: Tensor, dim: int, batch_first: bool) -> int:
    """The length of the sequences."""
    if x.ndim not in (2, 3) or x.shape[-1] != dim:
        layout = f"(N, T, {dim})" if batch_first else f"(T, N, {dim})"
        raise ShapeError(
            f"{name}: x has shape {x.shape}; it must be {layout}, or (T, {dim})",
            hint=f"dim={x.shape[-1]} for this x" if x.ndim in (2, 3) else "an axis of positions, and one of features",
        )
    if numpy_dtype(x).kind != "f":
        raise DTypeError(
            f"{name}: x is {x.dtype.name}; it takes floating-point numbers", hint="nn.Embedding for tokens"
        )
    return x.shape[1 if batch_first and x.ndim == 3 else 0]


def _added(x: Tensor, positions: Tensor, batch_first: bool) -> Tensor:
    """The positions, (T, dim), added to every sequence."""
    return add(x, positions if batch_first or x.ndim == 2 else expand_dims(positions, 1))


def _first(batch_first: bool) -> str:
    return ", batch_first=True" if batch_first else ""
