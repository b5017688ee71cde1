"""The error function, which NumPy does not have, against the one of Python's math module, over its whole range."""

from __future__ import annotations

import math

import numpy as np
import pytest

import clearprop as cp

ULPS = 4
"""Units in the last place by which the two may differ; Cody's approximations have some 2."""


def erf_of(x: np.ndarray) -> np.ndarray:
    return np.asarray(cp.erf(cp.asarray(x)).numpy())


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 0.5), (0.5, 1.0), (1.0, 4.0), (4.0, 6.0), (6.0, 40.0)], ids=lambda end: f"{end:g}"
)
def test_within_a_few_ulps(low: float, high: float) -> None:
    x = np.concatenate([np.linspace(low, high, 4001), -np.linspace(low, high, 4001)])
    expected = np.array([math.erf(value) for value in x])
    assert np.max(np.abs(erf_of(x) - expected) / np.spacing(np.abs(expected))) <= ULPS


def test_tiny_numbers_keep_their_relative_accuracy() -> None:
    x = np.array([10.0**-k for k in range(1, 308)] + [5e-324])
    expected = np.array([math.erf(value) for value in x])
    assert np.max(np.abs(erf_of(x) - expected) / np.spacing(expected)) <= ULPS


def test_special_values() -> None:
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan])
    found = erf_of(x)
    np.testing.assert_array_equal(found, [0.0, -0.0, 1.0, -1.0, np.nan])
    np.testing.assert_array_equal(np.signbit(found[:2]), [False, True])


def test_borders_of_the_three_ranges() -> None:
    for border in (0.5, 4.0, 6.0):
        x = np.array([np.nextafter(border, 0.0), border, np.nextafter(border, 9.0)])
        assert np.all(np.diff(erf_of(x)) >= -np.spacing(1.0))
        np.testing.assert_allclose(erf_of(x), [math.erf(value) for value in x], rtol=1e-15)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_lower_precisions_are_correctly_rounded_almost_everywhere(dtype: type) -> None:
    x = np.linspace(-5.0, 5.0, 1001).astype(dtype)
    expected = np.array([math.erf(value) for value in x]).astype(dtype)
    found = erf_of(x)
    assert found.dtype == dtype
    assert np.mean(found == expected) > 0.999
