"""Metrics of the order of all scores, which are not to be had from sums: the scores of an epoch are kept."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from clearprop.errors import DataError
from clearprop.train.metrics import checked
from clearprop.train.metrics.base import Metric
from clearprop.train.metrics.checked import Array, Floats, UndefinedMetricWarning
from clearprop.train.metrics.outputs import IGNORED, check_shares, hard_labels, numbers_of, scores
from clearprop.train.metrics.ranking import area_under_precision_recall, area_under_roc


class _OfOrder(Metric):
    """Keeps scores and labels, in single precision: 4 bytes for each example and class."""

    def __init__(
        self, average: Literal["macro", "weighted"] = "macro", *, class_axis: int = 1, ignore_index: int = IGNORED
    ) -> None:
        checked.one_of(type(self).__name__, "average", average, ("macro", "weighted"))
        self.average = average
        self.class_axis, self.ignore_index = class_axis, ignore_index
        self.reset()

    def reset(self) -> None:
        """Begin an epoch."""
        self._scores: list[Array] = []
        self._true: list[Array] = []

    def update(self, output: Any, target: Any) -> None:
        """Keep the scores of a batch."""
        logits, true = numbers_of(self.name, output, target)
        true = hard_labels(logits, true, self.class_axis)
        if logits.shape == true.shape:
            kept = true != self.ignore_index
            check_shares(self.name, true[kept])
            one_each, labels = logits[kept], true[kept] > 0.5
        else:
            rows, labels = scores(self.name, logits, true, self.class_axis, self.ignore_index)
            one_each = rows[:, 1] - rows[:, 0] if rows.shape[1] == 2 else _softmax(rows)
        if np.isnan(one_each).any():
            raise DataError(f"{self.name}: the output holds NaN, which has no place in an order", hint="cp.check")
        self._scores.append(one_each.astype(np.float32))
        self._true.append(labels.astype(np.int64))

    def compute(self) -> float:
        """The figure over all batches; NaN where no class has both examples and others."""
        if not self._true:
            return math.nan
        values, true = np.concatenate(self._scores), np.concatenate(self._true)
        self._scores, self._true = [values], [true]
        if values.ndim == 1:
            return self.area(true == 1, values)
        areas, counts = [], []
        for column in range(values.shape[1]):
            positive = true == column
            if positive.any() and not positive.all():
                areas.append(self.area(positive, values[:, column]))
                counts.append(np.count_nonzero(positive))
        return float(np.average(areas, weights=counts if self.average == "weighted" else None)) if areas else math.nan

    def area(self, positive: Array, values: Floats) -> float:
        """The figure of one class against the rest."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """The scores up to now."""
        return {"scores": list(self._scores), "true": list(self._true)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with saved scores."""
        self._scores, self._true = list(state["scores"]), list(state["true"])


class AUROC(_OfOrder):
    """The area under the ROC curve; of more than two classes the mean of each against the rest.

    Output has logits: of shape (N, classes, …) with the right classes in target, of shape (N, …), or one for each
    example, of target's own shape. All scores of an epoch are kept, 4 bytes each.

    Args:
        average: "macro", the mean over the classes; "weighted", that by their number of examples. Classes without
            examples are left out.
        class_axis, ignore_index: see `Accuracy`.

    >>> auc = AUROC()
    >>> auc.update(np.array([-2.0, 0.3]), np.array([0, 1]))
    >>> auc.update(np.array([0.5, 0.7]), np.array([0, 1]))
    >>> auc.compute()
    0.75
    """

    name = "auc"

    def area(self, positive: Array, values: Floats) -> float:
        """Of one class against the rest; NaN where there is no rest."""
        return area_under_roc(positive, values)


class AveragePrecision(_OfOrder):
    """The area under the curve of precision by recall; for the arguments see `AUROC`.

    >>> metric = AveragePrecision()
    >>> metric.update(np.array([-2.0, 0.3, 0.5, 0.7]), np.array([0, 1, 0, 1]))
    >>> round(metric.compute(), 4)
    0.8333
    """

    name = "average precision"

    def area(self, positive: Array, values: Floats) -> float:
        """Of one class against the rest; 0 without examples of the class."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UndefinedMetricWarning)
            return area_under_precision_recall(positive, values)


def _softmax(rows: Floats) -> Floats:
    powers = np.exp(rows - rows.max(axis=1, keepdims=True), dtype=np.float64)
    return powers / powers.sum(axis=1, keepdims=True)
