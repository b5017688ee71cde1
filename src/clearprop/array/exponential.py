"""Exponentials, logarithms, powers and roots, element by element.

Integers are cast to float32, but for `pow`, which has whole powers of whole numbers.
"""

from __future__ import annotations

from clearprop import primitives
from clearprop.array.arithmetic import square
from clearprop.array.promotion import ArrayLike, binary, binary_float, unary_float
from clearprop.errors import DTypeError
from clearprop.primitive import numpy_dtype
from clearprop.tensor import Tensor, as_tensor


def exp(x: ArrayLike, /) -> Tensor:
    """e to the power of each element.

    >>> import clearprop as cp
    >>> cp.exp([0.0, 1.0])
    Tensor([1.     , 2.71828], dtype=float32)
    """
    return unary_float(primitives.exp, x)


def expm1(x: ArrayLike, /) -> Tensor:
    """exp(x) - 1, exact for small x too.

    >>> import clearprop as cp
    >>> cp.expm1([0.0, 1.0])
    Tensor([0.     , 1.71828], dtype=float32)
    """
    return unary_float(primitives.expm1, x)


def log(x: ArrayLike, /) -> Tensor:
    """The natural logarithm; -inf at 0 and NaN below.

    >>> import clearprop as cp
    >>> cp.log([1.0, 2.0])
    Tensor([0.     , 0.69315], dtype=float32)
    """
    return unary_float(primitives.log, x)


def log1p(x: ArrayLike, /) -> Tensor:
    """log(1 + x), exact for small x too.

    >>> import clearprop as cp
    >>> cp.log1p([0.0, 1.0])
    Tensor([0.     , 0.69315], dtype=float32)
    """
    return unary_float(primitives.log1p, x)


def log2(x: ArrayLike, /) -> Tensor:
    """The logarithm to base 2.

    >>> import clearprop as cp
    >>> cp.log2([1.0, 8.0])
    Tensor([0., 3.], dtype=float32)
    """
    return unary_float(primitives.log2, x)


def log10(x: ArrayLike, /) -> Tensor:
    """The logarithm to base 10.

    >>> import clearprop as cp
    >>> cp.log10([1.0, 100.0])
    Tensor([0., 2.], dtype=float32)
    """
    return unary_float(primitives.log10, x)


def logaddexp(x: ArrayLike, y: ArrayLike, /) -> Tensor:
    """log(exp(x) + exp(y)), without overflow.

    >>> import clearprop as cp
    >>> cp.logaddexp([0.0, 1000.0], [0.0, 0.0])
    Tensor([6.93147e-01, 1.00000e+03], dtype=float32)
    """
    return binary_float(primitives.logaddexp, x, y)


def sqrt(x: ArrayLike, /) -> Tensor:
    """The square root; NaN below 0.

    >>> import clearprop as cp
    >>> cp.sqrt([4.0, 9.0])
    Tensor([2., 3.], dtype=float32)
    """
    return unary_float(primitives.sqrt, x)


def pow(x: ArrayLike, y: ArrayLike, /) -> Tensor:
    """x ** y. Squares and square roots, written as Python numbers, become a multiplication and `sqrt`.

    Raises:
        DTypeError: for integers to a negative power.

    >>> import clearprop as cp
    >>> cp.pow([2.0, 3.0], 3)
    Tensor([ 8., 27.], dtype=float32)
    """
    if isinstance(y, (int, float)):
        if y == 2:
            return square(x)
        if y == 0.5:
            return sqrt(x)
        tensor = as_tensor(x)
        if y < 0 and numpy_dtype(tensor).kind != "f":
            raise DTypeError(f"pow: integers to the power {y}", hint="x.astype(cp.float32) ** y")
        return binary(primitives.power, tensor, y)
    return binary(primitives.power, x, y)


def hypot(x: ArrayLike, y: ArrayLike, /) -> Tensor:
    """The length of the vector (x, y), without overflow of the squares; its derivative at the origin is 0.

    >>> import clearprop as cp
    >>> cp.hypot([3.0, 5.0], [4.0, 12.0])
    Tensor([ 5., 13.], dtype=float32)
    """
    return binary_float(primitives.hypot, x, y)


def erf(x: ArrayLike, /) -> Tensor:
    """The error function.

    >>> import clearprop as cp
    >>> cp.erf([0.0, 1.0])
    Tensor([0.    , 0.8427], dtype=float32)
    """
    return unary_float(primitives.erf, x)
