"""The worked examples of the lecture notes, number by number."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop.tensor import Tensor

RANDOM = np.random.default_rng(0)


def normal(*shape: int) -> Tensor:
    return cp.tensor(RANDOM.standard_normal(shape))


def leaf(value: Any) -> Tensor:
    return cp.tensor(value, dtype=cp.float64, requires_grad=True)


def gradient(x: Any) -> np.ndarray[Any, Any]:
    assert x.grad is not None
    return np.asarray(x.grad.numpy())


def close(found: Any, expected: Any, rtol: float = 1e-12) -> None:
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=rtol, atol=1e-14)


# Circuits of scalars --------------------------------------------------------------------------------------------------


def test_sum_times_factor() -> None:
    """f = (x + y) z at (-2, 5, -4): f = -12, and the gradients -4, -4, 3."""
    x, y, z = leaf(-2.0), leaf(5.0), leaf(-4.0)
    q = x + y
    f = q * z
    q.retain_grad()
    f.backward()
    assert (q.item(), f.item()) == (3.0, -12.0)
    assert gradient(q) == -4.0
    assert (gradient(x), gradient(y), gradient(z)) == (-4.0, -4.0, 3.0)


def test_fan_out() -> None:
    """f = y (x² + x) at (2, 1): x is used three times, and its contributions add up."""
    x, y = leaf(2.0), leaf(1.0)
    f = y * (x * x + x)
    f.backward()
    assert (f.item(), gradient(x), gradient(y)) == (6.0, 5.0, 6.0)


def test_patterns_of_gradient_flow() -> None:
    """Addition distributes, multiplication switches, maximum selects, a copy adds."""
    x, y = leaf(3.0), leaf(-4.0)
    for operation, by_x, by_y in [(cp.add, 2.0, 2.0), (cp.multiply, -8.0, 6.0), (cp.maximum, 2.0, 0.0)]:
        x.grad = y.grad = None
        operation(x, y).backward(2.0)
        assert (gradient(x), gradient(y)) == (by_x, by_y)
    x.grad = None
    (x * 5.0 + x * 7.0).backward()
    assert gradient(x) == 12.0


def test_sigmoid_neuron() -> None:
    """f = 1 / (1 + exp(-(w0 x0 + w1 x1 + w2))) at w = (2, -3, -3), x = (-1, -2): 0.73, with σ' = σ (1 - σ) = 0.2."""
    w0, w1, w2, x0, x1 = (leaf(value) for value in (2.0, -3.0, -3.0, -1.0, -2.0))
    f = 1.0 / (1.0 + cp.exp(-(w0 * x0 + w1 * x1 + w2)))
    f.backward()
    slope = f.item() * (1.0 - f.item())
    assert round(f.item(), 2) == 0.73
    assert round(slope, 2) == 0.20
    for parameter, factor in [(w0, -1.0), (w1, -2.0), (w2, 1.0), (x0, 2.0), (x1, -3.0)]:
        assert gradient(parameter) == pytest.approx(slope * factor)


# Vectors and matrices -------------------------------------------------------------------------------------------------


def sigmoid(x: Any) -> Any:
    return 1.0 / (1.0 + cp.exp(-x))


def test_log_likelihood_of_logistic_regression() -> None:
    """f = -log σ(wᵀx): the gradient by w is -(1 - σ) xᵀ."""
    w, x = leaf(RANDOM.standard_normal(4)), normal(4)
    f = -cp.log(sigmoid(w @ x))
    f.backward()
    close(gradient(w), -(1.0 - sigmoid(w @ x).item()) * x.numpy())


def test_quadratic_form() -> None:
    """∂(wᵀAw)/∂w = wᵀ(A + Aᵀ), and 2 wᵀA for symmetric A; the second derivative is 2 A."""
    m, w = RANDOM.standard_normal((3, 3)), normal(3)
    symmetric = cp.tensor(m + m.T)
    close(cp.grad(lambda w: w @ symmetric @ w)(w), 2.0 * w.numpy() @ symmetric.numpy())
    close(cp.grad(lambda w: w @ cp.tensor(m) @ w)(w), w.numpy() @ (m + m.T))
    close(cp.hessian(lambda w: w @ symmetric @ w)(w), 2.0 * symmetric.numpy())


def test_derivatives_of_vectors_in_both_layouts() -> None:
    """y = A x: numerator layout says ∂y/∂x = A, denominator layout Aᵀ. For a scalar: a row, or a column."""
    A, x = normal(2, 3), normal(3)
    close(cp.jacobian(lambda x: A @ x)(x), A)
    close(cp.jacobian(lambda x: A @ x, layout="denominator")(x), A.numpy().T)
    a = normal(3)
    close(cp.jacobian(lambda x: (a @ x).reshape(1))(x), a.numpy().reshape(1, 3))
    close(cp.jacobian(lambda x: (a @ x).reshape(1), layout="denominator")(x), a.numpy().reshape(3, 1))


def test_chain_rule_in_both_layouts() -> None:
    """Numerator layout multiplies from the output to the input, denominator layout the other way round."""
    A, B, x = normal(4, 3), normal(2, 4), normal(3)
    h = cp.tanh(A @ x)
    inner, outer = (lambda x: cp.tanh(A @ x)), (lambda h: cp.sin(B @ h))
    whole = cp.jacobian(lambda x: outer(inner(x)))(x)
    close(whole, cp.jacobian(outer)(h).numpy() @ cp.jacobian(inner)(x).numpy())
    transposed = cp.jacobian(lambda x: outer(inner(x)), layout="denominator")(x)
    inner_t, outer_t = cp.jacobian(inner, layout="denominator")(x), cp.jacobian(outer, layout="denominator")(h)
    close(transposed, inner_t.numpy() @ outer_t.numpy())


def test_linear_layer_in_denominator_layout() -> None:
    """Rows are examples: Y = X W + b, (N, D) @ (D, M) -> (N, M); X̄ = Ȳ Wᵀ, W̄ = Xᵀ Ȳ, b̄ = the sum of Ȳ over examples."""
    X, W, b = leaf(RANDOM.standard_normal((5, 3))), leaf(RANDOM.standard_normal((3, 2))), leaf(np.zeros(2))
    upstream = RANDOM.standard_normal((5, 2))
    (X @ W + b).backward(upstream)
    close(gradient(X), upstream @ W.numpy().T)  # (N, M) @ (M, D) -> (N, D)
    close(gradient(W), X.numpy().T @ upstream)  # (D, N) @ (N, M) -> (D, M)
    close(gradient(b), upstream.sum(0))


def test_linear_layer_in_numerator_layout() -> None:
    """Columns are examples: Y = W X + b, (M, D) @ (D, N) -> (M, N). The upstream gradient is a row for each example:
    ∂L/∂X = ∂L/∂Y W and ∂L/∂W = X ∂L/∂Y, the transposes of what has the shapes of X and W."""
    W, X, b = leaf(RANDOM.standard_normal((2, 3))), leaf(RANDOM.standard_normal((3, 5))), leaf(np.zeros((2, 1)))
    row = RANDOM.standard_normal((5, 2))  # ∂L/∂Y in numerator layout: (N, M)
    (W @ X + b).backward(row.T)
    close(gradient(X).T, row @ W.numpy())  # (N, M) @ (M, D) -> (N, D)
    close(gradient(W).T, X.numpy() @ row)  # (D, N) @ (N, M) -> (D, M)
    close(gradient(b).T, row.sum(0, keepdims=True))


def test_both_layouts_describe_one_layer() -> None:
    X, W, b = RANDOM.standard_normal((5, 3)), RANDOM.standard_normal((3, 2)), RANDOM.standard_normal(2)
    rows = cp.grad(lambda W: cp.sin(cp.tensor(X) @ W + b).sum())(W)
    columns = cp.grad(lambda W: cp.sin(W @ cp.tensor(X.T) + b[:, None]).sum())(W.T)
    close(rows, columns.numpy().T)


def test_bias_as_an_extra_column() -> None:
    """[X 1] [W; b] = X W + b, and its gradient holds those of W and b."""
    X, W, b = normal(5, 3), leaf(RANDOM.standard_normal((3, 2))), leaf(RANDOM.standard_normal(2))
    extended = cp.concat([X, cp.ones((5, 1), dtype=cp.float64)], axis=1)  # (N, D + 1)
    weights = leaf(np.vstack([W.numpy(), b.numpy()]))  # (D + 1, M)
    close(extended @ weights, X @ W + b)
    cp.sin(extended @ weights).sum().backward()
    cp.sin(X @ W + b).sum().backward()
    close(gradient(weights)[:-1], gradient(W))
    close(gradient(weights)[-1], gradient(b))


# Layers: forward -> (out, cache), backward(dout, cache) ---------------------------------------------------------------
#
# As the lecture notes write them, with matrices that have one example in each row, and as a user makes them operations
# of the framework: `forward` saves the cache, `backward` takes it.


def affine_forward(x: Any, w: Any, b: Any) -> tuple[Any, Any]:
    return x @ w + b, (x, w)  # (N, D) @ (D, M) -> (N, M)


def affine_backward(dout: Any, cache: Any) -> tuple[Any, ...]:
    x, w = cache
    return dout @ w.mT, x.mT @ dout, dout.sum(axis=0)


def relu_forward(x: Any) -> tuple[Any, Any]:
    return cp.maximum(x, 0.0), (x,)


def relu_backward(dout: Any, cache: Any) -> tuple[Any, ...]:
    (x,) = cache
    return (cp.where(x > 0.0, dout, 0.0),)


def sigmoid_forward(x: Any) -> tuple[Any, Any]:
    out = 1.0 / (1.0 + cp.exp(-x))
    return out, (out,)


def sigmoid_backward(dout: Any, cache: Any) -> tuple[Any, ...]:
    (out,) = cache
    return (dout * out * (1.0 - out),)


def softmax_loss_forward(scores: Any, labels: Any) -> tuple[Any, Any]:
    """The mean of -log p of the right class. Shifted by the largest score, so that nothing overflows."""
    shifted = cp.exp(scores - scores.max(axis=1, keepdims=True))
    p = shifted / shifted.sum(axis=1, keepdims=True)
    rows = cp.arange(len(scores))
    return -cp.mean(cp.log(p[rows, labels])), (p, labels)


def softmax_loss_backward(dout: Any, cache: Any) -> tuple[Any, ...]:
    p, labels = cache
    count = p.shape[0]
    return dout * p.at[cp.arange(count), labels].add(-1.0) / count, None


def operation(forward: Any, backward: Any) -> Any:
    """A pair of functions of the lecture notes as an operation that records one node."""

    class Layer(cp.Function):
        @staticmethod
        def forward(ctx: Any, *inputs: Any) -> Any:
            out, cache = forward(*inputs)
            ctx.save_for_backward(*cache)
            return out

        @staticmethod
        def backward(ctx: Any, dout: Any) -> Any:
            return backward(dout, ctx.saved_tensors)

    return Layer.apply


affine = operation(affine_forward, affine_backward)
relu = operation(relu_forward, relu_backward)
sigmoid_layer = operation(sigmoid_forward, sigmoid_backward)
softmax_loss = operation(softmax_loss_forward, softmax_loss_backward)

SCORES, LABELS = normal(5, 3), cp.tensor([0, 2, 1, 1, 0])


@pytest.mark.parametrize(
    ("layer", "forward", "inputs"),
    [
        (affine, affine_forward, (normal(5, 3), normal(3, 2), normal(2))),
        (relu, relu_forward, (normal(5, 3),)),
        (sigmoid_layer, sigmoid_forward, (normal(5, 3),)),
        (lambda scores: softmax_loss(scores, LABELS), lambda scores: softmax_loss_forward(scores, LABELS), (SCORES,)),
    ],
    ids=["affine", "relu", "sigmoid", "softmax loss"],
)
def test_layers(layer: Any, forward: Any, inputs: tuple[Tensor, ...]) -> None:
    """The handwritten backward agrees with differences, and with what the framework finds by itself."""
    cp.check_gradients(layer, *inputs)
    numbers = tuple(range(len(inputs)))
    by_hand = cp.grad(lambda *xs: cp.sin(layer(*xs)).sum(), numbers)(*inputs)
    by_itself = cp.grad(lambda *xs: cp.sin(forward(*xs)[0]).sum(), numbers)(*inputs)
    for a, b in zip(by_hand, by_itself, strict=True):
        close(a, b)


def test_softmax_loss_gradient_is_p_minus_one_hot() -> None:
    p = np.exp(SCORES.numpy()) / np.exp(SCORES.numpy()).sum(1, keepdims=True)
    one_hot = np.eye(3)[LABELS.numpy()]
    close(cp.grad(lambda s: softmax_loss(s, LABELS))(SCORES), (p - one_hot) / 5)


def test_softmax_loss_at_the_start_is_the_logarithm_of_the_number_of_classes() -> None:
    assert softmax_loss(cp.zeros((4, 10)), cp.tensor([1, 2, 3, 4])).item() == pytest.approx(math.log(10), rel=1e-6)


def test_a_network_of_such_layers_learns() -> None:
    """Two layers, written by hand, and plain gradient descent: XOR."""
    x, labels = cp.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), cp.tensor([0, 1, 1, 0])
    random = np.random.default_rng(1)
    parameters = [cp.Parameter(random.standard_normal(shape).astype(np.float32)) for shape in [(2, 8), 8, (8, 2), 2]]
    loss = cp.tensor(0.0)
    for _ in range(300):
        w1, b1, w2, b2 = parameters
        loss = softmax_loss(affine(relu(affine(x, w1, b1)), w2, b2), labels)
        loss.backward()
        for p in parameters:
            p.assign(p.value.detach() - 0.5 * p.grad)
            p.grad = None
    assert loss.item() < 0.02


# Regularization -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("penalty", "its_gradient"),
    [(lambda w: (w * w).sum(), lambda w: 2.0 * w), (lambda w: cp.abs(w).sum(), np.sign)],
    ids=["L2", "L1"],
)
def test_a_penalty_adds_its_gradient(penalty: Any, its_gradient: Any) -> None:
    """J = L + λ Ω(θ): ∇J = ∇L + λ ∇Ω."""
    w, x, strength = leaf(RANDOM.standard_normal(3)), normal(5, 3), 0.1

    def loss(w: Any) -> Any:
        return (cp.sin(x @ w) ** 2).mean()

    (loss(w) + strength * penalty(w)).backward()
    close(gradient(w), cp.grad(loss)(w.detach()).numpy() + strength * its_gradient(w.numpy()))
