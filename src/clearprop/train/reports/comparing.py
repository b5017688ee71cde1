"""The page that compares runs: one HTML file that needs nothing else, see `clearprop.train.drawing.pages`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clearprop.train.drawing.charts import Chart, line_chart
from clearprop.train.drawing.pages import date, ticks, unbroken, write_page
from clearprop.train.figures import VALIDATION, label
from clearprop.train.history import History
from clearprop.train.reports.comparison import ComparedRun, Comparison, gather
from clearprop.train.reports.words import in_words

_CURVE_POINTS = 500  # more are finer than a printer's dot


@dataclass(frozen=True)
class Overlay:
    """The curves of all runs in one chart, and for each run a line of the legend: style, letter, name, words."""

    title: str
    chart: Chart
    legend: list[tuple[int, str, str, str]]
    x_label: str = "epoch"


def compare(runs: Sequence[str | os.PathLike[str] | History], path: str | os.PathLike[str]) -> Path:
    """Compare runs on one page: the settings in which they differ, what each reached, their curves.

    Args:
        runs: folders of runs, or their ``history.jsonl``, or records.
        path: the HTML file to write.

    Raises:
        FileError: something is not the folder of a run, or its record is damaged; or the page cannot be written.
        UsageError: there are no runs, one was given twice, or one has no epoch that is done.

    >>> import tempfile
    >>> slow, fast = History("slow", {"lr": 0.1}), History("fast", {"lr": 0.4})
    >>> rows = [history.add_epoch({"loss": loss}) for history, loss in ((slow, 0.5), (fast, 0.25))]
    >>> page = compare([slow, fast], Path(tempfile.mkdtemp()) / "comparison.html")
    >>> "B (fast) has the lowest training loss" in page.read_text(encoding="utf-8")
    True
    """
    return write_comparison(gather(runs), path)


def write_comparison(comparison: Comparison, path: str | os.PathLike[str]) -> Path:
    """Write the page of a comparison; FileError if that cannot be done, and then an older file is unharmed."""
    return write_page("compare.html", path, **_content(comparison))


def _content(comparison: Comparison) -> dict[str, Any]:
    return {
        "comparison": comparison,
        "opening": unbroken(opening(comparison)),
        "charts": overlays(comparison),
        "started": [date(run.history.started) for run in comparison.runs],
    }


def opening(comparison: Comparison) -> str:
    """Which run is best, by the first figure in which they differ."""
    if len(comparison.runs) == 1:
        return "One run, and nothing to compare it with."
    for row in (row for group in comparison.results for row in group.rows):
        best = [place for place, cell in enumerate(row.cells) if cell.best]
        if best:
            cell = row.cells[best[0]]
            where = f", in {cell.detail}" if cell.detail and len(best) == 1 else ""
            who = _listed([comparison.runs[place] for place in best])
            return f"{who} {'has' if len(best) == 1 else 'have'} {row.best_in}: {cell.text}{where}."
    return "The runs do not differ in any figure that has a better and a worse."


def _listed(runs: Sequence[ComparedRun]) -> str:
    """Runs in a sentence, with their names if they are few."""
    names = [f"{run.key} ({run.name})" if len(runs) < 3 else run.key for run in runs]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def overlays(comparison: Comparison) -> list[Overlay]:
    """A chart for each figure, with a curve for each run that has it."""
    epochs = max(len(run.history.epochs) for run in comparison.runs)
    shown = np.unique(np.linspace(0, epochs - 1, min(epochs, _CURVE_POINTS)).round().astype(np.int64))
    return [one for name in comparison.columns if (one := _overlay(comparison, name, shown)) is not None]


def _overlay(comparison: Comparison, name: str, shown: np.ndarray[Any, Any]) -> Overlay | None:
    columns = {run.key: run.history.column(name) for run in comparison.runs}
    longest = int(shown[-1]) + 1
    curves = {
        key: np.concatenate([column, np.full(longest - len(column), np.nan)])[shown] for key, column in columns.items()
    }
    plain_name = name.removeprefix(VALIDATION)
    is_loss = plain_name == "loss"
    chart = line_chart(shown + 1.0, curves, text=ticks(plain_name), from_zero=is_loss, may_be_logarithmic=is_loss)
    if chart is None:
        return None
    legend = [
        (style, run.key, run.name, unbroken(in_words(plain_name, columns[run.key])))
        for style, run in enumerate(comparison.runs)
        if name in run.history.columns
    ]
    title = label(name) if name.startswith(VALIDATION) else f"training {label(name)}"
    return Overlay(title.capitalize(), chart, legend)
