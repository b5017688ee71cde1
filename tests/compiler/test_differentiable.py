"""Compiled functions of whose results gradients are asked: one node, the same gradients, to any order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import functional, nn, optim

RANDOM = np.random.default_rng(0)


def array(*shape: int) -> Any:
    return cp.asarray(RANDOM.standard_normal(shape))


def network() -> nn.Module:
    cp.random.seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Dropout(0.4), nn.LayerNorm(7), nn.Linear(7, 3)).to(cp.float64)


FUNCTIONS = {
    "elementwise": lambda x: cp.sum(cp.sin(x) ** 3 * cp.exp(-x)),
    "views": lambda x: cp.sum(x.mT @ x) + cp.sum(cp.flip(x, axis=0)[::2] ** 2) + cp.max(x),
    "reductions": lambda x: cp.logsumexp(x) + cp.sum(functional.softmax(x, dim=1) ** 2) + cp.std(x),
    "a loop": lambda x: cp.sum(cp.scan(lambda c, row: (cp.tanh(c * row), c), cp.ones(3, dtype=x.dtype), x)[1]),
    "windows": lambda x: cp.sum(cp.tanh(functional.conv2d(x[None, None], x[None, None, :2, :2]))),
    "constants": lambda x: cp.sum(x * 2.0) + 1.0,
    "cut": lambda x: cp.sum(x * cp.stop_gradient(x)) + cp.sum(cp.square(x.detach())) + cp.sum(x),
}


@pytest.mark.parametrize("executor", ["native", "reference"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_to_any_order(name: str, executor: str) -> None:
    f, compiled = FUNCTIONS[name], cp.compile(FUNCTIONS[name], executor=executor)
    x = array(4, 3)
    for _ in range(3):
        np.testing.assert_allclose(compiled(x).numpy(), f(x).numpy(), rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(cp.grad(compiled)(x).numpy(), cp.grad(f)(x).numpy(), rtol=1e-10, atol=1e-12)
        f = lambda x, f=f: cp.sum(cp.sin(cp.grad(f)(x)))  # noqa: E731
        compiled = lambda x, f=compiled: cp.sum(cp.sin(cp.grad(f)(x)))  # noqa: E731


@pytest.mark.parametrize("name", FUNCTIONS)
def test_transformations_of_a_compiled_function(name: str) -> None:
    f, compiled, x, dx = FUNCTIONS[name], cp.compile(FUNCTIONS[name]), array(4, 3), array(4, 3)
    for one, other in zip(cp.jvp(compiled, (x,), (dx,)), cp.jvp(f, (x,), (dx,)), strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(cp.hvp(compiled, [x], [dx]).numpy(), cp.hvp(f, [x], [dx]).numpy(), rtol=1e-9, atol=1e-10)
    xs = array(2, 4, 3)
    np.testing.assert_allclose(
        cp.vmap(cp.grad(compiled))(xs).numpy(), cp.vmap(cp.grad(f))(xs).numpy(), rtol=1e-10, atol=1e-12
    )


def test_a_compiled_network_is_trained_like_any_other() -> None:
    plain, other = network(), network()
    compiled = cp.compile(other)
    x, y = array(8, 5), array(8, 3)
    losses = []
    for model, parameters in ((plain, plain.parameters()), (compiled, compiled.parameters())):
        cp.random.seed(3)
        optimizer = optim.Adam(parameters, lr=0.01)
        for _ in range(5):
            optimizer.zero_grad()
            loss = functional.mse_loss(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    np.testing.assert_allclose(losses[:5], losses[5:], rtol=1e-10)
    assert compiled.traces == 1
    compiled.eval()
    np.testing.assert_allclose(compiled(x).numpy(), plain.eval()(x).numpy(), rtol=1e-8)
    assert compiled.state_dict().keys() == plain.state_dict().keys()


def test_it_is_one_node_and_python_is_not_asked_again() -> None:
    calls = []

    @cp.compile
    def f(x: Any) -> Any:
        calls.append(1)
        return cp.sum(cp.tanh(x) * x)

    x = cp.tensor([1.0, 2.0], requires_grad=True)
    f(x).backward()
    traced = len(calls)
    for _ in range(3):
        loss = f(x)
        assert [node.name for node in cp.Graph(loss).nodes if not node.is_leaf] == ["custom"]
        loss.backward()
    assert len(calls) == traced


def test_results_to_which_no_gradient_flows() -> None:
    @cp.compile
    def f(x: Any, i: Any) -> Any:
        return {"loss": cp.sum(x[i]), "off": cp.sum(x.detach()), "count": cp.argmax(x), "name": "f"}

    x = cp.tensor([1.0, 3.0, 2.0], requires_grad=True)
    result = f(x, cp.asarray([1, 1]))
    assert (result["off"].requires_grad, result["count"].item(), result["name"]) == (False, 1, "f")
    result["loss"].backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 2.0, 0.0]


def test_a_graph_keeps_the_weights_that_it_was_made_with() -> None:
    """A compiled step writes new weights over the old ones, but not where a graph still needs these."""
    w = cp.Parameter([2.0, 3.0])
    forward = cp.compile(lambda x: cp.sum(w * w * x))

    @cp.compile
    def halve() -> None:
        w.assign(w * 0.5)

    for _ in range(3):
        halve()
    x = cp.ones(2)
    loss = forward(x)
    for _ in range(3):
        halve()
    loss.backward()
    assert w.grad is not None
    np.testing.assert_allclose(w.grad.numpy(), [2 * 2 / 8, 2 * 3 / 8])


def test_residuals_of_two_calls_do_not_mix() -> None:
    f = cp.compile(lambda x: cp.sum(cp.exp(x) * cp.sin(x)))
    xs = [cp.tensor(RANDOM.standard_normal(3000), requires_grad=True) for _ in range(3)]
    losses = [f(x) for x in xs]
    for x, loss in zip(xs, losses, strict=True):
        loss.backward()
        assert x.grad is not None
        np.testing.assert_allclose(x.grad.numpy(), np.exp(x.numpy()) * (np.sin(x.numpy()) + np.cos(x.numpy())))
