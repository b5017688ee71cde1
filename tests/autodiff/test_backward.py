"""The backward pass: each node once, contributions summed, residuals released, errors that name the forward line."""

from __future__ import annotations

import gc
import sys
import threading
import tracemalloc
import weakref
from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop.graph import state
from clearprop.tensor import Tensor


def leaf(value: Any) -> Tensor:
    return cp.tensor(value, requires_grad=True)


def gradient(x: Any) -> Any:
    assert x.grad is not None
    return x.grad.numpy()


class Visits:
    """Counts the steps of forward and backward passes."""

    def __init__(self) -> None:
        self.recorded: list[Any] = []
        self.passed: list[Any] = []
        self.leaves: list[Any] = []

    def forward(self, node: Any, inputs: Any, output: Any) -> None:
        self.recorded.append(node)

    def backward(self, node: Any, g: Any, contributions: Any) -> None:
        self.passed.append(node)

    def arrived(self, node: Any, g: Any) -> None:
        self.leaves.append(node)


@pytest.fixture
def visits(monkeypatch: pytest.MonkeyPatch) -> Visits:
    counter = Visits()
    monkeypatch.setattr(state, "observer", counter)
    return counter


# Gradients flow -------------------------------------------------------------------------------------------------------


def test_the_first_example() -> None:
    x, y, z = leaf(-2.0), leaf(5.0), leaf(-4.0)
    ((x + y) * z).backward()
    assert (gradient(x), gradient(y), gradient(z)) == (-4.0, -4.0, 3.0)


def test_diamond() -> None:
    """micrograd's trap: the gradient of b is complete only when both its uses have been visited."""
    a = leaf(1.0)
    b = a + a
    c = b + b
    c.backward()
    assert gradient(a) == 4.0


def test_uses_at_different_depths() -> None:
    """A node that is used near the output and far from it: a depth-first order from the output would come too early."""
    a = leaf(2.0)
    b = a * a
    deep = b
    for _ in range(5):
        deep = deep * 1.5
    (deep + b).backward()
    assert gradient(a) == pytest.approx(2 * 2.0 * (1.5**5 + 1))


def test_a_tower_of_diamonds_is_linear(visits: Visits) -> None:
    """60 doublings: 2**60 paths, 60 visits."""
    a = leaf(1.0)
    b = a
    for _ in range(60):
        b = b + b
    b.backward()
    assert gradient(a) == 2.0**60
    assert len(visits.passed) == 60


def test_gradients_of_several_calls_add_up() -> None:
    x = leaf([1.0, 2.0])
    for _ in range(3):
        (x * x).sum().backward()
    np.testing.assert_array_equal(gradient(x), [6.0, 12.0])
    x.grad = None
    (x * 5.0).sum().backward()
    np.testing.assert_array_equal(gradient(x), [5.0, 5.0])


def test_upstream_gradient_of_ones_own() -> None:
    x = leaf([1.0, 2.0, 3.0])
    (x * x).backward(cp.tensor([1.0, 10.0, 100.0]))
    np.testing.assert_array_equal(gradient(x), [2.0, 40.0, 600.0])
    x.grad = None
    (x * x).backward([1, 1, 1])
    np.testing.assert_array_equal(gradient(x), [2.0, 4.0, 6.0])


def test_a_leaf_is_its_own_gradient() -> None:
    x = leaf(3.0)
    x.backward()
    assert gradient(x) == 1.0


def test_only_leaves_that_were_used_get_gradients() -> None:
    x, y = leaf(1.0), leaf(1.0)
    (x * 2.0).backward()
    assert y.grad is None


def test_gradient_follows_what_was_run() -> None:
    """Define by run: Python's if and while decide, each time anew."""

    def f(x: Any) -> Any:
        while float(x) < 10.0:
            x = x * 3.0 if float(x) > 2.0 else x + 1.0
        return x

    for start, slope in [(1.0, 9.0), (4.0, 3.0), (20.0, 1.0)]:
        x = leaf(start)
        f(x).backward()
        assert gradient(x) == slope


def test_recursion_in_the_users_program() -> None:
    def power(x: Any, n: int) -> Any:
        return x * power(x, n - 1) if n else 1.0

    x = leaf(2.0)
    power(x, 5).backward()
    assert gradient(x) == 5 * 2.0**4


def test_broadcasting_sums_over_the_repeated_axes() -> None:
    row, column, number = leaf([1.0, 2.0, 3.0]), leaf([[1.0], [2.0]]), leaf(5.0)
    (row * column + number).sum().backward()
    np.testing.assert_array_equal(gradient(row), [3.0, 3.0, 3.0])
    np.testing.assert_array_equal(gradient(column), [[6.0], [6.0]])
    assert gradient(number) == 6.0


# A second pass --------------------------------------------------------------------------------------------------------


def test_a_second_backward_is_an_error_that_says_so() -> None:
    """micrograd's other trap: it would go through again and add wrong gradients."""
    x = leaf(3.0)
    y = x * x
    y.backward()
    with pytest.raises(cp.GradientError, match="already been through this graph") as caught:
        y.backward()
    assert "retain_graph=True" in caught.value.hint
    assert "y = x * x" in caught.value.where
    assert gradient(x) == 6.0


def test_a_shared_part_that_was_released_is_an_error_too() -> None:
    x = leaf(3.0)
    shared = x * x
    (shared * 2.0).backward()
    with pytest.raises(cp.GradientError, match="already been through"):
        (shared * 3.0).backward()


def test_retain_graph() -> None:
    x = leaf(3.0)
    y = x * x
    y.backward(retain_graph=True)
    y.backward(retain_graph=True)
    y.backward()
    assert gradient(x) == 18.0


def test_create_graph_gives_gradients_that_can_be_differentiated() -> None:
    x = leaf(3.0)
    (x * x * x).backward(create_graph=True)
    first, x.grad = x.grad, None
    assert first is not None
    assert first.requires_grad
    first.backward()
    assert (first.item(), gradient(x)) == (27.0, 18.0)


def test_gradients_have_no_history_by_default() -> None:
    x = leaf(3.0)
    (x * x).backward()
    assert x.grad is not None
    assert not x.grad.requires_grad


# Steering -------------------------------------------------------------------------------------------------------------


def test_no_grad_records_nothing() -> None:
    x = leaf(3.0)
    with cp.no_grad():
        y = x * x
        with cp.enable_grad():
            z = x * x
    assert not y.requires_grad
    assert z.requires_grad
    assert (x * x).requires_grad


def test_no_grad_as_a_decorator_and_through_errors() -> None:
    @cp.no_grad()
    def f(x: Any) -> Any:
        if float(x) < 0.0:
            raise ValueError(x)
        return x * x

    x = leaf(3.0)
    assert not f(x).requires_grad
    with pytest.raises(ValueError, match="Tensor"):
        f(leaf(-1.0))
    assert (x * x).requires_grad
    assert f.__name__ == "f"


def test_each_thread_has_its_own_mode() -> None:
    x, seen = leaf(3.0), []
    with cp.no_grad():
        thread = threading.Thread(target=lambda: seen.append((x * x).requires_grad))
        thread.start()
        thread.join()
    assert seen == [True]


def test_detach_and_stop_gradient() -> None:
    x = leaf(3.0)
    (x * x.detach() + cp.stop_gradient(x) * 100.0).backward()
    assert gradient(x) == 3.0
    assert not x.detach().requires_grad


def test_retain_grad_keeps_the_gradient_of_a_value_in_between() -> None:
    x = leaf([1.0, 2.0])
    y = x * x
    y.retain_grad()
    (y * 3.0).sum().backward()
    np.testing.assert_array_equal(gradient(y), [3.0, 3.0])
    np.testing.assert_array_equal(gradient(x), [6.0, 12.0])


def test_hooks_see_and_replace_gradients() -> None:
    x, seen = leaf([1.0, 2.0]), []
    y = x * x
    y.register_hook(lambda g: seen.append(g.numpy().copy()))
    remove = y.register_hook(lambda g: g * 10.0)
    (y * 3.0).sum().backward(retain_graph=True)
    np.testing.assert_array_equal(seen[0], [3.0, 3.0])
    np.testing.assert_array_equal(gradient(x), [60.0, 120.0])
    remove()
    x.grad = None
    (y * 3.0).sum().backward()
    np.testing.assert_array_equal(gradient(x), [6.0, 12.0])


def test_hook_of_a_leaf() -> None:
    x = leaf(1.0)
    x.register_hook(lambda g: cp.clip(g, -1.0, 1.0))
    (x * 100.0).backward()
    assert gradient(x) == 1.0


def test_hooks_can_be_differentiated() -> None:
    x = leaf(2.0)
    y = x * x
    remove = y.register_hook(lambda g: g * g)
    (y * y).backward(create_graph=True)  # (2 y)² · 2 x = 8 x^5
    remove()
    first, x.grad = x.grad, None
    assert first is not None
    first.backward()
    assert (first.item(), gradient(x)) == (8 * 2.0**5, 40 * 2.0**4)


def test_hook_that_returns_another_shape() -> None:
    x = leaf([1.0, 2.0])
    y = x * x
    y.register_hook(lambda g: g.sum())
    with pytest.raises(cp.ShapeError, match=r"hook of multiply returned shape \(\); the gradient has \(2,\)"):
        y.sum().backward()


def test_gradient_can_be_set() -> None:
    x = leaf(1.0)
    x.grad = cp.tensor(5.0)
    (x * 2.0).backward()
    assert gradient(x) == 7.0


# What cannot be -------------------------------------------------------------------------------------------------------


def test_backward_of_a_vector_needs_an_upstream_gradient() -> None:
    x = leaf(np.zeros((64, 10)))
    with pytest.raises(cp.GradientError) as caught:
        (x * x).backward()
    assert str(caught.value).splitlines()[0] == "backward() needs a scalar loss; this tensor has shape (64, 10)"
    assert "loss.mean().backward()" in caught.value.hint


def test_upstream_gradient_of_another_shape() -> None:
    x = leaf([1.0, 2.0, 3.0])
    with pytest.raises(cp.GradientError, match=r"g has shape \(2,\), this tensor has shape \(3,\)"):
        (x * x).backward(cp.tensor([1.0, 2.0]))


@pytest.mark.parametrize("call", [lambda x: x.backward(), lambda x: x.retain_grad(), lambda x: x.register_hook(print)])
def test_no_gradient_flows_here(call: Any) -> None:
    with pytest.raises(cp.GradientError, match="no gradient flows"):
        call(cp.tensor(1.0) * 2.0)


@pytest.mark.parametrize("value", [1, True, [1, 2], np.ones(3, np.int32)])
def test_integers_have_no_gradients(value: Any) -> None:
    with pytest.raises(cp.DTypeError, match="only floating-point tensors can require gradients"):
        leaf(value)


def test_an_error_in_the_backward_pass_names_the_line_of_the_forward_pass() -> None:
    class Broken(cp.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2.0

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return cp.ones((2, 3)) @ cp.ones((2, 3))

    x = leaf([1.0, 2.0])
    y = Broken.apply(x)  # the line to name
    with pytest.raises(cp.GradientError, match="in the backward pass of custom: matmul") as caught:
        y.sum().backward()
    assert "y = Broken.apply(x)  # the line to name" in caught.value.where
    assert caught.value.hint == "x @ y.mT"


# Time and memory ------------------------------------------------------------------------------------------------------


def chain(x: Tensor, length: int) -> Tensor:
    for _ in range(length):
        x = x * 1.0
    return x


@pytest.mark.parametrize("length", [10, 1_000, 100_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_chains_of_any_length(length: int, visits: Visits) -> None:
    """No recursion, and each node once."""
    x = leaf(3.0)
    y = chain(x, length)
    y.backward()
    assert gradient(x) == 1.0
    assert len(visits.recorded) == len(visits.passed) == length
    assert len(visits.leaves) == 1


def test_each_node_is_visited_once_in_falling_order(visits: Visits) -> None:
    x = leaf([1.0, 2.0])
    y = x * x
    z = (y + x) * (y - x) + y
    z.sum().backward()
    numbers = [node.number for node in visits.passed]
    assert numbers == sorted(numbers, reverse=True)
    assert len(set(numbers)) == len(numbers) == len(visits.recorded)


def test_rules_of_constants_are_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gradient by data would be half of the work of a first layer."""
    calls: list[str] = []
    primitive = type(cp.primitives.matmul)
    for name in ("vjp_x", "vjp_y"):
        monkeypatch.setattr(primitive, name, lambda *args, name=name: calls.append(name))
    node = (cp.ones((4, 3)) @ leaf(np.ones((3, 2), np.float32))).node
    assert node is not None
    assert isinstance(node.residuals, dict)
    assert list(node.residuals) == ["x"]
    assert node.parents[0] is None


def test_residuals_are_released_as_the_pass_goes() -> None:
    x = leaf(np.ones(1000))
    y = cp.exp(cp.sin(x))
    graph = cp.Graph(y)
    assert graph.residual_bytes() == 2 * 8000
    y.sum().backward()
    assert graph.residual_bytes() == 0


def test_retained_residuals_stay() -> None:
    x = leaf(np.ones(1000))
    y = cp.exp(cp.sin(x))
    y.sum().backward(retain_graph=True)
    assert cp.Graph(y).residual_bytes() == 2 * 8000


def test_a_graph_goes_with_its_last_tensor() -> None:
    """By counting references alone: there are no cycles for the garbage collector to find."""
    gc.disable()
    try:
        x = leaf([1.0])
        y = cp.exp(x * 2.0)
        nodes = [weakref.ref(node) for node in cp.Graph(y).nodes if not node.is_leaf]
        y = y.detach()
        assert len(nodes) == 2
        assert all(reference() is None for reference in nodes)
    finally:
        gc.enable()


def test_memory_of_a_pass_does_not_grow_with_its_length() -> None:
    """Gradients in between are dropped as soon as they have been used, and residuals too."""
    x = leaf(np.ones(10_000))
    y = x
    for _ in range(200):
        y = cp.sin(y)
    loss = y.sum()
    del y
    tracemalloc.start()
    loss.backward()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * 80_000


def test_a_long_chain_is_taken_down_without_a_crash() -> None:
    assert sys.getrecursionlimit() < 100_000
    y = chain(leaf(1.0), 100_000)
    last = weakref.ref(y.node)
    del y
    assert last() is None
