"""Small networks that must learn: the whole of functional, nn and optim together, with a fixed seed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import nn, optim


def train(model: nn.Module, loss: nn.Module, optimizer: Any, x: Any, y: Any, steps: int) -> float:
    value = cp.zeros(())
    for _ in range(steps):
        optimizer.zero_grad()
        value = loss(model(x), y)
        value.backward()
        optimizer.step()
    return value.item()  # type: ignore[no-any-return]


@pytest.mark.parametrize("activation", [nn.Tanh(), nn.ReLU(), nn.Sigmoid(), nn.GELU()])
def test_xor(activation: nn.Module) -> None:
    cp.random.seed(3)
    x, y = cp.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), cp.tensor([[0.0], [1.0], [1.0], [0.0]])
    model = nn.Sequential(nn.Linear(2, 8), activation, nn.Linear(8, 1))
    final = train(model, nn.BCEWithLogitsLoss(), optim.Adam(model.parameters(), lr=0.05), x, y, 400)
    assert final < 0.05
    assert ((model(x).numpy() > 0) == y.numpy().astype(bool)).all()


def spirals(n: int, seed: int) -> tuple[Any, Any]:
    """Two spirals of n points each, (2n, 2), and their labels."""
    random = np.random.default_rng(seed)
    radius = np.sqrt(random.uniform(0.02, 1.0, n))
    angle = 3.0 * np.pi * radius
    arm = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1) + random.normal(0.0, 0.01, (n, 2))
    return cp.asarray(np.concatenate([arm, -arm]).astype(np.float32)), cp.asarray(np.repeat([0, 1], n))


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_two_spirals(name: str) -> None:
    cp.random.seed(0)
    model = nn.Sequential(
        nn.Linear(2, 32), nn.Tanh(), nn.Residual(nn.Sequential(nn.Linear(32, 32), nn.Tanh())), nn.Linear(32, 2)
    )
    settings = {"lr": 0.1, "momentum": 0.95, "nesterov": True} if name == "SGD" else {"lr": 0.01}
    optimizer = getattr(optim, name)(model.parameters(), **settings)
    x, y = spirals(100, seed=0)
    train(model, nn.CrossEntropyLoss(), optimizer, x, y, 800)
    x, y = spirals(200, seed=1)
    accuracy = (model(x).numpy().argmax(1) == y.numpy()).mean()
    assert accuracy >= 0.97


def test_regression_with_maxout_and_dropout() -> None:
    cp.random.seed(0)
    x = cp.asarray(np.linspace(-1.0, 1.0, 64, dtype=np.float32).reshape(-1, 1))
    model = nn.Sequential(nn.Maxout(1, 16, pieces=3), nn.Dropout(0.05), nn.Linear(16, 1))
    train(model, nn.MSELoss(), optim.Adam(model.parameters(), lr=0.02), x, x * x, 500)
    assert nn.MSELoss()(model.eval()(x), x * x).item() < 2e-3


def test_weight_decay_makes_weights_small() -> None:
    cp.random.seed(0)
    x, y = spirals(50, seed=0)
    sizes = []
    for decay in (0.0, 0.1):
        cp.random.seed(0)
        model = nn.Linear(2, 2)
        train(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.5, weight_decay=decay), x, y, 200)
        sizes.append(np.abs(model.weight.numpy()).sum())
    assert sizes[1] < 0.8 * sizes[0]
