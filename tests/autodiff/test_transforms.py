"""grad, vjp, jvp, jacobian, hessian, hvp: alone, inside one another, on trees, with closures."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import clearprop as cp
from clearprop.tensor import Tensor

F = Callable[..., Any]


def f64(value: Any) -> Tensor:
    return cp.tensor(value, dtype=cp.float64)


def close(found: Any, expected: Any, rtol: float = 1e-12) -> None:
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=rtol, atol=1e-13)


RANDOM = np.random.default_rng(0)
X = f64(RANDOM.standard_normal(4))
V = f64(RANDOM.standard_normal(4))
A = f64(RANDOM.standard_normal((3, 4)))


def vector(x: Any) -> Any:
    """R⁴ -> R³."""
    return cp.tanh(A @ x) * (x * x).sum()


def scalar(x: Any) -> Any:
    return cp.sin(vector(x)).sum()


# One at a time --------------------------------------------------------------------------------------------------------


def test_grad_of_a_parabola() -> None:
    assert cp.grad(lambda x: x * x)(f64(3.0)).item() == 6.0


def test_value_and_grad() -> None:
    value, gradient = cp.value_and_grad(scalar)(X)
    assert value.item() == scalar(X).item()
    close(gradient, cp.grad(scalar)(X))


def test_grad_takes_arrays_numbers_and_parameters() -> None:
    for x in (3.0, np.float64(3.0), np.array(3.0), cp.Parameter(3.0)):
        assert cp.grad(lambda x: x * x)(x).item() == 6.0


def test_keyword_arguments_are_passed_on() -> None:
    assert cp.grad(lambda x, power=1: x**power)(f64(2.0), power=3).item() == 12.0


@pytest.mark.parametrize("argnums", [0, 1, -1, (0, 1), (1, 0), [1]])
def test_argnums(argnums: Any) -> None:
    x, y = f64(2.0), f64(5.0)
    by = {0: 5.0, 1: 2.0 + 2 * 5.0, -1: 2.0 + 2 * 5.0}
    found = cp.grad(lambda x, y: x * y + y * y, argnums=argnums)(x, y)
    if isinstance(argnums, int):
        assert found.item() == by[argnums]
    else:
        assert isinstance(found, tuple)
        assert [g.item() for g in found] == [by[number] for number in argnums]


def test_has_aux() -> None:
    def f(x: Any) -> Any:
        y = x * x
        return y.sum(), {"y": y, "name": "squares", "count": 3}

    gradient, aux = cp.grad(f, has_aux=True)(f64([1.0, 2.0]))
    close(gradient, [2.0, 4.0])
    close(aux["y"], [1.0, 4.0])
    assert (aux["name"], aux["count"]) == ("squares", 3)
    assert not aux["y"].requires_grad
    (value, _), again = cp.value_and_grad(f, has_aux=True)(f64([1.0, 2.0]))
    assert value.item() == 5.0
    close(again, gradient)


def test_vjp_pulls_back_as_often_as_wanted() -> None:
    y, pullback = cp.vjp(vector, X)
    close(y, vector(X))
    jacobian = cp.jacobian(vector)(X).numpy()
    for u in np.eye(3):
        (pulled,) = pullback(f64(u))
        close(pulled, u @ jacobian)


def test_vjp_of_several_arguments_and_outputs() -> None:
    y, pullback = cp.vjp(lambda a, b: {"product": a * b, "sum": a + b}, f64(2.0), f64(5.0))
    assert y["product"].item() == 10.0
    by_a, by_b = pullback({"product": f64(1.0), "sum": f64(100.0)})
    assert (by_a.item(), by_b.item()) == (105.0, 102.0)


def test_jvp() -> None:
    y, dy = cp.jvp(vector, (X,), (V,))
    close(y, vector(X))
    close(dy, cp.jacobian(vector)(X).numpy() @ V.numpy())


def test_jvp_of_trees() -> None:
    y, dy = cp.jvp(lambda d: (d["a"] * d["b"], [d["a"]]), ({"a": f64(2.0), "b": f64(5.0)},), ({"a": 1.0, "b": 10.0},))
    assert (y[0].item(), dy[0].item(), dy[1][0].item()) == (10.0, 25.0, 1.0)


def test_a_function_that_ignores_its_input() -> None:
    close(cp.grad(lambda x: f64(3.0))(X), np.zeros(4))
    close(cp.jacobian(lambda x: f64([1.0, 2.0]))(X), np.zeros((2, 4)))
    close(cp.jvp(lambda x: f64([1.0, 2.0]), (X,), (V,))[1], np.zeros(2))
    assert cp.grad(lambda x: 3.0)(f64(1.0)).item() == 0.0


def test_the_identity() -> None:
    assert cp.grad(lambda x: x)(f64(3.0)).item() == 1.0
    close(cp.jacobian(lambda x: x)(X), np.eye(4))


def test_nothing_touches_grad() -> None:
    x, w = cp.tensor([1.0, 2.0], requires_grad=True), cp.Parameter([3.0, 4.0])
    cp.grad(lambda v: (v * x * w).sum())(x)
    cp.jacobian(lambda v: v * x * w)(x)
    cp.hvp(lambda v: (v * v * w).sum(), (x,), (x,))
    assert x.grad is None
    assert w.grad is None


def test_no_grad_around_a_transformation() -> None:
    with cp.no_grad():
        assert cp.grad(lambda x: x * x)(f64(3.0)).item() == 6.0


# Jacobians and Hessians -----------------------------------------------------------------------------------------------


def test_jacobian_of_a_linear_map_in_both_layouts() -> None:
    """Numerator layout: dy = J dx, so J is A. Denominator layout: its transpose."""
    close(cp.jacobian(lambda x: A @ x)(X), A)
    close(cp.jacobian(lambda x: A @ x, layout="denominator")(X), A.numpy().T)


@pytest.mark.parametrize("mode", ["forward", "reverse", "auto"])
def test_modes_agree(mode: Any) -> None:
    exact = np.stack([cp.grad(lambda x, i=i: vector(x)[i])(X).numpy() for i in range(3)])
    close(cp.jacobian(vector, mode=mode)(X), exact)
    close(cp.jacobian(vector, mode=mode, layout="denominator")(X), exact.T)


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_jacobian_shapes(mode: Any) -> None:
    def f(x: Any, y: Any) -> Any:
        return {"z": cp.sin(x) @ y, "s": (x * x).sum()}

    x, y = f64(RANDOM.standard_normal((2, 3))), f64(RANDOM.standard_normal((3, 5)))
    by_x, by_y = cp.jacobian(f, argnums=(0, 1), mode=mode)(x, y)
    assert {key: block.shape for key, block in by_x.items()} == {"z": (2, 5, 2, 3), "s": (2, 3)}
    assert {key: block.shape for key, block in by_y.items()} == {"z": (2, 5, 3, 5), "s": (3, 5)}
    transposed = cp.jacobian(f, mode=mode, layout="denominator")(x, y)
    assert {key: block.shape for key, block in transposed.items()} == {"z": (2, 3, 2, 5), "s": (2, 3)}
    close(transposed["z"], by_x["z"].numpy().transpose(2, 3, 0, 1))
    close(by_y["s"], np.zeros((3, 5)))


@pytest.mark.parametrize("shape", [(0,), (2, 0), ()])
def test_jacobian_of_empty_and_0d(shape: tuple[int, ...]) -> None:
    x = f64(np.zeros(shape))
    assert cp.jacobian(lambda x: x * x)(x).shape == shape + shape
    assert cp.jacobian(lambda x: x * x, mode="reverse")(x).shape == shape + shape


def test_jacobian_by_a_tree() -> None:
    tree = {"w": f64([1.0, 2.0]), "b": f64(3.0)}
    found = cp.jacobian(lambda p: p["w"] * p["b"])(tree)
    close(found["w"], np.eye(2) * 3.0)
    close(found["b"], [1.0, 2.0])


def test_hessian_is_symmetric_and_right() -> None:
    hessian = cp.hessian(scalar)(X).numpy()
    close(hessian, hessian.T)
    cp.check_gradients(scalar, X, order=2)
    close(hessian @ V.numpy(), cp.hvp(scalar, (X,), (V,)))


def test_hessian_by_a_tree() -> None:
    found = cp.hessian(lambda p: p["w"] * p["w"] * p["b"])({"w": f64(2.0), "b": f64(5.0)})
    assert {(i, j): found[i][j].item() for i in found for j in found[i]} == {
        ("w", "w"): 10.0, ("w", "b"): 4.0, ("b", "w"): 4.0, ("b", "b"): 0.0
    }  # fmt: skip


def test_hvp_of_several_arguments() -> None:
    by_x, by_y = cp.hvp(lambda x, y: (x * x * y).sum(), (f64([2.0]), f64([5.0])), (f64([1.0]), f64([0.0])))
    assert (by_x.item(), by_y.item()) == (10.0, 4.0)


@pytest.mark.parametrize(("mode", "passes"), [("forward", "push"), ("reverse", "pull")])
def test_a_jacobian_takes_one_pass_for_all_directions(mode: Any, passes: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All basis vectors go through the graph at once, as a batch: the function itself runs once."""
    calls = 0

    def f(x: Any) -> Any:
        nonlocal calls
        calls += 1
        return vector(x)

    cp.jacobian(f, mode=mode)(X)
    assert calls == 1


# One inside another ---------------------------------------------------------------------------------------------------

QUARTIC = {1: 4 * 2.0**3, 2: 12 * 2.0**2, 3: 24 * 2.0, 4: 24.0, 5: 0.0}


@pytest.mark.parametrize("order", QUARTIC)
def test_grad_of_grad(order: int) -> None:
    f: F = lambda x: x**4.0  # noqa: E731
    for _ in range(order):
        f = cp.grad(f)
    assert f(f64(2.0)).item() == pytest.approx(QUARTIC[order])


def forward(f: F) -> F:
    """The derivative by forward mode."""
    return lambda x: cp.jvp(f, (x,), (f64(1.0),))[1]


def reverse(f: F) -> F:
    """The derivative by reverse mode."""
    return cp.grad(f)


def pulled(f: F) -> F:
    """The derivative by a pullback."""
    return lambda x: cp.vjp(f, x)[1](f64(1.0))[0]


def jacobian(f: F) -> F:
    return cp.jacobian(f)


def mapped(f: F) -> F:
    """The derivative of a batch of one."""
    return lambda x: cp.vmap(cp.grad(f))(cp.expand_dims(x, 0))[0]


def batched(f: F) -> F:
    """The derivative of a function that is batched itself."""
    return lambda x: cp.grad(lambda v: cp.vmap(f)(v).sum())(cp.expand_dims(x, 0))[0]


def checkpointed(f: F) -> F:
    return cp.grad(cp.checkpoint(f))


WAYS = [forward, reverse, pulled, jacobian, mapped, batched, checkpointed]


@pytest.mark.parametrize("inner", WAYS)
@pytest.mark.parametrize("outer", WAYS)
def test_second_derivatives_in_any_order(outer: Any, inner: Any) -> None:
    f = outer(inner(lambda x: cp.sin(x) * cp.exp(x)))
    assert f(f64(0.7)).item() == pytest.approx(2 * math.cos(0.7) * math.exp(0.7))


@pytest.mark.parametrize("inner", [forward, reverse, mapped])
@pytest.mark.parametrize("middle", [forward, reverse, batched])
@pytest.mark.parametrize("outer", [forward, reverse, checkpointed])
def test_third_derivatives_in_any_order(outer: Any, middle: Any, inner: Any) -> None:
    f = outer(middle(inner(lambda x: cp.log(x) * x**3.0)))
    assert f(f64(2.0)).item() == pytest.approx(6 * math.log(2.0) + 11.0)


@pytest.mark.parametrize("outer", [forward, reverse])
@pytest.mark.parametrize("inner", [forward, reverse])
def test_no_confusion_of_perturbations(outer: Any, inner: Any) -> None:
    """d/dx (x · d/dy (x + y)) = 1: the inner derivative must not see the outer x move."""
    assert outer(lambda x: x * inner(lambda y: x + y)(f64(1.0)))(f64(5.0)).item() == 1.0
    assert outer(lambda x: inner(lambda y: x * y)(f64(1.0)))(f64(5.0)).item() == 1.0
    assert outer(lambda x: x * inner(lambda y: x * y)(x))(f64(5.0)).item() == 10.0


def test_gradient_of_a_hessian_vector_product() -> None:
    """Third derivatives: of sum x⁴, contracted with v once, 24 x v on the diagonal."""
    close(cp.grad(lambda x: cp.hvp(lambda x: (x**4.0).sum(), (x,), (V,)).sum())(X), 24 * X.numpy() * V.numpy())


def test_derivative_by_the_direction() -> None:
    close(cp.grad(lambda v: cp.jvp(scalar, (X,), (v,))[1])(V), cp.grad(scalar)(X))


def test_pullback_of_a_recorded_gradient_can_be_differentiated() -> None:
    """By its upstream gradient a pullback is linear."""
    _, pullback = cp.vjp(vector, X)
    u = f64([1.0, 2.0, 3.0])
    close(cp.jacobian(lambda u: pullback(u)[0])(u), cp.jacobian(vector)(X).numpy().T)


# Closures -------------------------------------------------------------------------------------------------------------


def test_gradient_penalty() -> None:
    """grad inside, backward() outside: the penalty (d/dx w·x²)² = 4 w² x² has 8 w x² by w."""
    w = cp.Parameter(np.array([2.0, 3.0]))
    x = f64([5.0, 7.0])
    g = cp.grad(lambda x: (w * x * x).sum())(x)
    assert g.requires_grad
    (g * g).sum().backward()
    assert w.grad is not None
    close(w.grad, 8 * w.numpy() * x.numpy() ** 2)


@pytest.mark.parametrize("transform", [cp.grad, cp.jacobian, lambda f: lambda x: cp.jvp(f, (x,), (f64(1.0),))[1]])
def test_closures_over_leaves(transform: Any) -> None:
    y = cp.tensor(np.array(3.0), requires_grad=True)
    transform(lambda x: x * x * y)(f64(5.0)).backward()
    assert y.grad is not None
    assert y.grad.item() == 10.0


def test_results_have_no_history_unless_somebody_needs_it() -> None:
    w = cp.Parameter(np.array(2.0))
    assert not cp.grad(lambda x: x * x)(f64(1.0)).requires_grad
    assert not cp.grad(lambda y: cp.grad(lambda x, y: x**y)(f64(2.0), y))(f64(3.0)).requires_grad
    assert not cp.jvp(cp.sin, (f64(1.0),), (f64(1.0),))[1].requires_grad
    assert not cp.hessian(scalar)(X).requires_grad
    assert cp.grad(lambda x: x * x * w)(f64(1.0)).requires_grad


def test_a_result_that_comes_from_outside_keeps_its_history() -> None:
    y = cp.tensor(np.array(3.0), requires_grad=True)
    outside = y * y
    value, gradient = cp.value_and_grad(lambda x: outside)(f64(5.0))
    assert gradient.item() == 0.0
    value.backward()
    assert y.grad is not None
    assert y.grad.item() == 6.0


def test_leaves_made_inside() -> None:
    def f(x: Any) -> Any:
        w = cp.tensor(np.array(3.0), requires_grad=True)
        y = x * w * w
        y.backward(retain_graph=True)
        return y + w.grad

    assert cp.grad(f)(f64(2.0)).item() == 9.0


# Trees ----------------------------------------------------------------------------------------------------------------


class Pair(NamedTuple):
    left: Any
    right: Any


@pytest.mark.parametrize(
    "tree",
    [
        {"w": 2.0, "b": 5.0},
        [2.0, 5.0],
        (2.0, (5.0,)),
        Pair(2.0, 5.0),
        {"layers": [{"w": 2.0, "b": None}, (5.0, [])], "none": None},
    ],
)
def test_gradients_are_nested_like_their_arguments(tree: Any) -> None:
    def tensors(tree: Any) -> Any:
        return cp.autodiff.tree.map_leaves(f64, tree)

    def f(tree: Any) -> Any:
        first, second = cp.autodiff.tree.flatten(tree)
        return first * second * second

    gradient = cp.grad(f)(tensors(tree))
    assert type(gradient) is type(tree)
    assert cp.autodiff.tree.map_leaves(lambda g: None, gradient) == cp.autodiff.tree.map_leaves(lambda g: None, tree)
    assert [g.item() for g in cp.autodiff.tree.flatten(gradient)] == [25.0, 20.0]


# What cannot be -------------------------------------------------------------------------------------------------------


def test_grad_of_several_outputs() -> None:
    with pytest.raises(cp.GradientError, match=r"returns one scalar; it returned shapes \[\(3,\)\]") as caught:
        cp.grad(vector)(X)
    assert "cp.jacobian" in caught.value.hint


def test_gradient_by_integers() -> None:
    with pytest.raises(cp.DTypeError, match=r"floating-point arguments only; this one is int64\[2\]") as caught:
        cp.grad(lambda x: x.sum())(cp.tensor([1, 2]))
    assert "astype" in caught.value.hint


@pytest.mark.parametrize("transform", [cp.grad, cp.value_and_grad, cp.jacobian])
def test_argument_numbers_that_do_not_exist(transform: Any) -> None:
    with pytest.raises(cp.GradientError, match="argnums=2, but the function was called with 1 arguments"):
        transform(scalar, argnums=2)(X)


def test_tangents_and_upstream_gradients_that_do_not_fit() -> None:
    with pytest.raises(cp.ShapeError, match=r"jvp: shape \(3,\) given, the primal has shape \(4,\)"):
        cp.jvp(vector, (X,), (f64([1.0, 2.0, 3.0]),))
    with pytest.raises(cp.GradientError, match="jvp: 0 tensors given, 1 expected"):
        cp.jvp(vector, (X,), ())
    with pytest.raises(cp.ShapeError, match=r"pullback: shape \(4,\) given, the output has shape \(3,\)"):
        cp.vjp(vector, X)[1](V)


def test_unknown_modes_and_layouts() -> None:
    for wrong in ({"mode": "sideways"}, {"layout": "rows"}):
        with pytest.raises(cp.UsageError, match=r"jacobian: (mode|layout)="):
            cp.jacobian(vector, **wrong)  # type: ignore[arg-type]
