"""Normalization: precision, gradients to second order, running statistics, errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import functional
from clearprop.errors import GradientError, ShapeError, UsageError

X = np.sin(np.arange(24.0) * 1.7).reshape(2, 3, 4)
WEIGHT, BIAS = np.array([0.5, -1.0, 2.0]), np.array([0.1, 0.2, -0.3])

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "batch": lambda x, w, b: functional.batch_norm(x, None, None, w, b, training=True, eps=0.1),
    "batch in use": lambda x, w, b: functional.batch_norm(x, BIAS, np.abs(WEIGHT), w, b),
    "instance": lambda x, w, b: functional.instance_norm(x, weight=w, bias=b, eps=0.1),
    "group": lambda x, w, b: functional.group_norm(x, 3, w, b, eps=0.1),
    "one group": lambda x, w, b: functional.group_norm(x, 1, w, b, eps=0.1),
    "layer": lambda x, w, b: functional.layer_norm(cp.permute_dims(x, (0, 2, 1)), 3, w, b, eps=0.1),
    "rms": lambda x, w, b: functional.rms_norm(cp.permute_dims(x, (0, 2, 1)), 3, w, eps=0.1) + b,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_of_first_and_second_order(name: str) -> None:
    cp.check_gradients(FUNCTIONS[name], X, WEIGHT, BIAS, order=2)


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if not name.startswith(("batch", "instance", "group"))])
def test_examples_do_not_see_one_another(name: str) -> None:
    together = FUNCTIONS[name](cp.tensor(X), WEIGHT, BIAS).numpy()
    alone = [FUNCTIONS[name](cp.tensor(X[i : i + 1]), WEIGHT, BIAS).numpy() for i in range(2)]
    np.testing.assert_allclose(together, np.concatenate(alone), rtol=1e-13)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_vmap_is_a_loop(name: str) -> None:
    xs = np.stack([X, np.cos(X) * 2.0])
    mapped = cp.vmap(lambda x: FUNCTIONS[name](x, WEIGHT, BIAS))(cp.tensor(xs)).numpy()
    looped = np.stack([FUNCTIONS[name](cp.tensor(x), WEIGHT, BIAS).numpy() for x in xs])
    np.testing.assert_allclose(mapped, looped, rtol=1e-12, atol=1e-14)


def test_the_variance_of_numbers_far_from_zero_is_right() -> None:
    """E[x²] - E[x]² would have no correct digit in float32: 1e8 has a spacing of 8."""
    x = (1e4 + np.array([[-1.0, 0.0, 1.0], [0.5, -0.25, -0.25]])).astype(np.float32)
    y = functional.layer_norm(x, 3, eps=0.0).numpy()
    wide = x.astype(np.float64)
    expected = (wide - wide.mean(1, keepdims=True)) / wide.std(1, keepdims=True)
    np.testing.assert_allclose(y, expected, rtol=1e-3)  # the numbers themselves have a spacing of 1e-3


def test_the_output_has_the_dtype_of_x() -> None:
    x = X.astype(np.float32)
    for function in FUNCTIONS.values():
        assert function(cp.tensor(x), cp.tensor(WEIGHT, dtype=cp.float32), cp.tensor(BIAS, dtype=cp.float32)).dtype == (
            cp.float32
        )
    assert functional.batch_norm(x, BIAS, np.abs(WEIGHT), WEIGHT, BIAS).dtype == cp.float32
    assert functional.layer_norm([[1, 2]], 2).dtype == cp.float32


@pytest.mark.parametrize("name", FUNCTIONS)
def test_half_precision_is_summed_in_single(name: str) -> None:
    x = np.float16(200.0 * X)  # whose squares are no half-precision numbers
    y = FUNCTIONS[name](cp.tensor(x, requires_grad=True), np.float16(WEIGHT), np.float16(BIAS))
    assert y.dtype == cp.float16
    np.testing.assert_allclose(y.numpy(), FUNCTIONS[name](np.float64(x), WEIGHT, BIAS).numpy(), rtol=3e-3, atol=3e-3)


def test_running_statistics_move_and_are_not_recorded() -> None:
    mean, var = cp.Buffer(np.zeros(3)), cp.Buffer(np.ones(3))
    x = cp.tensor(X, requires_grad=True)
    functional.batch_norm(x, mean, var, training=True, momentum=0.25)
    np.testing.assert_allclose(mean.numpy(), 0.25 * X.mean((0, 2)), rtol=1e-13)
    np.testing.assert_allclose(var.numpy(), 0.75 + 0.25 * X.var((0, 2), ddof=1), rtol=1e-13)
    assert not mean.value.requires_grad
    before = mean.numpy()
    functional.batch_norm(x, mean, var)
    np.testing.assert_array_equal(mean.numpy(), before)


def test_given_arrays_stay_what_they_are() -> None:
    mean, var = np.zeros(3), np.ones(3)
    functional.batch_norm(X, mean, var, training=True)
    assert (mean == 0.0).all()
    assert (var == 1.0).all()


def test_running_statistics_inside_vmap() -> None:
    mean, var = cp.Buffer(np.zeros(3)), cp.Buffer(np.ones(3))
    with pytest.raises(GradientError, match=r"running statistics of its own(.|\n)*GroupNorm"):
        cp.vmap(lambda x: functional.batch_norm(x, mean, var, training=True))(cp.tensor(X[None]))
    assert (mean.numpy() == 0.0).all()


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: functional.batch_norm(X[:1, :, 0], None, None, training=True), ShapeError, "one value for each chan"),
        (lambda: functional.batch_norm(X[:0], None, None, training=True), ShapeError, "one value for each channel"),
        (lambda: functional.batch_norm(X, None, None), UsageError, "no running statistics"),
        (lambda: functional.batch_norm(X[0, 0], None, None, training=True), ShapeError, r"\(N, C\)"),
        (lambda: functional.batch_norm(X, np.zeros(4), np.ones(3)), ShapeError, r"running_mean has shape \(4,\)"),
        (lambda: functional.batch_norm(X, BIAS, BIAS, np.ones(2)), ShapeError, r"3 channels \(axis 1\); weight has"),
        (lambda: functional.instance_norm(X[:, :, :1]), ShapeError, "one value for each example and channel"),
        (lambda: functional.group_norm(X, 2), ShapeError, "3 channels cannot be divided into 2 groups"),
        (lambda: functional.group_norm(X, 3, bias=np.ones(4)), ShapeError, r"bias has shape \(4,\)"),
        (lambda: functional.layer_norm(X, 3), ShapeError, r"does not end in normalized_shape \(3,\)"),
        (lambda: functional.layer_norm(X, (3, 4), np.ones(4)), ShapeError, r"weight has shape \(4,\)"),
        (lambda: functional.layer_norm(X, ()), ShapeError, r"normalized_shape \(\)"),
        (lambda: functional.rms_norm(X, (2, 3, 4, 1)), ShapeError, "does not end in normalized_shape"),
    ],
)
def test_what_does_not_fit(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()
