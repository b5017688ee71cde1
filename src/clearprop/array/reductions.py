"""Reductions: the statistical, searching and utility functions of the array API standard."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from clearprop import primitives
from clearprop.arguments import number
from clearprop.array.promotion import (
    DEFAULT_INT,
    ArrayLike,
    as_float,
    binary,
    cast_to,
    normalize_axes,
)
from clearprop.dtypes import to_numpy
from clearprop.primitive import Primitive, numpy_dtype, spec_of
from clearprop.primitives.families import NUMBERS, check_kind
from clearprop.tensor import Tensor, as_tensor

Axis: TypeAlias = int | Sequence[int] | None


def _reduce(primitive: Primitive, x: Tensor, axis: Axis, keepdims: bool) -> Tensor:
    axes = normalize_axes(axis, x.ndim, primitive.name)
    result: Tensor = primitive(x, axes=axes)
    if not keepdims:
        return result
    shape = tuple(1 if i in axes else length for i, length in enumerate(x.shape))
    return primitives.reshape(result, shape=shape)


def widened(x: ArrayLike, dtype: Any) -> Tensor:
    """For sums and products: small integers and booleans are added up in int64 (unsigned ones in uint64)."""
    tensor = as_tensor(x)
    if dtype is not None:
        return cast_to(tensor, to_numpy(dtype))
    kind = numpy_dtype(tensor).kind
    return tensor if kind == "f" else cast_to(tensor, np.dtype(np.uint64) if kind == "u" else DEFAULT_INT)


def _numbers(name: str, x: ArrayLike) -> Tensor:
    """A tensor of numbers; DTypeError for booleans."""
    tensor = as_tensor(x)
    check_kind(name, NUMBERS, x=spec_of(tensor))
    return tensor


def sum(x: ArrayLike, /, axis: Axis = None, *, dtype: Any = None, keepdims: bool = False) -> Tensor:
    """The sum along one axis, several, or all.

    >>> import clearprop as cp
    >>> cp.sum([[1.0, 2.0], [3.0, 4.0]], axis=0)
    Tensor([4., 6.], dtype=float32)
    """
    return _reduce(primitives.sum_, widened(x, dtype), axis, keepdims)


def prod(x: ArrayLike, /, axis: Axis = None, *, dtype: Any = None, keepdims: bool = False) -> Tensor:
    """The product along one axis, several, or all; its gradient is right where factors are zero.

    >>> import clearprop as cp
    >>> cp.prod([1.0, 2.0, 3.0])
    Tensor(6., dtype=float32)
    """
    return _reduce(primitives.prod, widened(x, dtype), axis, keepdims)


def mean(x: ArrayLike, /, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """The mean along one axis, several, or all; NaN of nothing.

    >>> import clearprop as cp
    >>> cp.mean([[1.0, 2.0], [3.0, 4.0]], axis=1)
    Tensor([1.5, 3.5], dtype=float32)
    """
    tensor = as_float(x)
    return primitives.divide(_reduce(primitives.sum_, tensor, axis, keepdims), _count(tensor, axis, "mean"))


def _count(x: Tensor, axis: Axis, name: str) -> float:
    """How many elements of x go into one of a result."""
    count = 1
    for one in normalize_axes(axis, x.ndim, name):
        count *= x.shape[one]
    return float(count)


def var(x: ArrayLike, /, axis: Axis = None, *, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """The variance along one axis, several, or all: the mean squared distance from the mean.

    Args:
        x: the numbers.
        axis: the axes to go along; all by default.
        correction: the sum of squares is divided by the count less this number: 1.0 for the unbiased estimate from a
            sample (Bessel's correction).
        keepdims: keep the axes, with length 1.

    >>> import clearprop as cp
    >>> cp.var([1.0, 2.0, 3.0, 4.0]), cp.var([1.0, 2.0, 3.0, 4.0], correction=1.0)
    (Tensor(1.25, dtype=float32), Tensor(1.66667, dtype=float32))
    """
    tensor, correction = as_float(x), number("var", "correction", correction)
    centred = binary(primitives.subtract, tensor, mean(tensor, axis, keepdims=True))
    total = sum(binary(primitives.multiply, centred, centred), axis, keepdims=keepdims)
    freedom = _count(tensor, axis, "var") - correction
    return primitives.divide(total, freedom if freedom > 0.0 else math.nan)


def std(x: ArrayLike, /, axis: Axis = None, *, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """The standard deviation: the square root of the variance, see `var`. Where it is 0, at a kink, its gradient is 0.

    >>> import clearprop as cp
    >>> cp.std([1.0, 2.0, 3.0, 4.0])
    Tensor(1.11803, dtype=float32)
    """
    variance = var(x, axis, correction=correction, keepdims=keepdims)
    at_kink = primitives.equal(variance, 0.0)
    return primitives.where(at_kink, 0.0, primitives.sqrt(primitives.where(at_kink, 1.0, variance)))


def max(x: ArrayLike, /, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """The largest element along one axis, several, or all. Equal ones share the gradient; NaN if there is one.

    >>> import clearprop as cp
    >>> cp.max([[1.0, 2.0], [4.0, 3.0]], axis=1)
    Tensor([2., 4.], dtype=float32)
    """
    return _reduce(primitives.max_, _numbers("max", x), axis, keepdims)


def min(x: ArrayLike, /, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """The smallest element along one axis, several, or all. Equal ones share the gradient; NaN if there is one.

    >>> import clearprop as cp
    >>> cp.min([[1.0, 2.0], [4.0, 3.0]], axis=1)
    Tensor([1., 3.], dtype=float32)
    """
    return _reduce(primitives.min_, _numbers("min", x), axis, keepdims)


def logsumexp(x: ArrayLike, /, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """The logarithm of the sum of exp(x), without overflow; its gradient is the softmax of x.

    >>> import clearprop as cp
    >>> cp.logsumexp([1000.0, 1000.0])
    Tensor(1000.6932, dtype=float32)
    """
    return _reduce(primitives.logsumexp, as_float(x), axis, keepdims)


def all(x: ArrayLike, /, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """Whether all elements are true (not zero).

    >>> import clearprop as cp
    >>> cp.all([True, False])
    Tensor(False, dtype=bool)
    """
    return _reduce(primitives.all_, cast_to(as_tensor(x), np.dtype(np.bool_)), axis, keepdims)


def any(x: ArrayLike, /, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """Whether any element is true (not zero).

    >>> import clearprop as cp
    >>> cp.any([True, False])
    Tensor(True, dtype=bool)
    """
    return _reduce(primitives.any_, cast_to(as_tensor(x), np.dtype(np.bool_)), axis, keepdims)


def argmax(x: ArrayLike, /, axis: int | None = None, *, keepdims: bool = False) -> Tensor:
    """The position of the largest element, the first of several; of the flattened tensor for ``axis=None``.

    >>> import clearprop as cp
    >>> cp.argmax([[1.0, 2.0], [4.0, 3.0]], axis=1)
    Tensor([1, 0], dtype=int64)
    """
    return _find(primitives.argmax, _numbers("argmax", x), axis, keepdims)


def argmin(x: ArrayLike, /, axis: int | None = None, *, keepdims: bool = False) -> Tensor:
    """The position of the smallest element, the first of several; of the flattened tensor for ``axis=None``.

    >>> import clearprop as cp
    >>> cp.argmin([[1.0, 2.0], [4.0, 3.0]], axis=1)
    Tensor([0, 1], dtype=int64)
    """
    return _find(primitives.argmin, _numbers("argmin", x), axis, keepdims)


def _find(primitive: Primitive, x: Tensor, axis: int | None, keepdims: bool) -> Tensor:
    if axis is not None:
        return _reduce(primitive, x, axis, keepdims)
    flat = _reduce(primitive, primitives.reshape(x, shape=(x.size,)), 0, False)
    return primitives.reshape(flat, shape=(1,) * x.ndim) if keepdims else flat
