"""What is fixed once: derivatives at kinks, NaN and infinity, zeros in products, equal indices."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import primitives
from clearprop.tensor import Tensor

INF, NAN = math.inf, math.nan


def f64(value: Any) -> Tensor:
    return cp.tensor(value, dtype=cp.float64)


def derivative(f: Callable[..., Any], x: float, order: int = 1) -> float:
    for _ in range(order):
        f = cp.grad(f)
    return float(f(f64(x)).item())


# Kinks ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("f", [cp.abs, primitives.relu])
def test_derivative_at_the_kink_is_zero(f: Any) -> None:
    assert derivative(f, 0.0) == 0.0


@pytest.mark.parametrize("f", [cp.maximum, cp.minimum])
def test_each_side_gets_half_of_the_gradient_at_a_tie(f: Any) -> None:
    assert [g.item() for g in cp.grad(f, argnums=(0, 1))(f64(3.0), f64(3.0))] == [0.5, 0.5]


@pytest.mark.parametrize(("f", "x"), [(cp.max, [1.0, 4.0, 4.0, 4.0, 2.0]), (cp.min, [5.0, 1.0, 1.0, 1.0, 2.0])])
def test_equal_extremes_share_the_gradient(f: Any, x: list[float]) -> None:
    np.testing.assert_array_equal(cp.grad(f)(f64(x)).numpy(), [0, 1 / 3, 1 / 3, 1 / 3, 0])
    _, pushed = cp.jvp(f, (f64(x),), (f64([1.0, 2.0, 3.0, 4.0, 5.0]),))
    assert pushed.item() == 3.0


def test_clip_passes_gradients_inside_and_on_the_bounds() -> None:
    gradient = cp.grad(lambda x: cp.clip(x, -1.0, 2.0).sum())(f64([-1.5, -1.0, 0.0, 2.0, 2.5]))
    np.testing.assert_array_equal(gradient.numpy(), [0, 1, 1, 1, 0])


# NaN and infinity -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("f", [cp.maximum, cp.minimum])
def test_binary_extremes_propagate_nan(f: Any) -> None:
    assert np.isnan(f(f64([NAN, 1.0]), f64([1.0, NAN])).numpy()).all()


@pytest.mark.parametrize("f", [cp.max, cp.min, primitives.relu, cp.sum, cp.logsumexp])
def test_nan_is_not_hidden(f: Any) -> None:
    assert np.isnan(f(f64([1.0, NAN, 2.0])).numpy()).any()


def test_arithmetic_is_ieee() -> None:
    x = f64([INF, NAN, 0.0, 5e-324])
    np.testing.assert_array_equal((x * 0.0).numpy(), [NAN, NAN, 0.0, 0.0])
    np.testing.assert_array_equal((x - x).numpy(), [NAN, NAN, 0.0, 0.0])
    np.testing.assert_array_equal((x / x).numpy(), [NAN, NAN, NAN, 1.0])
    np.testing.assert_array_equal((x * 1.0).numpy(), x.numpy())  # denormal numbers are not flushed to zero


def test_poles_give_infinite_gradients() -> None:
    assert derivative(cp.log, 0.0) == INF
    assert derivative(cp.sqrt, 0.0) == INF
    assert cp.log(f64(-1.0)).item() != cp.log(f64(-1.0)).item()


def test_where_keeps_an_infinite_gradient_on_its_side() -> None:
    def chosen(x: Any, y: Any) -> Any:
        return (cp.where(cp.tensor([True, False]), x, y) * INF).sum()

    by_x, by_y = cp.grad(chosen, argnums=(0, 1))(f64([1.0, 1.0]), f64([1.0, 1.0]))
    np.testing.assert_array_equal(by_x.numpy(), [INF, 0.0])
    np.testing.assert_array_equal(by_y.numpy(), [0.0, INF])


def test_sigmoid_far_out() -> None:
    np.testing.assert_array_equal(primitives.sigmoid(f64([-1000.0, 1000.0, -INF, INF])).numpy(), [0, 1, 0, 1])
    assert derivative(primitives.sigmoid, -1000.0) == 0.0


@pytest.mark.parametrize(
    ("x", "value", "softmax"),
    [
        ([1000.0, 1000.0], 1000.0 + math.log(2.0), [0.5, 0.5]),
        ([-1000.0, -1000.0], -1000.0 + math.log(2.0), [0.5, 0.5]),
        ([0.0, -INF], 0.0, [1.0, 0.0]),
        ([-INF, -INF], -INF, [0.0, 0.0]),
    ],
)
def test_logsumexp_does_not_overflow(x: list[float], value: float, softmax: list[float]) -> None:
    found, gradient = cp.value_and_grad(cp.logsumexp)(f64(x))
    assert found.item() == value
    np.testing.assert_allclose(gradient.numpy(), softmax, rtol=1e-12)


def test_logaddexp_does_not_overflow() -> None:
    found, gradients = cp.value_and_grad(cp.logaddexp, argnums=(0, 1))(f64(1000.0), f64(-1000.0))
    assert found.item() == 1000.0
    assert [g.item() for g in gradients] == [1.0, 0.0]


# Powers ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("x", [-2.0, 0.0, 2.0])
def test_derivatives_of_powers_to_fifth_order(exponent: int, x: float) -> None:
    """d^k/dx^k of x^n is n! / (n-k)! x^(n-k), and 0 from k = n + 1 on; at x = 0 too."""
    for order in range(1, 6):
        expected = math.perm(exponent, order) * x ** max(exponent - order, 0)
        assert derivative(lambda x: x ** float(exponent), x, order) == expected
        assert derivative(lambda x: x ** f64(float(exponent)), x, order) == expected


def test_mixed_derivatives_of_powers_agree() -> None:
    """d/dy d/dx and d/dx d/dy of x^y are (1 + y log x) x^(y-1); at y = 0 that is 1 / x."""
    for x, y in [(2.0, 0.0), (2.0, 1.0), (3.0, -1.5)]:
        expected = (1 + y * math.log(x)) * x ** (y - 1)
        by_x_then_y = cp.grad(lambda y, x=x: cp.grad(lambda x, y=y: x**y)(f64(x)))(f64(y))
        by_y_then_x = cp.grad(lambda x, y=y: cp.grad(lambda y, x=x: x**y)(f64(y)))(f64(x))
        assert by_x_then_y.item() == pytest.approx(expected)
        assert by_y_then_x.item() == pytest.approx(expected)


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.5])
def test_gradient_by_the_exponent_of_zero_is_zero(exponent: float) -> None:
    assert cp.grad(lambda y: f64(0.0) ** y)(f64(exponent)).item() == 0.0


def test_negative_base() -> None:
    assert derivative(lambda x: x ** cp.tensor(3.0, dtype=cp.float64), -2.0) == 12.0
    assert math.isnan(derivative(lambda x: x**2.5, -2.0))


# Products with zeros --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "gradient"),
    [
        ([2.0, 3.0, 4.0], [12.0, 8.0, 6.0]),
        ([2.0, 0.0, 4.0], [0.0, 8.0, 0.0]),
        ([0.0, 0.0, 4.0], [0.0, 0.0, 0.0]),
        ([5.0], [1.0]),
        ([], []),
    ],
)
def test_products_with_zeros(x: list[float], gradient: list[float]) -> None:
    np.testing.assert_array_equal(cp.grad(cp.prod)(f64(x)).numpy(), gradient)


def test_second_derivatives_of_products_with_zeros() -> None:
    """d²/dx_i dx_j is the product of all others, also where two factors are zero."""
    x = [0.0, 3.0, 0.0, 5.0]
    expected = [
        [0.0 if i == j else math.prod(x[k] for k in range(4) if k not in (i, j)) for j in range(4)] for i in range(4)
    ]
    np.testing.assert_array_equal(cp.hessian(cp.prod)(f64(x)).numpy(), expected)


def test_gradient_of_a_product_takes_a_linear_number_of_multiplications() -> None:
    """Each halving of the row multiplies three times half of it: 3 n in all, not n²."""
    n = 1 << 10
    multiply = type(primitives.multiply)
    count, compute = 0, multiply.compute

    def counting(self: Any, x: Any, y: Any) -> Any:
        nonlocal count
        result = compute(self, x, y)
        count += np.size(result)
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(multiply, "compute", counting)
        x = cp.tensor(np.ones(n), requires_grad=True)
        cp.prod(x).backward()
    assert count <= 5 * n


# Positions that repeat ------------------------------------------------------------------------------------------------


def test_reading_twice_adds_gradients() -> None:
    np.testing.assert_array_equal(cp.grad(lambda x: x[[0, 0, 2]].sum())(f64([1.0, 2.0, 3.0])).numpy(), [2, 0, 1])


def test_writing_twice_gives_the_gradient_to_the_last_value() -> None:
    def changed(x: Any, y: Any) -> Any:
        return (x.at[[1, 1]].set(y) * f64([1.0, 10.0, 100.0])).sum()

    by_x, by_y = cp.grad(changed, argnums=(0, 1))(f64([1.0, 2.0, 3.0]), f64([7.0, 8.0]))
    np.testing.assert_array_equal(by_x.numpy(), [1, 0, 100])
    np.testing.assert_array_equal(by_y.numpy(), [0, 10])


@pytest.mark.parametrize("read", [primitives.gather, lambda x, i: primitives.take_along_axis(x, i, axis=0)])
def test_positions_outside(read: Any) -> None:
    with pytest.raises(cp.RangeError, match="index 3 is out of bounds for axis 0 with size 3"):
        read(f64([1.0, 2.0, 3.0]), cp.tensor([0, 3]))


@pytest.mark.parametrize(
    ("places", "shape"),
    [
        (([0, 2, 0, -1, 2],), (3, 2)),
        (([0, 1, 1, -2, 0], [1, 0, 0, -1, 1]), (2, 2, 3)),
        (([[0, 2], [2, 2]],), (3, 1, 4)),
        ((np.arange(3).repeat(3) % 2,), (2, 50_000)),  # more than is added at once
    ],
)
def test_rows_are_added_as_numpy_adds_them(places: Any, shape: tuple[int, ...]) -> None:
    indices = tuple(np.asarray(place) for place in places)
    rows = np.sin(np.arange(indices[0].size * np.prod(shape[len(indices) :])))
    rows = rows.astype(np.float32).reshape(*indices[0].shape, *shape[len(indices) :])
    expected = np.zeros(shape, np.float32)
    np.add.at(expected, indices, rows)
    np.testing.assert_array_equal(primitives.scatter_add(rows, *indices, shape=shape), expected)
    with pytest.raises(cp.RangeError, match="out of bounds for axis 0"):
        primitives.scatter_add(rows, indices[0] + shape[0], *indices[1:], shape=shape)


@pytest.mark.parametrize(
    "write",
    [
        lambda x, i: primitives.scatter_add(x, i, shape=(3,)),
        lambda x, i: primitives.add_along_axis(x, i, axis=0, length=3),
        lambda x, i: primitives.scatter_set(f64([1.0, 2.0, 3.0]), x, i),
    ],
)
def test_writing_outside(write: Any) -> None:
    with pytest.raises(cp.RangeError, match="index 3 is out of bounds for axis 0 with size 3"):
        write(f64([1.0, 2.0]), cp.tensor([0, 3]))


# Half precision -------------------------------------------------------------------------------------------------------


def test_half_precision_stays_half_precision() -> None:
    x = cp.tensor([0.5, 0.25], dtype=cp.float16, requires_grad=True)
    z = cp.erf(cp.sin(x) * 2.0 + x**3 - cp.logsumexp(x)).sum()
    z.backward()
    assert z.dtype is cp.float16
    assert x.grad is not None
    assert x.grad.dtype is cp.float16
