"""Modules of normalization: modes, buffers, saving, checkpoints, compilation, errors."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import nn
from clearprop.errors import DataError, ShapeError, UsageError

X = np.sin(np.arange(24.0)).astype(np.float32).reshape(4, 3, 2)


def test_training_moves_the_statistics_and_evaluation_uses_them() -> None:
    layer = nn.BatchNorm1d(3, momentum=None)
    for factor in (1.0, 2.0, 6.0):
        layer(X * factor)
    assert layer.num_batches_tracked.item() == 3  # type: ignore[union-attr]
    np.testing.assert_allclose(layer.running_mean.numpy(), X.mean((0, 2)) * 3.0, rtol=1e-5)  # type: ignore[union-attr]
    mean, var = layer.running_mean.numpy(), layer.running_var.numpy()  # type: ignore[union-attr]
    layer.eval()
    y = layer(X[:1, :, :1]).numpy()  # one value is enough now
    np.testing.assert_allclose(y, (X[:1, :, :1] - mean[:, None]) / np.sqrt(var[:, None] + 1e-5), rtol=1e-4)
    np.testing.assert_array_equal(layer.running_mean.numpy(), mean)  # type: ignore[union-attr]
    layer.reset_running_stats()
    assert layer.running_mean.value.tolist() == [0.0] * 3  # type: ignore[union-attr]
    assert layer.num_batches_tracked.item() == 0  # type: ignore[union-attr]


def test_without_running_statistics_every_batch_has_its_own() -> None:
    layer = nn.BatchNorm2d(3, track_running_stats=False).eval()
    assert list(layer.state_dict()) == ["weight", "bias"]
    y = layer(np.random.default_rng(0).normal(5.0, 2.0, (8, 3, 4, 4)).astype(np.float32)).numpy()
    np.testing.assert_allclose(y.mean((0, 2, 3)), 0.0, atol=1e-5)
    np.testing.assert_allclose(y.std((0, 2, 3)), 1.0, rtol=1e-4)


def test_statistics_are_saved_and_loaded() -> None:
    layer, other = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    layer(X)
    other.load_state_dict(layer.state_dict())
    np.testing.assert_array_equal(other.eval()(X).numpy(), layer.eval()(X).numpy())
    with pytest.raises(DataError, match="missing: running_mean, running_var, num_batches_tracked"):
        other.load_state_dict({"weight": np.ones(3), "bias": np.zeros(3)})
    twin = copy.deepcopy(layer).train()
    twin(X)
    assert layer.num_batches_tracked.item() == 1  # type: ignore[union-attr]


def test_a_checkpoint_counts_a_batch_once() -> None:
    layer, other = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    x, y = (cp.tensor(X, requires_grad=True) for _ in range(2))
    (cp.checkpoint(layer)(x) ** 2).sum().backward()
    (other(y) ** 2).sum().backward()
    assert layer.num_batches_tracked.item() == 1  # type: ignore[union-attr]
    np.testing.assert_array_equal(layer.running_var.numpy(), other.running_var.numpy())  # type: ignore[union-attr]
    np.testing.assert_allclose(layer.weight.grad.numpy(), other.weight.grad.numpy(), rtol=1e-6)  # type: ignore[union-attr]


@pytest.mark.parametrize("momentum", [0.1, None])
def test_a_compiled_step_moves_the_statistics_too(momentum: float | None) -> None:
    layer, other = nn.BatchNorm1d(3, momentum=momentum), nn.BatchNorm1d(3, momentum=momentum)
    step = cp.compile(layer, executor="reference")
    for factor in (1.0, 2.0, 3.0):
        x = cp.tensor(X * factor)
        np.testing.assert_allclose(step(x).numpy(), other(x).numpy(), rtol=1e-6, atol=1e-6)
    for name, value in other.state_dict().items():
        np.testing.assert_allclose(layer.state_dict()[name].numpy(), value.numpy(), rtol=1e-6)


def test_dtype() -> None:
    layer = nn.BatchNorm1d(3).to(cp.float64)
    assert layer.num_batches_tracked.dtype == cp.int64  # type: ignore[union-attr]
    assert layer(X.astype(np.float64)).dtype == cp.float64
    assert nn.LayerNorm(2, dtype=cp.float64).weight.dtype == cp.float64  # type: ignore[union-attr]


def test_printed() -> None:
    assert "BatchNorm1d(3)" in repr(nn.BatchNorm1d(3))
    assert "BatchNorm2d(3, momentum=None, affine=False)" in repr(nn.BatchNorm2d(3, momentum=None, affine=False))
    assert "InstanceNorm1d(3, affine=True, bias=False)" in repr(nn.InstanceNorm1d(3, affine=True, bias=False))
    assert "GroupNorm(2, 4, eps=0.1)" in repr(nn.GroupNorm(2, 4, eps=0.1))
    assert "LayerNorm((2,), bias=False)" in repr(nn.LayerNorm(2, bias=False))
    assert "RMSNorm((2, 3), elementwise_affine=False)" in repr(nn.RMSNorm([2, 3], elementwise_affine=False))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: nn.BatchNorm2d(3)(X), ShapeError, r"BatchNorm2d: x has shape \(4, 3, 2\)(.|\n)*Try: nn.BatchNorm1d"),
        (lambda: nn.BatchNorm1d(4)(X), ShapeError, r"3 channels \(axis 1\); running_mean has shape \(4,\)"),
        (lambda: nn.BatchNorm1d(3)(X[:1, :, 0]), ShapeError, r"Try: a larger batch .* or model.eval\(\)"),
        (lambda: nn.InstanceNorm2d(3)(X[0]), ShapeError, "it must have 3 or 4 axes"),
        (lambda: nn.GroupNorm(2, 3), UsageError, "3 channels cannot be divided into 2 groups"),
        (lambda: nn.GroupNorm(1, 4)(X), ShapeError, r"weight has shape \(4,\)"),
        (lambda: nn.LayerNorm(3)(X), ShapeError, "does not end in normalized_shape"),
        (lambda: nn.LayerNorm(2.5), UsageError, "normalized_shape=2.5"),  # type: ignore[arg-type]
        (lambda: nn.RMSNorm(()), UsageError, "names no axis"),
        (lambda: nn.BatchNorm1d("3"), UsageError, "num_features='3'"),  # type: ignore[arg-type]
    ],
)
def test_what_does_not_fit(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()


def test_a_batch_that_does_not_fit_is_not_counted() -> None:
    layer = nn.BatchNorm1d(4)
    with pytest.raises(ShapeError):
        layer(X)
    assert layer.running_mean.value.tolist() == [0.0] * 4  # type: ignore[union-attr]
    assert layer.num_batches_tracked.item() == 0  # type: ignore[union-attr]
