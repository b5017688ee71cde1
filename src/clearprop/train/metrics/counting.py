"""Metrics that count right and wrong answers, batch by batch; their names as classes are those of torchmetrics."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from clearprop.errors import UsageError
from clearprop.train.metrics import checked
from clearprop.train.metrics.base import Metric
from clearprop.train.metrics.classification import ClassCounts, averaged
from clearprop.train.metrics.outputs import IGNORED, answers, check_labels, hard_labels, numbers_of, scores
from clearprop.train.metrics.ranking import among_the_highest

BatchAverage = Literal["macro", "micro", "weighted", "binary"]


class Accuracy(Metric):
    """The share of right answers.

    With classes, output has scores of shape (N, classes, …) and target the right classes, integers of shape (N, …).
    With two classes and one score each, output has logits of target's own shape: above 0 means class 1. Targets that
    are probabilities of classes, of output's shape and 1 in sum, stand for the most likely class.

    Args:
        class_axis: where output has the classes; -1 for (N, …, classes).
        ignore_index: a label to pass over, as `nn.CrossEntropyLoss` does.

    >>> accuracy = Accuracy()
    >>> accuracy.update(np.array([[0.1, 0.9], [0.8, 0.2]]), np.array([1, 1]))
    >>> accuracy.update(np.array([[0.3, 0.7]]), np.array([1]))
    >>> accuracy.right, accuracy.total, round(accuracy.compute(), 3)
    (2, 3, 0.667)
    """

    name = "accuracy"

    def __init__(self, *, class_axis: int = 1, ignore_index: int = IGNORED) -> None:
        self.class_axis, self.ignore_index = class_axis, ignore_index
        self.reset()

    def reset(self) -> None:
        """Begin an epoch."""
        self.right = self.total = 0

    def update(self, output: Any, target: Any) -> None:
        """Count the right answers of a batch."""
        batch = answers(self.name, *numbers_of(self.name, output, target), self.class_axis, self.ignore_index)
        self.right += int(np.count_nonzero(batch.true == batch.given))
        self.total += batch.true.size

    def compute(self) -> float:
        """Right answers by answers; NaN before the first batch."""
        return self.right / self.total if self.total else math.nan


class TopKAccuracy(Metric):
    """The share of examples whose class is among the k with the highest scores.

    Args:
        k: how many answers are allowed.
        class_axis, ignore_index: see `Accuracy`.

    >>> top2 = TopKAccuracy(k=2)
    >>> top2.update(np.array([[0.1, 0.9, 0.3], [0.8, 0.2, 0.0]]), np.array([2, 2]))
    >>> top2.name, top2.compute()
    ('top-2 accuracy', 0.5)
    """

    def __init__(self, k: int = 5, *, class_axis: int = 1, ignore_index: int = IGNORED) -> None:
        checked.whole("TopKAccuracy", "k", k, 1)
        self.k, self.name = k, f"top-{k} accuracy"
        self.class_axis, self.ignore_index = class_axis, ignore_index
        self.reset()

    def reset(self) -> None:
        """Begin an epoch."""
        self.right = self.total = 0

    def update(self, output: Any, target: Any) -> None:
        """Count the examples of a batch."""
        logits, true = numbers_of(self.name, output, target)
        true = hard_labels(logits, true, self.class_axis)
        rows, true = scores(self.name, logits, true, self.class_axis, self.ignore_index)
        self.right += int(np.count_nonzero(among_the_highest(rows, true, self.k)))
        self.total += true.size

    def compute(self) -> float:
        """Such examples by examples; NaN before the first batch."""
        return self.right / self.total if self.total else math.nan


class ConfusionMatrix(Metric):
    """Counts of the pairs of right class and answer.

    >>> confusion = ConfusionMatrix(classes=2)
    >>> confusion.update(np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]]), np.array([1, 1, 1]))
    >>> confusion.counts
    array([[0, 0],
           [1, 2]])
    """

    name = "confusion"

    def __init__(self, classes: int, *, class_axis: int = 1, ignore_index: int = IGNORED) -> None:
        checked.whole("ConfusionMatrix", "classes", classes, 1)
        self.classes = classes
        self.class_axis, self.ignore_index = class_axis, ignore_index
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self.counts = np.zeros((self.classes, self.classes), np.int64)

    def update(self, output: Any, target: Any) -> None:
        """Count the pairs of a batch."""
        batch = answers(self.name, *numbers_of(self.name, output, target), self.class_axis, self.ignore_index)
        check_labels(self.name, batch.true, self.classes)
        check_labels(self.name, batch.given, self.classes)
        pairs = np.bincount(batch.true * self.classes + batch.given, minlength=self.classes**2)
        self.counts = self.counts + pairs.reshape(self.counts.shape)

    def compute(self) -> float:
        """The share of right answers; NaN before the first batch."""
        return float(np.trace(self.counts) / self.counts.sum()) if self.counts.any() else math.nan


class _OfClasses(Metric):
    """Base of what is computed from the counts of each class, without classes that are in no example and no answer.

    Args:
        average: "macro", the mean over the classes; "micro", all classes counted together; "weighted", the mean by
            their number of examples; "binary", the figure of class 1 alone. By default "binary" if there is one logit
            for each example, else "macro".
        class_axis, ignore_index: see `Accuracy`.
        zero_division: the figure of a class for which it would divide by zero.
    """

    kind: str

    def __init__(
        self,
        average: BatchAverage | None = None,
        *,
        class_axis: int = 1,
        ignore_index: int = IGNORED,
        zero_division: float = 0.0,
    ) -> None:
        checked.one_of(type(self).__name__, "average", average, ("macro", "micro", "weighted", "binary", None))
        self.average = average
        self.name = f"{average} {self.kind}" if average else self.kind
        self.class_axis, self.ignore_index = class_axis, ignore_index
        self.zero_division = zero_division
        self.reset()

    def reset(self) -> None:
        """Begin an epoch."""
        self.found = self.answered = self.true = np.zeros(0, np.int64)
        self.one_logit = False

    def update(self, output: Any, target: Any) -> None:
        """Count the answers of a batch, class by class."""
        batch = answers(self.name, *numbers_of(self.name, output, target), self.class_axis, self.ignore_index)
        check_labels(self.name, batch.true, batch.classes)
        if not self.true.size:
            self.found = self.answered = self.true = np.zeros(batch.classes, np.int64)
        self.one_logit = batch.binary
        self.found = self.found + np.bincount(batch.true[batch.true == batch.given], minlength=batch.classes)
        self.answered = self.answered + np.bincount(batch.given, minlength=batch.classes)
        self.true = self.true + np.bincount(batch.true, minlength=batch.classes)

    def compute(self) -> float:
        """The figure over all batches; NaN before the first one."""
        if not self.true.any():
            return math.nan
        average = self.average or ("binary" if self.one_logit else "macro")
        if average == "binary" and self.true.size != 2:
            raise UsageError(
                f'{self.name}: average="binary" is for two classes, and there are {self.true.size}',
                hint='average="macro", "micro" or "weighted"',
            )
        chosen = (self.true + self.answered > 0) if average != "binary" else np.array([False, True])
        counts = ClassCounts(*(one[chosen].astype(np.float64) for one in (self.found, self.answered, self.true)))
        return float(averaged(self.kind, counts, "macro" if average == "binary" else average, self.zero_division))


class Precision(_OfClasses):
    """Of the examples that were taken for a class, the share that is of it, over all batches.

    Args:
        average: "macro", the mean over the classes; "micro", all classes counted together; "weighted", the mean by
            their number of examples; "binary", the figure of class 1 alone. By default "binary" if there is one logit
            for each example, else "macro". Classes that are in no example and no answer are left out.
        class_axis, ignore_index: see `Accuracy`.
        zero_division: the figure of a class for which it would divide by zero.

    >>> precision = Precision("binary")
    >>> precision.update(np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]]), np.array([1, 1, 0]))
    >>> precision.name, precision.compute()
    ('binary precision', 0.5)
    """

    kind = "precision"


class Recall(_OfClasses):
    """Of the examples of a class, the share that was recognised, over all batches; for the arguments see `Precision`.

    >>> recall = Recall("micro")
    >>> recall.update(np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]]), np.array([1, 1, 1]))
    >>> round(recall.compute(), 3)
    0.667
    """

    kind = "recall"


class F1Score(_OfClasses):
    """The harmonic mean of precision and recall, over all batches; for the arguments see `Precision`.

    >>> f1 = F1Score()
    >>> f1.update(np.array([1.5, -0.5, 2.0, 0.1]), np.array([1, 1, 1, 0]))  # logits
    >>> f1.update(np.array([3.0]), np.array([1]))
    >>> f1.compute()
    0.75
    """

    kind = "f1"
