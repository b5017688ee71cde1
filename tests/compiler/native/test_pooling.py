"""Pooling, natively: any window, padding, stride and dilation, over images of any layout."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.compiler.native.layouts import half, layouts, numbers
from tests.compiler.native.protected import check
from tests.compiler.native.test_native import same

import clearprop as cp
from clearprop import functional, primitives
from clearprop.errors import ShapeError
from clearprop.primitive import Spec
from clearprop.primitives.windows import Moves, output_lengths


@st.composite
def settings(draw: Any) -> tuple[tuple[int, ...], tuple[int, ...], Moves]:
    """Lengths of an image, a window, and how it moves."""
    axes = draw(st.integers(1, 3))
    small = st.integers(1, 3)
    window = tuple(draw(st.sampled_from([1, 2, 2, 3, 3, 4, 5])) for _ in range(axes))
    dilation = tuple(draw(st.sampled_from([1, 1, 1, 2])) for _ in range(axes))
    padding = tuple((draw(st.integers(0, size)), draw(st.integers(0, size))) for size in window)
    spread = [step * (size - 1) + 1 for size, step in zip(window, dilation, strict=True)]
    longest = 40 if axes == 1 else 20 if axes == 2 else 6
    lengths = [draw(st.integers(max(1, need - sum(pair)), longest)) for need, pair in zip(spread, padding, strict=True)]
    return tuple(lengths), window, Moves(tuple(draw(small) for _ in range(axes)), padding, dilation)


dtypes = st.sampled_from(["float32", "float64", "int32", "int8"])


@half
@given(setting=settings(), dtype=dtypes, special=st.booleans(), data=st.data())
def test_maxima_and_their_positions(setting: Any, dtype: str, special: bool, data: Any) -> None:
    lengths, window, moves = setting
    layout = data.draw(layouts((data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3)), *lengths)))
    x = numbers(layout.stored, dtype)
    if special and np.dtype(dtype).kind == "f":
        x = np.random.default_rng(0).choice(np.array([np.nan, np.inf, -np.inf, 0.0, 1.0], dtype), layout.stored)
    elif special:
        x = np.full_like(x, np.iinfo(dtype).min)
    try:
        primitives.max_pool.shape(Spec((1, 1, *lengths), x.dtype), window=window, moves=moves)
    except ShapeError:  # a place in the padding alone
        assume(False)

    def f(x: Any) -> Any:
        pools = primitives.max_pool, primitives.max_pool_positions
        return [pool(layout.view(x), window=window, moves=moves) for pool in pools]

    check(f, x)


@half
@given(setting=settings(), dtype=dtypes, data=st.data())
def test_sums_and_their_transpose(setting: Any, dtype: str, data: Any) -> None:
    lengths, window, moves = setting
    batch = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    images = data.draw(layouts((*batch, *lengths)))
    rtol = 1e-4 if dtype == "float32" else 1e-11
    x = numbers(images.stored, dtype)
    check(lambda x: primitives.sum_pool(images.view(x), window=window, moves=moves), x, rtol=rtol)
    places = data.draw(layouts((*batch, *output_lengths(lengths, window, moves))))
    g = numbers(places.stored, dtype)
    check(lambda g: primitives.spread_pool(places.view(g), lengths=lengths, window=window, moves=moves), g, rtol=rtol)


def test_a_window_in_the_padding_alone() -> None:
    moves = Moves((1, 1), ((3, 0), (0, 4)), (1, 1))
    check(lambda x: primitives.sum_pool(x, window=(2, 2), moves=moves), numbers((2, 2, 3, 17), "float64"), rtol=1e-12)


def test_a_large_window() -> None:
    moves = Moves((3, 2), ((8, 8), (8, 8)), (1, 1))
    x = numbers((1, 2, 33, 35), "float32")
    check(lambda x: primitives.max_pool(x, window=(17, 17), moves=moves), x)
    check(lambda x: primitives.max_pool_positions(x, window=(17, 17), moves=moves), x)
    check(lambda x: primitives.sum_pool(x, window=(17, 17), moves=moves), x, rtol=1e-4)


@pytest.mark.parametrize("pool", [functional.max_pool2d, functional.avg_pool2d])
@pytest.mark.parametrize("window", [(2, 2, 0), (3, 2, 1), (3, 1, 1), (2, 1, 0)])
def test_gradients(pool: Any, window: tuple[int, int, int]) -> None:
    """The gradient by the image, whose positions need no check."""
    size, stride, padding = window
    f = cp.value_and_grad(lambda x: (pool(x, size, stride, padding) ** 2).sum())
    x = numbers((2, 3, 9, 18), "float64")
    compiled = same(lambda x: list(f(x)), x)
    assert not {"max_pool", "max_pool_positions", "sum_pool", "spread_pool"} & set(compiled.by_numpy())
    assert not any(getattr(made, "may_fail", False) for made in compiled._writers.values())


@half
@given(
    counts=st.lists(st.integers(1, 19), min_size=1, max_size=3),
    window=st.tuples(*[st.sampled_from([1, 2, 2, 3, 4])] * 3),
    dtype=st.sampled_from(["float32", "float64"]),
    data=st.data(),
)
def test_the_gradient_of_maxima_whose_windows_cover_the_image(
    counts: list[int], window: tuple[int, ...], dtype: str, data: Any
) -> None:
    """Each element is written once. Equal elements, NaN and -0 are among them."""
    counts = counts if len(counts) < 3 else [min(n, 5) for n in counts]
    window, axes = window[: len(counts)], len(counts)
    lengths = tuple(n * size for n, size in zip(counts, window, strict=True))
    moves = Moves(window, ((0, 0),) * axes, (1,) * axes)
    shape = (2, data.draw(st.integers(1, 3)), *lengths)
    image, upstream = data.draw(layouts(shape)), data.draw(layouts((*shape[:2], *counts)))
    x = np.random.default_rng(0).choice(np.array([np.nan, 0.0, 1.0, 2.0, 3.0], dtype), image.stored)
    g = numbers(upstream.stored, dtype)
    g.flat[:: max(1, g.size // 3)] = -0.0

    def f(x: Any, g: Any) -> Any:
        return primitives.max_pool.vjp_x(upstream.view(g), image.view(x), shape, window, moves)

    compiled = check(f, x, g)
    (found,) = compiled([x, g])
    assert not np.signbit(found[found == 0]).any()
