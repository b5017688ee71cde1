"""What a command of the command line is."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


def unchanged(arguments: list[str]) -> list[str]:
    """Arguments as they were given."""
    return arguments


@dataclass(frozen=True)
class Command:
    """One command: how it is called, and what it does.

    Args:
        name: ``clearprop NAME``.
        summary: one line for the list of commands.
        description: what the help of the command begins with.
        examples: whole command lines; the first two stand in the help of ``clearprop`` itself too.
        configure: adds the arguments to the command's own parser.
        run: does the work, and returns the exit code, or None for 0; raises ClearpropError for bad input.
        prepare: may rewrite the command's arguments before they are parsed.
    """

    name: str
    summary: str
    description: str
    examples: Sequence[str]
    configure: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int | None]
    prepare: Callable[[list[str]], list[str]] = unchanged

    def add_to(self, subparsers: Any) -> None:
        """Add the command to the parser of ``clearprop``."""
        parser = subparsers.add_parser(
            self.name,
            help=self.summary,
            description=self.description,
            epilog="examples:\n" + "\n".join(f"  {example}" for example in self.examples),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self.configure(parser)
