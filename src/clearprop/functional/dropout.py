"""Dropout: while a network is trained, parts of what flows through it are left out, others each time.

dropout            every element by itself          Srivastava et al. 2014, "inverted": the others are scaled up
dropout1d, 2d, 3d  whole channels                   Tompson et al. 2015: neighbours in an image say the same
alpha_dropout      keeps mean 0 and variance 1      Klambauer et al. 2017, for networks of `selu`
"""

from __future__ import annotations

import math

from clearprop import random
from clearprop.arguments import number
from clearprop.array import add, multiply
from clearprop.array.promotion import ArrayLike, as_float, cast_to, expand
from clearprop.errors import ShapeError
from clearprop.functional.activations import SELU_ALPHA, SELU_SCALE
from clearprop.primitive import numpy_dtype
from clearprop.tensor import Tensor


def dropout(
    x: ArrayLike, p: float = 0.5, training: bool = True, *, generator: random.Generator | None = None
) -> Tensor:
    """Zero each element with probability p, and divide the others by 1 - p.

    The division keeps the expected value, so that nothing needs to be scaled when the network is used.

    Args:
        training: if False, x is returned as it is.
        generator: of the random numbers; by default the one that `clearprop.random.seed` seeds.

    Raises:
        UsageError: if p is not between 0 and 1.

    >>> import clearprop as cp
    >>> cp.functional.dropout(cp.ones(4), 0.5, generator=cp.random.Generator(0))
    Tensor([2., 0., 0., 0.], dtype=float32)
    """
    _check_probability("dropout", p)
    tensor = as_float(x)
    if not training or p == 0.0:
        return tensor
    return multiply(tensor, _kept(tensor, tensor.shape, p, generator))


def dropout1d(
    x: ArrayLike, p: float = 0.5, training: bool = True, *, generator: random.Generator | None = None
) -> Tensor:
    """`dropout` of whole channels of (N, C, L), or (C, L).

    Raises:
        ShapeError: if x has another number of axes.
        UsageError: if p is not between 0 and 1.

    >>> import clearprop as cp
    >>> cp.functional.dropout1d(cp.ones((1, 2, 3)), 0.5, generator=cp.random.Generator(0))
    Tensor([[[2., 2., 2.],
             [0., 0., 0.]]], dtype=float32)
    """
    return _of_channels("dropout1d", x, 1, p, training, generator)


def dropout2d(
    x: ArrayLike, p: float = 0.5, training: bool = True, *, generator: random.Generator | None = None
) -> Tensor:
    """`dropout` of whole channels of (N, C, H, W), or (C, H, W); see `dropout1d`.

    >>> import clearprop as cp
    >>> cp.functional.dropout2d(cp.ones((1, 2, 1, 2)), 0.5, generator=cp.random.Generator(0)).tolist()
    [[[[2.0, 2.0]], [[0.0, 0.0]]]]
    """
    return _of_channels("dropout2d", x, 2, p, training, generator)


def dropout3d(
    x: ArrayLike, p: float = 0.5, training: bool = True, *, generator: random.Generator | None = None
) -> Tensor:
    """`dropout` of whole channels of (N, C, D, H, W), or (C, D, H, W); see `dropout1d`.

    >>> import clearprop as cp
    >>> cp.functional.dropout3d(cp.ones((1, 2, 1, 1, 2)), 0.5, generator=cp.random.Generator(0)).tolist()
    [[[[[2.0, 2.0]]], [[[0.0, 0.0]]]]]
    """
    return _of_channels("dropout3d", x, 3, p, training, generator)


def alpha_dropout(
    x: ArrayLike, p: float = 0.5, training: bool = False, *, generator: random.Generator | None = None
) -> Tensor:
    """Set each element with probability p to what `selu` is far below 0, then bring mean and variance back to 0 and 1.

    Args:
        x: of mean 0 and variance 1, as networks of `selu` keep it.

    Raises:
        UsageError: if p is not between 0 and 1.

    >>> import clearprop as cp
    >>> cp.functional.alpha_dropout(cp.zeros(4), 0.5, True, generator=cp.random.Generator(0))
    Tensor([ 0.77919, -0.77919, -0.77919, -0.77919], dtype=float32)
    """
    _check_probability("alpha_dropout", p)
    tensor = as_float(x)
    if not training or p == 0.0:
        return tensor
    if p == 1.0:
        return multiply(tensor, 0.0)
    lowest = -SELU_ALPHA * SELU_SCALE
    factor = 1.0 / math.sqrt((1.0 - p) * (1.0 + p * lowest**2))
    kept = cast_to(random.bernoulli(1.0 - p, tensor.shape, generator=generator), numpy_dtype(tensor))
    # factor * (x where kept, lowest elsewhere) - factor * p * lowest
    rest = add(multiply(kept, -factor * lowest), factor * lowest * (1.0 - p))
    return add(multiply(tensor, multiply(kept, factor)), rest)


def _of_channels(
    name: str, x: ArrayLike, places: int, p: float, training: bool, generator: random.Generator | None
) -> Tensor:
    _check_probability(name, p)
    tensor = as_float(x)
    if tensor.ndim not in (places + 1, places + 2):
        raise ShapeError(
            f"{name}: x has shape {tensor.shape}; it must have {places + 2} axes, or {places + 1} for one example",
            hint="dropout for any shape",
        )
    if not training or p == 0.0:
        return tensor
    channels = (*tensor.shape[:-places], *(1,) * places)
    return multiply(tensor, expand(_kept(tensor, channels, p, generator), tensor.shape))


def _kept(x: Tensor, shape: tuple[int, ...], p: float, generator: random.Generator | None) -> Tensor:
    """What to multiply with: 0 with probability p, else 1 / (1 - p)."""
    kept = cast_to(random.bernoulli(1.0 - p, shape, generator=generator), numpy_dtype(x))
    return multiply(kept, 1.0 / (1.0 - p) if p < 1.0 else 0.0)


def _check_probability(name: str, p: float) -> None:
    number(name, "p", p, 0.0, 1.0)
