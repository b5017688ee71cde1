"""Losses that are the negative logarithm of a probability, or the distance of two distributions, element by element.

`cross_entropy` and `nll_loss`, for labels, are in `classification`; from logits, prefer
`binary_cross_entropy_with_logits` in `losses` to `binary_cross_entropy`.
"""

from __future__ import annotations

import math

import numpy as np

from clearprop.arguments import one_of
from clearprop.array import (
    add,
    clip,
    divide,
    exp,
    greater,
    less,
    log,
    logaddexp,
    mean,
    multiply,
    negative,
    stop_gradient,
    subtract,
    sum,
    where,
)
from clearprop.array.promotion import ArrayLike, as_float, cast_to, common_shape
from clearprop.errors import DataError, ShapeError
from clearprop.functional.activations import logsigmoid
from clearprop.functional.checks import known_values
from clearprop.functional.losses import factors_for, pair, reduced
from clearprop.primitive import numpy_dtype
from clearprop.tensor import Tensor

_LOWEST_LOG = -100.0
_SMALLEST_SLOPE = float(np.float32(1e-12))
"""The bounds of PyTorch for the logarithm of 0 in `binary_cross_entropy`, and for what its slope is divided by."""


def binary_cross_entropy(
    probabilities: ArrayLike, target: ArrayLike, weight: ArrayLike | None = None, reduction: str = "mean"
) -> Tensor:
    """-t log p - (1 - t) log(1 - p), for a network that ends in a sigmoid.

    Logarithms are at least -100, and slopes (p - t) / (p (1 - p)) divide by at least 1e-12: a probability that is
    exactly 0 or 1, and wrong, costs 100 and still has a gradient. `binary_cross_entropy_with_logits` needs no such
    bounds.

    Args:
        probabilities, target: of one shape, numbers between 0 and 1.
        weight: a factor for each loss; broadcast.
        reduction: "mean" over all elements, "sum", or "none".

    Raises:
        ShapeError: if the shapes of probabilities and target differ.
        DataError: if a probability is not between 0 and 1.

    >>> import clearprop.functional as F
    >>> F.binary_cross_entropy([0.5, 0.0], [1, 1], reduction="none")
    Tensor([  0.69315, 100.     ], dtype=float32)
    """
    x, t = pair("binary_cross_entropy", "probabilities", probabilities, target)
    _check_probabilities("binary_cross_entropy", x)
    fixed = stop_gradient(x)
    is_extreme = less(multiply(fixed, subtract(1.0, fixed)), _SMALLEST_SLOPE)
    inside = where(is_extreme, 0.5, x)
    rest = subtract(1.0, t)
    losses = add(multiply(t, log(inside)), multiply(rest, log(subtract(1.0, inside))))
    bounded = add(
        multiply(t, clip(log(fixed), min=_LOWEST_LOG)),
        multiply(rest, clip(log(subtract(1.0, fixed)), min=_LOWEST_LOG)),
    )
    slope = divide(subtract(stop_gradient(t), fixed), _SMALLEST_SLOPE)
    straight = add(bounded, multiply(subtract(x, fixed), slope))  # that value, with that slope
    loss = negative(where(is_extreme, straight, losses))
    if weight is not None:
        loss = multiply(loss, factors_for("binary_cross_entropy", "weight", weight, x))
    return reduced(loss, reduction)


def kl_div(
    log_probabilities: ArrayLike, target: ArrayLike, reduction: str = "mean", log_target: bool = False
) -> Tensor:
    """target (log target - log_probabilities): the parts of the Kullback-Leibler divergence (1951).

    Args:
        log_probabilities: what a network that ends in `log_softmax` gives, of any shape.
        target: probabilities of the same shape, or their logarithms with ``log_target``.
        reduction: "batchmean" for the sum divided by the length of axis 0, which is the mean divergence; "mean" over
            all elements, "sum", or "none".

    Raises:
        ShapeError: if the shapes differ.

    >>> import clearprop.functional as F
    >>> F.kl_div(F.log_softmax([[0.0, 0.0]]), [[1.0, 0.0]], reduction="batchmean")
    Tensor(0.69315, dtype=float32)
    """
    x, t = pair("kl_div", "log_probabilities", log_probabilities, target)
    if log_target:
        loss = multiply(exp(t), subtract(t, x))
    else:
        positive = greater(t, 0.0)
        loss = subtract(where(positive, multiply(t, log(where(positive, t, 1.0))), 0.0), multiply(t, x))
    one_of("kl_div", "reduction", reduction, "batchmean", "mean", "sum", "none")
    if reduction == "batchmean":
        return divide(sum(loss), float(x.shape[0])) if x.ndim else loss
    return reduced(loss, reduction)


def poisson_nll_loss(
    prediction: ArrayLike,
    target: ArrayLike,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Tensor:
    """The negative log likelihood of counts that are Poisson distributed: rate - target log(rate).

    Args:
        prediction: the logarithm of the rate, or with ``log_input=False`` the rate.
        target: counts, of the same shape.
        full: add log(target!), by Stirling's formula, for targets above 1.
        eps: added to a rate whose logarithm is taken.

    Raises:
        ShapeError: if the shapes differ.

    >>> import clearprop.functional as F
    >>> F.poisson_nll_loss([0.0, 1.0], [2, 3], reduction="none")
    Tensor([ 1.     , -0.28172], dtype=float32)
    """
    x, t = pair("poisson_nll_loss", "prediction", prediction, target)
    rate, log_rate = (exp(x), x) if log_input else (x, log(add(x, eps)))
    loss = subtract(rate, multiply(t, log_rate))
    if full:
        large = greater(t, 1.0)
        n = where(large, t, 1.0)
        stirling = add(subtract(multiply(n, log(n)), n), multiply(log(multiply(n, 2.0 * math.pi)), 0.5))
        loss = add(loss, where(large, stirling, 0.0))
    return reduced(loss, reduction)


def gaussian_nll_loss(
    prediction: ArrayLike,
    target: ArrayLike,
    var: ArrayLike,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """The negative log likelihood of normally distributed targets: (log var + (prediction - target)² / var) / 2.

    Args:
        prediction, target: of one shape.
        var: variances, of that shape, or with 1, or nothing, in the place of the last axis.
        full: add log(2π) / 2.
        eps: variances are at least this; the gradient flows as if they were not bounded.

    Raises:
        ShapeError: if the shapes do not fit.
        DataError: if a variance is negative.

    >>> import clearprop.functional as F
    >>> F.gaussian_nll_loss([0.0, 2.0], [0.0, 0.0], [1.0, 4.0], reduction="none")
    Tensor([0.     , 1.19315], dtype=float32)
    """
    x, t = pair("gaussian_nll_loss", "prediction", prediction, target)
    variances = cast_to(as_float(var), numpy_dtype(x))
    if variances.ndim and variances.shape == x.shape[:-1]:
        variances = variances.reshape(*variances.shape, 1)
    if common_shape("gaussian_nll_loss", x, variances) != x.shape:
        raise ShapeError(
            f"gaussian_nll_loss: prediction has shape {x.shape}, var has shape {variances.shape}",
            hint="a variance for each element; or one for each example, (N, 1) or (N,)",
        )
    values = known_values(variances)
    if values is not None and (values < 0.0).any():
        raise DataError(
            f"gaussian_nll_loss: var has {values[values < 0.0][0]:.6g}; variances are not negative",
            hint="exp or softplus of what the network gives",
        )
    fixed = stop_gradient(variances)
    variances = add(variances, subtract(clip(fixed, min=eps), fixed))
    difference = subtract(x, t)
    loss = multiply(add(log(variances), divide(multiply(difference, difference), variances)), 0.5)
    return reduced(add(loss, 0.5 * math.log(2.0 * math.pi)) if full else loss, reduction)


def multilabel_soft_margin_loss(
    logits: ArrayLike, target: ArrayLike, weight: ArrayLike | None = None, reduction: str = "mean"
) -> Tensor:
    """The binary cross entropy of every class, averaged over the classes (the last axis): several may be right.

    Args:
        logits, target: (…, C); targets are 0 or 1.
        weight: (C,), a factor for each class.
        reduction: of the losses (…): "mean", "sum", or "none".

    Raises:
        ShapeError: if the shapes differ.

    >>> import clearprop.functional as F
    >>> F.multilabel_soft_margin_loss([[0.0, 0.0]], [[1, 0]])
    Tensor(0.69315, dtype=float32)
    """
    x, t = pair("multilabel_soft_margin_loss", "logits", logits, target)
    if not x.ndim:
        raise ShapeError("multilabel_soft_margin_loss: a single number has no classes", hint="logits of shape (N, C)")
    right, wrong = multiply(t, logsigmoid(x)), multiply(subtract(1.0, t), logsigmoid(negative(x)))
    loss = negative(add(right, wrong))
    if weight is not None:
        loss = multiply(loss, factors_for("multilabel_soft_margin_loss", "weight", weight, x))
    return reduced(mean(loss, axis=-1), reduction)


def soft_margin_loss(prediction: ArrayLike, target: ArrayLike, reduction: str = "mean") -> Tensor:
    """log(1 + e^(-target prediction)), the logistic loss of targets that are 1 or -1.

    Raises:
        ShapeError: if the shapes differ.

    >>> import clearprop.functional as F
    >>> F.soft_margin_loss([0.0, 1000.0], [1.0, -1.0], reduction="none")
    Tensor([6.93147e-01, 1.00000e+03], dtype=float32)
    """
    x, t = pair("soft_margin_loss", "prediction", prediction, target)
    return reduced(logaddexp(negative(multiply(t, x)), 0.0), reduction)


def _check_probabilities(name: str, x: Tensor) -> None:
    """Raise unless all are between 0 and 1; NaN may pass, to be seen in the loss."""
    values = known_values(x)
    if values is None or not ((values < 0.0) | (values > 1.0)).any():
        return
    wrong = values[(values < 0.0) | (values > 1.0)]
    raise DataError(
        f"{name}: probabilities has {np.float64(wrong[0]):.6g}, which is not between 0 and 1",
        hint="sigmoid in front of it, or binary_cross_entropy_with_logits for what has no sigmoid in front",
    )
