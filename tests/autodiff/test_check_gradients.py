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
    assert "step   1e-01" in message
    assert "the operation is Wrong: its rule for argument 1 disagrees with its own values, at test_check" in message
    assert caught.value.hint == "look for a factor: in these elements the right gradient is 0.5 times as large"


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


# What kind of mistake it is -------------------------------------------------------------------------------------------


def function_with(forward: Any, backward: Any) -> Any:
    """A function whose rule is wrong in a way of its own."""

    @cp.custom_vjp
    def planted(*args: Any) -> Any:
        return forward(*args)

    planted.defvjp(lambda *args: (forward(*args), args), backward)
    return planted


SQUARE, OTHER = np.array([[1.0, 2.0, -1.0], [0.5, 3.0, 1.0], [2.0, 1.0, 4.0]]), np.array([[1.0, 0.3, 2.0]] * 3)
MISTAKES: dict[str, tuple[Any, Any, list[Any], str]] = {
    "transposed": (lambda x: cp.sum(x * SQUARE), lambda x, g: (g * SQUARE.T,), [OTHER], "a transposed operand"),
    "sign": (lambda x: cp.sin(x), lambda x, g: (-g * cp.cos(x[0]),), [SQUARE], "the sign"),
    "a use that is not counted": (
        lambda x: x * x, lambda x, g: (g * x[0],), [SQUARE], "a contribution that is not added: backward gives 1/2",
    ),
    "a mean instead of a sum": (
        lambda x, b: x + b, lambda x, g: (g, cp.mean(g, axis=0)), [np.ones((5, 2)), np.ones(2)],
        "a missing sum over a broadcast axis of length 5: backward gives 1/5",
    ),
    "a sum instead of a mean": (
        lambda x: cp.mean(x, axis=0), lambda x, g: (cp.broadcast_to(g, x[0].shape),), [np.ones((5, 2))],
        "a sum in the place of a mean over 5: backward gives 5 times",
    ),
    "nothing": (
        lambda x, y: x * y, lambda x, g: (g * x[1], 0.0 * g), [SQUARE, OTHER], "not added, or a detach(): backward",
    ),
    "part of it": (
        lambda x: x * 3.0, lambda x, g: (cp.where(x[0] > 1.0, 3.0 * g, 0.0),), [SQUARE], "backward gives 0 for these",
    ),
    "a factor": (lambda x: x * 3.0, lambda x, g: (g * 7.0,), [SQUARE], "a factor: the right gradient is 0.4286 times"),
    "no number": (lambda x: x * 3.0, lambda x, g: (g * np.nan,), [SQUARE], "NaN or infinity in the backward pass"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named(name: str) -> None:
    forward, backward, inputs, says = MISTAKES[name]
    with pytest.raises(cp.GradientError) as caught:
        cp.check_gradients(function_with(forward, backward), *inputs)
    assert says in caught.value.hint
    if name != "no number":
        assert "the operation is planted" in caught.value.message


def test_the_first_of_many_operations_is_named_with_its_line() -> None:
    planted = function_with(lambda x: x * 2.0, lambda x, g: (g,))

    def f(x: Any) -> Any:
        h = cp.tanh(x)
        y = planted(h)  # here
        return cp.sum(cp.sin(y) * x)

    with pytest.raises(cp.GradientError, match=r"planted: its rule for argument 0 (.|\n)*f: y = planted\(h\)"):
        cp.check_gradients(f, [0.3, 0.7])


# Kinks ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "inputs"),
    [
        (cp.nn.functional.relu, [[0.0, 1.0, -1.0]]),
        (cp.abs, [[0.0, 2.0]]),
        (cp.maximum, [[1.0, 2.0], [1.0, 3.0]]),
        (lambda x: cp.max(x), [[3.0, 3.0, 1.0]]),
        (lambda x: cp.clip(x, -1.0, 1.0), [[1.0, 0.0, -1.0]]),
        (cp.nn.functional.relu, [[1e-8, -1e-8]]),
    ],
)
def test_at_a_kink_any_subgradient_is_right(f: Any, inputs: list[Any]) -> None:
    cp.check_gradients(f, *inputs)


def test_at_a_kink_other_slopes_are_wrong() -> None:
    steep = function_with(cp.nn.functional.relu, lambda x, g: (cp.where(x[0] >= 0.0, 2.0 * g, 0.0 * g),))
    with pytest.raises(cp.GradientError, match="wrong in 1 of 1"):
        cp.check_gradients(steep, [0.0])


def test_curvature_is_no_kink() -> None:
    flat = function_with(lambda x: cp.sqrt(x), lambda x, g: (g * 0.45 / cp.sqrt(x[0]),))
    with pytest.raises(cp.GradientError, match="wrong in 1 of 1"):
        cp.check_gradients(flat, [0.01])
