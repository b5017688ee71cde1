"""Gradient accumulation: several small batches make the update of one large batch."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.train.networks import blobs, mlp
from tests.train.small import assert_same_weights, figures, fit, make, weights

import clearprop as cp
from clearprop import nn, optim, train
from clearprop.compiler.entry import Entry
from clearprop.compiler.function import Compiled
from clearprop.data import ArrayDataset, DataLoader
from clearprop.errors import UsageError

OPTIMIZERS = [
    lambda parameters: optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=0.01),
    lambda parameters: optim.AdamW(parameters, lr=0.01),
]


def trained(batch_size: int, accumulate: int = 1, *, make_optimizer: Any = OPTIMIZERS[0], **more: Any) -> Any:
    cp.random.seed(0)
    model = mlp(16, 12, 4)
    optimizer = make_optimizer(model.parameters())
    data = DataLoader(ArrayDataset(*blobs(250)), batch_size=batch_size)
    arguments = {"epochs": 3, "loss": nn.CrossEntropyLoss(), "metrics": ["accuracy"], "progress": False, **more}
    history = train.fit(model, data, optimizer=optimizer, accumulate=accumulate, **arguments)
    return model, history


@pytest.mark.parametrize("compile", [None, False])
@pytest.mark.parametrize("make_optimizer", OPTIMIZERS)
@pytest.mark.parametrize("clip_grad_norm", [None, 0.5])
def test_small_batches_make_the_update_of_a_large_one(
    compile: bool | None, make_optimizer: Any, clip_grad_norm: Any
) -> None:
    """250 examples in batches of 16: four make 64; the last group of an epoch is of 3 full batches and one of 10."""
    settings = {"compile": compile, "make_optimizer": make_optimizer, "clip_grad_norm": clip_grad_norm}
    large, large_history = trained(64, **settings)
    small, small_history = trained(16, 4, **settings)
    for (name, one), other in zip(large.named_parameters(), small.parameters(), strict=True):
        np.testing.assert_allclose(other.numpy(), one.numpy(), rtol=2e-4, atol=2e-6, err_msg=name)
    for column in ("loss", "accuracy"):
        np.testing.assert_allclose(small_history.column(column), large_history.column(column), rtol=1e-5)


def test_a_callback_sees_the_mean_gradient_and_the_loss_of_the_whole_group() -> None:
    seen: dict[int, list[Any]] = {}

    class Look(train.Callback):
        def on_step_end(self, run: train.Run) -> None:
            first = next(iter(run.model.parameters()))
            assert first.grad is not None
            seen.setdefault(run.accumulate, []).append((run.position.step, run.loss_of_step, first.grad.numpy().copy()))

    trained(64, epochs=1, callbacks=[Look()])
    trained(16, 4, epochs=1, callbacks=[Look()])
    assert [step for step, *_ in seen[4]] == [1, 2, 3, 4]
    for (_, loss, gradient), (_, other_loss, other) in zip(seen[1], seen[4], strict=True):
        assert other_loss == pytest.approx(loss, rel=1e-5)
        np.testing.assert_allclose(other, gradient, rtol=1e-4, atol=1e-6)


def test_a_schedule_counts_updates() -> None:
    cp.random.seed(0)
    model = mlp(16, 4)
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    halves = optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    data = DataLoader(ArrayDataset(*blobs(100)), batch_size=10)
    train.fit(model, data, loss=nn.CrossEntropyLoss(), optimizer=optimizer, epochs=2, scheduler=halves, schedule="step",
              accumulate=4, progress=False)  # fmt: skip
    assert optimizer.param_groups[0]["lr"] == 0.5**6  # groups of 4, 4 and 2 batches, twice


def test_a_cycle_is_as_long_as_there_are_updates() -> None:
    model = mlp(16, 4)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    data = DataLoader(ArrayDataset(*blobs(100)), batch_size=10)
    cycle = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=5)
    with pytest.raises(UsageError, match="the run has 6"):
        train.fit(model, data, loss=nn.CrossEntropyLoss(), optimizer=optimizer, epochs=2, scheduler=cycle,
                  schedule="step", accumulate=4)  # fmt: skip


def test_compiled_once_for_gathering_and_once_for_the_update(monkeypatch: pytest.MonkeyPatch) -> None:
    traced: list[str] = []
    trace = Compiled._trace

    def noted(self: Compiled, call: Any) -> Any:
        traced.append(self.function.__name__)
        return trace(self, call)

    monkeypatch.setattr(Compiled, "_trace", noted)
    trained(25, 4, epochs=5, health=False)  # 10 equal batches: groups of 4, 4 and 2
    assert sorted(traced) == ["_apply_gradients", "_gather_gradients"]


def test_sums_and_weights_are_written_where_they_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the third group on every call takes the short way: nothing is allocated, and Python looks at no cell."""
    long_ways: list[int] = []
    call = Entry.call

    def noted(self: Entry, tensors: Any) -> Any:
        long_ways.append(0)
        return call(self, tensors)

    monkeypatch.setattr(Entry, "call", noted)
    counts: list[int] = []

    class Count(train.Callback):
        reads_gradients = False

        def on_step_end(self, run: train.Run) -> None:
            counts.append(len(long_ways))

    trained(25, 2, epochs=1, health=False, callbacks=[Count()])  # 5 groups
    assert counts[0] > 0
    assert counts[4] == counts[2]


class Branches(nn.Module):
    """Which of two layers is used depends on the values."""

    def __init__(self) -> None:
        self.one, self.other = nn.Linear(2, 2), nn.Linear(2, 2)

    def forward(self, x: Any) -> Any:
        return self.one(x) if float(x.sum()) > 0 else self.other(x)


def test_who_gets_no_gradient_in_a_group_is_left_alone() -> None:
    """Weight decay would change it. In the next group it may be reached."""
    cp.random.seed(0)
    model = Branches()
    first = weights(model)
    up, down = (np.full((1, 2), value, np.float32) for value in (1.0, -1.0))
    label = np.array([0])
    steps: list[Any] = []

    class Keep(train.Callback):
        def on_step_end(self, run: train.Run) -> None:
            steps.append(weights(model))

    train.fit(model, [(up, label)] * 2 + [(down, label)] * 2, loss=nn.CrossEntropyLoss(), epochs=1, accumulate=2,
              optimizer=optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1), callbacks=[Keep()], compile=False,
              progress=False)  # fmt: skip
    assert_same_weights({k: v for k, v in steps[0].items() if "other" in k},
                        {k: v for k, v in first.items() if "other" in k})  # fmt: skip
    assert_same_weights({k: v for k, v in steps[1].items() if "one" in k},
                        {k: v for k, v in steps[0].items() if "one" in k})  # fmt: skip
    assert not np.array_equal(steps[0]["one.weight"], first["one.weight"])
    assert not np.array_equal(steps[1]["other.weight"], first["other.weight"])


class PressCtrlC:
    """Ctrl-C while batch `at` is being read."""

    def __init__(self, data: Any, at: int) -> None:
        self.data, self.at, self.count = data, at, 0

    def __len__(self) -> int:
        return len(self.data)

    def __iter__(self) -> Any:
        for batch in self.data:
            self.count += 1
            if self.count == self.at:
                os.kill(os.getpid(), signal.SIGINT)
            yield batch

    def state_dict(self) -> Any:
        return self.data.state_dict()

    def load_state_dict(self, state: Any) -> None:
        self.data.load_state_dict(state)


@pytest.mark.parametrize("compile", [None, False])
@pytest.mark.parametrize("at", [1, 2, 4, 15, 17])
def test_gone_on_with_in_the_middle_of_a_group(tmp_path: Path, at: int, compile: bool | None) -> None:
    """15 batches in an epoch, 4 to a group; dropout, a schedule, clipping, early stopping as in `small`."""
    path = tmp_path / "checkpoint.safetensors"

    def settings(stop: int) -> dict[str, Any]:
        arguments = {**make(epochs=2), "accumulate": 4, "compile": compile}
        return {**arguments, "data": PressCtrlC(arguments["data"], stop)}

    whole = settings(-1)
    whole_history = fit(whole)
    with pytest.raises(train.TrainingInterrupted, match="the run is saved"):
        fit(settings(at), checkpoint=train.Checkpoint(path, every_epochs=None))
    again = settings(-1)
    history = fit(again, resume=path)
    assert_same_weights(weights(again["model"]), weights(whole["model"]))
    assert figures(history) == figures(whole_history)


def test_another_number_of_batches_is_another_run(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    fit({**make(epochs=1), "accumulate": 2}, checkpoint=path)
    with pytest.raises(UsageError, match="accumulate: saved 2, now 3"):
        fit({**make(epochs=2), "accumulate": 3}, resume=path)


@pytest.mark.parametrize("compile", [None, False])
def test_health_is_looked_at_and_changes_nothing(compile: bool | None) -> None:
    looked, history = trained(16, 4, compile=compile)
    blind, _ = trained(16, 4, compile=compile, health=False)
    assert_same_weights(weights(looked), weights(blind))
    assert list(history.health[0].gradient) == ["0", "2"]


@pytest.mark.parametrize("compile", [None, False])
def test_a_loss_that_is_nan_ends_it(compile: bool | None) -> None:
    x, y = blobs(40)
    bad = np.full((10, 16), np.inf, np.float32)
    model = mlp(16, 4)
    before = weights(model)
    with pytest.raises(cp.DivergenceError, match="the loss of step 1 is nan"):
        train.fit(model, [(x[:10], y[:10]), (bad, y[:10])], loss=nn.CrossEntropyLoss(), epochs=1, accumulate=2,
                  optimizer=optim.SGD(model.parameters(), lr=0.1), compile=compile, progress=False)  # fmt: skip
    assert_same_weights(weights(model), before)


@pytest.mark.parametrize("accumulate", [0, -1, 1.5, True, "2", None])
def test_what_is_no_number_of_batches(accumulate: Any) -> None:
    with pytest.raises(UsageError, match="accumulate"):
        fit({**make(), "accumulate": accumulate})


def test_more_batches_than_an_epoch_has_make_one_update_of_it() -> None:
    large, _ = trained(250)
    small, _ = trained(16, 100)
    for one, other in zip(large.parameters(), small.parameters(), strict=True):
        np.testing.assert_allclose(other.numpy(), one.numpy(), rtol=2e-4, atol=2e-6)
