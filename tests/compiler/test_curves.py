"""Networks of every kind learn the same, compiled and operation by operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import functional, nn, optim

RANDOM = np.random.default_rng(0)
STEPS = 12


class Residual(nn.Module):
    """Two convolutions with batch norm beside a shortcut."""

    def __init__(self, channels: int) -> None:
        self.first, self.second = (nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(2))
        self.norms = nn.ModuleList([nn.BatchNorm2d(channels) for _ in range(2)])

    def forward(self, x: Any) -> Any:
        y = functional.relu(self.norms[0](self.first(x)))
        return functional.relu(x + self.norms[1](self.second(y)))


class LastOfLSTM(nn.Module):
    """A recurrent network that says one thing at the end."""

    def __init__(self) -> None:
        self.embedding, self.lstm, self.head = nn.Embedding(11, 6), nn.LSTM(6, 9, batch_first=True), nn.Linear(9, 4)

    def forward(self, x: Any) -> Any:
        return self.head(self.lstm(self.embedding(x))[0][:, -1])


class Words(nn.Module):
    """Skip-gram: how well pairs of words fit."""

    def __init__(self) -> None:
        self.words, self.others = nn.Embedding(30, 12), nn.Embedding(30, 12)

    def forward(self, x: Any) -> Any:
        return (self.words(x[:, :1]) * self.others(x)).sum(-1)


def transformer() -> nn.Module:
    layer = nn.TransformerEncoderLayer(12, 3, dim_feedforward=20, dropout=0.1, batch_first=True)
    return nn.Sequential(nn.Embedding(11, 12), nn.TransformerEncoder(layer, 2), nn.Flatten(), nn.Linear(12 * 7, 4))


def images() -> Any:
    return RANDOM.standard_normal((6, 3, 9, 9)).astype(np.float32)


def tokens() -> Any:
    return RANDOM.integers(0, 11, (6, 7))


NETWORKS: dict[str, tuple[Callable[[], nn.Module], Any]] = {
    "multilayer perceptron": (
        lambda: nn.Sequential(nn.Linear(10, 33), nn.BatchNorm1d(33), nn.GELU(), nn.Dropout(0.3), nn.Linear(33, 4)),
        RANDOM.standard_normal((6, 10)).astype(np.float32),
    ),
    "convolutions": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 5, 5, padding=2, groups=1),
            nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(20, 4),
        ),
        images(),
    ),
    "residual network": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 8, 3), Residual(8), nn.Conv2d(8, 8, 3, stride=2, groups=8), Residual(8),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4),
        ),
        images(),
    ),
    "LSTM": (LastOfLSTM, tokens()),
    "Transformer": (transformer, tokens()),
    "words": (lambda: nn.Sequential(Words(), nn.Linear(7, 4)), tokens()),
}  # fmt: skip

OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "SGD with momentum": lambda parameters: optim.SGD(parameters, lr=0.05, momentum=0.9),
    "AdamW": lambda parameters: optim.AdamW(parameters, lr=0.01),
}


def curve(make: Callable[[], nn.Module], x: Any, optimizer: Callable[[Any], Any], *, compiled: bool) -> list[float]:
    cp.random.seed(0)
    model = make()
    update = optimizer(model.parameters())

    def step(x: Any, y: Any) -> Any:
        update.zero_grad()
        loss = functional.cross_entropy(model(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        update.step()
        return loss

    run = cp.compile(step) if compiled else step
    target = cp.asarray(np.arange(6) % 4)
    return [run(cp.asarray(x), target).item() for _ in range(STEPS)]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("network", NETWORKS)
def test_the_same_curve(network: str, optimizer: str) -> None:
    make, x = NETWORKS[network]
    plain = curve(make, x, OPTIMIZERS[optimizer], compiled=False)
    np.testing.assert_allclose(curve(make, x, OPTIMIZERS[optimizer], compiled=True), plain, rtol=2e-3, atol=2e-4)
    assert plain[-1] < plain[0]
