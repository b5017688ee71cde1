"""Several runs side by side, as data: in which settings they differ, what each reached, and which is best in what.

The page (`clearprop.train.reports.comparing`) and the terminal table (``clearprop compare``) are views of one
`Comparison`.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clearprop.arguments import as_path
from clearprop.errors import UsageError
from clearprop.train.figures import BOOKKEEPING, VALIDATION, better, duration, figure, label
from clearprop.train.history import FILE_NAME, History

ABSENT = "–"


@dataclass(frozen=True)
class ComparedRun:
    """One of the runs: the letter it goes by, its name, its record."""

    key: str
    name: str
    history: History


@dataclass(frozen=True)
class Cell:
    """What one run has in one row.

    Args:
        text: the value; `ABSENT` where there is none.
        detail: what else is to be said of it, such as the epoch.
        best: it is the best of the row.
    """

    text: str
    detail: str = ""
    best: bool = False


@dataclass(frozen=True)
class RowOfCells:
    """One setting or figure, with a cell for each run.

    Args:
        name: what stands at the beginning of the row.
        cells: in the order of the runs.
        best_in: what the best one has, such as "the lowest test loss"; empty if there is no better and worse.
    """

    name: str
    cells: list[Cell]
    best_in: str = ""


@dataclass(frozen=True)
class Group:
    """Rows that belong together."""

    name: str
    rows: list[RowOfCells]


@dataclass(frozen=True)
class Comparison:
    """Runs, and all that is said of them.

    Args:
        runs: in the order in which they were given.
        settings: that differ between them: of the program, then what `fit` was given, and where it ran.
        details: of `fit` and the machine that differ, where the program's own settings say the same shorter.
        results: figures, in groups: of the test, the validation, the training, and what it took.
    """

    runs: list[ComparedRun]
    settings: Group
    details: Group
    results: list[Group]

    @property
    def columns(self) -> list[str]:
        """The figures that have curves: first those of the validation."""
        names = dict.fromkeys(name for run in self.runs for name in run.history.columns if name not in BOOKKEEPING)
        return sorted(names, key=lambda name: not name.startswith(VALIDATION))


def gather(runs: Sequence[str | os.PathLike[str] | History]) -> Comparison:
    """Compare runs.

    Args:
        runs: folders of runs, or their ``history.jsonl``, or records.

    Raises:
        FileError: something is not the folder of a run, or its record is damaged.
        UsageError: there are none, one of them was given twice, or one has no epoch that is done.

    >>> slow, fast = History("slow", {"lr": 0.1, "epochs": 1}), History("fast", {"lr": 0.4, "epochs": 1})
    >>> rows = [history.add_epoch({"loss": loss}) for history, loss in ((slow, 0.5), (fast, 0.25))]
    >>> comparison = gather([slow, fast])
    >>> [(row.name, [cell.text for cell in row.cells]) for row in comparison.settings.rows]
    [('lr', ['0.1', '0.4'])]
    >>> [(cell.text, cell.best) for cell in comparison.results[0].rows[0].cells]
    [('0.5000', False), ('0.2500', True)]
    """
    if isinstance(runs, str | os.PathLike | History):
        raise UsageError("the runs to compare are not a list", hint='compare(["runs/a", "runs/b"], "comparison.html")')
    if not runs:
        raise UsageError("there are no runs to compare", hint="one or more folders in runs/")
    _check_different(runs)
    histories = [one if isinstance(one, History) else History.read(one) for one in runs]
    for given, history in zip(runs, histories, strict=True):
        if not history.epochs:
            name = history.name if isinstance(given, History) else given
            raise UsageError(f"{name} has no epoch that is done", hint="wait for its first, or leave it out")
    names = _names(runs)
    compared = [
        ComparedRun(letters(place), name, history)
        for place, (name, history) in enumerate(zip(names, histories, strict=True))
    ]
    own = _differing([_program_settings(history) for history in histories])
    more = _differing([_circumstances(history) for history in histories])
    settings, details = (own, more) if own else (more, [])
    return Comparison(
        compared,
        Group("Settings that differ", settings),
        Group("Details that differ", details),
        _results(histories),
    )


def letters(place: int) -> str:
    """A, B, …, Z, AA, AB, …: what the runs are called in curves and tables.

    >>> letters(0), letters(25), letters(26)
    ('A', 'Z', 'AA')
    """
    name = ""
    while place >= 0:
        place, letter = divmod(place, 26)
        name, place = chr(ord("A") + letter) + name, place - 1
    return name


def _check_different(runs: Iterable[str | os.PathLike[str] | History]) -> None:
    seen: set[object] = set()
    for one in runs:
        place: object = id(one) if isinstance(one, History) else _file(as_path(one)).resolve()
        if place in seen:
            name = one.name if isinstance(one, History) else one
            raise UsageError(f"{name} was given twice", hint="each run once")
        seen.add(place)


def _file(path: Path) -> Path:
    return path / FILE_NAME if path.is_dir() else path


def _names(runs: Sequence[str | os.PathLike[str] | History]) -> list[str]:
    """The names of records, and the folders of runs: their last part, or, if that is not enough, all of it."""
    short, long = [], []
    for one in runs:
        if isinstance(one, History):
            short.append(one.name)
            long.append(one.name)
        else:
            file = _file(as_path(one)).absolute()
            name = file.parent.name if file.name == FILE_NAME else file.stem
            short.append(name)
            long.append(str(one))
    return [name if short.count(name) == 1 else whole for name, whole in zip(short, long, strict=True)]


def _program_settings(history: History) -> dict[str, str]:
    """What the program that trained it was told."""
    settings = {} if history.seed is None else {"seed": str(history.seed)}
    return settings | {name: _text(value) for name, value in history.config.items()}


def _circumstances(history: History) -> dict[str, str]:
    """What `fit` was given, and with which versions on which machine."""
    versions = {f"version of {name}": text for name, text in history.versions.items()}
    return {**history.setup, **versions, **history.machine}


def _differing(of_runs: Sequence[dict[str, str]]) -> list[RowOfCells]:
    names = dict.fromkeys(name for settings in of_runs for name in settings)
    rows = [(name, [settings.get(name, ABSENT) for settings in of_runs]) for name in names]
    return [RowOfCells(name, [Cell(text) for text in texts]) for name, texts in rows if len(set(texts)) > 1]


def _results(histories: Sequence[History]) -> list[Group]:
    names = dict.fromkeys(name for history in histories for name in history.columns if name not in BOOKKEEPING)
    validation = [name for name in names if name.startswith(VALIDATION)]
    groups = [
        Group("Test", _test_rows(histories)),
        Group("Validation", [row for name in validation for row in _column_rows(histories, name)]),
        Group("Training", [row for name in names if name not in validation for row in _column_rows(histories, name)]),
        Group("Effort", _effort_rows(histories)),
    ]
    return [group for group in groups if group.rows]


def _test_rows(histories: Sequence[History]) -> list[RowOfCells]:
    """The figures of the evaluations; of one of several splits the name says which."""
    evaluations = [history.evaluation for history in histories]
    pairs = dict.fromkeys((one.split, name) for one in evaluations if one is not None for name in one.metrics)
    ordered = sorted(pairs, key=lambda pair: pair[1] == "loss")  # the loss last: people ask for the accuracy
    return [
        _row(
            f"{split} {label(name)}",
            f"{split} {label(name)}",
            name,
            [one.metrics.get(name) if one is not None and one.split == split else None for one in evaluations],
        )
        for split, name in ordered
    ]


def _column_rows(histories: Sequence[History], name: str) -> list[RowOfCells]:
    """The best value of a column, if it has a better and a worse, and the last one."""
    text = label(name.removeprefix(VALIDATION))
    last = [history.epochs[-1].get(name) for history in histories]
    whole = label(name) if name.startswith(VALIDATION) else f"training {text}"
    rows = [_row(f"{text}, last epoch", f"{whole} after its last epoch", name, last)]
    mode = better(name)
    if mode is not None:
        found = [_best_of(history, name, mode) for history in histories]
        values = [None if one is None else one[0] for one in found]
        details = ["" if one is None else f"epoch {one[1]:,}" for one in found]
        rows.insert(0, _row(f"{text}, best epoch", whole, name, values, details))
    return rows


def _best_of(history: History, name: str, mode: str) -> tuple[float, int] | None:
    """The best value, and its epoch."""
    values = history.column(name)
    finite = np.flatnonzero(np.isfinite(values))
    if not finite.size:
        return None
    at = finite[np.argmin(values[finite]) if mode == "min" else np.argmax(values[finite])]
    return float(values[at]), int(at) + 1


def _row(
    text: str, figure_of: str, name: str, values: Sequence[float | None], details: Sequence[str] = ()
) -> RowOfCells:
    """A row of figures; the best are marked if there are different ones."""
    given = [value for value in values if value is not None]
    finite = [value for value in given if math.isfinite(value)]
    differ = len(set(finite)) > 1 or 0 < len(finite) < len(given)
    mode = better(name)
    best = {"min": min, "max": max}[mode](finite) if mode and differ else None
    return RowOfCells(
        text,
        [
            Cell(ABSENT) if value is None else Cell(figure(name, value), detail, best is not None and value == best)
            for value, detail in zip(values, details or [""] * len(values), strict=True)
        ],
        f"the {'lowest' if mode == 'min' else 'highest'} {figure_of}" if mode else "",
    )


def _effort_rows(histories: Sequence[History]) -> list[RowOfCells]:
    rows = [
        RowOfCells(
            "epochs", [Cell(f"{len(history.epochs):,}", history.stop_reason.partition(",")[0]) for history in histories]
        ),
        RowOfCells("time", [Cell(duration(history.seconds)) for history in histories]),
    ]
    if any(history.layers for history in histories):
        counts = [f"{history.parameter_count:,}" if history.layers else ABSENT for history in histories]
        rows.append(RowOfCells("parameters", [Cell(text) for text in counts]))
    return rows


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
