"""Chosen rows of compiled runs are those of eager ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import functional, nn, optim

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((8, 5)).astype(np.float32)
Y = RANDOM.integers(0, 3, 8)


def network() -> Any:
    cp.random.seed(0)
    return nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 3))


def training(model: Any) -> Any:
    optimizer = optim.Adam(model.parameters(), lr=0.01)

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        out = model(x)
        scaled = out * 2.0
        loss = functional.cross_entropy(scaled, y)
        loss.backward()
        optimizer.step()
        return loss

    return step


@pytest.mark.parametrize("executor", ["native", "reference"])
def test_values_and_gradients_are_those_of_eager(executor: str) -> None:
    eager, compiled = network(), network()
    step, watch = training(eager), ["scaled", "loss", "2", compiled[0].weight, "4.bias"]
    fast = cp.compile(training(compiled), executor=executor, watch=watch)
    for _ in range(3):
        with cp.record() as tape:
            step(cp.asarray(X), cp.asarray(Y))
        assert fast(X, Y).item() == pytest.approx(tape["loss"].value.item(), rel=1e-5)
        for name in ("scaled", "loss", "0.weight", "4.bias"):
            one, other = fast.tape[name], tape[name]
            np.testing.assert_allclose(one.gradient, other.gradient, rtol=1e-4, atol=1e-6)
            if not one.is_leaf:
                np.testing.assert_allclose(one.value, other.value, rtol=1e-4, atol=1e-6)
                assert (one.primitive, one.where) == (other.primitive, other.where)
        inside, expected_inside = fast.tape.find(module="2"), tape.find(module="2")
        assert [row.primitive for row in inside] == [row.primitive for row in expected_inside]
        for row, other in zip(inside, expected_inside, strict=True):
            np.testing.assert_allclose(row.value, other.value, rtol=1e-4, atol=1e-6)
            np.testing.assert_allclose(row.gradient, other.gradient, rtol=1e-4, atol=1e-6)
    for one, other in zip(compiled.parameters(), eager.parameters(), strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-4, atol=1e-5)


def test_edges_between_watched_rows_are_complete() -> None:
    def f(x: Any) -> None:
        h = w * x
        s = h * h
        cp.sum(s).backward()

    w = cp.Parameter([1.0, 2.0], name="w")
    watched = cp.compile(f, watch=["h", "s", w])
    watched(cp.tensor([3.0, 5.0]))
    edges = watched.tape["s"].edges
    assert [edge.input.label for edge in edges] == ["h", "h"]
    assert edges[0].local_derivative.tolist() == [3.0, 10.0]  # d(h * h)/dh = h, for each of the two
    assert edges[0].contribution is not None
    assert watched.tape["h"].gradient.tolist() == [6.0, 20.0]
    assert watched.tape["w"].gradient.tolist() == [18.0, 100.0]
    text = str(watched.tape)
    assert "s → h" in text
    assert "w      given" in text


def test_statistics_stand_where_values_would() -> None:
    model = network()
    watch = {"1": lambda h: cp.mean(cp.astype(h > 0, "float32")), model[0].weight: lambda g: cp.max(cp.abs(g))}
    fast = cp.compile(training(model), watch=watch)
    with cp.record() as tape:
        training(network())(cp.asarray(X), cp.asarray(Y))
    fast(X, Y)
    (relu,) = fast.tape.find(module="1")
    (expected,) = tape.find(module="1")
    assert relu.value == pytest.approx((expected.value > 0).mean())
    assert fast.tape["0.weight"].gradient == pytest.approx(abs(tape["0.weight"].gradient).max(), rel=1e-5)


def test_watching_changes_no_bit_of_the_training() -> None:
    one, other = network(), network()
    plain, watched = cp.compile(training(one)), cp.compile(training(other), watch=["out", "2"])
    for _ in range(4):
        assert plain(X, Y).item() == watched(X, Y).item()
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_other_shapes_and_keywords() -> None:
    fast = cp.compile(training(network()), watch=["out"])
    for n in (8, 3, 8, 1):
        fast(X[:n], y=cp.asarray(Y[:n]))
        assert fast.tape["out"].value.shape == (n, 3)


def test_a_network_whose_gradient_is_asked() -> None:
    """What is watched lies before the result: the backward pass is another program."""
    model, plain = network(), network()
    fast = cp.compile(lambda x: model(x), watch=["1"])
    loss = cp.sum(fast(cp.asarray(X)) ** 2)
    loss.backward()
    cp.sum(plain(cp.asarray(X)) ** 2).backward()
    np.testing.assert_allclose(model[0].weight.grad.numpy(), plain[0].weight.grad.numpy(), rtol=1e-4, atol=1e-5)
    (relu,) = fast.tape.find(module="1")
    np.testing.assert_allclose(relu.value, plain[1](plain[0](cp.asarray(X))).numpy(), rtol=1e-5, atol=1e-6)


def test_a_function_that_runs_operation_by_operation() -> None:
    """With a rule of the user's own, and a gradient asked of the result: no program, the same rows."""

    class Double(cp.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2.0

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 2.0

    def f(x: Any) -> Any:
        h = Double.apply(w * x)
        return cp.sum(h)

    w = cp.Parameter([1.0, 2.0], name="w")
    fast = cp.compile(f, watch=["h"])
    fast(cp.tensor([3.0, 4.0])).backward()
    assert fast.tape["h"].value.tolist() == [6.0, 16.0]
    assert w.grad.tolist() == [6.0, 8.0]


def test_as_part_of_something_larger_nothing_is_watched() -> None:
    inner = cp.compile(lambda x: cp.sum(w * x), watch=["w"])
    w = cp.Parameter([1.0, 2.0], name="w")
    outer = cp.compile(lambda x: inner(x) * 3.0)
    assert outer(cp.ones(2)).item() == 9.0
    assert cp.vmap(inner)(cp.ones((2, 2))).tolist() == [3.0, 3.0]
    with pytest.raises(cp.UsageError, match="has not been called"):
        _ = inner.tape


@pytest.mark.parametrize(
    ("watch", "says"),
    [
        (["outt"], r"watch has 'outt'; nothing of that name(.|\n)*Try: watch=\['out'\]"),
        ([cp.Parameter(1.0, name="other")], "watch has other; nothing of that name"),
        ([], "watch is empty"),
        ([3], "3, neither a name nor a parameter"),
        (7, "7, neither a name nor a parameter"),
        ({"out": 3}, "a statistic is not a function"),
    ],
)
def test_what_cannot_be_watched(watch: Any, says: str) -> None:
    model = network()
    before = [p.numpy().copy() for p in model.parameters()]
    with pytest.raises(cp.UsageError, match=says):
        cp.compile(training(model), watch=watch)(X, Y)
    for p, was in zip(model.parameters(), before, strict=True):
        np.testing.assert_array_equal(p.numpy(), was)


def test_nothing_is_watched() -> None:
    with pytest.raises(cp.UsageError, match="nothing is watched"):
        _ = cp.compile(lambda x: x).tape


def test_while_somebody_records_everything_is_seen() -> None:
    """Compiled functions then run operation by operation, be they compiled already or not, with the same results."""
    model = network()
    fast = cp.compile(training(model))
    with cp.record() as first:
        fast(X, Y)
    fast(X, Y)
    fast(cp.asarray(X), cp.asarray(Y))
    with cp.record() as later:
        fast(cp.asarray(X), cp.asarray(Y))
    assert len(first) == len(later) > 20
    assert first["loss"].value > later["loss"].value
    expected = network()
    step = training(expected)
    for _ in range(4):
        step(cp.asarray(X), cp.asarray(Y))
    for one, other in zip(model.parameters(), expected.parameters(), strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-4, atol=1e-5)
