"""Where two runs part."""

from __future__ import annotations

from typing import Any

import numpy as np

import clearprop as cp
from clearprop import functional, nn

X = np.random.default_rng(0).standard_normal((6, 5)).astype(np.float32)
Y = np.array([0, 1, 2, 1, 0, 2])


def network(seed: int = 0, *, slope: float = 0.0) -> Any:
    cp.random.seed(seed)
    return nn.Sequential(nn.Linear(5, 8), nn.LeakyReLU(slope) if slope else nn.ReLU(), nn.Linear(8, 3))


def recorded(model: Any, x: Any = X, *, scale: float = 1.0) -> Any:
    with cp.record() as tape:
        out = model(cp.asarray(x))
        scaled = out * scale
        loss = functional.cross_entropy(scaled, Y)
        loss.backward()
    return tape


def test_equal_runs() -> None:
    difference = recorded(network()).diff(recorded(network()))
    assert not difference
    assert difference.compared > 10
    assert "none: the same" in str(difference)


def test_another_seed_parts_at_the_first_weight() -> None:
    difference = recorded(network(0)).diff(recorded(network(1)))
    assert difference
    assert difference.first.row.label == "0.weight"
    assert difference.first.what == "value"
    assert difference.values > 5
    assert difference.gradients > 5


def test_what_differs_in_the_middle_is_found_there() -> None:
    difference = recorded(network()).diff(recorded(network(), scale=1.001))
    assert difference.first.row.label == "scaled"
    assert 0.0005 < difference.first.error < 0.002
    assert "out * scale" in str(difference)
    assert not recorded(network()).diff(recorded(network(), scale=1.001), rtol=0.1)


def test_another_network() -> None:
    difference = recorded(network()).diff(recorded(network(slope=0.1)))
    assert difference.first.what == "operation"
    assert "relu here and" in str(difference)


def test_another_shape() -> None:
    difference = recorded(network()).diff(_of_fewer())
    assert (difference.first.what, difference.first.row.node.shape[0], difference.first.other.node.shape[0]) == (
        "shape", 6, 4,
    )  # fmt: skip


def _of_fewer() -> Any:
    with cp.record() as tape:
        functional.cross_entropy(network()(cp.asarray(X[:4])), Y[:4]).backward()
    return tape


def test_a_run_that_goes_on() -> None:
    x = cp.tensor([1.0, 2.0], requires_grad=True)
    with cp.record() as short:
        h = x * 2.0
    with cp.record() as longer:
        h = x * 2.0
        y = cp.sin(h)
    difference = short.diff(longer)
    assert difference.compared == 2
    assert "nothing here and sin there" in str(difference)
    assert y.shape == (2,)


def test_dtypes_differ_by_roundings_only() -> None:
    single, double = network(), network()
    double.to("float64")
    tapes = recorded(single), recorded(double, X.astype(np.float64))
    assert not tapes[0].diff(tapes[1], rtol=1e-5)
    assert tapes[0].diff(tapes[1], rtol=1e-12)


def test_nan_is_an_infinite_difference() -> None:
    broken = X.copy()
    broken[0, 0] = np.nan
    difference = recorded(network()).diff(recorded(network(), broken))
    assert difference.first.error == np.inf
    assert "NaN or infinity" in str(difference)
    assert not recorded(network(), broken).diff(recorded(network(), broken))


def test_a_compiled_run_against_an_eager_one() -> None:
    model = network()

    def step(x: Any) -> Any:
        out = model(x)
        scaled = out * 1.0
        loss = functional.cross_entropy(scaled, Y)
        loss.backward()
        return loss

    with cp.record() as eager:
        step(cp.asarray(X))
    model.zero_grad()
    compiled = cp.compile(step, watch=["out", "scaled"])
    compiled(X)
    difference = eager.diff(compiled.tape, rtol=1e-5)
    assert not difference
    assert difference.compared >= 2
    model.zero_grad()
    compiled(X + 1.0)
    assert eager.diff(compiled.tape, rtol=1e-5).first.row.label == "out"
