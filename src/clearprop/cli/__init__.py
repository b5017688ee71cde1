"""The command line: ``clearprop COMMAND …``.

A command is a module of this package that says how it is called (`Command`) and does the work in its ``run``. To add
one, write the module and put its ``COMMAND`` into `commands`. Results go to stdout; messages and progress to stderr.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import clearprop
from clearprop.cli import terminal
from clearprop.cli.check import COMMAND as CHECK
from clearprop.cli.command import Command
from clearprop.cli.compare import COMMAND as COMPARE
from clearprop.cli.cost import COMMAND as COST
from clearprop.cli.draw import COMMAND as DRAW
from clearprop.cli.explain import COMMAND as EXPLAIN
from clearprop.cli.player import COMMAND as PLAYER
from clearprop.cli.predict import COMMAND as PREDICT
from clearprop.cli.report import COMMAND as REPORT
from clearprop.cli.sample import COMMAND as SAMPLE
from clearprop.cli.train import COMMAND as TRAIN
from clearprop.cli.why import COMMAND as WHY
from clearprop.errors import ClearpropError

OK, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130

_DESCRIPTION = "Deep learning whose backpropagation you can see."
_EPILOG = """\
examples:
{examples}

Each command explains itself: clearprop COMMAND --help
Exit codes: 0 done; 1 an error of clearprop itself, or something that why or check has found; 2 bad input (the message
says what, and what to try).
"""


def commands() -> list[Command]:
    """All commands, in the order in which the help lists them."""
    return [TRAIN, CHECK, PREDICT, SAMPLE, COMPARE, REPORT, EXPLAIN, WHY, DRAW, PLAYER, COST]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code.

    >>> main(["explain", "2 * x", "x=3", "--width", "60"])
    f = 2 * x   at x = 3
    <BLANKLINE>
    Forward  from the inputs to the result
      node   formula   with numbers   value
      x      given                        3
      f      2 · x     2 · 3              6
    <BLANKLINE>
    Backward  from the result to the inputs
         edge    upstream ×   local derivative =   contribution
      1. f = 2 · x   multiplication switches
         f → x            1   ∂f/∂x = 2                       2
    <BLANKLINE>
    Gradients  the sum of the contributions to each input
      ∂f/∂x = 2
    0
    """
    if sys.stdout is None:  # closed, as with >&-
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 (open to the end)
    arguments = list(sys.argv[1:] if argv is None else argv)
    known = {command.name: command for command in commands()}
    if arguments and arguments[0] in known:
        arguments[1:] = known[arguments[0]].prepare(arguments[1:])
    parser = _parser(list(known.values()))
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        parser.refuse(f"clearprop {options.command or ''}".rstrip(), f"unrecognized arguments: {' '.join(unknown)}")
    if options.command is None:
        parser.print_help(sys.stderr)
        return BAD_INPUT
    return _run(known[options.command], options)


class _Parser(argparse.ArgumentParser):
    """A parser, and of the commands too: any encoding of stdout carries its help, and its errors say what to try."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the arguments, and end."""
        self.refuse(self.prog, message)

    def refuse(self, program: str, message: str) -> NoReturn:
        """The same, in the name of a command."""
        terminal.complain(f"{program}: {message}")
        terminal.complain(f"Try: {program} --help")
        sys.exit(BAD_INPUT)

    def print_help(self, file: Any = None) -> None:
        """Print the help, by default on stdout."""
        if file is not None:
            super().print_help(file)
            return
        code = _guarded("help", lambda: terminal.print_plain(self.format_help().rstrip("\n")))
        if code != OK:
            sys.exit(code)


def _parser(known: Sequence[Command]) -> _Parser:
    examples = "\n".join(f"  {example}" for command in known for example in command.examples[:2])
    parser = _Parser(
        prog="clearprop",
        description=_DESCRIPTION,
        epilog=_EPILOG.format(examples=examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"clearprop {clearprop.__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for command in known:
        command.add_to(subparsers)
    return parser


def _run(command: Command, options: argparse.Namespace) -> int:
    return _guarded(command.name, lambda: command.run(options))


def _guarded(name: str, work: Callable[[], int | None]) -> int:
    """Do the work; say what went wrong, if anything did; return the exit code."""
    code = None
    try:
        code = work()
        sys.stdout.flush()
    except ClearpropError as error:
        terminal.complain(f"clearprop {name}: {error}")
        return BAD_INPUT
    except KeyboardInterrupt:
        terminal.complain("interrupted")
        return INTERRUPTED
    except BrokenPipeError:  # the reader of a pipe has seen enough, as `head` does
        _discard_stdout()
    except OSError as error:  # errors with files are FileErrors: what is left is stdout, on a full disk
        _discard_stdout()
        terminal.complain(f"clearprop {name}: cannot write the output: {error.strerror or error}")
        terminal.complain("Try: free some space on the disk, or send the output elsewhere")
        return BAD_INPUT
    return code or OK


def _discard_stdout() -> None:
    """Let what is still buffered go nowhere, as writing it at exit would fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
