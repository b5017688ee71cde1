"""Running sums and products and linear recurrences, natively."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.compiler.native.layouts import half, layouts, numbers, shapes
from tests.compiler.native.protected import check
from tests.compiler.native.test_native import same

import clearprop as cp
from clearprop import primitives


@half
@given(shape=shapes, dtype=st.sampled_from(["float32", "float64", "int64", "uint8"]), data=st.data())
def test_sums_and_products(shape: tuple[int, ...], dtype: str, data: Any) -> None:
    """Equal to the bit: the order of the operations is the same."""
    layout, axis = data.draw(layouts(shape)), data.draw(st.integers(0, len(shape) - 1))

    def f(x: Any) -> Any:
        sums = [primitives.cumulative_sum(layout.view(x), axis=axis, reverse=reverse) for reverse in (False, True)]
        return [*sums, primitives.cumulative_prod(layout.view(x), axis=axis)]

    check(f, numbers(layout.stored, dtype))


@half
@given(shape=shapes, dtype=st.sampled_from(["float32", "float64"]), reverse=st.booleans(), data=st.data())
def test_linear_recurrences(shape: tuple[int, ...], dtype: str, reverse: bool, data: Any) -> None:
    one, other, axis = data.draw(layouts(shape)), data.draw(layouts(shape)), data.draw(st.integers(0, len(shape) - 1))
    check(
        lambda x, a: primitives.linear_recurrence(one.view(x), other.view(a), axis=axis, reverse=reverse),
        numbers(one.stored, dtype),
        np.tanh(numbers(other.stored, dtype, 1)),
        rtol=1e-5 if dtype == "float32" else 1e-12,
    )


@pytest.mark.parametrize("shape", [(300,), (9, 70), (70, 9), (3, 300), (2, 9, 33), (20, 200)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_long_rows_and_columns(shape: tuple[int, ...], dtype: str) -> None:
    x = numbers(shape, dtype)
    x.flat[5] = np.inf
    x.flat[-3] = np.nan
    for axis in range(len(shape)):
        check(lambda x: [cp.cumulative_sum(x, axis=axis), cp.cumulative_prod(x, axis=axis)], x)  # noqa: B023


def test_zeros_keep_their_signs() -> None:
    x = np.array([[-0.0, 0.0, -0.0], [-0.0, -0.0, -0.0]])
    compiled = same(lambda x: 1.0 / cp.cumulative_sum(x, axis=1), x, rtol=0)
    assert compiled([x])[0].tolist() == [[-np.inf, np.inf, np.inf], [-np.inf] * 3]
