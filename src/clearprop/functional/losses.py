"""Losses that compare element by element. Targets take the dtype of the prediction; no gradient is lost on the way."""

from __future__ import annotations

from clearprop.arguments import number, one_of
from clearprop.array import abs, add, less, less_equal, logaddexp, mean, multiply, negative, subtract, sum, where
from clearprop.array.promotion import ArrayLike, as_float, cast_to
from clearprop.errors import ShapeError
from clearprop.primitive import numpy_dtype
from clearprop.tensor import Tensor, as_tensor


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """The mean or the sum of the losses, or the losses themselves.

    Raises:
        UsageError: if ``reduction`` is neither "mean", "sum" nor "none".
    """
    check_reduction(reduction)
    if reduction == "mean":
        return mean(loss)
    return sum(loss) if reduction == "sum" else loss


def check_reduction(reduction: str) -> None:
    """Raise UsageError unless it is one of the three words."""
    one_of("loss", "reduction", reduction, "mean", "sum", "none")


def mse_loss(prediction: ArrayLike, target: ArrayLike, reduction: str = "mean") -> Tensor:
    """The squared error (prediction - target)², averaged.

    Args:
        prediction, target: of one shape, whatever it is.
        reduction: "mean" over all elements, "sum", or "none".

    Raises:
        ShapeError: if the shapes differ. They are not broadcast: (N, 1) against (N,) would compare each with each.

    >>> import clearprop.functional as F
    >>> F.mse_loss([1.0, 2.0], [0.0, 4.0])
    Tensor(2.5, dtype=float32)
    """
    x, y = pair("mse_loss", "prediction", prediction, target)
    difference = subtract(x, y)
    return reduced(multiply(difference, difference), reduction)


def l1_loss(prediction: ArrayLike, target: ArrayLike, reduction: str = "mean") -> Tensor:
    """The absolute error |prediction - target|, averaged; its gradient where they are equal is 0.

    Args, Raises: as of `mse_loss`.

    >>> import clearprop.functional as F
    >>> F.l1_loss([1.0, 2.0], [0.0, 4.0])
    Tensor(1.5, dtype=float32)
    """
    x, y = pair("l1_loss", "prediction", prediction, target)
    return reduced(abs(subtract(x, y)), reduction)


def smooth_l1_loss(prediction: ArrayLike, target: ArrayLike, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """d² / (2 beta) for errors |d| below beta, |d| - beta / 2 for larger ones (Girshick 2015, equation 3).

    Args:
        beta: where the square goes over into the line; for 0 it is `l1_loss`.

    Raises:
        ShapeError: if the shapes differ.
        UsageError: if ``beta`` is negative.

    >>> import clearprop.functional as F
    >>> F.smooth_l1_loss([0.5, 3.0], [0.0, 0.0], reduction="none")
    Tensor([0.125, 2.5  ], dtype=float32)
    """
    beta = number("smooth_l1_loss", "beta", beta, 0.0)
    if beta == 0.0:
        return l1_loss(prediction, target, reduction)
    x, y = pair("smooth_l1_loss", "prediction", prediction, target)
    difference = subtract(x, y)
    size = abs(difference)
    square = multiply(multiply(difference, difference), 0.5 / beta)
    return reduced(where(less(size, beta), square, subtract(size, 0.5 * beta)), reduction)


def huber_loss(prediction: ArrayLike, target: ArrayLike, reduction: str = "mean", delta: float = 1.0) -> Tensor:
    """d² / 2 for errors |d| up to delta, delta (|d| - delta / 2) for larger ones (Huber 1964).

    Args:
        delta: up to where errors are squared; larger ones, as of wrong data, pull with this force and no more.

    Raises:
        ShapeError: if the shapes differ.
        UsageError: if ``delta`` is not positive.

    >>> import clearprop.functional as F
    >>> F.huber_loss([0.5, 3.0], [0.0, 0.0], reduction="none", delta=2.0)
    Tensor([0.125, 4.   ], dtype=float32)
    """
    delta = number("huber_loss", "delta", delta, positive=True, infinite=True)
    x, y = pair("huber_loss", "prediction", prediction, target)
    difference = subtract(x, y)
    size = abs(difference)
    square = multiply(multiply(difference, difference), 0.5)
    line = multiply(subtract(size, 0.5 * delta), delta)
    return reduced(where(less_equal(size, delta), square, line), reduction)


def binary_cross_entropy_with_logits(
    logits: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    reduction: str = "mean",
    pos_weight: ArrayLike | None = None,
) -> Tensor:
    """-t log σ(x) - (1 - t) log(1 - σ(x)), as (1 - t) x + log(1 + e^-x): no logarithm of a sigmoid that became 0.

    Args:
        logits, target: of one shape; targets are 0 or 1 (numbers or booleans), or probabilities.
        weight: a factor for each loss; broadcast.
        reduction: "mean" over all elements, "sum", or "none".
        pos_weight: a factor for the positive term -t log σ(x) alone, for classes that are rare; broadcast.

    Raises:
        ShapeError: if the shapes of logits and target differ.

    >>> import clearprop.functional as F
    >>> F.binary_cross_entropy_with_logits([0.0, 100.0, -100.0], [1, 1, 0], reduction="none")
    Tensor([6.93147e-01, 3.78351e-44, 0.00000e+00], dtype=float32)
    """
    x, t = pair("binary_cross_entropy_with_logits", "logits", logits, target)
    softened = logaddexp(negative(x), 0.0)  # log(1 + e^-x) = -log σ(x)
    if pos_weight is not None:
        factors = factors_for("binary_cross_entropy_with_logits", "pos_weight", pos_weight, x)
        softened = multiply(softened, add(multiply(subtract(factors, 1.0), t), 1.0))
    loss = add(multiply(x, subtract(1.0, t)), softened)
    if weight is not None:
        loss = multiply(loss, factors_for("binary_cross_entropy_with_logits", "weight", weight, x))
    return reduced(loss, reduction)


def factors_for(name: str, label: str, factors: ArrayLike, x: Tensor) -> Tensor:
    """Factors of the losses, which have the shape of x, in its dtype.

    Raises:
        ShapeError: if they do not broadcast to that shape. (N, 1) for losses (N,) would make (N, N) of them.
    """
    given = cast_to(as_tensor(factors), numpy_dtype(x))
    lengths = zip(reversed(given.shape), reversed(x.shape), strict=False)
    if given.ndim > x.ndim or any(have not in (1, want) for have, want in lengths):
        raise ShapeError(
            f"{name}: {label} has shape {given.shape}; it must broadcast to {x.shape}",
            hint=f"{label}.reshape({x.shape})" if given.size == x.size else "a factor for each class, or each element",
        )
    return given


def pair(
    name: str, first: str, prediction: ArrayLike, target: ArrayLike, second: str = "target"
) -> tuple[Tensor, Tensor]:
    """Both as tensors of one shape and of the dtype of the first.

    Raises:
        ShapeError: if the shapes differ.
    """
    x, y = as_float(prediction), as_tensor(target)
    if x.shape != y.shape:
        raise ShapeError(
            f"{name}: {first} has shape {x.shape}, {second} has shape {y.shape}; they must be equal",
            hint=_same_shape_hint(first, x, second, y),
        )
    return x, cast_to(y, numpy_dtype(x))


def _same_shape_hint(first: str, x: Tensor, second: str, y: Tensor) -> str:
    if x.size == y.size:
        return f"{second}.reshape({first}.shape)"
    if y.ndim + 1 == x.ndim and x.shape[:-1] == y.shape:
        return f"the network gives {x.shape[-1]} numbers for each example; the {second} has one"
    return f"compare the batch of the network's input ({x.shape[0] if x.shape else 'none'}) with that of the {second}"
