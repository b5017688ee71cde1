"""Metrics by name, as `fit` and `evaluate` take them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from clearprop.errors import UsageError
from clearprop.train.metrics.base import Mean, Metric, MetricFunction
from clearprop.train.metrics.collecting import AUROC, AveragePrecision
from clearprop.train.metrics.counting import Accuracy, F1Score, Precision, Recall, TopKAccuracy
from clearprop.train.metrics.summing import MeanAbsoluteError, MeanSquaredError, Perplexity, R2Score

AnyMetric: TypeAlias = str | Metric | MetricFunction

_BY_NAME: Mapping[str, Callable[[], Metric]] = {
    "accuracy": Accuracy,
    "precision": Precision,
    "recall": Recall,
    "f1": F1Score,
    "auc": AUROC,
    "average precision": AveragePrecision,
    "perplexity": Perplexity,
    "mae": MeanAbsoluteError,
    "mse": MeanSquaredError,
    "rmse": lambda: MeanSquaredError(squared=False),
    "r2": R2Score,
}
_OF_CLASSES = {"precision": Precision, "recall": Recall, "f1": F1Score}


def metric(name: str) -> Metric:
    """A new metric of this name.

    One of accuracy, precision, recall, f1, auc, average precision, perplexity, mae, mse, rmse, r2; "top-5 accuracy"
    with any number; and "macro f1", "micro f1", "weighted f1", "binary f1", and so for precision and recall.

    Raises:
        UsageError: there is none of this name.

    >>> metric("top-5 accuracy").k
    5
    """
    if name in _BY_NAME:
        return _BY_NAME[name]()
    if top := re.fullmatch(r"top-([1-9]\d{0,8}) accuracy", name):
        return TopKAccuracy(int(top[1]))
    if of_classes := re.fullmatch(r"(macro|micro|weighted|binary) (precision|recall|f1)", name):
        average: Any = of_classes[1]
        return _OF_CLASSES[of_classes[2]](average)
    names = [*_BY_NAME, "top-5 accuracy", *(f"{average} f1" for average in ("macro", "micro", "weighted", "binary"))]
    similar = difflib.get_close_matches(name, names, n=1)
    hint = f"{similar[0]!r}" if similar else f"one of {', '.join(names)}; or f(output, target) of your own"
    raise UsageError(f"there is no metric named {name!r}", hint=hint)


def make_metrics(metrics: Iterable[AnyMetric]) -> list[Metric]:
    """The metrics as objects.

    Raises:
        UsageError: something that is none, two of one name, or one named "loss".

    >>> [one.name for one in make_metrics(["accuracy", TopKAccuracy(3)])]
    ['accuracy', 'top-3 accuracy']
    """
    if isinstance(metrics, str | Metric) or not isinstance(metrics, Iterable):
        raise UsageError("fit: metrics is not a list", hint='metrics=["accuracy"]')
    made = [_make_metric(one) for one in metrics]
    names = [one.name for one in made]
    for name in names:
        if name == "loss" or names.count(name) > 1:
            raise UsageError(f"fit: there would be two columns named {name!r}", hint="give the metric another name")
    return made


def _make_metric(given: Any) -> Metric:
    if isinstance(given, str):
        return metric(given)
    if isinstance(given, Metric):
        return given
    if isinstance(given, type) or not callable(given):
        name = getattr(given, "__name__", repr(given))
        hint = f"{name}()" if isinstance(given, type) else 'metrics=["accuracy"], or f(output, target) of your own'
        raise UsageError(f"fit: {name} is not a metric", hint=hint)
    return Mean(getattr(given, "__name__", type(given).__name__), given)
