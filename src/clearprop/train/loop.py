"""The training loop: `fit` trains a network, shows how it goes, and can be killed at any moment and gone on with."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence, Sized
from typing import Any

from clearprop.nn import Module
from clearprop.nn.summarizing import summarize
from clearprop.optim import Optimizer
from clearprop.optim.lr_scheduler import LRScheduler
from clearprop.random import default_generator
from clearprop.train import checks
from clearprop.train.callbacks import Callback, overrides
from clearprop.train.checkpoint import Checkpoint, read_state
from clearprop.train.compiling import OfBatches, worth_compiling
from clearprop.train.figures import VALIDATION
from clearprop.train.history import History
from clearprop.train.interruption import Interruption, TrainingInterrupted
from clearprop.train.metrics import AnyMetric
from clearprop.train.modes import evaluating
from clearprop.train.progress import Progress
from clearprop.train.records import Layer
from clearprop.train.run import Batches, Each, Run, check_arguments, generators
from clearprop.train.step import Step


def fit(
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
    checkpoint: str | os.PathLike[str] | Checkpoint | None = None,
    resume: str | os.PathLike[str] | None = None,
    history: History | str | os.PathLike[str] | None = None,
    health: bool = True,
    compile: bool | None = None,
    progress: bool | Progress = True,
) -> History:
    """Train a network, and leave it in evaluation mode, ready to be used.

    Args:
        model: the network.
        data: batches, each a tuple of inputs and, last, a target: a `DataLoader`, or a list. It is gone through once in
            every epoch.
        loss: ``loss(output, target)``, a scalar, the mean over the batch.
        optimizer: of the model's parameters.
        epochs: how many there are to be; of a resumed run including those that are done.
        validation: batches that are not trained with; the network is measured on them after every epoch.
        metrics: figures beside the loss: names such as "accuracy" (see `train.metrics`), functions
            ``f(output, target)`` that give the mean over a batch, or `Metric` objects.
        callbacks: what else is to happen, such as `EarlyStopping`.
        scheduler: changes the learning rate.
        schedule: whether the scheduler counts epochs or steps, which are updates of the weights.
        monitor: the figure of an epoch that a `ReduceLROnPlateau` looks at.
        clip_grad_norm: the largest norm that the gradients, as one long vector, may have.
        accumulate: of so many batches the gradients make one update, that of a batch as large as all of them. The last
            update of an epoch is made of what is left.
        checkpoint: a file to save the run in after every epoch; with other intervals, a `Checkpoint`.
        resume: a checkpoint to go on from, with everything else as it was then. Unless `checkpoint` names another file,
            it is the one that is written too. The weights and figures will be, to the bit, those of a run that has not
            been interrupted.
        history: a record to fill, with a name and the configuration in it, or a file for a new one, such as
            ``runs/digits/history.jsonl``. A record with a path is written there while it grows.
        health: look at gradients, updates and activations now and then, and say so if something is wrong, see `Health`.
        compile: run each step, forward, backward and update, as one native function. None does if that is possible: not
            for a network that asks for values, as ``if x.sum() > 0`` does, nor if batches have very many shapes. What
            network, loss and optimizer do besides, in Python, is done when a step is compiled, and not in every step.
            The gradients of a step are kept only for callbacks that have an ``on_step_end``.
        progress: show how it goes, on stderr; or a display of your own.

    Returns:
        the record: a row of figures for each epoch, and more.

    Raises:
        DataError: NaN or infinite values, or labels that are no classes, in the arrays behind a loader; no batches.
        UsageError: arguments that do not fit together; a checkpoint of another run (then nothing is changed).
        FileError: a checkpoint cannot be read or written.
        DivergenceError: a loss, a gradient or a weight is no longer finite.
        TraceError: ``compile=True``, and the network asks for values.
        TrainingInterrupted: Ctrl-C; the run has been saved.

    >>> import clearprop as cp
    >>> from clearprop import data, nn, optim, train
    >>> cp.random.seed(0)
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    >>> history = train.fit(
    ...     model,
    ...     data.DataLoader(data.digits("train"), batch_size=32, shuffle=True),
    ...     loss=nn.CrossEntropyLoss(),
    ...     optimizer=optim.AdamW(model.parameters(), lr=0.01),
    ...     epochs=5,
    ...     validation=data.DataLoader(data.digits("test"), batch_size=128),
    ...     metrics=["accuracy"],
    ...     progress=False,
    ... )
    >>> history.epochs[-1]["val_accuracy"] > 0.93
    True
    """
    run = Run(model, data, loss=loss, optimizer=optimizer, epochs=epochs, validation=validation, metrics=metrics,
              callbacks=callbacks, scheduler=scheduler, schedule=schedule, monitor=monitor,
              clip_grad_norm=clip_grad_norm, accumulate=accumulate, history=history, health=health,
              compile=compile)  # fmt: skip
    saving = checkpoint if checkpoint is not None else resume
    if saving is not None and not isinstance(saving, Checkpoint):
        saving = Checkpoint(saving)
    _prepare(run, resume)
    _begin(run, resume)
    display = progress if isinstance(progress, Progress) else Progress(epochs, show=progress)
    with display as run.progress, Interruption(active=saving is not None) as interruption:
        try:
            _Loop(run, saving, interruption).run()
        finally:
            run.record_time()
            model.eval()
    for callback in run.listeners:
        callback.on_fit_end(run)
    run.history.flush()
    return run.history


def _prepare(run: Run, resume: str | os.PathLike[str] | None) -> None:
    """Check what can be checked before anything is changed."""
    check_arguments(run)
    if resume is None:
        run.history.check_path()
    for data, name in ((run.data, "the data"), (run.validation, "the validation data")):
        if data is not None:
            checks.check_loader(data, name)
            checks.check_values(data, name)


def _begin(run: Run, resume: str | os.PathLike[str] | None) -> None:
    run.identify()
    state = None if resume is None else read_state(resume)
    for callback in run.listeners:
        callback.on_fit_begin(run)
    if state is not None and resume is not None:
        run.load_state_dict(state, resume)
    elif run.history.seed is None:
        run.history.seed = default_generator.seed
    run.history.setup = run.setup()


class _Loop:
    """The loop over the epochs and steps of a run."""

    def __init__(self, run: Run, checkpoint: Checkpoint | None, interruption: Interruption) -> None:
        self._run = run
        self._checkpoint = checkpoint
        self._interruption = interruption
        self._after_steps = [one for one in run.listeners if overrides(one, "on_step_end")]
        self._step = Step(run)
        self._measure = OfBatches(self._forward, compile=worth_compiling(run.compile, run.validation), note=run.note)
        self._checked = False
        self._saved: tuple[int, int] | None = None  # where the last checkpoint was

    def run(self) -> None:
        """All epochs that are left."""
        run = self._run
        if run.position.step == 0:
            self._save()
        while not run.finished:
            if run.position.batch == 0 and not run.position.trained:
                run.begin_epoch()
                for callback in run.listeners:
                    callback.on_epoch_begin(run)
            if not run.position.trained:
                self._train_epoch()
            self._end_epoch(self._validate())
            if self._checkpoint is not None and self._checkpoint.due_after_epoch(run.position.epoch):
                self._save()
        if self._saved != (run.position.epoch, run.position.step):
            self._save()

    def _train_epoch(self) -> None:
        run, position, checkpoint = self._run, self._run.position, self._checkpoint
        run.model.train()
        batches = len(run.data) - position.batch if isinstance(run.data, Sized) else None
        run.progress.start_epoch(run.epoch, batches, run.figures)
        for batch in run.remaining_batches():
            inputs, target = checks.split_batch(batch)
            if not self._checked:
                self._check_first(inputs, target)
            examples = len(target)
            done = self._step(inputs, target)
            position.batch += 1
            position.examples += examples
            run.mean_loss.add(done.loss, examples)
            for metric in run.metrics:
                metric.update(done.output, target)
            updated = self._end_batch(done.loss)
            run.progress.advance(examples)
            if checkpoint is not None and (checkpoint.due_after_step(position.step) if updated else checkpoint.is_time):
                self._save()
            if self._interruption.requested:
                self._interrupt()
        if not position.batch:
            raise checks.no_batches("the data")
        if run.gradient_sums is not None and not run.gradient_sums.is_empty:
            self._end_step(self._step.apply())
        for callback in run.listeners:
            callback.on_epoch_trained(run)
        position.trained, position.training_seconds = True, run.seconds_of_epoch()

    def _end_batch(self, loss: float) -> bool:
        """Whether the weights have been updated with this batch, whose loss it is: if so, all that follows is done."""
        run = self._run
        if run.gradient_sums is None:
            self._end_step(loss)
            return True
        if run.position.batch % run.accumulate:
            return False
        self._end_step(self._step.apply())
        return True

    def _end_step(self, loss: float) -> None:
        """The weights have been updated: tell those that count updates, or look at them."""
        run = self._run
        run.loss_of_step = loss
        run.position.step += 1
        if run.scheduler is not None and run.schedule == "step":
            run.scheduler.step()
        for callback in self._after_steps:
            callback.on_step_end(run)

    def _validate(self) -> dict[str, float]:
        """Loss and metrics on the validation data; nothing if there are none."""
        run = self._run
        if run.validation is None:
            return {}
        batches = len(run.validation) if isinstance(run.validation, Sized) else None
        run.progress.start_validation(batches, run.validation_figures)
        for metric in (run.validation_loss, *run.validation_metrics):
            metric.reset()
        with evaluating(run.validated):
            for batch in run.validation:
                inputs, target = checks.split_batch(batch)
                loss, output = self._measure(*inputs, target)
                run.validation_loss.add(float(loss.item()), len(target))
                for metric in run.validation_metrics:
                    metric.update(output, target)
                run.progress.advance(len(target))
                if self._interruption.requested:
                    self._interrupt()
        return {VALIDATION + name: value for name, value in run.validation_figures().items()}

    def _forward(self, *batch: Any) -> tuple[Any, Any]:
        """The loss, and the output if it is asked for."""
        *inputs, target = batch
        output = self._run.validated(*inputs)
        return self._run.loss(output, target), output if self._run.validation_metrics else None

    def _end_epoch(self, validation: dict[str, float]) -> None:
        """Write the row of the epoch, and go on to the next."""
        run, position = self._run, self._run.position
        run.check_weights()
        speed = position.examples / position.training_seconds
        figures = {**run.figures(), **validation, "lr": position.lr}
        row = run.history.add_epoch({**figures, "seconds": run.seconds_of_epoch(), "examples_per_second": speed})
        for callback in run.listeners:
            callback.on_epoch_end(run)
        if run.schedule == "epoch":
            run.step_schedule(row)
        run.history.flush()
        run.progress.end_epoch(row, best=run.history.best_epoch == row["epoch"])
        position.epoch += 1
        position.batch, position.trained = 0, False

    def _check_first(self, inputs: tuple[Any, ...], target: Any) -> None:
        """Look at the first batch: whether the labels fit the network, and what shapes there are."""
        run, self._checked = self._run, True
        random = {one: one.state_dict() for one in generators(run.model).values()}
        with evaluating(run.model):
            output = run.model(*inputs)
        ignored = getattr(run.loss, "ignore_index", None)
        checks.check_classes(run.data, "labels", output, target, ignored)
        if run.validation is not None:
            checks.check_classes(run.validation, "labels of the validation data", output, target, ignored)
        if not run.history.layers:
            rows = summarize(run.model, inputs, batch=len(target)).rows
            run.history.layers = [Layer(row.path, row.kind, row.output, row.parameters) for row in rows]
            run.history.input_shape = ", ".join(f"(N{''.join(f', {n}' for n in x.shape[1:])})" for x in inputs)
        for generator, state in random.items():
            generator.load_state_dict(state)
        run.history.flush()

    def _save(self) -> None:
        if self._checkpoint is not None:
            self._checkpoint.save(self._run.state_dict())
            self._saved = self._run.position.epoch, self._run.position.step

    def _interrupt(self) -> None:
        """Save, and stop as Ctrl-C does."""
        if self._checkpoint is None:
            raise KeyboardInterrupt
        self._save()
        run, path = self._run, os.fspath(self._checkpoint.path)
        done = f"stopped in epoch {run.epoch} of {run.epochs}, after step {run.position.step:,}; the run is saved"
        raise TrainingInterrupted(f"{done}\nTo go on: fit(..., resume={path!r})", path)
