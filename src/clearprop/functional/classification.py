"""The cross entropy of classes: the loss of most classifiers.

For one example with logits x and label t it is -log softmax(x)_t = logsumexp(x) - x_t. It is computed in this form:
without overflow, without a logarithm of 0, and with five nodes in the graph. Its gradient by the logits is
softmax(x) - onehot(t).

Logits of shape (N, C, d1, …), whose classes are axis 1, are laid out as rows (N d1 …, C) first.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from clearprop import primitives
from clearprop.arguments import is_whole, number
from clearprop.array import (
    add,
    moveaxis,
    multiply,
    negative,
    not_equal,
    reshape,
    subtract,
    sum,
    where,
)
from clearprop.array.promotion import ArrayLike, as_float, cast_to
from clearprop.errors import DTypeError, ShapeError, UsageError
from clearprop.functional.activations import log_softmax
from clearprop.functional.checks import all_inside, checked_inside
from clearprop.functional.losses import check_reduction, reduced
from clearprop.primitive import numpy_dtype
from clearprop.tensor import Tensor, as_tensor


def cross_entropy(
    logits: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """The cross entropy between the softmax of the logits and the target.

    Args:
        logits: (N, C), (C,) for one example, or (N, C, d1, …): not normalized, no softmax in front.
        target: labels, integers from 0 to C - 1, of shape (N,), () or (N, d1, …); or probabilities, floating-point
            numbers of the shape of the logits.
        weight: (C,), a factor for each class.
        ignore_index: examples with this label add nothing, and are not counted in the mean.
        reduction: "mean" (with weights: the weighted mean; of probabilities: over the examples), "sum", or "none".
        label_smoothing: this share of each target is spread evenly over all classes (Szegedy et al. 2015, section 7).

    Raises:
        ShapeError: if logits and target do not fit together.
        DTypeError: if the target is neither integers nor probabilities.
        RangeError: names the label that is not a class, and how many classes there are.

    >>> import clearprop.functional as F
    >>> F.cross_entropy([[2.0, 0.0, 0.0], [0.0, 1000.0, 0.0]], [0, 1])
    Tensor(0.11977, dtype=float32)
    """
    x, t = as_float(logits), as_tensor(target)
    label_smoothing = number("cross_entropy", "label_smoothing", label_smoothing, 0.0, 1.0)
    factors = _class_weights("cross_entropy", x, weight)
    if numpy_dtype(t).kind == "f":
        return _of_probabilities(x, t, factors, reduction, label_smoothing)
    _check_shapes("cross_entropy", "logits", x, t)
    rows, labels = _rows(x), _flat(t)  # (M, C), (M,)
    picked = _pick("cross_entropy", rows, labels, factors, ignore_index)
    totals: Tensor = primitives.logsumexp(rows, axes=(1,))  # (M,)
    losses: Tensor = primitives.subtract(totals, picked.values)
    if picked.weights is not None:
        losses = multiply(losses, picked.weights)
    if label_smoothing:
        spread = _spread_loss(rows, totals, factors)
        if picked.kept is not None:
            spread = where(picked.kept, spread, 0.0)
        losses = add(multiply(losses, 1.0 - label_smoothing), multiply(spread, label_smoothing / rows.shape[1]))
    return _weighted_mean(losses, picked.weights, t.shape, reduction)


def nll_loss(
    log_probabilities: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """The negative log likelihood of labels, for a network that ends in `log_softmax`; arguments as of `cross_entropy`.

    >>> import clearprop.functional as F
    >>> F.nll_loss(F.log_softmax([[2.0, 0.0, 0.0]]), [0])
    Tensor(0.23954, dtype=float32)
    """
    x, t = as_float(log_probabilities), as_tensor(target)
    factors = _class_weights("nll_loss", x, weight)
    _check_shapes("nll_loss", "log_probabilities", x, t)
    picked = _pick("nll_loss", _rows(x), _flat(t), factors, ignore_index)
    losses = negative(picked.values if picked.weights is None else multiply(picked.values, picked.weights))
    return _weighted_mean(losses, picked.weights, t.shape, reduction)


class _Picked(NamedTuple):
    """What the labels choose of each row."""

    values: Tensor
    weights: Tensor | None  # None where every row counts 1
    kept: Tensor | None  # False for rows to be ignored; None where there are none


def _pick(name: str, rows: Tensor, labels: Tensor, factors: Tensor | None, ignore_index: int) -> _Picked:
    """The element of each row that its label names: (M, C), (M,) -> (M,)."""
    classes = rows.shape[1]
    kept = None
    if not is_whole(ignore_index):
        raise UsageError(f"{name}: ignore_index={ignore_index!r}", hint="a whole number: -100, which is no label")
    if 0 <= ignore_index < classes or not all_inside(labels, classes):
        kept = not_equal(labels, ignore_index)
        labels = _checked_labels(name, where(kept, labels, 0), classes)
    numbers = Tensor(np.arange(rows.shape[0]))
    values: Tensor = primitives.gather(rows, numbers, labels)
    weights: Tensor | None = None if factors is None else primitives.gather(factors, labels)
    if kept is not None:
        values = where(kept, values, 0.0)
        as_numbers = cast_to(kept, numpy_dtype(rows))
        weights = as_numbers if weights is None else multiply(weights, as_numbers)
    return _Picked(values, weights, kept)


def _checked_labels(name: str, labels: Tensor, classes: int) -> Tensor:
    says = f"{name}: in target, label {{wrong}} is not one of {classes} classes, which are 0 to {classes - 1}{{more}}"
    hint = "labels count from 0; give the last layer as many outputs as there are classes"
    return checked_inside(labels, classes, says, hint)


def _spread_loss(rows: Tensor, totals: Tensor, factors: Tensor | None) -> Tensor:
    """The sum over the classes of -log softmax, each times its weight: (M, C), (M,) -> (M,)."""
    if factors is None:
        return subtract(multiply(totals, float(rows.shape[1])), sum(rows, axis=1))
    return subtract(multiply(totals, sum(factors)), sum(multiply(rows, factors), axis=1))


def _weighted_mean(losses: Tensor, weights: Tensor | None, shape: tuple[int, ...], reduction: str) -> Tensor:
    check_reduction(reduction)
    if reduction == "mean":
        total = primitives.sum_(losses, axes=(0,))
        count = float(losses.shape[0]) if weights is None else primitives.sum_(weights, axes=(0,))
        return primitives.divide(total, count)
    if reduction == "sum":
        return sum(losses)
    return losses if losses.shape == shape else reshape(losses, shape)


def _of_probabilities(x: Tensor, t: Tensor, factors: Tensor | None, reduction: str, label_smoothing: float) -> Tensor:
    """- sum over the classes of target * weight * log softmax; the mean is over the examples."""
    if t.shape != x.shape:
        raise ShapeError(
            f"cross_entropy: logits have shape {x.shape}, target has shape {t.shape} and dtype {t.dtype.name}: "
            "floating-point targets are probabilities, one for each logit",
            hint="labels as integers: target.astype(cp.int64)",
        )
    axis = 1 if x.ndim > 1 else 0
    t = cast_to(t, numpy_dtype(x))
    if label_smoothing:
        t = add(multiply(t, 1.0 - label_smoothing), label_smoothing / x.shape[axis])
    if factors is not None:
        t = multiply(t, reshape(factors, (-1, *(1,) * (x.ndim - axis - 1))))
    losses = negative(sum(multiply(t, log_softmax(x, dim=axis)), axis=axis))
    return reduced(losses, reduction)


def _class_weights(name: str, x: Tensor, weight: ArrayLike | None) -> Tensor | None:
    """A factor for each class, in the dtype of the logits."""
    if not x.shape:
        raise ShapeError(f"{name}: a single number has no classes", hint="logits of shape (N, C)")
    if weight is None:
        return None
    factors = cast_to(as_tensor(weight), numpy_dtype(x))
    classes = x.shape[1 if x.ndim > 1 else 0]
    if factors.shape != (classes,):
        raise ShapeError(
            f"{name}: weight has shape {factors.shape}; there are {classes} classes", hint=f"shape ({classes},)"
        )
    return factors


def _check_shapes(name: str, first: str, x: Tensor, t: Tensor) -> None:
    """Raise unless t holds one integer label for each row of x."""
    if numpy_dtype(t).kind not in "iu":
        raise DTypeError(
            f"{name}: the target is {t.dtype.name}; it takes integer labels"
            + (" or probabilities" if name == "cross_entropy" else ""),
            hint="target.astype(cp.int64)",
        )
    wanted = x.shape[:1] + x.shape[2:] if x.ndim > 1 else ()
    if t.shape == wanted:
        return
    hint = f"a label for each example: target of shape {wanted}"
    if t.size == _product(wanted):
        hint = f"target.reshape({wanted})"
    elif t.shape == x.shape:
        hint = "target.argmax(axis=1) for one-hot rows, or target.astype(cp.float32) for probabilities"
    elif x.ndim == 3 and t.shape == x.shape[:2]:
        hint = f"cp.permute_dims({first}, (0, 2, 1)): the classes are axis 1"
    raise ShapeError(
        f"{name}: {first} have shape {x.shape}, target has shape {t.shape}; it must have shape {wanted}", hint=hint
    )


def _rows(x: Tensor) -> Tensor:
    """(N, C, d1, …) -> (N d1 …, C)."""
    if x.ndim == 2:
        return x
    if x.ndim == 1:
        return reshape(x, (1, x.shape[0]))
    classes = x.shape[1]
    count = x.shape[0] * _product(x.shape[2:])
    return reshape(moveaxis(x, 1, -1), (count, classes))


def _flat(t: Tensor) -> Tensor:
    """The labels as a vector of int64."""
    t = cast_to(t, np.dtype(np.int64))
    return t if t.ndim == 1 else reshape(t, (t.size,))


def _product(lengths: Any) -> int:
    return int(np.prod(lengths, dtype=np.int64))
