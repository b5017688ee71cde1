"""What commands of the lens look at: a line of arithmetic, or the last step of a script."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence

from clearprop.cli import terminal
from clearprop.cli.explain import parse_values
from clearprop.cli.explain import prepare as prepare_expression
from clearprop.lens.explain import explain_expression
from clearprop.lens.scripts import play_script
from clearprop.lens.tape import Tape

_BEHIND = "--script-argument"
_VALUE = re.compile(r"[^\W\d]\w*=.*", re.DOTALL)
_WITH_FILE = ("-o", "--output")


def add_target(parser: argparse.ArgumentParser) -> None:
    """The arguments that say what is looked at: ``target`` and ``arguments``; `prepare` belongs to them."""
    parser.add_argument("target", metavar="EXPRESSION|SCRIPT", help="a line of arithmetic, or a Python file to be run")
    add_arguments(
        parser,
        "NAME=NUMBER|ARGUMENT",
        "a value for each name in the expression; or the arguments of the script, behind -- if they begin with -",
    )


def add_arguments(parser: argparse.ArgumentParser, metavar: str, help: str) -> None:
    """What a script is given, as ``arguments``; `behind` belongs to them."""
    parser.add_argument("arguments", nargs="*", default=[], metavar=metavar, help=help)
    parser.add_argument(_BEHIND, action="append", dest="arguments", default=[], help=argparse.SUPPRESS)


def behind(arguments: list[str]) -> list[str]:
    """Let what stands behind ``--`` be the script's, wherever options are.

    >>> behind(["train.py", "--json", "--", "1", "-n"])
    ['train.py', '--json', '--script-argument=1', '--script-argument=-n']
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return [*arguments[:end], *(f"{_BEHIND}={one}" for one in arguments[end + 1 :])]


def prepare(arguments: list[str]) -> list[str]:
    """Let an expression begin with a minus; and let what stands behind ``--`` be the script's, wherever options are.

    Values may stand behind options too, where argparse would give them to nobody.

    >>> prepare(["x * y", "-o", "a.html", "x=2", "--", "-n"])
    ['x * y', '-o', 'a.html', '--script-argument=x=2', '--script-argument=-n']
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)
    own = prepare_expression(arguments[:end])
    values = [i for i in range(1, len(own)) if _VALUE.fullmatch(own[i]) and own[i - 1] not in _WITH_FILE]
    others = [one for i, one in enumerate(own) if i not in values]
    return behind([*others, "--", *(own[i] for i in values), *arguments[end + 1 :]])


def is_script(target: str) -> bool:
    """Whether a target is a file rather than a line of arithmetic."""
    return target.strip().endswith(".py")


def recorded(target: str, arguments: Sequence[str]) -> Tape:
    """The tape of an expression at a point, or of the last step of a script.

    Raises:
        UsageError: the expression or the script cannot be read, or the script recorded nothing.
    """
    target = target.strip()
    if not is_script(target):
        return explain_expression(target, parse_values(list(arguments))).tape
    tape = play_script(target, arguments)
    if tape.error:
        terminal.complain(f"{target} ended with {tape.error}")
    return tape
