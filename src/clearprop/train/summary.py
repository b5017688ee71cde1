"""The end of a training run in a few lines on stdout: what was reached, in which time, and where everything is."""

from __future__ import annotations

import math
import sys
from typing import TextIO

from clearprop.train.figures import duration, figure, rate
from clearprop.train.history import History, check_history
from clearprop.train.progress import is_terminal


def print_summary(history: History, stream: TextIO | None = None) -> None:
    """Print the summary, on stdout by default; plain text where that is no terminal.

    >>> from clearprop.train.records import Evaluation, Layer
    >>> history = History("digits", seconds=9.81, layers=[Layer("", "Linear", "(N, 10)", {"weight": (64, 10)})])
    >>> row = history.add_epoch({"loss": 0.2})
    >>> history.evaluation = Evaluation({"loss": 0.21, "accuracy": 0.975}, 360)
    >>> history.files = {"report": "runs/digits/report.html"}
    >>> print_summary(history, sys.stdout)
    <BLANKLINE>
    digits
      test accuracy  97.50 %, on 360 examples
      test loss      0.2100
      epochs         1
      time           9.8 s
      parameters     640
      report         runs/digits/report.html
    """
    check_history("print_summary", history)
    stream = stream if stream is not None else sys.stdout
    rows = summary_rows(history)
    if is_terminal(stream):
        _print_table(history.name, rows, stream)
        return
    width = max(len(name) for name, _ in rows)
    lines = [f"  {name:{width}}  {value}" for name, value in rows]
    print("", history.name, *lines, sep="\n", file=stream)


def summary_rows(history: History) -> list[tuple[str, str]]:
    """What the summary says, as pairs of a name and its text."""
    rows: list[tuple[str, str]] = []
    evaluation = history.evaluation
    if evaluation is not None:
        for name in sorted(evaluation.metrics, key="loss".__eq__):  # the loss last: people ask for the accuracy
            on = f", {evaluation.on}" if evaluation.on and not rows else ""
            rows.append((f"{evaluation.split} {name}", figure(name, evaluation.metrics[name]) + on))
    rows.append(("epochs", f"{len(history.epochs)}" + (f"; {history.stop_reason}" if history.stop_reason else "")))
    if history.best_epoch is not None and history.best is not None:
        value = history.best.get(history.monitor)
        why = "" if value is None else f", {history.monitor} {figure(history.monitor, value)}"
        rows.append(("best epoch", f"{history.best_epoch}{why}"))
    speed = examples_per_second(history)
    rows.append(("time", duration(history.seconds) + ("" if speed is None else f", {rate(speed)} while training")))
    rows.append(("parameters", f"{history.parameter_count:,}"))
    return rows + list(history.files.items())


def examples_per_second(history: History) -> float | None:
    """How fast the run went: the median over its epochs, which a slow first one does not change; None if unknown."""
    speeds = sorted(speed for speed in history.column("examples_per_second").tolist() if math.isfinite(speed))
    return speeds[len(speeds) // 2] if speeds else None


def _print_table(title: str, rows: list[tuple[str, str]], stream: TextIO) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")  # a path that is cut cannot be opened
    for name, value in rows:
        table.add_row(Text(f"  {name}"), Text(value))
    console = Console(file=stream, force_terminal=True, highlight=False)
    console.print("", Text(title, style="bold"), table, sep="\n")
