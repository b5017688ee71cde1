"""``clearprop check RECIPE``: look for what is wrong with a network, its loss and its data, before it is trained."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import replace

from clearprop import nn, random
from clearprop.cli import terminal
from clearprop.cli.command import Command
from clearprop.cli.recipes import RECIPES
from clearprop.cli.train import add_settings, given_settings
from clearprop.data import DataLoader
from clearprop.lens.layout import Line, Span
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
    parser.add_argument("recipe", metavar="RECIPE", choices=list(RECIPES), help=f"one of {', '.join(RECIPES)}")
    parser.add_argument("--data", metavar="FOLDER", help="where the MNIST files are")
    add_settings(parser)


def _run(options: argparse.Namespace) -> int:
    recipe = RECIPES[options.recipe]
    settings = replace(recipe.settings, **given_settings(options))
    random.seed(settings.seed)
    model = recipe.classifier(settings).build()
    loader = DataLoader(recipe.load("train", options.data), settings.batch_size, shuffle=True, seed=settings.seed)
    result = check(model, nn.CrossEntropyLoss(), next(iter(loader)))
    terminal.show(lambda width: _lines(result, width))
    return 0 if result.ok else FOUND


def _lines(result: Check, width: int) -> Iterable[Line]:
    for status, text in result.lines(width):
        yield [Span(text, _STYLES[status])]
    yield [Span(result.summary)]


COMMAND = Command("check", "check a network and its data before training", _DESCRIPTION, _EXAMPLES, _configure, _run)
