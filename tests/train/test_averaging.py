"""Averages of the weights while a network is trained: compiled, measured, kept by a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.train.networks import blobs, mlp
from tests.train.small import StopAtStep, assert_same_weights, figures, fit, make, weights

import clearprop as cp
from clearprop import nn, optim, train
from clearprop.compiler.function import Compiled
from clearprop.data import ArrayDataset, DataLoader
from clearprop.errors import UsageError
from clearprop.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def averaged(each: Any = "step", *, epochs: int = 2, validate: bool = False, avg_fn: Any = None, **more: Any) -> Any:
    """What was trained, its average, the record, and the weights after each update."""
    cp.random.seed(0)
    model = nn.Sequential(mlp(16, 8), nn.BatchNorm1d(8), nn.Linear(8, 4))
    own = {"avg_fn": avg_fn} if avg_fn else {} if each == "epoch" else {"multi_avg_fn": get_ema_multi_avg_fn(0.75)}
    average = AveragedModel(model, **own)
    seen: list[dict[str, Any]] = []

    class Keep(train.Callback):
        def on_step_end(self, run: train.Run) -> None:
            seen.append(weights(run.model))

    held_out = ArrayDataset(*blobs(64, seed=0))
    history = train.fit(
        model, DataLoader(ArrayDataset(*blobs(128)), batch_size=32), loss=nn.CrossEntropyLoss(), epochs=epochs,
        optimizer=optim.SGD(model.parameters(), lr=0.1), progress=False, validation=DataLoader(held_out, batch_size=64),
        callbacks=[train.AverageWeights(average, each, validate=validate), Keep(), *more.pop("callbacks", [])], **more,
    )  # fmt: skip
    return model, average, history, seen


@pytest.mark.parametrize("compile", [None, False])
def test_after_every_step(compile: bool | None) -> None:
    _, average, _, seen = averaged(compile=compile)
    expected = seen[0]["0.0.weight"]
    for one in seen[1:]:
        expected = 0.75 * expected + 0.25 * one["0.0.weight"]
    np.testing.assert_allclose(average.module[0][0].weight.numpy(), expected, rtol=1e-5)
    np.testing.assert_array_equal(average.module[1].running_mean.numpy(), seen[-1]["1.running_mean"])
    assert average.n_averaged.item() == 8


@pytest.mark.parametrize("compile", [None, False])
def test_after_every_epoch(compile: bool | None) -> None:
    _, average, _, seen = averaged("epoch", compile=compile)
    expected = (seen[3]["2.weight"] + seen[7]["2.weight"]) / 2
    np.testing.assert_allclose(average.module[2].weight.numpy(), expected, rtol=1e-6)


def test_it_is_compiled_once_and_no_gradients_are_kept_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    trace = Compiled._trace

    def noted(self: Compiled, call: Any) -> Any:
        made.append((self.function.__name__, self._keep_grads))
        return trace(self, call)

    monkeypatch.setattr(Compiled, "_trace", noted)
    cp.random.seed(0)
    model = mlp(16, 4)
    average = train.AverageWeights(AveragedModel(model))
    data, optimizer = DataLoader(ArrayDataset(*blobs(128)), batch_size=32), optim.SGD(model.parameters(), lr=0.1)
    train.fit(model, data, loss=nn.CrossEntropyLoss(), optimizer=optimizer, epochs=4, callbacks=[average], health=False,
              progress=False)  # fmt: skip
    assert sorted(made) == [("_train", False), ("take_in", False)]


def test_an_average_of_your_own_that_asks_for_values_is_taken_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    def warming_up(average: Any, value: Any, count: Any) -> Any:
        decay = min(0.9, count.item() / (count.item() + 1))
        return average * decay + value * (1 - decay)

    _, average, _, seen = averaged(avg_fn=warming_up, epochs=1)
    mean = np.mean([one["2.weight"] for one in seen], axis=0)
    np.testing.assert_allclose(average.module[2].weight.numpy(), mean, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("compile", [None, False])
@pytest.mark.parametrize("each", ["step", "epoch"])
def test_the_average_is_measured(each: Any, compile: bool | None) -> None:
    model, average, history, _ = averaged(each, validate=True, metrics=["accuracy"], compile=compile)
    held_out = DataLoader(ArrayDataset(*blobs(64, seed=0)), batch_size=64)
    figures = {
        network: train.evaluate(network, held_out, loss=nn.CrossEntropyLoss(), metrics=["accuracy"]).metrics
        for network in (model, average)
    }
    last = history.epochs[-1]
    assert last["val_loss"] == pytest.approx(figures[average]["loss"], rel=1e-6)
    assert last["val_accuracy"] == figures[average]["accuracy"]
    assert last["val_loss"] != pytest.approx(figures[model]["loss"], rel=1e-3)


def test_early_stopping_gives_the_average_its_best_weights_back() -> None:
    stop = train.EarlyStopping(patience=None)
    _, average, history, _ = averaged(validate=True, epochs=12, callbacks=[stop])
    best = min(row["val_loss"] for row in history.epochs)
    held_out = DataLoader(ArrayDataset(*blobs(64, seed=0)), batch_size=64)
    assert train.evaluate(average, held_out, loss=nn.CrossEntropyLoss()).metrics["loss"] == pytest.approx(
        best, rel=1e-6
    )


def test_resumed_with_its_average(tmp_path: Path) -> None:
    def settings(stop: int) -> tuple[dict[str, Any], AveragedModel]:
        arguments = make(epochs=2)
        average = AveragedModel(arguments["model"], multi_avg_fn=get_ema_multi_avg_fn(0.9))
        callbacks = [*arguments["callbacks"], train.AverageWeights(average, validate=True), StopAtStep(stop)]
        return {**arguments, "callbacks": callbacks}, average

    path = tmp_path / "checkpoint.safetensors"
    whole, whole_average = settings(-1)
    history = fit(whole)
    broken, _ = settings(20)
    with pytest.raises(ZeroDivisionError):
        fit(broken, checkpoint=train.Checkpoint(path, every_steps=1))
    again, average = settings(-1)
    assert figures(fit(again, resume=path)) == figures(history)
    assert_same_weights(weights(average), weights(whole_average))


def test_in_a_compiled_step_of_your_own() -> None:
    cp.random.seed(0)
    model = mlp(16, 4)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.5))
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    x, y = map(cp.asarray, blobs(32))

    @cp.compile
    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = nn.CrossEntropyLoss()(model(x), y)
        loss.backward()
        optimizer.step()
        average.update_parameters(model)
        return loss

    step(x, y)
    first = weights(model)["0.weight"]
    np.testing.assert_array_equal(average.module[0].weight.numpy(), first)
    step(x, y)
    expected = (first + weights(model)["0.weight"]) / 2
    np.testing.assert_allclose(average.module[0].weight.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("validate", [1, "yes", None])
def test_what_is_no_switch(validate: Any) -> None:
    with pytest.raises(UsageError, match="validate"):
        train.AverageWeights(AveragedModel(nn.Linear(1, 1)), validate=validate)
