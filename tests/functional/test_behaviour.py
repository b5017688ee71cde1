"""Kinks, extremes, graphs, and the errors that users will read."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import clearprop as cp
import clearprop.functional as F
from clearprop.errors import DTypeError, RangeError, ShapeError, UsageError

INF = math.inf


def slopes(function: Any, *points: float) -> list[float]:
    return cp.grad(lambda x: function(x).sum())(cp.tensor(list(points))).tolist()  # type: ignore[no-any-return]


def test_derivatives_at_the_kinks() -> None:
    assert slopes(F.relu, 0.0) == [0.0]
    assert slopes(lambda x: F.leaky_relu(x, 0.25), 0.0) == [0.25]
    assert slopes(lambda x: F.elu(x, 0.5), 0.0) == [0.5]


def test_infinities_and_nan() -> None:
    x = [-INF, INF, math.nan]
    assert F.relu(x).tolist()[:2] == [0.0, INF]
    assert F.sigmoid(x).tolist()[:2] == [0.0, 1.0]
    assert F.elu(x).tolist()[:2] == [-1.0, INF]
    assert F.softplus(x).tolist()[:2] == [0.0, INF]
    for function in (F.relu, F.sigmoid, F.elu, F.softplus, F.leaky_relu, F.gelu, F.silu):
        assert math.isnan(function(x).tolist()[2])


@pytest.mark.parametrize("function", [F.elu, F.softplus, F.silu, F.gelu, F.sigmoid, F.tanh])
def test_slopes_are_finite_where_exponentials_are_not(function: Any) -> None:
    assert np.isfinite(slopes(function, -1e4, 1e4)).all()


def test_softmax_of_masked_and_of_large_logits() -> None:
    assert F.softmax([0.0, -INF, 0.0]).tolist() == [0.5, 0.0, 0.5]
    np.testing.assert_allclose(F.softmax([1e4, 1e4 - 1.0]).numpy(), F.softmax([1.0, 0.0]).numpy(), rtol=1e-6)
    np.testing.assert_allclose(F.log_softmax([1e4, 1e4 - 1.0]).numpy(), F.log_softmax([1.0, 0.0]).numpy(), rtol=1e-6)
    assert slopes(lambda x: F.softmax(x)[0], 0.0, -INF) == [0.0, 0.0]


def test_integers_become_float32_and_numpy_keeps_its_dtype() -> None:
    assert F.gelu([1, 2]).dtype == cp.float32
    assert F.gelu(np.ones(2)).dtype == cp.float64
    assert F.softmax(cp.tensor([1, 2])).dtype == cp.float32


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (2, 0)])
def test_empty_and_zero_dimensional(shape: tuple[int, ...]) -> None:
    x = cp.zeros(shape)
    for function in (F.relu, F.elu, F.gelu, F.softplus, F.leaky_relu, F.silu, F.dropout):
        assert function(x).shape == shape
    assert F.mse_loss(x, x, reduction="none").shape == shape
    assert F.mse_loss(x, x, reduction="sum").item() == 0.0


def test_cross_entropy_of_nothing() -> None:
    empty = cp.tensor(np.zeros(0, np.int64))
    assert F.cross_entropy(cp.zeros((0, 3)), empty, reduction="sum").item() == 0.0
    assert math.isnan(F.cross_entropy(cp.zeros((0, 3)), empty).item())
    assert math.isnan(F.cross_entropy(cp.zeros((2, 3)), [-100, -100]).item())


def test_cross_entropy_has_five_nodes() -> None:
    x = cp.tensor(np.zeros((4, 3), np.float32), requires_grad=True)
    graph = cp.Graph(F.cross_entropy(x, [0, 1, 2, 0]))
    assert [node.name for node in graph.nodes] == ["leaf", "gather", "logsumexp", "subtract", "sum", "divide"]


def test_cross_entropy_takes_labels_of_any_integer_type() -> None:
    expected = F.cross_entropy(np.eye(3), np.array([0, 1, 1])).item()
    for dtype in (np.uint8, np.int8, np.int32, np.uint64):
        assert F.cross_entropy(np.eye(3), np.array([0, 1, 1], dtype)).item() == expected


@pytest.mark.parametrize("label", [-1, 3, 255, -(2**63)])
def test_labels_out_of_range(label: int) -> None:
    with pytest.raises(RangeError, match=rf"label {label} is not one of 3 classes, which are 0 to 2"):
        F.cross_entropy(cp.zeros((2, 3)), cp.tensor([0, label]))


def test_labels_out_of_range_beside_ignored_ones_and_under_vmap() -> None:
    with pytest.raises(RangeError, match="label 7"):
        F.cross_entropy(cp.zeros((3, 3)), cp.tensor([0, -100, 7]))
    with pytest.raises(RangeError, match="label -1"):
        cp.vmap(F.cross_entropy)(cp.zeros((2, 3)), cp.tensor([0, -1]))


@pytest.mark.parametrize(
    ("logits", "target", "error", "words"),
    [
        ((4, 3), np.zeros(5, int), ShapeError, r"\(4, 3\), target has shape \(5,\); it must have shape \(4,\)"),
        ((4, 3), np.zeros((4, 1), int), ShapeError, r"Try: target.reshape\(\(4,\)\)"),
        ((4, 3), np.zeros((4, 3), int), ShapeError, r"Try: target.argmax\(axis=1\)"),
        ((4, 3), np.zeros(4), ShapeError, r"Try: labels as integers: target.astype\(cp.int64\)"),
        ((4, 3), np.zeros(4, bool), DTypeError, "integer labels or probabilities"),
        ((4, 6, 3), np.zeros((4, 6), int), ShapeError, "the classes are axis 1"),
        ((), np.zeros((), int), ShapeError, "a single number has no classes"),
    ],
)
def test_cross_entropy_says_what_does_not_fit(logits: Any, target: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        F.cross_entropy(cp.zeros(logits), target)


def test_mse_loss_does_not_broadcast() -> None:
    with pytest.raises(
        ShapeError, match=r"prediction has shape \(8, 1\), target has shape \(8,\)(.|\n)*Try: target.reshape"
    ):
        F.mse_loss(cp.zeros((8, 1)), cp.zeros(8))
    with pytest.raises(ShapeError, match="compare the batch"):
        F.mse_loss(cp.zeros((8, 1)), cp.zeros((4, 1)))


def test_targets_take_the_dtype_of_the_prediction() -> None:
    x = cp.tensor([0.5, 0.5], requires_grad=True)
    assert F.mse_loss(x, np.zeros(2)).dtype == cp.float32
    assert F.binary_cross_entropy_with_logits(x, np.array([True, False])).dtype == cp.float32


def test_wrong_settings() -> None:
    for call in (
        lambda: F.mse_loss([1.0], [1.0], reduction="average"),
        lambda: F.cross_entropy([[1.0]], [0], reduction="average"),
        lambda: F.cross_entropy([[1.0]], [0], label_smoothing=1.5),
        lambda: F.gelu([1.0], approximate="sigmoid"),
        lambda: F.dropout([1.0], p=1.5),
    ):
        with pytest.raises(UsageError):
            call()
    with pytest.raises(ShapeError, match="there are 2 classes"):
        F.cross_entropy([[1.0, 2.0]], [0], weight=[1.0])
    with pytest.raises(ShapeError, match="groups of 2"):
        F.maxout([1.0, 2.0, 3.0], 2)
    with pytest.raises(ShapeError, match="prelu"):
        F.prelu(cp.zeros((2, 3)), [0.1, 0.2])


def test_linear_names_the_parameter() -> None:
    weight = cp.Parameter(np.zeros((4, 2), np.float32), name="head.weight")
    with pytest.raises(
        ShapeError, match=r"weight head.weight has shape \(4, 2\): the last axis of x must have 4 features"
    ):
        F.linear(cp.zeros((8, 3)), weight)
    with pytest.raises(ShapeError, match="Flatten"):
        F.linear(cp.zeros((8, 2, 2)), weight)
    with pytest.raises(ShapeError, match=r"bias has shape \(3,\)"):
        F.linear(cp.zeros((8, 4)), weight, cp.zeros(3))


def test_dropout_keeps_the_mean_and_the_share() -> None:
    x = cp.ones((200, 500))
    for p in (0.1, 0.5, 0.9):
        y = F.dropout(x, p, generator=cp.random.Generator(1)).numpy()
        np.testing.assert_allclose(np.unique(y), [0.0, np.float32(1.0 / (1.0 - p))], rtol=1e-6)
        deviation = math.sqrt(p * (1 - p) / y.size)
        assert abs((y == 0).mean() - p) < 5 * deviation
        assert abs(y.mean() - 1.0) < 5 * deviation / (1 - p)


def test_dropout_repeats_with_its_seed_and_goes_on_without() -> None:
    x, generator = cp.ones(1000), cp.random.Generator(5)
    first, second = (F.dropout(x, generator=generator).numpy() for _ in range(2))
    assert (first != second).any()
    np.testing.assert_array_equal(F.dropout(x, generator=cp.random.Generator(5)).numpy(), first)


def test_dropout_passes_the_gradient_where_it_passed_the_value() -> None:
    x = cp.tensor(np.ones(100, np.float32), requires_grad=True)
    y = F.dropout(x, 0.3, generator=cp.random.Generator(0))
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), y.numpy())  # type: ignore[union-attr]


def test_dropout_at_its_ends() -> None:
    x = cp.ones(5)
    assert F.dropout(x, 0.0) is x
    assert F.dropout(x, 0.9, training=False) is x
    assert F.dropout(x, 1.0).tolist() == [0.0] * 5


def test_each_example_of_a_vmap_has_a_mask_of_its_own() -> None:
    def dropped(x: Any) -> Any:
        return F.dropout(x, 0.5, generator=generator)

    generator = cp.random.Generator(0)
    masks = cp.vmap(dropped)(cp.ones((4, 100))).numpy()
    assert len({row.tobytes() for row in masks}) == 4
