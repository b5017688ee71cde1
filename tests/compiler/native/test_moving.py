"""Joining, padding and reshaping, natively: any axes, dtypes and layouts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.compiler.native.layouts import dtypes, half, layouts, lengths, numbers, shapes
from tests.compiler.native.protected import check

import clearprop as cp


@half
@given(shape=shapes, dtype=dtypes, data=st.data())
def test_concat(shape: tuple[int, ...], dtype: str, data: Any) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    parts = data.draw(st.lists(st.one_of(st.just(0), lengths), min_size=2, max_size=4))
    given = [data.draw(layouts((*shape[:axis], n, *shape[axis + 1 :]))) for n in parts]
    xs = [numbers(layout.stored, dtype, i) for i, layout in enumerate(given)]
    if not sum(parts):
        return
    check(lambda *xs: cp.concat([g.view(x) for g, x in zip(given, xs, strict=True)], axis=axis), *xs)


def test_one_array_several_times() -> None:
    check(lambda x: cp.concat([x, x.mT, x[::-1]]), numbers((5, 5), "float64"))
    check(lambda x: cp.stack([x, x, x * 2.0], axis=-1), numbers((5, 3), "float64"))


@half
@given(shape=shapes, dtype=dtypes, data=st.data())
def test_pad(shape: tuple[int, ...], dtype: str, data: Any) -> None:
    widths = st.lists(st.sampled_from([0, 0, 1, 2, 5]), min_size=len(shape), max_size=len(shape)).map(tuple)
    before, after, between = (data.draw(widths) for _ in range(3))
    if data.draw(st.booleans()):
        between = (0,) * len(shape)
    layout = data.draw(layouts(shape))
    x = numbers(layout.stored, dtype)
    check(lambda x: cp.primitives.pad(layout.view(x), before=before, after=after, between=between), x)


def test_padding_of_nothing() -> None:
    check(lambda x: cp.primitives.pad(x, before=(2, 0), after=(1, 3), between=(0, 1)), np.ones((0, 4)))


@half
@given(shape=st.lists(lengths, min_size=2, max_size=4).map(tuple), dtype=dtypes, data=st.data())
def test_reshape_of_any_view(shape: tuple[int, ...], dtype: str, data: Any) -> None:
    layout = data.draw(layouts(shape))
    x = numbers(layout.stored, dtype)
    check(lambda x: cp.reshape(layout.view(x), (-1,)), x)


@pytest.mark.parametrize("shape", [(40, 50), (3, 40, 50), (64, 8), (5, 100), (100, 5), (9, 3)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "bool"])
def test_transposed_copies(shape: tuple[int, ...], dtype: str) -> None:
    check(lambda x: cp.reshape(x.mT, (-1,)), numbers(shape, dtype))
    check(lambda x: cp.reshape(cp.permute_dims(x, tuple(range(len(shape)))[::-1]), (-1,)), numbers(shape, dtype))


def test_a_copy_in_order_of_rows_serves_every_shape() -> None:
    def f(x: Any) -> Any:
        turned = cp.permute_dims(x, (1, 0, 2))
        flat, rows = turned.reshape(-1), turned.reshape(5, -1)
        return flat @ flat, rows @ rows.mT, turned.reshape(2, 5, 4) @ cp.ones((4, 1), dtype=x.dtype)

    program = check(f, np.random.default_rng(0).standard_normal((4, 5, 2)), rtol=1e-12)
    assert sum(kernel.nodes[0].name == "reshape" for kernel, _ in program.kernels()) == 1
