"""Random numbers: from a seed and a counter, equal everywhere, and distributed as they should be."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import clearprop as cp

N = 20_000


def generator(seed: int = 0) -> cp.random.Generator:
    return cp.random.Generator(seed)


DRAWS: list[Any] = [
    lambda g: cp.random.uniform((5,), generator=g),
    lambda g: cp.random.uniform((5,), dtype=cp.float64, generator=g),
    lambda g: cp.random.normal((5,), generator=g),
    lambda g: cp.random.bernoulli(0.3, (5,), generator=g),
    lambda g: cp.random.randint(0, 100, (5,), generator=g),
    lambda g: cp.random.permutation(5, generator=g),
]


@pytest.mark.parametrize("draw", DRAWS)
def test_the_same_seed_gives_the_same_numbers(draw: Any) -> None:
    assert draw(generator(3)).tolist() == draw(generator(3)).tolist()
    first = generator(3)
    assert draw(first).tolist() != draw(first).tolist() or draw(first).tolist() != draw(first).tolist()


@pytest.mark.parametrize("draw", DRAWS)
def test_a_saved_generator_goes_on_where_it_was(draw: Any) -> None:
    source = generator(3)
    draw(source)
    saved = source.state_dict()
    expected = draw(source).tolist()
    other = generator()
    other.load_state_dict(saved)
    assert draw(other).tolist() == expected


def test_default_generator() -> None:
    cp.random.seed(7)
    first = cp.random.uniform(3).tolist()
    cp.random.seed(7)
    assert cp.random.uniform(3).tolist() == first == cp.random.uniform(3, generator=generator(7)).tolist()


def test_first_numbers_are_those_of_the_published_block() -> None:
    """Bits of the vector 6627e8d5 …, cut to 24 bits."""
    words = [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    assert cp.random.uniform(4, generator=generator()).tolist() == [(word >> 8) * 2.0**-24 for word in words]


@pytest.mark.parametrize("dtype", [cp.float16, cp.float32, cp.float64])
def test_uniform(dtype: cp.DType) -> None:
    x = cp.random.uniform(N, dtype=dtype, generator=generator()).numpy().astype(np.float64)
    assert x.min() >= 0.0
    assert x.max() < 1.0
    counts = np.histogram(x, 20, (0, 1))[0]
    assert np.sum((counts - N / 20) ** 2 / (N / 20)) < 45.0  # chi² with 19 degrees of freedom, p < 0.001
    y = cp.random.uniform(N, -2.0, 3.0, generator=generator()).numpy()
    assert (y.min() >= -2.0, y.max() < 3.0, abs(y.mean() - 0.5) < 0.05) == (True, True, True)


@pytest.mark.parametrize("dtype", [cp.float32, cp.float64])
def test_normal(dtype: cp.DType) -> None:
    x = np.sort(cp.random.normal(N, dtype=dtype, generator=generator()).numpy().astype(np.float64))
    expected = np.array([0.5 * (1.0 + math.erf(value / math.sqrt(2.0))) for value in x])
    distance = np.max(np.abs(expected - (np.arange(N) + 0.5) / N))  # Kolmogorov and Smirnov
    assert distance < 1.95 / math.sqrt(N)
    y = cp.random.normal(N, 5.0, 2.0, generator=generator()).numpy()
    assert (abs(y.mean() - 5.0) < 0.06, abs(y.std() - 2.0) < 0.05) == (True, True)
    assert np.isfinite(x).all()


def test_bernoulli() -> None:
    x = cp.random.bernoulli(0.3, (N,), generator=generator())
    assert x.dtype is cp.bool
    assert abs(x.numpy().mean() - 0.3) < 0.015
    each = cp.random.bernoulli(cp.tensor([0.0, 1.0]), generator=generator())
    assert each.tolist() == [False, True]


def test_randint() -> None:
    x = cp.random.randint(-3, 4, (N,), generator=generator()).numpy()
    assert (x.min(), x.max(), x.dtype) == (-3, 3, np.int64)
    assert np.abs(np.bincount(x + 3) - N / 7).max() < 250
    assert cp.random.randint(5, 6, (3,), generator=generator()).tolist() == [5, 5, 5]
    wide = cp.random.randint(0, 2**32, (1000,), generator=generator()).numpy()
    assert wide.max() > 2**31


def test_permutation() -> None:
    orders = [tuple(cp.random.permutation(3, generator=generator(seed)).tolist()) for seed in range(300)]
    assert set(orders) == {(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)}
    assert sorted(cp.random.permutation(1000, generator=generator()).tolist()) == list(range(1000))
    assert cp.random.permutation(0, generator=generator()).shape == (0,)


def test_shapes() -> None:
    for shape in [(), 3, (2, 3), (0, 2)]:
        full = (shape,) if isinstance(shape, int) else shape
        for draw in (cp.random.uniform, cp.random.normal):
            assert draw(shape, generator=generator()).shape == full


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: cp.random.seed(-1), cp.errors.UsageError),
        (lambda: cp.random.Generator(2**64), cp.errors.UsageError),
        (lambda: cp.random.randint(3, 3), cp.errors.UsageError),
        (lambda: cp.random.randint(0, 2**33), cp.errors.UsageError),
        (lambda: cp.random.uniform(3, dtype=cp.int64), cp.DTypeError),
    ],
)
def test_what_cannot_be_drawn(call: Any, error: Any) -> None:
    with pytest.raises(error) as caught:
        call()
    assert caught.value.hint
