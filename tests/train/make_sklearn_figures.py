"""Writes sklearn_figures.json: what scikit-learn's metrics give for cases drawn at random.

    python tests/train/make_sklearn_figures.py        (needs scikit-learn; the recorded figures are of 1.9.1)

The file is committed, so that the tests need no scikit-learn. Where it is installed, a test compares with it directly.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
from sklearn import metrics
from sklearn.exceptions import UndefinedMetricWarning

FILE = Path(__file__).with_name("sklearn_figures.json")
ROUNDS = 3
AVERAGES = ("binary", "micro", "macro", "weighted", None)
ZERO_DIVISIONS = ("warn", 0.0, 1.0, math.nan)


def of_labels(rng: np.random.Generator) -> Iterator[tuple[str, list[Any], dict[str, Any]]]:
    classes, examples = int(rng.integers(2, 5)), int(rng.integers(3, 9))
    true, answers = rng.integers(0, classes, examples), rng.integers(0, classes, examples)
    weight = np.round(rng.random(examples), 2) + 0.01
    words = np.array(["ant", "bee", "cat", "dog"])
    for weights in ({}, {"sample_weight": weight}):
        yield "accuracy_score", [true, answers], weights
        yield "confusion_matrix", [words[true], words[answers]], weights
        for average in AVERAGES:
            yield "f1_score", [true, answers], {"average": average, **weights}
    yield "accuracy_score", [true, answers], {"normalize": False}
    some = rng.permutation(classes + 1)[: classes - 1] if classes > 2 else np.array([1, 0])
    yield "confusion_matrix", [true, answers], {"labels": some}
    for normalize in ("true", "pred", "all"):
        yield "confusion_matrix", [true, answers], {"normalize": normalize}
    for name in ("precision_score", "recall_score", "f1_score"):
        for average in AVERAGES:
            for zero_division in ZERO_DIVISIONS:
                yield name, [true, answers], {"average": average, "zero_division": zero_division}
        yield name, [true, answers], {"average": "macro", "labels": some}
        yield name, [true % 2, answers % 2], {"pos_label": 0}
        yield name, [words[true], words[answers]], {"average": None}


def of_scores(rng: np.random.Generator) -> Iterator[tuple[str, list[Any], dict[str, Any]]]:
    examples = int(rng.integers(4, 9))
    labels, scores = rng.integers(0, 2, examples), np.round(rng.random(examples), 1)  # with ties
    weights = {"sample_weight": np.round(rng.random(examples), 2) + 0.01}
    for name in ("roc_auc_score", "average_precision_score"):
        yield name, [labels, scores], {}
        yield name, [labels, scores], weights
    many = np.concatenate([np.arange(3), rng.integers(0, 3, examples - 3)])
    shares = rng.integers(1, 5, (examples, 3)).astype(float)
    shares /= shares.sum(axis=1, keepdims=True)
    for average in ("macro", "weighted"):
        yield "average_precision_score", [many, shares], {"average": average, **weights}
        yield "roc_auc_score", [many, shares], {"average": average, "multi_class": "ovr", **weights}
        yield "roc_auc_score", [many, shares], {"average": average, "multi_class": "ovo"}
        fewer = {"average": average, "multi_class": "ovr", "labels": np.arange(3)}
        yield "roc_auc_score", [many % 2, shares], fewer
    yield "roc_auc_score", [many, shares], {"average": None, "multi_class": "ovr"}
    yield "top_k_accuracy_score", [many, shares], {"k": 1}
    yield "top_k_accuracy_score", [many, shares], {"k": 2, **weights}
    yield "top_k_accuracy_score", [many % 2, shares], {"k": 2, "labels": np.arange(3), "normalize": False}


def of_numbers(rng: np.random.Generator) -> Iterator[tuple[str, list[Any], dict[str, Any]]]:
    examples = int(rng.integers(2, 6))
    true = np.round(rng.normal(size=(examples, 2)), 2)
    answers = np.round(true + rng.normal(size=(examples, 2)), 2)
    still = true * [1, 0]
    weights = {"sample_weight": np.round(rng.random(examples), 2) + 0.01}
    for name in ("mean_absolute_error", "mean_squared_error", "root_mean_squared_error", "r2_score"):
        yield name, [true[:, 0], answers[:, 0]], {}
        yield name, [true[:1, 0], answers[:1, 0]], {}
        yield name, [true, answers], weights
        yield name, [still, answers], {"multioutput": "raw_values"}
        yield name, [true, answers], {"multioutput": [0.25, 0.75]}
    yield "r2_score", [still, answers], {"multioutput": "variance_weighted"}
    yield "r2_score", [still, still], {"multioutput": "raw_values", "force_finite": False}


def case(name: str, arguments: list[Any], settings: dict[str, Any]) -> dict[str, Any]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            value = plain(getattr(metrics, name)(*arguments, **settings))
        except ValueError:
            value = "error"
    undefined = any(issubclass(one.category, UndefinedMetricWarning) for one in caught)
    return {
        "function": name,
        "arguments": [plain(one) for one in arguments],
        "settings": {key: plain(one) for key, one in settings.items()},
        "value": value,
        "warns": undefined,
    }


def plain(value: Any) -> Any:
    """As JSON: NaN and infinities as texts."""
    value = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, float):
        return round(value, 14) if math.isfinite(value) else str(value)
    return value


def figures() -> list[dict[str, Any]]:
    rng = np.random.default_rng(1)
    drawn = (of(rng) for _ in range(ROUNDS) for of in (of_labels, of_scores, of_numbers))
    return [case(*one) for several in drawn for one in several]


if __name__ == "__main__":
    text = ",\n".join(json.dumps(one) for one in figures())
    FILE.write_text(f'{{"scikit-learn": "{sklearn.__version__}", "cases": [\n{text}\n]}}\n')
