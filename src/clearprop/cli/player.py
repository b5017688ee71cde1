"""``clearprop player EXPRESSION|SCRIPT -o FILE``: a page on which backpropagation can be played, step by step."""

from __future__ import annotations

import argparse
from pathlib import Path

from clearprop.cli import terminal
from clearprop.cli.command import Command
from clearprop.cli.explain import parse_values
from clearprop.cli.recorded import add_target, is_script, prepare, recorded
from clearprop.cli.records import check_page
from clearprop.errors import UsageError
from clearprop.files.atomic import atomic_write
from clearprop.lens.explain import explain_expression
from clearprop.lens.figures import number
from clearprop.lens.player import Player

_OUTPUT = "player.html"

_DESCRIPTION = """\
Write a page (one HTML file that needs no network and no server) on which a run can be played: forward
node by node, then backward edge by edge, with the upstream gradient, the local derivative and their
product at each edge, and the sums where several contributions meet. Of a script that trains, the last
step is played; compiled functions then run operation by operation."""

_EXAMPLES = (
    'clearprop player "(x + y) * z" x=-2 y=5 z=-4',
    "clearprop player train.py -o train.html -- --epochs 1",
)


def _configure(parser: argparse.ArgumentParser) -> None:
    add_target(parser)
    parser.add_argument("-o", "--output", metavar="FILE", default=_OUTPUT, help=f"(default: {_OUTPUT})")


def _run(options: argparse.Namespace) -> None:
    path = Path(options.output)
    check_page(path)
    of = _of_script if is_script(options.target) else _of_expression
    player = of(options.target, options.arguments)
    with atomic_write(path) as file:
        file.write(player.html.encode())
    terminal.print_plain(f"written: {path}")
    if player.error:
        raise UsageError("the run ended with an error", hint=f"open {path}: it shows everything up to there")


def _of_expression(text: str, values: list[str]) -> Player:
    explanation = explain_expression(text, parse_values(values))
    pairs = ", ".join(f"{name} = {number(value)}" for name, value in explanation.values.items())
    return Player(explanation.tape, f"{explanation.name} = {explanation.expression}", f"at {pairs}", sources=False)


def _of_script(path: str, arguments: list[str]) -> Player:
    tape, name = recorded(path, arguments), Path(path.strip()).name
    return Player(tape, f"The last step of {name}" if tape.visits else name)


COMMAND = Command("player", "write a page that plays backpropagation, step by step", _DESCRIPTION, _EXAMPLES,
                  _configure, _run, prepare)  # fmt: skip
