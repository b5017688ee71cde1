"""``clearprop check RECIPE``: look for what is wrong with a network, its loss and its data, before it is trained."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from clearprop import random
from clearprop.cli import terminal
from clearprop.cli.command import Command
from clearprop.cli.settings import add_recipes, chosen_settings
from clearprop.errors import UsageError
from clearprop.lens.layout import Line, Span
from clearprop.recipes import RECIPES
from clearprop.train import Check, check
from clearprop.train.checking.result import Status

_DESCRIPTION = """\
Check the network of a recipe with one batch of its data: the data, the loss before training, gradients
against central differences, examples that influence one another, a few examples learned by heart.
Nothing is trained or written.
Exit codes: 0 nothing has failed, 1 something has, 2 bad input."""

_EXAMPLES = ("clearprop check digits", "clearprop check mnist --hidden 512,256 --batch-size 64")

FOUND = 1
_STYLES: dict[Status, str] = {"passed": "", "warning": "yellow", "failed": "red", "skipped": "dim"}


def _configure(parser: argparse.ArgumentParser) -> None:
    _add_data(parser)
    parser.set_defaults(data=None)
    add_recipes(parser, _add_data)


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", metavar="FOLDER", default=argparse.SUPPRESS, help="where the files of the data are")


def _run(options: argparse.Namespace) -> int:
    if options.recipe is None:
        raise UsageError(f"which recipe? {', '.join(RECIPES)}", hint="clearprop check digits")
    recipe = RECIPES[options.recipe]
    settings = chosen_settings(options, recipe)
    random.seed(settings.seed)
    task = recipe.task(settings, options.data)
    result = check(task.model, task.loss, next(iter(task.data)))
    terminal.show(lambda width: _lines(result, width))
    return 0 if result.ok else FOUND


def _lines(result: Check, width: int) -> Iterable[Line]:
    for status, text in result.lines(width):
        yield [Span(text, _STYLES[status])]
    yield [Span(result.summary)]


COMMAND = Command("check", "check a network and its data before training", _DESCRIPTION, _EXAMPLES, _configure, _run)
