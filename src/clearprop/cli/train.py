"""``clearprop train digits``: train a network by a recipe, and leave a folder with all that came of it."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from datetime import datetime
from pathlib import Path

from threadpoolctl import threadpool_limits

from clearprop.cli.command import Command
from clearprop.cli.settings import add_recipes, chosen_settings, given_settings, whole
from clearprop.errors import UsageError
from clearprop.recipes import RECIPES, Recipe, Settings
from clearprop.recipes.running import CHECKPOINT, as_text, begun, train
from clearprop.train import TrainingInterrupted, print_summary

_DESCRIPTION = """\
Train a network of the lecture notes on real data by a recipe, test it on data that it has not seen, and write
into one folder: the weights, the figures, a report to open in a browser, pictures of what was learned, and
a checkpoint from which an interrupted run goes on (Ctrl-C, a crash, a kill: nothing is lost)."""

_EXAMPLES = (
    "clearprop train digits",
    "clearprop train mnist --epochs 20 --hidden 512,256",
    "clearprop train --resume runs/mnist-20260101-120000",
    "clearprop predict runs/digits-20260101-120000",
)

# What is not compiled NumPy computes. OpenBLAS starts a thread for each core, and they wait for one another in loops
# that never sleep. For networks as small as these that gains little on an idle machine (MNIST: 15 %) and loses much on
# a busy one: the digits, beside one other program on 2 cores, took 37 s on two threads and 3 s on one.
_THREADS = "that work on a step (default: one for each core; one for what NumPy computes)"


def _configure(parser: argparse.ArgumentParser) -> None:
    _add_run(parser)
    parser.set_defaults(output=None, resume=None, data=None, quiet=False, threads=None)
    add_recipes(parser, _add_run)


def _add_run(parser: argparse.ArgumentParser) -> None:
    run = parser.add_argument_group("the run")
    nothing = argparse.SUPPRESS  # given before or behind the name of the recipe, what is said counts
    run.add_argument("-o", "--output", metavar="FOLDER", default=nothing,
                     help="where everything goes (default: runs/RECIPE-DATE)")  # fmt: skip
    run.add_argument("--resume", metavar="FOLDER", default=nothing,
                     help="go on with the run in this folder, exactly where it was")  # fmt: skip
    run.add_argument("--data", metavar="FOLDER", default=nothing,
                     help="where the files of the data are (default: $CLEARPROP_DATA, or downloaded)")  # fmt: skip
    run.add_argument("--quiet", action="store_true", default=nothing, help="no progress on stderr")
    run.add_argument("--threads", type=whole(1), metavar="N", default=nothing, help=_THREADS)


def _run(options: argparse.Namespace) -> None:
    recipe, settings, folder = _resumed(options) if options.resume else _new(options)
    if options.threads is not None:
        os.environ["CLEARPROP_THREADS"] = str(options.threads)
    try:
        with threadpool_limits(options.threads or 1, user_api="blas"):
            history = train(
                recipe, settings, folder, data=options.data, resume=bool(options.resume), progress=not options.quiet
            )
    except TrainingInterrupted as interruption:
        what = str(interruption).splitlines()[0]
        data = f" --data {shlex.quote(options.data)}" if options.data else ""
        sys.stderr.write(f"{what}\nTo go on: clearprop train --resume {shlex.quote(str(folder))}{data}\n")
        raise
    print_summary(history)


def _new(options: argparse.Namespace) -> tuple[Recipe, Settings, Path]:
    """The recipe, the settings and the folder of a new run."""
    if options.recipe is None:
        raise UsageError(f"which recipe? {', '.join(RECIPES)}", hint="clearprop train digits")
    recipe = RECIPES[options.recipe]
    folder = Path(options.output or f"runs/{recipe.name}-{datetime.now():%Y%m%d-%H%M%S}")
    return recipe, chosen_settings(options, recipe), folder


def _resumed(options: argparse.Namespace) -> tuple[Recipe, Settings, Path]:
    """The recipe, the settings and the folder of the run to be gone on with."""
    folder = Path(options.resume)
    if folder.name == CHECKPOINT:
        folder = folder.parent
    name, config = begun(folder)
    if name not in RECIPES:
        raise UsageError(f"the run in {folder} was begun by a recipe {name!r}, which there is not",
                         hint="pip install -U clearprop")  # fmt: skip
    recipe = RECIPES[name]
    settings = recipe.settings.changed(config)
    given = given_settings(options, recipe) | ({"recipe": options.recipe} if options.recipe else {})
    for key, value in given.items():
        was = name if key == "recipe" else getattr(settings, key)
        if was != value:
            raise UsageError(
                f"the run in {folder} was begun with {key} {as_text(was)}, not {as_text(value)}: "
                "it cannot be gone on with as another run",
                hint=f"clearprop train --resume {folder}, without settings; or begin a new run",
            )
    if options.output and Path(options.output).resolve() != folder.resolve():
        raise UsageError("a run that is resumed stays in its folder", hint=f"clearprop train --resume {folder}")
    return recipe, settings, folder


COMMAND = Command("train", "train a network by a recipe, on real data", _DESCRIPTION, _EXAMPLES, _configure, _run)
