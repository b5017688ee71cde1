"""`train.Health`: what it measures, that looking changes nothing, what it costs, what it writes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.train import small
from tests.train.networks import Residual, run, setting
from tests.train.test_health_advice import BOTH, HEALTHY, deep_sigmoids

import clearprop as cp
from clearprop import nn, optim, train
from clearprop.graph import Observer
from clearprop.train.health.watching import Watch

# What is measured ----------------------------------------------------------------------------------------------------


def test_the_statistics_are_those_of_numpy() -> None:
    """One step of two layers, worked out by hand."""
    x = np.array([[1.0, 2.0], [3.0, -1.0]], np.float32)
    w, v = np.array([[1.0, -1.0], [0.5, -2.0]], np.float32), np.array([[2.0], [1.0]], np.float32)
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 1, bias=False))
    model[0].weight.assign(w)
    model[2].weight.assign(v)
    optimizer = optim.SGD(model.parameters(), lr=0.5)
    with Watch(model) as seen:
        loss = model(cp.tensor(x)).sum()
        loss.backward()
        optimizer.step()
    found = seen.sample(loss)
    h = np.maximum(x @ w, 0.0)  # [[2, 0], [2.5, 0]]: the second unit is dead
    upstream = np.ones((2, 1)) @ v.T
    gradient = x.T @ (upstream * (h > 0))
    assert found.gradient["0"].item() == pytest.approx(np.linalg.norm(gradient))
    assert found.gradient["2"].item() == pytest.approx(np.linalg.norm(h.sum(0)))
    assert found.weight["0"].item() == pytest.approx(np.linalg.norm(w))
    assert found.update["0"].item() == pytest.approx(0.5 * np.linalg.norm(gradient))
    assert found.handed_on["2"].item() == pytest.approx(np.linalg.norm(upstream))
    assert found.upstream["0"].item() == pytest.approx(np.linalg.norm(upstream * (h > 0)))
    assert found.flat["1"].item() == 0.5
    assert found.active["1"].numpy().tolist() == [1.0, 0.0]
    assert found.factor["1"].item() == pytest.approx(np.linalg.norm(upstream * (h > 0)) / np.linalg.norm(upstream))


def test_channels_are_the_units_of_images() -> None:
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2))
    with Watch(model) as seen:
        loss = model(cp.ones((2, 1, 4, 4))).sum()
        loss.backward()
    assert seen.sample(loss).active["1"].shape == (3,)


def test_compiled_and_eager_runs_measure_the_same() -> None:
    rows = []
    for compile in (None, False):
        cp.random.seed(0)
        rows.append(run(HEALTHY["batch norm"](), compile=compile).health)
    assert [row.epoch for row in rows[0]] == [row.epoch for row in rows[1]]
    for one, other in zip(*rows, strict=True):
        for column in ("gradient", "update", "gain", "dead"):
            a, b = getattr(one, column), getattr(other, column)
            assert list(a) == list(b)
            np.testing.assert_allclose(list(a.values()), list(b.values()), rtol=1e-2, atol=1e-6)


def test_names_stand_in_the_order_of_the_network() -> None:
    cp.random.seed(0)
    row = run(setting(Residual())).health[0]
    assert list(row.gradient) == ["first", "shared", "last"]
    assert list(row.dead) == ["relu after first", "relu after shared"]
    assert list(row.saturated) == ["tanh after shared"]


def test_an_observer_knows_all_that_the_core_tells() -> None:
    told = set()
    for path in Path(cp.__file__).parent.rglob("*.py"):
        told |= set(re.findall(r"\bobserver\.(\w+)\(", path.read_text(encoding="utf-8")))
    assert told
    assert told <= set(vars(Observer))


# Nothing is changed --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compile", [None, True, False])
def test_a_run_has_the_same_bits_without_it(compile: bool | None) -> None:
    results = []
    for health in (True, False):
        arguments = small.make()
        cp.random.seed(3)
        history = small.fit(arguments, compile=compile, health=health)
        results.append((small.weights(arguments["model"]), small.figures(history)))
        assert bool(history.health) is health
    small.assert_same_weights(results[0][0], results[1][0])
    assert results[0][1] == results[1][1]


class PartlyCompiled(nn.Module):
    """What is compiled rounds otherwise than the same operation by operation."""

    def __init__(self) -> None:
        self.first, self.last = nn.Linear(16, 32), nn.Linear(32, 4)
        self.middle = cp.compile(lambda x: cp.functional.softmax(cp.functional.gelu(x)))

    def forward(self, x: Any) -> Any:
        return self.last(self.middle(self.first(x)))


@BOTH
def test_compiled_parts_of_a_network_keep_their_bits(compile: bool | None) -> None:
    results = []
    for health in (True, False):
        cp.random.seed(0)
        one = setting(PartlyCompiled())
        run(one, compile=compile, health=health)
        results.append(small.weights(one.model))
    small.assert_same_weights(*results)


@BOTH
def test_batch_norm_and_clipping_keep_their_bits(compile: bool | None) -> None:
    results = []
    for health in (True, False):
        cp.random.seed(0)
        one = HEALTHY["batch norm"]()
        run(one, compile=compile, health=health, clip_grad_norm=0.1)
        results.append(small.weights(one.model))
    small.assert_same_weights(*results)


def test_a_resumed_run_has_the_same_record(tmp_path: Path) -> None:
    whole = small.make()
    wanted = small.fit(whole, callbacks=[small.StopAtStep(-1), train.Health(every=7)])
    stopped = small.make()
    stopped["callbacks"] = [small.StopAtStep(23), train.Health(every=7)]
    with pytest.raises(ZeroDivisionError):
        small.fit(stopped, checkpoint=small.checkpoint(tmp_path))
    resumed = small.make()
    resumed["callbacks"] = [small.StopAtStep(-1), train.Health(every=7)]
    history = small.fit(resumed, resume=tmp_path / "checkpoint.safetensors")
    assert [row.to_dict() for row in history.health] == [row.to_dict() for row in wanted.health]
    small.assert_same_weights(small.weights(resumed["model"]), small.weights(whole["model"]))


def test_a_run_can_be_resumed_without_it(tmp_path: Path) -> None:
    stopped, resumed = small.make(), small.make()
    stopped["callbacks"] = resumed["callbacks"] = [small.StopAtStep(20)]
    with pytest.raises(ZeroDivisionError):
        small.fit(stopped, checkpoint=small.checkpoint(tmp_path))
    resumed["callbacks"] = [small.StopAtStep(-1)]
    history = small.fit(resumed, resume=tmp_path / "checkpoint.safetensors", health=False)
    assert len(history.epochs) == small.EPOCHS


# Cost, by counting ---------------------------------------------------------------------------------------------------


def test_it_looks_at_one_step_in_fifty(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    look = train.Health.look
    monkeypatch.setattr(
        train.Health,
        "look",
        lambda self, run, step, batch: looks.append(run.position.step) or look(self, run, step, batch),
    )
    run(setting(nn.Linear(16, 4)), epochs=40)
    assert looks == [0, 1, 2, 4, 8, 16, 32, 50, 100, 150, 200, 250, 300]


def test_batches_of_many_shapes_are_not_all_compiled_for() -> None:
    random = np.random.default_rng(0)
    batches = [(random.standard_normal((n, 16)).astype(np.float32), random.integers(0, 4, n)) for n in range(3, 13)]
    model = nn.Linear(16, 4)
    health = train.Health(every=1)
    train.fit(model, batches, loss=nn.CrossEntropyLoss(), optimizer=optim.SGD(model.parameters(), lr=0.1), epochs=4,
              callbacks=[health], progress=False)  # fmt: skip
    assert len(health.state_dict()["course"]["shapes"]) == 2


# The record ----------------------------------------------------------------------------------------------------------


def test_the_summary_is_part_of_the_lines_of_epochs(tmp_path: Path) -> None:
    cp.random.seed(0)
    path = tmp_path / "history.jsonl"
    history = run(deep_sigmoids(), epochs=2, history=path)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert set(lines[1]["health"]) == {"gradient", "update", "gain", "dead", "saturated"}
    assert history.advice in [line.get("advice") for line in lines]
    assert train.History.read(path) == history
    assert train.History.from_dict(history.to_dict()) == history


def test_a_record_of_an_older_clearprop_is_read(tmp_path: Path) -> None:
    record = train.History("old").to_dict()
    del record["health"], record["advice"]
    assert train.History.from_dict(record).health == []


# Wrong use -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("every", [0, -1, 1.5, "often"])
def test_every_is_a_whole_number(every: Any) -> None:
    with pytest.raises(cp.UsageError, match="every"):
        train.Health(every=every)


def test_two_of_them_are_one_too_many() -> None:
    with pytest.raises(cp.UsageError, match="2 Health callbacks"):
        run(setting(nn.Linear(16, 4)), callbacks=[train.Health(), train.Health()])


class OnceEach(nn.Module):
    """Does not let itself be traced or run a second time."""

    def __init__(self) -> None:
        self.layer, self.calls = nn.Linear(16, 4), [0]

    def forward(self, x: Any) -> Any:
        self.calls[0] += self.training
        if self.calls[0] > 1:
            raise KeyError("again")
        return self.layer(x)


def test_what_goes_wrong_in_it_ends_it_and_not_the_training(capsys: pytest.CaptureFixture[str]) -> None:
    history = run(setting(OnceEach()), progress=True)
    assert len(history.epochs) == 3
    assert history.health == []
    assert capsys.readouterr().err.count("Health has ended, the training goes on: KeyError: 'again'") == 1


class Halves(nn.Module):
    """Asks for a value, as a function that is traced cannot."""

    def __init__(self) -> None:
        self.layer, self.other = nn.Linear(16, 8), nn.Linear(8, 4)

    def forward(self, x: Any) -> Any:
        y = cp.functional.relu(self.layer(x))
        return self.other(y / 2 if float(abs(y).max()) > 1.0 else y)


def test_a_network_that_cannot_be_compiled_is_watched_as_it_runs() -> None:
    history = run(setting(Halves()))
    assert list(history.health[0].gradient) == ["layer", "other"]
    assert list(history.health[0].dead) == ["relu after layer"]
