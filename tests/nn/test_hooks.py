"""Hooks before and after a module, and in the backward pass."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import nn
from clearprop.errors import GradientError

X = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)


def leaf() -> cp.Tensor:
    return cp.tensor(X, requires_grad=True)


class Product(nn.Module):
    """Two inputs, a number between them, and two outputs."""

    def forward(self, x: Any, scale: float, y: Any) -> Any:
        return x * y, {"sum": x + scale * y, "count": cp.tensor(2)}


def test_a_pre_hook_sees_and_changes_the_arguments() -> None:
    layer, seen = nn.Linear(2, 1), []
    x = cp.tensor(X)

    def double(module: nn.Module, args: tuple[Any, ...]) -> Any:
        seen.append((module, args))
        return args[0] * 2.0

    expected = layer(X * 2.0).numpy()
    with layer.register_forward_pre_hook(double):
        np.testing.assert_array_equal(layer(x).numpy(), expected)
        with layer.register_forward_pre_hook(lambda module, args: (args[0] * 0.5,)):
            np.testing.assert_allclose(layer(x).numpy(), layer.forward(x).numpy())
    assert seen[0][0] is layer
    assert seen[0][1][0] is x
    layer(x)
    assert len(seen) == 2


def test_the_same_hook_registered_twice_counts_twice() -> None:
    layer, seen = nn.Identity(), []

    def hook(*args: Any) -> None:
        seen.append(args)

    first, second = layer.register_forward_hook(hook), layer.register_forward_hook(hook)
    layer(X)
    first.remove()
    first.remove()
    layer(X)
    second.remove()
    layer(X)
    assert len(seen) == 3


def test_a_backward_hook_sees_the_gradients_of_inputs_and_outputs() -> None:
    module, x, y, seen = Product(), leaf(), leaf(), []
    with module.register_full_backward_hook(lambda *args: seen.append(args)):
        product, others = module(x, 3.0, y)
    (product.sum() + 10.0 * others["sum"].sum()).backward()
    (((found, grad_input, grad_output)),) = seen
    assert found is module
    assert [g is not None for g in grad_output] == [True, True, False]
    np.testing.assert_array_equal(grad_output[0].numpy(), np.ones((2, 2)))
    np.testing.assert_array_equal(grad_output[1].numpy(), np.full((2, 2), 10.0))
    np.testing.assert_array_equal(grad_input[0].numpy(), X + 10.0)
    assert grad_input[1] is None
    np.testing.assert_array_equal(grad_input[2].numpy(), X + 30.0)
    np.testing.assert_array_equal(x.grad.numpy(), X + 10.0)  # type: ignore[union-attr]


def test_an_output_that_is_not_used_has_a_gradient_of_zeros() -> None:
    module, x, seen = Product(), leaf(), []
    with module.register_full_backward_hook(lambda _, grad_input, grad_output: seen.append(grad_output)):
        product, _ = module(x, 3.0, cp.tensor(X))
    product.sum().backward()
    assert not seen[0][1].numpy().any()


def test_a_backward_hook_changes_what_goes_on_and_not_the_parameters() -> None:
    layer, x = nn.Linear(2, 2), leaf()
    layer(x).sum().backward()
    weight, before = layer.weight.grad.numpy(), x.grad.numpy()  # type: ignore[union-attr]
    layer.zero_grad()
    x.grad = None
    handles = [
        layer.register_full_backward_hook(lambda module, grad_input, grad_output: (grad_input[0] * 2.0,)),
        layer.register_full_backward_hook(lambda module, grad_input, grad_output: grad_input[0] + 1.0),
    ]
    layer(x).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), before * 2.0 + 1.0)  # type: ignore[union-attr]
    np.testing.assert_array_equal(layer.weight.grad.numpy(), weight)  # type: ignore[union-attr]
    for handle in handles:
        handle.remove()
    x.grad = None
    layer(x).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), before)  # type: ignore[union-attr]


def test_data_gets_no_gradient_and_the_hook_runs_all_the_same() -> None:
    layer, seen = nn.Linear(2, 1, bias=False), []
    with layer.register_full_backward_hook(lambda *args: seen.append(args)):
        layer(cp.tensor(X)).sum().backward()
        assert [g is None for g in seen[0][1]] == [True]
        assert seen[0][2][0].shape == (2, 1)
        with cp.no_grad():
            layer(cp.tensor(X))
    assert len(seen) == 1
    with (
        layer.register_full_backward_hook(lambda *args: (cp.zeros((2, 2)),)),
        pytest.raises(GradientError, match="of 1 arguments 0 have one"),
    ):
        layer(cp.tensor(X)).sum().backward()


def test_what_a_backward_hook_may_not_return() -> None:
    layer = nn.Linear(2, 1)
    with (
        layer.register_full_backward_hook(lambda *args: (None, None)),
        pytest.raises(GradientError, match="returned 2 gradients; of 1 arguments 1 have one"),
    ):
        layer(leaf()).sum().backward()
    with layer.register_full_backward_hook(lambda *args: cp.zeros(3)), pytest.raises(GradientError, match=r"\(3,\)"):
        layer(leaf()).sum().backward()


def test_gradients_of_gradients_go_through_backward_hooks() -> None:
    layer = nn.Tanh()
    plain = cp.hessian(lambda x: layer(x).sum())(cp.tensor(X[0])).numpy()
    with layer.register_full_backward_hook(lambda module, grad_input, grad_output: None):
        np.testing.assert_allclose(cp.hessian(lambda x: layer(x).sum())(cp.tensor(X[0])).numpy(), plain, rtol=1e-6)


def test_per_example_gradients_go_through_backward_hooks() -> None:
    layer, shapes = nn.Tanh(), []

    def note(module: nn.Module, grad_input: Any, grad_output: Any) -> None:
        shapes.append(grad_output[0].shape)

    with layer.register_full_backward_hook(note):
        cp.vmap(cp.grad(lambda x: layer(x).sum()))(cp.tensor(X))
    assert shapes == [(2,)]  # of one example


def test_a_copy_has_hooks_of_its_own() -> None:
    layer, seen = nn.Identity(), []
    layer.register_forward_hook(lambda *args: seen.append(args[0]))
    twin = copy.deepcopy(layer)
    twin(X)
    assert seen == [twin]
