"""A callback that averages the weights while a network is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from clearprop.arguments import flag, one_of
from clearprop.errors import UsageError
from clearprop.optim.swa_utils import AveragedModel
from clearprop.train.callbacks import Callback
from clearprop.train.compiling import OfBatches

if TYPE_CHECKING:
    from clearprop.train.run import Run


class AverageWeights(Callback):
    """Take the weights into an average after every step, or after every epoch; a checkpoint keeps the average too.

    Args:
        averaged: the network with the averages, made of the model that is trained. Afterwards it is in evaluation mode.
        each: "step", usual for exponential averages; "epoch", usual for equal weights.
        validate: measure the average after each epoch, and not the network that is trained; `EarlyStopping` then gives
            the average its best weights back.

    Raises:
        UsageError: that is no `AveragedModel`, or it was made of another network.

    >>> from clearprop import data, nn, optim, train
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    >>> ema = optim.swa_utils.AveragedModel(model, multi_avg_fn=optim.swa_utils.get_ema_multi_avg_fn(0.9))
    >>> history = train.fit(
    ...     model,
    ...     data.DataLoader(data.digits("train"), batch_size=128),
    ...     loss=nn.CrossEntropyLoss(),
    ...     optimizer=optim.AdamW(model.parameters()),
    ...     epochs=1,
    ...     callbacks=[train.AverageWeights(ema)],
    ...     progress=False,
    ... )
    >>> ema.n_averaged.item() == history.epochs[-1]["epoch"] * 12
    True
    """

    reads_gradients = False

    def __init__(
        self, averaged: AveragedModel, each: Literal["step", "epoch"] = "step", *, validate: bool = False
    ) -> None:
        if not isinstance(averaged, AveragedModel):
            raise UsageError(
                f"AverageWeights: {averaged!r} averages nothing", hint="optim.swa_utils.AveragedModel(model)"
            )
        one_of("AverageWeights", "each", each, "step", "epoch")
        self.averaged = averaged
        self.each = each
        self.validate = flag("AverageWeights", "validate", validate)
        self._take_in: OfBatches | None = None

    def on_fit_begin(self, run: Run) -> None:
        """Have the average measured, if that is wanted."""

        def take_in() -> None:
            self.averaged.update_parameters(run.model)

        self._take_in = OfBatches(take_in, compile=run.compile, note=run.note)
        if self.validate:
            run.validated = self.averaged

    def on_step_end(self, run: Run) -> None:
        """Take in the weights."""
        if self.each == "step" and self._take_in is not None:
            self._take_in()

    def on_epoch_trained(self, run: Run) -> None:
        """Take in the weights."""
        if self.each == "epoch" and self._take_in is not None:
            self._take_in()

    def on_fit_end(self, run: Run) -> None:
        """The averages can be used at once, like the trained network."""
        self.averaged.eval()

    def state_dict(self) -> dict[str, Any]:
        """The averages, and of how many weights they are."""
        return {"averaged": self.averaged.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self.averaged.load_state_dict(state["averaged"])
