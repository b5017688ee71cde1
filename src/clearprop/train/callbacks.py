"""Callbacks: what else is to happen while `fit` trains. Subclass `Callback`, and write the methods you need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from clearprop.train.run import Run


class Callback:
    """Base of callbacks; every method does nothing.

    The methods are given the `Run`: its model, optimizer, history, where it stands, and `Run.stop`. The examples of
    one epoch are trained, then validated; then its row is added to the history; then ``on_epoch_end`` is called.

    Attributes:
        reads_gradients: whether its ``on_step_end`` looks at gradients. A compiled step keeps them only for that; say
            ``reads_gradients = False`` in a class that does not.

    >>> class PrintLoss(Callback):
    ...     def on_epoch_end(self, run):
    ...         print(run.history.epochs[-1]["loss"])
    """

    reads_gradients: ClassVar[bool] = True

    def on_fit_begin(self, run: Run) -> None:
        """Before the first step; of a resumed run, before the first one that is still to be done."""

    def on_epoch_begin(self, run: Run) -> None:
        """Before the first step of an epoch; not of an epoch that is resumed in its middle."""

    def on_epoch_trained(self, run: Run) -> None:
        """After the last step of an epoch, before its validation."""

    def on_step_end(self, run: Run) -> None:
        """After each update of the weights; `Run.loss_of_step` is its loss."""

    def on_epoch_end(self, run: Run) -> None:
        """After each epoch; its figures are ``run.history.epochs[-1]``."""

    def on_fit_end(self, run: Run) -> None:
        """When training has ended by itself; not after an error or Ctrl-C. The checkpoint has been written before."""

    def state_dict(self) -> dict[str, Any]:
        """What must be kept for a resumed run to go on as if it had not been interrupted: numbers, texts, arrays."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave."""


def overrides(callback: Callback, method: str) -> bool:
    """Whether a callback does something there; what does nothing need not be called at every step."""
    return getattr(type(callback), method) is not getattr(Callback, method)
