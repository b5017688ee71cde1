"""Rounding, and the neighbours of a number: element by element, and without gradients.

Integers are round already and stay as they are.
"""

from __future__ import annotations

from clearprop import primitives
from clearprop.array.promotion import ArrayLike, binary_float, unary
from clearprop.primitive import numpy_dtype
from clearprop.primitives.families import Elementwise
from clearprop.tensor import Tensor, as_tensor


def floor(x: ArrayLike, /) -> Tensor:
    """The largest integer that is at most each element; not differentiable.

    >>> import clearprop as cp
    >>> cp.floor([-1.5, 1.5])
    Tensor([-2.,  1.], dtype=float32)
    """
    return _rounded(primitives.floor, x)


def ceil(x: ArrayLike, /) -> Tensor:
    """The smallest integer that is at least each element; not differentiable.

    >>> import clearprop as cp
    >>> cp.ceil([-1.5, 1.5])
    Tensor([-1.,  2.], dtype=float32)
    """
    return _rounded(primitives.ceil, x)


def trunc(x: ArrayLike, /) -> Tensor:
    """Each element without its fraction; not differentiable.

    >>> import clearprop as cp
    >>> cp.trunc([-1.5, 1.5])
    Tensor([-1.,  1.], dtype=float32)
    """
    return _rounded(primitives.trunc, x)


def round(x: ArrayLike, /) -> Tensor:
    """The nearest integer, halves to the even one; not differentiable.

    >>> import clearprop as cp
    >>> cp.round([0.5, 1.5])
    Tensor([0., 2.], dtype=float32)
    """
    return _rounded(primitives.round_half_even, x)


def nextafter(x: ArrayLike, y: ArrayLike, /) -> Tensor:
    """The next number after x, among those of its type, in the direction of y; not differentiable.

    >>> import clearprop as cp
    >>> (cp.nextafter(1.0, cp.tensor(2.0)) - 1.0).item() == 2.0**-23
    True
    """
    return binary_float(primitives.nextafter, x, y)


def _rounded(primitive: Elementwise, x: ArrayLike) -> Tensor:
    """Round; integers, which NumPy 2.0 would make float64, are round already."""
    tensor = as_tensor(x)
    return tensor if numpy_dtype(tensor).kind in "iu" else unary(primitive, tensor)
