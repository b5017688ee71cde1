"""The network of 1989: the counts of the paper, its receptive fields, its first weights."""

from __future__ import annotations

import numpy as np
import pytest

import clearprop as cp
from clearprop.errors import ShapeError, UsageError
from clearprop.models import LeNet1989
from clearprop.models.lenet import Maps
from clearprop.recipes.lenet import squared_error


def test_counts_of_the_paper() -> None:
    """Section 3: layer by layer, free parameters and connections, with the biases."""
    model = LeNet1989()
    parameters = {name: sum(one.size for one in layer.parameters()) for name, layer in model.named_children()}
    assert parameters == {"h1": 1_068, "h2": 2_592, "h3": 5_790, "output": 310}
    assert (model.h1.connections, model.h2.connections) == (19_968, 38_592)
    assert (sum(parameters.values()), model.connections) == (9_760, 64_660)
    units = 16 * 16 + model.h1.bias.size + model.h2.bias.size + model.h3.out_features + model.output.out_features
    assert units == 1_256


def test_connections_are_those_along_which_something_flows() -> None:
    """Counted once more: each input of a unit, the border included, is a number of the layer's Jacobian."""
    for layer, maps_below, side in ((LeNet1989().h1, 1, 16), (LeNet1989().h2, 12, 8)):
        by_input = cp.jacobian(lambda x, layer=layer: layer(x))(cp.zeros((1, maps_below, side, side)))
        inside = np.count_nonzero(by_input.numpy())
        units, inputs = layer.bias.size, layer.weight[0].size
        beyond = _inputs_beyond_the_border(side) * layer.weight.shape[1] * layer.weight.shape[0]
        assert inside + beyond + units == layer.connections == units * (inputs + 1)


def _inputs_beyond_the_border(side: int) -> int:
    """Of all units of a map, how many of their 25 inputs from one map below lie outside of it."""
    starts = np.arange(-2, side - 2, 2)[:, None] + np.arange(5)
    inside = ((starts >= 0) & (starts < side)).sum(axis=1)
    return int(len(starts) ** 2 * 25 - np.outer(inside, inside).sum())


def test_each_map_of_h2_is_connected_to_eight_of_h1() -> None:
    sources = LeNet1989().h2.sources
    assert sources.shape == (12, 8)
    assert all(len(set(row)) == 8 for row in sources)
    np.testing.assert_array_equal(np.bincount(sources.ravel()), [8] * 12)  # and each of these to eight of H2


def test_h2_is_a_convolution_of_its_sources() -> None:
    cp.random.seed(0)
    layer, x = LeNet1989().h2, np.random.default_rng(0).normal(size=(2, 12, 8, 8)).astype(np.float32)
    y = layer(cp.asarray(x)).numpy()
    padded = np.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2)), constant_values=-1)
    for example, number, row, column in ((0, 0, 0, 0), (1, 5, 3, 2), (0, 11, 2, 3)):
        window = padded[example, layer.sources[number], 2 * row : 2 * row + 5, 2 * column : 2 * column + 5]
        assert y[example, number, row, column] == pytest.approx((window * layer.weight.numpy()[number]).sum(), abs=1e-5)


def test_an_empty_image_goes_on_beyond_its_border() -> None:
    sums = Maps(np.zeros((12, 1), int), 16)(cp.full((1, 1, 16, 16), -1.0)).numpy()
    np.testing.assert_allclose(sums, np.broadcast_to(sums[:, :, :1, :1], sums.shape), atol=1e-6)


def test_first_weights_and_activation() -> None:
    cp.random.seed(0)
    model = LeNet1989()
    for weight, inputs in (
        (model.h1.weight, 25),
        (model.h2.weight, 200),
        (model.h3.weight, 192),
        (model.output.weight, 30),
    ):
        largest = float(np.abs(weight.numpy()).max())
        assert 0.95 * 2.4 / inputs < largest <= 2.4 / inputs
    np.testing.assert_allclose(model.f(cp.tensor([-1.0, 0.0, 1.0])).numpy(), [-1.0, 0.0, 1.0], atol=1e-4)


def test_squared_error() -> None:
    output = cp.tensor([[1.0, -1.0, 0.0]])
    assert squared_error(output, cp.tensor([0])).item() == pytest.approx(1 / 3)
    assert squared_error(output, cp.tensor([1])).item() == pytest.approx((4 + 4 + 1) / 3)


def test_outputs_are_squashed_unless_they_are_logits() -> None:
    x = cp.random.uniform((3, 1, 16, 16))
    model = LeNet1989(squash=False)
    model.output.weight.assign(model.output.weight.value * 1e4)
    assert np.abs(model(x).numpy()).max() > 1.7159
    model.squash = True
    assert np.abs(model(x).numpy()).max() <= 1.7159


def test_it_compiles_as_a_whole() -> None:
    model, x = LeNet1989(), cp.random.uniform((2, 1, 16, 16))
    run = cp.compile(model)
    np.testing.assert_allclose(run(x).numpy(), model(x).numpy(), atol=1e-6)
    assert "computed by NumPy" not in run.report()


def test_what_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"the network takes \(N, 1, 16, 16\)"):
        LeNet1989()(cp.zeros((2, 1, 28, 28)))
    with pytest.raises(UsageError, match="activation is 'gelu'"):
        LeNet1989(activation="gelu")
