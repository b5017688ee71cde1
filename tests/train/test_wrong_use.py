"""`fit`, `evaluate`, metrics and records that get what they cannot use: one clear error that says what."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import data, nn, optim, train
from clearprop.errors import ClearpropError, DataError, DTypeError, UsageError
from clearprop.train import metrics

X = np.random.default_rng(0).standard_normal((12, 4)).astype(np.float32)
LABELS = np.arange(12) % 3
SCORES = np.random.default_rng(1).standard_normal((4, 3))
BY_CLASS = [
    metrics.Accuracy,
    lambda: metrics.TopKAccuracy(2),
    metrics.Precision,
    metrics.Recall,
    metrics.F1Score,
    lambda: metrics.ConfusionMatrix(3),
    metrics.AUROC,
    metrics.AveragePrecision,
    metrics.Perplexity,
]


def loader(x: Any = X, y: Any = LABELS) -> data.DataLoader:
    return data.DataLoader(data.ArrayDataset(x, y), batch_size=4)


def fit(**settings: Any) -> train.History:
    model = nn.Linear(4, 3)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    given = {"loss": nn.CrossEntropyLoss(), "optimizer": optimizer, "epochs": 1, "progress": False} | settings
    return train.fit(model, given.pop("batches", loader()), **given)


def evaluate(**settings: Any) -> train.Evaluation:
    return train.evaluate(nn.Linear(4, 3), settings.pop("batches", loader()), **settings)


def rough(output: Any, target: Any) -> str:
    """A metric that gives no number."""
    return "good"


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: fit(metrics=[rough]), UsageError, "the metric rough gave a str for a batch"),
        (lambda: fit(callbacks=3), UsageError, "callbacks is int, not a list"),
        (lambda: fit(callbacks=train.Callback), UsageError, "callbacks is Callback, not a list"),
        (lambda: fit(resume=3), UsageError, "3 is no path"),
        (lambda: fit(checkpoint=3), UsageError, "3 is no path"),
        (lambda: fit(history=3), UsageError, "3 is no path"),
        (lambda: fit(validation=loader(y=LABELS + 1)), DataError, "labels of the validation data must be integers"),
        (lambda: fit(batches=loader(X.astype(np.float64))), DTypeError, "linear: x is float64, weight .*float32"),
        (lambda: train.evaluate(None, loader()), UsageError, "evaluate: the model is a NoneType"),
        (lambda: evaluate(batches=data.ArrayDataset(X, LABELS)), UsageError, "evaluate: the data is a dataset"),
        (lambda: evaluate(batches=[(X,)]), DataError, "evaluate: a batch must be a tuple of inputs and a target"),
        (lambda: evaluate(class_names=3), UsageError, "evaluate: class_names=3"),
        (lambda: evaluate(loss=nn.CrossEntropyLoss(), worst=1, show=3), UsageError, "evaluate: show is 3"),
        (lambda: evaluate(batches=loader(y=LABELS - 1), metrics=["accuracy"]), DataError, "accuracy: labels from -1"),
        (lambda: train.Checkpoint(None), UsageError, "None is no path"),
        (lambda: train.Checkpoint("a", every_epochs="often"), UsageError, "every_epochs is 'often'"),
        (lambda: train.Checkpoint("a", every_steps=1.5), UsageError, "every_steps is 1.5"),
        (lambda: train.Checkpoint("a", every_seconds=float("nan")), UsageError, "every_seconds=nan"),
        (lambda: train.EarlyStopping(3), UsageError, "EarlyStopping: monitor is 3"),
        (lambda: train.EarlyStopping(patience="long"), UsageError, "EarlyStopping: patience is 'long'"),
        (lambda: train.EarlyStopping(min_delta="a"), UsageError, "EarlyStopping: min_delta='a'"),
        (lambda: train.History("a", 3), UsageError, "History: config is 3"),
        (lambda: train.History.read(None), UsageError, "None is no path"),
        (lambda: train.compare([3, 4], "a.html"), UsageError, "3 is no path"),
        (lambda: train.write_report(None, "a.html"), UsageError, "write_report: the history is a NoneType"),
        (lambda: train.print_summary(None), UsageError, "print_summary: the history is a NoneType"),
        (lambda: metrics.ConfusionMatrix("three"), UsageError, "ConfusionMatrix: classes is 'three'"),
    ],
)
def test_one_clear_error(call: Callable[[], Any], error: type[ClearpropError], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        call()
    assert "\nTry: " in str(caught.value)


@pytest.mark.parametrize("metric", BY_CLASS)
def test_labels_that_are_no_classes(metric: Callable[[], train.Metric]) -> None:
    for wrong in ([0, 1, 2, 3], [0, 1, -1, 2]):
        with pytest.raises(DataError, match=r"labels from[\s\S]*Try: "):
            metric().update(SCORES, np.array(wrong))
    with pytest.raises(DTypeError, match=r"labels of dtype float64[\s\S]*Try: integers"):
        metric().update(SCORES, np.array([0.0, 1.0, 2.0, 0.0]))
    with pytest.raises(DTypeError, match="the output has dtype object"):
        metric().update(None, None)


@pytest.mark.parametrize("metric", [metrics.Accuracy, metrics.Precision, metrics.F1Score, metrics.AUROC])
def test_one_logit_tells_0_from_1_and_nothing_else(metric: Callable[[], train.Metric]) -> None:
    with pytest.raises(DataError, match="targets from 0 to 2 for one logit each"):
        metric().update(SCORES[:, 0], np.array([0, 1, 2, 0]))
    whole, shares = metric(), metric()
    whole.update(SCORES[:, 0], np.array([0, 1, 1, 0]))
    shares.update(SCORES[:, 0], np.array([0.1, 0.9, 1.0, 0.0]))
    assert whole.compute() == shares.compute()


def test_labels_to_pass_over_are_none_of_the_classes_and_keep_the_place_of_others() -> None:
    labels = LABELS.copy()
    labels[:3] = -100
    assert len(fit(batches=loader(y=labels)).epochs) == 1
    labels[7] = 9
    with pytest.raises(DataError, match="the label at index 7 is 9"):
        fit(batches=loader(y=labels))


def test_a_batch_without_a_label_that_counts_is_told_from_divergence() -> None:
    labels = LABELS.copy()
    labels[4:8] = -100
    with pytest.raises(DataError, match=r"all labels of step 2 are -100[\s\S]*Try: larger batches"):
        fit(batches=loader(y=labels))


def test_nothing_is_written_where_a_report_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "report.html"
    place.write_text("an older one")
    with pytest.raises(UsageError):
        train.write_report({"epochs": []}, place)  # type: ignore[arg-type]
    assert place.read_text() == "an older one"


def test_a_metric_is_given_numbers_of_any_kind() -> None:
    accuracy = metrics.Accuracy()
    accuracy.update(cp.asarray(SCORES), cp.asarray([0, 1, 2, 0]))
    accuracy.update(SCORES.tolist(), [0, 1, 2, 0])
    assert accuracy.total == 8
