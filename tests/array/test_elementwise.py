"""Functions that work element by element: special values of IEEE arithmetic, kinks, gradients, weak numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import clearprop as cp

INF, NAN = math.inf, math.nan
SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, 2.5, -2.5, INF, -INF, NAN, 1e308, 5e-324])
FIRST, SECOND = (grid.reshape(-1) for grid in np.meshgrid(SPECIAL, SPECIAL))


def same(found: Any, expected: Any) -> None:
    """Equal to the bit, but for the sign of a NaN: -0.0 is not 0.0."""
    found, expected = np.asarray(found), np.asarray(expected)
    np.testing.assert_array_equal(found, expected, strict=True)
    if found.dtype.kind == "f":
        real = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(found[real]), np.signbit(expected[real]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["copysign", "hypot", "nextafter", "maximum", "minimum"])
def test_special_values_of_two_arguments(name: str, dtype: Any) -> None:
    with np.errstate(all="ignore"):
        x, y = FIRST.astype(dtype), SECOND.astype(dtype)
        same(getattr(cp, name)(x, y), getattr(np, name)(x, y))


def test_special_values_of_one_argument() -> None:
    same(cp.signbit(SPECIAL), np.signbit(SPECIAL))
    same(cp.positive(SPECIAL), SPECIAL)
    same(+cp.tensor(SPECIAL), SPECIAL)


def test_floor_division_of_and_by_infinity() -> None:
    """As the array API standard has it; NumPy answers NaN for the first two, and -1 for the third."""
    x, y = cp.tensor([INF, -INF, 1.0, -1.0, 7.0, -7.0, INF]), cp.tensor([2.0, 2.0, -INF, -INF, 2.0, 2.0, INF])
    same(x // y, np.array([INF, -INF, -0.0, 0.0, 3.0, -4.0, NAN], np.float32))
    same(cp.tensor([1.0, 1.0], dtype=cp.float64) // 0.1, [9.0, 9.0])  # 1 / 0.1, rounded, would be 10
    assert (7 // cp.tensor([2, -2])).tolist() == [3, -4]


@pytest.mark.parametrize("f", [cp.hypot, cp.copysign, cp.maximum, cp.minimum, cp.atan2, cp.logaddexp])
def test_gradients(f: Any) -> None:
    random = np.random.default_rng(0)
    cp.check_gradients(f, random.standard_normal((2, 3)), random.standard_normal(3), order=2)


def test_gradients_at_kinks() -> None:
    for f in (cp.hypot, cp.copysign):
        by_x, by_y = cp.grad(f, argnums=(0, 1))(cp.tensor(0.0), cp.tensor(0.0))
        assert (by_x.item(), by_y.item()) == (0.0, 0.0)
    assert cp.grad(cp.std)(cp.tensor([3.0, 3.0])).tolist() == [0.0, 0.0]
    assert cp.grad(lambda x: cp.hypot(x, 1e30))(cp.tensor(1e30)).item() == pytest.approx(math.sqrt(0.5))


def test_integers_become_floats_where_they_must() -> None:
    i, j = cp.tensor([3, -5]), cp.tensor([4, 12])
    assert cp.hypot(i, j).tolist() == [5.0, 13.0]
    assert cp.copysign(j, i).tolist() == [4.0, -12.0]
    assert cp.copysign(2, cp.tensor([-1.0])).tolist() == [-2.0]
    assert cp.signbit(i).tolist() == [False, True]
    assert (+i).dtype is cp.int64
    with pytest.raises(cp.DTypeError, match="positive"):
        +cp.tensor([True])


def test_numbers_too_large_for_float32_are_infinite() -> None:
    same(cp.tensor([1e300, -1e300]), np.array([INF, -INF], np.float32))
    same(cp.asarray(1e300, dtype=cp.float32), np.array(INF, np.float32))
    same(cp.where([True], cp.tensor([1.0]), 1e300), np.array([1.0], np.float32))
    same(cp.arange(0.0, 4e38, 2e38), np.array([0.0, 2e38], np.float32))
    same(cp.arange(2e38, 8e38, 3e38), np.array([2e38, INF], np.float32))


# Choosing -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("f", [lambda x, n: cp.where(x > 9.0, x, n), lambda x, n: cp.where(x > 9.0, n, x)])
def test_where_takes_numbers_as_they_are(f: Any) -> None:
    """0.1 must not go through float32 on its way into float64, nor 5 be a truth value."""
    found = f(cp.tensor([1.0, 10.0], dtype=cp.float64), 0.1)
    assert found.dtype is cp.float64
    assert 0.1 in found.tolist()
    assert cp.where([True, False], cp.tensor([True, False]), 5).tolist() == [1, 5]
    assert cp.where([True], cp.tensor([1], dtype=cp.uint8), 2.5).dtype is cp.float32
    with pytest.raises(cp.DTypeError, match="300"):
        cp.where([True], cp.tensor([1], dtype=cp.uint8), 300)


@pytest.mark.parametrize("make", [cp.tensor, float], ids=["tensor", "number"])
def test_clip_and_nan(make: Any) -> None:
    x = cp.tensor([NAN, 1.0])
    same(cp.clip(x, make(0.0), make(2.0)), np.array([NAN, 1.0], np.float32))
    for bounds in ({"min": make(NAN)}, {"max": make(NAN)}):
        assert np.isnan(cp.clip(x, **bounds).numpy()).all()


def test_clip_broadcasts_and_keeps_the_dtype() -> None:
    x = cp.tensor([1, 5, 9], dtype=cp.int8)
    bounds = cp.tensor([[2], [6]], dtype=cp.int8)
    found = cp.clip(x, bounds, 7)
    assert found.tolist() == [[2, 5, 7], [6, 6, 7]]
    assert found.dtype is cp.int8
    assert cp.clip(x, max=bounds).tolist() == [[1, 2, 2], [1, 5, 6]]


# Spread ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2)])
@pytest.mark.parametrize("correction", [0, 1, 0.5])
@pytest.mark.parametrize("name", ["var", "std"])
def test_spread_against_numpy(name: str, correction: float, axis: Any) -> None:
    x, f = np.random.default_rng(0).standard_normal((2, 3, 4)), getattr(cp, name)
    for keepdims in (False, True):
        expected = getattr(np, name)(x, axis, ddof=correction, keepdims=keepdims)
        found = f(cp.tensor(x), axis=axis, correction=correction, keepdims=keepdims)
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12, strict=True)
    cp.check_gradients(lambda x: f(x, axis=axis, correction=correction), x, order=2)


def test_spread_of_too_few_numbers() -> None:
    for f in (cp.var, cp.std):
        assert math.isnan(f(cp.tensor([1.0, 2.0]), correction=2).item())
        assert math.isnan(f(cp.tensor([1.0, 2.0]), correction=3).item())
        assert math.isnan(f(cp.zeros(0)).item())
        assert f(cp.tensor([1, 3])).dtype is cp.float32
        assert math.isnan(f(cp.tensor([1.0, NAN])).item())
