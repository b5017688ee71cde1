"""Bits of integers, and the same operators on booleans."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import pytest

import clearprop as cp

INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
OPERATORS = [operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift]
OF_TRUTH = [operator.and_, operator.or_, operator.xor]


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("op", OPERATORS)
def test_operators_against_numpy(op: Any, dtype: str) -> None:
    a, b = np.array([[12, 100, 0], [7, 1, 55]], dtype), np.array([3, 1, 6], dtype)
    for found, expected in (
        (op(cp.tensor(a), cp.tensor(b)), op(a, b)),
        (op(cp.tensor(a), b), op(a, b)),
        (op(a, cp.tensor(b)), op(a, b)),
        (op(cp.tensor(a), 2), op(a, 2)),
        (op(5, cp.tensor(b)), op(5, b)),
    ):
        np.testing.assert_array_equal(found.numpy(), expected, strict=True)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_inversion_against_numpy(dtype: str) -> None:
    x = np.array([0, 1, 100], dtype)
    np.testing.assert_array_equal((~cp.tensor(x)).numpy(), ~x, strict=True)


def test_a_negative_number_keeps_its_sign() -> None:
    assert (cp.tensor([-48, -1], dtype=cp.int8) >> 4).tolist() == [-3, -1]
    assert (cp.tensor([100], dtype=cp.int8) << 1).tolist() == [-56]


def test_dtypes_are_promoted() -> None:
    x, y = cp.tensor([1], dtype=cp.int8), cp.tensor([3], dtype=cp.uint8)
    assert (x | y).dtype is (y | x).dtype is cp.int16
    assert (x << y).dtype is cp.int16


@pytest.mark.parametrize("op", OF_TRUTH)
def test_booleans(op: Any) -> None:
    a, b = np.array([True, True, False, False]), np.array([True, False, True, False])
    for found, expected in (
        (op(cp.tensor(a), cp.tensor(b)), op(a, b)),
        (op(cp.tensor(a), True), op(a, True)),
        (op(False, cp.tensor(a)), op(False, a)),
    ):
        np.testing.assert_array_equal(found.numpy(), expected, strict=True)
    np.testing.assert_array_equal((~cp.tensor(a)).numpy(), ~a, strict=True)


@pytest.mark.parametrize(
    "call",
    [
        lambda i, b, f: i & b,
        lambda i, b, f: b | i,
        lambda i, b, f: i ^ True,
        lambda i, b, f: b & 1,
        lambda i, b, f: i & 1.0,
        lambda i, b, f: f | f,
        lambda i, b, f: f & 1,
        lambda i, b, f: ~f,
        lambda i, b, f: b << 1,
        lambda i, b, f: b >> b,
        lambda i, b, f: i << f,
        lambda i, b, f: 2.0 >> i,
    ],
)
def test_integers_booleans_and_floats_do_not_mix(call: Any) -> None:
    with pytest.raises(cp.DTypeError, match="bitwise_") as caught:
        call(cp.tensor([1, 2]), cp.tensor([True, False]), cp.tensor([1.0, 2.0]))
    assert caught.value.hint


def test_python_numbers_that_do_not_fit() -> None:
    with pytest.raises(cp.DTypeError, match="300 out of bounds for uint8"):
        cp.tensor([1], dtype=cp.uint8) | 300


def test_in_place_operators_bind_the_name_anew() -> None:
    x = before = cp.tensor([1, 2])
    x <<= 2
    x |= 1
    assert (before.tolist(), x.tolist()) == ([1, 2], [5, 9])


def test_inside_vmap_and_on_cells() -> None:
    x, y = cp.tensor([[1, 2], [3, 4]]), cp.tensor([1, 3])
    np.testing.assert_array_equal(cp.vmap(lambda x: (x & y) ^ 1)(x).numpy(), (x.numpy() & y.numpy()) ^ 1)
    assert cp.vmap(lambda b: b & True)(cp.tensor([True, False])).tolist() == [True, False]
    assert (cp.Buffer([6]) & 3).tolist() == (3 & cp.Buffer([6])).tolist() == [2]


def test_no_gradient_flows() -> None:
    x = cp.tensor([1.0, 2.0], requires_grad=True)
    assert not (x.astype(cp.int64) & 1).requires_grad
