"""Arrays that lie in memory in every way that views can make them lie."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

import clearprop as cp

default = settings.default
assert default is not None
half = settings(max_examples=default.max_examples // 2)
"""For tests that compile for each example: half as many of them as elsewhere."""


class Layout(NamedTuple):
    """A way to read an array of some shape out of another one."""

    stored: tuple[int, ...]
    view: Callable[[Any], Any]


@st.composite
def layouts(draw: Any, shape: tuple[int, ...]) -> Layout:
    """In order of rows; or with axes in another order, every second element, turned round, or repeated."""
    axes = range(len(shape))
    if not shape or draw(st.booleans()):
        return Layout(shape, lambda x: x)
    order = draw(st.permutations(axes))
    repeated = draw(st.sets(st.sampled_from(axes), max_size=1)) if draw(st.booleans()) else set()
    steps = [1 if i in repeated else draw(st.sampled_from([1, 1, 2])) for i in axes]
    turned = [i for i in axes if draw(st.booleans())]
    taken = [1 if i in repeated else n for i, n in enumerate(shape)]
    stored = tuple(taken[i] * steps[i] for i in order)

    def view(x: Any) -> Any:
        y = cp.permute_dims(x, tuple(order.index(i) for i in axes))
        y = y[tuple(slice(None, None, step) for step in steps)]
        y = cp.flip(y, axis=tuple(turned)) if turned else y
        return cp.broadcast_to(y, shape)

    return Layout(stored, view)


def numbers(shape: tuple[int, ...], dtype: str, seed: int = 0) -> Any:
    """Different ones, some negative where there are such."""
    random = np.random.default_rng(seed)
    if dtype == "bool":
        return random.integers(0, 2, shape) == 1
    if np.dtype(dtype).kind in "iu":
        return random.integers(0 if dtype.startswith("u") else -100, 100, shape).astype(dtype)
    return random.standard_normal(shape).astype(dtype)


lengths = st.sampled_from([1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33])
shapes = st.lists(lengths, min_size=1, max_size=3).map(tuple)
dtypes = st.sampled_from(["float32", "float64", "int64", "int8", "bool"])
