"""Metrics give scikit-learn's figures, also when they add them up over batches of unequal length."""

from __future__ import annotations

import copy
import importlib.util
import json
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.train.small import fit, make

import clearprop as cp
from clearprop import train
from clearprop.errors import ClearpropError, DataError, DTypeError, ShapeError, UsageError
from clearprop.train import metrics
from clearprop.train.pack import pack, unpack

FIGURES = json.loads((Path(__file__).parent / "sklearn_figures.json").read_text())["cases"]


def number(value: Any) -> Any:
    """NaN and infinities are texts in the file."""
    if isinstance(value, list):
        return [number(one) for one in value]
    return float(value) if value in ("nan", "inf", "-inf") else value


def compare(case: dict[str, Any]) -> None:
    """What our function of this name gives, beside what scikit-learn gave."""
    function = getattr(metrics, case["function"])
    settings = {name: number(value) for name, value in case["settings"].items()}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            value = function(*case["arguments"], **settings)
        except ClearpropError:
            value = "error"
    if case["value"] == "error" or isinstance(value, str):
        assert value == case["value"], case
        return
    expected = np.array(number(case["value"]), dtype=np.float64)
    assert np.shape(value) == expected.shape, case
    np.testing.assert_allclose(value, expected, rtol=1e-10, atol=1e-12, err_msg=str(case))
    undefined = any(one.category is metrics.UndefinedMetricWarning for one in caught)
    assert undefined == case["warns"] or not np.all(np.isfinite(expected)), case


@pytest.mark.parametrize("name", sorted({case["function"] for case in FIGURES}))
def test_the_figures_of_scikit_learn(name: str) -> None:
    cases = [case for case in FIGURES if case["function"] == name]
    assert len(cases) >= 9
    for case in cases:
        compare(case)


def test_the_figures_of_scikit_learn_itself() -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed; its recorded figures are compared")
    spec = importlib.util.spec_from_file_location("figures", Path(__file__).parent / "make_sklearn_figures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for case in module.figures():
        compare(case)


def test_tensors_and_lists_are_arrays_too() -> None:
    labels, scores = [0, 1, 1, 0], [0.1, 0.4, 0.35, 0.8]
    area = metrics.roc_auc_score(labels, scores)
    assert area == metrics.roc_auc_score(cp.tensor(labels), cp.tensor(scores))
    assert area == metrics.roc_auc_score(np.array(labels), np.array(scores))


@given(st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=2, max_size=30))
def test_the_area_is_the_share_of_pairs_in_order(pairs: list[tuple[bool, int]]) -> None:
    ours = [score for positive, score in pairs if positive]
    others = [score for positive, score in pairs if not positive]
    order = [1.0 if a > b else 0.5 if a == b else 0.0 for a in ours for b in others]
    area = metrics.ranking.area_under_roc(np.array([p for p, _ in pairs]), np.array([float(s) for _, s in pairs]))
    assert math.isnan(area) if not order else area == pytest.approx(np.mean(order))


# Over batches ---------------------------------------------------------------------------------------------------------

rng = np.random.default_rng(0)
LOGITS, LABELS = rng.normal(size=(37, 4)).astype(np.float32), rng.integers(0, 4, 37)
ONE_LOGIT, TWO = rng.normal(size=37), rng.integers(0, 2, 37)
NUMBERS, WANTED = rng.normal(size=(37, 2)) + 1e6, rng.normal(size=(37, 2)) + 1e6


def softmax(logits: Any) -> Any:
    powers = np.exp(logits.astype(np.float64))
    return powers / powers.sum(axis=1, keepdims=True)


CASES: list[tuple[str, Any, Any, float]] = [
    ("accuracy", LOGITS, LABELS, metrics.accuracy_score(LABELS, LOGITS.argmax(1))),
    ("accuracy", ONE_LOGIT, TWO, metrics.accuracy_score(TWO, ONE_LOGIT > 0)),
    ("top-2 accuracy", LOGITS, LABELS, metrics.top_k_accuracy_score(LABELS, LOGITS, k=2)),
    ("auc", LOGITS, LABELS, metrics.roc_auc_score(LABELS, softmax(LOGITS), multi_class="ovr")),
    ("auc", ONE_LOGIT, TWO, metrics.roc_auc_score(TWO, ONE_LOGIT)),
    ("auc", LOGITS[:, :2], TWO, metrics.roc_auc_score(TWO, softmax(LOGITS[:, :2])[:, 1])),
    ("average precision", ONE_LOGIT, TWO, metrics.average_precision_score(TWO, ONE_LOGIT)),
    ("average precision", LOGITS, LABELS, metrics.average_precision_score(LABELS, softmax(LOGITS))),
    ("perplexity", LOGITS, LABELS, math.exp(-np.mean(np.log(softmax(LOGITS)[np.arange(37), LABELS])))),
    ("mae", NUMBERS, WANTED, metrics.mean_absolute_error(WANTED, NUMBERS)),
    ("mse", NUMBERS, WANTED, metrics.mean_squared_error(WANTED, NUMBERS)),
    ("rmse", NUMBERS[:, 0], WANTED[:, 0], metrics.root_mean_squared_error(WANTED[:, 0], NUMBERS[:, 0])),
    ("r2", NUMBERS, WANTED, metrics.r2_score(WANTED, NUMBERS)),
]
for kind in ("precision", "recall", "f1"):
    score = getattr(metrics, f"{kind}_score")
    CASES += [
        (f"{average} {kind}", LOGITS, LABELS, score(LABELS, LOGITS.argmax(1), average=average))
        for average in ("macro", "micro", "weighted")
    ]
    CASES += [
        (kind, LOGITS, LABELS, score(LABELS, LOGITS.argmax(1), average="macro")),
        (kind, ONE_LOGIT, TWO, score(TWO, ONE_LOGIT > 0)),
        (f"binary {kind}", LOGITS[:, :2], TWO, score(TWO, LOGITS[:, :2].argmax(1))),
    ]


@pytest.mark.parametrize(("name", "output", "target", "expected"), CASES)
def test_unequal_batches_give_the_figure_of_the_whole(name: str, output: Any, target: Any, expected: float) -> None:
    metric = metrics.metric(name)
    assert metric.name == name
    assert math.isnan(metric.compute())
    for start, stop in ((0, 1), (1, 20), (20, 37)):
        metric.update(cp.tensor(output[start:stop]), target[start:stop])
    assert metric.compute() == pytest.approx(expected, rel=1e-6)
    metric.reset()
    assert math.isnan(metric.compute())
    metric.update(output, target)
    assert metric.compute() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("name", "output", "target", "expected"), CASES)
def test_a_checkpoint_keeps_what_was_added_up(name: str, output: Any, target: Any, expected: float) -> None:
    metric, other = metrics.metric(name), metrics.metric(name)
    metric.update(output[:20], target[:20])
    other.load_state_dict(unpack(*pack(metric.state_dict())))
    other.update(output[20:], target[20:])
    assert other.compute() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", ["accuracy", "top-2 accuracy", "macro f1", "auc", "perplexity"])
def test_classes_last_and_labels_to_pass_over(name: str) -> None:
    """A batch of sequences with the classes as the last axis, padded: as the tokens alone."""
    whole, sequences = metrics.metric(name), copy.copy(metrics.metric(name))
    whole.update(LOGITS[:35], LABELS[:35])
    vars(sequences).update(class_axis=-1, ignore_index=9)
    padded = np.concatenate([LABELS[:35].reshape(5, 7), np.full((5, 2), 9)], axis=1)
    sequences.update(np.concatenate([LOGITS[:35].reshape(5, 7, 4), np.ones((5, 2, 4))], axis=1), padded)
    assert sequences.compute() == pytest.approx(whole.compute(), rel=1e-6)


def test_settings_of_the_classes() -> None:
    assert metrics.Accuracy(class_axis=-1, ignore_index=0).class_axis == -1
    assert metrics.F1Score("weighted").name == "weighted f1"
    with pytest.raises(UsageError, match="average is 'samples'"):
        metrics.F1Score("samples")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="k is 0"):
        metrics.TopKAccuracy(0)
    three = metrics.Precision("binary")
    three.update(np.eye(3), np.arange(3))
    with pytest.raises(UsageError, match="is for two classes, and there are 3"):
        three.compute()


def test_classes_that_do_not_occur_do_not_count() -> None:
    """As scikit-learn's macro average has it: two of four classes, one of them always right."""
    f1 = metrics.F1Score()
    f1.update(np.eye(4)[[0, 0, 1]], np.array([0, 0, 0]))
    assert f1.compute() == metrics.f1_score([0, 0, 0], [0, 0, 1], average="macro", zero_division=0.0)


def test_targets_that_are_probabilities() -> None:
    """What mixup makes: the most likely class is the right one."""
    accuracy = metrics.Accuracy()
    accuracy.update(LOGITS, np.eye(4)[LABELS] * 0.7 + 0.3 / 4)
    assert accuracy.compute() == metrics.accuracy_score(LABELS, LOGITS.argmax(1))
    several = metrics.Accuracy()  # labels by themselves: 3 of 6 are right
    several.update(np.array([[1.0, -1.0, 1.0], [1.0, 1.0, -1.0]]), np.array([[1, 1, 0], [1, 1, 1]]))
    assert several.compute() == 0.5


def test_r2_of_targets_far_from_zero() -> None:
    """The difference of sums of squares would have no digit left of this variance."""
    target = 1e9 + np.arange(8.0)
    r2 = metrics.R2Score()
    for start in (0, 3, 7):
        r2.update((target + 0.5)[start : {0: 3, 3: 7, 7: 8}[start]], target[start : {0: 3, 3: 7, 7: 8}[start]])
    assert r2.compute() == pytest.approx(1 - 8 * 0.25 / 42)


def test_perplexity_weights_tokens_not_batches() -> None:
    metric = metrics.Perplexity()
    metric.update(np.log([[0.5, 0.5]]), np.array([0]))
    metric.update(np.log([[0.125, 0.875]] * 3), np.array([0, 0, -100]))
    assert metric.compute() == pytest.approx(math.exp((math.log(2) + 2 * math.log(8)) / 3))
    metric.update(np.array([[0.0, 1e4]]), np.array([0]))
    assert metric.compute() == math.inf
    assert metrics.perplexity(np.zeros((2, 7, 3)), np.zeros((2, 3), int)) == pytest.approx(7)


# In a run -------------------------------------------------------------------------------------------------------------


def test_by_name_in_a_run() -> None:
    names = ["accuracy", "top-3 accuracy", "macro f1", "auc", "perplexity"]
    arguments = make(epochs=1) | {"metrics": names}
    history = fit(arguments)
    assert history.metrics == names
    last = history.epochs[-1]
    assert last["val_perplexity"] == pytest.approx(math.exp(last["val_loss"]), rel=1e-5)
    assert last["val_accuracy"] < last["val_top-3 accuracy"] < last["val_auc"] <= 1
    tested = train.evaluate(arguments["model"], arguments["validation"], metrics=names).metrics
    assert {f"val_{name}": pytest.approx(value) for name, value in tested.items()} == {
        name: value for name, value in last.items() if name.startswith("val_") and name != "val_loss"
    }


@pytest.mark.parametrize(
    ("name", "hint"),
    [("acuracy", "Try: 'accuracy'"), ("top-0 accuracy", "top-5 accuracy"), ("bleu", "one of accuracy,")],
)
def test_names_that_are_none(name: str, hint: str) -> None:
    with pytest.raises(UsageError, match=f"there is no metric named '{name}'") as caught:
        metrics.metric(name)
    assert hint in str(caught.value)


# Bad input ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: metrics.accuracy_score([1, 2], [1]), ShapeError, "there are 2 y_true and 1 y_pred"),
        (lambda: metrics.accuracy_score([], []), DataError, "there are no examples"),
        (lambda: metrics.accuracy_score([0, 1], [[0.1, 0.9], [0.8, 0.2]]), ShapeError, r"argmax\(axis=1\)"),
        (lambda: metrics.accuracy_score([0, 1], [0.1, 0.9]), DTypeError, "y_pred holds 0.1, which is no label"),
        (lambda: metrics.accuracy_score(["a"], [1]), DTypeError, "mix texts and numbers"),
        (lambda: metrics.accuracy_score([1], [1], sample_weight=[1, 2]), ShapeError, "sample_weight has shape"),
        (lambda: metrics.accuracy_score([1], [1], sample_weight=[-1]), DataError, "must be finite, from 0 on"),
        (lambda: metrics.confusion_matrix([0], [1], labels=[7]), UsageError, "not one of the labels is in y_true"),
        (lambda: metrics.confusion_matrix([0], [1], labels=[0, 0]), DataError, "holds one twice"),
        (lambda: metrics.confusion_matrix([0], [1], normalize="rows"), UsageError, "normalize is 'rows'"),
        (lambda: metrics.f1_score([0, 2], [2, 0]), UsageError, "pos_label is 1"),
        (lambda: metrics.f1_score(["a", "b"], ["a", "b"]), UsageError, "Try: of 'a', 'b'"),
        (lambda: metrics.f1_score([0], [0], average="samples"), UsageError, "average is 'samples'"),
        (lambda: metrics.f1_score([0], [0], zero_division=0.5), UsageError, "zero_division is 0.5"),
        (lambda: metrics.roc_auc_score([0, 1], [0.5, math.nan]), DataError, "y_score holds NaN"),
        (lambda: metrics.roc_auc_score([0, 1, 2], [1, 2, 3]), ShapeError, "3 classes need scores of shape"),
        (lambda: metrics.roc_auc_score([0, 1, 2], np.eye(3)), UsageError, 'multi_class="ovr"'),
        (lambda: metrics.roc_auc_score([0, 1, 2], 2 * np.eye(3), multi_class="ovr"), DataError, "do not add up to 1"),
        (lambda: metrics.roc_auc_score([0, 1, 1], np.eye(3), multi_class="ovr"), ShapeError, "2 classes, y_score 3"),
        (lambda: metrics.top_k_accuracy_score([0, 1], np.eye(2), k=1.5), UsageError, "k is 1.5"),
        (lambda: metrics.r2_score([[1.0], [2.0]], [1.0, 2.0]), ShapeError, r"shape \(2, 1\), y_pred has shape \(2,\)"),
        (lambda: metrics.mean_absolute_error(["a"], ["b"]), DTypeError, "real numbers"),
        (lambda: metrics.mean_squared_error([1.0], [1.0], multioutput="all"), UsageError, "multioutput is 'all'"),
    ],
)
def test_wrong_arguments(call: Any, error: type[ClearpropError], says: str) -> None:
    with pytest.raises(error, match=says):
        call()


@pytest.mark.parametrize(
    ("name", "output", "target", "error", "says"),
    [
        (
            "accuracy",
            np.zeros((2, 3)),
            np.zeros(3, int),
            ShapeError,
            r"output has shape \(2, 3\), target has shape \(3,",
        ),
        ("accuracy", np.zeros((2, 1)), np.zeros(2, int), ShapeError, r"output has shape \(2, 1\)"),
        ("perplexity", np.zeros((2, 3, 9)), np.zeros((2, 3), int), ShapeError, "class_axis=-1"),
        ("f1", np.zeros((2, 3)), np.array([0, 3]), DataError, "labels from 0 to 3 for 3 classes"),
        ("perplexity", np.zeros((2, 3)), np.array([-1, 0]), DataError, "labels from -1 to 0 for 3 classes"),
        ("auc", np.full((2, 3), math.nan), np.array([0, 1]), DataError, "NaN, which has no place in an order"),
        ("mse", np.zeros((3, 1)), np.zeros(3), ShapeError, r"output.reshape\(-1\) makes \(N, 1\) to \(N,\)"),
    ],
)
def test_batches_that_do_not_fit(name: str, output: Any, target: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        metrics.metric(name).update(output, target)
