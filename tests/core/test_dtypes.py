"""Data types: our own objects, equal to NumPy's of the same name."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import dtypes

WHOLE = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
NAMES = ["bool", *WHOLE, "float16", "float32", "float64"]


@pytest.mark.parametrize("name", NAMES)
def test_each_dtype(name: str) -> None:
    dtype = getattr(cp, name)
    assert repr(dtype) == f"clearprop.{name}"
    assert dtype == np.dtype(name)
    assert np.dtype(name) == dtype
    assert dtype == name
    assert hash(dtype) == hash(np.dtype(name))
    assert dtype.itemsize == np.dtype(name).itemsize
    assert dtype.is_floating == name.startswith("float")
    assert np.zeros(2, dtype).dtype == np.dtype(name)
    assert cp.zeros(2, dtype=name).dtype is dtype
    assert dtypes.to_numpy(dtype) == dtypes.to_numpy(np.dtype(name)) == dtypes.to_numpy(name) == np.dtype(name)


def test_different_dtypes_differ() -> None:
    assert len({getattr(cp, name) for name in NAMES}) == len(NAMES)
    assert cp.float32 != cp.float64
    assert cp.float32 != np.float64
    for other in ("no dtype", "a sentence, which is no dtype:", 3, None, float, object, [1], {"a": 1}):
        assert cp.float32 != other
        assert cp.float64 != other


def test_there_is_one_object_for_each_dtype() -> None:
    for name in NAMES:
        dtype = getattr(cp, name)
        assert copy.copy(dtype) is copy.deepcopy([dtype])[0] is dtype
    assert {np.dtype("float32"): 1}[cp.float32] == 1


@pytest.mark.parametrize(
    ("given", "expected"), [(float, cp.float32), (int, cp.int64), (bool, cp.bool), ("<f8", cp.float64)]
)
def test_other_names(given: Any, expected: cp.DType) -> None:
    assert dtypes.to_numpy(given) == expected


@pytest.mark.parametrize(
    ("given", "what"),
    [("complex64", "complex numbers come later"), ("nonsense", "is not a dtype"), (object, "cannot have dtype object")],
)
def test_dtypes_that_there_are_not(given: Any, what: str) -> None:
    with pytest.raises(cp.DTypeError, match=what):
        dtypes.to_numpy(given)
