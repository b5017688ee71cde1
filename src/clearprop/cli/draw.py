"""``clearprop draw EXPRESSION|SCRIPT -o FILE``: a picture of the graph, with values and gradients."""

from __future__ import annotations

import argparse
from pathlib import Path

from clearprop.cli import terminal
from clearprop.cli.command import Command
from clearprop.cli.recorded import add_target, prepare, recorded
from clearprop.errors import UsageError
from clearprop.lens.drawing.saving import check_suffix

_OUTPUT = "graph.svg"

_DESCRIPTION = """\
Write a picture of the graph of an expression, or of the last step of a script: values forward, gradients
backward, and at each edge of a small graph the contribution and the local derivative. A large graph is
folded by modules; the wider a line, the larger the gradient on it."""

_EXAMPLES = (
    'clearprop draw "(x + y) * z" x=-2 y=5 z=-4',
    "clearprop draw train.py --unfold encoder.0 -o encoder.svg -- --epochs 1",
)


def _configure(parser: argparse.ArgumentParser) -> None:
    add_target(parser)
    parser.add_argument("-o", "--output", metavar="FILE", default=_OUTPUT, help=f".svg or .html (default: {_OUTPUT})")
    parser.add_argument("--depth", type=_levels, metavar="N", help="unfold N levels: 1 shows the outermost modules")
    parser.add_argument(
        "--unfold", action="append", default=[], metavar="MODULE", help="unfold this module too; may be repeated"
    )


def _levels(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of levels: 1, 2, …")
    return int(text)


def _run(options: argparse.Namespace) -> None:
    path = Path(options.output)
    check_suffix(path)
    tape = recorded(options.target, options.arguments)
    terminal.print_plain(f"written: {tape.draw(depth=options.depth, unfold=options.unfold).save(path)}")
    if tape.error:
        raise UsageError("the run ended with an error", hint=f"open {path}: it shows everything up to there")


COMMAND = Command("draw", "write a picture of the graph, with values and gradients", _DESCRIPTION, _EXAMPLES,
                  _configure, _run, prepare)  # fmt: skip
