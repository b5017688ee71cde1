"""How well scores put examples in order: functions of labels and scores, with scikit-learn's names and meaning.

The area under the ROC curve is the chance that an example of the class has a higher score than one of another class; a
tie counts half (Mann and Whitney 1947; Fawcett 2006). So it is computed from ranks, without drawing the curve.
"""

from __future__ import annotations

import itertools
import math
import warnings
from typing import Any, Literal

import numpy as np

from clearprop.errors import DataError, ShapeError, UsageError
from clearprop.train.metrics import checked
from clearprop.train.metrics.checked import Array, Floats, UndefinedMetricWarning


def roc_auc_score(
    y_true: Any,
    y_score: Any,
    *,
    average: Literal["macro", "weighted"] | None = "macro",
    sample_weight: Any = None,
    multi_class: Literal["raise", "ovr", "ovo"] = "raise",
    labels: Any = None,
) -> float | Floats:
    """The area under the ROC curve: 1 for a perfect order, 0.5 for scores that say nothing.

    Args:
        y_true: the right labels, of shape (N,).
        y_score: of two classes the score of the greater label, of shape (N,), any real numbers; of more classes their
            probabilities, of shape (N, classes), in the order of the sorted labels.
        average: of the classes: "macro", their mean; "weighted", that by their number of examples; None for an array
            with the area of each (only with "ovr").
        sample_weight: of shape (N,); not with "ovo".
        multi_class: with more than two classes: "ovr", each against the rest; "ovo", each against each other (Hand and
            Till 2001).
        labels: the labels of the columns, sorted, where y_true may not have them all.

    Returns:
        NaN, with a warning, where a class has no examples or all of them.

    >>> roc_auc_score([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    checked.one_of("roc_auc_score", "average", average, ("macro", "weighted", None))
    true, scores = _given("roc_auc_score", y_true, y_score)
    weights = checked.weights("roc_auc_score", sample_weight, len(true))
    classes = np.unique(true)
    if scores.ndim == 1:
        if len(classes) > 2:
            raise ShapeError(
                f"roc_auc_score: {len(classes)} classes need scores of shape ({len(true)}, {len(classes)})",
                hint='probabilities of all classes, and multi_class="ovr"',
            )
        return area_under_roc(true == classes[-1], scores, weights) if len(classes) == 2 else _undefined(classes)
    if multi_class not in ("ovr", "ovo"):
        raise UsageError(
            f"roc_auc_score: multi_class is {multi_class!r} for {scores.shape[1]} columns of scores",
            hint='multi_class="ovr" (each class against the rest) or "ovo" (each against each other)',
        )
    classes = _classes("roc_auc_score", classes, labels, scores)
    if not np.allclose(scores.sum(axis=1), 1.0, atol=1e-5):
        raise DataError(
            "roc_auc_score: the scores of an example do not add up to 1",
            hint="probabilities: clearprop.functional.softmax(logits, -1)",
        )
    if multi_class == "ovo":
        return _one_against_one(true, scores, classes, average, sample_weight)
    areas = np.array([area_under_roc(true == one, scores[:, at], weights) for at, one in enumerate(classes)])
    return _mean_over_classes(areas, true, classes, weights, average)


def average_precision_score(
    y_true: Any,
    y_score: Any,
    *,
    average: Literal["macro", "weighted"] | None = "macro",
    pos_label: Any = 1,
    sample_weight: Any = None,
) -> float | Floats:
    """The area under the curve of precision by recall, as a sum of steps: what is left of it where positives are rare.

    Args:
        y_true: the right labels, of shape (N,).
        y_score: of two classes the score of `pos_label`, of shape (N,); of more classes their scores, of shape
            (N, classes), in the order of the sorted labels.
        average: of more than two classes: "macro", "weighted", or None for each; see `roc_auc_score`.
        pos_label: which of two labels is the positive one.
        sample_weight: of shape (N,).

    >>> round(average_precision_score([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
    0.8333
    """
    function = "average_precision_score"
    checked.one_of(function, "average", average, ("macro", "weighted", None))
    true, scores = _given(function, y_true, y_score)
    weights = checked.weights(function, sample_weight, len(true))
    classes = np.unique(true)
    if scores.ndim == 1:
        if len(classes) > 2:
            raise ShapeError(f"{function}: {len(classes)} classes need a column of scores each", hint="shape (N, C)")
        if len(classes) == 2 and pos_label not in classes.tolist():
            raise UsageError(f"{function}: pos_label is {pos_label!r}", hint=f"of {classes.tolist()}")
        return area_under_precision_recall(true == pos_label, scores, weights)
    classes = _classes(function, classes, None, scores)
    areas = [area_under_precision_recall(true == one, scores[:, at], weights) for at, one in enumerate(classes)]
    return _mean_over_classes(np.array(areas), true, classes, weights, average)


def top_k_accuracy_score(
    y_true: Any,
    y_score: Any,
    *,
    k: int = 2,
    normalize: bool = True,
    sample_weight: Any = None,
    labels: Any = None,
) -> float:
    """The share of examples whose right label is among the k with the highest scores.

    Args:
        y_true: the right labels, of shape (N,).
        y_score: of shape (N, classes), in the order of the sorted labels. Of equal scores the later column is the
            higher one.
        k: how many answers are allowed.
        normalize: False for the number of such examples, or the sum of their weights.
        sample_weight: of shape (N,).
        labels: the labels of the columns, sorted, where y_true does not have them all.

    >>> scores = [[0.5, 0.2, 0.2], [0.3, 0.4, 0.2], [0.2, 0.4, 0.3], [0.7, 0.2, 0.1]]
    >>> top_k_accuracy_score([0, 1, 2, 2], scores, k=2)
    0.75
    """
    function = "top_k_accuracy_score"
    true, scores = _given(function, y_true, y_score)
    weights = checked.weights(function, sample_weight, len(true))
    if scores.ndim != 2:
        raise ShapeError(f"{function}: y_score has shape {scores.shape}", hint="a column of scores for each class")
    checked.whole(function, "k", k, 1)
    classes = _classes(function, np.unique(true), labels, scores)
    right = among_the_highest(scores, np.searchsorted(classes, true), k)
    if normalize:
        return float(np.average(right, weights=weights))
    return float(np.sum(right if weights is None else right * weights))


def area_under_roc(positive: Array, scores: Floats, weights: Floats | None = None) -> float:
    """The share of pairs, one of the class and one of the rest, in the right order; NaN if there are no pairs.

    >>> area_under_roc(np.array([False, True]), np.array([0.5, 0.5]))
    0.5
    """
    for_each = np.ones(len(scores)) if weights is None else weights
    values, place = np.unique(scores, return_inverse=True)
    ours = np.bincount(place, for_each * positive, minlength=len(values))
    others = np.bincount(place, for_each * ~positive, minlength=len(values))
    pairs = float(ours.sum() * others.sum())
    below = np.cumsum(others) - others / 2  # of the rest, what has a lower score, and half of what has the same
    return float(np.dot(ours, below)) / pairs if pairs else math.nan


def area_under_precision_recall(positive: Array, scores: Floats, weights: Floats | None = None) -> float:
    """The mean of the precisions at each threshold, weighted with the recall it gains; 0 without positives."""
    for_each = np.ones(len(scores)) if weights is None else weights
    values, place = np.unique(-scores, return_inverse=True)
    ours = np.bincount(place, for_each * positive, minlength=len(values))
    answered = np.cumsum(np.bincount(place, for_each, minlength=len(values)))
    if not ours.any():
        warnings.warn("average precision is 0, as there is no positive example", UndefinedMetricWarning, stacklevel=3)
        return 0.0
    precision = np.cumsum(ours) / np.where(answered > 0, answered, 1.0)
    return float(np.dot(ours, precision) / ours.sum())


def among_the_highest(scores: Array, columns: Array, k: int) -> Array:
    """Whether the score in the given column of each row is one of its k highest; of equal ones the later is higher.

    >>> among_the_highest(np.array([[0.5, 0.2, 0.2]]), np.array([2]), k=2)
    array([ True])
    """
    own = np.take_along_axis(scores, columns[:, np.newaxis], axis=1)
    later = np.arange(scores.shape[1]) > columns[:, np.newaxis]
    higher = np.count_nonzero((scores > own) | ((scores == own) & later), axis=1)
    return np.asarray((higher < k) & ~np.isnan(own[:, 0]))


def _one_against_one(true: Array, scores: Floats, classes: Array, average: str | None, sample_weight: Any) -> float:
    if average is None or sample_weight is not None:
        what = "average=None" if average is None else "sample_weight"
        raise UsageError(f'roc_auc_score: multi_class="ovo" has no {what}', hint='multi_class="ovr"')
    areas, shares = [], []
    for first, second in itertools.combinations(range(len(classes)), 2):
        chosen = (true == classes[first]) | (true == classes[second])
        is_first = true[chosen] == classes[first]
        both = area_under_roc(is_first, scores[chosen, first]), area_under_roc(~is_first, scores[chosen, second])
        areas.append(sum(both) / 2)
        shares.append(float(np.mean(chosen)))
    return float(np.average(areas, weights=shares if average == "weighted" else None))


def _mean_over_classes(
    areas: Floats, true: Array, classes: Array, weights: Floats | None, average: str | None
) -> float | Floats:
    if np.isnan(areas).any():
        _undefined(classes[np.isnan(areas)])
    if average is None:
        return areas
    if average == "macro":
        return float(areas.mean())
    for_each = np.ones(len(true)) if weights is None else weights
    shares = np.array([for_each[true == one].sum() for one in classes])
    return float(np.average(areas[shares > 0], weights=shares[shares > 0]))


def _undefined(classes: Array) -> float:
    text = f"the area under the ROC curve is not defined where there is one class: {classes.tolist()}"
    warnings.warn(text, UndefinedMetricWarning, stacklevel=4)
    return math.nan


def _given(function: str, y_true: Any, y_score: Any) -> tuple[Array, Floats]:
    (true,) = checked.labels(function, y_true=y_true)
    scores = checked.numbers(function, "y_score", y_score)
    if scores.ndim not in (1, 2):
        raise ShapeError(f"{function}: y_score has shape {scores.shape}", hint="shape (N,) or (N, classes)")
    checked.check_lengths(function, {"y_true": true, "y_score": scores})
    return true, scores


def _classes(function: str, present: Array, labels: Any, scores: Floats) -> Array:
    """The labels of the columns of scores."""
    classes = present
    if labels is not None:
        (classes,) = checked.labels(function, labels=labels)
        if len(np.unique(classes)) < len(classes) or np.any(classes != np.sort(classes)):
            raise UsageError(f"{function}: labels must be sorted, each once", hint="as the columns of y_score are")
        if not np.isin(present, classes).all():
            raise DataError(f"{function}: y_true has labels that labels lacks", hint="all labels of the columns")
    if len(classes) != scores.shape[1]:
        what = "labels has" if labels is not None else "y_true has"
        raise ShapeError(
            f"{function}: {what} {len(classes)} classes, y_score {scores.shape[1]} columns",
            hint="labels=[…], one for each column, if y_true does not have them all",
        )
    return classes
