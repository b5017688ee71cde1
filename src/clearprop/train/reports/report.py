"""The report of a training run: one HTML file that needs nothing else, see `clearprop.train.drawing.pages`.

What is said is decided here, as plain data; how it looks stands in `templates/`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clearprop.train.drawing.charts import Chart, line_chart
from clearprop.train.drawing.pages import date, render_page, ticks, unbroken, write_page
from clearprop.train.figures import VALIDATION, duration, figure, label, rate
from clearprop.train.history import History, check_history
from clearprop.train.records import Evaluation, Row
from clearprop.train.reports.confusion import class_figures, largest_mistakes
from clearprop.train.reports.health_view import health_view
from clearprop.train.reports.network import flattened, network_tree
from clearprop.train.reports.words import in_words
from clearprop.train.summary import examples_per_second

_TEMPLATE = "report.html"
_CURVE_POINTS = 500  # more are finer than a printer's dot
_TABLE_ROWS = 200
_CLASSES_IN_A_TABLE = 40  # a larger matrix is a wall of zeros; the figures by class and the mistakes remain
_BLOCKS_UNFOLDED = 24


@dataclass(frozen=True)
class ChartView:
    """A chart with its title and what it shows in words."""

    title: str
    chart: Chart
    words: str
    x_label: str = "epoch"


def write_report(history: History, path: str | os.PathLike[str]) -> Path:
    """Write the report of a run as one self-contained HTML file.

    Raises:
        FileError: the file cannot be written; an older report in its place is then unharmed.

    >>> import tempfile
    >>> history = History("digits", seed=0)
    >>> row = history.add_epoch({"loss": 0.5, "accuracy": 0.8})
    >>> report = write_report(history, Path(tempfile.mkdtemp()) / "report.html")
    >>> report.read_text(encoding="utf-8").splitlines()[0]
    '<!doctype html>'
    """
    check_history("write_report", history)
    return write_page(_TEMPLATE, path, **_content(history))


def render(history: History) -> str:
    """The report as HTML text."""
    return render_page(_TEMPLATE, **_content(history))


def _content(history: History) -> dict[str, Any]:
    network = network_tree(history.layers)
    return {
        "history": history,
        "started": date(history.started),
        "opening": unbroken(opening(history)),
        "headlines": headlines(history),
        "charts": charts(history),
        "learning_rate": _constant_learning_rate(history),
        "rows": thinned(history.epochs, _TABLE_ROWS, history.best_epoch),
        "health": health_view(history),
        "confusion": _confusion(history.evaluation),
        "worst": _worst(history.evaluation),
        "network": network,
        "blocks": flattened(network),
        "unfolded": len(history.layers) <= _BLOCKS_UNFOLDED,
        "config": [(name, _setting(value)) for name, value in history.config.items()],
    }


def opening(history: History) -> str:
    """What came out of the run, in a sentence or two.

    >>> history = History(seconds=9.81, evaluation=Evaluation({"accuracy": 0.975}, 360))
    >>> row = history.add_epoch({"loss": 0.2})
    >>> opening(history)
    'Trained for 1 epoch in 9.8 s. On 360 test examples it has not seen before, its accuracy is 97.50 %.'
    """
    epochs = len(history.epochs)
    text = f"Trained for {epochs:,} epoch{'' if epochs == 1 else 's'} in {duration(history.seconds)}"
    text += f" ({history.stop_reason})." if history.stop_reason else "."
    evaluation = history.evaluation
    if evaluation is None or not evaluation.metrics:
        return text
    name = _main_metric(evaluation)
    on = f"On {evaluation.examples:,} {evaluation.split} examples it has not seen before, its"
    return f"{text} {on if evaluation.examples else 'Its'} {label(name)} is {figure(name, evaluation.metrics[name])}."


def headlines(history: History) -> list[tuple[str, str, str]]:
    """The headline figures: name, value, and what else is to be said of it."""
    found: list[tuple[str, str, str]] = []
    evaluation = history.evaluation
    if evaluation is not None and evaluation.metrics:
        first = _main_metric(evaluation)
        names = [first, *(name for name in evaluation.metrics if name != first)]
        for name in names[:3]:
            on = evaluation.on if name == first else ""
            found.append((f"{evaluation.split} {label(name)}", figure(name, evaluation.metrics[name]), on))
    if history.best_epoch is not None and history.best is not None:
        value = history.best.get(history.monitor)
        why = "" if value is None else f"{label(history.monitor)} {figure(history.monitor, value)}"
        found.append(("best epoch", f"{history.best_epoch:,} of {len(history.epochs):,}", why))
    speed = examples_per_second(history)
    found.append(("time", duration(history.seconds), "" if speed is None else f"{rate(speed)[:-2]} examples a second"))
    if history.layers:
        found.append(("parameters", f"{history.parameter_count:,}", ""))
    return found


def charts(history: History) -> list[ChartView]:
    """Loss, each metric, and the learning rate if it changes; the loss by step if it was kept."""
    views = [_epoch_chart(history, name) for name in ("loss", *history.metrics)]
    if "lr" in history.columns and _constant_learning_rate(history) is None:
        views.append(_epoch_chart(history, "lr"))
    if any("loss" in row for row in history.steps):
        views.insert(1, _step_chart(history))
    return [view for view in views if view is not None]


def _epoch_chart(history: History, name: str) -> ChartView | None:
    rows = thinned(history.epochs, _CURVE_POINTS, history.best_epoch)
    own_name = "" if name == "lr" else "training"
    columns = {own_name: name, "validation": VALIDATION + name}
    curves = {title: _floats(rows, column) for title, column in columns.items()}
    chart = line_chart(
        _floats(rows, "epoch"),
        curves,
        text=ticks(name),
        from_zero=name in ("loss", "lr"),
        may_be_logarithmic=name == "loss",
        mark=history.best_epoch if name != "lr" else None,
    )
    if chart is None:
        return None
    words = [_in_words(history, name, title, column) for title, column in columns.items() if column in history.columns]
    if chart.logarithmic:
        words.append("The scale is logarithmic.")
    return ChartView(label(name).capitalize(), chart, unbroken(" ".join(words)))


def _step_chart(history: History) -> ChartView | None:
    rows = thinned([row for row in history.steps if "loss" in row], _CURVE_POINTS)
    losses = _floats(rows, "loss")
    text = ticks("loss")
    chart = line_chart(_floats(rows, "step"), {"": losses}, text=text, from_zero=True, may_be_logarithmic=True)
    if chart is None:
        return None
    words = f"From {figure('loss', losses[0])} to {figure('loss', losses[-1])} in {int(rows[-1]['step']):,} steps."
    return ChartView("Training loss by step", chart, words, "step")


def _in_words(history: History, name: str, title: str, column: str) -> str:
    words = in_words(name, history.column(column))
    return f"{title.capitalize()}: {words}." if title else f"{words[0].upper()}{words[1:]}."


def thinned(rows: Sequence[Row], most: int, keep: int | None = None) -> list[Row]:
    """At most about `most` of the rows, evenly spread: with the first, the last, and the epoch to keep.

    >>> [row["epoch"] for row in thinned([{"epoch": epoch} for epoch in range(1, 101)], most=5, keep=42)]
    [1, 21, 41, 42, 61, 81, 100]
    """
    if len(rows) <= most:
        return list(rows)
    kept = {*range(0, len(rows), -(-len(rows) // most)), len(rows) - 1}
    return [rows[index] for index in sorted(kept | ({keep - 1} if keep else set()))]


def _confusion(evaluation: Evaluation | None) -> dict[str, Any] | None:
    if evaluation is None or evaluation.confusion is None:
        return None
    names = evaluation.class_names
    return {
        "classes": class_figures(evaluation.confusion, names),
        "mistakes": largest_mistakes(evaluation.confusion, names),
        "right": int(np.trace(evaluation.confusion)),
        "total": int(evaluation.confusion.sum()),
        "whole": len(names) <= _CLASSES_IN_A_TABLE,
        "upright": max(map(len, names)) <= 4,
    }


def _worst(evaluation: Evaluation | None) -> dict[str, Any] | None:
    """The worst mistakes; where there is none, the examples with the largest loss."""
    if evaluation is None or not evaluation.worst:
        return None
    mistakes = [one for one in evaluation.worst if one.mistaken]
    shown = mistakes or evaluation.worst
    return {
        "examples": shown,
        "mistakes": bool(mistakes),
        "pictures": all(one.picture for one in shown),
        "words": _about_worst(evaluation, len(mistakes), len(shown)),
    }


def _about_worst(evaluation: Evaluation, mistakes: int, shown: int) -> str:
    of = f"{evaluation.examples:,} {evaluation.split} examples"
    if not mistakes:
        has_classes = any(one.probability is not None for one in evaluation.worst)
        none = f"Not one of the {of} was mistaken. " if has_classes else f"Of {of}, "
        return none + f"{'The' if has_classes else 'the'} {shown} with the largest loss:"
    confusion = evaluation.confusion
    every = mistakes if mistakes < len(evaluation.worst) else None
    if confusion is not None:
        every = int(confusion.sum() - np.trace(confusion))
    if every == mistakes:
        return f"{mistakes} of {of} {'was' if mistakes == 1 else 'were'} mistaken; the one with the largest loss first."
    among = "mistakes" if every is None else f"{every:,} mistakes"
    return f"Of {of}, the {shown} with the largest loss among the {among}, the worst first."


def _main_metric(evaluation: Evaluation) -> str:
    return next((name for name in evaluation.metrics if name != "loss"), "loss")


def _constant_learning_rate(history: History) -> float | None:
    rates = history.column("lr")
    return float(rates[0]) if rates.size and np.all(rates == rates[0]) else None


def _floats(rows: Sequence[Row], column: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([row.get(column, np.nan) for row in rows], dtype=np.float64)


def _setting(value: object) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
