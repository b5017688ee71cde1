"""Right and wrong answers, counted: functions of labels, under scikit-learn's names and with its meaning.

With TP examples of a class found, FP examples of others taken for it, FN examples of it missed: precision is
TP / (TP + FP), recall TP / (TP + FN), F1 = 2 TP / (2 TP + FP + FN), their harmonic mean.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from clearprop.errors import DataError, UsageError
from clearprop.train.metrics import checked
from clearprop.train.metrics.checked import Array, Floats, UndefinedMetricWarning

Average: TypeAlias = Literal["binary", "micro", "macro", "weighted"]
ZeroDivision: TypeAlias = float | Literal["warn"]

_MANY = ("micro", "macro", "weighted")


@dataclass(frozen=True)
class ClassCounts:
    """For each of some classes: how many examples were recognised, taken for it, and are of it (or their weights)."""

    found: Floats  # TP
    answered: Floats  # TP + FP
    true: Floats  # TP + FN

    def together(self) -> ClassCounts:
        """All classes counted as one."""
        found, answered, true = (np.array([one.sum()]) for one in (self.found, self.answered, self.true))
        return ClassCounts(found, answered, true)


def accuracy_score(y_true: Any, y_pred: Any, *, normalize: bool = True, sample_weight: Any = None) -> float:
    """The share of right answers.

    Args:
        y_true: the right labels, of shape (N,).
        y_pred: the answers, of shape (N,).
        normalize: False for their number, or the sum of their weights.
        sample_weight: of shape (N,).

    >>> accuracy_score([0, 1, 2, 3], [0, 2, 1, 3])
    0.5
    """
    true, answers = checked.labels("accuracy_score", y_true=y_true, y_pred=y_pred)
    weights = checked.weights("accuracy_score", sample_weight, len(true))
    right = true == answers
    if normalize:
        return float(np.average(right, weights=weights))
    return float(np.sum(right if weights is None else right * weights))


def confusion_matrix(
    y_true: Any,
    y_pred: Any,
    *,
    labels: Any = None,
    sample_weight: Any = None,
    normalize: Literal["true", "pred", "all"] | None = None,
) -> Array:
    """Counts ``[right label, answer]``, in the order of the labels.

    Args:
        labels: which, in which order; by default all that there are, sorted.
        normalize: shares of the right labels ("true"), of the answers ("pred"), or of all; 0 where there are none.

    Returns:
        int64 of shape (labels, labels), or float64 with weights or `normalize`.

    >>> confusion_matrix(["cat", "ant", "cat"], ["ant", "ant", "cat"], labels=["ant", "cat"])
    array([[1, 0],
           [1, 1]])
    """
    checked.one_of("confusion_matrix", "normalize", normalize, ("true", "pred", "all", None))
    true, answers = checked.labels("confusion_matrix", y_true=y_true, y_pred=y_pred)
    weights = checked.weights("confusion_matrix", sample_weight, len(true))
    wanted = _wanted("confusion_matrix", labels, true, np.union1d(true, answers))
    if not np.isin(wanted, true).any():
        raise UsageError("confusion_matrix: not one of the labels is in y_true", hint=f"of {_shown(np.unique(true))}")
    order = np.argsort(wanted, kind="stable")
    rows, row_found = _positions(wanted[order], true)
    columns, column_found = _positions(wanted[order], answers)
    inside = row_found & column_found
    pairs = order[rows[inside]] * len(wanted) + order[columns[inside]]
    counts = np.bincount(pairs, None if weights is None else weights[inside], minlength=len(wanted) ** 2)
    counts = counts.reshape(len(wanted), len(wanted))
    if normalize is None:
        return counts
    axis = {"true": 1, "pred": 0, "all": None}[normalize]
    totals = counts.sum(axis=axis, keepdims=True)
    return np.where(totals > 0, counts / np.where(totals > 0, totals, 1), 0.0)


def precision_score(
    y_true: Any,
    y_pred: Any,
    *,
    labels: Any = None,
    pos_label: Any = 1,
    average: Average | None = "binary",
    sample_weight: Any = None,
    zero_division: ZeroDivision = "warn",
) -> float | Floats:
    """Of the examples that were taken for a class, the share that is of it.

    Args:
        y_true: the right labels, of shape (N,).
        y_pred: the answers, of shape (N,).
        labels: the classes to average over, or to list; by default all that there are, sorted.
        pos_label: the class that is meant if `average` is "binary".
        average: "binary" for one class of two; "macro", the mean over the classes; "weighted", that by their number of
            examples; "micro", all classes counted together; None for an array with the figure of each class.
        sample_weight: of shape (N,).
        zero_division: the value where nothing was taken for a class: 0.0, 1.0, NaN (which means leave out), or "warn"
            for 0.0 with a warning.

    >>> precision_score([0, 1, 2, 0, 1, 2], [0, 2, 1, 0, 0, 1], average=None, zero_division=0.0)
    array([0.66666667, 0.        , 0.        ])
    """
    return _score("precision", y_true, y_pred, labels, pos_label, average, sample_weight, zero_division)


def recall_score(
    y_true: Any,
    y_pred: Any,
    *,
    labels: Any = None,
    pos_label: Any = 1,
    average: Average | None = "binary",
    sample_weight: Any = None,
    zero_division: ZeroDivision = "warn",
) -> float | Floats:
    """Of the examples of a class, the share that was recognised; for the arguments see `precision_score`.

    >>> recall_score([1, 1, 0, 1], [1, 0, 0, 1])
    0.6666666666666666
    """
    return _score("recall", y_true, y_pred, labels, pos_label, average, sample_weight, zero_division)


def f1_score(
    y_true: Any,
    y_pred: Any,
    *,
    labels: Any = None,
    pos_label: Any = 1,
    average: Average | None = "binary",
    sample_weight: Any = None,
    zero_division: ZeroDivision = "warn",
) -> float | Floats:
    """The harmonic mean of precision and recall; for the arguments see `precision_score`.

    >>> f1_score([0, 1, 2, 0, 1, 2], [0, 2, 1, 0, 0, 1], average="macro")
    0.26666666666666666
    """
    return _score("f1", y_true, y_pred, labels, pos_label, average, sample_weight, zero_division)


def averaged(kind: str, counts: ClassCounts, average: str | None, zero_division: ZeroDivision) -> float | Floats:
    """Precision, recall or F1 of the counted classes, averaged as asked for.

    >>> averaged("recall", ClassCounts(np.array([1.0, 3.0]), np.array([2.0, 4.0]), np.array([2.0, 3.0])), "macro", 0.0)
    0.75
    """
    if average == "micro":
        counts = counts.together()
    over, under = _FRACTIONS[kind](counts)
    if zero_division == "warn" and np.any(under == 0):
        text = f"{kind} is 0 divided by 0 for {np.count_nonzero(under == 0)} of {under.size} classes, and counts as 0"
        warnings.warn(f"{text}; zero_division=0.0 says that this is meant", UndefinedMetricWarning, stacklevel=4)
    instead = 0.0 if zero_division == "warn" else float(zero_division)
    figures = np.where(under > 0, over / np.where(under > 0, under, 1.0), instead)
    if average is None:
        return figures
    kept = ~np.isnan(figures)
    if not kept.any():
        return math.nan
    weights = counts.true[kept] if average == "weighted" and counts.true[kept].any() else None
    return float(np.average(figures[kept], weights=weights))


def _precision(counts: ClassCounts) -> tuple[Floats, Floats]:
    return counts.found, counts.answered


def _recall(counts: ClassCounts) -> tuple[Floats, Floats]:
    return counts.found, counts.true


def _f1(counts: ClassCounts) -> tuple[Floats, Floats]:
    return 2 * counts.found, counts.answered + counts.true


_FRACTIONS: dict[str, Callable[[ClassCounts], tuple[Floats, Floats]]] = {
    "precision": _precision,
    "recall": _recall,
    "f1": _f1,
}


def _score(
    kind: str,
    y_true: Any,
    y_pred: Any,
    labels: Any,
    pos_label: Any,
    average: Average | None,
    sample_weight: Any,
    zero_division: ZeroDivision,
) -> float | Floats:
    function = f"{kind}_score"
    checked.one_of(function, "average", average, ("binary", *_MANY, None))
    if str(zero_division) not in ("warn", "0", "1", "0.0", "1.0", "nan"):
        raise UsageError(f"{function}: zero_division is {zero_division!r}", hint='0.0, 1.0, float("nan") or "warn"')
    true, answers = checked.labels(function, y_true=y_true, y_pred=y_pred)
    weights = checked.weights(function, sample_weight, len(true))
    present = np.union1d(true, answers)
    if average == "binary":
        _check_binary(function, present, pos_label)
        labels = [pos_label]
    counts = _count(true, answers, _wanted(function, labels, true, present), weights)
    return averaged(kind, counts, average, zero_division)


def _check_binary(function: str, present: Array, pos_label: Any) -> None:
    if len(present) > 2:
        raise UsageError(
            f'{function}: there are {len(present)} classes, and average="binary" is for two',
            hint='average="macro", "micro", "weighted" or None',
        )
    another_kind = isinstance(pos_label, str) != (present.dtype.kind == "U")
    if another_kind or (len(present) == 2 and pos_label not in present.tolist()):
        raise UsageError(f"{function}: pos_label is {pos_label!r}", hint=f"of {_shown(present)}")


def _wanted(function: str, labels: Any, true: Array, present: Array) -> Array:
    """The labels that were asked for, or all."""
    if labels is None:
        return present
    (wanted,) = checked.labels(function, labels=labels)
    if (wanted.dtype.kind == "U") != (true.dtype.kind == "U"):
        raise UsageError(f"{function}: labels are of another kind than y_true", hint=f"of {_shown(np.unique(true))}")
    if len(np.unique(wanted)) < len(wanted):
        raise DataError(f"{function}: labels holds one twice", hint="each once")
    return wanted


def _count(true: Array, answers: Array, wanted: Array, weights: Floats | None) -> ClassCounts:
    order = np.argsort(wanted, kind="stable")

    def count(values: Array, selected: Array) -> Floats:
        positions, found = _positions(wanted[order], values)
        found = found & selected
        counts = np.bincount(positions[found], None if weights is None else weights[found], minlength=len(wanted))
        by_label = np.empty(len(wanted))
        by_label[order] = counts
        return by_label

    everything = np.ones(len(true), bool)
    return ClassCounts(count(true, true == answers), count(answers, everything), count(true, everything))


def _positions(ordered: Array, values: Array) -> tuple[Array, Array]:
    """Where values stand among ordered ones, and whether they do."""
    positions = np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)
    return positions, ordered[positions] == values


def _shown(values: Array) -> str:
    first = ", ".join(repr(value) for value in values[:8].tolist())
    return first + (", …" if len(values) > 8 else "")
