"""`train.Health`: planted faults are named rightly, healthy networks hear nothing."""

from __future__ import annotations

from collections.abc import Callable
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
    assert "test_health_advice.py" in str(caught.value)
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
