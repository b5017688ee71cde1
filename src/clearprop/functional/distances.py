"""Lengths of vectors, the distance and the angle between two of them. Names, arguments and defaults are PyTorch's."""

from __future__ import annotations

import math

from clearprop.arguments import number
from clearprop.array import (
    abs,
    add,
    clip,
    divide,
    max,
    multiply,
    not_equal,
    pow,
    sqrt,
    subtract,
    sum,
    where,
)
from clearprop.array.promotion import ArrayLike, as_float, cast_to, common_shape, normalize_axis
from clearprop.primitive import numpy_dtype
from clearprop.tensor import Tensor


def normalize(x: ArrayLike, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """Vectors along an axis divided by their length, so that it becomes 1; a vector of zeros stays what it is.

    Args:
        x: of any shape that has the axis ``dim``.
        p: which length, (Σ |x|^p)^(1/p); ``math.inf`` for the largest absolute value.
        eps: lengths are at least this.

    >>> import clearprop.functional as F
    >>> F.normalize([[3.0, 4.0], [0.0, 0.0]])
    Tensor([[0.6, 0.8],
            [0. , 0. ]], dtype=float32)
    """
    return _unit("normalize", as_float(x), p, dim, eps)


def cosine_similarity(x1: ArrayLike, x2: ArrayLike, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between vectors along an axis: x1·x2 / (|x1| |x2|).

    Args:
        x1, x2: of shapes that broadcast.
        eps: lengths are at least this.

    Returns:
        The common shape without the axis ``dim``.

    >>> import clearprop.functional as F
    >>> F.cosine_similarity([[1.0, 0.0], [1.0, 0.0]], [[2.0, 0.0], [1.0, 1.0]])
    Tensor([1.     , 0.70711], dtype=float32)
    """
    x, y = (_unit("cosine_similarity", as_float(one), 2.0, dim, eps) for one in (x1, x2))
    common_shape("cosine_similarity", x, y)
    return sum(multiply(x, y), axis=dim)


def pairwise_distance(x1: ArrayLike, x2: ArrayLike, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """The length of x1 - x2 + eps along the last axis.

    Args:
        x1, x2: of shapes that broadcast, (N, D) or (D,).
        p: which length, see `normalize`.
        eps: added to each difference, so that there is a gradient where vectors are equal.

    >>> import clearprop.functional as F
    >>> F.pairwise_distance([[3.0, 0.0]], [[0.0, 4.0]])
    Tensor([5.], dtype=float32)
    """
    x, y, name = as_float(x1), as_float(x2), "pairwise_distance"
    common_shape(name, x, y)
    differences = add(subtract(x, y), number(name, "eps", eps))
    return vector_norm(name, differences, _order(name, p), -1, keepdims=keepdim)


def _unit(name: str, x: Tensor, p: float, dim: int, eps: float) -> Tensor:
    length = vector_norm(name, x, _order(name, p), dim, keepdims=True)
    return divide(x, clip(length, min=number(name, "eps", eps, 0.0)))


def _order(name: str, p: float) -> float:
    """The p of a length."""
    return number(name, "p", p, 0.0, infinite=True)


def vector_norm(name: str, x: Tensor, p: float, dim: int, *, keepdims: bool = False) -> Tensor:
    """The length (Σ |x|^p)^(1/p) along an axis. Its gradient at a vector of zeros, where there is none, is 0.

    Args:
        name: of the operation, for errors.
        p: 2, 1, ``math.inf`` for the largest absolute value, 0 for how many are not zero, or another power.
    """
    at = normalize_axis(dim, x.ndim, name)
    if p == 2.0:
        return _root(sum(multiply(x, x), axis=at, keepdims=keepdims), 2.0)
    if p == 1.0:
        return sum(abs(x), axis=at, keepdims=keepdims)
    if p == math.inf:
        return max(abs(x), axis=at, keepdims=keepdims)
    some = not_equal(x, 0.0)
    if p == 0.0:
        return sum(cast_to(some, numpy_dtype(x)), axis=at, keepdims=keepdims)
    powers = where(some, pow(where(some, abs(x), 1.0), p), 0.0)  # 0 ** (p - 1) may be infinite
    return _root(sum(powers, axis=at, keepdims=keepdims), p)


def _root(x: Tensor, p: float) -> Tensor:
    """The p-th root of numbers that are not negative; its slope at 0, where it is infinite, is taken as 0."""
    some = not_equal(x, 0.0)
    bounded = where(some, x, 1.0)
    return where(some, sqrt(bounded) if p == 2.0 else pow(bounded, 1.0 / p), 0.0)
