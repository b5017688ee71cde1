"""``clearprop report RUN``: write the report of a run again, from its record; also of one that was interrupted."""

from __future__ import annotations

import argparse
from pathlib import Path

from clearprop.cli import terminal
from clearprop.cli.command import Command
from clearprop.cli.records import check_page, noting
from clearprop.recipes.running import REPORT
from clearprop.train import History, write_report

_DESCRIPTION = """\
Write the report of a run (an HTML file) from its history.jsonl: again, elsewhere, or, of a run that is
still going on or was interrupted, as far as it has come."""

_EXAMPLES = (
    "clearprop report runs/digits-20260101-120000",
    "clearprop report runs/digits-20260101-120000 -o report.html",
)


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="the folder of a run, or its history.jsonl")
    parser.add_argument("-o", "--output", metavar="FILE", help=f"(default: {REPORT} in the folder of the run)")


def _run(options: argparse.Namespace) -> None:
    folder = Path(options.run) if Path(options.run).is_dir() else Path(options.run).parent
    path = Path(options.output or folder / REPORT)
    check_page(path)
    history = noting(lambda: History.read(options.run))
    terminal.print_plain(f"written: {write_report(history, path)}")


COMMAND = Command("report", "write the report of a run again", _DESCRIPTION, _EXAMPLES, _configure, _run)
