"""Sorting, positions that sort, the k best, places in what is sorted: against NumPy and Python, with gradients."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import clearprop as cp

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((3, 5, 4))
TIES = RANDOM.integers(0, 3, (3, 5, 4))
AXES = [0, 1, 2, -1, -3]


def same(found: Any, expected: Any) -> None:
    np.testing.assert_array_equal(np.asarray(found), np.asarray(expected), strict=True)


def by_python(row: np.ndarray[Any, Any], descending: bool) -> np.ndarray[Any, Any]:
    """Positions that sort: Python's sort is stable both ways. NaN is larger than every number."""
    values = row.tolist()

    def key(i: int) -> tuple[bool, Any]:
        is_nan = values[i] != values[i]
        return is_nan, 0.0 if is_nan else values[i]

    return np.array(sorted(range(len(values)), key=key, reverse=descending), np.int64)


# Sort and argsort -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", AXES)
def test_ascending_is_numpys(axis: int) -> None:
    for x in (X, TIES, TIES > 1, X.astype(np.float32), TIES.astype(np.uint8)):
        same(cp.sort(x, axis=axis), np.sort(x, axis))
        same(cp.argsort(x, axis=axis), np.argsort(x, axis, kind="stable"))


@pytest.mark.parametrize("axis", AXES)
def test_descending_is_stable(axis: int) -> None:
    for x in (X, TIES, TIES > 1):
        order = np.apply_along_axis(by_python, axis, x, True)
        same(cp.argsort(x, axis=axis, descending=True), order)
        same(cp.sort(x, axis=axis, descending=True), np.take_along_axis(x, order, axis))


@pytest.mark.parametrize("descending", [False, True])
@given(st.lists(st.sampled_from([0.0, -0.0, 1.0, -1.0, math.nan, math.inf, -math.inf, 2.5]), max_size=12))
def test_special_values(descending: bool, values: list[float]) -> None:
    """NaN is the largest; 0.0 and -0.0 are equal and keep their order."""
    x = np.array(values, np.float64)
    order = by_python(x, descending) if values else np.zeros(0, np.int64)
    same(cp.argsort(x, descending=descending), order)
    found = cp.sort(x, descending=descending).numpy()
    same(found, x[order])
    same(np.signbit(found), np.signbit(x[order]))


def test_nan_is_last_and_in_descending_order_first() -> None:
    same(cp.sort([2.0, math.nan, 1.0]), np.array([1.0, 2.0, math.nan], np.float32))
    same(cp.sort([2.0, math.nan, 1.0], descending=True), np.array([math.nan, 2.0, 1.0], np.float32))


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("shape", [(6000,), (20, 300), (2, 5, 500)])
def test_long_rows(shape: tuple[int, ...], descending: bool) -> None:
    """Where the quick algorithm is tried first: rows without ties, with some, with many, and with NaN."""
    random = np.random.default_rng(1)
    distinct = random.permutation(math.prod(shape)).reshape(shape).astype(np.float64)
    for x in (
        distinct,
        np.round(distinct / 3),
        np.round(distinct / 300),
        np.where(distinct % 7 == 0, np.nan, distinct),
    ):
        order = np.apply_along_axis(by_python, -1, x, descending)
        same(cp.argsort(x, descending=descending), order)
        same(cp.sort(x, descending=descending), np.take_along_axis(x, order, -1))


def test_an_unstable_order_sorts_too() -> None:
    for descending in (False, True):
        order = cp.argsort(TIES, axis=1, descending=descending, stable=False)
        same(cp.take_along_axis(TIES, order, axis=1), cp.sort(TIES, axis=1, descending=descending))
        same(cp.sort(order, axis=1), np.broadcast_to(np.arange(5)[:, None], TIES.shape))


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("axis", AXES)
def test_gradients_of_sort(axis: int, descending: bool) -> None:
    cp.check_gradients(lambda x: cp.sin(cp.sort(x, axis=axis, descending=descending)), X, order=2)


def test_each_gradient_goes_to_where_its_number_came_from() -> None:
    x = cp.tensor([2.0, 2.0, 1.0], requires_grad=True)
    (cp.sort(x, descending=True) * [10.0, 20.0, 30.0]).sum().backward()
    assert x.grad is not None
    same(x.grad, np.array([10.0, 20.0, 30.0], np.float32))  # of equal ones the first comes first


def test_median_has_a_gradient() -> None:
    g = cp.grad(lambda x: cp.sort(x)[2])(cp.tensor([5.0, 1.0, 4.0, 2.0, 3.0]))
    same(g, np.array([0.0, 0.0, 0.0, 0.0, 1.0], np.float32))


def test_sorting_inside_vmap() -> None:
    for f in (cp.sort, cp.argsort):
        same(cp.vmap(lambda x, f=f: f(x, axis=0, descending=True))(X), f(X, axis=1, descending=True))
    gradients = cp.vmap(cp.grad(lambda x: (cp.sort(x, axis=-1) ** 2)[:, 0].sum()))(cp.tensor(X))
    same(gradients, np.where(X.min(-1, keepdims=True) == X, 2 * X, 0.0))


@pytest.mark.parametrize("f", [cp.sort, cp.argsort, lambda x, axis: cp.topk(x, 1, axis)])
def test_axes_that_do_not_exist(f: Any) -> None:
    with pytest.raises(cp.ShapeError, match="axis 3"):
        f(X, axis=3)
    with pytest.raises(cp.ShapeError, match="axis"):
        f(1.0, axis=-1)


# The k best -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("axis", AXES)
def test_topk(axis: int, largest: bool) -> None:
    for x in (X, TIES, TIES > 1):
        for k in range(x.shape[axis] + 1):
            values, indices = cp.topk(x, k, axis, largest=largest)
            order = np.apply_along_axis(by_python, axis, x, largest)
            expected = np.take(order, np.arange(k), axis)
            same(indices, expected)
            same(values, np.take_along_axis(x, expected, axis))


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("k", [1, 7, 100])
def test_few_of_many(k: int, largest: bool) -> None:
    """Where not everything is sorted: rows without ties, ties among the best, all equal, NaN among them."""
    random = np.random.default_rng(2)
    distinct = random.permutation(2000).reshape(2, 2, 500).astype(np.float32)
    with_nan = np.where(distinct % 50 == 0, np.nan, distinct)
    for x in (distinct, np.round(distinct / 100), np.zeros_like(distinct), with_nan, (distinct / 9).astype(np.int16)):
        expected = np.apply_along_axis(by_python, -1, x, largest)[..., :k]
        found = cp.topk(x, k, largest=largest)
        same(found.indices, expected)
        same(found.values, np.take_along_axis(x, expected, -1))


def test_gradients_of_topk() -> None:
    for largest in (True, False):
        cp.check_gradients(lambda x, largest=largest: cp.exp(cp.topk(x, 2, 1, largest=largest).values), X, order=2)
    x = cp.tensor([1.0, 3.0, 3.0], requires_grad=True)
    cp.topk(x, 1).values.sum().backward()
    assert x.grad is not None
    same(x.grad, np.array([0.0, 1.0, 0.0], np.float32))
    assert not cp.topk(x, 2).indices.requires_grad


def test_topk_inside_vmap() -> None:
    found = cp.vmap(lambda x: cp.topk(x, 2, 0))(X)
    same(found[0], cp.topk(X, 2, 1).values)
    same(found[1], cp.topk(X, 2, 1).indices)


def test_wrong_numbers_of_best() -> None:
    for k in (6, -1):
        with pytest.raises(cp.ShapeError, match=f"k={k} elements of axis 1 of a tensor of shape \\(3, 5, 4\\)"):
            cp.topk(X, k, 1)
    with pytest.raises(cp.DTypeError, match=r"topk: k=1\.5 is not a whole number"):
        cp.topk(X, 1.5)  # type: ignore[arg-type]


# Places in what is sorted ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["left", "right"])
def test_searchsorted(side: Any) -> None:
    for x in (np.sort(X[0, 0]), np.sort(TIES.reshape(-1)), np.array([1.0, 2.0, np.nan, np.nan])):
        for wanted in (X.astype(x.dtype), x, x[:1].reshape(()), np.zeros((0, 2), x.dtype), x[::-1]):
            same(cp.searchsorted(x, wanted, side=side), np.searchsorted(x, wanted, side))


def test_searchsorted_with_a_sorter() -> None:
    x = X[:, 0, 0]
    same(cp.searchsorted(x, X, sorter=cp.argsort(x)), np.searchsorted(np.sort(x), X))


def test_searchsorted_promotes() -> None:
    same(cp.searchsorted([1, 2, 3], np.array([2.5, 0.0])), np.array([2, 0]))


def test_searchsorted_inside_vmap() -> None:
    rows, wanted = np.sort(X[0], -1), X[1]
    expected = np.stack([np.searchsorted(row, w) for row, w in zip(rows, wanted, strict=True)])
    same(cp.vmap(cp.searchsorted)(rows, wanted), expected)
    same(cp.vmap(cp.searchsorted, in_axes=(None, 0))(rows[0], wanted), np.searchsorted(rows[0], wanted))
    same(
        cp.vmap(cp.searchsorted, in_axes=(0, None))(rows, wanted), np.stack([np.searchsorted(r, wanted) for r in rows])
    )


def test_searchsorted_in_what_cannot_be_searched() -> None:
    with pytest.raises(cp.ShapeError, match="must be a vector"):
        cp.searchsorted(X, 1.0)
    with pytest.raises(cp.UsageError, match="side='middle'"):
        cp.searchsorted([1.0], 1.0, side="middle")  # type: ignore[arg-type]
    with pytest.raises(cp.ShapeError, match="sorter has shape"):
        cp.searchsorted([1.0, 2.0], 1.0, sorter=[0])
    with pytest.raises(cp.DTypeError, match="takes positions"):
        cp.searchsorted([1.0, 2.0], 1.0, sorter=[0.0, 1.0])
