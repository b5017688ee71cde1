"""Activation functions that are straight lines joined at corners: cheap, and without a gradient where they are flat.

Names, arguments and defaults are PyTorch's, and so are the derivatives at the corners. Where a function is flat, its
value is taken as a constant: nothing is recorded for it.
"""

from __future__ import annotations

from clearprop.arguments import number
from clearprop.array import (
    add,
    clip,
    divide,
    greater,
    greater_equal,
    less,
    less_equal,
    logical_and,
    multiply,
    stop_gradient,
    subtract,
    where,
)
from clearprop.array.promotion import ArrayLike, as_float
from clearprop.errors import UsageError
from clearprop.tensor import Tensor


def hardtanh(x: ArrayLike, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """x between the two bounds, the bounds beyond; the derivative on them is 0 (Collobert 2004).

    Raises:
        UsageError: if ``min_val`` is larger than ``max_val``.

    >>> import clearprop.functional as F
    >>> F.hardtanh([-2.0, 0.5, 2.0])
    Tensor([-1. ,  0.5,  1. ], dtype=float32)
    """
    low = number("hardtanh", "min_val", min_val, infinite=True)
    high = number("hardtanh", "max_val", max_val, infinite=True)
    if low > high:
        raise UsageError(
            f"hardtanh: min_val={min_val} is larger than max_val={max_val}", hint=f"hardtanh(x, {max_val}, {min_val})"
        )
    x = as_float(x)
    inside = logical_and(greater(x, low), less(x, high))
    return where(inside, x, clip(stop_gradient(x), low, high))


def relu6(x: ArrayLike) -> Tensor:
    """min(max(0, x), 6); the derivative at 0 and at 6 is 0 (Krizhevsky 2010).

    >>> import clearprop.functional as F
    >>> F.relu6([-1.0, 2.0, 8.0])
    Tensor([0., 2., 6.], dtype=float32)
    """
    return hardtanh(x, 0.0, 6.0)


def hardsigmoid(x: ArrayLike) -> Tensor:
    """x / 6 + 1/2 between -3 and 3, 0 below and 1 above (Howard et al. 2019, section 5.2).

    >>> import clearprop.functional as F
    >>> F.hardsigmoid([-4.0, 0.0, 1.5])
    Tensor([0.  , 0.5 , 0.75], dtype=float32)
    """
    return divide(relu6(add(as_float(x), 3.0)), 6.0)


def hardswish(x: ArrayLike) -> Tensor:
    """x times `hardsigmoid` of x, which is close to silu (Howard et al. 2019, equation 7).

    >>> import clearprop.functional as F
    >>> F.hardswish([-4.0, 1.5, 4.0])
    Tensor([-0.   ,  1.125,  4.   ], dtype=float32)
    """
    x = as_float(x)
    return multiply(x, hardsigmoid(x))


def hardshrink(x: ArrayLike, lambd: float = 0.5) -> Tensor:
    """0 for x between -lambd and lambd, x beyond.

    >>> import clearprop.functional as F
    >>> F.hardshrink([-1.0, 0.25, 1.0])
    Tensor([-1.,  0.,  1.], dtype=float32)
    """
    x, bound = as_float(x), number("hardshrink", "lambd", lambd)
    return where(logical_and(greater_equal(x, -bound), less_equal(x, bound)), 0.0, x)


def softshrink(x: ArrayLike, lambd: float = 0.5) -> Tensor:
    """0 for x between -lambd and lambd, beyond x moved by lambd towards 0 (Donoho 1995).

    Raises:
        UsageError: if ``lambd`` is negative.

    >>> import clearprop.functional as F
    >>> F.softshrink([-1.0, 0.25, 1.0])
    Tensor([-0.5,  0. ,  0.5], dtype=float32)
    """
    x, bound = as_float(x), number("softshrink", "lambd", lambd, 0.0)
    return subtract(x, clip(x, -bound, bound))


def threshold(x: ArrayLike, threshold: float, value: float) -> Tensor:
    """x above the threshold, ``value`` elsewhere.

    >>> import clearprop.functional as F
    >>> F.threshold([0.0, 1.0, 2.0], 1.0, -5.0)
    Tensor([-5., -5.,  2.], dtype=float32)
    """
    x, bound = as_float(x), number("threshold", "threshold", threshold, infinite=True)
    return where(less_equal(x, bound), number("threshold", "value", value, infinite=True), x)
