"""Every function against central differences, first and second order, and under vmap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import functional

X = np.array([[-2.3, -0.7, 0.4], [1.1, 2.9, -1.6]])  # away from the kinks
LABELS = cp.tensor([2, 0])
SHARES = cp.tensor(np.array([[0.2, 0.5, 0.3], [0.1, 0.1, 0.8]]))
WEIGHTS = cp.tensor(np.array([0.5, 2.0, 1.0]))

ONE_INPUT: dict[str, Callable[[Any], Any]] = {
    "sigmoid": functional.sigmoid,
    "tanh": functional.tanh,
    "relu": functional.relu,
    "leaky_relu": lambda x: functional.leaky_relu(x, 0.2),
    "maxout": lambda x: functional.maxout(x, 3),
    "elu": lambda x: functional.elu(x, 0.7),
    "gelu": functional.gelu,
    "gelu tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "silu": functional.silu,
    "softplus": lambda x: functional.softplus(x, 1.5),
    "mish": functional.mish,
    "selu": functional.selu,
    "celu": lambda x: functional.celu(x, 0.7),
    "logsigmoid": functional.logsigmoid,
    "softsign": functional.softsign,
    "tanhshrink": functional.tanhshrink,
    "hardtanh": lambda x: functional.hardtanh(x, -1.5, 0.9),
    "relu6": lambda x: functional.relu6(4.0 * x),
    "hardsigmoid": lambda x: functional.hardsigmoid(2.0 * x),
    "hardswish": lambda x: functional.hardswish(2.0 * x),
    "hardshrink": functional.hardshrink,
    "softshrink": functional.softshrink,
    "threshold": lambda x: functional.threshold(x, -1.0, 9.0),
    "softmin": functional.softmin,
    "softmax": lambda x: functional.softmax(x, 0),
    "log_softmax": functional.log_softmax,
    "cross_entropy": lambda x: functional.cross_entropy(x, LABELS),
    "cross_entropy all": lambda x: functional.cross_entropy(x, LABELS, WEIGHTS, 0, "none", 0.1),
    "cross_entropy shares": lambda x: functional.cross_entropy(x, SHARES, WEIGHTS, label_smoothing=0.1),
    "nll_loss": lambda x: functional.nll_loss(x, LABELS, WEIGHTS),
    "mse_loss": lambda x: functional.mse_loss(x, SHARES),
    "bce": lambda x: functional.binary_cross_entropy_with_logits(x, SHARES, WEIGHTS, "none", WEIGHTS),
    "dropout": lambda x: functional.dropout(x, 0.4, generator=cp.random.Generator(3)),
}


@pytest.mark.parametrize("name", ONE_INPUT)
def test_gradients_of_first_and_second_order(name: str) -> None:
    cp.check_gradients(ONE_INPUT[name], X, order=2)


def test_gradients_of_a_gate() -> None:
    cp.check_gradients(lambda x: functional.glu(x, 0), X, order=2)


def test_gradients_of_the_other_inputs() -> None:
    cp.check_gradients(functional.prelu, X, np.array([0.3]), order=2)
    cp.check_gradients(functional.prelu, X, np.array([0.3, -0.2, 1.5]), order=2)
    cp.check_gradients(functional.linear, X, np.cos(np.arange(6.0)).reshape(3, 2), np.array([0.5, -0.5]), order=2)
    cp.check_gradients(functional.linear, X[0], np.cos(np.arange(6.0)).reshape(3, 2))
    cp.check_gradients(functional.mse_loss, X, np.cos(X), order=2)
    cp.check_gradients(lambda x, t: functional.cross_entropy(x, t), X, SHARES.numpy(), order=2)
    cp.check_gradients(functional.binary_cross_entropy_with_logits, X, SHARES.numpy(), order=2)


@pytest.mark.parametrize(
    "name", [name for name in ONE_INPUT if not name.startswith(("cross", "nll", "mse", "bce", "drop"))]
)
def test_vmap_is_a_loop(name: str) -> None:
    function = ONE_INPUT[name] if name != "softmax" else functional.softmax
    looped = np.stack([function(cp.tensor(row)).numpy() for row in X])
    np.testing.assert_allclose(cp.vmap(function)(cp.tensor(X)).numpy(), looped, rtol=1e-13)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_gradients_of_the_loss_of_each_example(smoothing: float) -> None:
    def loss(x: Any, label: Any) -> Any:
        return functional.cross_entropy(x, label, label_smoothing=smoothing)

    found = cp.vmap(cp.grad(loss))(cp.tensor(X), LABELS).numpy()
    looped = [cp.grad(loss)(cp.tensor(row), label).numpy() for row, label in zip(X, [2, 0], strict=True)]
    np.testing.assert_allclose(found, np.stack(looped), rtol=1e-13)


def test_gradient_of_the_cross_entropy_is_softmax_minus_onehot() -> None:
    found = cp.grad(lambda x: functional.cross_entropy(x, LABELS, reduction="sum"))(cp.tensor(X)).numpy()
    np.testing.assert_allclose(found, functional.softmax(X).numpy() - np.eye(3)[[2, 0]], rtol=1e-14, atol=1e-16)
