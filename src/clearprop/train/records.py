"""What the record of a run is made of, and how each goes to JSON and back: rows of numbers, layers, an evaluation.

JSON has no NaN and no infinity. Where a number belongs, they are written as the strings "NaN", "Infinity" and
"-Infinity", which `float()` of Python and `Number()` of JavaScript read; every other float comes back to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from numbers import Integral
from typing import Any, SupportsFloat

import numpy as np
import numpy.typing as npt

from clearprop.errors import DataError

Row = dict[str, float]

_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


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

    def to_dict(self) -> dict[str, Any]:
        """As JSON says it."""
        return {"path": self.path, "kind": self.kind, "output": self.output, "parameters": plain(self.parameters)}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Layer:
        """What `to_dict` gave."""
        shapes = {name: tuple(int(size) for size in sizes) for name, sizes in record["parameters"].items()}
        return cls(record["path"], record["kind"], record["output"], shapes)


@dataclass(frozen=True)
class EpochHealth:
    """What an epoch said of the health of a network: for each layer, by name, the mean over the steps looked at.

    Args:
        epoch: its number.
        gradient: the norm of the gradient, before clipping.
        update: the norm of an update by the norm of the weights.
        gain: what the layer, or an activation, multiplies the norm of the gradient by.
        dead: for each ReLU the share of units that were 0 for the last examples looked at, up to 256.
        saturated: for each hidden sigmoid or tanh the share of outputs where its derivative is below a twentieth of
            what it is at 0.
    """

    epoch: int
    gradient: Mapping[str, float] = field(default_factory=dict)
    update: Mapping[str, float] = field(default_factory=dict)
    gain: Mapping[str, float] = field(default_factory=dict)
    dead: Mapping[str, float] = field(default_factory=dict)
    saturated: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As JSON says it; numbers to four digits."""
        columns = {name: value for name, value in asdict(self).items() if name != "epoch"}
        return {"epoch": self.epoch} | {
            column: {name: encoded(float(f"{value:.4g}")) for name, value in row.items()}
            for column, row in columns.items()
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> EpochHealth:
        """What `to_dict` gave."""
        columns = {name: value for name, value in record.items() if name != "epoch"}
        return cls(int(record["epoch"]), **{column: row_from_dict(row) for column, row in columns.items()})


@dataclass(frozen=True)
class Example:
    """One example that the network did badly with, kept so that it can be looked at.

    Args:
        index: its place in the data, in the order in which they were gone through.
        loss: of this example alone.
        mistaken: whether the answer was another class; False where there are no classes.
        truth: the right class by its name, or the right number.
        answer: the class with the highest score, or the number that the network gave.
        probability: of the answer; None where there are no classes.
        truth_probability: of the right class.
        picture: a PNG image in base64; empty for data that are no images.
        text: the input in a few words or numbers; empty for images.
    """

    index: int
    loss: float
    mistaken: bool = False
    truth: str = ""
    answer: str = ""
    probability: float | None = None
    truth_probability: float | None = None
    picture: str = ""
    text: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON says it."""
        return {name: plain(value) for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Example:
        """What `to_dict` gave."""
        one = cls(**record)
        if not all(isinstance(text, str) for text in (one.truth, one.answer, one.picture, one.text)):
            raise ValueError("an example has no text where one belongs")
        numbers = {name: record[name] for name in ("loss", "probability", "truth_probability")}
        read: dict[str, Any] = {name: decoded(value) for name, value in numbers.items() if value is not None}
        return replace(one, **read)


@dataclass(eq=False)
class Evaluation:
    """What the trained network does on data that it has not been trained on.

    Args:
        metrics: the figures, such as `{"loss": 0.08, "accuracy": 0.978}`.
        examples: how many examples they were measured on.
        confusion: counts `[true class, predicted class]`, or None for a task without classes.
        class_names: one name per class; "0", "1", … if none are given.
        split: which data it was.
        worst: the examples that it did worst with.

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
    worst: list[Example] = field(default_factory=list)

    @property
    def on(self) -> str:
        """What was measured with, in words; nothing if that was no set of examples."""
        return f"on {self.examples:,} examples" if self.examples else ""

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

    def to_dict(self) -> dict[str, Any]:
        """As JSON says it."""
        return {
            "split": self.split,
            "examples": self.examples,
            "metrics": row_to_dict(self.metrics),
            "class_names": list(self.class_names),
            "confusion": plain(self.confusion),
            "worst": [one.to_dict() for one in self.worst],
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Evaluation:
        """What `to_dict` gave."""
        return cls(
            row_from_dict(record["metrics"]),
            record["examples"],
            record["confusion"],
            record["class_names"],
            record["split"],
            [Example.from_dict(one) for one in record["worst"]],
        )


def number(value: SupportsFloat) -> float:
    """A plain Python number from whatever is one: NumPy's scalars, arrays and tensors without axes.

    >>> number(np.float32(0.5)), number(np.int64(3)), number(np.array(2.0))
    (0.5, 3, 2.0)
    """
    return int(value) if isinstance(value, Integral) else float(value)


def plain(value: object) -> Any:
    """What JSON can say of `value`; for the rest its name or its text.

    >>> from pathlib import Path
    >>> plain({"lr": np.float32(0.5), "clip": math.inf, "layers": (64, 10), "loss": len, "path": Path("a/b")})
    {'lr': 0.5, 'clip': 'Infinity', 'layers': [64, 10], 'loss': 'len', 'path': 'a/b'}
    """
    if isinstance(value, np.generic | np.ndarray):
        return plain(value.tolist())
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return encoded(value)
    if isinstance(value, Mapping):
        return {str(name): plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(entry) for entry in value]
    return str(getattr(value, "__name__", value))


def encoded(value: float) -> float | str:
    """A number as JSON says it."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def decoded(value: object) -> float:
    """The number that JSON said; ValueError if it is none."""
    if isinstance(value, str) and value in _NOT_FINITE:
        return _NOT_FINITE[value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} stands where a number belongs")
    return value


def row_to_dict(row: Row) -> dict[str, float | str]:
    """A row as JSON says it."""
    return {name: encoded(value) for name, value in row.items()}


def row_from_dict(row: Mapping[str, object]) -> Row:
    """What `row_to_dict` gave; ValueError for what is no number."""
    return {name: decoded(value) for name, value in row.items()}


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
