"""Distances and angles between vectors as modules; see `functional`."""

from __future__ import annotations

from typing import Any

from clearprop import functional
from clearprop.nn.module import Module
from clearprop.tensor import Tensor


class CosineSimilarity(Module):
    """See `functional.cosine_similarity`.

    >>> import clearprop as cp
    >>> cp.nn.CosineSimilarity()(cp.tensor([[1.0, 0.0]]), cp.tensor([[1.0, 1.0]]))
    Tensor([0.70711], dtype=float32)
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        self.dim = dim
        self.eps = eps

    def forward(self, x1: Any, x2: Any) -> Tensor:
        """Two whose shapes broadcast -> that shape without ``dim``."""
        return functional.cosine_similarity(x1, x2, self.dim, self.eps)

    def extra_repr(self) -> str:
        """Its argument."""
        return f"dim={self.dim}"


class PairwiseDistance(Module):
    """See `functional.pairwise_distance`.

    >>> import clearprop as cp
    >>> cp.nn.PairwiseDistance()(cp.tensor([[3.0, 0.0]]), cp.tensor([[0.0, 4.0]]))
    Tensor([5.], dtype=float32)
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        self.p = p
        self.eps = eps
        self.keepdim = keepdim

    def forward(self, x1: Any, x2: Any) -> Tensor:
        """Two of the shape (N, D) -> (N,)."""
        return functional.pairwise_distance(x1, x2, self.p, self.eps, self.keepdim)

    def extra_repr(self) -> str:
        """Its argument."""
        return f"p={self.p}"
