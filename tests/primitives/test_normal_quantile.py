"""The quantiles of the normal distribution against those of Python's statistics module, and far into the tail."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from clearprop.primitives.special import normal_quantile_array


def test_where_python_has_them_too() -> None:
    p = np.concatenate([np.linspace(0.001, 0.999, 3001), 10.0 ** -np.arange(1, 308), 1.0 - 10.0 ** -np.arange(1, 16)])
    expected = np.array([NormalDist().inv_cdf(one) for one in p])
    np.testing.assert_allclose(normal_quantile_array(p), expected, rtol=2e-15)


def test_they_undo_the_distribution_function() -> None:
    x = np.linspace(-37.0, 5.0, 2001)
    below = np.array([math.erfc(-one / math.sqrt(2.0)) / 2.0 for one in x])
    np.testing.assert_allclose(normal_quantile_array(below), x, rtol=1e-10, atol=1e-14)


def test_special_values() -> None:
    found = normal_quantile_array([0.0, 0.5, 1.0, -0.1, 1.1, math.nan])
    np.testing.assert_array_equal(found, [-math.inf, 0.0, math.inf, math.nan, math.nan, math.nan])
