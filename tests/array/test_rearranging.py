"""Repeated, rolled, tiled, taken apart, spread out; diagonals and triangles: against NumPy, with gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import clearprop as cp

X = np.random.default_rng(0).standard_normal((2, 3, 4))
AXES = [None, 0, 1, 2, -1, -3]


def same(found: Any, expected: Any) -> None:
    np.testing.assert_array_equal(np.asarray(found), np.asarray(expected), strict=True)


def agree(f: Any, reference: Any, x: Any = X) -> None:
    """Value, gradients to second order, and one example at a time."""
    same(f(cp.tensor(x)), reference(x))
    cp.check_gradients(lambda x: cp.sin(f(x)), x, order=2)
    same(cp.vmap(f)(np.stack([x, 2 * x])), np.stack([reference(x), reference(2 * x)]))


# Repeat, roll, tile ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", AXES)
def test_repeat(axis: Any) -> None:
    for repeats in (0, 1, 3):
        agree(lambda x, n=repeats: cp.repeat(x, n, axis=axis), lambda x, n=repeats: np.repeat(x, n, axis))
    counts = np.arange(X.size if axis is None else X.shape[axis]) % 3
    for repeats in (counts, counts.astype(np.uint8), np.array([2])):
        agree(lambda x, n=repeats: cp.repeat(x, n, axis=axis), lambda x, n=repeats: np.repeat(x, n, axis))
    same(cp.repeat(X, cp.tensor(counts), axis=axis), np.repeat(X, counts, axis))
    same(cp.repeat(X, counts.tolist(), axis=axis), np.repeat(X, counts, axis))


def test_wrong_repeats() -> None:
    with pytest.raises(cp.ShapeError, match=r"shape \(2,\) for 3 elements"):
        cp.repeat(X, [1, 2], axis=1)
    with pytest.raises(cp.RangeError, match="-1 times"):
        cp.repeat(X, -1)
    with pytest.raises(cp.DTypeError, match="whole numbers"):
        cp.repeat(X, 1.5)


@given(st.integers(-9, 9))
def test_roll_one_axis(shift: int) -> None:
    for axis in AXES:
        same(cp.roll(X, shift, axis=axis), np.roll(X, shift, axis))


def test_roll_several_axes() -> None:
    agree(lambda x: cp.roll(x, (1, -2), axis=(0, 2)), lambda x: np.roll(x, (1, -2), (0, 2)))
    agree(lambda x: cp.roll(x, 5, axis=(1, -1)), lambda x: np.roll(x, 5, (1, -1)))
    agree(lambda x: cp.roll(x, 5), lambda x: np.roll(x, 5))
    same(cp.roll(np.zeros((0, 2)), 3, axis=0), np.zeros((0, 2)))
    same(cp.roll(1.5, 3), np.float32(1.5))


def test_wrong_shifts() -> None:
    with pytest.raises(cp.ShapeError, match=r"shifts \(1, 2\) without axes"):
        cp.roll(X, (1, 2))
    with pytest.raises(cp.ShapeError, match="2 shifts"):
        cp.roll(X, (1, 2), axis=0)


@pytest.mark.parametrize("repetitions", [(), (2,), (1, 3), (2, 1, 2), (2, 1, 3, 1), (0, 2), (1, 1, 1)], ids=str)
def test_tile(repetitions: tuple[int, ...]) -> None:
    agree(lambda x: cp.tile(x, repetitions), lambda x: np.tile(x, repetitions))
    same(cp.tile(2.0, repetitions), np.tile(np.float32(2.0), repetitions))
    same(cp.tile(X, 2), np.tile(X, 2))


def test_tile_a_negative_number_of_times() -> None:
    with pytest.raises(cp.RangeError, match="repetitions"):
        cp.tile(X, (2, -1))


# Unstack, stack, meshgrid, moveaxis -----------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3])
def test_unstack_undoes_stack(axis: int) -> None:
    parts = cp.unstack(X, axis=axis)
    assert isinstance(parts, tuple)
    assert len(parts) == X.shape[axis]
    for i, part in enumerate(parts):
        same(part, np.take(X, i, axis))
    same(cp.stack(parts, axis=axis), X)
    cp.check_gradients(lambda x: cp.unstack(x, axis=axis)[1] ** 2, X, order=2)


def test_unstack_a_number() -> None:
    with pytest.raises(cp.ShapeError, match="unstack: axis 0"):
        cp.unstack(1.0)


@pytest.mark.parametrize("indexing", ["xy", "ij"])
def test_meshgrid(indexing: Any) -> None:
    vectors = [np.arange(n) * 1.5 for n in (2, 3, 4, 0)]
    for count in range(1, 5):
        found = cp.meshgrid(*vectors[:count], indexing=indexing)
        assert isinstance(found, list)
        for one, expected in zip(found, np.meshgrid(*vectors[:count], indexing=indexing), strict=True):
            same(one, expected)
    assert cp.meshgrid(indexing=indexing) == []
    x, y = np.arange(2.0), np.arange(3.0)
    cp.check_gradients(lambda x, y: cp.sin(cp.multiply(*cp.meshgrid(x, y, indexing=indexing))), x, y, order=2)


def test_wrong_grids() -> None:
    with pytest.raises(cp.ShapeError, match=r"array 1 has shape \(2, 3, 4\)"):
        cp.meshgrid([1.0], X)
    with pytest.raises(cp.UsageError, match="indexing='ji'"):
        cp.meshgrid([1.0], indexing="ji")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("source", "destination"), [(0, 2), (-1, 0), ((0, 1), (1, 2)), ((2, 0), (0, 1)), ([-1, 0], [0, -1]), ((), ())],
    ids=str,
)  # fmt: skip
def test_moveaxis(source: Any, destination: Any) -> None:
    agree(lambda x: cp.moveaxis(x, source, destination), lambda x: np.moveaxis(x, source, destination))


def test_wrong_moves() -> None:
    with pytest.raises(cp.ShapeError, match=r"2 axes .* cannot go to 1 places"):
        cp.moveaxis(X, (0, 1), 0)
    with pytest.raises(cp.ShapeError, match="names an axis twice"):
        cp.moveaxis(X, (0, 1), (2, -1))
    with pytest.raises(cp.ShapeError, match="axis 3"):
        cp.moveaxis(X, 3, 0)


# Diagonals and triangles ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [0, 1, 3, 4, 9, -1, -2, -3, -9])
@pytest.mark.parametrize("shape", [(2, 3, 4), (4, 3), (2, 2), (0, 3), (3, 0)], ids=str)
def test_diagonals_and_triangles(shape: tuple[int, ...], offset: int) -> None:
    x = np.random.default_rng(1).standard_normal(shape)
    agree(lambda x: cp.diagonal(x, offset=offset), lambda x: np.diagonal(x, offset, -2, -1), x)
    agree(lambda x: cp.tril(x, k=offset), lambda x: np.tril(x, offset), x)
    agree(lambda x: cp.triu(x, k=offset), lambda x: np.triu(x, offset), x)


def test_triangles_keep_dtypes_and_drop_infinities() -> None:
    for dtype in ("bool", "int8", "uint64", "float16", "float32"):
        x = np.ones((3, 3), dtype)
        same(cp.tril(x), np.tril(x))
        same(cp.triu(x), np.triu(x))
    same(cp.tril([[1.0, np.nan], [2.0, 3.0]]), np.array([[1.0, 0.0], [2.0, 3.0]], np.float32))


@pytest.mark.parametrize("f", [cp.diagonal, cp.tril, cp.triu])
def test_what_is_no_matrix_has_no_diagonal(f: Any) -> None:
    with pytest.raises(cp.ShapeError, match=r"shape \(2,\) is no matrix"):
        f([1.0, 2.0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cp.roll(X, 1.5), "roll: shift=1.5"),
        (lambda: cp.roll(X, (1, "a"), axis=(0, 1)), "roll: shift="),
        (lambda: cp.roll(X, 1, axis=0.5), "roll: axis=0.5"),
        (lambda: cp.tile(X, (1.5,)), "tile: repetitions="),
        (lambda: cp.diff(X, n=1.5), "diff: n=1.5"),
        (lambda: cp.topk(X, "a"), "topk: k='a'"),
        (lambda: cp.one_hot([1], None), "one_hot: num_classes=None"),
        (lambda: cp.diagonal(X, offset=0.5), "diagonal: offset=0.5"),
        (lambda: cp.tril(X, k=0.5), "tril: k=0.5"),
        (lambda: cp.triu(X, k=0.5), "triu: k=0.5"),
        (lambda: cp.tensordot(X, X, axes=1.5), "tensordot: axes=1.5"),
        (lambda: cp.tensordot(X, X, axes=(1, 1)), "tensordot: axes="),
        (lambda: cp.sort(X, axis="a"), "sort: 'a' is no axis"),
        (lambda: cp.argsort(X, axis=None), "argsort: None is no axis"),
        (lambda: cp.cumulative_sum(X, axis=(0, 1)), "cumulative_sum:"),
        (lambda: cp.cumulative_prod(X, axis=0.0), "cumulative_prod: 0.0 is no axis"),
        (lambda: cp.vecdot(X, X, axis=0.5), "vecdot: 0.5 is no axis"),
    ],
)
def test_arguments_that_are_no_whole_numbers(call: Any, message: str) -> None:
    with pytest.raises(cp.DTypeError) as caught:
        call()
    assert caught.value.message.startswith(message)
