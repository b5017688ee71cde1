"""The activation functions, element by element but for `maxout`, `glu` and the softmaxes.

Names, arguments and defaults are PyTorch's, and so are the derivatives at the kinks. Every function takes and returns
a tensor of any shape; integers are cast to float32. Where a formula would overflow on the side that is not taken, its
argument is bounded first: a gradient of 0 times an infinite slope would be NaN.
"""

from __future__ import annotations

import math

from clearprop import primitives
from clearprop.arguments import is_whole, number, one_of
from clearprop.array import (
    abs,
    add,
    clip,
    divide,
    erf,
    exp,
    expm1,
    greater,
    logaddexp,
    logsumexp,
    max,
    multiply,
    negative,
    reshape,
    split,
    subtract,
    sum,
    where,
)
from clearprop.array import tanh as tanh
from clearprop.array.promotion import ArrayLike, as_float, normalize_axis
from clearprop.errors import ShapeError, UsageError
from clearprop.tensor import Tensor

SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805
"""With these the mean 0 and the variance 1 are a fixed point (Klambauer et al. 2017, equation 14)."""


def sigmoid(x: ArrayLike) -> Tensor:
    """1 / (1 + e^-x), the logistic function: its derivative σ(1 - σ) is at most 1/4, and vanishes where it saturates.

    >>> import clearprop.functional as F
    >>> F.sigmoid([-1.0, 0.0, 1.0])
    Tensor([0.26894, 0.5    , 0.73106], dtype=float32)
    """
    return primitives.sigmoid(as_float(x))


def relu(x: ArrayLike) -> Tensor:
    """max(0, x); the derivative at 0 is 0 (Nair and Hinton 2010).

    >>> import clearprop.functional as F
    >>> F.relu([-1.0, 0.0, 2.0])
    Tensor([0., 0., 2.], dtype=float32)
    """
    return primitives.relu(as_float(x))


def leaky_relu(x: ArrayLike, negative_slope: float = 0.01) -> Tensor:
    """x above 0, ``negative_slope`` times x below, and at 0 the derivative from below (Maas, Hannun, Ng 2013).

    >>> import clearprop.functional as F
    >>> F.leaky_relu([-1.0, 2.0])
    Tensor([-0.01,  2.  ], dtype=float32)
    """
    x = as_float(x)
    return where(greater(x, 0.0), x, multiply(x, number("leaky_relu", "negative_slope", negative_slope)))


def prelu(x: ArrayLike, weight: ArrayLike) -> Tensor:
    """`leaky_relu` whose slope is learned (He, Zhang, Ren, Sun 2015, equation 1).

    Args:
        x: of any shape; with more than one slope (N, C, …), or (C,).
        weight: the slope for all, shape (1,), or one for each channel, shape (C,).

    Raises:
        ShapeError: if there is not one slope, nor one for each channel.

    >>> import clearprop.functional as F
    >>> F.prelu([[-1.0, -1.0], [2.0, -4.0]], [0.25, 0.5])
    Tensor([[-0.25, -0.5 ],
            [ 2.  , -2.  ]], dtype=float32)
    """
    x, slopes = as_float(x), as_float(weight)
    axis = 1 if x.ndim > 1 else 0
    if slopes.ndim > 1 or (slopes.size != 1 and (x.ndim == 0 or slopes.shape[0] != x.shape[axis])):
        raise ShapeError(
            f"prelu: x has shape {x.shape}, weight has shape {slopes.shape}",
            hint="weight of shape (1,), or (C,) for x of shape (N, C, …)",
        )
    if slopes.size == 1:
        slopes = reshape(slopes, ())
    elif x.ndim > 2:
        slopes = reshape(slopes, (-1, *(1,) * (x.ndim - 2)))
    return where(greater(x, 0.0), x, multiply(x, slopes))


def maxout(x: ArrayLike, pieces: int, dim: int = -1) -> Tensor:
    """The largest of each group of ``pieces`` neighbours along an axis (Goodfellow et al. 2013, equation 1).

    (…, K * pieces, …) -> (…, K, …). Of linear functions of the input it makes a convex, piecewise linear one.
    Equal ones share the gradient.

    Raises:
        ShapeError: if the length of the axis is no multiple of ``pieces``.

    >>> import clearprop.functional as F
    >>> F.maxout([1.0, 5.0, -2.0, -3.0], 2)
    Tensor([ 5., -2.], dtype=float32)
    """
    x = as_float(x)
    at = normalize_axis(dim, x.ndim, "maxout")
    if not is_whole(pieces) or pieces < 1 or x.shape[at] % pieces:
        raise ShapeError(
            f"maxout: axis {at} of x (shape {x.shape}) cannot be divided into groups of {pieces}",
            hint="give the layer before it out * pieces outputs",
        )
    return max(reshape(x, (*x.shape[:at], x.shape[at] // pieces, pieces, *x.shape[at + 1 :])), axis=at + 1)


def elu(x: ArrayLike, alpha: float = 1.0) -> Tensor:
    """x above 0, alpha (e^x - 1) below (Clevert, Unterthiner, Hochreiter 2015, equation 15).

    >>> import clearprop.functional as F
    >>> F.elu([-1.0, 2.0])
    Tensor([-0.63212,  2.     ], dtype=float32)
    """
    x, factor = as_float(x), number("elu", "alpha", alpha)
    below = expm1(clip(x, max=0.0))
    if factor != 1.0:
        below = multiply(below, factor)
    return where(greater(x, 0.0), x, below)


def selu(x: ArrayLike) -> Tensor:
    """`elu` times a factor, both chosen so that mean 0 and variance 1 are kept (Klambauer et al. 2017, equation 2).

    >>> import clearprop.functional as F
    >>> F.selu([-1.0, 2.0])
    Tensor([-1.11133,  2.1014 ], dtype=float32)
    """
    return multiply(elu(x, SELU_ALPHA), SELU_SCALE)


def celu(x: ArrayLike, alpha: float = 1.0) -> Tensor:
    """x above 0, alpha (e^(x / alpha) - 1) below: an `elu` whose slope at 0 is 1 for every alpha (Barron 2017).

    Raises:
        UsageError: if ``alpha`` is 0.

    >>> import clearprop.functional as F
    >>> F.celu([-1.0, 2.0], alpha=2.0)
    Tensor([-0.78694,  2.     ], dtype=float32)
    """
    factor = number("celu", "alpha", alpha)
    if factor == 0.0:
        raise UsageError("celu: alpha=0 is divided by", hint="relu")
    x = as_float(x)
    below = multiply(expm1(divide(clip(x, max=0.0), factor)), factor)
    return where(greater(x, 0.0), x, below)


def gelu(x: ArrayLike, approximate: str = "none") -> Tensor:
    """x Φ(x), where Φ is the normal distribution function (Hendrycks and Gimpel 2016).

    Args:
        approximate: "none" for Φ by the error function; "tanh" for 0.5 (1 + tanh(√(2/π) (x + 0.044715 x³))) in its
            place.

    Raises:
        UsageError: for another word.

    >>> import clearprop.functional as F
    >>> F.gelu([-1.0, 1.0]), F.gelu([-1.0, 1.0], approximate="tanh")
    (Tensor([-0.15866,  0.84134], dtype=float32), Tensor([-0.15881,  0.84119], dtype=float32))
    """
    x = as_float(x)
    if one_of("gelu", "approximate", approximate, "none", "tanh") == "none":
        half = multiply(erf(multiply(x, math.sqrt(0.5))), 0.5)
        return multiply(x, add(half, 0.5))
    scale = 2.0 * math.sqrt(2.0 / math.pi)
    slope = add(multiply(multiply(x, x), 0.044715 * scale), scale)
    return multiply(x, sigmoid(multiply(x, slope)))  # 0.5 (1 + tanh u) = σ(2u): two nodes less


def silu(x: ArrayLike) -> Tensor:
    """x σ(x), also called swish (Elfwing, Uchibe, Doya 2017).

    >>> import clearprop.functional as F
    >>> F.silu([-1.0, 1.0])
    Tensor([-0.26894,  0.73106], dtype=float32)
    """
    x = as_float(x)
    return multiply(x, primitives.sigmoid(x))


def mish(x: ArrayLike) -> Tensor:
    """x tanh(softplus(x)) (Misra 2019).

    >>> import clearprop.functional as F
    >>> F.mish([-1.0, 1.0])
    Tensor([-0.3034,  0.8651], dtype=float32)
    """
    x = as_float(x)
    return multiply(x, tanh(logaddexp(x, 0.0)))


def glu(x: ArrayLike, dim: int = -1) -> Tensor:
    """The first half along an axis times the sigmoid of the second (Dauphin et al. 2016, equation 1).

    Raises:
        ShapeError: if the length of the axis is odd.

    >>> import clearprop.functional as F
    >>> F.glu([1.0, 2.0, 0.0, 0.0])
    Tensor([0.5, 1. ], dtype=float32)
    """
    x = as_float(x)
    at = normalize_axis(dim, x.ndim, "glu")
    if x.shape[at] % 2:
        raise ShapeError(
            f"glu: axis {at} of x, of shape {x.shape}, has no two halves",
            hint="an even number of outputs of the layer before",
        )
    values, gates = split(x, 2, at)
    return multiply(values, primitives.sigmoid(gates))


def logsigmoid(x: ArrayLike) -> Tensor:
    """The logarithm of the sigmoid, as -log(1 + e^-x): finite where the sigmoid itself is too small for a number.

    >>> import clearprop.functional as F
    >>> F.logsigmoid([-20.0, 0.0])
    Tensor([-20.     ,  -0.69315], dtype=float32)
    """
    return negative(logaddexp(negative(as_float(x)), 0.0))


def softsign(x: ArrayLike) -> Tensor:
    """x / (1 + |x|): like tanh, but it comes to its bounds more slowly (Bergstra et al. 2009).

    >>> import clearprop.functional as F
    >>> F.softsign([-1.0, 3.0])
    Tensor([-0.5 ,  0.75], dtype=float32)
    """
    x = as_float(x)
    return divide(x, add(abs(x), 1.0))


def tanhshrink(x: ArrayLike) -> Tensor:
    """x - tanh(x).

    >>> import clearprop.functional as F
    >>> F.tanhshrink([0.0, 1.0])
    Tensor([0.     , 0.23841], dtype=float32)
    """
    x = as_float(x)
    return subtract(x, tanh(x))


def softplus(x: ArrayLike, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + e^(beta x)) / beta, a smooth relu (Dugas et al. 2001); x itself where beta x is above the threshold.

    >>> import clearprop.functional as F
    >>> F.softplus([-1.0, 0.0, 30.0])
    Tensor([ 0.31326,  0.69315, 30.     ], dtype=float32)
    """
    x, factor = as_float(x), number("softplus", "beta", beta, positive=True)
    highest = number("softplus", "threshold", threshold, infinite=True)
    scaled = x if factor == 1.0 else multiply(x, factor)
    smooth = logaddexp(scaled, 0.0)
    if factor != 1.0:
        smooth = multiply(smooth, 1.0 / factor)
    return where(greater(scaled, highest), x, smooth)


def softmax(x: ArrayLike, dim: int = -1) -> Tensor:
    """e^x divided by its sum along an axis: positive numbers whose sum is 1.

    The largest element is subtracted first: e^x cannot overflow, and the result is the same for any constant that is
    subtracted, which is why no gradient needs to flow through it.

    >>> import clearprop.functional as F
    >>> F.softmax([1000.0, 1001.0, 1002.0])
    Tensor([0.09003, 0.24473, 0.66524], dtype=float32)
    """
    x = as_float(x)
    at = normalize_axis(dim, x.ndim, "softmax")
    exponentials = exp(_below_largest(x, at))
    total = sum(exponentials, axis=at)
    return primitives.divide(exponentials, primitives.broadcast(total, shape=x.shape, axes=(at,)))


def softmin(x: ArrayLike, dim: int = -1) -> Tensor:
    """`softmax` of -x: the smallest element gets the largest share.

    >>> import clearprop.functional as F
    >>> F.softmin([0.0, 1.0])
    Tensor([0.73106, 0.26894], dtype=float32)
    """
    return softmax(negative(as_float(x)), dim)


def log_softmax(x: ArrayLike, dim: int = -1) -> Tensor:
    """The logarithm of `softmax`, as x - logsumexp(x): finite where the softmax itself is too small for a number.

    >>> import clearprop.functional as F
    >>> F.log_softmax([0.0, 1000.0])
    Tensor([-1000.,     0.], dtype=float32)
    """
    x = as_float(x)
    at = normalize_axis(dim, x.ndim, "log_softmax")
    shifted = _below_largest(x, at)  # else log_softmax([1000, 999]) would keep the rounding error of the number 1000
    total = logsumexp(shifted, axis=at)
    return primitives.subtract(shifted, primitives.broadcast(total, shape=x.shape, axes=(at,)))


def _below_largest(x: Tensor, axis: int) -> Tensor:
    """x minus its largest element along the axis, taken as a constant."""
    return subtract(x, max(primitives.stop_gradient(x), axis=axis, keepdims=True))
