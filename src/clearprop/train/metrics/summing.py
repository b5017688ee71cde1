"""Metrics that are sums over all numbers of all batches: perplexity, and the errors of regression."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from clearprop.errors import ShapeError
from clearprop.train.metrics.base import Metric
from clearprop.train.metrics.checked import Array, Floats
from clearprop.train.metrics.outputs import IGNORED, numbers_of, scores
from clearprop.train.metrics.regression import explained


def perplexity(output: Any, target: Any, *, class_axis: int = 1, ignore_index: int = IGNORED) -> float:
    """Among how many equally likely tokens the network seems to choose: the exponential of the mean cross-entropy.

    Args:
        output: logits, of shape (N, classes, …).
        target: the right classes, of shape (N, …).
        class_axis: where output has the classes; -1 for (N, …, classes).
        ignore_index: a label to pass over.

    >>> round(perplexity(np.zeros((2, 50, 3)), np.zeros((2, 3), int)), 6)
    50.0
    """
    metric = Perplexity(class_axis=class_axis, ignore_index=ignore_index)
    metric.update(output, target)
    return metric.compute()


class Perplexity(Metric):
    """The exponential of the mean cross-entropy over all tokens, however they are spread over batches: `perplexity`.

    >>> metric = Perplexity(class_axis=-1)
    >>> metric.update(np.zeros((2, 3, 50)), np.zeros((2, 3), int))
    >>> round(metric.compute(), 6)
    50.0
    """

    name = "perplexity"

    def __init__(self, *, class_axis: int = 1, ignore_index: int = IGNORED) -> None:
        self.class_axis, self.ignore_index = class_axis, ignore_index
        self.reset()

    def reset(self) -> None:
        """Begin an epoch."""
        self.nats, self.tokens = 0.0, 0

    def update(self, output: Any, target: Any) -> None:
        """Add the cross-entropies of a batch."""
        rows, true = scores(self.name, *numbers_of(self.name, output, target), self.class_axis, self.ignore_index)
        self.nats += float(np.sum(cross_entropies(rows, true)))
        self.tokens += true.size

    def compute(self) -> float:
        """The perplexity over all tokens; NaN before the first one."""
        if not self.tokens:
            return math.nan
        try:
            return math.exp(self.nats / self.tokens)
        except OverflowError:
            return math.inf


def cross_entropies(rows: Array, true: Array) -> Floats:
    """−log of the probability of the right class in each row of logits, as float64.

    >>> cross_entropies(np.array([[0.0, 0.0], [1000.0, 0.0]]), np.array([0, 1])).round(4).tolist()
    [0.6931, 1000.0]
    """
    if not len(rows):
        return np.zeros(0)
    highest = rows.max(axis=1, keepdims=True)
    sums = np.sum(np.exp(rows - highest), axis=1, dtype=np.float64)
    own = np.take_along_axis(rows, true[:, np.newaxis].astype(np.int64), axis=1) - highest
    return np.asarray(np.log(sums) - own[:, 0])


class _OfErrors(Metric):
    """Base of what is made of output − target, which must have one shape: no broadcasting, which is a mistake here."""

    def _errors(self, output: Any, target: Any) -> tuple[Floats, Floats]:
        """Errors and targets in float64, of shape (N, outputs)."""
        answers, true = numbers_of(self.name, output, target)
        if answers.shape != true.shape or not true.ndim:
            raise ShapeError(
                f"{self.name}: output has shape {answers.shape}, target has shape {true.shape}",
                hint="equal shapes; output.reshape(-1) makes (N, 1) to (N,)",
            )
        right = true.astype(np.float64).reshape(len(true), -1)
        return answers.astype(np.float64).reshape(right.shape) - right, right


class MeanAbsoluteError(_OfErrors):
    """The mean of |output − target| over all numbers of all batches.

    >>> metric = MeanAbsoluteError()
    >>> metric.update(np.array([2.5, 0.0, 2.0]), np.array([3.0, -0.5, 2.0]))
    >>> metric.update(np.array([8.0]), np.array([7.0]))
    >>> metric.compute()
    0.5
    """

    name = "mae"

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin an epoch."""
        self.sum, self.count = 0.0, 0

    def update(self, output: Any, target: Any) -> None:
        """Add the errors of a batch."""
        errors, _ = self._errors(output, target)
        self.sum += float(np.abs(errors).sum())
        self.count += errors.size

    def compute(self) -> float:
        """The mean; NaN before the first batch."""
        return self.sum / self.count if self.count else math.nan


class MeanSquaredError(_OfErrors):
    """The mean of (output − target)² over all numbers of all batches.

    Args:
        squared: False for its square root, the root mean squared error.

    >>> metric = MeanSquaredError(squared=False)
    >>> metric.update(np.array([3.0, 0.0]), np.array([0.0, 0.0]))
    >>> metric.update(np.array([3.0, 0.0]), np.array([0.0, 0.0]))
    >>> metric.name, round(metric.compute(), 4)
    ('rmse', 2.1213)
    """

    def __init__(self, squared: bool = True) -> None:
        self.squared = squared
        self.name = "mse" if squared else "rmse"
        self.reset()

    def reset(self) -> None:
        """Begin an epoch."""
        self.sum, self.count = 0.0, 0

    def update(self, output: Any, target: Any) -> None:
        """Add the squared errors of a batch."""
        errors, _ = self._errors(output, target)
        self.sum += float(np.square(errors).sum())
        self.count += errors.size

    def compute(self) -> float:
        """The mean, or its root; NaN before the first batch."""
        if not self.count:
            return math.nan
        mean = self.sum / self.count
        return mean if self.squared else math.sqrt(mean)


class R2Score(_OfErrors):
    """The share of the targets' variance that is explained, see `r2_score`; the mean over several outputs.

    >>> metric = R2Score()
    >>> metric.update(np.array([2.5, 0.0, 2.0]), np.array([3.0, -0.5, 2.0]))
    >>> metric.update(np.array([8.0]), np.array([7.0]))
    >>> round(metric.compute(), 4)
    0.9486
    """

    name = "r2"

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin an epoch."""
        self.count = 0
        self.mean = self.variation = self.unexplained = np.zeros(1)

    def update(self, output: Any, target: Any) -> None:
        """Add the squared errors of a batch, and the squared distances of its targets from their common mean.

        The distances of two sets of numbers are put together after Chan, Golub and LeVeque (1979), as the difference of
        sums of squares would lose the digits of targets far from 0.
        """
        errors, true = self._errors(output, target)
        if not len(true):
            return
        mean = true.mean(axis=0)
        apart = mean - self.mean
        total = self.count + len(true)
        between = apart**2 * (self.count * len(true) / total)
        self.variation = self.variation + np.square(true - mean).sum(axis=0) + between
        self.mean = self.mean + apart * (len(true) / total)
        self.unexplained = self.unexplained + np.square(errors).sum(axis=0)
        self.count = total

    def compute(self) -> float:
        """R² over all batches; NaN for fewer than two examples."""
        return float(explained(self.unexplained, self.variation).mean()) if self.count > 1 else math.nan
