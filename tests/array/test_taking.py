"""take and take_along_axis: against NumPy, with gradients, negative and wrong positions; and traced."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import primitives
from clearprop.primitive import Spec
from clearprop.trace import Tracer, trace

X = np.random.default_rng(0).standard_normal((3, 4, 2))


def same(found: Any, expected: Any) -> None:
    np.testing.assert_array_equal(np.asarray(found), np.asarray(expected), strict=True)


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.uint8])
@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_take(axis: int, dtype: Any) -> None:
    indices = np.array([1, 0, 1] if dtype is np.uint8 else [1, -1, 0, -2], dtype)
    same(cp.take(X, indices, axis=axis), np.take(X, indices, axis))
    cp.check_gradients(lambda x: cp.sin(cp.take(x, indices, axis=axis)), X, order=2)
    same(cp.take(X[0, :, 0], indices), X[0, indices, 0])
    same(cp.take(X, [], axis=axis), np.take(X, np.zeros(0, np.int64), axis))


def test_wrong_indices() -> None:
    with pytest.raises(cp.ShapeError, match="take: name the axis"):
        cp.take(X, [0])
    with pytest.raises(cp.DTypeError, match="take: indices are bool"):
        cp.take(X, [True, False, True], axis=0)
    with pytest.raises(cp.RangeError, match="index 3"):
        cp.take(X, [0, 3], axis=0)


@pytest.mark.parametrize("axis", [0, 1, 2, -2])
def test_take_along_axis(axis: int) -> None:
    length = X.shape[axis]
    shape = list(X.shape)
    shape[axis] = 5
    indices = np.random.default_rng(1).integers(-length, length, shape)
    same(cp.take_along_axis(X, indices, axis=axis), np.take_along_axis(X, indices, axis))
    cp.check_gradients(lambda x: cp.sin(cp.take_along_axis(x, indices, axis=axis)), X, order=2)


def test_both_broadcast_but_for_the_axis() -> None:
    row, indices = X[:1, :, :1], np.array([[[1, -1]], [[0, 3]]])
    expected = np.take_along_axis(np.broadcast_to(row, (2, 4, 2)), np.broadcast_to(indices, (2, 1, 2)), 1)
    same(cp.take_along_axis(row, indices, axis=1), expected)
    cp.check_gradients(lambda x: cp.sin(cp.take_along_axis(x, indices, axis=1)), row, order=2)


def test_what_does_not_go_along_an_axis() -> None:
    with pytest.raises(cp.ShapeError, match="take_along_axis"):
        cp.take_along_axis(X, [0, 1], axis=0)
    with pytest.raises(cp.ShapeError, match="take_along_axis: shapes"):
        cp.take_along_axis(X, np.zeros((2, 1, 2), np.int64), axis=1)
    with pytest.raises(cp.RangeError, match="take_along_axis"):
        cp.take_along_axis(X, np.full((3, 1, 2), 4), axis=1)
    with pytest.raises(cp.DTypeError, match="integers"):
        cp.take_along_axis(X, np.zeros((3, 1, 2)), axis=1)


def test_adding_outside_an_axis() -> None:
    """It works on one long array, where a position outside would fall into another row."""
    x = np.ones((2, 1))
    same(primitives.add_along_axis(x, np.array([[-1], [2]]), axis=1, length=3), np.array([[0, 0, 1], [0, 0, 1.0]]))
    for wrong in (3, -4):
        with pytest.raises(cp.RangeError, match=f"index {wrong} is out of bounds for axis 1 with size 3"):
            primitives.add_along_axis(x, np.array([[0], [wrong]]), axis=1, length=3)


def test_small_integers_as_positions_do_not_overflow() -> None:
    x = np.ones((3, 100))
    index = np.broadcast_to(np.arange(100, dtype=np.int8), (3, 100))
    same(primitives.add_along_axis(x, index, axis=1, length=100), x)


TRACED: dict[str, Any] = {
    "sort": lambda x: cp.sort(x, axis=1, descending=True),
    "topk": lambda x: cp.topk(x, 2, 1).values,
    "cumulative_prod": lambda x: cp.cumulative_prod(x, axis=1, include_initial=True),
    "median": lambda x: cp.take_along_axis(x, cp.argsort(x, axis=1), axis=1)[:, 1],
    "searchsorted": lambda x: x * cp.searchsorted([-0.5, 0.5], x),
    "roll": lambda x: cp.roll(x, (1, 2), axis=(0, 1)),
    "repeat": lambda x: cp.repeat(x, [2, 0, 1], axis=0),
    "tile": lambda x: cp.tile(x, (2, 1, 3)),
    "diff": lambda x: cp.diff(x, axis=1, n=2),
    "triu": cp.triu,
    "diagonal": cp.diagonal,
    "meshgrid": lambda x: cp.multiply(*cp.meshgrid(x[0, 0], x[0, :, 0])),
    "vecdot": lambda x: cp.vecdot(x, x, axis=-2),
    "one_hot": lambda x: x[..., None] * cp.one_hot(cp.argmax(x, axis=2), 3)[:, :, None],
    "count_nonzero": lambda x: x * cp.count_nonzero(x > 0, axis=0),
}


@pytest.mark.parametrize("name", TRACED)
def test_gradients_can_be_traced(name: str) -> None:
    """A traced function has no numbers: shapes, and all that a rule does, must follow from shapes alone."""
    gradient = cp.grad(lambda x: cp.sin(TRACED[name](x)).sum())
    program = trace(lambda x: [gradient(x)], [Spec(X.shape, np.dtype(np.float64))], Tracer())
    for x in (X, X[::-1, ::-1]):
        np.testing.assert_allclose(program.run([x])[0], gradient(cp.tensor(x)).numpy(), rtol=1e-12)


@pytest.mark.parametrize("f", [cp.unique_values, cp.nonzero, lambda x: cp.one_hot(cp.argmax(x, axis=0))])
def test_shapes_that_depend_on_numbers_cannot_be_traced(f: Any) -> None:
    with pytest.raises(cp.ShapeError, match="not known inside vmap, or while a function is traced"):
        trace(lambda x: [f(x)], [Spec(X.shape, np.dtype(np.float64))], Tracer())
