"""A schedule that waits for a figure, such as the validation loss, to get no better."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

from clearprop.arguments import one_of, whole
from clearprop.errors import UsageError
from clearprop.optim.lr_scheduler.base import LRScheduler, check_optimizer, for_each_group, number
from clearprop.optim.optimizer import Optimizer


class ReduceLROnPlateau(LRScheduler):
    """Times a factor after ``patience`` epochs in which a figure did not get better: ``scheduler.step(figure)``.

    Args:
        mode: "min" for a figure that is to fall, such as a loss; "max" for one that is to rise.
        factor: by which the learning rates are multiplied.
        patience: so many epochs without getting better are let pass; after one more the rates are reduced.
        threshold: by how much better counts.
        threshold_mode: "rel", as a share of the best figure; "abs", as a difference.
        cooldown: so many epochs after a reduction are not counted.
        min_lr: no rate goes below it; or a list of one for each group.
        eps: reductions by no more than this are left out.

    Attributes:
        best: the best figure up to now.
        num_bad_epochs: epochs since, without those of a cooldown.

    >>> import clearprop as cp
    >>> from clearprop import optim
    >>> optimizer = optim.SGD([cp.Parameter([1.0])], lr=1.0)
    >>> scheduler = optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    >>> for loss in (3.0, 2.0, 2.0, 2.0):
    ...     scheduler.step(loss)
    >>> scheduler.get_last_lr()
    [0.5]
    """

    counted = ("best", "num_bad_epochs", "cooldown_counter")

    def __init__(
        self,
        optimizer: Optimizer,
        mode: Literal["min", "max"] = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: Literal["rel", "abs"] = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0.0,
        eps: float = 1e-8,
    ) -> None:
        name = "ReduceLROnPlateau"
        check_optimizer(name, optimizer)
        one_of(name, "mode", mode, "min", "max")
        one_of(name, "threshold_mode", threshold_mode, "rel", "abs")
        self.factor = number(name, "factor", factor)
        if factor >= 1.0:
            raise UsageError(f"{name}: factor={factor}", hint="a number below 1: factor=0.1")
        self.patience = whole(name, "patience", patience, 0)
        self.cooldown = whole(name, "cooldown", cooldown, 0)
        self.threshold = number(name, "threshold", threshold)
        self.eps = number(name, "eps", eps)
        self.mode, self.threshold_mode = mode, threshold_mode
        self.min_lrs = for_each_group(name, "min_lr", min_lr, optimizer)
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = 0
        self.cooldown_counter = 0
        super().__init__(optimizer)

    def get_lr(self) -> list[float]:
        """The present rates: this schedule does not begin with a change."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def step(self, metrics: Any = None) -> None:
        """Look at the figure of an epoch.

        Args:
            metrics: the figure, a number or a tensor of one element.

        Raises:
            UsageError: there is no figure.
        """
        figure = _number(metrics)
        if self._is_better(figure):
            self.best, self.num_bad_epochs = figure, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        reduced = self.num_bad_epochs > self.patience
        if reduced:
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        super().step()
        if reduced:
            self.set_lr([self._reduced(rate, low) for rate, low in zip(self.get_lr(), self.min_lrs, strict=True)])

    def _reduced(self, rate: float, lowest: float) -> float:
        new = max(rate * self.factor, lowest)
        return new if rate - new > self.eps else rate

    def _is_better(self, figure: float) -> bool:
        sign = -1.0 if self.mode == "min" else 1.0
        relative = self.threshold_mode == "rel"
        needed = self.best * (1.0 + sign * self.threshold) if relative else self.best + sign * self.threshold
        return figure < needed if self.mode == "min" else figure > needed


def _number(metrics: Any) -> float:
    try:
        return float(metrics.item() if hasattr(metrics, "item") else metrics)
    except (TypeError, ValueError):
        raise UsageError(
            f"ReduceLROnPlateau: step({'' if metrics is None else repr(metrics)}) is given no figure",
            hint="scheduler.step(validation_loss)",
        ) from None
