"""``clearprop train digits``: train a network on handwritten digits, and leave a folder with all that came of it."""

from __future__ import annotations

import argparse
import math
import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from clearprop import nn, random
from clearprop.cli.command import Command
from clearprop.cli.recipes import OPTIMIZERS, RECIPES, Recipe, Settings, make_optimizer
from clearprop.data import DataLoader, split
from clearprop.errors import FileError, UsageError
from clearprop.files.atomic import write_error
from clearprop.optim.lr_scheduler import CosineAnnealingLR
from clearprop.train import (
    Checkpoint,
    EarlyStopping,
    History,
    TrainingInterrupted,
    evaluate,
    fit,
    print_summary,
    write_report,
)
from clearprop.train.checkpoint import read_state
from clearprop.train.history import FILE_NAME as HISTORY

CHECKPOINT, WEIGHTS, REPORT = "checkpoint.safetensors", "weights.safetensors", "report.html"
_EVALUATION_BATCH = 500
_WORST = 24  # mistakes that the report shows
_SAVE_EVERY_SECONDS = 2.0  # by the clock: an epoch may take a twentieth of a second, and a disk as long for one file

_DESCRIPTION = """\
Train a network (a multilayer perceptron) on handwritten digits, test it on images that it has not
seen, and write into one folder: the weights, the figures, a report to open in a browser, and a
checkpoint from which an interrupted run goes on (Ctrl-C, a crash, a kill: nothing is lost)."""

_EXAMPLES = (
    "clearprop train digits",
    "clearprop train mnist --epochs 20 --hidden 512,256",
    "clearprop train --resume runs/mnist-20260101-120000",
    "clearprop predict runs/digits-20260101-120000",
)


_ABOUT_SETTINGS = "What is computed. The defaults are well tried:\n"
# What is not compiled NumPy computes. OpenBLAS starts a thread for each core, and they wait for one another in loops
# that never sleep. For networks as small as these that gains little on an idle machine (MNIST: 15 %) and loses much on
# a busy one: the digits, beside one other program on 2 cores, took 37 s on two threads and 3 s on one.
_THREADS = "that work on a step (default: one for each core; one for what NumPy computes)"


def _configure(parser: argparse.ArgumentParser) -> None:
    about = "; ".join(f"{name}: {recipe.about}" for name, recipe in RECIPES.items())
    parser.add_argument("dataset", nargs="?", choices=list(RECIPES), help=about)
    run = parser.add_argument_group("the run")
    run.add_argument("-o", "--output", metavar="FOLDER", help="where everything goes (default: runs/DATASET-DATE)")
    run.add_argument("--resume", metavar="FOLDER", help="go on with the run in this folder, exactly where it was")
    run.add_argument(
        "--data", metavar="FOLDER", help="where the MNIST files are (default: $CLEARPROP_DATA, or downloaded)"
    )
    run.add_argument("--quiet", action="store_true", help="no progress on stderr")
    run.add_argument("--threads", type=_whole(1), metavar="N", help=_THREADS)
    add_settings(parser)


def add_settings(parser: argparse.ArgumentParser) -> None:
    """The arguments that say what is computed."""
    settings = parser.add_argument_group("settings", _ABOUT_SETTINGS + "\n".join(map(_defaults, RECIPES.values())))
    settings.add_argument("--epochs", type=_whole(1), metavar="N", help="times to go through the training images")
    settings.add_argument("--batch-size", type=_whole(1), metavar="N", help="images for each update of the weights")
    settings.add_argument("--lr", type=_number(0.0, math.inf), metavar="RATE", help="learning rate, at its highest")
    settings.add_argument("--hidden", type=_widths, metavar="N,N,…", help="widths of the hidden layers; 0 for none")
    settings.add_argument(
        "--dropout", type=_number(0.0, 1.0), metavar="SHARE", help="of the hidden units, in each step"
    )
    settings.add_argument(
        "--shift", type=_whole(0), metavar="PIXELS", help="move the images at random, this far at most"
    )
    settings.add_argument("--optimizer", choices=OPTIMIZERS, help="(default: adamw)")
    settings.add_argument("--weight-decay", type=_number(0.0, math.inf), metavar="RATE", help="(default: 0.01)")
    settings.add_argument(
        "--patience", type=_whole(0), metavar="N", help="stop after N epochs without progress (default: 0, never)"
    )
    settings.add_argument(
        "--compile",
        action=argparse.BooleanOptionalAction,
        help="make each step one native function (default), or run it operation by operation",
    )
    settings.add_argument("--seed", type=_whole(0), metavar="N", help="of everything random (default: 0)")


def _defaults(recipe: Recipe) -> str:
    own = recipe.settings
    hidden = ",".join(map(str, own.hidden))
    return (
        f"  {own.dataset + ':':8}--epochs {own.epochs} --batch-size {own.batch_size} --lr {own.lr:g} "
        f"--hidden {hidden} --dropout {own.dropout:g} --shift {own.shift}"
    )


def _run(options: argparse.Namespace) -> None:
    settings, folder = _resumed(options) if options.resume else _new(options)
    if options.threads is not None:
        os.environ["CLEARPROP_THREADS"] = str(options.threads)
    try:
        with threadpool_limits(options.threads or 1, user_api="blas"):
            history = train(settings, folder, options.data, resume=bool(options.resume), progress=not options.quiet)
    except TrainingInterrupted as interruption:
        what = str(interruption).splitlines()[0]
        sys.stderr.write(f"{what}\nTo go on: clearprop train --resume {shlex.quote(str(folder))}\n")
        raise
    print_summary(history)


def train(
    settings: Settings, folder: Path, data: str | None = None, *, resume: bool = False, progress: bool = True
) -> History:
    """One run of the command: train, test, and write everything into the folder."""
    recipe = RECIPES[settings.dataset]
    training, validation = split(recipe.load("train", data), 1 - settings.validation, seed=settings.seed)
    test = recipe.load("test", data)
    classifier = recipe.classifier(settings)
    random.seed(settings.seed)
    model, loss = classifier.build(), nn.CrossEntropyLoss()
    optimizer = make_optimizer(settings, model)
    batches = DataLoader(training, settings.batch_size, shuffle=True, seed=settings.seed)
    history = History(settings.dataset, settings.to_config(), settings.seed, _command(settings), folder / HISTORY)
    history = fit(
        model,
        batches,
        loss=loss,
        optimizer=optimizer,
        epochs=settings.epochs,
        validation=DataLoader(validation, _EVALUATION_BATCH),
        metrics=["accuracy"],
        callbacks=[EarlyStopping(patience=settings.patience)] if settings.patience else [],
        scheduler=CosineAnnealingLR(optimizer, T_max=settings.epochs * len(batches)),
        schedule="step",
        checkpoint=Checkpoint(folder / CHECKPOINT, every_epochs=None, every_seconds=_SAVE_EVERY_SECONDS),
        resume=folder / CHECKPOINT if resume else None,
        history=history,
        compile=None if settings.compile else False,
        progress=progress,
    )
    history.evaluation = evaluate(
        model,
        DataLoader(test, _EVALUATION_BATCH),
        loss=loss,
        metrics=["accuracy"],
        class_names=classifier.class_names,
        worst=_WORST,
    )
    classifier.save(folder / WEIGHTS, model)
    _write_records(history, folder)
    return history


def _write_records(history: History, folder: Path) -> None:
    names = {"report": REPORT, "weights": WEIGHTS, "history": HISTORY, "checkpoint": CHECKPOINT}
    history.files = {kind: str(folder / name) for kind, name in names.items()}
    history.flush()
    write_report(history, folder / REPORT)


def _new(options: argparse.Namespace) -> tuple[Settings, Path]:
    """The settings and the folder of a new run."""
    if options.dataset is None:
        raise UsageError(f"which data set? {' or '.join(RECIPES)}", hint="clearprop train digits")
    settings = replace(RECIPES[options.dataset].settings, **given_settings(options))
    folder = Path(options.output or f"runs/{options.dataset}-{datetime.now():%Y%m%d-%H%M%S}")
    if (folder / CHECKPOINT).exists() or (folder / WEIGHTS).exists():
        raise UsageError(
            f"{folder} holds a run already", hint=f"clearprop train --resume {folder}, or another folder for --output"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if isinstance(error, FileExistsError | NotADirectoryError):
            raise FileError(f"{folder} is not a folder", hint="another one for --output") from error
        raise write_error(folder / CHECKPOINT, error) from error
    return settings, folder


def _resumed(options: argparse.Namespace) -> tuple[Settings, Path]:
    """The settings of the run to be gone on with, and its folder."""
    folder = Path(options.resume)
    if folder.name == CHECKPOINT:
        folder = folder.parent
    if not folder.is_dir():
        raise FileError(f"there is no folder {folder}", hint="the folder of an earlier run, such as runs/digits-…")
    if not (folder / CHECKPOINT).exists():
        raise FileError(f"{folder} holds no {CHECKPOINT}", hint="the folder of an earlier run, such as runs/digits-…")
    settings = Settings.from_config(History.from_dict(read_state(folder / CHECKPOINT)["history"]).config)
    given = given_settings(options) | ({"dataset": options.dataset} if options.dataset else {})
    for name, value in given.items():
        if getattr(settings, name) != value:
            raise UsageError(
                f"the run in {folder} was begun with {name} {_text(getattr(settings, name))}, not {_text(value)}: "
                "it cannot be gone on with as another run",
                hint=f"clearprop train --resume {folder}, without settings; or begin a new run",
            )
    if options.output and Path(options.output).resolve() != folder.resolve():
        raise UsageError("a run that is resumed stays in its folder", hint=f"clearprop train --resume {folder}")
    return settings, folder


def given_settings(options: argparse.Namespace) -> dict[str, Any]:
    """The settings that the user has named."""
    names = asdict(RECIPES["digits"].settings)
    return {name: value for name in names if name != "dataset" and (value := getattr(options, name, None)) is not None}


def _command(settings: Settings) -> str:
    """What to type to repeat a run."""
    usual = RECIPES[settings.dataset].settings
    words = ["clearprop", "train", settings.dataset]
    for name, value in vars(settings).items():
        if value != getattr(usual, name) or name == "seed":
            option = name.replace("_", "-")
            is_switch = isinstance(value, bool)
            words += [f"--{'' if value else 'no-'}{option}"] if is_switch else [f"--{option}", _text(value)]
    return shlex.join(words)


def _text(value: object) -> str:
    return (",".join(map(str, value)) or "0") if isinstance(value, tuple) else str(value)


def _whole(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit() or int(text) < least or int(text) >= 2**63:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} on")
        return int(text)

    return parse


def _number(least: float, below: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value < below:
            limits = f"from {least:g} on" if below == math.inf else f"from {least:g} to below {below:g}"
            raise argparse.ArgumentTypeError(f"{text!r} is not a number {limits}")
        return value

    return parse


def _widths(text: str) -> tuple[int, ...]:
    """Widths of layers, such as ``256,128``; ``0`` for no layers.

    >>> _widths("256,128"), _widths("0")
    ((256, 128), ())
    """
    parts = [part.strip() for part in text.split(",")]
    if parts == ["0"]:
        return ()
    if not all(part.isascii() and part.isdigit() and 0 < int(part) <= 100_000 for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} are not widths, whole numbers with commas between them: 256,128")
    return tuple(int(part) for part in parts)


COMMAND = Command("train", "train a network on real handwritten digits", _DESCRIPTION, _EXAMPLES, _configure, _run)
