"""The elementwise functions of the array namespace, under the names of the Python array API standard.

All take tensors, parameters, NumPy arrays, numbers or nested lists, and return tensors. Two arguments are promoted to
one dtype and broadcast to one shape. Functions that need real numbers cast integers to float32.
"""

from __future__ import annotations

from typing import Any

from clearprop import primitives
from clearprop.array.promotion import DEFAULT_FLOAT as _DEFAULT_FLOAT
from clearprop.array.promotion import (
    ArrayLike,
    as_float,
    binary,
    binary_float,
    cast_to,
    common_shape,
    expand,
    promoted,
    python_number,
    unary,
    unary_float,
)
from clearprop.errors import DTypeError
from clearprop.primitive import numpy_dtype
from clearprop.primitives.families import Elementwise
from clearprop.tensor import Tensor, as_tensor


def abs(x: ArrayLike) -> Tensor:
    """The absolute value of each element; its derivative at 0 is 0.

    >>> import clearprop as cp
    >>> cp.abs([-1.5, 2.0])
    Tensor([1.5, 2. ], dtype=float32)
    """
    return unary(primitives.absolute, x)


def negative(x: ArrayLike) -> Tensor:
    """Each element with the other sign.

    >>> import clearprop as cp
    >>> cp.negative([1.0, -2.0])
    Tensor([-1.,  2.], dtype=float32)
    """
    return unary(primitives.negative, x)


def sign(x: ArrayLike) -> Tensor:
    """-1, 0 or 1 by the sign of each element; not differentiable.

    >>> import clearprop as cp
    >>> cp.sign([-3.0, 0.0, 2.0])
    Tensor([-1.,  0.,  1.], dtype=float32)
    """
    return unary(primitives.sign, x)


def floor(x: ArrayLike) -> Tensor:
    """The largest integer that is at most each element; not differentiable.

    >>> import clearprop as cp
    >>> cp.floor([-1.5, 1.5])
    Tensor([-2.,  1.], dtype=float32)
    """
    return _rounded(primitives.floor, x)


def ceil(x: ArrayLike) -> Tensor:
    """The smallest integer that is at least each element; not differentiable.

    >>> import clearprop as cp
    >>> cp.ceil([-1.5, 1.5])
    Tensor([-1.,  2.], dtype=float32)
    """
    return _rounded(primitives.ceil, x)


def trunc(x: ArrayLike) -> Tensor:
    """Each element without its fraction; not differentiable.

    >>> import clearprop as cp
    >>> cp.trunc([-1.5, 1.5])
    Tensor([-1.,  1.], dtype=float32)
    """
    return _rounded(primitives.trunc, x)


def round(x: ArrayLike) -> Tensor:
    """The nearest integer, halves to the even one; not differentiable.

    >>> import clearprop as cp
    >>> cp.round([0.5, 1.5])
    Tensor([0., 2.], dtype=float32)
    """
    return _rounded(primitives.round_half_even, x)


def _rounded(primitive: Elementwise, x: ArrayLike) -> Tensor:
    """Round; integers, which NumPy 2.0 would make float64, are round already."""
    tensor = as_tensor(x)
    return tensor if numpy_dtype(tensor).kind in "iu" else unary(primitive, tensor)


def isnan(x: ArrayLike) -> Tensor:
    """Whether each element is not a number.

    >>> import clearprop as cp
    >>> cp.isnan([1.0, float('nan')])
    Tensor([False,  True], dtype=bool)
    """
    return unary(primitives.isnan, x)


def isinf(x: ArrayLike) -> Tensor:
    """Whether each element is infinite.

    >>> import clearprop as cp
    >>> cp.isinf([1.0, float('inf')])
    Tensor([False,  True], dtype=bool)
    """
    return unary(primitives.isinf, x)


def isfinite(x: ArrayLike) -> Tensor:
    """Whether each element is neither infinite nor NaN.

    >>> import clearprop as cp
    >>> cp.isfinite([1.0, float('inf')])
    Tensor([ True, False], dtype=bool)
    """
    return unary(primitives.isfinite, x)


def logical_not(x: ArrayLike) -> Tensor:
    """Not, of booleans.

    >>> import clearprop as cp
    >>> cp.logical_not([True, False])
    Tensor([False,  True], dtype=bool)
    """
    return unary(primitives.logical_not, x)


def exp(x: ArrayLike) -> Tensor:
    """e to the power of each element.

    >>> import clearprop as cp
    >>> cp.exp([0.0, 1.0])
    Tensor([1.     , 2.71828], dtype=float32)
    """
    return unary_float(primitives.exp, x)


def expm1(x: ArrayLike) -> Tensor:
    """exp(x) - 1, exact for small x too.

    >>> import clearprop as cp
    >>> cp.expm1([0.0, 1.0])
    Tensor([0.     , 1.71828], dtype=float32)
    """
    return unary_float(primitives.expm1, x)


def log(x: ArrayLike) -> Tensor:
    """The natural logarithm; -inf at 0 and NaN below.

    >>> import clearprop as cp
    >>> cp.log([1.0, 2.0])
    Tensor([0.     , 0.69315], dtype=float32)
    """
    return unary_float(primitives.log, x)


def log1p(x: ArrayLike) -> Tensor:
    """log(1 + x), exact for small x too.

    >>> import clearprop as cp
    >>> cp.log1p([0.0, 1.0])
    Tensor([0.     , 0.69315], dtype=float32)
    """
    return unary_float(primitives.log1p, x)


def log2(x: ArrayLike) -> Tensor:
    """The logarithm to base 2.

    >>> import clearprop as cp
    >>> cp.log2([1.0, 8.0])
    Tensor([0., 3.], dtype=float32)
    """
    return unary_float(primitives.log2, x)


def log10(x: ArrayLike) -> Tensor:
    """The logarithm to base 10.

    >>> import clearprop as cp
    >>> cp.log10([1.0, 100.0])
    Tensor([0., 2.], dtype=float32)
    """
    return unary_float(primitives.log10, x)


def sqrt(x: ArrayLike) -> Tensor:
    """The square root; NaN below 0.

    >>> import clearprop as cp
    >>> cp.sqrt([4.0, 9.0])
    Tensor([2., 3.], dtype=float32)
    """
    return unary_float(primitives.sqrt, x)


def erf(x: ArrayLike) -> Tensor:
    """The error function.

    >>> import clearprop as cp
    >>> cp.erf([0.0, 1.0])
    Tensor([0.    , 0.8427], dtype=float32)
    """
    return unary_float(primitives.erf, x)


def sin(x: ArrayLike) -> Tensor:
    """The sine, in radians.

    >>> import clearprop as cp
    >>> cp.sin([0.0, 1.0])
    Tensor([0.     , 0.84147], dtype=float32)
    """
    return unary_float(primitives.sin, x)


def cos(x: ArrayLike) -> Tensor:
    """The cosine, in radians.

    >>> import clearprop as cp
    >>> cp.cos([0.0, 1.0])
    Tensor([1.    , 0.5403], dtype=float32)
    """
    return unary_float(primitives.cos, x)


def tan(x: ArrayLike) -> Tensor:
    """The tangent, in radians.

    >>> import clearprop as cp
    >>> cp.tan([0.0, 1.0])
    Tensor([0.     , 1.55741], dtype=float32)
    """
    return unary_float(primitives.tan, x)


def asin(x: ArrayLike) -> Tensor:
    """The inverse of the sine; NaN outside [-1, 1].

    >>> import clearprop as cp
    >>> cp.asin([0.0, 1.0])
    Tensor([0.    , 1.5708], dtype=float32)
    """
    return unary_float(primitives.asin, x)


def acos(x: ArrayLike) -> Tensor:
    """The inverse of the cosine; NaN outside [-1, 1].

    >>> import clearprop as cp
    >>> cp.acos([1.0, 0.0])
    Tensor([0.    , 1.5708], dtype=float32)
    """
    return unary_float(primitives.acos, x)


def atan(x: ArrayLike) -> Tensor:
    """The inverse of the tangent.

    >>> import clearprop as cp
    >>> cp.atan([0.0, 1.0])
    Tensor([0.    , 0.7854], dtype=float32)
    """
    return unary_float(primitives.atan, x)


def sinh(x: ArrayLike) -> Tensor:
    """The hyperbolic sine.

    >>> import clearprop as cp
    >>> cp.sinh([0.0, 1.0])
    Tensor([0.    , 1.1752], dtype=float32)
    """
    return unary_float(primitives.sinh, x)


def cosh(x: ArrayLike) -> Tensor:
    """The hyperbolic cosine.

    >>> import clearprop as cp
    >>> cp.cosh([0.0, 1.0])
    Tensor([1.     , 1.54308], dtype=float32)
    """
    return unary_float(primitives.cosh, x)


def tanh(x: ArrayLike) -> Tensor:
    """The hyperbolic tangent.

    >>> import clearprop as cp
    >>> cp.tanh([0.0, 1.0])
    Tensor([0.     , 0.76159], dtype=float32)
    """
    return unary_float(primitives.tanh, x)


def asinh(x: ArrayLike) -> Tensor:
    """The inverse of the hyperbolic sine.

    >>> import clearprop as cp
    >>> cp.asinh([0.0, 1.0])
    Tensor([0.     , 0.88137], dtype=float32)
    """
    return unary_float(primitives.asinh, x)


def acosh(x: ArrayLike) -> Tensor:
    """The inverse of the hyperbolic cosine; NaN below 1.

    >>> import clearprop as cp
    >>> cp.acosh([1.0, 2.0])
    Tensor([0.     , 1.31696], dtype=float32)
    """
    return unary_float(primitives.acosh, x)


def atanh(x: ArrayLike) -> Tensor:
    """The inverse of the hyperbolic tangent; NaN outside [-1, 1].

    >>> import clearprop as cp
    >>> cp.atanh([0.0, 0.5])
    Tensor([0.     , 0.54931], dtype=float32)
    """
    return unary_float(primitives.atanh, x)


def add(x: ArrayLike, y: ArrayLike) -> Tensor:
    """x + y.

    >>> import clearprop as cp
    >>> cp.add([1.0, 2.0], 10.0)
    Tensor([11., 12.], dtype=float32)
    """
    return binary(primitives.add, x, y)


def subtract(x: ArrayLike, y: ArrayLike) -> Tensor:
    """x - y.

    >>> import clearprop as cp
    >>> cp.subtract([1.0, 2.0], 10.0)
    Tensor([-9., -8.], dtype=float32)
    """
    return binary(primitives.subtract, x, y)


def multiply(x: ArrayLike, y: ArrayLike) -> Tensor:
    """x * y.

    >>> import clearprop as cp
    >>> cp.multiply([1.0, 2.0], 10.0)
    Tensor([10., 20.], dtype=float32)
    """
    return binary(primitives.multiply, x, y)


def divide(x: ArrayLike, y: ArrayLike) -> Tensor:
    """x / y, in floating point.

    >>> import clearprop as cp
    >>> cp.divide([1.0, 2.0], 10.0)
    Tensor([0.1, 0.2], dtype=float32)
    """
    return binary_float(primitives.divide, x, y)


def floor_divide(x: ArrayLike, y: ArrayLike) -> Tensor:
    """x // y, rounded down; not differentiable.

    >>> import clearprop as cp
    >>> cp.floor_divide([7.0, -7.0], 2.0)
    Tensor([ 3., -4.], dtype=float32)
    """
    return binary(primitives.floor_divide, x, y)


def remainder(x: ArrayLike, y: ArrayLike) -> Tensor:
    """x % y, with the sign of y.

    >>> import clearprop as cp
    >>> cp.remainder([7.0, -7.0], 4.0)
    Tensor([3., 1.], dtype=float32)
    """
    return binary(primitives.remainder, x, y)


def maximum(x: ArrayLike, y: ArrayLike) -> Tensor:
    """The larger of the two; each gets half of the gradient at a tie; NaN if one is.

    >>> import clearprop as cp
    >>> cp.maximum([1.0, 2.0], 1.5)
    Tensor([1.5, 2. ], dtype=float32)
    """
    return binary(primitives.maximum, x, y)


def minimum(x: ArrayLike, y: ArrayLike) -> Tensor:
    """The smaller of the two; each gets half of the gradient at a tie; NaN if one is.

    >>> import clearprop as cp
    >>> cp.minimum([1.0, 2.0], 1.5)
    Tensor([1. , 1.5], dtype=float32)
    """
    return binary(primitives.minimum, x, y)


def logaddexp(x: ArrayLike, y: ArrayLike) -> Tensor:
    """log(exp(x) + exp(y)), without overflow.

    >>> import clearprop as cp
    >>> cp.logaddexp([0.0, 1000.0], [0.0, 0.0])
    Tensor([6.93147e-01, 1.00000e+03], dtype=float32)
    """
    return binary_float(primitives.logaddexp, x, y)


def atan2(x: ArrayLike, y: ArrayLike) -> Tensor:
    """The angle of the point with ordinate x and abscissa y.

    >>> import clearprop as cp
    >>> cp.atan2([0.0, 1.0], [1.0, 0.0])
    Tensor([0.    , 1.5708], dtype=float32)
    """
    return binary_float(primitives.atan2, x, y)


def equal(x: ArrayLike, y: ArrayLike) -> Tensor:
    """Whether x == y.

    >>> import clearprop as cp
    >>> cp.equal([1.0, 2.0], 2.0)
    Tensor([False,  True], dtype=bool)
    """
    return binary(primitives.equal, x, y)


def not_equal(x: ArrayLike, y: ArrayLike) -> Tensor:
    """Whether x != y.

    >>> import clearprop as cp
    >>> cp.not_equal([1.0, 2.0], 2.0)
    Tensor([ True, False], dtype=bool)
    """
    return binary(primitives.not_equal, x, y)


def less(x: ArrayLike, y: ArrayLike) -> Tensor:
    """Whether x < y.

    >>> import clearprop as cp
    >>> cp.less([1.0, 2.0], 2.0)
    Tensor([ True, False], dtype=bool)
    """
    return binary(primitives.less, x, y)


def less_equal(x: ArrayLike, y: ArrayLike) -> Tensor:
    """Whether x <= y.

    >>> import clearprop as cp
    >>> cp.less_equal([1.0, 2.0], 1.0)
    Tensor([ True, False], dtype=bool)
    """
    return binary(primitives.less_equal, x, y)


def greater(x: ArrayLike, y: ArrayLike) -> Tensor:
    """Whether x > y.

    >>> import clearprop as cp
    >>> cp.greater([1.0, 2.0], 1.0)
    Tensor([False,  True], dtype=bool)
    """
    return binary(primitives.greater, x, y)


def greater_equal(x: ArrayLike, y: ArrayLike) -> Tensor:
    """Whether x >= y.

    >>> import clearprop as cp
    >>> cp.greater_equal([1.0, 2.0], 2.0)
    Tensor([False,  True], dtype=bool)
    """
    return binary(primitives.greater_equal, x, y)


def logical_and(x: ArrayLike, y: ArrayLike) -> Tensor:
    """x and y, of booleans.

    >>> import clearprop as cp
    >>> cp.logical_and([True, False], [True, True])
    Tensor([ True, False], dtype=bool)
    """
    return binary(primitives.logical_and, x, y)


def logical_or(x: ArrayLike, y: ArrayLike) -> Tensor:
    """x or y, of booleans.

    >>> import clearprop as cp
    >>> cp.logical_or([True, False], [True, True])
    Tensor([ True,  True], dtype=bool)
    """
    return binary(primitives.logical_or, x, y)


def logical_xor(x: ArrayLike, y: ArrayLike) -> Tensor:
    """Either x or y, of booleans.

    >>> import clearprop as cp
    >>> cp.logical_xor([True, False], [True, True])
    Tensor([False,  True], dtype=bool)
    """
    return binary(primitives.logical_xor, x, y)


def reciprocal(x: ArrayLike) -> Tensor:
    """1 / x.

    >>> import clearprop as cp
    >>> cp.reciprocal([2.0, 4.0])
    Tensor([0.5 , 0.25], dtype=float32)
    """
    return divide(1.0, x)


def square(x: ArrayLike) -> Tensor:
    """x * x: in the graph a multiplication whose two inputs are one node, so that contributions add at the fan-out.

    >>> import clearprop as cp
    >>> cp.square([2.0, 3.0])
    Tensor([4., 9.], dtype=float32)
    """
    tensor = as_tensor(x)
    return multiply(tensor, tensor)


def pow(x: ArrayLike, y: ArrayLike) -> Tensor:
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


def where(condition: ArrayLike, x: ArrayLike, y: ArrayLike) -> Tensor:
    """x where the condition is true, y elsewhere; the gradient goes to the one that was taken.

    >>> import clearprop as cp
    >>> cp.where([True, False], [1.0, 2.0], 0.0)
    Tensor([1., 0.], dtype=float32)
    """
    c = as_tensor(condition)
    a, b = as_tensor(x), as_tensor(y)
    if isinstance(x, (int, float)) != isinstance(y, (int, float)):  # a Python number takes the other's dtype
        if isinstance(x, (int, float)):
            a = cast_to(a, _dtype_with(b, x))
        else:
            b = cast_to(b, _dtype_with(a, y))
    common = promoted(numpy_dtype(a), numpy_dtype(b))
    shape = common_shape("where", c, a, b)
    a, b = expand(cast_to(a, common), shape), expand(cast_to(b, common), shape)
    return primitives.where(expand(c, shape), a, b)


def _dtype_with(x: Tensor, number: ArrayLike) -> Any:
    dtype = numpy_dtype(x)
    return _DEFAULT_FLOAT if isinstance(number, float) and dtype.kind != "f" else dtype


def clip(x: ArrayLike, min: ArrayLike | None = None, max: ArrayLike | None = None) -> Tensor:
    """x, but not below ``min`` nor above ``max``, which broadcast. The gradient passes inside and on the bounds.

    >>> import clearprop as cp
    >>> cp.clip([-2.0, 0.5, 2.0], -1.0, 1.0)
    Tensor([-1. ,  0.5,  1. ], dtype=float32)
    """
    tensor, bounds = as_tensor(x), [bound for bound in (min, max) if bound is not None]
    if not all(isinstance(bound, (int, float)) for bound in bounds):
        lower = tensor if min is None else where(less(tensor, min), min, tensor)
        return lower if max is None else where(greater(lower, max), max, lower)
    if any(isinstance(bound, float) for bound in bounds):
        tensor = as_float(tensor)
    return primitives.clip(tensor, low=python_number(min), high=python_number(max)) if bounds else tensor


def stop_gradient(x: ArrayLike) -> Tensor:
    """x as a constant: no gradient flows through it.

    >>> import clearprop as cp
    >>> cp.grad(lambda x: x * cp.stop_gradient(x))(cp.tensor(3.0))
    Tensor(3., dtype=float32)
    """
    return primitives.stop_gradient(as_tensor(x))
