"""`train.Health`: planted faults are named rightly, healthy networks hear nothing, and looking changes nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.train import small
from tests.train.networks import (
    Attentive,
    LastStep,
    Residual,
    Setting,
    blobs,
    images,
    mlp,
    numbers,
    run,
    sequences,
    setting,
    tokens,
)

import clearprop as cp
from clearprop import nn, optim, train
from clearprop.graph import Observer
from clearprop.train.health.watching import Watch

BOTH = pytest.mark.parametrize("compile", [None, False])


# Planted faults ------------------------------------------------------------------------------------------------------


def scaled(model: nn.Module, factor: float) -> nn.Module:
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.assign(parameter.value * factor)
    return model


def dead_layer() -> Setting:
    model = mlp(16, 32, 32, 4)
    model[2].bias.assign(np.full(32, -30.0, np.float32))
    return setting(model)


def dead_convolution() -> nn.Module:
    model = conv()
    model[0].bias.assign(np.full(8, -50.0, np.float32))
    return model


def saturated() -> Setting:
    return setting(scaled(mlp(16, 32, 32, 4, activation=nn.Tanh), 40.0))


def deep_sigmoids() -> Setting:
    return setting(mlp(16, *[16] * 8, 4, activation=nn.Sigmoid))


def exploding() -> Setting:
    return setting(scaled(mlp(16, *[16] * 8, 4), 20.0), lr=0.01)


def exploding_recurrence() -> Setting:
    model = LastStep(nn.RNN(4, 32, batch_first=True), 32)
    model.rnn.weight_hh_l0.assign(model.rnn.weight_hh_l0.value * 20.0)
    return setting(model, sequences())


def large_steps() -> Setting:
    return setting(mlp(16, 32, 4), lr=200.0)


def large_adam_steps() -> Setting:
    return setting(mlp(16, 32, 32, 4), None, optim.Adam, 5.0)


class Cut(nn.Module):
    def __init__(self) -> None:
        self.first, self.second = nn.Linear(16, 32), nn.Linear(32, 4)

    def forward(self, x: Any) -> Any:
        return self.second(cp.functional.relu(self.first(x)).detach())


@BOTH
@pytest.mark.parametrize(
    ("make", "cause", "place"),
    [
        (dead_layer, "gave 0 for all", "3 (relu) after 2 (Linear)"),
        (saturated, "where tanh is flat", "1 (tanh) after 0 (Linear)"),
        (lambda: setting(dead_convolution(), images()), "gave 0 for all", "1 (relu) after 0 (Conv2d)"),
        (deep_sigmoids, "gradients vanish", "at 0 (Linear) is "),
        (exploding, "gradients explode", "at 0 (Linear) is "),
        (exploding_recurrence, "gradients explode", "rnn.weight_"),
        (large_steps, "learning rate is too large", "Linear"),
        (large_adam_steps, "learning rate is too large", "Linear"),
        (lambda: setting(Cut()), "no gradient has ever come to", "first.weight, first.bias"),
    ],
)
def test_a_planted_fault_is_named(make: Callable[[], Setting], cause: str, place: str, compile: bool | None) -> None:
    cp.random.seed(0)
    history = train.History()
    try:
        run(make(), compile=compile, history=history)
    except cp.DivergenceError:
        assert make in (exploding, large_steps)
    assert history.advice
    assert cause in history.advice[0]
    assert place in history.advice[0]
    assert "Try " in history.advice[0]


def test_many_saturated_layers_are_one_word() -> None:
    cp.random.seed(0)
    history = run(setting(scaled(mlp(16, *[16] * 8, 4, activation=nn.Sigmoid), 100.0)))
    assert len(history.advice) == 1
    assert "1 (sigmoid) after 0 (Linear), 3 (sigmoid) after 2 (Linear)" in history.advice[0]
    assert "and 4 more lie where sigmoid is flat" in history.advice[0]


@BOTH
def test_advice_is_given_once_on_stderr(compile: bool | None, capsys: pytest.CaptureFixture[str]) -> None:
    cp.random.seed(0)
    run(deep_sigmoids(), compile=compile, progress=True)
    assert capsys.readouterr().err.count("gradients vanish") == 1


@BOTH
def test_a_frozen_module_is_a_fact_and_no_fault(compile: bool | None) -> None:
    cp.random.seed(0)
    one = setting(mlp(16, 32, 4))
    for parameter in one.model[0].parameters():
        parameter.requires_grad = False
    history = run(one, compile=compile)
    assert history.advice == ["step 1: frozen, with requires_grad=False, and not trained: 0 (Linear)"]


def test_what_the_optimizer_does_not_have_is_a_fact() -> None:
    model = mlp(16, 32, 4)
    history = run(Setting(model, blobs(), optim.SGD(model[0].parameters(), lr=0.1), nn.CrossEntropyLoss()))
    assert history.advice == ["step 1: the optimizer does not have the parameters of 2 (Linear)"]


class SquareRoot(nn.Module):
    """A square root whose derivative at 0 is infinite, times one that is 0."""

    def __init__(self) -> None:
        self.first, self.second = nn.Linear(16, 32), nn.Linear(32, 4)

    def forward(self, x: Any) -> Any:
        return self.second(cp.sqrt(cp.abs(self.first(x) * 0.0)))


@BOTH
def test_a_gradient_that_is_not_finite_is_named_though_the_loss_is(compile: bool | None) -> None:
    history = train.History()
    with pytest.raises(cp.DivergenceError):
        run(setting(SquareRoot()), compile=compile, history=history)
    assert "but the gradient of first (Linear) is NaN" in history.advice[0]


class LogOfNegative(nn.Module):
    def __init__(self) -> None:
        self.first, self.second, self.third = nn.Linear(16, 32), nn.Linear(32, 32), nn.Linear(32, 4)

    def forward(self, x: Any) -> Any:
        return self.third(cp.log(self.second(cp.functional.relu(self.first(x)))))


@BOTH
def test_a_run_that_diverges_says_where_the_first_nan_comes_from(compile: bool | None) -> None:
    one = setting(LogOfNegative())
    before = small.weights(one.model)
    with pytest.raises(cp.DivergenceError, match="the loss of step 1 is nan") as caught:
        run(one, compile=compile)
    assert "it begins with" in str(caught.value)
    assert "log" in str(caught.value)
    assert "test_health.py" in str(caught.value)
    small.assert_same_weights(small.weights(one.model), before)


@BOTH
def test_a_layer_whose_weights_are_not_finite_is_named(compile: bool | None) -> None:
    model = mlp(16, 32, 32, 4)
    model[2].weight.assign(np.full((32, 32), np.nan, np.float32))
    with pytest.raises(cp.DivergenceError, match=r"2\.weight"):
        run(setting(model), compile=compile)


# Healthy networks ----------------------------------------------------------------------------------------------------


def conv(*norm: nn.Module) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), *norm, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8 * 16, 4)
    )


def binary() -> Setting:
    x, labels = blobs()
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 1), nn.Sigmoid())
    return setting(model, (x, (labels[:, None] > 1).astype(np.float32)), optim.Adam, 0.02, nn.BCELoss())


HEALTHY: dict[str, Callable[[], Setting]] = {
    "sgd": lambda: setting(mlp(16, 32, 4)),
    "momentum": lambda: setting(mlp(16, 32, 4, activation=nn.LeakyReLU), lr=0.1, momentum=0.9),
    "adam": lambda: setting(mlp(16, 64, 32, 4), None, optim.Adam, 0.01),
    "rmsprop": lambda: setting(mlp(16, 32, 32, 4), None, optim.RMSprop, 0.01),
    "adagrad": lambda: setting(mlp(16, 32, 4), None, optim.Adagrad, 0.05),
    "nadam": lambda: setting(mlp(16, 32, 4), None, optim.NAdam, 0.05),
    "lion": lambda: setting(mlp(16, 32, 4), None, optim.Lion, 0.003),
    "adadelta": lambda: setting(mlp(16, 32, 4), None, optim.Adadelta, 1.0),
    "tanh": lambda: setting(mlp(16, 32, 32, 4, activation=nn.Tanh), None, optim.Adam, 0.01),
    "sigmoid": lambda: setting(mlp(16, 32, 4, activation=nn.Sigmoid), None, optim.Adam, 0.02),
    "gelu": lambda: setting(mlp(16, 32, 32, 4, activation=nn.GELU), None, optim.AdamW, 0.01),
    "deep": lambda: setting(mlp(16, *[32] * 6, 4), None, optim.Adam, 0.003),
    "dropout": lambda: setting(nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Dropout(0.5), nn.Linear(64, 4))),
    "convolution": lambda: setting(conv(), images(), lr=0.05, momentum=0.9),
    "batch norm": lambda: setting(conv(nn.BatchNorm2d(8)), images(), optim.Adam, 0.005),
    "rnn": lambda: setting(LastStep(nn.RNN(4, 16, batch_first=True), 16), sequences(), optim.Adam, 0.01),
    "lstm": lambda: setting(LastStep(nn.LSTM(4, 16, batch_first=True), 16), sequences(), optim.Adam, 0.01),
    "transformer": lambda: setting(Attentive(), tokens(), optim.AdamW, 0.003),
    "skip connections, a shared module": lambda: setting(Residual()),
    "regression": lambda: setting(mlp(16, 32, 1), numbers(), optim.Adam, 0.01, nn.MSELoss()),
    "a sum as the loss": lambda: setting(mlp(16, 32, 1), numbers(), lr=1e-4, loss=nn.MSELoss(reduction="sum")),
    "an output sigmoid": binary,
    "linear": lambda: setting(nn.Linear(16, 4)),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_network_hears_nothing(name: str) -> None:
    cp.random.seed(1)
    history = run(HEALTHY[name](), epochs=8)
    assert history.advice == []
    assert history.health
    assert history.epochs[-1]["loss"] < history.epochs[0]["loss"]


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
