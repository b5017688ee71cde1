"""x[...] with all that NumPy takes, values and gradients; and x.at[...], changed copies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import clearprop as cp

X = np.arange(60.0).reshape(3, 4, 5)


def agrees(x: np.ndarray[Any, Any], index: Any) -> None:
    """Value, gradient, and changed copies, against NumPy."""
    expected = x[index]
    found = cp.tensor(x)[index]
    np.testing.assert_array_equal(found.numpy(), expected, strict=True)
    weights = np.arange(1.0, expected.size + 1).reshape(expected.shape)
    gradient = np.zeros(x.shape)
    np.add.at(gradient, index, weights)
    np.testing.assert_array_equal(cp.grad(lambda x: (x[index] * weights).sum())(cp.tensor(x)).numpy(), gradient)
    np.testing.assert_array_equal(cp.tensor(x).at[index].add(weights).numpy(), x + gradient)
    changed = x.copy()
    changed[index] = -1.0
    np.testing.assert_array_equal(cp.tensor(x).at[index].set(-1.0).numpy(), changed)


@pytest.mark.parametrize(
    "index",
    [
        0,
        -1,
        (1, 2),
        (1, 2, -5),
        (),
        ...,
        None,
        slice(None),
        slice(1, 3),
        slice(None, None, -1),
        slice(3, 0, -2),
        slice(-2, None),
        slice(5, 1),
        slice(0, 100, 2),
        (slice(None), 1),
        (..., 1),
        (0, ..., slice(1, 4)),
        (None, 0, None, ..., None),
        (slice(None, None, 2), None, slice(3, None, -1)),
        [0, 2],
        [2, 2, 0, -1],
        [[0, 1], [2, 0]],
        [],
        np.int64(1),
        np.array(1),
        np.array([True, False, True]),
        X[:, 0, 0] > 10,
        X > 30,
        (slice(None), X[0] > 7),
        np.zeros((3, 4), bool),
        np.zeros(0, bool),
        np.zeros((3, 0), bool),
        np.array(True),
        np.False_,
        ([0, 1], [1, 2]),
        ([0, 1], 2),
        (0, [1, 2]),
        (0, slice(None), [1, 2]),
        ([0, 1], slice(None), [1, 2]),
        ([0, 1], slice(1, 3), 4),
        (slice(None), [0, 1], [1, 2]),
        (slice(None), [[0], [1]], [1, 2]),
        (slice(None), [0, 1], None, [1, 2]),
        (None, [0, 1], [1, 2]),
        ([0, 1], None, [1, 2]),
        (..., [0, 1]),
        (..., [0, 1], [1, 2]),
        (slice(None, None, -1), [3, 0]),
        (np.array([True, False, True]), 1),
        (slice(None), np.array([True, False, True, False]), slice(1, None)),
        (np.array([True, False, True]), [0, 1]),
        (..., X[0, 0] > 2),
        (X[:, :, 0] > 10, 0),
        (0, X[0] > 3),
    ],
    ids=str,
)
def test_against_numpy(index: Any) -> None:
    agrees(X, index)


@pytest.mark.parametrize("index", [(), ..., None, (None, ..., None), np.array(True), np.array(False)], ids=str)
def test_0d(index: Any) -> None:
    agrees(np.array(3.0), index)


@pytest.mark.parametrize("index", [slice(None), [], slice(0, 0), (None, slice(1, 5)), np.zeros(0, bool)], ids=str)
def test_empty(index: Any) -> None:
    agrees(np.zeros((0, 2)), index)


def test_indices_that_are_tensors_and_cells() -> None:
    x = cp.tensor(X)
    np.testing.assert_array_equal(x[cp.tensor([0, 2])].numpy(), X[[0, 2]])
    np.testing.assert_array_equal(x[cp.tensor(1)].numpy(), X[1])
    np.testing.assert_array_equal(x[x > 30.0].numpy(), X[X > 30.0])
    np.testing.assert_array_equal(x[cp.tensor(True)].numpy(), X[np.array(True)])
    np.testing.assert_array_equal(x[cp.Buffer([0, 2])].numpy(), X[[0, 2]])
    np.testing.assert_array_equal(x[:, cp.tensor([1, 2], dtype=cp.uint8)].numpy(), X[:, [1, 2]])
    assert cp.Parameter([5.0, 6.0])[1].item() == 6.0


@st.composite
def indices(draw: Any, shape: tuple[int, ...]) -> Any:
    """An index: for each axis a position, a range, positions or a mask; new axes and an ellipsis in between."""
    length = draw(st.integers(0, 3))  # of all index arrays, so that they broadcast
    entries: list[Any] = []
    axis = 0
    used = draw(st.integers(0, len(shape)))
    while axis < used:
        n = shape[axis]
        kind = draw(st.sampled_from(["position", "range", "positions", "mask", "new axis"]))
        if kind == "new axis" and len(entries) < 6:
            entries.append(None)
            continue
        axis += 1
        ends = st.none() | st.integers(-n - 2, n + 2)
        steps = st.none() | st.sampled_from([-3, -2, -1, 1, 2, 3])
        if kind == "position" and n:
            entries.append(draw(st.integers(-n, n - 1)))
        elif kind == "positions" and n:
            entries.append(np.array(draw(st.lists(st.integers(-n, n - 1), min_size=length, max_size=length)), int))
        elif kind == "mask":
            mask = np.zeros(n, bool)
            mask[: min(length, n)] = True
            entries.append(mask if mask.sum() in (length, 1) else slice(None))
        else:
            entries.append(slice(draw(ends), draw(ends), draw(steps)))
    if draw(st.booleans()):
        place = draw(st.integers(0, len(entries)))
        if place == len(entries):
            entries.append(Ellipsis)
    return tuple(entries)


@given(shape=st.lists(st.integers(0, 4), max_size=4).map(tuple), data=st.data())
def test_any_index_of_any_shape(shape: tuple[int, ...], data: Any) -> None:
    index = data.draw(indices(shape))
    x = np.arange(float(np.prod(shape))).reshape(shape)
    try:
        x[index]
    except IndexError:
        with pytest.raises((cp.RangeError, cp.ShapeError)):
            cp.tensor(x)[index]
        return
    agrees(x, index)


@given(shape=st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple), data=st.data())
def test_any_index_inside_vmap(shape: tuple[int, ...], data: Any) -> None:
    index = data.draw(indices(shape))
    xs = np.arange(2.0 * np.prod(shape)).reshape(2, *shape)
    try:
        expected = np.stack([x[index] for x in xs])
    except IndexError:
        return
    np.testing.assert_array_equal(cp.vmap(lambda x: x[index])(cp.tensor(xs)).numpy(), expected)


# Changed copies -------------------------------------------------------------------------------------------------------


def test_at_leaves_the_original_as_it_was() -> None:
    x = cp.tensor([1.0, 2.0, 3.0])
    assert x.at[0].set(9.0).tolist() == [9.0, 2.0, 3.0]
    assert x.at[[0, 0]].add(9.0).tolist() == [19.0, 2.0, 3.0]
    assert x.tolist() == [1.0, 2.0, 3.0]


def test_gradients_of_changed_copies() -> None:
    values = np.array([[7.0], [8.0]])
    cp.check_gradients(lambda x, v: cp.sin(x.at[1:, [0, 2]].set(v)), X[:, :, 0], values, order=2)
    cp.check_gradients(lambda x, v: cp.sin(x.at[[1, 1], 0].add(v[:, 0])), X[:, :, 0], values, order=2)


def test_values_broadcast_and_are_cast() -> None:
    x = cp.zeros((2, 3))
    assert x.at[:, 1:].set([1, 2]).tolist() == [[0.0, 1.0, 2.0], [0.0, 1.0, 2.0]]
    assert x.at[0].set(cp.tensor([1.0, 2.0, 3.0], dtype=cp.float64)).dtype is cp.float32
    with pytest.raises(cp.DTypeError, match="values of dtype float32 in a tensor of dtype int64"):
        cp.tensor([1, 2]).at[0].set(1.5)


def test_values_that_do_not_fit() -> None:
    with pytest.raises(cp.ShapeError, match=r"\(3,\)"):
        cp.zeros(3).at[:2].set([1.0, 2.0, 3.0])
    with pytest.raises(cp.ShapeError, match=r"values of shape \(2, 2\) for places of shape \(2,\)"):
        cp.zeros(3).at[:2].set([[1.0, 2.0], [1.0, 2.0]])


# What cannot be -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("index", "what"),
    [
        (3, r"index 3 is outside axis 0 of a tensor of shape \(3, 4, 5\)"),
        ((0, -5), r"index -5 is outside axis 1 of a tensor of shape \(3, 4, 5\)"),
        ([0, 3], "index 3 is out of bounds for axis 0 with size 3"),
        ((0, 0, 0, 0), r"4 indices for a tensor of shape \(3, 4, 5\)"),
        ((..., 0, ...), r"one '\.\.\.' only"),
        ([True, False], r"a mask of shape \(2,\) as an index of axes of lengths \(3, 4, 5\)"),
        (np.ones((3, 5), bool), r"a mask of shape \(3, 5\)"),
        ((slice(None), np.ones(3, bool)), r"a mask of shape \(3,\) as an index of axes of lengths \(4, 5\)"),
        (True, r"a mask of shape \(\)"),
        (slice(0, 3, 0), "step 0"),
    ],
)
def test_positions_outside(index: Any, what: str) -> None:
    with pytest.raises(cp.RangeError, match=what) as caught:
        cp.tensor(X)[index]
    assert "cp.tensor(X)[index]" in caught.value.where
    assert isinstance(caught.value, IndexError)


@pytest.mark.parametrize("index", ["text", 1.0, [0.5], {1: 2}])
def test_what_is_no_index(index: Any) -> None:
    with pytest.raises(cp.DTypeError):
        cp.tensor(X)[index]


def test_index_arrays_that_do_not_broadcast() -> None:
    with pytest.raises(cp.ShapeError, match=r"index: shapes \(2,\) and \(3,\)"):
        cp.tensor(X)[[0, 1], [0, 1, 2]]
