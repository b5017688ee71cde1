"""A confusion matrix, read: shares, recall and precision of each class, and the mistakes that are made most often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Mistake:
    """Examples of one class that were taken for another."""

    truth: str
    prediction: str
    count: int
    share: float  # of all examples of the true class


@dataclass(frozen=True)
class ClassFigures:
    """How one class fares; recall and precision are None where they would divide by zero."""

    name: str
    counts: list[int]  # by predicted class
    shares: list[float]  # the same, as shares of all examples of this class
    total: int
    recall: float | None
    precision: float | None


def class_figures(confusion: npt.NDArray[np.int64], names: Sequence[str]) -> list[ClassFigures]:
    """The rows of the table, one per true class.

    >>> cat, dog = class_figures(np.array([[8, 2], [0, 0]]), ["cat", "dog"])
    >>> cat.shares, cat.recall, cat.precision
    ([0.8, 0.2], 0.8, 1.0)
    >>> dog.recall, dog.precision  # no dog was shown, and both that were seen are cats
    (None, 0.0)
    """
    totals, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    shares = confusion / np.maximum(totals, 1)[:, np.newaxis]
    return [
        ClassFigures(
            name=name,
            counts=confusion[index].tolist(),
            shares=shares[index].tolist(),
            total=int(totals[index]),
            recall=float(shares[index, index]) if totals[index] else None,
            precision=float(confusion[index, index] / predicted[index]) if predicted[index] else None,
        )
        for index, name in enumerate(names)
    ]


def largest_mistakes(confusion: npt.NDArray[np.int64], names: Sequence[str], most: int = 5) -> list[Mistake]:
    """The commonest mistakes, the commonest first.

    >>> [(one.truth, one.prediction, one.count) for one in largest_mistakes(np.array([[8, 2], [0, 5]]), ["4", "9"])]
    [('4', '9', 2)]
    """
    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)
    totals = confusion.sum(axis=1)
    commonest = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = (divmod(int(position), len(names)) for position in commonest)
    return [
        Mistake(names[truth], names[prediction], int(count), float(count / totals[truth]))
        for truth, prediction in pairs
        if (count := wrong[truth, prediction]) > 0
    ]
