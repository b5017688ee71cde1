"""Early stopping: end the training when the validation gets no better, and go back to the best weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from clearprop.arguments import is_whole, number
from clearprop.errors import UsageError
from clearprop.tensor import Tensor
from clearprop.train.callbacks import Callback
from clearprop.train.figures import better

if TYPE_CHECKING:
    from clearprop.train.run import Run


class EarlyStopping(Callback):
    """Stop when a figure has not become better for `patience` epochs; then give the network its best weights back.

    That is the network which is measured: with `AverageWeights(ema, validate=True)` the average.

    Args:
        monitor: the column of the history to watch.
        patience: epochs to wait for a better value; None to train all epochs, and only go back to the best weights.
        min_delta: a value must be better by more than this to count.
        mode: "min" where less is better, "max" where more is; by default "max" for accuracy, precision,
            recall, f1, auc, r2 and what is named score, else "min".
        restore_best: False to keep the weights of the last epoch.

    >>> EarlyStopping("val_accuracy", patience=3).mode
    'max'
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int | None = 5,
        *,
        min_delta: float = 0.0,
        mode: Literal["min", "max"] | None = None,
        restore_best: bool = True,
    ) -> None:
        if not isinstance(monitor, str):
            raise UsageError(f"EarlyStopping: monitor is {monitor!r}", hint='the name of a figure, such as "val_loss"')
        number("EarlyStopping", "min_delta", min_delta, 0.0)
        if patience is not None and (not is_whole(patience) or patience < 1):
            raise UsageError(f"EarlyStopping: patience is {patience!r}", hint="at least 1, or None to train all epochs")
        if mode not in (None, "min", "max"):
            raise UsageError(f"EarlyStopping: mode is {mode!r}", hint='"min" or "max"')
        self.monitor = monitor
        self.patience = patience
        self.min_delta = min_delta
        self.mode = mode or (better(monitor) or "min")
        self.restore_best = restore_best
        self._best, self._waited = self._worst, 0
        self._weights: dict[str, Tensor] = {}

    def on_fit_begin(self, run: Run) -> None:
        """Forget what an earlier run has left."""
        self._best, self._waited, self._weights = self._worst, 0, {}

    def on_epoch_end(self, run: Run) -> None:
        """Keep the weights if they are the best so far; else wait, and at last stop."""
        value = self._value(run)
        if self._is_better(value):
            self._best, self._waited = value, 0
            self._weights = run.validated.state_dict() if self.restore_best else {}
            run.history.best_epoch, run.history.monitor = len(run.history.epochs), self.monitor
            return
        self._waited += 1
        if self.patience is not None and self._waited >= self.patience:
            epochs = f"{self.patience} epoch{'' if self.patience == 1 else 's'}"
            run.stop(f"stopped early, as {self.monitor} was not better for {epochs}")

    def on_fit_end(self, run: Run) -> None:
        """Give the network its best weights back."""
        if self._weights:
            run.validated.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        """The best value and its weights, and for how long there has been none better."""
        return {"best": self._best, "waited": self._waited, "weights": self._weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self._best, self._waited = state["best"], state["waited"]
        self._weights = {name: Tensor(array) for name, array in state["weights"].items()}

    @property
    def _worst(self) -> float:
        return math.inf if self.mode == "min" else -math.inf

    def _is_better(self, value: float) -> bool:
        if self.mode == "min":
            return value < self._best - self.min_delta
        return value > self._best + self.min_delta

    def _value(self, run: Run) -> float:
        row = run.history.epochs[-1]
        if self.monitor not in row:
            others = ", ".join(name for name in row if name != "epoch")
            raise UsageError(
                f"EarlyStopping: the history has no column {self.monitor!r}; it has {others}",
                hint="fit(..., validation=...) for figures of validation, metrics=[...] for others",
            )
        return row[self.monitor]
