"""Kinks, extremes, graphs, and the errors that users will read."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import functional
from clearprop.errors import DTypeError, RangeError, ShapeError, UsageError

INF = math.inf


def slopes(function: Any, *points: float) -> list[float]:
    return cp.grad(lambda x: function(x).sum())(cp.tensor(list(points))).tolist()  # type: ignore[no-any-return]


def test_derivatives_at_the_kinks() -> None:
    assert slopes(functional.relu, 0.0) == [0.0]
    assert slopes(lambda x: functional.leaky_relu(x, 0.25), 0.0) == [0.25]
    assert slopes(lambda x: functional.elu(x, 0.5), 0.0) == [0.5]


def test_infinities_and_nan() -> None:
    x = [-INF, INF, math.nan]
    assert functional.relu(x).tolist()[:2] == [0.0, INF]
    assert functional.sigmoid(x).tolist()[:2] == [0.0, 1.0]
    assert functional.elu(x).tolist()[:2] == [-1.0, INF]
    assert functional.softplus(x).tolist()[:2] == [0.0, INF]
    assert functional.hardtanh(x).tolist()[:2] == [-1.0, 1.0]
    assert functional.hardsigmoid(x).tolist()[:2] == [0.0, 1.0]
    assert functional.softshrink(x).tolist()[:2] == [-INF, INF]
    assert functional.logsigmoid(x).tolist()[:2] == [-INF, 0.0]
    for function in (
        functional.mish,
        functional.selu,
        functional.celu,
        functional.softsign,
        functional.tanhshrink,
        functional.logsigmoid,
        functional.hardtanh,
        functional.hardsigmoid,
        functional.hardswish,
        functional.hardshrink,
        functional.softshrink,
        functional.relu6,
        lambda x: functional.threshold(x, 0.0, 1.0),
        functional.relu,
        functional.sigmoid,
        functional.elu,
        functional.softplus,
        functional.leaky_relu,
        functional.gelu,
        functional.silu,
    ):
        assert math.isnan(function(x).tolist()[2])


@pytest.mark.parametrize(
    "function",
    [
        functional.elu,
        functional.softplus,
        functional.silu,
        functional.gelu,
        functional.sigmoid,
        functional.tanh,
        functional.mish,
        functional.selu,
        functional.celu,
        functional.logsigmoid,
    ],
)
def test_slopes_are_finite_where_exponentials_are_not(function: Any) -> None:
    assert np.isfinite(slopes(function, -1e4, 1e4)).all()


def test_softmax_of_masked_and_of_large_logits() -> None:
    assert functional.softmax([0.0, -INF, 0.0]).tolist() == [0.5, 0.0, 0.5]
    np.testing.assert_allclose(
        functional.softmax([1e4, 1e4 - 1.0]).numpy(), functional.softmax([1.0, 0.0]).numpy(), rtol=1e-6
    )
    np.testing.assert_allclose(
        functional.log_softmax([1e4, 1e4 - 1.0]).numpy(), functional.log_softmax([1.0, 0.0]).numpy(), rtol=1e-6
    )
    assert slopes(lambda x: functional.softmax(x)[0], 0.0, -INF) == [0.0, 0.0]


def test_integers_become_float32_and_numpy_keeps_its_dtype() -> None:
    assert functional.gelu([1, 2]).dtype == cp.float32
    assert functional.gelu(np.ones(2)).dtype == cp.float64
    assert functional.softmax(cp.tensor([1, 2])).dtype == cp.float32


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (2, 0)])
def test_empty_and_zero_dimensional(shape: tuple[int, ...]) -> None:
    x = cp.zeros(shape)
    for function in (
        functional.relu,
        functional.elu,
        functional.gelu,
        functional.softplus,
        functional.leaky_relu,
        functional.silu,
        functional.dropout,
    ):
        assert function(x).shape == shape
    assert functional.mse_loss(x, x, reduction="none").shape == shape
    assert functional.mse_loss(x, x, reduction="sum").item() == 0.0


def test_cross_entropy_of_nothing() -> None:
    empty = cp.tensor(np.zeros(0, np.int64))
    assert functional.cross_entropy(cp.zeros((0, 3)), empty, reduction="sum").item() == 0.0
    assert math.isnan(functional.cross_entropy(cp.zeros((0, 3)), empty).item())
    assert math.isnan(functional.cross_entropy(cp.zeros((2, 3)), [-100, -100]).item())


def test_cross_entropy_has_five_nodes() -> None:
    x = cp.tensor(np.zeros((4, 3), np.float32), requires_grad=True)
    graph = cp.Graph(functional.cross_entropy(x, [0, 1, 2, 0]))
    assert [node.name for node in graph.nodes] == ["leaf", "gather", "logsumexp", "subtract", "sum", "divide"]


def test_cross_entropy_takes_labels_of_any_integer_type() -> None:
    expected = functional.cross_entropy(np.eye(3), np.array([0, 1, 1])).item()
    for dtype in (np.uint8, np.int8, np.int32, np.uint64):
        assert functional.cross_entropy(np.eye(3), np.array([0, 1, 1], dtype)).item() == expected


@pytest.mark.parametrize("label", [-1, 3, 255, -(2**63)])
def test_labels_out_of_range(label: int) -> None:
    with pytest.raises(RangeError, match=rf"label {label} is not one of 3 classes, which are 0 to 2"):
        functional.cross_entropy(cp.zeros((2, 3)), cp.tensor([0, label]))


def test_labels_out_of_range_beside_ignored_ones_and_under_vmap() -> None:
    with pytest.raises(RangeError, match="label 7"):
        functional.cross_entropy(cp.zeros((3, 3)), cp.tensor([0, -100, 7]))
    with pytest.raises(RangeError, match="label -1"):
        cp.vmap(functional.cross_entropy)(cp.zeros((2, 3)), cp.tensor([0, -1]))


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
        functional.cross_entropy(cp.zeros(logits), target)


def test_mse_loss_does_not_broadcast() -> None:
    with pytest.raises(
        ShapeError, match=r"prediction has shape \(8, 1\), target has shape \(8,\)(.|\n)*Try: target.reshape"
    ):
        functional.mse_loss(cp.zeros((8, 1)), cp.zeros(8))
    with pytest.raises(ShapeError, match="compare the batch"):
        functional.mse_loss(cp.zeros((8, 1)), cp.zeros((4, 1)))


def test_targets_take_the_dtype_of_the_prediction() -> None:
    x = cp.tensor([0.5, 0.5], requires_grad=True)
    assert functional.mse_loss(x, np.zeros(2)).dtype == cp.float32
    assert functional.binary_cross_entropy_with_logits(x, np.array([True, False])).dtype == cp.float32


def test_wrong_settings() -> None:
    for call in (
        lambda: functional.mse_loss([1.0], [1.0], reduction="average"),
        lambda: functional.cross_entropy([[1.0]], [0], reduction="average"),
        lambda: functional.cross_entropy([[1.0]], [0], label_smoothing=1.5),
        lambda: functional.gelu([1.0], approximate="sigmoid"),
        lambda: functional.dropout([1.0], p=1.5),
        lambda: functional.dropout2d(np.zeros((1, 2, 3, 4)), p=-0.1),
        lambda: functional.alpha_dropout([1.0], p=2.0),
        lambda: functional.hardtanh([1.0], 1.0, -1.0),
        lambda: functional.softshrink([1.0], -0.5),
        lambda: functional.celu([1.0], 0.0),
    ):
        with pytest.raises(UsageError):
            call()
    with pytest.raises(ShapeError, match="there are 2 classes"):
        functional.cross_entropy([[1.0, 2.0]], [0], weight=[1.0])
    with pytest.raises(ShapeError, match="groups of 2"):
        functional.maxout([1.0, 2.0, 3.0], 2)
    with pytest.raises(ShapeError, match="no two halves"):
        functional.glu([1.0, 2.0, 3.0])
    with pytest.raises(ShapeError, match=r"dropout1d: x has shape \(3,\)"):
        functional.dropout1d(np.zeros(3))
    with pytest.raises(ShapeError, match="prelu"):
        functional.prelu(cp.zeros((2, 3)), [0.1, 0.2])


def test_linear_names_the_parameter() -> None:
    weight = cp.Parameter(np.zeros((4, 2), np.float32), name="head.weight")
    with pytest.raises(
        ShapeError, match=r"weight head.weight has shape \(4, 2\): the last axis of x must have 4 features"
    ):
        functional.linear(cp.zeros((8, 3)), weight)
    with pytest.raises(ShapeError, match="Flatten"):
        functional.linear(cp.zeros((8, 2, 2)), weight)
    with pytest.raises(ShapeError, match=r"bias has shape \(3,\)"):
        functional.linear(cp.zeros((8, 4)), weight, cp.zeros(3))


def test_dropout_keeps_the_mean_and_the_share() -> None:
    x = cp.ones((200, 500))
    for p in (0.1, 0.5, 0.9):
        y = functional.dropout(x, p, generator=cp.random.Generator(1)).numpy()
        np.testing.assert_allclose(np.unique(y), [0.0, np.float32(1.0 / (1.0 - p))], rtol=1e-6)
        deviation = math.sqrt(p * (1 - p) / y.size)
        assert abs((y == 0).mean() - p) < 5 * deviation
        assert abs(y.mean() - 1.0) < 5 * deviation / (1 - p)


def test_dropout_repeats_with_its_seed_and_goes_on_without() -> None:
    x, generator = cp.ones(1000), cp.random.Generator(5)
    first, second = (functional.dropout(x, generator=generator).numpy() for _ in range(2))
    assert (first != second).any()
    np.testing.assert_array_equal(functional.dropout(x, generator=cp.random.Generator(5)).numpy(), first)


def test_dropout_passes_the_gradient_where_it_passed_the_value() -> None:
    x = cp.tensor(np.ones(100, np.float32), requires_grad=True)
    y = functional.dropout(x, 0.3, generator=cp.random.Generator(0))
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), y.numpy())  # type: ignore[union-attr]


def test_dropout_at_its_ends() -> None:
    x = cp.ones(5)
    assert functional.dropout(x, 0.0) is x
    assert functional.dropout(x, 0.9, training=False) is x
    assert functional.dropout(x, 1.0).tolist() == [0.0] * 5


def test_each_example_of_a_vmap_has_a_mask_of_its_own() -> None:
    def dropped(x: Any) -> Any:
        return functional.dropout(x, 0.5, generator=generator)

    generator = cp.random.Generator(0)
    masks = cp.vmap(dropped)(cp.ones((4, 100))).numpy()
    assert len({row.tobytes() for row in masks}) == 4


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (functional.dropout1d, (50, 20, 3)),
        (functional.dropout1d, (1000, 3)),
        (functional.dropout2d, (50, 20, 2, 3)),
        (functional.dropout3d, (50, 20, 2, 1, 3)),
    ],
)
def test_channels_are_dropped_as_a_whole(function: Any, shape: tuple[int, ...]) -> None:
    y = function(cp.ones(shape), 0.25, generator=cp.random.Generator(2)).numpy()
    channels = y.reshape(1000, -1)
    assert (channels == channels[:, :1]).all()
    np.testing.assert_allclose(np.unique(channels), [0.0, 4.0 / 3.0], rtol=1e-6)
    assert abs((channels[:, 0] == 0.0).mean() - 0.25) < 5 * math.sqrt(0.25 * 0.75 / 1000)
    x = cp.ones(shape)
    assert function(x, 0.5, training=False) is x


def test_alpha_dropout_keeps_mean_and_variance() -> None:
    x = cp.random.normal((400, 500), generator=cp.random.Generator(3))
    for p in (0.1, 0.5):
        y = functional.alpha_dropout(x, p, training=True, generator=cp.random.Generator(4)).numpy()
        assert abs(y.mean()) < 0.02
        assert abs(y.std() - 1.0) < 0.02
        assert abs((y == np.unique(y)[np.unique(y, return_counts=True)[1].argmax()]).mean() - p) < 0.01
    assert functional.alpha_dropout(x) is x
    assert functional.alpha_dropout(cp.ones(3), 1.0, True).tolist() == [0.0] * 3
