"""checkpoint: the same values, gradients and random numbers, with less kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop.tensor import Tensor

RANDOM = np.random.default_rng(0)
W = RANDOM.standard_normal((3, 3))
X = cp.tensor(RANDOM.standard_normal(3))


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=1e-12, atol=1e-13)


def gradient(cell: Any) -> Any:
    assert cell.grad is not None
    return cell.grad.numpy()


def layers(w: Any, x: Any) -> Any:
    return cp.sin(w @ cp.tanh(w @ x))


def dropout(x: Any) -> Any:
    return cp.where(cp.random.uniform(x.shape) < 0.5, x * 2.0, 0.0)


def test_values_and_gradients_are_the_same() -> None:
    w = cp.tensor(W)
    close(cp.checkpoint(layers)(w, X), layers(w, X))
    for argnums in (0, 1):
        found = cp.grad(lambda w, x: cp.checkpoint(layers)(w, x).sum(), argnums)(w, X)
        close(found, cp.grad(lambda w, x: layers(w, x).sum(), argnums)(w, X))


def test_less_is_kept_and_one_node_stands_for_all() -> None:
    x = cp.tensor(np.ones(1000), requires_grad=True)

    def deep(x: Any) -> Any:
        for _ in range(10):
            x = cp.sin(x)
        return x

    plain, checkpointed = cp.Graph(deep(x)), cp.Graph(cp.checkpoint(deep)(x))
    assert plain.residual_bytes() == 10 * 8000
    assert checkpointed.residual_bytes() == 8000
    assert [node.name for node in checkpointed.nodes] == ["leaf", "custom"]


def test_it_is_computed_again_once_in_the_backward_pass() -> None:
    calls = []
    x = cp.tensor([1.0], requires_grad=True)
    y = cp.checkpoint(lambda x: calls.append(1) or x * x)(x)
    assert len(calls) == 1
    y.sum().backward()
    assert len(calls) == 2


def test_closures_over_parameters_and_values() -> None:
    w = cp.Parameter(W)
    scale = cp.tensor(np.array(2.0), requires_grad=True)
    between = scale * 3.0
    cp.checkpoint(lambda x: layers(w, x) * between)(X).sum().backward()
    found = gradient(w), gradient(scale)
    w.grad = scale.grad = None
    (layers(w, X) * (scale * 3.0)).sum().backward()
    close(found[0], gradient(w))
    close(found[1], gradient(scale))


def test_the_same_tensor_as_argument_and_closure() -> None:
    close(cp.grad(lambda x: cp.checkpoint(lambda y: x * y)(x).sum())(X), 2.0 * X.numpy())
    close(cp.grad(lambda x: cp.checkpoint(lambda a, b: a * b)(x, x).sum())(X), 2.0 * X.numpy())


def test_keyword_arguments() -> None:
    w = cp.Parameter(np.array([2.0]))
    cp.checkpoint(lambda x, *, w: (x * w).sum())(cp.tensor(np.array([3.0])), w=w).backward()
    assert gradient(w).tolist() == [3.0]


def test_a_parameter_that_is_assigned_in_between() -> None:
    """The second run sees what the first one saw."""
    w, x = cp.Parameter(np.array([2.0])), cp.tensor(np.array([3.0]), requires_grad=True)
    y = cp.checkpoint(lambda x: x * x * w)(x).sum()
    w.assign([100.0])
    y.backward()
    assert (gradient(x).tolist(), gradient(w).tolist(), w.numpy().tolist()) == ([12.0], [9.0], [100.0])


def test_what_it_assigns_is_assigned_once() -> None:
    mean = cp.Buffer(np.array(0.0))

    def normalized(x: Any) -> Any:
        mean.assign(mean.value * 0.9 + x.mean().detach() * 0.1)
        return x - mean

    x = cp.tensor(np.array([10.0, 20.0]), requires_grad=True)
    y = cp.checkpoint(normalized)(x)
    assert mean.item() == 1.5
    y.sum().backward()
    assert mean.item() == 1.5


@pytest.mark.parametrize("transform", [lambda f: f, cp.checkpoint], ids=["once", "nested"])
def test_dropout_drops_the_same(transform: Callable[..., Any]) -> None:
    def run(block: Any) -> tuple[Any, Any, int]:
        cp.random.seed(3)
        x = cp.tensor(np.ones(100), requires_grad=True)
        y = dropout(block(x) + 1.0)
        y.sum().backward()
        return y.numpy(), gradient(x), cp.random.default_generator.counter.item()

    expected = run(lambda x: dropout(dropout(x * x)))
    found = run(cp.checkpoint(lambda x: dropout(transform(dropout)(x * x))))
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])
    assert found[2] == expected[2]


def test_higher_orders() -> None:
    def scalar(x: Any) -> Any:
        return (x**3.0).sum()

    close(cp.hessian(cp.checkpoint(scalar))(X), np.diag(6.0 * X.numpy()))
    close(cp.jacobian(cp.grad(cp.checkpoint(scalar)), mode="reverse")(X), np.diag(6.0 * X.numpy()))
    cp.check_gradients(cp.checkpoint(lambda x: cp.sin(x) * x), X, order=3)
    x = cp.tensor(X.numpy(), requires_grad=True)
    cp.checkpoint(scalar)(x).backward(create_graph=True)
    first, x.grad = x.grad, None
    assert first is not None
    first.sum().backward()
    close(gradient(x), 6.0 * X.numpy())


def test_gradient_penalty() -> None:
    w = cp.Parameter(np.array([2.0, 3.0]))
    g = cp.grad(cp.checkpoint(lambda x: (w * x * x).sum()))(cp.tensor(np.array([5.0, 7.0])))
    (g * g).sum().backward()
    close(gradient(w), 8 * w.numpy() * np.array([25.0, 49.0]))


def test_several_outputs() -> None:
    def f(x: Any) -> Any:
        return {"double": x * 2.0, "rest": (x * x, x.argmax())}

    def loss(block: Any) -> Any:
        def scalar(x: Any) -> Any:
            out = block(x)
            return (out["double"] * out["rest"][0]).sum()

        return scalar

    assert cp.checkpoint(f)(X)["rest"][1].item() == X.numpy().argmax()
    close(cp.grad(loss(cp.checkpoint(f)))(X), 6.0 * X.numpy() ** 2)
    close(cp.hessian(loss(cp.checkpoint(f)))(X), np.diag(12.0 * X.numpy()))


def test_inputs_that_are_no_floating_point_tensors() -> None:
    index = cp.tensor([0, 0, 2])
    close(cp.grad(lambda x: cp.checkpoint(lambda x, i: x[i].sum())(x, index))(X), [2.0, 0.0, 1.0])

    def f(x: Any, axis: int, mode: str, factor: float, nothing: None) -> Tensor:
        assert (type(axis), mode, type(factor), nothing) == (int, "mean", float, None)
        return x.mean(axis) * factor

    half = cp.tensor(np.ones((2, 2)), dtype=cp.float16, requires_grad=True)
    assert cp.checkpoint(f)(half, 1, "mean", 2.0, None).dtype is cp.float16


def test_batches() -> None:
    w, xs = cp.tensor(W), cp.tensor(RANDOM.standard_normal((4, 3)))

    def scalar(block: Any) -> Any:
        return lambda w, x: block(w, x).sum()

    plain, checkpointed = scalar(layers), scalar(cp.checkpoint(layers))
    closure = scalar(lambda w, x: cp.checkpoint(lambda x: layers(w, x))(x))
    batch_in_closure = scalar(lambda w, x: cp.checkpoint(lambda w: layers(w, x))(w))
    for block in (checkpointed, closure, batch_in_closure):
        for argnums in (0, 1):
            expected = cp.vmap(cp.grad(plain, argnums), in_axes=(None, 0))(w, xs)
            close(cp.vmap(cp.grad(block, argnums), in_axes=(None, 0))(w, xs), expected)

        def total(w: Any, block: Any = block) -> Any:
            return cp.vmap(block, in_axes=(None, 0))(w, xs).sum()

        close(cp.grad(total)(w), cp.vmap(cp.grad(plain), in_axes=(None, 0))(w, xs).numpy().sum(0))
        close(cp.hessian(lambda x, b=block: b(w, x))(X), cp.hessian(lambda x: plain(w, x))(X))
        close(cp.hessian(lambda w, b=block: b(w, X))(w), cp.hessian(lambda w: plain(w, X))(w))
    cp.random.seed(1)
    found = cp.vmap(cp.grad(lambda x: cp.checkpoint(dropout)(x * x).sum()))(xs)
    cp.random.seed(1)
    close(found, cp.vmap(cp.grad(lambda x: dropout(x * x).sum()))(xs))


def test_without_gradients_it_is_the_function_itself() -> None:
    with cp.no_grad():
        assert not cp.checkpoint(lambda x: x * x)(cp.tensor(1.0, requires_grad=True)).requires_grad
    assert not cp.checkpoint(lambda x: x * x)(X).requires_grad


def test_it_keeps_the_name_of_its_function() -> None:
    assert cp.checkpoint(layers).__name__ == "layers"
