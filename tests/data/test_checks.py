"""Checks of data: each error says where, and what to try."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from clearprop.data import check_finite, check_labels
from clearprop.errors import DataError


@pytest.mark.parametrize("labels", [[0, 9], np.zeros((2, 3), np.uint8), np.array([], dtype=np.int64)])
def test_good_labels_pass(labels: Any) -> None:
    check_labels(labels, classes=10)


@pytest.mark.parametrize(
    ("labels", "message", "hint"),
    [
        ([1, 2, 10], "the label at index 2 is 10", "at least 11 outputs"),
        ([-1, 3, -1], "the label at index 0 is -1 (and 1 more)", "counted from 0"),
        (np.array([[0, 1], [255, 1]], np.uint8), "the label at index (1, 0) is 255", "at least 256 outputs"),
        ([0.0, 1.0], "these have dtype float64", "np.unique"),
        (["cat", "dog"], "these have dtype <U3", "np.unique"),
    ],
)
def test_bad_labels_are_named(labels: Any, message: str, hint: str) -> None:
    with pytest.raises(DataError) as caught:
        check_labels(labels, classes=10)
    assert "labels must be integers from 0 to 9" in caught.value.message
    assert message in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize("values", [[1.0, -2.0], [1, 2], [True], np.zeros((0, 3)), np.float32(3)])
def test_finite_values_pass(values: Any) -> None:
    check_finite(values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0.0, np.nan, np.nan], "x must be finite: the value at index 1 is nan (and 1 more)"),
        (np.array([[0, 1], [np.inf, 1]], np.float32), "x must be finite: the value at index (1, 0) is inf"),
        (np.float64("-inf"), "x must be finite: the value at index () is -inf"),
    ],
)
def test_values_that_are_not_finite_are_named(values: Any, message: str) -> None:
    with pytest.raises(DataError) as caught:
        check_finite(values)
    assert caught.value.message == message
    assert caught.value.hint
