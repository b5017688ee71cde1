"""Layers, containers, first values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import functional, nn
from clearprop.errors import RangeError, ShapeError, UsageError

X = cp.tensor(np.linspace(-3.0, 3.0, 24, dtype=np.float32).reshape(4, 6))


@pytest.mark.parametrize(
    ("module", "function"),
    [
        (nn.Sigmoid(), functional.sigmoid),
        (nn.Tanh(), functional.tanh),
        (nn.ReLU(), functional.relu),
        (nn.LeakyReLU(0.3), lambda x: functional.leaky_relu(x, 0.3)),
        (nn.PReLU(6, 0.1), lambda x: functional.prelu(x, np.full(6, 0.1, np.float32))),
        (nn.ELU(0.5), lambda x: functional.elu(x, 0.5)),
        (nn.GELU(), functional.gelu),
        (nn.GELU("tanh"), lambda x: functional.gelu(x, "tanh")),
        (nn.SiLU(), functional.silu),
        (nn.Softplus(2.0, 3.0), lambda x: functional.softplus(x, 2.0, 3.0)),
        (nn.Softmax(0), lambda x: functional.softmax(x, 0)),
        (nn.LogSoftmax(), functional.log_softmax),
        (nn.Identity(), lambda x: x),
        (nn.Flatten(0), lambda x: x.reshape(24)),
    ],
)
def test_modules_compute_what_the_functions_do(module: nn.Module, function: Any) -> None:
    np.testing.assert_array_equal(module(X).numpy(), function(X).numpy())


def test_losses_compute_what_the_functions_do() -> None:
    y, shares, weight = cp.tensor([0, 5, 2, 5]), functional.softmax(X[::-1]), np.arange(6.0, dtype=np.float32)
    cases = [
        (nn.CrossEntropyLoss()(X, y), functional.cross_entropy(X, y)),
        (nn.CrossEntropyLoss(weight, 2, "sum", 0.1)(X, y), functional.cross_entropy(X, y, weight, 2, "sum", 0.1)),
        (nn.MSELoss("sum")(X, shares), functional.mse_loss(X, shares, "sum")),
        (
            nn.BCEWithLogitsLoss(pos_weight=weight)(X, shares),
            functional.binary_cross_entropy_with_logits(X, shares, pos_weight=weight),
        ),
    ]
    for one, other in cases:
        assert one.item() == other.item()


def test_linear_multiplies_from_the_right() -> None:
    layer = nn.Linear(6, 2)
    assert layer.weight.shape == (6, 2)
    np.testing.assert_allclose(layer(X).numpy(), X.numpy() @ layer.weight.numpy() + layer.bias.numpy(), rtol=1e-6)
    assert layer(X[0]).shape == (2,)
    assert layer(X.reshape(2, 2, 6)).shape == (2, 2, 2)
    assert nn.Linear(6, 2, bias=False).bias is None
    assert nn.Linear(6, 2, dtype=cp.float64)(X.astype(cp.float64)).dtype == cp.float64


@pytest.mark.parametrize("sizes", [(1.5, 2), (2, -1), ("3", 2), (True, 2)])
def test_linear_wants_whole_numbers(sizes: Any) -> None:
    with pytest.raises(UsageError, match=r"Linear: (in|out)_features="):
        nn.Linear(*sizes)


def test_maxout_is_the_largest_of_linear_functions() -> None:
    layer = nn.Maxout(6, 2, pieces=3)
    pieces = X.numpy() @ layer.linear.weight.numpy() + layer.linear.bias.numpy()  # type: ignore[union-attr]
    np.testing.assert_allclose(layer(X).numpy(), pieces.reshape(4, 2, 3).max(-1), rtol=1e-5, atol=1e-6)


def test_sequential_indexes_slices_and_names() -> None:
    layers = nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2)
    net = nn.Sequential(*layers)
    assert (net[0], net[-1], len(net), list(net)) == (layers[0], layers[2], 3, list(layers))
    np.testing.assert_array_equal(net[1:](net[0](X)).numpy(), net(X).numpy())
    assert net[1:][1] is layers[2]
    assert layers[2].path == "2"  # a slice is another view of the same network
    net[1] = nn.Tanh()
    net.append(nn.Softmax())
    assert [type(module).__name__ for module in net] == ["Linear", "Tanh", "Linear", "Softmax"]
    assert isinstance(nn.Sequential()(X), cp.Tensor)
    with pytest.raises(RangeError, match="there is no module 4; it has 4"):
        net[4]
    named = nn.Sequential({"body": nn.Linear(6, 2), "act": nn.ReLU()})
    assert [name for name, _ in named.named_parameters()] == ["body.weight", "body.bias"]
    with pytest.raises(UsageError, match="with parentheses"):
        nn.Sequential(nn.ReLU)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="it is a method"):
        nn.Sequential({"train": nn.ReLU()})


def test_module_list_and_dict() -> None:
    layers = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
    layers[1] = nn.Linear(2, 3)
    assert layers.append(nn.ReLU())[-1] is layers[2]
    assert [name for name, _ in layers[1:].named_parameters()] == ["1.weight", "1.bias"]
    heads = nn.ModuleDict({"a": nn.Linear(2, 2)})
    heads["b"] = nn.ReLU()
    assert (list(heads), len(heads), "b" in heads, list(heads.values())[1]) == (["a", "b"], 2, True, heads["b"])
    assert [name for name, _ in heads.items()] == ["a", "b"]
    with pytest.raises(UsageError, match="it is a method"):
        heads["keys"] = nn.ReLU()


def test_residual_adds_the_gradient_of_the_shortcut() -> None:
    layer = nn.Residual(nn.Linear(6, 6))
    nn.init.zeros_(layer.module.weight)  # type: ignore[attr-defined]
    x = cp.tensor(np.ones((2, 6), np.float32), requires_grad=True)
    layer(x).sum().backward()
    assert x.grad.tolist() == np.ones((2, 6)).tolist()  # type: ignore[union-attr]


def test_dropout_rests_in_evaluation() -> None:
    net = nn.Sequential(nn.Dropout(0.5, generator=cp.random.Generator(0)))
    assert (net(cp.ones(100)).numpy() == 0).any()
    assert net.eval()(X) is X
    with pytest.raises(UsageError, match="p=2"):
        nn.Dropout(2)


def test_first_values_of_linear_are_uniform() -> None:
    cp.random.seed(0)
    layer = nn.Linear(400, 300)
    values = np.concatenate([layer.weight.numpy().ravel(), layer.bias.numpy()]) * math.sqrt(400.0)  # type: ignore[union-attr]
    assert -1.0 <= values.min() < -0.999
    assert 0.999 < values.max() <= 1.0
    assert abs(values.std() - 1.0 / math.sqrt(3.0)) < 5e-3
    cp.random.seed(0)
    np.testing.assert_array_equal(nn.Linear(400, 300).weight.numpy(), layer.weight.numpy())


@pytest.mark.parametrize(
    ("initializer", "std"),
    [
        (lambda p, g: nn.init.xavier_uniform_(p, 2.0, g), 2.0 * math.sqrt(2.0 / 700.0)),
        (lambda p, g: nn.init.xavier_normal_(p, 1.0, g), math.sqrt(2.0 / 700.0)),
        (lambda p, g: nn.init.kaiming_uniform_(p, nonlinearity="relu", generator=g), math.sqrt(2.0 / 400.0)),
        (lambda p, g: nn.init.kaiming_normal_(p, mode="fan_out", generator=g), math.sqrt(2.0 / 300.0)),
        (lambda p, g: nn.init.kaiming_normal_(p, a=1.0, generator=g), math.sqrt(1.0 / 400.0)),
        (lambda p, g: nn.init.normal_(p, 0.0, 3.0, g), 3.0),
        (lambda p, g: nn.init.uniform_(p, -1.0, 1.0, g), 1.0 / math.sqrt(3.0)),
    ],
)
def test_first_values_have_the_right_spread(initializer: Any, std: float) -> None:
    p = cp.Parameter(np.zeros((400, 300)))
    assert initializer(p, cp.random.Generator(1)) is p
    assert p.dtype == cp.float64
    assert abs(p.numpy().std() / std - 1.0) < 0.01
    assert abs(p.numpy().mean()) < 0.01 * std


def test_initializers_that_cannot() -> None:
    with pytest.raises(ShapeError, match=r"Parameter b of shape \(3,\) has no fan"):
        nn.init.xavier_normal_(cp.Parameter([1.0, 2.0, 3.0], name="b"))
    with pytest.raises(UsageError, match="swish"):
        nn.init.calculate_gain("swish")
    with pytest.raises(UsageError, match="fan_avg"):
        nn.init.kaiming_normal_(cp.Parameter(cp.ones((2, 2))), mode="fan_avg")


@pytest.mark.parametrize("make", [nn.CrossEntropyLoss, nn.MSELoss, nn.BCEWithLogitsLoss])
def test_a_reduction_that_does_not_exist_is_refused_when_the_loss_is_made(make: Any) -> None:
    with pytest.raises(cp.errors.UsageError, match="'avg'"):
        make(reduction="avg")


def test_a_probability_and_saved_values_of_a_wrong_kind() -> None:
    with pytest.raises(cp.errors.UsageError, match=r"'0\.5'"):
        nn.Dropout("0.5")  # type: ignore[arg-type]
    with pytest.raises(cp.errors.DataError, match="a list, not a mapping"):
        nn.Linear(2, 3).load_state_dict([1, 2])  # type: ignore[arg-type]


def test_what_a_printed_loss_says() -> None:
    assert repr(nn.MSELoss()) == "MSELoss()"
    assert repr(nn.HuberLoss("sum", 2.0)) == "HuberLoss(delta=2.0, reduction='sum')"
    assert repr(nn.KLDivLoss("batchmean")) == "KLDivLoss(log_target=False, reduction='batchmean')"
    assert "weight (3,)" in repr(nn.NLLLoss([1.0, 2.0, 3.0]))
