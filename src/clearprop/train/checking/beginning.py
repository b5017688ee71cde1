"""The loss before training, compared with that of outputs that know nothing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from clearprop.errors import ClearpropError
from clearprop.tensor import Tensor
from clearprop.train.checking.result import Finding, number
from clearprop.train.checking.subject import Subject, as_number

_TOO_MUCH_CLASSES, _TOO_MUCH_NUMBERS = 4.0, 20.0
_WRONG_SCALE = 3.0
_NAME = "loss at the beginning"


def first_loss(subject: Subject, output: Any, loss: float) -> Finding:
    """The loss of the untrained network.

    With C classes outputs that are all 0 have a cross entropy of ln C; for numbers, the best that one output for all
    examples can do is their mean, with the variance as mean squared error.
    """
    axis = subject.class_axis(output)
    classes = 0 if axis is None else output.shape[axis]
    if classes == 1 or not isinstance(output, Tensor):
        return Finding(_NAME, "skipped", f"it is {number(loss)}; there is nothing to compare it with")
    found = _ignorant(subject, output, classes)
    if found is None:
        return Finding(_NAME, "skipped", f"it is {number(loss)}; there is nothing to compare it with")
    ignorant, usual, words = found
    if usual > 0 and ignorant / usual > _WRONG_SCALE:
        times = ignorant / usual
        is_sum = _is_a_count(times, subject, output)
        sums = ", as many as there are examples or values in the batch: a sum, not a mean" if is_sum else ""
        return Finding(
            _NAME, "warning",
            f"the loss of {words} is {number(ignorant)}, {number(times)} times the usual {number(usual)}{sums}",
            'a mean, reduction="mean", so that the learning rate need not know the size of the batch',
        )  # fmt: skip
    limit = ignorant * (_TOO_MUCH_CLASSES if classes else _TOO_MUCH_NUMBERS)
    if ignorant > 0 and loss > limit:
        spread = float(np.asarray(output.array, np.float64).std())
        return Finding(
            _NAME, "warning",
            f"it is {number(loss)}, and that of {words} {number(ignorant)}: the network is sure of what it cannot "
            f"know; its outputs have standard deviation {number(spread)}",
            "smaller first weights of the last layer, or inputs and targets of mean 0 and variance 1",
        )  # fmt: skip
    return Finding(_NAME, "passed", f"it is {number(loss)}, that of {words} {number(ignorant)}")


def _ignorant(subject: Subject, output: Tensor, classes: int) -> tuple[float, float, str] | None:
    """The loss of outputs that know nothing; what it usually is; and such outputs in words."""
    dtype = np.asarray(output.array).dtype
    target = np.asarray(subject.target.array)
    if classes:
        made, usual = np.zeros(output.shape, dtype), math.log(classes)
        words = "outputs that are all 0"
    elif target.dtype.kind == "f" and target.shape == output.shape:
        made, usual = np.broadcast_to(target.mean(0).astype(dtype), output.shape).copy(), float(target.var(0).mean())
        words = f"the mean of the targets, whose variance is {number(usual)}"
        if set(np.unique(target)) <= {0.0, 1.0}:  # probabilities: of 0.5, or logits of 0
            shown = np.asarray(output.array)
            half = 0.5 if shown.min() >= 0 and shown.max() <= 1 else 0.0
            made, usual, classes = np.full(output.shape, half, dtype), math.log(2), 2
            words = f"outputs that are all {half:g}"
    else:
        return None
    try:
        ignorant = as_number(subject.loss(Tensor(made), subject.target))
    except ClearpropError:  # a loss that cannot do with such outputs
        return None
    is_entropy = classes > 1 and math.isclose(ignorant, usual, rel_tol=1e-4)
    return ignorant, usual, words + (f" (ln {classes} = {number(usual)})" if is_entropy else "")


def _is_a_count(times: float, subject: Subject, output: Tensor) -> bool:
    counts = {subject.examples, subject.target.size, output.size}
    return any(abs(times - count) < 0.01 * count for count in counts if count > 1)
