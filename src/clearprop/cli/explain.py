"""``clearprop explain "(x + y) * z" x=-2 y=5 z=-4``: backpropagation through one line of arithmetic, step by step."""

from __future__ import annotations

import argparse
import json
import re

from clearprop.cli import terminal
from clearprop.cli.command import Command
from clearprop.errors import UsageError
from clearprop.lens.explain import explain_expression
from clearprop.lens.expression import functions

_DESCRIPTION = """\
Compute an expression, then backpropagate through it, and show every number on the way: the value of
each node; for each edge the upstream gradient, the local derivative and their product, which is the
contribution; and the sums where several contributions meet."""

_EXAMPLES = (
    'clearprop explain "(x + y) * z" x=-2 y=5 z=-4',
    'clearprop explain "y * (x**2 + x)" x=2 y=1',
    'clearprop explain "-log(sigmoid(w * x))" w=0.5 x=2',
    'clearprop explain "max(x, y) * z" x=1 y=3 z=2 --json',
)


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "expression",
        help=f"numbers, names, + - * / **, parentheses, pi, e, and the functions {', '.join(sorted(functions()))}",
    )
    parser.add_argument("values", nargs="*", metavar="NAME=NUMBER", help="a value for each name in the expression")
    parser.add_argument("--json", action="store_true", help="print the same as JSON, for other programs")
    parser.add_argument(
        "--width", type=columns, metavar="COLUMNS", help="columns to fit into (default: the terminal's)"
    )


def columns(text: str) -> int:
    """A width that a table can have."""
    if not text.isdigit() or not 20 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of columns from 20 to 1000")
    return int(text)


def prepare(arguments: list[str]) -> list[str]:
    """Keep argparse from taking an expression such as ``-log(x)`` for an option: with a space in front it does not.

    >>> prepare(["-log(x)", "x=2", "--json", "--", "-n"])
    [' -log(x)', 'x=2', '--json', '--', '-n']
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)
    own = [f" {text}" if text.startswith("-") and not _is_option(text) else text for text in arguments[:end]]
    return [*own, *arguments[end:]]


def _is_option(text: str) -> bool:
    return re.fullmatch(r"-[ho]|--[a-z]{2,}(=.*)?", text) is not None


def _run(options: argparse.Namespace) -> None:
    explanation = explain_expression(options.expression, parse_values(options.values))
    if options.json:
        terminal.print_plain(json.dumps(explanation.as_dict(), indent=2))
    else:
        terminal.show(explanation.lines, options.width)


def parse_values(texts: list[str]) -> dict[str, float]:
    """Numbers by name, from arguments of the form ``x=-2``.

    >>> parse_values(["x=-2", "rate=1e-3"])
    {'x': -2.0, 'rate': 0.001}
    """
    values: dict[str, float] = {}
    for text in texts:
        name, equals, number = (part.strip() for part in text.partition("="))
        if not equals or not name.isidentifier():
            raise UsageError(f"{text.strip()!r} is not of the form NAME=NUMBER", hint="x=-2, without spaces around =")
        if name in values:
            raise UsageError(f"{name} has two values", hint=f"{name}={number} once")
        try:
            values[name] = float(number)
        except ValueError:
            raise UsageError(
                f"{text.strip()}: {number!r} is not a number", hint=f"{name}=0.5, or {name}=1e-3"
            ) from None
    return values


COMMAND = Command("explain", "show backpropagation through an expression, step by step", _DESCRIPTION, _EXAMPLES,
                  _configure, _run, prepare)  # fmt: skip
