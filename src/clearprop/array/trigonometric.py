"""Trigonometric and hyperbolic functions, element by element.

Angles are in radians. Integers are cast to float32.
"""

from __future__ import annotations

from clearprop import primitives
from clearprop.array.promotion import ArrayLike, binary_float, unary_float
from clearprop.tensor import Tensor


def sin(x: ArrayLike, /) -> Tensor:
    """The sine, in radians.

    >>> import clearprop as cp
    >>> cp.sin([0.0, 1.0])
    Tensor([0.     , 0.84147], dtype=float32)
    """
    return unary_float(primitives.sin, x)


def cos(x: ArrayLike, /) -> Tensor:
    """The cosine, in radians.

    >>> import clearprop as cp
    >>> cp.cos([0.0, 1.0])
    Tensor([1.    , 0.5403], dtype=float32)
    """
    return unary_float(primitives.cos, x)


def tan(x: ArrayLike, /) -> Tensor:
    """The tangent, in radians.

    >>> import clearprop as cp
    >>> cp.tan([0.0, 1.0])
    Tensor([0.     , 1.55741], dtype=float32)
    """
    return unary_float(primitives.tan, x)


def asin(x: ArrayLike, /) -> Tensor:
    """The inverse of the sine; NaN outside [-1, 1].

    >>> import clearprop as cp
    >>> cp.asin([0.0, 1.0])
    Tensor([0.    , 1.5708], dtype=float32)
    """
    return unary_float(primitives.asin, x)


def acos(x: ArrayLike, /) -> Tensor:
    """The inverse of the cosine; NaN outside [-1, 1].

    >>> import clearprop as cp
    >>> cp.acos([1.0, 0.0])
    Tensor([0.    , 1.5708], dtype=float32)
    """
    return unary_float(primitives.acos, x)


def atan(x: ArrayLike, /) -> Tensor:
    """The inverse of the tangent.

    >>> import clearprop as cp
    >>> cp.atan([0.0, 1.0])
    Tensor([0.    , 0.7854], dtype=float32)
    """
    return unary_float(primitives.atan, x)


def atan2(x: ArrayLike, y: ArrayLike, /) -> Tensor:
    """The angle of the point with ordinate x and abscissa y.

    >>> import clearprop as cp
    >>> cp.atan2([0.0, 1.0], [1.0, 0.0])
    Tensor([0.    , 1.5708], dtype=float32)
    """
    return binary_float(primitives.atan2, x, y)


def sinh(x: ArrayLike, /) -> Tensor:
    """The hyperbolic sine.

    >>> import clearprop as cp
    >>> cp.sinh([0.0, 1.0])
    Tensor([0.    , 1.1752], dtype=float32)
    """
    return unary_float(primitives.sinh, x)


def cosh(x: ArrayLike, /) -> Tensor:
    """The hyperbolic cosine.

    >>> import clearprop as cp
    >>> cp.cosh([0.0, 1.0])
    Tensor([1.     , 1.54308], dtype=float32)
    """
    return unary_float(primitives.cosh, x)


def tanh(x: ArrayLike, /) -> Tensor:
    """The hyperbolic tangent.

    >>> import clearprop as cp
    >>> cp.tanh([0.0, 1.0])
    Tensor([0.     , 0.76159], dtype=float32)
    """
    return unary_float(primitives.tanh, x)


def asinh(x: ArrayLike, /) -> Tensor:
    """The inverse of the hyperbolic sine.

    >>> import clearprop as cp
    >>> cp.asinh([0.0, 1.0])
    Tensor([0.     , 0.88137], dtype=float32)
    """
    return unary_float(primitives.asinh, x)


def acosh(x: ArrayLike, /) -> Tensor:
    """The inverse of the hyperbolic cosine; NaN below 1.

    >>> import clearprop as cp
    >>> cp.acosh([1.0, 2.0])
    Tensor([0.     , 1.31696], dtype=float32)
    """
    return unary_float(primitives.acosh, x)


def atanh(x: ArrayLike, /) -> Tensor:
    """The inverse of the hyperbolic tangent; NaN outside [-1, 1].

    >>> import clearprop as cp
    >>> cp.atanh([0.0, 0.5])
    Tensor([0.     , 0.54931], dtype=float32)
    """
    return unary_float(primitives.atanh, x)
