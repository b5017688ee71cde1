"""The checker itself: it passes what is right, finds what is wrong, and says where and by how much."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import clearprop as cp


class Wrong(cp.Function):
    """A product whose gradient by y is off at one element, by a factor of two."""

    @staticmethod
    def forward(ctx: Any, x: Any, y: Any) -> Any:
        ctx.save_for_backward(x, y)
        return x * y

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        x, y = ctx.saved_tensors
        factor = cp.ones_like(x).at[1, 2].set(2.0)
        return g * y, g * x * factor


def test_right_gradients_pass() -> None:
    cp.check_gradients(lambda x, y: cp.sin(x) @ cp.exp(y), np.ones((2, 3)), np.ones((3, 2)), order=3)


def test_a_wrong_gradient_is_found_and_named() -> None:
    x, y = np.full((2, 3), 3.0), np.full((2, 3), 5.0)
    with pytest.raises(cp.GradientError) as caught:
        cp.check_gradients(Wrong.apply, x, y)
    message = caught.value.message
    assert "input 1 (shape (2, 3)) is wrong in 1 of 6 elements" in message
    assert "[1, 2]: backward gives" in message
    assert "2 times as much" in message
    assert "transposed operand" in caught.value.hint


def test_a_wrong_second_derivative_is_found_where_the_first_is_right() -> None:
    class Cube(cp.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x.detach())
            return x * x * x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (x,) = ctx.saved_tensors
            return g * 3.0 * cp.stop_gradient(x) * x

    cp.check_gradients(Cube.apply, [1.0, 2.0])
    with pytest.raises(cp.GradientError, match="input 0"):
        cp.check_gradients(Cube.apply, [1.0, 2.0], order=2)


def test_forward_mode_is_checked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    primitive = cp.primitives.matmul
    monkeypatch.setattr(type(primitive), "jvp", lambda self, node, tangents, residuals: node_zeros(node))

    def node_zeros(node: Any) -> Any:
        return cp.zeros(node.shape, dtype=node.dtype)

    with pytest.raises(cp.GradientError, match="forward mode gives 0, reverse mode") as caught:
        cp.check_gradients(lambda x: x @ x, np.eye(2) + 1.0)
    assert "jvp and vjp" in caught.value.hint


def test_float32_is_too_coarse() -> None:
    with pytest.raises(cp.DTypeError, match="returned float32, which is too coarse") as caught:
        cp.check_gradients(lambda x: x.astype(cp.float32) * 2.0, [1.0, 2.0])
    assert "float64" in caught.value.hint


def test_nothing_to_check() -> None:
    with pytest.raises(cp.DTypeError, match="none of the inputs is floating-point"):
        cp.check_gradients(lambda x: x, cp.tensor([1, 2]))


def test_integer_inputs_are_left_alone() -> None:
    cp.check_gradients(lambda x, i: x[i] * 2.0, [1.0, 2.0, 3.0], cp.tensor([0, 0, 2]))


def test_nested_outputs() -> None:
    cp.check_gradients(lambda x: {"a": x * x, "b": [cp.sin(x), (x.sum(),)], "n": x.argmax()}, [1.0, 2.0], order=2)


def test_large_and_small_inputs() -> None:
    cp.check_gradients(lambda x: x * x, [1e6, -3e5])
    cp.check_gradients(cp.sin, [1e-9, -1e-9])


def test_empty_inputs() -> None:
    cp.check_gradients(lambda x: x * x, np.zeros((0, 3)), order=2)


def test_nothing_is_left_behind() -> None:
    w = cp.Parameter(np.array([1.0, 2.0]))
    cp.check_gradients(lambda x: x * w, [3.0, 4.0], order=2)
    assert w.grad is None
