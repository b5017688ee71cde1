"""A few examples by heart: what is learned, what is not, what is said then."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.train.networks import blobs, mlp, numbers
from tests.train.small import assert_same_weights, weights

import clearprop as cp
from clearprop import nn, train
from clearprop.errors import DataError, UsageError
from clearprop.train.overfitting import sparkline


class Dead(nn.Module):
    """No unit of the hidden layer is ever on."""

    def __init__(self) -> None:
        self.hidden, self.output = nn.Linear(16, 16), nn.Linear(16, 4)

    def forward(self, x: Any) -> Any:
        return self.output(cp.functional.relu(self.hidden(x) - 1000.0))


def test_a_healthy_network_learns_them_and_stays_as_it_is() -> None:
    cp.random.seed(0)
    model = nn.Sequential(mlp(16, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 4))
    before, state = weights(model), cp.random.default_generator.state_dict()
    result = train.overfit(model, nn.CrossEntropyLoss(), blobs(32))
    assert (result.reached, result.accuracy, result.examples, result.hint) == (True, 1.0, 8, "")
    assert result.losses[-1] < 0.05 * result.losses[0] or result.accuracy == 1.0
    assert_same_weights(weights(model), before)
    assert cp.random.default_generator.state_dict() == state
    assert model.training
    assert all(p.grad is None for p in model.parameters())
    assert "✓ learned by heart" in str(result)
    assert "8 examples in" in str(result)


def test_numbers_are_learned_too() -> None:
    cp.random.seed(0)
    result = train.overfit(mlp(16, 32, 1), nn.MSELoss(), numbers(32), examples=4, lr=0.01)
    assert (result.reached, result.accuracy, result.examples, result.lr) == (True, None, 4, 0.01)


def test_all_of_the_batch() -> None:
    cp.random.seed(0)
    assert train.overfit(mlp(16, 64, 4), nn.CrossEntropyLoss(), blobs(20), examples=None).examples == 20


def test_a_dead_network_does_not() -> None:
    cp.random.seed(0)
    result = train.overfit(Dead(), nn.CrossEntropyLoss(), blobs(32), steps=200)
    assert not result.reached
    assert result.accuracy is not None
    assert result.accuracy < 0.6
    assert "cp.check" in result.hint
    assert "✗ not learned by heart" in str(result)
    assert f"Try: {result.hint}" in str(result)


def test_a_learning_rate_that_is_too_high() -> None:
    cp.random.seed(0)
    result = train.overfit(mlp(16, 1), nn.MSELoss(), numbers(32), lr=100.0, steps=20)
    assert not result.reached
    assert "a smaller learning rate: overfit(..., lr=10)" in result.hint


def test_too_few_steps() -> None:
    cp.random.seed(0)
    result = train.overfit(mlp(16, 16, 4), nn.CrossEntropyLoss(), blobs(32), lr=1e-3, steps=10)
    assert not result.reached
    assert "more steps: overfit(..., steps=100)" in result.hint


def test_check_says_the_same() -> None:
    for model in (mlp(16, 16, 4), Dead()):
        result = train.overfit(model, nn.CrossEntropyLoss(), blobs(32))
        found = cp.check(model, nn.CrossEntropyLoss(), blobs(32))["a few by heart"]
        assert (found.status == "passed") is result.reached
        assert f"in {len(result.losses)} steps of Adam, lr {result.lr:g}" in found.text


def test_its_picture() -> None:
    cp.random.seed(0)
    result = train.overfit(mlp(16, 16, 4), nn.CrossEntropyLoss(), blobs(32))
    assert result.draw().svg.startswith("<svg")
    assert result._repr_html_().count("<svg") >= 1


def test_a_row_of_bars() -> None:
    assert sparkline([1.0, 10.0, 100.0, 1000.0]) == "▁▃▆█"  # a decade each
    assert sparkline([3.0, 3.0]) == "▁▁"
    assert sparkline([1.0, np.nan, 2.0]) == "▁×█"
    assert sparkline([np.nan]) == ""
    assert len(sparkline(np.linspace(1, 2, 1000), 40)) == 40


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"steps": 0}, UsageError),
        ({"examples": 0}, UsageError),
        ({"lr": -1.0}, UsageError),
        ({"lr": "high"}, UsageError),
    ],
)
def test_settings_that_make_no_sense(more: Any, error: Any) -> None:
    with pytest.raises(error, match="overfit"):
        train.overfit(mlp(16, 4), nn.CrossEntropyLoss(), blobs(8), **more)


def test_arguments_that_are_none() -> None:
    with pytest.raises(UsageError, match="overfit: the model is a str"):
        train.overfit("model", nn.CrossEntropyLoss(), blobs(8))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="overfit: the loss"):
        train.overfit(mlp(16, 4), nn.CrossEntropyLoss, blobs(8))
    with pytest.raises(DataError, match="overfit: a batch"):
        train.overfit(mlp(16, 4), nn.CrossEntropyLoss(), blobs(8)[0])
    frozen = mlp(16, 4)
    for parameter in frozen.parameters():
        parameter.requires_grad = False
    with pytest.raises(UsageError, match="no parameter"):
        train.overfit(frozen, nn.CrossEntropyLoss(), blobs(8))
