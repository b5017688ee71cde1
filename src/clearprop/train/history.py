"""The record of a training run, as data: every view of the run (terminal, report, studio) reads this one record.

A `History` holds one row of numbers per epoch, the facts of the run (configuration, seed, versions, machine), the final
evaluation and the layers of the network. It goes to JSON and back without loss.

JSON has no NaN and no infinity. Where a number belongs, they are written as the strings "NaN", "Infinity" and
"-Infinity", which `float()` of Python and `Number()` of JavaScript read; every other float comes back to the bit.
"""

from __future__ import annotations

import json
import math
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from numbers import Integral
from pathlib import Path
from typing import Any, SupportsFloat

import numpy as np
import numpy.typing as npt

from clearprop.errors import DataError, FileError
from clearprop.files.atomic import atomic_write, read_bytes
from clearprop.train.figures import BOOKKEEPING, VALIDATION

FORMAT = 1  # goes up when an older clearprop could no longer read what a newer one writes

_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}

Row = dict[str, float]


@dataclass(frozen=True)
class Layer:
    """One module of the network, as the summary lists it, parents before their children.

    Args:
        path: where it sits, such as `blocks.0.linear`; empty for the whole network.
        kind: its class, such as `Linear`.
        output: the shape of its output as text, such as `(N, 256)`; empty where it is not known.
        parameters: its own parameters and their shapes. Those of its children stand with the children, and one that
            several modules share stands with the first, so that the counts add up.

    >>> Layer("0", "Linear", "(N, 10)", {"weight": (64, 10), "bias": (10,)}).count
    650
    """

    path: str
    kind: str
    output: str = ""
    parameters: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many numbers its own parameters hold."""
        return sum(math.prod(shape) for shape in self.parameters.values())


@dataclass(eq=False)
class Evaluation:
    """What the trained network does on data that it has not been trained on.

    Args:
        metrics: the figures, such as `{"loss": 0.08, "accuracy": 0.978}`.
        examples: how many examples they were measured on.
        confusion: counts `[true class, predicted class]`, or None for a task without classes.
        class_names: one name per class; "0", "1", … if none are given.
        split: which data it was.

    Raises:
        DataError: `confusion` is not a square table of whole numbers, or the names are not one per class.

    >>> test = Evaluation({"accuracy": 0.75}, 8, confusion=np.array([[3, 1], [1, 3]]))
    >>> test.class_names
    ['0', '1']
    """

    metrics: dict[str, float]
    examples: int
    confusion: npt.NDArray[np.int64] | None = None
    class_names: Sequence[str] = ()
    split: str = "test"

    def __post_init__(self) -> None:
        self.metrics = {name: number(value) for name, value in self.metrics.items()}
        self.examples = int(self.examples)
        self.class_names = [str(name) for name in self.class_names]
        if self.confusion is None:
            return
        self.confusion = _counts(self.confusion)
        self.class_names = self.class_names or [str(index) for index in range(len(self.confusion))]
        if len(self.class_names) != len(self.confusion):
            raise DataError(
                f"{len(self.class_names)} class names for a confusion matrix of shape {self.confusion.shape}",
                hint="give one name per class, in the order of the labels",
            )


@dataclass(eq=False)
class History:
    """The record of a training run.

    Args:
        name: what was trained, such as "digits"; the title of the report.
        config: the arguments of the run. What JSON cannot say becomes text at once: a function its name, a path its
            string, an infinity "Infinity".
        seed: of the random numbers; None if none was set.
        command: what to type to repeat the run; empty where there is no such line.

    The other fields are filled in while the run goes on. Two histories are equal when all they record is.

    >>> history = History("digits", config={"lr": 0.1}, seed=0)
    >>> history.add_epoch({"loss": 0.5, "accuracy": 0.8, "val_loss": 0.6, "seconds": 1.5})["epoch"]
    1
    >>> history.column("val_loss"), history.metrics
    (array([0.6]), ['accuracy'])
    >>> History.from_json(history.to_json()) == history
    True
    """

    name: str = "training run"
    config: dict[str, Any] = field(default_factory=dict)
    seed: int | None = None
    command: str = ""
    versions: dict[str, str] = field(default_factory=lambda: _versions())
    machine: dict[str, str] = field(default_factory=lambda: _machine())
    started: str = field(default_factory=lambda: datetime.now().astimezone().isoformat(timespec="seconds"))
    seconds: float = 0.0  # of the whole run; the sum over all its parts if it was interrupted and resumed
    epochs: list[Row] = field(default_factory=list)
    steps: list[Row] = field(default_factory=list)  # optional, as often as the caller likes
    best_epoch: int | None = None
    monitor: str = ""  # the column whose best value makes the best epoch, such as "val_loss"
    stop_reason: str = ""  # why the run ended before its last epoch; empty if it did not
    evaluation: Evaluation | None = None
    input_shape: str = ""  # of what goes into the network, such as "(N, 784)"
    layers: list[Layer] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)  # what the run wrote: "weights", "report", …

    def __post_init__(self) -> None:
        self.config = plain(self.config)

    def __eq__(self, other: object) -> bool:
        # By what would be written: arrays compare whole, and NaN equals NaN.
        return self.to_json() == other.to_json() if isinstance(other, History) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # it changes while the run goes on

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

    def to_json(self) -> str:
        """The whole record as JSON text, one row of a table per line."""
        return _layout(
            {
                "clearprop_history": FORMAT,
                **{name: plain(getattr(self, name)) for name in _PLAIN_FIELDS},
                "seconds": _encoded(self.seconds),
                "evaluation": None if self.evaluation is None else _evaluation_to_json(self.evaluation),
                "layers": [
                    {"path": one.path, "kind": one.kind, "output": one.output, "parameters": dict(one.parameters)}
                    for one in self.layers
                ],
                "epochs": [_row_to_json(row) for row in self.epochs],
                "steps": [_row_to_json(row) for row in self.steps],
            }
        )

    @classmethod
    def from_json(cls, text: str) -> History:
        """The record that `to_json` wrote.

        Raises:
            DataError: the text is something else, damaged, or was written by a clearprop too new for this one.
        """
        try:
            record = json.loads(text)
            if not isinstance(record, dict) or "clearprop_history" not in record:
                raise DataError("this is not the history of a training run: it lacks the entry clearprop_history")
            if record["clearprop_history"] > FORMAT:
                raise DataError("this history was written by a newer clearprop", hint="pip install -U clearprop")
            return cls(
                **{name: record[name] for name in _PLAIN_FIELDS},
                seconds=_decoded(record["seconds"]),
                evaluation=None if record["evaluation"] is None else _evaluation_from_json(record["evaluation"]),
                layers=[_layer_from_json(layer) for layer in record["layers"]],
                epochs=[_row_from_json(row) for row in record["epochs"]],
                steps=[_row_from_json(row) for row in record["steps"]],
            )
        except DataError:
            raise
        except (ValueError, TypeError, KeyError, AttributeError) as error:  # of JSON, or of its structure
            reason = f"the entry {error} is missing" if isinstance(error, KeyError) else str(error)
            raise DataError(f"this history is damaged: {reason}", hint="use a copy that is whole") from error

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the record to a file, which holds the old or the new record at any moment, never half of one."""
        with atomic_write(path) as file:
            file.write(self.to_json().encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> History:
        """Read a record that `save` wrote; FileError if it is not there or damaged."""
        try:
            return cls.from_json(read_bytes(path).decode())
        except (DataError, UnicodeDecodeError) as error:
            reason = error.message if isinstance(error, DataError) else "it is not text"
            hint = error.hint if isinstance(error, DataError) else ""
            raise FileError(f"cannot read {path}: {reason}", hint=hint or "check the path") from error


_PLAIN_FIELDS = (
    *("name", "config", "seed", "command", "versions", "machine", "started"),
    *("best_epoch", "monitor", "stop_reason", "input_shape", "files"),
)


def number(value: SupportsFloat) -> float:
    """A plain Python number from whatever is one: NumPy's scalars, arrays and tensors without axes.

    >>> number(np.float32(0.5)), number(np.int64(3)), number(np.array(2.0))
    (0.5, 3, 2.0)
    """
    return int(value) if isinstance(value, Integral) else float(value)


def plain(value: object) -> Any:
    """What JSON can say of `value`; for the rest its name or its text.

    >>> plain({"lr": np.float32(0.5), "clip": math.inf, "layers": (64, 10), "loss": len, "path": Path("a/b")})
    {'lr': 0.5, 'clip': 'Infinity', 'layers': [64, 10], 'loss': 'len', 'path': 'a/b'}
    """
    if isinstance(value, np.generic | np.ndarray):
        return plain(value.tolist())
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return _encoded(value)
    if isinstance(value, Mapping):
        return {str(name): plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(entry) for entry in value]
    return str(getattr(value, "__name__", value))


def _encoded(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _decoded(value: object) -> float:
    if isinstance(value, str) and value in _NOT_FINITE:
        return _NOT_FINITE[value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} stands where a number belongs")
    return value


def _row_to_json(row: Row) -> dict[str, float | str]:
    return {name: _encoded(value) for name, value in row.items()}


def _row_from_json(row: Mapping[str, object]) -> Row:
    return {name: _decoded(value) for name, value in row.items()}


def _layer_from_json(layer: Mapping[str, Any]) -> Layer:
    shapes = {name: tuple(int(size) for size in sizes) for name, sizes in layer["parameters"].items()}
    return Layer(layer["path"], layer["kind"], layer["output"], shapes)


def _evaluation_to_json(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "split": evaluation.split,
        "examples": evaluation.examples,
        "metrics": _row_to_json(evaluation.metrics),
        "class_names": list(evaluation.class_names),
        "confusion": None if evaluation.confusion is None else evaluation.confusion.tolist(),
    }


def _evaluation_from_json(record: Mapping[str, Any]) -> Evaluation:
    metrics = _row_from_json(record["metrics"])
    return Evaluation(metrics, record["examples"], record["confusion"], record["class_names"], record["split"])


def _counts(confusion: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """A confusion matrix of its own memory, checked."""
    counts = np.asarray(confusion)
    square = counts.ndim == 2 and counts.shape[0] == counts.shape[1]
    if not square or not np.issubdtype(counts.dtype, np.integer) or np.any(counts < 0):
        raise DataError(
            f"a confusion matrix is a square table of counts; this one has shape {counts.shape}, dtype {counts.dtype}",
            hint="count the examples: confusion[true class, predicted class] += 1",
        )
    return counts.astype(np.int64)


def _layout(record: Mapping[str, object]) -> str:
    """JSON with one entry per line, and one row per line where an entry is a table: readable, and small."""
    entries = []
    for name, value in record.items():
        text = json.dumps(value, allow_nan=False)
        if isinstance(value, list) and value:
            rows = (json.dumps(row, allow_nan=False) for row in value)
            text = "[\n  " + ",\n  ".join(rows) + "\n]"
        entries.append(f"{json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(entries) + "\n}\n"


def _versions() -> dict[str, str]:
    """The versions that decide what a run computes."""
    from importlib import metadata  # costs some 20 ms, and only a run needs it

    try:
        own = metadata.version("clearprop")
    except metadata.PackageNotFoundError:
        own = "not installed"
    return {"clearprop": own, "numpy": np.__version__, "python": platform.python_version()}


def _machine() -> dict[str, str]:
    """What the run ran on. platform.processor() would start another process, so the kernel is asked instead."""
    processor = platform.machine()
    if sys.platform == "linux":
        try:
            lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
        except OSError:
            lines = []
        processor = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), processor)
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": processor,
        "cores": str(os.cpu_count() or "unknown"),
    }
