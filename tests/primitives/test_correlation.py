"""Cross-correlation by matrix products: every way of getting to a matrix gives the same, in bounded memory."""

from __future__ import annotations

import tracemalloc
from itertools import product
from typing import Any

import numpy as np
import pytest
from tests.primitives.table.convolution import moves

from clearprop import primitives
from clearprop.primitives import correlation
from clearprop.primitives.windows import Moves, output_lengths

Array = Any


def windows(x: Array, window: tuple[int, ...], by: Moves) -> Array:
    """Every place of the window, (N, C, *places, *window), taken from the padded image one after the other."""
    around = np.pad(x, [(0, 0), (0, 0), *by.padding])
    places = output_lengths(x.shape[2:], window, by)
    found = np.zeros((*x.shape[:2], *places, *window), x.dtype)
    for at in product(*map(range, places)):
        taps = [slice(s * i, s * i + d * k, d) for s, i, d, k in zip(by.stride, at, by.dilation, window, strict=True)]
        found[:, :, *at] = around[:, :, *taps]
    return found


def three_ways(x: Array, w: Array, y: Array, by: Moves) -> tuple[Array, Array, Array]:
    """The convolution and its two gradients: y from x and w, x from y and w, w from x and y; by einsum alone."""
    axes, groups = len(by.stride), by.groups
    seen = windows(x, w.shape[2:], by).reshape(x.shape[0], groups, -1, *y.shape[2:], *w.shape[2:])
    weights = w.reshape(groups, -1, *w.shape[1:])
    upstream = y.reshape(x.shape[0], groups, -1, *y.shape[2:])
    places, taps = "hijk"[:axes], "pqrs"[:axes]
    forward = np.einsum(f"ngc{places}{taps},goc{taps}->ngo{places}", seen, weights).reshape(y.shape)
    by_weights = np.einsum(f"ngc{places}{taps},ngo{places}->goc{taps}", seen, upstream).reshape(w.shape)
    spread = np.einsum(f"ngo{places},goc{taps}->ngc{places}{taps}", upstream, weights)
    spread = spread.reshape(*x.shape[:2], *y.shape[2:], *w.shape[2:])
    around = np.zeros((*x.shape[:2], *(n + low + high for n, (low, high) in zip(x.shape[2:], by.padding, strict=True))))
    for at in product(*map(range, y.shape[2:])):
        here = [
            slice(s * i, s * i + d * k, d) for s, i, d, k in zip(by.stride, at, by.dilation, w.shape[2:], strict=True)
        ]
        around[:, :, *here] += spread[:, :, *at]
    inside = [slice(low, low + n) for n, (low, _) in zip(x.shape[2:], by.padding, strict=True)]
    return forward, around[:, :, *inside], by_weights


def drawn(random: np.random.Generator) -> tuple[tuple[int, ...], tuple[int, ...], Moves]:
    """Shapes of image and weights, and moves, that fit together."""
    while True:
        axes, groups = int(random.choice([1, 2, 2, 3])), int(random.choice([1, 1, 2, 3]))
        inside, outputs = int(random.choice([1, 2, 3, 8, 9])), int(random.choice([1, 2, 4]))
        longest = 7 if axes == 3 else 11
        lengths, window = (tuple(int(n) for n in random.integers(1, top, axes)) for top in (longest, 5 - axes // 3))
        stride, dilation = (tuple(int(n) for n in random.choice([1, 1, 2, 3, 4], axes)) for _ in range(2))
        low, high = (random.integers(0, 4, axes) for _ in range(2))
        by = Moves(stride, tuple((int(a), int(b)) for a, b in zip(low, high, strict=True)), dilation, groups)
        if min(output_lengths(lengths, window, by)) >= 1:
            count = int(random.integers(1, 6))
            return (count, groups * inside, *lengths), (groups * outputs, inside, *window), by


def laid_out(x: Array, random: np.random.Generator) -> Array:
    """The same numbers, in one of several orders in memory."""
    choice = random.integers(3)
    if choice == 0:
        return x
    if choice == 1:
        return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    return x[..., ::-1].copy()[..., ::-1]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(("block", "largest", "rows"), [(1 << 20, 1 << 24, 16), (200, 100, 1), (1, 1, 1)])
def test_all_ways_give_the_same(seed: int, block: int, largest: int, rows: int, monkeypatch: Any) -> None:
    """Small limits cut the work into many blocks, down to single rows of an image."""
    monkeypatch.setattr(correlation, "_BLOCK", block)
    monkeypatch.setattr(correlation, "_LARGEST", largest)
    monkeypatch.setattr(correlation, "_FEW_ROWS", rows)
    random = np.random.default_rng(seed)
    for _ in range(20):
        of_x, of_w, by = drawn(random)
        of_y = (of_x[0], of_w[0], *output_lengths(of_x[2:], of_w[2:], by))
        x, w, y = (laid_out(random.uniform(-1.0, 1.0, shape), random) for shape in (of_x, of_w, of_y))
        found = (
            primitives.convolution(x, w, moves=by),
            primitives.convolution_data_gradient(y, w, lengths=of_x[2:], moves=by),
            primitives.convolution_weight_gradient(x, y, window=of_w[2:], moves=by),
        )
        for one, expected in zip(found, three_ways(x, w, y, by), strict=True):
            np.testing.assert_allclose(one, expected, rtol=1e-11, atol=1e-12, err_msg=f"{of_x} {of_w} {by}")


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.int16])
def test_dtypes_are_kept(dtype: Any) -> None:
    x, w = np.ones((1, 3, 4, 4), dtype), np.full((2, 3, 2, 2), 2, dtype)
    z = primitives.convolution(x, w, moves=moves(2))
    assert z.dtype == dtype
    assert (z == 24).all()


def test_channels_are_last_in_memory() -> None:
    """So the next convolution need not turn the image."""
    x, w = np.ones((2, 8, 5, 5)), np.ones((8, 8, 3, 3))
    z = primitives.convolution(x, w, moves=moves(2))
    assert np.moveaxis(z, 1, -1).flags.c_contiguous
    again = primitives.convolution_data_gradient(z, w, lengths=(5, 5), moves=moves(2))
    assert np.moveaxis(again, 1, -1).flags.c_contiguous
    assert primitives.convolution_weight_gradient(x, z, window=(3, 3), moves=moves(2)).flags.c_contiguous


def test_a_window_of_one_element_copies_nothing() -> None:
    """Of images in either order: what is allocated is the output alone, and the small matrix of weights."""
    w = np.ones((4, 64, 1, 1), np.float32)
    for x in (np.ones((32, 64, 16, 16), np.float32), np.ones((32, 16, 16, 64), np.float32).transpose(0, 3, 1, 2)):
        assert peak(x, w, moves(2)) < 32 * 4 * 16 * 16 * 4 + 100_000


@pytest.mark.parametrize(
    ("x", "w"),
    [
        ((64, 3, 48, 48), (4, 3, 9, 9)),  # images as matrices
        ((64, 32, 48, 48), (4, 32, 9, 9)),  # rows
        ((1, 3, 256, 256), (2, 3, 11, 11)),  # one image larger than a block
    ],
)
def test_memory_stays_bounded(x: tuple[int, ...], w: tuple[int, ...], monkeypatch: Any) -> None:
    """All windows together would take many times what is allowed here."""
    monkeypatch.setattr(correlation, "_LARGEST", 1 << 20)
    image, weights = np.ones(x, np.float32), np.ones(w, np.float32)
    output = x[0] * w[0] * (x[2] - w[2] + 1) * (x[3] - w[3] + 1) * 4
    everything = output // w[0] * int(np.prod(w[1:]))
    assert peak(image, weights, moves(2)) < output + 12_000_000 < everything / 4


def peak(x: Array, w: Array, by: Moves) -> int:
    """The most bytes that a convolution had allocated at one time."""
    tracemalloc.start()
    primitives.convolution(x, w, moves=by)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most
