"""``clearprop compare RUN RUN…``: several runs side by side, as a table in the terminal and as a page."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from clearprop.cli import terminal
from clearprop.cli.command import Command
from clearprop.cli.records import check_page, noting
from clearprop.lens.layout import DIM, HEADING, VALUE, Line, Span, cells, fits, in_columns, wrapped
from clearprop.train.reports.comparing import opening, write_comparison
from clearprop.train.reports.comparison import Comparison, Group, RowOfCells, gather

_LONGEST = 24  # of a setting in the table; the page shows all of it

_DESCRIPTION = """\
Compare runs: the settings in which they differ, the best and the last value of each figure, and, with
--output, their curves on one page. A run that is still going on can be compared too."""

_EXAMPLES = (
    "clearprop compare runs/*",
    "clearprop compare runs/digits-20260101-120000 runs/digits-20260102-120000 -o comparison.html",
)


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="+", metavar="RUN", help="the folder of a run, or its history.jsonl")
    parser.add_argument("-o", "--output", metavar="FILE", help="write a page with tables and curves (HTML)")


def _run(options: argparse.Namespace) -> None:
    if options.output:
        check_page(options.output)
    comparison = noting(lambda: gather(options.runs))
    if options.output:
        write_comparison(comparison, options.output)
    terminal.show(lambda width: table(comparison, width))
    if options.output:
        terminal.print_plain(f"\nwritten: {options.output}")


def table(comparison: Comparison, width: int) -> list[Line]:
    """The comparison in styled lines: a column for each run, in as many parts as it takes to fit the width."""
    lines: list[Line] = [[Span(f"{run.key}  ", VALUE), Span(run.name)] for run in comparison.runs]
    lines += [[], *wrapped([Span(opening(comparison))], width, hang=0)]
    groups = [*comparison.results, *([comparison.settings] if comparison.settings.rows else [])]
    start = 0
    while start < len(comparison.runs):
        stop = len(comparison.runs)
        while stop > start + 1 and not fits(_part(comparison, groups, start, stop), width):
            stop -= 1
        lines += [[], *_part(comparison, groups, start, stop)]
        start = stop
    if any(cell.best for group in groups for row in group.rows for cell in row.cells):
        lines += [[], [Span("* the best of its row", DIM)]]
    return lines


def _part(comparison: Comparison, groups: Sequence[Group], start: int, stop: int) -> list[Line]:
    """The columns of some of the runs."""
    keys = [Span(run.key, VALUE) for run in comparison.runs[start:stop]]
    rows: list[Sequence[Span]] = [[Span(""), *_alternating(keys, [Span("")] * len(keys))]]
    for group in groups:
        rows.append([Span(group.name, HEADING), *[Span("")] * (2 * len(keys))])
        rows += [_row(row, start, stop) for row in group.rows]
    return in_columns(rows, "<" + "><" * len(keys), indent=0, gap=1)


def _row(row: RowOfCells, start: int, stop: int) -> list[Span]:
    shown = row.cells[start:stop]
    values = [Span(_clipped(cell.text), VALUE if cell.best else "") for cell in shown]
    marks = [Span("*" if cell.best else " ", VALUE) for cell in shown]
    return [Span(f"  {row.name}"), *_alternating(values, marks)]


def _alternating(values: Sequence[Span], marks: Sequence[Span]) -> list[Span]:
    return [span for pair in zip(values, marks, strict=True) for span in pair]


def _clipped(text: str) -> str:
    return text if cells(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


COMMAND = Command("compare", "compare runs: settings, figures, curves", _DESCRIPTION, _EXAMPLES, _configure, _run)
