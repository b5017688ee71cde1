"""Reductions: the statistical, searching and utility functions of the array API standard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from clearprop import primitives
from clearprop.array.promotion import (
    DEFAULT_INT,
    ArrayLike,
    as_float,
    cast_to,
    normalize_axes,
    normalize_axis,
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


def _wide(x: ArrayLike, dtype: Any) -> Tensor:
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


def sum(x: ArrayLike, axis: Axis = None, *, dtype: Any = None, keepdims: bool = False) -> Tensor:
    """The sum along one axis, several, or all.

    >>> import clearprop as cp
    >>> cp.sum([[1.0, 2.0], [3.0, 4.0]], axis=0)
    Tensor([4., 6.], dtype=float32)
    """
    return _reduce(primitives.sum_, _wide(x, dtype), axis, keepdims)


def prod(x: ArrayLike, axis: Axis = None, *, dtype: Any = None, keepdims: bool = False) -> Tensor:
    """The product along one axis, several, or all; its gradient is right where factors are zero.

    >>> import clearprop as cp
    >>> cp.prod([1.0, 2.0, 3.0])
    Tensor(6., dtype=float32)
    """
    return _reduce(primitives.prod, _wide(x, dtype), axis, keepdims)


def mean(x: ArrayLike, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """The mean along one axis, several, or all; NaN of nothing.

    >>> import clearprop as cp
    >>> cp.mean([[1.0, 2.0], [3.0, 4.0]], axis=1)
    Tensor([1.5, 3.5], dtype=float32)
    """
    tensor = as_float(x)
    count = 1
    for one in normalize_axes(axis, tensor.ndim, "mean"):
        count *= tensor.shape[one]
    return primitives.divide(_reduce(primitives.sum_, tensor, axis, keepdims), float(count))


def max(x: ArrayLike, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """The largest element along one axis, several, or all. Equal ones share the gradient; NaN if there is one.

    >>> import clearprop as cp
    >>> cp.max([[1.0, 2.0], [4.0, 3.0]], axis=1)
    Tensor([2., 4.], dtype=float32)
    """
    return _reduce(primitives.max_, _numbers("max", x), axis, keepdims)


def min(x: ArrayLike, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """The smallest element along one axis, several, or all. Equal ones share the gradient; NaN if there is one.

    >>> import clearprop as cp
    >>> cp.min([[1.0, 2.0], [4.0, 3.0]], axis=1)
    Tensor([1., 3.], dtype=float32)
    """
    return _reduce(primitives.min_, _numbers("min", x), axis, keepdims)


def logsumexp(x: ArrayLike, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """The logarithm of the sum of exp(x), without overflow; its gradient is the softmax of x.

    >>> import clearprop as cp
    >>> cp.logsumexp([1000.0, 1000.0])
    Tensor(1000.6932, dtype=float32)
    """
    return _reduce(primitives.logsumexp, as_float(x), axis, keepdims)


def all(x: ArrayLike, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """Whether all elements are true (not zero).

    >>> import clearprop as cp
    >>> cp.all([True, False])
    Tensor(False, dtype=bool)
    """
    return _reduce(primitives.all_, cast_to(as_tensor(x), np.dtype(np.bool_)), axis, keepdims)


def any(x: ArrayLike, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """Whether any element is true (not zero).

    >>> import clearprop as cp
    >>> cp.any([True, False])
    Tensor(True, dtype=bool)
    """
    return _reduce(primitives.any_, cast_to(as_tensor(x), np.dtype(np.bool_)), axis, keepdims)


def argmax(x: ArrayLike, axis: int | None = None, *, keepdims: bool = False) -> Tensor:
    """The position of the largest element, the first of several; of the flattened tensor for ``axis=None``.

    >>> import clearprop as cp
    >>> cp.argmax([[1.0, 2.0], [4.0, 3.0]], axis=1)
    Tensor([1, 0], dtype=int64)
    """
    return _find(primitives.argmax, _numbers("argmax", x), axis, keepdims)


def argmin(x: ArrayLike, axis: int | None = None, *, keepdims: bool = False) -> Tensor:
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


def cumulative_sum(x: ArrayLike, *, axis: int | None = None, dtype: Any = None) -> Tensor:
    """Running sums along an axis, which may be left out for a vector.

    >>> import clearprop as cp
    >>> cp.cumulative_sum([1.0, 2.0, 3.0])
    Tensor([1., 3., 6.], dtype=float32)
    """
    tensor = _wide(x, dtype)
    at = normalize_axis(0 if axis is None and tensor.ndim == 1 else -tensor.ndim - 1 if axis is None else axis,
                        tensor.ndim, "cumulative_sum")  # fmt: skip
    return primitives.cumulative_sum(tensor, axis=at, reverse=False)
