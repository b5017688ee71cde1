"""Running a recipe: train, test, and leave one folder with all that came of it."""

from __future__ import annotations

import os
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from clearprop import random
from clearprop.errors import FileError, UsageError
from clearprop.files.alone import alone_in
from clearprop.files.atomic import write_error
from clearprop.nn import Module
from clearprop.recipes.recipe import Recipe, Task
from clearprop.recipes.settings import Settings
from clearprop.train import Checkpoint, Evaluation, History, evaluate, fit, write_report
from clearprop.train.checkpoint import read_state
from clearprop.train.history import FILE_NAME as HISTORY

CHECKPOINT, WEIGHTS, REPORT = "checkpoint.safetensors", "weights.safetensors", "report.html"
_SAVE_EVERY_SECONDS = 10.0  # by the clock: an epoch may take a twentieth of a second, and a disk as long for one file
_WORST = 24  # mistakes that the report shows
_RECIPE = "recipe"  # its name, beside the settings in a record


class Begun(NamedTuple):
    """What an earlier run in a folder was begun with."""

    recipe: str
    settings: dict[str, Any]


def train(
    recipe: Recipe,
    settings: Settings,
    folder: Path,
    *,
    data: str | None = None,
    resume: bool = False,
    progress: bool = True,
) -> History:
    """Train and test by a recipe; the folder gets weights, record, report, checkpoint, and the recipe's own exhibits.

    Args:
        recipe: what to do.
        settings: its settings.
        folder: where everything goes.
        data: the folder with the data, None for the usual places.
        resume: go on with the run that is in the folder.
        progress: show how it goes, on stderr.

    Raises:
        UsageError: the folder holds a run already.
        FileError: files cannot be read or written, or another process is at work in the folder.
        TrainingInterrupted: Ctrl-C; the run has been saved.
    """
    if not resume:
        _check_unused(folder)
    random.seed(settings.seed)
    task = recipe.task(settings, data)
    if not resume:
        _make(folder)
    with alone_in(folder):
        return _done(task, recipe, settings, folder, resume=resume, progress=progress)


def _done(task: Task, recipe: Recipe, settings: Settings, folder: Path, *, resume: bool, progress: bool) -> History:
    """Train, test and write everything."""
    config = {_RECIPE: recipe.name} | settings.to_config()
    command = command_of(recipe, settings)
    history = fit(
        task.model,
        task.data,
        loss=task.loss,
        optimizer=task.optimizer,
        epochs=settings.epochs,
        validation=task.validation,
        metrics=task.metrics,
        callbacks=task.callbacks,
        scheduler=task.scheduler,
        schedule="step",
        clip_grad_norm=task.clip_grad_norm,
        checkpoint=Checkpoint(folder / CHECKPOINT, every_epochs=None, every_seconds=_SAVE_EVERY_SECONDS),
        resume=folder / CHECKPOINT if resume else None,
        history=History(recipe.name, config, settings.seed, command, folder / HISTORY),
        compile=None if settings.compile else False,
        progress=progress,
    )
    model = (task.evaluated if task.evaluated is not None else task.model).eval()
    task.saved.save(folder / WEIGHTS, model)
    history.evaluation = _tested(task, model, compile=None if settings.compile else False)
    history.files = {name: str(folder / file) for name, file in _files().items()}
    if task.exhibits is not None:
        _exhibit(task, model, folder, history)
    history.flush()
    write_report(history, folder / REPORT)
    return history


def begun(folder: Path) -> Begun:
    """What the run in a folder was begun with.

    Raises:
        FileError: there is no folder, or no checkpoint in it.
        UsageError: it was not begun by a recipe.
    """
    if not folder.is_dir():
        raise FileError(f"there is no folder {folder}", hint="the folder of an earlier run, such as runs/digits-…")
    if not (folder / CHECKPOINT).exists():
        raise FileError(f"{folder} holds no {CHECKPOINT}", hint="the folder of an earlier run, such as runs/digits-…")
    config = History.from_dict(read_state(folder / CHECKPOINT)["history"]).config
    name = config.pop(_RECIPE, None)
    if not isinstance(name, str):
        raise UsageError(
            "this checkpoint is of a run that was not begun with clearprop train",
            hint="train.fit(..., resume=...) in the program that began it",
        )
    return Begun(name, config)


def _check_unused(folder: Path) -> None:
    """Raise UsageError if a folder holds a run already."""
    if (folder / CHECKPOINT).exists() or (folder / WEIGHTS).exists():
        raise UsageError(
            f"{folder} holds a run already", hint=f"clearprop train --resume {folder}, or another folder for a new run"
        )


def _make(folder: Path) -> None:
    """Make the folder of a new run."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if isinstance(error, FileExistsError | NotADirectoryError):
            raise FileError(f"{folder} is not a folder", hint="another one") from error
        raise write_error(folder / CHECKPOINT, error) from error


def command_of(recipe: Recipe, settings: Settings) -> str:
    """What to type to repeat a run."""
    usual, words, values = asdict(recipe.settings), ["clearprop", "train", recipe.name], asdict(settings)
    values["seed"] = values.pop("seed")  # always said, and last
    for name, value in values.items():
        if value != usual[name] or name == "seed":
            option = name.replace("_", "-")
            is_switch = isinstance(value, bool)
            words += [f"--{'' if value else 'no-'}{option}"] if is_switch else [f"--{option}", as_text(value)]
    return shlex.join(words)


def as_text(value: object) -> str:
    """A setting as it is typed."""
    return (",".join(map(str, value)) or "0") if isinstance(value, tuple | list) else str(value)


def _tested(task: Task, model: Module, *, compile: bool | None) -> Evaluation | None:
    if task.test is None:
        return None
    return evaluate(
        model,
        task.test,
        loss=task.loss,
        metrics=task.metrics,
        class_names=task.class_names,
        worst=_WORST if task.class_names else 0,
        show=task.show,
        compile=compile,
    )


def _exhibit(task: Task, model: Module, folder: Path, history: History) -> None:
    """Let the recipe show what came of it, and keep what it tells."""
    assert task.exhibits is not None
    told = task.exhibits(model, folder)
    figures = {name: float(value) for name, value in told.items() if not isinstance(value, str)}
    history.files |= {name: os.fspath(folder / value) for name, value in told.items() if isinstance(value, str)}
    if history.evaluation is not None:
        history.evaluation.metrics |= figures
    elif figures:
        history.evaluation = Evaluation(figures, 0)


def _files() -> dict[str, str]:
    return {"report": REPORT, "weights": WEIGHTS, "history": HISTORY, "checkpoint": CHECKPOINT}
