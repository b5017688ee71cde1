"""Steps of `fit`, compiled and not."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from tests.train.small import assert_same_weights, fit, make, weights

import clearprop as cp
from clearprop import nn, optim, train


class Halves(nn.Module):
    """Asks for a value, as a function that is traced cannot."""

    def __init__(self) -> None:
        self.layer = nn.Linear(3, 2)

    def forward(self, x: Any) -> Any:
        y = self.layer(x)
        return y / 2 if float(abs(y).max()) > 1.0 else y


def batches(lengths: list[int]) -> list[Any]:
    random = np.random.default_rng(0)
    return [(random.standard_normal((n, 3)).astype(np.float32), random.integers(0, 2, n)) for n in lengths]


def train_on(model: nn.Module, data: list[Any], **more: Any) -> train.History:
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    return train.fit(model, data, loss=nn.CrossEntropyLoss(), optimizer=optimizer, epochs=2, **more)


@pytest.mark.parametrize("compile", [None, True, False])
def test_the_same_seed_gives_the_same_bits(compile: bool | None) -> None:
    one, other = make(), make()
    for arguments in (one, other):
        cp.random.seed(3)
        fit(arguments, compile=compile)
    assert_same_weights(weights(one["model"]), weights(other["model"]))


def test_a_network_that_asks_for_values_is_trained_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    cp.random.seed(0)
    model = Halves()
    train_on(model, batches([8, 8]))
    assert "cannot be compiled" in capsys.readouterr().err
    cp.random.seed(0)
    plain = Halves()
    train_on(plain, batches([8, 8]), compile=False)
    assert capsys.readouterr().err.count("compiled") == 0
    assert_same_weights(weights(model), weights(plain))


def test_who_insists_on_compiling_gets_the_line_that_prevents_it() -> None:
    with pytest.raises(cp.TraceError, match=r"test_step\.py") as caught:
        train_on(Halves(), batches([8]), compile=True, progress=False)
    assert "no numbers yet" in str(caught.value)


def test_batches_of_many_shapes_end_compiling(capsys: pytest.CaptureFixture[str]) -> None:
    data = batches([*range(1, 20), 3])
    model = nn.Linear(3, 2)
    train_on(model, data)
    assert len(re.findall("operation by operation", capsys.readouterr().err)) == 1


@pytest.mark.parametrize("compile", [True, False])
def test_a_step_that_diverges_changes_nothing(compile: bool) -> None:
    (x, y), bad = batches([8])[0], np.full((8, 3), np.inf, np.float32)
    model = nn.Linear(3, 2)
    before = weights(model)
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    with pytest.raises(cp.DivergenceError, match="the loss of step 1 is nan"):
        train.fit(model, [(bad, y), (x, y)], loss=nn.CrossEntropyLoss(), optimizer=optimizer, epochs=1, compile=compile,
                  progress=False)  # fmt: skip
    assert_same_weights(weights(model), before)


@pytest.mark.parametrize("compile", [True, False])
def test_a_callback_sees_the_gradients_of_each_step(compile: bool) -> None:
    seen: list[float] = []

    class Look(train.Callback):
        def on_step_end(self, run: train.Run) -> None:
            seen.extend(float(abs(p.grad).max()) for p in run.model.parameters() if p.grad is not None)

    train_on(nn.Linear(3, 2), batches([8, 8]), compile=compile, callbacks=[Look()], progress=False)
    assert len(seen) == 8
    assert all(seen)


def test_evaluation_mode_and_training_mode_are_not_confused() -> None:
    """Dropout of a compiled step acts in training alone, in every epoch."""
    cp.random.seed(1)
    model = nn.Sequential(nn.Linear(3, 50), nn.Dropout(0.9), nn.Linear(50, 2))
    x, y = batches([64])[0]
    history = train_on(model, [(x, y)], validation=[(x, y)], progress=False)
    assert len({row["val_loss"] for row in history.epochs}) == 2
    first = model(x)
    np.testing.assert_array_equal(first.numpy(), model(x).numpy())
