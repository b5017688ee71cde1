"""The record of a training run, as data: every view of the run (terminal, report, studio) reads this one record.

A `History` holds one row of numbers per epoch, the facts of the run (configuration, seed, versions, machine), the final
evaluation and the layers of the network. As a file it is JSON lines, to be read by any program, and at any moment:

- the first line says what is trained: the facts that are known when training begins;
- each epoch adds a line with its figures, ``{"epoch": 1, "loss": 0.31, …}``, and under ``"health"`` what was seen of
  the network's (`EpochHealth`); a kept step adds ``{"step": 40, …}``;
- any other line, ``{"best_epoch": 3, "monitor": "val_loss"}``, is about the run again, and what it says replaces what
  was said before.
"""

from __future__ import annotations

import json
import math
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, SupportsFloat

import numpy as np
import numpy.typing as npt

from clearprop.arguments import as_path
from clearprop.errors import DataError, FileError, UsageError
from clearprop.files.atomic import read_bytes
from clearprop.train import environment
from clearprop.train.figures import BOOKKEEPING, VALIDATION
from clearprop.train.lines import LineFile, Record, parse_lines
from clearprop.train.records import (
    EpochHealth,
    Evaluation,
    Layer,
    Row,
    decoded,
    encoded,
    number,
    plain,
    row_from_dict,
    row_to_dict,
)

FORMAT = 2  # goes up when an older clearprop could no longer read what a newer one writes
FILE_NAME = "history.jsonl"  # in the folder of a run

_KEY = "clearprop_history"


@dataclass(eq=False)
class History:
    """The record of a training run.

    Args:
        name: what was trained, such as "digits"; the title of the report.
        config: the arguments of the run. What JSON cannot say becomes text at once: a function its name, a path its
            string, an infinity "Infinity".
        seed: of the random numbers; None if none was set.
        command: what to type to repeat the run; empty where there is no such line.
        path: a file, such as ``runs/digits/history.jsonl``, that `fit` writes while it trains; None for none.

    The other fields are filled in while the run goes on. Two histories are equal when all they record is.

    >>> history = History("digits", config={"lr": 0.1}, seed=0)
    >>> history.add_epoch({"loss": 0.5, "accuracy": 0.8, "val_loss": 0.6, "seconds": 1.5})["epoch"]
    1
    >>> history.column("val_loss"), history.metrics
    (array([0.6]), ['accuracy'])
    >>> History.from_dict(history.to_dict()) == history
    True
    """

    name: str = "training run"
    config: dict[str, Any] = field(default_factory=dict)
    seed: int | None = None
    command: str = ""
    path: str | os.PathLike[str] | None = None
    versions: dict[str, str] = field(default_factory=environment.versions)
    machine: dict[str, str] = field(default_factory=environment.machine)
    started: str = field(default_factory=lambda: datetime.now().astimezone().isoformat(timespec="seconds"))
    setup: dict[str, str] = field(default_factory=dict)  # what `fit` was given, in words
    seconds: float = 0.0  # of the whole run; the sum over all its parts if it was interrupted and resumed
    epochs: list[Row] = field(default_factory=list)  # one row of figures each
    steps: list[Row] = field(default_factory=list)  # optional, as often as the caller likes
    best_epoch: int | None = None
    monitor: str = ""  # the column whose best value makes the best epoch, such as "val_loss"
    stop_reason: str = ""  # why the run ended before its last epoch; empty if it did not
    evaluation: Evaluation | None = None
    input_shape: str = ""  # of what goes into the network, such as "(N, 784)"
    layers: list[Layer] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)  # what the run wrote: "weights", "report", …
    health: list[EpochHealth] = field(default_factory=list)  # of the epochs in which `train.Health` has looked
    advice: list[str] = field(default_factory=list)  # what it has said

    def __post_init__(self) -> None:
        if self.path is not None:
            as_path(self.path)
        if not isinstance(self.config, Mapping):
            raise UsageError(f"History: config is {self.config!r}", hint='a dictionary: {"lr": 0.1}')
        self.config = plain(self.config)
        self._file: LineFile | None = None
        self._written: Record = {}  # the facts that stand in the file, if it is as `flush` has left it
        self._rows_written = (0, 0)

    def __eq__(self, other: object) -> bool:
        # By what would be written: arrays compare whole, and NaN equals NaN.
        return self.to_dict() == other.to_dict() if isinstance(other, History) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # it changes while the run goes on

    # Filling it -----------------------------------------------------------------------------------------------------

    def add_epoch(self, numbers: Mapping[str, SupportsFloat]) -> Row:
        """Append the row of the next epoch: loss, metrics, val_loss, val_<metric>, lr, seconds, examples_per_second.

        Args:
            numbers: any of these; the epoch's number is put before them.
        """
        row = {"epoch": len(self.epochs) + 1} | {name: number(value) for name, value in numbers.items()}
        self.epochs.append(row)
        return row

    def add_step(self, step: int, numbers: Mapping[str, SupportsFloat]) -> Row:
        """Append the figures of one training step, counted over the whole run."""
        row = {"step": int(step)} | {name: number(value) for name, value in numbers.items()}
        self.steps.append(row)
        return row

    # Asking it ------------------------------------------------------------------------------------------------------

    def column(self, name: str) -> npt.NDArray[np.float64]:
        """One figure over all epochs; NaN where an epoch does not have it."""
        return np.array([row.get(name, math.nan) for row in self.epochs], dtype=np.float64)

    @property
    def columns(self) -> list[str]:
        """The names of all columns, in the order in which they first came."""
        return list(dict.fromkeys(name for row in self.epochs for name in row))

    @property
    def metrics(self) -> list[str]:
        """The names of the metrics, without the loss and without the prefix of validation."""
        names = (name.removeprefix(VALIDATION) for name in self.columns if name not in BOOKKEEPING)
        return [name for name in dict.fromkeys(names) if name != "loss"]

    @property
    def best(self) -> Row | None:
        """The row of the best epoch; of the last one if none was marked."""
        if not self.epochs:
            return None
        return self.epochs[(self.best_epoch or len(self.epochs)) - 1]

    @property
    def parameter_count(self) -> int:
        """How many numbers the network learns."""
        return sum(layer.count for layer in self.layers)

    # As data, and as a file -----------------------------------------------------------------------------------------

    def to_dict(self) -> Record:
        """The whole record as dicts, lists, texts and numbers that JSON can say; `epochs` and `steps` are its rows."""
        rows = {"epochs": list(map(row_to_dict, self.epochs)), "steps": list(map(row_to_dict, self.steps))}
        return {_KEY: FORMAT, **self._facts(), **rows, "health": [one.to_dict() for one in self.health]}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> History:
        """The record that `to_dict` gave.

        Raises:
            DataError: it is something else, damaged, or was written by a clearprop too new for this one.
        """
        if _KEY not in record:
            raise DataError(f"this is not the history of a training run: it lacks the entry {_KEY}")
        try:
            if int(record[_KEY]) > FORMAT:
                raise DataError("this history was written by a newer clearprop", hint="pip install -U clearprop")
            record = {"health": [], "advice": [], **record}  # older ones lack them
            history = cls(
                **{name: _of_kind(record[name], kinds, name) for name, kinds in _PLAIN_FIELDS.items()},
                seconds=decoded(record["seconds"]),
                evaluation=None if record["evaluation"] is None else Evaluation.from_dict(record["evaluation"]),
                layers=[Layer.from_dict(layer) for layer in record["layers"]],
                epochs=[row_from_dict(row) for row in record["epochs"]],
                steps=[row_from_dict(row) for row in record["steps"]],
                health=[EpochHealth.from_dict(one) for one in record["health"]],
            )
            history._check_rows()
        except DataError:
            raise
        except (ValueError, TypeError, KeyError, AttributeError) as error:  # of its structure
            reason = f"the entry {error} is missing" if isinstance(error, KeyError) else str(error)
            raise DataError(f"this history is damaged: {reason}", hint="use a copy that is whole") from error
        return history

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> History:
        """Read a record, also that of a run which is still going on.

        A last line that is torn, of a program that was killed while it wrote, is left out, with a warning. The time of
        a run that has not come to its end is that of its epochs.

        Args:
            path: the file, or the folder of the run, with a ``history.jsonl`` in it.

        Raises:
            FileError: it is not there, is not the record of a run, or is damaged.
        """
        place = as_path(path)
        file = place / FILE_NAME if place.is_dir() else place
        if file != place and not file.exists():
            raise FileError(f"{path} is not the folder of a run: it has no {FILE_NAME}", hint="a folder in runs/")
        try:
            records, torn = parse_lines(read_bytes(file).decode())
            history = cls.from_dict(_joined(records))
        except (DataError, UnicodeDecodeError) as error:
            reason = error.message if isinstance(error, DataError) else "it is not text"
            hint = error.hint if isinstance(error, DataError) else ""
            raise FileError(f"cannot read {file}: {reason}", hint=hint or "check the path") from error
        if torn:
            text = f"the last line of {file} is torn and was left out: the run was writing it, or was killed"
            warnings.warn(text, UserWarning, stacklevel=2)
        return history

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the whole record to a file, which holds the old or the new record at any moment, never half of one."""
        LineFile(path).replace(self._lines())

    def flush(self) -> None:
        """Append to the file at `path` what is new since the last time; without a path, do nothing.

        Raises:
            FileError: it cannot be written; it is then as it was before.
        """
        if self.path is None:
            return
        if self._file is None or self._file.path != Path(self.path):
            self._file = LineFile(self.path)
        facts, (epochs, steps) = self._facts(), self._rows_written
        rows = [*map(row_to_dict, self.steps[steps:]), *self._epoch_lines()[epochs:]]
        new = [*rows, *_changes(self._written, facts)]
        if new and not self._file.append(new):
            self._file.replace(self._lines())  # the first time, or somebody else has changed it
        self._written, self._rows_written = facts, (len(self.epochs), len(self.steps))

    def check_path(self) -> None:
        """Raise UsageError if the file at `path` holds something else than this very run."""
        if self.path is None or not Path(self.path).exists():
            return
        first = read_bytes(self.path).partition(b"\n")[0]
        try:
            record = json.loads(first or b"{}")
        except ValueError:
            record = None
        if first and (not isinstance(record, dict) or _KEY not in record):
            raise UsageError(
                f"{self.path} is not the record of a run, and is not written over", hint="another path for the history"
            )
        if first and record.get("started") != self.started:
            raise UsageError(
                f"{self.path} holds the record of another run, begun {record.get('started')}",
                hint="another path for the history; or resume=… with the checkpoint of that run",
            )

    def _facts(self) -> Record:
        """All but the rows, as JSON says it."""
        return {
            **{name: plain(getattr(self, name)) for name in _PLAIN_FIELDS},
            "seconds": encoded(self.seconds),
            "layers": [layer.to_dict() for layer in self.layers],
            "evaluation": None if self.evaluation is None else self.evaluation.to_dict(),
        }

    def _lines(self) -> list[Record]:
        """The whole file: what was known at the beginning, the rows, what came out at the end."""
        facts = self._facts()
        early = {name: value for name, value in facts.items() if name not in _LATE}
        (first,) = _changes(_NOTHING, early)
        return [
            {_KEY: FORMAT, **first},
            *map(row_to_dict, self.steps),
            *self._epoch_lines(),
            *_changes(_NOTHING | early, facts),
        ]

    def _epoch_lines(self) -> list[Record]:
        """For each epoch its figures and, under "health", what was seen of the network's."""
        seen = {one.epoch: one.to_dict() for one in self.health}
        for one in seen.values():
            del one["epoch"]
        lines: list[Record] = [{**row_to_dict(row)} for row in self.epochs]
        return [line | {"health": seen[line["epoch"]]} if line["epoch"] in seen else line for line in lines]

    def _check_rows(self) -> None:
        for number_of_epoch, row in enumerate(self.epochs, start=1):
            if row.get("epoch") != number_of_epoch:
                raise ValueError(f"epoch {row.get('epoch')} stands where epoch {number_of_epoch} belongs")
        if self.best_epoch is not None and not 1 <= self.best_epoch <= len(self.epochs):
            raise ValueError(f"the best epoch is {self.best_epoch}, of {len(self.epochs)}")


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Record]:
    """A line with what is new, or none."""
    changed = {name: value for name, value in now.items() if value != before.get(name)}
    return [changed] if changed else []


def check_history(name: str, history: Any) -> None:
    """Raise UsageError for what is no record of a run."""
    if not isinstance(history, History):
        hint = "what fit returned; or History.read(path)"
        raise UsageError(f"{name}: the history is a {type(history).__name__}", hint=hint)


def _joined(records: list[Record]) -> Record:
    """The record that the lines of a file make together."""
    whole: Record = {**_NOTHING, "epochs": [], "steps": [], "health": []}
    if not records or _KEY not in records[0]:
        raise DataError("this is not the history of a training run", hint=f"{FILE_NAME}, in the folder of a run")
    for record in records:
        if "epoch" in record:
            whole["epochs"].append({name: value for name, value in record.items() if name != "health"})
            if "health" in record:
                whole["health"].append({"epoch": record["epoch"], **record["health"]})
        elif "step" in record:
            whole["steps"].append(record)
        else:
            whole.update({name: value for name, value in record.items() if name not in _ROWS})
    if whole["seconds"] == 0.0:  # it has not come to its end
        seconds = (row.get("seconds", 0.0) for row in whole["epochs"])
        whole["seconds"] = sum(value for value in seconds if isinstance(value, int | float))
    return whole


def _of_kind(value: Any, kinds: tuple[type, ...], name: str) -> Any:
    if not isinstance(value, kinds) or isinstance(value, bool):
        raise ValueError(f"{name} is {value!r}")
    return value


_PLAIN_FIELDS: Mapping[str, tuple[type, ...]] = {
    "name": (str,),
    "config": (dict,),
    "seed": (int, type(None)),
    "command": (str,),
    "versions": (dict,),
    "machine": (dict,),
    "started": (str,),
    "setup": (dict,),
    "best_epoch": (int, type(None)),
    "monitor": (str,),
    "stop_reason": (str,),
    "input_shape": (str,),
    "files": (dict,),
    "advice": (list,),
}
_ROWS = ("epochs", "steps", "health")
_LATE = ("seconds", "best_epoch", "monitor", "stop_reason", "evaluation", "files", "advice")
# What a fact is that no line has said. Never anything of the machine that reads.
_NOTHING: Record = {
    **{name: kinds[0]() if type(None) not in kinds else None for name, kinds in _PLAIN_FIELDS.items()},
    "seconds": 0.0,
    "layers": [],
    "evaluation": None,
}
