"""Arithmetic, element by element, and choosing between values.

All functions take tensors, parameters, NumPy arrays, numbers or nested lists, and return tensors. Two arguments are
promoted to one dtype and broadcast to one shape.
"""

from __future__ import annotations

from collections.abc import Callable

from clearprop import primitives
from clearprop.array.logic import greater, isnan, less, logical_or, signbit
from clearprop.array.promotion import (
    ArrayLike,
    as_float,
    as_pair,
    binary,
    binary_float,
    common_shape,
    expand,
    python_number,
    unary,
)
from clearprop.primitive import numpy_dtype, spec_of
from clearprop.primitives.families import NUMBERS, check_kind
from clearprop.tensor import Tensor, as_tensor


def add(x: ArrayLike, y: ArrayLike, /) -> Tensor:
    """x + y.

    >>> import clearprop as cp
    >>> cp.add([1.0, 2.0], 10.0)
    Tensor([11., 12.], dtype=float32)
    """
    return binary(primitives.add, x, y)


def subtract(x: ArrayLike, y: ArrayLike, /) -> Tensor:
    """x - y.

    >>> import clearprop as cp
    >>> cp.subtract([1.0, 2.0], 10.0)
    Tensor([-9., -8.], dtype=float32)
    """
    return binary(primitives.subtract, x, y)


def multiply(x: ArrayLike, y: ArrayLike, /) -> Tensor:
    """x * y.

    >>> import clearprop as cp
    >>> cp.multiply([1.0, 2.0], 10.0)
    Tensor([10., 20.], dtype=float32)
    """
    return binary(primitives.multiply, x, y)


def divide(x: ArrayLike, y: ArrayLike, /) -> Tensor:
    """x / y, in floating point.

    >>> import clearprop as cp
    >>> cp.divide([1.0, 2.0], 10.0)
    Tensor([0.1, 0.2], dtype=float32)
    """
    return binary_float(primitives.divide, x, y)


def floor_divide(x: ArrayLike, y: ArrayLike, /) -> Tensor:
    """x // y, rounded down; not differentiable.

    >>> import clearprop as cp
    >>> cp.floor_divide([7.0, -7.0], 2.0)
    Tensor([ 3., -4.], dtype=float32)
    """
    return binary(primitives.floor_divide, x, y)


def remainder(x: ArrayLike, y: ArrayLike, /) -> Tensor:
    """x % y, with the sign of y.

    >>> import clearprop as cp
    >>> cp.remainder([7.0, -7.0], 4.0)
    Tensor([3., 1.], dtype=float32)
    """
    return binary(primitives.remainder, x, y)


def negative(x: ArrayLike, /) -> Tensor:
    """Each element with the other sign.

    >>> import clearprop as cp
    >>> cp.negative([1.0, -2.0])
    Tensor([-1.,  2.], dtype=float32)
    """
    return unary(primitives.negative, x)


def positive(x: ArrayLike, /) -> Tensor:
    """Each element as it is; also ``+x``.

    >>> import clearprop as cp
    >>> cp.positive([1.0, -2.0])
    Tensor([ 1., -2.], dtype=float32)
    """
    tensor = as_tensor(x)
    check_kind("positive", NUMBERS, x=spec_of(tensor))
    return tensor


def abs(x: ArrayLike, /) -> Tensor:
    """The absolute value of each element; its derivative at 0 is 0.

    >>> import clearprop as cp
    >>> cp.abs([-1.5, 2.0])
    Tensor([1.5, 2. ], dtype=float32)
    """
    return unary(primitives.absolute, x)


def sign(x: ArrayLike, /) -> Tensor:
    """-1, 0 or 1 by the sign of each element; not differentiable.

    >>> import clearprop as cp
    >>> cp.sign([-3.0, 0.0, 2.0])
    Tensor([-1.,  0.,  1.], dtype=float32)
    """
    return unary(primitives.sign, x)


def reciprocal(x: ArrayLike, /) -> Tensor:
    """1 / x.

    >>> import clearprop as cp
    >>> cp.reciprocal([2.0, 4.0])
    Tensor([0.5 , 0.25], dtype=float32)
    """
    return divide(1.0, x)


def square(x: ArrayLike, /) -> Tensor:
    """x * x: in the graph a multiplication whose two inputs are one node, so that contributions add at the fan-out.

    >>> import clearprop as cp
    >>> cp.square([2.0, 3.0])
    Tensor([4., 9.], dtype=float32)
    """
    tensor = as_tensor(x)
    return multiply(tensor, tensor)


def maximum(x: ArrayLike, y: ArrayLike, /) -> Tensor:
    """The larger of the two; each gets half of the gradient at a tie; NaN if one is.

    >>> import clearprop as cp
    >>> cp.maximum([1.0, 2.0], 1.5)
    Tensor([1.5, 2. ], dtype=float32)
    """
    return binary(primitives.maximum, x, y)


def minimum(x: ArrayLike, y: ArrayLike, /) -> Tensor:
    """The smaller of the two; each gets half of the gradient at a tie; NaN if one is.

    >>> import clearprop as cp
    >>> cp.minimum([1.0, 2.0], 1.5)
    Tensor([1. , 1.5], dtype=float32)
    """
    return binary(primitives.minimum, x, y)


def copysign(x: ArrayLike, y: ArrayLike, /) -> Tensor:
    """The absolute value of x with the sign of y, also of -0.0. As of `abs`, the derivative at x = 0 is 0.

    >>> import clearprop as cp
    >>> cp.copysign([1.0, -2.0], [-0.0, 3.0])
    Tensor([-1.,  2.], dtype=float32)
    """
    sizes, signs = as_pair(x, y)
    size = abs(as_float(sizes))
    return where(signbit(signs), negative(size), size)


def where(condition: ArrayLike, x: ArrayLike, y: ArrayLike, /) -> Tensor:
    """x where the condition is true, y elsewhere; the gradient goes to the one that was taken.

    >>> import clearprop as cp
    >>> cp.where([True, False], [1.0, 2.0], 0.0)
    Tensor([1., 0.], dtype=float32)
    """
    c, (a, b) = as_tensor(condition), as_pair(x, y)
    shape = common_shape("where", c, a, b)
    return primitives.where(expand(c, shape), expand(a, shape), expand(b, shape))


def clip(x: ArrayLike, /, min: ArrayLike | None = None, max: ArrayLike | None = None) -> Tensor:
    """x, but not below ``min`` nor above ``max``, which broadcast; NaN where one of them is.

    The gradient of x passes inside and on the bounds.

    >>> import clearprop as cp
    >>> cp.clip([-2.0, 0.5, 2.0], -1.0, 1.0)
    Tensor([-1. ,  0.5,  1. ], dtype=float32)
    """
    tensor, bounds = as_tensor(x), [bound for bound in (min, max) if bound is not None]
    if not all(isinstance(bound, (int, float)) for bound in bounds):
        lower = tensor if min is None else _bounded(less, tensor, min)
        return lower if max is None else _bounded(greater, lower, max)
    if any(isinstance(bound, float) for bound in bounds):
        tensor = as_float(tensor)
    return primitives.clip(tensor, low=python_number(min), high=python_number(max)) if bounds else tensor


def _bounded(is_outside: Callable[[Tensor, Tensor], Tensor], x: Tensor, bound: ArrayLike) -> Tensor:
    """The bound where x is outside of it, or where the bound is NaN; x elsewhere."""
    x, limit = as_pair(x, bound)
    outside = is_outside(x, limit)
    if numpy_dtype(limit).kind == "f":
        outside = logical_or(outside, isnan(limit))
    return where(outside, limit, x)
