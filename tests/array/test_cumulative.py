"""Running sums and products, and differences: against NumPy, with gradients."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import primitives
from clearprop.primitive import Spec
from clearprop.trace import Tracer, trace

RANDOM = np.random.default_rng(0)
X = RANDOM.uniform(0.5, 1.5, (3, 4, 2)) * RANDOM.choice([-1.0, 1.0], (3, 4, 2))
AXES = [0, 1, 2, -1, -3]
RUNNING: list[Any] = [(cp.cumulative_sum, np.cumsum), (cp.cumulative_prod, np.cumprod)]


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=1e-12, atol=1e-14, strict=True)


@pytest.mark.parametrize(("f", "reference"), RUNNING)
@pytest.mark.parametrize("axis", AXES)
def test_running_sums_and_products(f: Any, reference: Any, axis: int) -> None:
    close(f(X, axis=axis), reference(X, axis))
    close(cp.vmap(lambda x: f(x, axis=0))(X), reference(X, 1))
    cp.check_gradients(lambda x: cp.sin(f(x, axis=axis)), X, order=2)
    shape = list(X.shape)
    shape[axis] = 1
    first = np.full(shape, 0.0 if f is cp.cumulative_sum else 1.0)
    close(f(X, axis=axis, include_initial=True), np.concatenate([first, reference(X, axis)], axis))
    cp.check_gradients(lambda x: cp.sin(f(x, axis=axis, include_initial=True)), X)


@pytest.mark.parametrize(("f", "reference"), RUNNING)
def test_dtypes(f: Any, reference: Any) -> None:
    for given, wanted in [("int8", "int64"), ("uint16", "uint64"), ("bool", "int64"), ("int64", "int64"),
                          ("float16", "float16"), ("float32", "float32")]:  # fmt: skip
        x = np.array([1, 1, 0], given)
        close(f(x), reference(x.astype(wanted)))
        close(f(x, include_initial=True)[1:], reference(x.astype(wanted)))
    assert f([100, 100], dtype=cp.int8).dtype == cp.int8
    close(f(np.array([100, 3], np.int8), dtype=cp.float64), reference(np.array([100.0, 3.0])))


@pytest.mark.parametrize(("f", "reference"), RUNNING)
def test_of_nothing(f: Any, reference: Any) -> None:
    close(f(np.zeros((2, 0))[0]), np.zeros(0))
    close(f(np.zeros((2, 0)), axis=0), np.zeros((2, 0)))
    assert f(np.zeros((2, 0)), axis=1, include_initial=True).shape == (2, 1)


@pytest.mark.parametrize(
    ("f", "name"), [(cp.cumulative_sum, "cumulative_sum"), (cp.cumulative_prod, "cumulative_prod")]
)
def test_the_axis_of_a_matrix_must_be_named(f: Any, name: str) -> None:
    with pytest.raises(cp.ShapeError, match=f"{name}: name the axis"):
        f(X)
    with pytest.raises(cp.ShapeError, match="axis 3"):
        f(X, axis=3)


# Gradients of products with zeros -------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", [[2.0, 0.0, 3.0, -1.0], [0.0, 2.0, 0.0, 3.0, 0.0], [0.0], [0.0, 0.0, 0.0, 0.0]])
def test_products_with_zeros_to_third_order(row: list[float]) -> None:
    cp.check_gradients(lambda x: cp.sin(cp.cumulative_prod(x)), row, order=3, rtol=1e-4, atol=1e-5)


def test_gradient_of_products_with_zeros_by_hand() -> None:
    """z = (x1, x1 x2, x1 x2 x3) at x2 = 0; the last two depend on x2 with x1 and x1 x3."""
    x = cp.tensor([2.0, 0.0, 5.0], requires_grad=True)
    (cp.cumulative_prod(x) * [1.0, 10.0, 100.0]).sum().backward()
    assert x.grad is not None
    close(x.grad, np.array([1.0, 10.0 * 2.0 + 100.0 * 10.0, 0.0], np.float32))


def test_cost_of_the_gradient_of_products_is_linear() -> None:
    """Twice as long, twice the work: no product of others for each element."""

    def flops(length: int) -> int:
        gradient = cp.grad(lambda x: cp.cumulative_prod(x).sum())
        return trace(lambda x: [gradient(x)], [Spec((length,), np.dtype(np.float64))], Tracer()).flops()

    assert 0 < flops(100) < 1000
    assert abs(flops(200) - 2 * flops(100)) <= 2


# Linear recurrences ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 40])
@pytest.mark.parametrize("reverse", [False, True])
def test_discounted_sums(rows: int, reverse: bool) -> None:
    """Few rows and many take different ways."""
    rewards, discount = RANDOM.standard_normal((6, rows)), np.full((6, rows), 0.9)
    found = primitives.linear_recurrence(rewards, discount, axis=0, reverse=reverse)
    order = range(6)
    expected = [sum(rewards[j] * 0.9 ** abs(i - j) for j in order if (j >= i if reverse else j <= i)) for i in order]
    close(found, np.array(expected))


@pytest.mark.parametrize("rows", [1, 40])
def test_the_first_factor_is_not_used(rows: int) -> None:
    """Nothing stands before the first element: an infinite factor there is no NaN, and has no gradient."""
    x, a = np.ones((2, rows)), np.ones((2, rows))
    a[0] = math.inf
    close(primitives.linear_recurrence(x, a, axis=0, reverse=False), [[1.0] * rows, [2.0] * rows])
    g = cp.grad(lambda a: primitives.linear_recurrence(cp.tensor(x), a, axis=0, reverse=False).sum())(cp.tensor(a))
    close(g, [[0.0] * rows, [1.0] * rows])


# Differences ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5])
@pytest.mark.parametrize("axis", AXES)
def test_differences(axis: int, n: int) -> None:
    close(cp.diff(X, axis=axis, n=n), np.diff(X, n, axis))
    before, behind = np.flip(X), 2 * X
    close(cp.diff(X, axis=axis, n=n, prepend=before), np.diff(np.concatenate([before, X], axis), n, axis))
    close(cp.diff(X, axis=axis, n=n, append=behind), np.diff(np.concatenate([X, behind], axis), n, axis))
    close(cp.vmap(lambda x: cp.diff(x, axis=0, n=n))(X), np.diff(X, n, 1))


def test_gradients_of_differences() -> None:
    cp.check_gradients(lambda x, y: cp.sin(cp.diff(x, n=2, axis=1, prepend=y)), X, X[:, :2], order=2)


def test_differences_of_integers_and_of_what_has_none() -> None:
    close(cp.diff(np.array([3, 1, 2], np.uint8)), np.array([254, 1], np.uint8))
    with pytest.raises(cp.DTypeError, match="subtract"):
        cp.diff([True, False])
    with pytest.raises(cp.RangeError, match="n=-1"):
        cp.diff(X, n=-1)
    with pytest.raises(cp.ShapeError, match="diff: axis -1"):
        cp.diff(1.0)
