"""Comparisons, logic, and what kind of number an element is: all give booleans, and none has gradients.

Two arguments are promoted to one dtype and broadcast to one shape. The logical functions take booleans only.
"""

from __future__ import annotations

from clearprop import primitives
from clearprop.array.promotion import ArrayLike, binary, unary, unary_float
from clearprop.tensor import Tensor


def equal(x: ArrayLike, y: ArrayLike, /) -> Tensor:
    """Whether x == y.

    >>> import clearprop as cp
    >>> cp.equal([1.0, 2.0], 2.0)
    Tensor([False,  True], dtype=bool)
    """
    return binary(primitives.equal, x, y)


def not_equal(x: ArrayLike, y: ArrayLike, /) -> Tensor:
    """Whether x != y.

    >>> import clearprop as cp
    >>> cp.not_equal([1.0, 2.0], 2.0)
    Tensor([ True, False], dtype=bool)
    """
    return binary(primitives.not_equal, x, y)


def less(x: ArrayLike, y: ArrayLike, /) -> Tensor:
    """Whether x < y.

    >>> import clearprop as cp
    >>> cp.less([1.0, 2.0], 2.0)
    Tensor([ True, False], dtype=bool)
    """
    return binary(primitives.less, x, y)


def less_equal(x: ArrayLike, y: ArrayLike, /) -> Tensor:
    """Whether x <= y.

    >>> import clearprop as cp
    >>> cp.less_equal([1.0, 2.0], 1.0)
    Tensor([ True, False], dtype=bool)
    """
    return binary(primitives.less_equal, x, y)


def greater(x: ArrayLike, y: ArrayLike, /) -> Tensor:
    """Whether x > y.

    >>> import clearprop as cp
    >>> cp.greater([1.0, 2.0], 1.0)
    Tensor([False,  True], dtype=bool)
    """
    return binary(primitives.greater, x, y)


def greater_equal(x: ArrayLike, y: ArrayLike, /) -> Tensor:
    """Whether x >= y.

    >>> import clearprop as cp
    >>> cp.greater_equal([1.0, 2.0], 2.0)
    Tensor([False,  True], dtype=bool)
    """
    return binary(primitives.greater_equal, x, y)


def isnan(x: ArrayLike, /) -> Tensor:
    """Whether each element is not a number.

    >>> import clearprop as cp
    >>> cp.isnan([1.0, float('nan')])
    Tensor([False,  True], dtype=bool)
    """
    return unary(primitives.isnan, x)


def isinf(x: ArrayLike, /) -> Tensor:
    """Whether each element is infinite.

    >>> import clearprop as cp
    >>> cp.isinf([1.0, float('inf')])
    Tensor([False,  True], dtype=bool)
    """
    return unary(primitives.isinf, x)


def isfinite(x: ArrayLike, /) -> Tensor:
    """Whether each element is neither infinite nor NaN.

    >>> import clearprop as cp
    >>> cp.isfinite([1.0, float('inf')])
    Tensor([ True, False], dtype=bool)
    """
    return unary(primitives.isfinite, x)


def signbit(x: ArrayLike, /) -> Tensor:
    """Whether the sign of each element is negative: of -0.0 too.

    >>> import clearprop as cp
    >>> cp.signbit([-1.0, -0.0, 0.0])
    Tensor([ True,  True, False], dtype=bool)
    """
    return unary_float(primitives.signbit, x)


def logical_and(x: ArrayLike, y: ArrayLike, /) -> Tensor:
    """x and y, of booleans.

    >>> import clearprop as cp
    >>> cp.logical_and([True, False], [True, True])
    Tensor([ True, False], dtype=bool)
    """
    return binary(primitives.logical_and, x, y)


def logical_or(x: ArrayLike, y: ArrayLike, /) -> Tensor:
    """x or y, of booleans.

    >>> import clearprop as cp
    >>> cp.logical_or([True, False], [True, True])
    Tensor([ True,  True], dtype=bool)
    """
    return binary(primitives.logical_or, x, y)


def logical_xor(x: ArrayLike, y: ArrayLike, /) -> Tensor:
    """Either x or y, of booleans.

    >>> import clearprop as cp
    >>> cp.logical_xor([True, False], [True, True])
    Tensor([False,  True], dtype=bool)
    """
    return binary(primitives.logical_xor, x, y)


def logical_not(x: ArrayLike, /) -> Tensor:
    """Not, of booleans.

    >>> import clearprop as cp
    >>> cp.logical_not([True, False])
    Tensor([False,  True], dtype=bool)
    """
    return unary(primitives.logical_not, x)
