"""Figures over an epoch, added up batch by batch: nothing of a batch is kept.

A metric is a `Metric` object, or a plain function ``f(output, target)`` that gives the mean over one batch; of that the
mean over all examples is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np

from clearprop.errors import ShapeError, UsageError
from clearprop.tensor import Tensor

MetricFunction: TypeAlias = Callable[[Any, Any], Any]


class Metric:
    """Base of metrics: begun anew for each epoch, told of every batch, asked at the end (and whenever it is shown).

    Attributes:
        name: of its column; one that ends in "accuracy" is a share of 1, is shown in percent, and more of it is better.

    What it adds up must be numbers and arrays among its attributes: a checkpoint in the middle of an epoch keeps these.
    """

    name = "metric"

    def reset(self) -> None:
        """Begin an epoch."""
        raise NotImplementedError

    def update(self, output: Any, target: Any) -> None:
        """Take a batch into account: what the network gave, and what is right."""
        raise NotImplementedError

    def compute(self) -> float:
        """The figure over all batches since `reset`."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """What has been added up, for a checkpoint."""
        return dict(vars(self))

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on adding where a saved metric was."""
        vars(self).update(state)


class Accuracy(Metric):
    """The share of right answers.

    With classes, output has scores of shape (N, classes, …) and target the right classes, integers of shape (N, …).
    With two classes and one score each, output has logits of target's own shape: above 0 means class 1.

    >>> accuracy = Accuracy()
    >>> accuracy.reset()
    >>> accuracy.update(np.array([[0.1, 0.9], [0.8, 0.2]]), np.array([1, 1]))
    >>> accuracy.update(np.array([[0.3, 0.7]]), np.array([1]))
    >>> accuracy.right, accuracy.total, round(accuracy.compute(), 3)
    (2, 3, 0.667)
    """

    name = "accuracy"

    def __init__(self) -> None:
        self.right = 0
        self.total = 0

    def reset(self) -> None:
        """Begin an epoch."""
        self.right = self.total = 0

    def update(self, output: Any, target: Any) -> None:
        """Count the right answers of a batch."""
        right = _is_right(_array(output), _array(target))
        self.right += int(np.count_nonzero(right))
        self.total += right.size

    def compute(self) -> float:
        """Right answers by answers; NaN before the first batch."""
        return self.right / self.total if self.total else float("nan")


class Mean(Metric):
    """The mean over all examples of a figure that is known as the mean over each batch.

    >>> mean = Mean("loss")
    >>> mean.add(1.0, examples=3)
    >>> mean.add(2.0, examples=1)
    >>> mean.compute()
    1.25
    """

    def __init__(self, name: str, function: MetricFunction | None = None) -> None:
        self.name = name
        self._function = function
        self.reset()

    def reset(self) -> None:
        """Begin an epoch."""
        self._sum = 0.0
        self._examples = 0

    def add(self, value: float, examples: int) -> None:
        """Take into account a batch whose figure is known already."""
        self._sum += value * examples
        self._examples += examples

    def update(self, output: Any, target: Any) -> None:
        """Take a batch into account."""
        if self._function is not None:
            self.add(float(self._function(output, target)), len(target))

    def compute(self) -> float:
        """The mean over all examples; NaN before the first batch."""
        return self._sum / self._examples if self._examples else float("nan")

    def state_dict(self) -> dict[str, Any]:
        """Sum and count."""
        return {"sum": self._sum, "examples": self._examples}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with a saved sum and count."""
        self._sum, self._examples = state["sum"], state["examples"]


def accuracy(output: Any, target: Any) -> float:
    """The share of right answers in one batch, see `Accuracy`.

    >>> accuracy(np.array([[0.1, 0.9], [0.8, 0.2]]), np.array([1, 1]))
    0.5
    """
    metric = Accuracy()
    metric.update(output, target)
    return metric.compute()


def make_metrics(metrics: Iterable[Metric | MetricFunction]) -> list[Metric]:
    """The metrics as objects.

    Raises:
        UsageError: something that is neither, two of one name, or one named "loss".
    """
    if isinstance(metrics, Metric) or not isinstance(metrics, Iterable):
        raise UsageError("fit: metrics is not a list", hint="metrics=[train.accuracy]")
    made = [_make_metric(metric) for metric in metrics]
    names = [metric.name for metric in made]
    for name in names:
        if name == "loss" or names.count(name) > 1:
            raise UsageError(f"fit: there would be two columns named {name!r}", hint="give the metric another name")
    return made


def _make_metric(metric: Any) -> Metric:
    if isinstance(metric, Metric):
        return metric
    if metric is accuracy:
        return Accuracy()  # counts, so that 350 of 355 is just that
    if isinstance(metric, type) or not callable(metric):
        name = getattr(metric, "__name__", repr(metric))
        hint = f"{name}()" if isinstance(metric, type) else "metrics=[train.accuracy], or f(output, target) of your own"
        raise UsageError(f"fit: {name} is not a metric", hint=hint)
    return Mean(getattr(metric, "__name__", type(metric).__name__), metric)


def _is_right(output: np.ndarray[Any, Any], target: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if output.ndim == target.ndim + 1 and (output.shape[0], *output.shape[2:]) == target.shape:
        return np.asarray(output.argmax(axis=1) == target)
    if output.shape == target.shape:
        return np.asarray((output > 0) == (target > 0.5))
    raise ShapeError(
        f"accuracy: output has shape {output.shape}, target has shape {target.shape}",
        hint="output of shape (N, classes) with integer targets of shape (N,), or logits of the targets' own shape",
    )


def _array(value: Any) -> np.ndarray[Any, Any]:
    return np.asarray(value.array if type(value) is Tensor else value)
