"""The loss around a network, on a plane through its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import nn, train
from clearprop.errors import DataError, TraceError, UsageError

RNG = np.random.default_rng(0)


def squares(output: Any, target: Any) -> Any:
    return cp.sum(cp.square(output - target))


def network() -> nn.Module:
    cp.random.seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(3 * 4 * 4, 2)
    )


BATCH = (RNG.normal(size=(8, 1, 6, 6)).astype(np.float32), RNG.integers(0, 2, 8))


def test_a_step_of_one_moves_each_unit_by_its_own_length() -> None:
    """The loss of a linear layer on unit vectors is the squared length of its weights, unit by unit."""
    cp.random.seed(0)
    layer = nn.Linear(4, 3, bias=False)
    weight = layer.weight.numpy() * np.array([1.0, 10.0, 0.0], np.float32)  # (inputs, units): a unit without weights
    layer.weight.assign(weight)
    batch = (np.eye(4, dtype=np.float32), np.zeros((4, 3), np.float32))
    landscape = train.loss_landscape(layer, squares, batch, points=3)
    middle, (left, right) = landscape.loss[1, 1], landscape.loss[1, [0, 2]]
    assert middle == pytest.approx(np.sum(weight**2), rel=1e-5)
    assert left + right == pytest.approx(4 * middle, rel=1e-5)  # |w + d|² + |w - d|² = 2 |w|² + 2 |d|²

    layer.weight.assign(weight * np.array([1.0, 0.0, 0.0], np.float32))
    small = train.loss_landscape(layer, squares, batch, points=3).loss[1]
    assert small[0] + small[2] == pytest.approx(4 * small[1], rel=1e-5)  # so for each of the units


def test_filters_of_a_convolution_are_its_output_channels() -> None:
    cp.random.seed(0)
    layer = nn.Conv2d(2, 3, 2, bias=False)
    layer.weight.assign(layer.weight.value * cp.tensor([1.0, 0.0, 0.0]).reshape((3, 1, 1, 1)))
    batch = (np.ones((1, 2, 2, 2), np.float32), np.zeros((1, 3, 1, 1), np.float32))
    others = train.loss_landscape(layer, lambda out, _: cp.sum(cp.square(out[:, 1:])), batch, points=3)
    assert not others.loss.any()  # where a filter is 0, a direction has nothing either
    assert np.ptp(train.loss_landscape(layer, squares, batch, points=3).loss) > 0


def test_a_network_that_computes_the_same_with_other_scales_has_the_same_landscape() -> None:
    cp.random.seed(0)
    model = nn.Sequential(nn.Linear(5, 7, bias=False), nn.ReLU(), nn.Linear(7, 2, bias=False))
    batch = (RNG.normal(size=(9, 5)).astype(np.float32), RNG.integers(0, 2, 9))
    before = train.loss_landscape(model, nn.CrossEntropyLoss(), batch, points=5)
    model[0].weight.assign(model[0].weight.value * 8.0)
    model[2].weight.assign(model[2].weight.value / 8.0)
    after = train.loss_landscape(model, nn.CrossEntropyLoss(), batch, points=5)
    np.testing.assert_allclose(after.loss, before.loss, rtol=1e-4)


def test_the_network_is_afterwards_what_it_was() -> None:
    model = network()
    model[4].eval()
    model(cp.asarray(BATCH[0])).sum().backward()
    state, modes = model.state_dict(), [module.training for module in model.modules()]
    before = {name: value.numpy().copy() for name, value in state.items()}
    gradients = [parameter.grad.numpy().copy() for parameter in model.parameters()]
    train.loss_landscape(model, nn.CrossEntropyLoss(), BATCH, points=2)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        np.testing.assert_array_equal(parameter.grad.numpy(), gradient)
    assert [module.training for module in model.modules()] == modes


def test_the_middle_is_the_network_as_it_is_used_and_the_rest_depends_on_the_seed() -> None:
    model, loss = network(), nn.CrossEntropyLoss()
    compiled = train.loss_landscape(model, loss, BATCH, points=3)
    eager = train.loss_landscape(model, loss, BATCH, points=3, compile=False)
    other = train.loss_landscape(model, loss, BATCH, points=3, seed=1)
    np.testing.assert_allclose(compiled.loss, eager.loss, rtol=1e-5)
    model.eval()
    expected = loss(model(cp.asarray(BATCH[0])), cp.asarray(BATCH[1])).item()
    assert compiled.loss[1, 1] == pytest.approx(expected, rel=1e-5) == other.loss[1, 1]
    assert not np.allclose(compiled.loss[0], other.loss[0])


def test_a_shared_weight_moves_once() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            self.first = nn.Linear(3, 3, bias=False)
            self.second = nn.Linear(3, 3, bias=False)
            self.second.weight = self.first.weight

        def forward(self, x: Any) -> Any:
            return self.first(x) - self.second(x)

    batch = (np.ones((2, 3), np.float32), np.zeros((2, 3), np.float32))
    assert not train.loss_landscape(Tied(), squares, batch, points=3).loss.any()


def test_a_picture_of_it(tmp_path: Path) -> None:
    landscape = train.loss_landscape(network(), nn.CrossEntropyLoss(), BATCH, points=3, span=0.5)
    assert landscape.steps.tolist() == [-0.5, 0.0, 0.5]
    assert "the weights as they are" in landscape.draw(levels=[0.5, 1.0]).svg
    assert landscape.draw().save(tmp_path / "landscape.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert "9 losses" in repr(landscape)


def test_places_without_a_finite_loss() -> None:
    steps = np.array([-1.0, 0.0, 1.0])
    landscape = train.Landscape(steps, np.array([[np.nan, 2.0, np.inf], [1.0, 0.5, 1.0], [3.0, 2.0, 1.0]]))
    assert "9 losses, 0.5 to 3, 2 not finite" in repr(landscape)
    assert "0.5 to 3, 2 not finite over a plane" in landscape.draw().svg
    nowhere = train.Landscape(steps, np.full((3, 3), np.nan))
    assert "none finite" in nowhere.draw().svg


@pytest.mark.parametrize(
    ("arguments", "settings", "error", "words"),
    [
        (("no network", squares, BATCH), {}, UsageError, "the model is a str"),
        ((network(), None, BATCH), {}, UsageError, "the loss is None"),
        ((network(), nn.CrossEntropyLoss, BATCH), {}, UsageError, "the loss is CrossEntropyLoss"),
        ((network(), squares, BATCH[0]), {}, DataError, "a tuple of inputs and a target"),
        ((network(), lambda out, target: out, BATCH), {}, UsageError, r"it is shape \(8, 2\)"),
        ((network(), squares, BATCH), {"points": 1}, UsageError, "points=1"),
        ((network(), squares, BATCH), {"span": 0.0}, UsageError, "span=0.0"),
        ((network(), squares, BATCH), {"compile": "yes"}, UsageError, "compile='yes'"),
    ],
)
def test_wrong_arguments(arguments: Any, settings: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        train.loss_landscape(*arguments, **settings)


def test_a_network_that_asks_for_values_is_not_compiled() -> None:
    class Asking(nn.Module):
        def __init__(self) -> None:
            self.layer = nn.Linear(2, 1)

        def forward(self, x: Any) -> Any:
            y = self.layer(x)
            return y * 2.0 if y.sum().item() > 0 else y

    batch = (np.ones((2, 2), np.float32), np.zeros((2, 1), np.float32))
    with pytest.raises(TraceError):
        train.loss_landscape(Asking(), squares, batch, points=2)
    assert train.loss_landscape(Asking(), squares, batch, points=2, compile=False).loss.shape == (2, 2)
