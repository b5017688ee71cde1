"""Dropout as modules: they know whether the network is being trained."""

from __future__ import annotations

from typing import Any

from clearprop import functional
from clearprop.errors import UsageError
from clearprop.nn.module import Module
from clearprop.random import Generator
from clearprop.tensor import Tensor


class Dropout(Module):
    """While training, zero each element with probability p and divide the others by 1 - p; see `functional.dropout`.

    Args:
        p: the share that is zeroed.
        generator: of the random numbers; by default the one that `clearprop.random.seed` seeds.

    >>> import clearprop as cp
    >>> layer = cp.nn.Dropout(0.5, generator=cp.random.Generator(0))
    >>> layer(cp.ones(4)), layer.eval()(cp.ones(4))
    (Tensor([2., 0., 0., 0.], dtype=float32), Tensor([1., 1., 1., 1.], dtype=float32))
    """

    def __init__(self, p: float = 0.5, *, generator: Generator | None = None) -> None:
        if not isinstance(p, (int, float)) or not 0.0 <= p <= 1.0:  # type: ignore[redundant-expr]
            raise UsageError(
                f"{type(self).__name__}: p={p!r} is no probability", hint="p between 0 and 1: the share that is zeroed"
            )
        self.p = p
        self.generator = generator

    def forward(self, x: Any) -> Tensor:
        """Element by element."""
        return functional.dropout(x, self.p, self.training, generator=self.generator)

    def extra_repr(self) -> str:
        """Its argument."""
        return f"p={self.p}"


class Dropout1d(Dropout):
    """`Dropout` of whole channels of (N, C, L) or (C, L); see `functional.dropout1d`.

    >>> import clearprop as cp
    >>> cp.nn.Dropout1d(0.2)(cp.ones((4, 2, 3))).shape
    (4, 2, 3)
    """

    def forward(self, x: Any) -> Tensor:
        """Channel by channel."""
        return functional.dropout1d(x, self.p, self.training, generator=self.generator)


class Dropout2d(Dropout):
    """`Dropout` of whole channels of (N, C, H, W) or (C, H, W); see `functional.dropout2d`.

    >>> import clearprop as cp
    >>> cp.nn.Dropout2d(0.2)(cp.ones((4, 2, 3, 3))).shape
    (4, 2, 3, 3)
    """

    def forward(self, x: Any) -> Tensor:
        """Channel by channel."""
        return functional.dropout2d(x, self.p, self.training, generator=self.generator)


class Dropout3d(Dropout):
    """`Dropout` of whole channels of (N, C, D, H, W) or (C, D, H, W); see `functional.dropout3d`.

    >>> import clearprop as cp
    >>> cp.nn.Dropout3d(0.2)(cp.ones((4, 2, 3, 3, 3))).shape
    (4, 2, 3, 3, 3)
    """

    def forward(self, x: Any) -> Tensor:
        """Channel by channel."""
        return functional.dropout3d(x, self.p, self.training, generator=self.generator)


class AlphaDropout(Dropout):
    """`Dropout` for networks of `SELU`: it keeps mean 0 and variance 1; see `functional.alpha_dropout`.

    >>> import clearprop as cp
    >>> cp.nn.AlphaDropout(0.2).eval()(cp.ones(3))
    Tensor([1., 1., 1.], dtype=float32)
    """

    def forward(self, x: Any) -> Tensor:
        """Element by element."""
        return functional.alpha_dropout(x, self.p, self.training, generator=self.generator)
