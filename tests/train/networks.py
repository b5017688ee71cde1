"""Small networks, healthy and with planted faults, for the tests of `train.Health` and `cp.check`."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

import clearprop as cp
from clearprop import data, nn, optim, train

Arrays = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


def blobs(examples: int = 256, width: int = 16, classes: int = 4, seed: int = 0) -> Arrays:
    """Points around a centre for each class."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, examples)
    centres = random.standard_normal((classes, width)) * 1.5
    return (centres[labels] + random.standard_normal((examples, width))).astype(np.float32), labels


def sequences(examples: int = 128, length: int = 50, width: int = 4) -> Arrays:
    random = np.random.default_rng(0)
    x = random.standard_normal((examples, length, width)).astype(np.float32)
    return x, (x[:, -1, 0] > 0).astype(np.int64)


def images(examples: int = 96) -> Arrays:
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, examples)
    x = random.standard_normal((examples, 1, 8, 8)).astype(np.float32)
    x[np.arange(examples), 0, labels] += 2.0
    return x, labels


def tokens(examples: int = 96) -> Arrays:
    x = np.random.default_rng(0).integers(0, 20, (examples, 8))
    return x, (x[:, 0] > 9).astype(np.int64)


def numbers(examples: int = 256) -> Arrays:
    x, _ = blobs(examples)
    return x, (x[:, :1] - 0.5 * x[:, 1:2] ** 2).astype(np.float32)


def mlp(*widths: int, activation: Callable[[], nn.Module] = nn.ReLU) -> nn.Sequential:
    layers: list[nn.Module] = []
    for into, out in pairwise(widths):
        layers += [nn.Linear(into, out), activation()]
    return nn.Sequential(*layers[:-1])


class LastStep(nn.Module):
    """A recurrent network and a layer on its last output."""

    def __init__(self, rnn: nn.Module, width: int, classes: int = 2) -> None:
        self.rnn, self.head = rnn, nn.Linear(width, classes)

    def forward(self, x: Any) -> Any:
        return self.head(self.rnn(x)[0][:, -1])


class Attentive(nn.Module):
    """Embedding, a transformer layer, a mean."""

    def __init__(self) -> None:
        self.embedding = nn.Embedding(20, 16)
        self.layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.head = nn.Linear(16, 2)

    def forward(self, x: Any) -> Any:
        return self.head(self.layer(self.embedding(x)).mean(axis=1))


class Residual(nn.Module):
    """Branches beside skip connections, with functions in the place of modules, and one module used twice."""

    def __init__(self) -> None:
        self.first, self.shared, self.last = nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 4)

    def forward(self, x: Any) -> Any:
        h = cp.functional.relu(self.first(x))
        h = h + cp.functional.relu(self.shared(h))
        h = h + cp.tanh(self.shared(h))
        return self.last(h)


class Setting(NamedTuple):
    """What is trained, with what, how."""

    model: nn.Module
    arrays: Arrays
    optimizer: optim.Optimizer
    loss: Any


def setting(
    model: nn.Module, arrays: Arrays | None = None, optimizer: Any = optim.SGD, lr: float = 0.05, loss: Any = None,
    **settings: Any,
) -> Setting:  # fmt: skip
    made = optimizer(model.parameters(), lr=lr, **settings)
    return Setting(model, arrays or blobs(), made, loss or nn.CrossEntropyLoss())


def run(one: Setting, *, epochs: int = 3, batch_size: int = 32, **more: Any) -> train.History:
    """Train it; the history is also there, as ``more["history"]``, if that raises."""
    loader = data.DataLoader(data.ArrayDataset(*one.arrays), batch_size=batch_size, shuffle=True, seed=0)
    return train.fit(
        one.model, loader, loss=one.loss, optimizer=one.optimizer, epochs=epochs, **{"progress": False} | more
    )
