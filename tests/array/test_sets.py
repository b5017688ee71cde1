"""Distinct values, places that are not zero, one-hot rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import clearprop as cp

TABLE = np.array([[3, 1, 3], [2, 3, 1]])


def same(found: Any, expected: Any) -> None:
    np.testing.assert_array_equal(np.asarray(found), np.asarray(expected), strict=True)


# Distinct values ------------------------------------------------------------------------------------------------------


def test_unique_values_and_what_goes_with_them() -> None:
    found = cp.unique_all(TABLE)
    same(found.values, np.array([1, 2, 3]))
    same(found.indices, np.array([1, 3, 0]))
    same(found.inverse_indices, np.array([[2, 0, 2], [1, 2, 0]]))
    same(found.counts, np.array([2, 1, 3]))
    same(cp.unique_values(TABLE), found.values)
    same(cp.unique_counts(TABLE).counts, found.counts)
    same(cp.unique_inverse(TABLE).inverse_indices, found.inverse_indices)


@given(st.lists(st.sampled_from([0.0, -0.0, 1.0, -2.0, math.nan, math.inf]), max_size=10))
def test_special_values(values: list[float]) -> None:
    """Each NaN is a value of its own; 0.0 and -0.0 are one."""
    x = np.array(values, np.float64)
    found = cp.unique_all(x)
    distinct = sorted({v for v in values if v == v})
    nans = sum(v != v for v in values)
    same(found.values, np.array(distinct + [math.nan] * nans, np.float64))
    same(found.counts, np.array([values.count(v) for v in distinct] + [1] * nans, np.int64))
    same(x[found.indices.numpy()], found.values)
    same(found.values.numpy()[found.inverse_indices.numpy()], x)


def test_other_dtypes_and_shapes() -> None:
    for x in (np.array([True, False, True]), np.array(5, np.uint8), np.zeros((0, 2), np.float32)):
        found = cp.unique_all(x)
        same(found.values, np.unique(x))
        assert found.inverse_indices.shape == x.shape


def test_gradient_of_a_distinct_value_goes_to_where_it_occurs_first() -> None:
    x = cp.tensor([2.0, 1.0, 2.0], requires_grad=True)
    (cp.unique_values(x) * [10.0, 20.0]).sum().backward()
    assert x.grad is not None
    same(x.grad, np.array([20.0, 10.0, 0.0], np.float32))


DEPENDENT: list[Any] = [
    cp.unique_all, cp.unique_counts, cp.unique_inverse, cp.unique_values, cp.nonzero, cp.one_hot,
    lambda x: cp.repeat(cp.arange(3), x),
]  # fmt: skip


@pytest.mark.parametrize("f", DEPENDENT)
def test_shapes_that_depend_on_numbers_are_refused_inside_vmap(f: Any) -> None:
    with pytest.raises(cp.ShapeError, match=r"depends on the numbers in int64.*not known inside vmap") as caught:
        cp.vmap(f)(TABLE)
    assert "cp.where" in caught.value.hint


# Places that are not zero ---------------------------------------------------------------------------------------------


@given(st.lists(st.lists(st.sampled_from([0.0, -0.0, 1.0, math.nan]), min_size=3, max_size=3), max_size=4))
def test_nonzero(rows: list[list[float]]) -> None:
    x = np.array(rows, np.float64).reshape(-1, 3)
    found = cp.nonzero(x)
    assert isinstance(found, tuple)
    for places, expected in zip(found, np.nonzero(x), strict=True):
        same(places, expected)
    for axis in (None, 0, 1, -1):
        same(cp.count_nonzero(x, axis=axis), np.count_nonzero(x, axis))
        same(cp.count_nonzero(x, axis=axis, keepdims=True), np.count_nonzero(x, axis, keepdims=True))


def test_nonzero_of_other_dtypes() -> None:
    for x in (TABLE == 3, TABLE.astype(np.uint8), TABLE - 1):
        same(cp.nonzero(x)[1], np.nonzero(x)[1])
        same(cp.count_nonzero(x), np.array(np.count_nonzero(x)))
    same(cp.vmap(cp.count_nonzero)(TABLE == 3), np.array([2, 1]))


def test_nonzero_of_a_number() -> None:
    with pytest.raises(cp.ShapeError, match="without axes"):
        cp.nonzero(3)


# One-hot rows ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [-1, 0, 1, -2])
def test_one_hot(axis: int) -> None:
    same(cp.one_hot(TABLE, 4, axis=axis), np.moveaxis(np.eye(4, dtype=np.int64)[TABLE], -1, axis))
    same(cp.vmap(lambda x: cp.one_hot(x, 4))(TABLE), np.eye(4, dtype=np.int64)[TABLE])


def test_one_hot_as_many_classes_as_needed() -> None:
    same(cp.one_hot(TABLE), np.eye(4, dtype=np.int64)[TABLE])
    assert cp.one_hot(np.zeros((0,), np.int64)).shape == (0, 0)
    assert cp.one_hot([1], 3, dtype=cp.float32).dtype == cp.float32
    same(cp.one_hot(np.array(2, np.uint8), 3), np.array([0, 0, 1]))


def test_labels_that_are_no_class() -> None:
    with pytest.raises(cp.RangeError, match="class 3 among 3 classes") as caught:
        cp.one_hot(TABLE, 3)
    assert "num_classes=4" in caught.value.hint
    with pytest.raises(cp.RangeError, match="class -1"):
        cp.one_hot([-1])
    with pytest.raises(cp.RangeError, match="num_classes=-2"):
        cp.one_hot([0], -2)
    with pytest.raises(cp.DTypeError, match="takes class numbers"):
        cp.one_hot([0.0])
