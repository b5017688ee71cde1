"""Positions of the largest and the smallest element, natively."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.compiler.native.layouts import dtypes, half, layouts, numbers, shapes
from tests.compiler.native.protected import check

import clearprop as cp


@half
@given(shape=shapes, dtype=dtypes.filter(lambda dtype: dtype != "bool"), ties=st.booleans(), data=st.data())
def test_any_axis_of_any_view(shape: tuple[int, ...], dtype: str, ties: bool, data: Any) -> None:
    layout, axis = data.draw(layouts(shape)), data.draw(st.integers(0, len(shape) - 1))
    x = numbers(layout.stored, dtype)
    if ties:
        x = (x > 0).astype(dtype)

    def both(x: Any) -> Any:
        return [f(layout.view(x), axis=axis) for f in (cp.argmax, cp.argmin)]

    check(both, x)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "uint64"])
@pytest.mark.parametrize("length", [1, 2, 15, 16, 17, 100])
def test_wherever_the_best_stands(dtype: str, length: int) -> None:
    """A row for each place; equal ones behind it; and the same as columns."""
    rows = np.zeros((length, length), dtype)
    rows[np.triu_indices(length)] = 3
    for x in (rows, 5 - rows):
        check(lambda x: [cp.argmax(x, axis=1), cp.argmin(x, axis=1), cp.argmax(x, axis=0), cp.argmin(x, axis=0)], x)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("length", [5, 40])
def test_nan_infinity_and_zeros(dtype: str, length: int) -> None:
    """The first NaN wins; infinities are numbers; 0.0 and -0.0 are equal."""
    values = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0], dtype)
    x = np.random.default_rng(0).choice(values, (60, length), p=[0.02, 0.02, 0.02, 0.44, 0.48, 0.02])
    x[0] = np.nan
    x[1] = -np.inf
    x[2] = np.inf
    check(lambda x: [cp.argmax(x, axis=1), cp.argmin(x, axis=1)], x)
    check(lambda x: [cp.argmax(x, axis=0), cp.argmin(x, axis=0)], np.ascontiguousarray(x.T))
