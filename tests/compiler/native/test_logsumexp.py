"""The logarithm of a sum of exponentials, natively."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.compiler.native.layouts import half, layouts, numbers, shapes
from tests.compiler.native.protected import check
from tests.compiler.native.test_native import native, same

import clearprop as cp
from clearprop import primitives

TOLERANCE = {"float32": 1e-6, "float64": 1e-14}


@half
@given(shape=shapes, dtype=st.sampled_from(["float32", "float64"]), data=st.data())
def test_any_axes_of_any_view(shape: tuple[int, ...], dtype: str, data: Any) -> None:
    layout = data.draw(layouts(shape))
    axes = tuple(sorted(data.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1))))
    x = 5.0 * numbers(layout.stored, dtype)
    check(lambda x: primitives.logsumexp(layout.view(x), axes=axes), x.astype(dtype), rtol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("length", [1, 3, 10, 37])
def test_infinity_nan_and_large_numbers(dtype: str, length: int) -> None:
    """Row by row, and as columns: all -inf, some inf, both, NaN somewhere, and numbers whose exponentials overflow."""
    x = numbers((8, length), dtype)
    x[0] = -np.inf
    x[1, 0] = np.inf
    x[2] = np.resize([np.inf, -np.inf], length)
    x[3, -1] = np.nan
    x[4] += 1e4
    x[5] -= 1e4
    x[6] = np.finfo(dtype).max
    x[7] = -np.finfo(dtype).max
    with np.errstate(all="ignore"):
        check(lambda x: primitives.logsumexp(x, axes=(1,)), x, rtol=TOLERANCE[dtype])
        check(lambda x: primitives.logsumexp(x, axes=(0,)), np.ascontiguousarray(x.T), rtol=TOLERANCE[dtype])
        found = native(lambda x: primitives.logsumexp(x, axes=(1,)), x)([x])[0]
    assert [found[0], found[1], found[2]] == [-np.inf, np.inf, np.inf]
    assert np.isnan(found[3])


def test_a_loss_and_its_gradient() -> None:
    """All of cross-entropy is native."""
    f = cp.value_and_grad(lambda x, y: cp.functional.cross_entropy(x, y))
    x, labels = numbers((16, 10), "float32"), np.random.default_rng(0).integers(0, 10, 16)
    assert same(lambda x, y: list(f(x, y)), x, labels, rtol=1e-6).by_numpy() == []
