"""Of healthy runs ``why`` and ``birth_of_nan`` say that nothing is wrong, before training and after it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from tests.lens.places import normal

import clearprop as cp
import clearprop.functional as F  # noqa: N812
from clearprop import nn, optim


def mlp(seed: int, activation: type[nn.Module]) -> tuple[nn.Module, cp.Tensor]:
    generator = cp.random.Generator(seed)
    layers = [nn.Linear(8, 32, generator=generator), activation(), nn.Linear(32, 16, generator=generator), activation()]
    return nn.Sequential(*layers, nn.Linear(16, 4, generator=generator)), normal(32, 8, seed=seed)


def healthy_runs() -> list[tuple[str, nn.Module, cp.Tensor, Callable[[cp.Tensor], cp.Tensor]]]:
    classes = cp.tensor(np.arange(32) % 4)

    def classify(y: cp.Tensor) -> cp.Tensor:
        return F.cross_entropy(y, classes)

    def regress(y: cp.Tensor) -> cp.Tensor:
        return F.mse_loss(y, normal(*y.shape, seed=9))

    def last(y: tuple[cp.Tensor, object]) -> cp.Tensor:
        return regress(y[0][-1])

    runs: list[tuple[str, nn.Module, cp.Tensor, Callable[..., cp.Tensor]]] = []
    for seed, activation in enumerate((nn.ReLU, nn.Tanh, nn.Sigmoid, nn.GELU, nn.SiLU, nn.LeakyReLU, nn.ELU)):
        model, x = mlp(seed, activation)
        runs.append((activation.__name__, model, x, classify if seed % 2 else regress))
    cnn = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 4))
    normed = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 4))
    images = normal(32, 1, 8, 8)
    deep = [layer for _ in range(8) for layer in (nn.Linear(16, 16), nn.ReLU())]
    tall = [layer for _ in range(6) for layer in (nn.Linear(16, 16), nn.LayerNorm(16), nn.Tanh())]
    return [
        *runs,
        ("cnn", cnn, images, classify),
        ("batch norm", normed, images, classify),
        ("deep", nn.Sequential(*deep), normal(32, 16), regress),
        ("layer norm", nn.Sequential(*tall, nn.Linear(16, 4)), normal(32, 16), classify),
        ("dropout", nn.Sequential(nn.Dropout(), nn.ReLU(), nn.Linear(8, 4)), images[:, 0, 0], classify),
        ("rnn", nn.RNN(5, 8), normal(20, 6, 5), last),
        ("lstm", nn.LSTM(5, 8), normal(20, 6, 5), last),
        ("gru", nn.GRU(5, 8), normal(20, 6, 5), last),
        ("transformer", nn.TransformerEncoderLayer(8, 2, 16), normal(7, 4, 8), regress),
        ("linear", nn.Linear(8, 4), normal(32, 8), regress),
        ("single", nn.Linear(1, 1), normal(32, 1), regress),
        ("large inputs", nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4)), normal(32, 8) * 20.0, classify),
        ("embedding", nn.Sequential(nn.Embedding(50, 8), nn.Linear(8, 4)), cp.tensor(np.arange(32)), classify),
        ("bce", nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1)), normal(32, 8),
         lambda y: F.binary_cross_entropy_with_logits(y, cp.tensor((np.arange(32) % 2.0)[:, None].astype(np.float32)))),
    ]  # fmt: skip


@pytest.mark.parametrize("run", healthy_runs(), ids=lambda run: run[0])
def test_no_false_alarm(run: tuple[str, nn.Module, cp.Tensor, Callable[[cp.Tensor], cp.Tensor]]) -> None:
    _, model, x, loss_of = run
    optimizer = optim.Adam(model.parameters(), lr=0.003)
    for steps in (1, 4):  # before training, and after some of it
        with cp.record() as tape:
            for _ in range(steps):
                optimizer.zero_grad()
                loss_of(model(x)).backward()
                optimizer.step()
        assert not tape.birth_of_nan()
        for name, parameter in model.named_parameters():
            cause = tape.why(parameter)
            assert cause.is_healthy, f"{name}: {cause}"
            assert cause.kind == "cancels" or "nothing wrong" in cause.words
