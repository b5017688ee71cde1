"""Rules of one's own: Function and custom_vjp, under every transformation; and rules that are wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop.tensor import Tensor

RANDOM = np.random.default_rng(0)


def f64(value: Any) -> Tensor:
    return cp.tensor(value, dtype=cp.float64)


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=1e-12, atol=1e-13)


class Multiply(cp.Function):
    @staticmethod
    def forward(ctx: Any, x: Any, y: Any) -> Any:
        ctx.save_for_backward(x, y)
        return x * y

    @staticmethod
    def backward(ctx: Any, dz: Any) -> Any:
        x, y = ctx.saved_tensors
        return dz * y, dz * x


class Exp(cp.Function):
    """Saves its output."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        y = cp.exp(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (y,) = ctx.saved_tensors
        return g * y


class SinCos(cp.Function):
    """Two outputs, both saved."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        s, c = cp.sin(x), cp.cos(x)
        ctx.save_for_backward(s, c)
        return s, c

    @staticmethod
    def backward(ctx: Any, ds: Any, dc: Any) -> Any:
        s, c = ctx.saved_tensors
        return ds * c - dc * s


class Scale(cp.Function):
    """An argument that is no tensor, and an attribute of the context."""

    @staticmethod
    def forward(ctx: Any, x: Any, factor: float, label: str) -> Any:
        ctx.factor = factor
        return x * factor

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return g * ctx.factor, None, None


def multiply(x: Any, y: Any) -> Any:
    return Multiply.apply(x, y)


@cp.custom_vjp
def sine(x: Any) -> Any:
    """The sine, in JAX's style."""
    return cp.sin(x)


sine.defvjp(lambda x: (cp.sin(x), {"cos": cp.cos(x), "factor": 1.0}), lambda r, g: (g * r["cos"] * r["factor"],))


@cp.custom_vjp
def square(x: Any) -> Any:
    return x * x


square.defvjp(lambda x: (x * x, x), lambda x, g: (2.0 * g * x,))

# What it means, and what it is written as.
FUNCTIONS = [
    pytest.param(lambda x: Multiply.apply(x, cp.sin(x)), lambda x: x * cp.sin(x), id="two inputs"),
    pytest.param(Exp.apply, cp.exp, id="saves its output"),
    pytest.param(
        lambda x: (lambda s, c: s * s * c)(*SinCos.apply(x)), lambda x: cp.sin(x) ** 2 * cp.cos(x), id="two outputs"
    ),
    pytest.param(lambda x: SinCos.apply(x)[1], cp.cos, id="one output of two"),
    pytest.param(lambda x: Scale.apply(x * x, 3.0, "name"), lambda x: x * x * 3.0, id="arguments that are no tensors"),
    pytest.param(lambda x: Exp.apply(Exp.apply(x) * 0.1), lambda x: cp.exp(cp.exp(x) * 0.1), id="nested"),
    pytest.param(square, lambda x: x * x, id="custom_vjp"),
]
X = f64(RANDOM.standard_normal(3))
XS = f64(RANDOM.standard_normal((4, 3)))


@pytest.mark.parametrize(("f", "reference"), FUNCTIONS)
def test_values_and_gradients(f: Any, reference: Any) -> None:
    close(f(X), reference(X))
    cp.check_gradients(f, X)
    close(cp.jacobian(f, mode="forward")(X), cp.jacobian(reference)(X))
    close(cp.jacobian(f, mode="reverse")(X), cp.jacobian(reference)(X))


@pytest.mark.parametrize(("f", "reference"), FUNCTIONS)
def test_second_derivatives(f: Any, reference: Any) -> None:
    cp.check_gradients(f, X, order=2)
    weighted: Any = lambda f: lambda x: (f(x) * f64([1.0, 2.0, 3.0])).sum()  # noqa: E731
    close(cp.hessian(weighted(f))(X), cp.hessian(weighted(reference))(X))
    close(cp.jacobian(cp.grad(weighted(f)), mode="reverse")(X), cp.hessian(weighted(reference))(X))


@pytest.mark.parametrize(("f", "reference"), FUNCTIONS)
def test_batches(f: Any, reference: Any) -> None:
    scalar: Any = lambda f: lambda x: (f(x) * f(x)).sum()  # noqa: E731
    close(cp.vmap(f)(XS), reference(XS))
    close(cp.vmap(cp.grad(scalar(f)))(XS), cp.vmap(cp.grad(scalar(reference)))(XS))
    close(cp.grad(lambda x: cp.sin(cp.vmap(f)(x)).sum())(XS), cp.grad(lambda x: cp.sin(reference(x)).sum())(XS))
    close(cp.vmap(cp.hessian(scalar(f)))(XS), cp.vmap(cp.hessian(scalar(reference)))(XS))
    close(cp.vmap(cp.vmap(f))(cp.stack([XS, 2.0 * XS])), reference(cp.stack([XS, 2.0 * XS])))


def test_shared_arguments_collect_the_gradients_of_the_batch() -> None:
    w = f64([1.0, 2.0, 3.0])
    close(cp.vmap(multiply, in_axes=(None, 0))(w, XS), w.numpy() * XS.numpy())
    close(cp.grad(lambda w: cp.vmap(multiply, in_axes=(None, 0))(w, XS).sum())(w), XS.numpy().sum(0))
    close(cp.vmap(cp.grad(lambda w, x: multiply(w, x).sum()), in_axes=(None, 0))(w, XS), XS)
    nested = cp.vmap(lambda x: cp.jacobian(lambda w: cp.vmap(multiply, in_axes=(None, 0))(w, cp.stack([x, x])))(w))(XS)
    close(nested[:, 0], np.stack([np.diag(x) for x in XS.numpy()]))


def test_backward_adds_into_parameters_and_leaves() -> None:
    w, x = cp.Parameter(np.array([2.0])), cp.tensor(np.array([5.0]), requires_grad=True)
    Multiply.apply(w, x).sum().backward()
    assert w.grad is not None
    assert x.grad is not None
    assert (w.grad.item(), x.grad.item()) == (5.0, 2.0)


def test_outputs_that_got_no_gradient_arrive_as_zeros() -> None:
    seen = []

    class Split(cp.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x[:1], x[1:]

        @staticmethod
        def backward(ctx: Any, a: Any, b: Any) -> Any:
            seen.append((a.numpy().tolist(), b.numpy().tolist()))
            return cp.concat([a, b])

    x = cp.tensor([1.0, 2.0, 3.0], requires_grad=True)
    first, _ = Split.apply(x)
    first.sum().backward()
    assert seen == [([1.0], [0.0, 0.0])]
    assert x.grad is not None
    assert x.grad.numpy().tolist() == [1.0, 0.0, 0.0]


def test_integer_outputs_carry_no_gradient() -> None:
    class TopOne(cp.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            at = cp.argmax(x)
            ctx.save_for_backward(at)
            ctx.shape = x.shape
            return x.max(), at

        @staticmethod
        def backward(ctx: Any, g: Any, _: Any) -> Any:
            (at,) = ctx.saved_tensors
            return cp.zeros(ctx.shape, dtype=g.dtype).at[at].set(g)

    x = cp.tensor([1.0, 5.0, 3.0], requires_grad=True)
    value, at = TopOne.apply(x)
    assert (at.item(), at.requires_grad, value.requires_grad) == (1, False, True)
    value.backward()
    assert x.grad is not None
    assert x.grad.numpy().tolist() == [0.0, 1.0, 0.0]


def test_one_node_stands_for_all_that_forward_did() -> None:
    x = cp.tensor(np.ones(10), requires_grad=True)
    y = Exp.apply(x)
    graph = cp.Graph(y)
    assert [node.name for node in graph.nodes] == ["leaf", "custom"]
    assert graph.residual_bytes() == 80
    y.sum().backward()
    assert graph.residual_bytes() == 0


def test_what_was_computed_in_between_is_a_constant_to_second_derivatives() -> None:
    """A cache of something in between gives right gradients; for gradients of gradients save the inputs."""

    class Cached(cp.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            square = x * x
            ctx.save_for_backward(square)
            return square * x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (square,) = ctx.saved_tensors
            return 3.0 * g * square

    cp.check_gradients(Cached.apply, X)
    with pytest.raises(cp.GradientError, match="backward gives 0"):
        cp.check_gradients(Cached.apply, X, order=2)


def test_without_gradients_nothing_is_recorded() -> None:
    assert not Multiply.apply(f64(1.0), f64(2.0)).requires_grad
    x = cp.tensor(1.0, requires_grad=True)
    with cp.no_grad():
        assert not Multiply.apply(x, x).requires_grad


def test_a_gradient_that_is_not_the_derivative() -> None:
    """That is what custom rules are for: here the gradient passes straight through a rounding."""

    class StraightThrough(cp.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return cp.round(x)

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g

    close(cp.grad(lambda x: (StraightThrough.apply(x) ** 2).sum())(f64([0.6, 2.2])), [2.0, 4.0])


# Wrong rules ----------------------------------------------------------------------------------------------------------


def function_with(backward: Any) -> Any:
    class Mine(cp.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, y: Any) -> Any:
            return (x * y).sum()

    Mine.backward = staticmethod(backward)  # type: ignore[method-assign]
    return Mine.apply


@pytest.mark.parametrize("given", [1, 3])
def test_wrong_number_of_gradients(given: int) -> None:
    f = function_with(lambda ctx, g: (g,) * given)
    x = cp.tensor([1.0, 2.0], requires_grad=True)
    y = f(x, x)  # here
    with pytest.raises(cp.GradientError, match=f"Mine.backward returned {given} gradients; forward took 2") as caught:
        y.backward()
    assert "None for those that have none" in caught.value.hint
    assert "y = f(x, x)  # here" in caught.value.where
    with pytest.raises(cp.GradientError, match=f"returned {given} gradients"):
        cp.vmap(cp.grad(f), in_axes=(0, None))(cp.ones((3, 2)), cp.ones(2))


def test_gradient_of_a_wrong_shape() -> None:
    f = function_with(lambda ctx, g: (g, g))
    x = cp.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(cp.GradientError, match=r"gradient of argument 0 has shape \(\), the argument \(2,\)") as caught:
        f(x, x).backward()
    assert "sum over the axes" in caught.value.hint


def test_errors_of_the_users_own_pass_through() -> None:
    f = function_with(lambda ctx, g: [][0])
    x = cp.tensor([1.0], requires_grad=True)
    with pytest.raises(IndexError, match="list index out of range"):
        f(x, x).backward()


def test_missing_rules() -> None:
    class Empty(cp.Function):
        pass

    with pytest.raises(NotImplementedError, match=r"needs a forward\(ctx, \*args\)"):
        Empty.apply(f64(1.0))

    @cp.custom_vjp
    def nothing(x: Any) -> Any:
        return x

    with pytest.raises(cp.GradientError, match="nothing is a custom_vjp without rules") as caught:
        nothing(f64(1.0))
    assert caught.value.hint == "nothing.defvjp(forward, backward)"
    assert nothing.__name__ == "nothing"
