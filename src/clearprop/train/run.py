"""A training run: its parts, where it stands, and all of that as a state that can be saved and gone on from."""

from __future__ import annotations

import copy
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import islice
from typing import Any, Literal, TypeAlias

import numpy as np

from clearprop.arguments import one_of, whole
from clearprop.errors import DivergenceError, UsageError
from clearprop.nn import Module
from clearprop.optim import Optimizer
from clearprop.optim.lr_scheduler import LRScheduler, OneCycleLR, ReduceLROnPlateau
from clearprop.random import Generator, default_generator
from clearprop.train import identity
from clearprop.train.accumulating import GradientSums
from clearprop.train.callbacks import Callback
from clearprop.train.figures import VALIDATION, better
from clearprop.train.health import Health
from clearprop.train.history import History
from clearprop.train.metrics import AnyMetric, Mean, make_metrics
from clearprop.train.progress import Progress

Batches: TypeAlias = Iterable[Any]
Each: TypeAlias = Literal["epoch", "step"]


@dataclass
class Position:
    """Where a run stands.

    Args:
        epoch: epochs that are done.
        batch: batches of the present epoch that have been trained with; several may make one update.
        step: updates of the weights since the run began.
        examples: examples of the present epoch that have been trained with.
        trained: all batches of the present epoch have been trained with; what is left of it is the validation.
        lr: the learning rate at the beginning of the present epoch.
        seconds: that the present epoch has taken before the run was interrupted.
        training_seconds: that its training has taken, once it is done.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    examples: int = 0
    trained: bool = False
    lr: float = math.nan
    seconds: float = 0.0
    training_seconds: float = 0.0


class Run:
    """One call of `fit`: what it was given, and where it stands. Callbacks see it.

    Attributes:
        model, optimizer, scheduler, data, validation, loss, epochs: as they were given to `fit`.
        validated: the network that is measured after each epoch: the model, unless a callback puts another here in its
            ``on_fit_begin``.
        callbacks: as they were given, but for `health`.
        health: what looks at the network's health; None for nothing.
        history: the record, with one row for each epoch that is done.
        position: where the run stands.
        loss_of_step: the loss of the last step.
    """

    def __init__(
        self,
        model: Module,
        data: Batches,
        *,
        loss: Callable[[Any, Any], Any],
        optimizer: Optimizer,
        epochs: int,
        validation: Batches | None = None,
        metrics: Iterable[AnyMetric] = (),
        callbacks: Sequence[Callback] = (),
        scheduler: LRScheduler | None = None,
        schedule: Each = "epoch",
        monitor: str = "val_loss",
        clip_grad_norm: float | None = None,
        accumulate: int = 1,
        history: History | str | os.PathLike[str] | None = None,
        health: bool = True,
        compile: bool | None = None,
    ) -> None:
        self.model, self.data, self.validation = model, data, validation
        self.loss, self.optimizer, self.epochs = loss, optimizer, epochs
        self.scheduler, self.schedule, self.monitor = scheduler, schedule, monitor
        self.clip_grad_norm, self.accumulate, self.compile = clip_grad_norm, accumulate, compile
        self.validated = model
        given = _listed(callbacks)
        self.callbacks = [callback for callback in given if not isinstance(callback, Health)]
        self.health = _health([callback for callback in given if isinstance(callback, Health)], health)
        self.history = history if isinstance(history, History) else History(type(model).__name__, path=history)
        self.position = Position()
        self.loss_of_step = float("nan")
        self.mean_loss = Mean("loss")
        self.metrics = make_metrics(metrics)
        self.validation_loss = Mean("loss")
        self.validation_metrics = copy.deepcopy(self.metrics)
        self.progress = Progress(epochs, show=False)
        self.epoch_began = time.perf_counter()
        self._began, self._seconds_before = time.perf_counter(), 0.0
        self._identity: identity.Words = {}

    # What callbacks may ask for -----------------------------------------------------------------------------------

    def stop(self, reason: str) -> None:
        """End the training after this epoch. The reason is shown in the summary and in the report."""
        self.history.stop_reason = reason

    def note(self, text: str) -> None:
        """Show a line beside the progress bar."""
        self.progress.note(text)

    @property
    def epoch(self) -> int:
        """The number of the present epoch, from 1."""
        return self.position.epoch + 1

    @property
    def learning_rate(self) -> float:
        """Of the first group of parameters."""
        return float(self.optimizer.param_groups[0]["lr"])

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to train."""
        return self.position.epoch >= self.epochs or bool(self.history.stop_reason)

    # What the loop asks for ---------------------------------------------------------------------------------------

    @cached_property
    def gradient_sums(self) -> GradientSums | None:
        """Of the batches that make an update together; None if each makes its own."""
        return GradientSums(self.optimizer.state) if self.accumulate > 1 else None

    @property
    def listeners(self) -> list[Callback]:
        """All that is to be told how it goes on."""
        return [*([] if self.health is None else [self.health]), *self.callbacks]

    def remaining_batches(self) -> Iterator[Any]:
        """The batches of this epoch that have not been trained with."""
        if hasattr(self.data, "load_state_dict"):
            return iter(self.data)  # it knows by itself where it was
        return islice(self.data, self.position.batch, None)

    def figures(self) -> dict[str, float]:
        """Loss and metrics of this epoch, up to now; nothing before its first batch."""
        if not self.position.batch:
            return {}
        return {metric.name: metric.compute() for metric in (self.mean_loss, *self.metrics)}

    def validation_figures(self) -> dict[str, float]:
        """The same of the validation."""
        return {metric.name: metric.compute() for metric in (self.validation_loss, *self.validation_metrics)}

    def begin_epoch(self) -> None:
        """Set all sums of the epoch to zero."""
        for metric in (self.mean_loss, *self.metrics):
            metric.reset()
        self.position = Position(epoch=self.position.epoch, step=self.position.step, lr=self.learning_rate)
        self.epoch_began = time.perf_counter()

    def step_schedule(self, row: Mapping[str, float]) -> None:
        """Let the schedule go on after an epoch; one that waits for a figure is given that of the epoch's row."""
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step(row[self.monitor])
        elif self.scheduler is not None:
            self.scheduler.step()

    def seconds_of_epoch(self) -> float:
        """How long this epoch has taken up to now, not counting an interruption."""
        return self.position.seconds + time.perf_counter() - self.epoch_began

    def record_time(self) -> None:
        """Note in the history how long the run has taken up to now, not counting interruptions."""
        self.history.seconds = self._seconds()

    def check_weights(self) -> None:
        """Raise DivergenceError if a parameter or buffer is NaN or infinite."""
        for name, tensor in self.model.state_dict().items():
            array = np.asarray(tensor.array)
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise diverged(f"{name} is no longer finite after step {self.position.step:,}", self)

    # The state ----------------------------------------------------------------------------------------------------

    def identify(self) -> None:
        """Look at what the run is made of, before it changes: a checkpoint will name it."""
        scheduled = frozenset() if self.scheduler is None else self.scheduler.sets
        self._identity = {
            **identity.of_model(self.model),
            **identity.of_objects([self.loss], "loss"),
            **identity.of_optimizer(self.optimizer, scheduled),
            **identity.of_scheduler(self.scheduler, self.schedule, self.monitor),
            "clip_grad_norm": str(self.clip_grad_norm),
            **({"accumulate": str(self.accumulate)} if self.accumulate > 1 else {}),
            **identity.of_data(self.data, "data"),
            **identity.of_data(self.validation, "validation"),
            "metrics": ", ".join(metric.name for metric in self.metrics) or "none",
            **identity.of_objects(self.callbacks, "callbacks"),
        }

    def state_dict(self) -> dict[str, Any]:
        """Everything that going on exactly needs.

        Raises:
            DivergenceError: the weights are not finite, and nobody would want to go on from them.
        """
        self.check_weights()
        return {
            "identity": self._identity,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
            "generators": {name: one.state_dict() for name, one in generators(self.model).items()},
            "data": _loader_state(self.data),
            "validation": _at_its_start(_loader_state(self.validation)),
            "position": asdict(self.position) | {"seconds": self.seconds_of_epoch()},
            "gradient_sums": None if self.gradient_sums is None else self.gradient_sums.state_dict(),
            "sums": [metric.state_dict() for metric in (self.mean_loss, *self.metrics)],
            "callbacks": [callback.state_dict() for callback in self.callbacks],
            "health": None if self.health is None else self.health.state_dict(),
            "history": {**self.history.to_dict(), "seconds": self._seconds()},
        }

    def load_state_dict(self, state: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
        """Go on where a saved run was.

        Raises:
            UsageError: it was made of something else; then nothing is changed.
        """
        identity.check_same(path, state["identity"], self._identity)
        position, history = Position(**state["position"]), History.from_dict(state["history"])
        history.path = self.history.path
        history.check_path()
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])
        for name, generator in generators(self.model).items():
            generator.load_state_dict(state["generators"][name])
        for loader, saved in ((self.data, state["data"]), (self.validation, state["validation"])):
            if saved is not None:
                loader.load_state_dict(saved)  # type: ignore[union-attr]
        if self.gradient_sums is not None:
            self.gradient_sums.load_state_dict(state["gradient_sums"])
        for metric, saved in zip((self.mean_loss, *self.metrics), state["sums"], strict=True):
            metric.load_state_dict(saved)
        for callback, saved in zip(self.callbacks, state["callbacks"], strict=True):
            callback.load_state_dict(saved)
        if self.health is not None and state.get("health") is not None:  # it decides nothing: it may come and go
            self.health.load_state_dict(state["health"])
        self.position, self._seconds_before = position, history.seconds
        vars(self.history).update(vars(history), seconds=0.0)  # the caller may hold on to the object
        self._began = self.epoch_began = time.perf_counter()

    def setup(self) -> dict[str, str]:
        """What the run is made of, for its record: what the checkpoint names, without each single array."""
        arrays = {f"model.{name}" for name in self.model.state_dict()}
        words = {name: text for name, text in self._identity.items() if name not in arrays}
        return {"epochs": str(self.epochs), **words}

    def _seconds(self) -> float:
        return self._seconds_before + time.perf_counter() - self._began


def generators(model: Module) -> dict[str, Generator]:
    """All sources of random numbers that training draws from: the default one, and those that modules own."""
    found = {"default": default_generator}
    for path, module in model.named_modules():
        for name, member in vars(module).items():
            if isinstance(member, Generator) and member is not default_generator:
                found[f"model.{path}.{name}"] = member
    return found


def diverged(what: str, run: Run, beginning: str = "", advice: str = "") -> DivergenceError:
    """The error of a training that has left the numbers.

    Args:
        beginning: where the first NaN comes from, if that is known.
        advice: what to try there.
    """
    more = f"\n{beginning}" if beginning else ""
    usual = "a smaller learning rate, or clip_grad_norm=1.0; cp.check_gradients if a rule of your own is involved"
    return DivergenceError(
        f"fit: {what} (epoch {run.epoch}, lr {run.learning_rate:g}); it was not saved{more}",
        hint=f"{advice}; {usual}" if advice else usual,
    )


def _listed(callbacks: Any) -> list[Callback]:
    if not isinstance(callbacks, Iterable):
        name = getattr(callbacks, "__name__", type(callbacks).__name__)
        raise UsageError(f"fit: callbacks is {name}, not a list", hint="callbacks=[train.EarlyStopping()]")
    return list(callbacks)


def _health(given: Sequence[Health], wanted: bool) -> Health | None:
    """What looks at the health: the one among the callbacks, else one of its own if that is wanted."""
    if len(given) > 1:
        raise UsageError(f"fit: {len(given)} Health callbacks", hint="one; it looks at the whole network")
    return given[0] if given else Health() if wanted else None


def check_arguments(run: Any) -> None:
    """Raise UsageError for arguments that make no run."""
    if not isinstance(run.model, Module):
        raise UsageError(f"fit: the model is a {type(run.model).__name__}", hint="an nn.Module")
    if not isinstance(run.epochs, int) or run.epochs < 0:
        raise UsageError(f"fit: epochs is {run.epochs!r}", hint="a whole number, such as 10")
    if not callable(run.loss) or isinstance(run.loss, type):
        name = getattr(run.loss, "__name__", repr(run.loss))
        raise UsageError(
            f"fit: the loss is {name}", hint="loss=nn.CrossEntropyLoss(), or f(output, target) of your own"
        )
    if not isinstance(run.optimizer, Optimizer):
        name = getattr(run.optimizer, "__name__", repr(run.optimizer))
        raise UsageError(f"fit: the optimizer is {name}", hint="optimizer=optim.AdamW(model.parameters())")
    if run.scheduler is not None and not hasattr(run.scheduler, "optimizer"):
        raise UsageError(
            f"fit: the scheduler is {run.scheduler!r}", hint="optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=10)"
        )
    one_of("fit", "schedule", run.schedule, "epoch", "step")
    whole("fit", "accumulate", run.accumulate)
    if run.scheduler is not None and run.scheduler.optimizer is not run.optimizer:
        raise UsageError("fit: the scheduler is that of another optimizer", hint="make it with this optimizer")
    if isinstance(run.scheduler, ReduceLROnPlateau):
        _check_plateau(run, run.scheduler)
    if isinstance(run.scheduler, OneCycleLR):
        _check_cycle(run, run.scheduler)
    for callback in run.callbacks:
        if not isinstance(callback, Callback):
            name = getattr(callback, "__name__", type(callback).__name__)
            hint = f"{name}()" if isinstance(callback, type) else "an object of a subclass of train.Callback"
            raise UsageError(f"fit: {name} is not a callback", hint=hint)
    own = {id(parameter) for parameter in run.model.parameters()}
    if not any(id(parameter) in own for group in run.optimizer.param_groups for parameter in group["params"]):
        raise UsageError(
            "fit: the optimizer trains none of the model's parameters", hint="optim.AdamW(model.parameters())"
        )


def _check_cycle(run: Run, scheduler: OneCycleLR) -> None:
    """Raise UsageError if the cycle is shorter than the run: it would end with an error on the way."""
    each = 1
    if run.schedule == "step":
        if not isinstance(run.data, Sized):
            return
        each = math.ceil(len(run.data) / run.accumulate)
    steps = run.epochs * each
    if steps > scheduler.total_steps:
        raise UsageError(
            f"fit: OneCycleLR has {scheduler.total_steps} steps; the run has {steps}",
            hint=f"total_steps={steps}, one for each {'update' if run.schedule == 'step' else 'epoch'}",
        )


def _check_plateau(run: Run, scheduler: ReduceLROnPlateau) -> None:
    """Raise UsageError if a schedule that waits for a figure would get none, or one that it does not understand."""
    if run.schedule != "epoch":
        raise UsageError("fit: ReduceLROnPlateau looks at the figures of epochs", hint='schedule="epoch"')
    names = ["loss", *(metric.name for metric in run.metrics)]
    known = [*names, *(VALIDATION + name for name in names if run.validation is not None)]
    if run.monitor not in known:
        lacks_data = run.validation is None and run.monitor.removeprefix(VALIDATION) in names
        raise UsageError(
            f"fit: ReduceLROnPlateau is to look at {run.monitor!r}; the figures of this run are {', '.join(known)}",
            hint="fit(..., validation=...)" if lacks_data else f"monitor={known[-1]!r}, or metrics=[...] for others",
        )
    direction = better(run.monitor)
    if direction is not None and direction != scheduler.mode:
        raise UsageError(
            f"fit: ReduceLROnPlateau has mode={scheduler.mode!r}, but of {run.monitor!r} "
            f"{'more' if direction == 'max' else 'less'} is better",
            hint=f"mode={direction!r}",
        )


def _loader_state(data: Any) -> Any:
    return data.state_dict() if hasattr(data, "load_state_dict") else None


def _at_its_start(loader_state: Any) -> Any:
    """A validation is not gone on with in its middle, but done again."""
    return None if loader_state is None else {**loader_state, "position": 0}
