"""Figures over an epoch, added up batch by batch: the base class, and the mean of a function of batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from clearprop.errors import UsageError

MetricFunction: TypeAlias = Callable[[Any, Any], Any]


class Metric:
    """Base of metrics: begun anew for each epoch, told of every batch, asked at the end (and whenever it is shown).

    Attributes:
        name: of its column. The last word says how it is read: see `clearprop.train.figures`. One that ends in
            "accuracy" is a share of 1, is shown in percent, and more of it is better.

    What it adds up must be numbers and arrays among its attributes: a checkpoint in the middle of an epoch keeps these.

    >>> class Answers(Metric):
    ...     name = "answers"
    ...     def reset(self):
    ...         self.count = 0
    ...     def update(self, output, target):
    ...         self.count += len(target)
    ...     def compute(self):
    ...         return float(self.count)
    """

    name = "metric"

    def reset(self) -> None:
        """Begin an epoch."""
        raise NotImplementedError

    def update(self, output: Any, target: Any) -> None:
        """Take a batch into account: what the network gave, and what is right."""
        raise NotImplementedError

    def compute(self) -> float:
        """The figure over all batches since `reset`; NaN where there is none."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """What has been added up, for a checkpoint."""
        return dict(vars(self))

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on adding where a saved metric was."""
        vars(self).update(state)


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
            value = self._function(output, target)
            try:
                figure = float(value)
            except (TypeError, ValueError):
                raise UsageError(
                    f"the metric {self.name} gave a {type(value).__name__} for a batch", hint="one number: its mean"
                ) from None
            self.add(figure, len(target))

    def compute(self) -> float:
        """The mean over all examples; NaN before the first batch."""
        return self._sum / self._examples if self._examples else float("nan")

    def state_dict(self) -> dict[str, Any]:
        """Sum and count."""
        return {"sum": self._sum, "examples": self._examples}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with a saved sum and count."""
        self._sum, self._examples = state["sum"], state["examples"]
