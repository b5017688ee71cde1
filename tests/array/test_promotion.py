"""From what users write to what primitives take: conversion, promotion of dtypes, broadcasting."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import pytest

import clearprop as cp

ARITHMETIC = [operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow]
COMPARISONS = [operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne]
REAL = ["float16", "float32", "float64"]
WHOLE = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]


# Making tensors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (1.5, cp.float32),
        (1, cp.int64),
        (True, cp.bool),
        ([1.0, 2.0], cp.float32),
        ([[1, 2], [3, 4]], cp.int64),
        ([1, 2.5], cp.float32),
        ([], cp.float32),
        (np.float64(1.0), cp.float64),
        (np.ones(2), cp.float64),
        (np.int32(3), cp.int32),
        (np.ones(2, ">f4"), cp.float32),
        ([np.float64(1.0)], cp.float32),
    ],
)
def test_default_dtypes(value: Any, dtype: cp.DType) -> None:
    assert cp.tensor(value).dtype is dtype
    assert cp.asarray(value).dtype is dtype


def test_tensors_of_tensors() -> None:
    x = cp.tensor([1.0, 2.0], requires_grad=True)
    assert not cp.tensor(x).requires_grad
    assert cp.asarray(x) is x
    assert cp.tensor([cp.tensor(1.0), cp.tensor(2.0)]).shape == (2,)
    with pytest.raises(cp.DTypeError, match="list of tensors with a history") as caught:
        cp.tensor([x[0], x[1]])
    assert caught.value.hint == "cp.stack(the_list)"


def test_arrays_are_copied() -> None:
    source = np.array([1.0, 2.0])
    for x in (cp.tensor(source), cp.asarray(source), cp.asarray(source, copy=True)):
        source[0] = 100.0
        assert x[0].item() == 1.0
        source[0] = 1.0
    shared = cp.asarray(source, copy=False)
    source[0] = 100.0
    assert shared[0].item() == 100.0


def test_values_cannot_be_changed() -> None:
    x = cp.tensor([1.0, 2.0])
    with pytest.raises(TypeError, match=r"x = x.at\[index\].set\(value\)"):
        x[0] = 5.0
    with pytest.raises(ValueError, match="read-only"):
        x.numpy()[0] = 5.0
    with pytest.raises(ValueError, match="read-only"):
        np.asarray(x)[0] = 5.0
    before = x
    x += 1.0
    assert before.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("value", "what"),
    [(1j, "complex128 are not supported yet"), ("text", "made of 'text'"), (None, "object"), (2**70, "object")],
)
def test_values_that_tensors_cannot_hold(value: Any, what: str) -> None:
    with pytest.raises(cp.DTypeError, match=what):
        cp.tensor(value)


def test_ragged_lists() -> None:
    with pytest.raises(cp.ShapeError, match="nested lists of unequal lengths"):
        cp.tensor([[1, 2], [3]])


# Dtypes ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", REAL + WHOLE)
@pytest.mark.parametrize("op", ARITHMETIC)
def test_python_numbers_are_weak(op: Any, dtype: str) -> None:
    x = cp.tensor([1, 2, 3], dtype=dtype)
    expected = "float32" if op is operator.truediv and dtype in WHOLE else dtype
    assert op(x, 2).dtype.name == expected
    assert op(2, x).dtype.name == expected
    if dtype in REAL:
        assert op(x, 0.5).dtype.name == op(0.5, x).dtype.name == dtype
        assert op(x, True).dtype.name == dtype
    else:
        assert op(x, 0.5).dtype is cp.float32


@pytest.mark.parametrize("requires_grad", [False, True])
def test_numpys_float64_is_a_python_float_and_weak_too(requires_grad: bool) -> None:
    """`np.sqrt(2.0)` is a `float`; whether a gradient is recorded must not change the dtype of a result."""
    x = cp.tensor([1.0, 2.0], requires_grad=requires_grad)
    root = np.sqrt(2.0)
    for y in (x * root, root * x, x / root, root - x, x**root, cp.where(x > 0.0, x, root), cp.maximum(x, root)):
        assert y.dtype is cp.float32


def test_other_numpy_scalars_and_arrays_keep_their_dtype() -> None:
    x = cp.tensor([1.0, 2.0])
    assert (x * np.ones(2)).dtype is cp.float64
    assert (np.ones(2) * x).dtype is cp.float64
    assert (cp.tensor([1.0], dtype=cp.float16) * np.float32(2.0)).dtype is cp.float32
    assert (x * cp.tensor(2.0, dtype=cp.float64)).dtype is cp.float64


@pytest.mark.parametrize(
    ("a", "b", "both"),
    [
        ("float32", "float64", "float64"),
        ("float16", "float32", "float32"),
        ("int32", "float16", "float16"),
        ("int64", "float32", "float32"),
        ("bool", "float32", "float32"),
        ("int8", "int32", "int32"),
        ("uint8", "int8", "int16"),
        ("bool", "int64", "int64"),
    ],
)
def test_two_dtypes_become_one(a: str, b: str, both: str) -> None:
    x, y = cp.ones(2, dtype=a), cp.ones(2, dtype=b)
    assert (x + y).dtype.name == (y + x).dtype.name == both
    assert cp.where(cp.tensor([True, False]), x, y).dtype.name == both
    assert cp.concat([x, y]).dtype.name == both


def test_integers_without_a_common_type() -> None:
    with pytest.raises(cp.DTypeError, match="uint64 and int64 have no common integer type"):
        cp.ones(2, dtype=cp.uint64) + cp.ones(2, dtype=cp.int64)


def test_gradients_come_back_in_the_dtype_of_their_input() -> None:
    x, y = cp.tensor([1.0], requires_grad=True), cp.tensor([2.0], dtype=cp.float64, requires_grad=True)
    (x * y).sum().backward()
    assert x.grad is not None
    assert y.grad is not None
    assert (x.grad.dtype, y.grad.dtype) == (cp.float32, cp.float64)


@pytest.mark.parametrize("op", [*ARITHMETIC, *COMPARISONS])
@pytest.mark.parametrize("dtype", ["float64", "int64"])
def test_operators_against_numpy(op: Any, dtype: str) -> None:
    a, b = np.array([[3, 1], [4, 1]], dtype), np.array([[2, 7], [1, 8]], dtype)
    for x, y in ((cp.tensor(a), cp.tensor(b)), (cp.tensor(a), b), (a, cp.tensor(b)), (cp.tensor(a), b.tolist())):
        np.testing.assert_allclose(op(x, y).numpy(), op(a, b), rtol=1e-6)
    np.testing.assert_allclose(op(cp.tensor(a), 2).numpy(), op(a, 2), rtol=1e-6)
    np.testing.assert_allclose(op(2, cp.tensor(a)).numpy(), op(2, a), rtol=1e-6)


def test_unary_operators_and_logic() -> None:
    x, yes, no = cp.tensor([-1.5, 2.0]), cp.tensor([True, True]), cp.tensor([True, False])
    assert (-x).tolist() == [1.5, -2.0]
    assert abs(x).tolist() == [1.5, 2.0]
    assert (~no).tolist() == [False, True]
    assert (yes & no).tolist() == [True, False]
    assert (yes | no).tolist() == [True, True]
    assert (yes ^ no).tolist() == [False, True]
    assert (no & True).tolist() == [True, False]


@pytest.mark.parametrize(
    "call",
    [
        lambda i, b: cp.logical_and(i, i),
        lambda i, b: cp.logical_or(i, b),
        lambda i, b: cp.logical_not(i),
        lambda i, b: cp.logical_and(i.astype(cp.float32), b),
        lambda i, b: b + b,
        lambda i, b: b * b,
        lambda i, b: b + True,
        lambda i, b: b**2,
        lambda i, b: -b,
        lambda i, b: abs(b),
        lambda i, b: b @ b,
        lambda i, b: b.max(),
        lambda i, b: b.argmax(),
        lambda i, b: cp.maximum(b, b),
        lambda i, b: cp.sign(b),
    ],
)
def test_numbers_are_not_truth_values_and_booleans_not_numbers(call: Any) -> None:
    """NumPy would answer: True + True is True. Here it is an error that says what to do."""
    with pytest.raises(cp.DTypeError) as caught:
        call(cp.tensor([1, 2]), cp.tensor([True, False]))
    assert "astype" in caught.value.hint


def test_sums_of_booleans_and_small_integers() -> None:
    assert cp.tensor([True, True, False]).sum().item() == 2
    assert cp.tensor([200, 200], dtype=cp.uint8).sum().item() == 400
    assert cp.sum(cp.tensor([True]) * 1.5).item() == 1.5
    assert (cp.tensor([True, False]) + 1).tolist() == [2, 1]


def test_numbers_that_do_not_fit() -> None:
    with pytest.raises(cp.DTypeError, match=r"add\(uint8\[1\], 300\): Python integer 300 out of bounds for uint8"):
        cp.tensor([1], dtype=cp.uint8) + 300


@pytest.mark.parametrize("power", [-1, cp.tensor([-1, -2])])
def test_integers_to_negative_powers(power: Any) -> None:
    with pytest.raises(cp.DTypeError):
        cp.tensor([1, 2]) ** power


def test_functions_of_real_numbers_take_integers() -> None:
    for f in (cp.exp, cp.sqrt, cp.sin, cp.mean, cp.erf, cp.logsumexp):
        assert f(cp.tensor([1, 2])).dtype is cp.float32
    for f in (cp.floor, cp.ceil, cp.trunc, cp.round):
        assert f(cp.tensor([1, 2])).dtype is cp.int64


# Broadcasting ---------------------------------------------------------------------------------------------------------

SHAPES = [
    ((3,), (2, 3)),
    ((2, 1), (3,)),
    ((), (2, 3)),
    ((2, 1, 4), (3, 1)),
    ((1,), (0,)),
    ((0, 1), (1, 3)),
    ((1, 1), (1,)),
]


@pytest.mark.parametrize(("a", "b"), SHAPES)
@pytest.mark.parametrize("f", [cp.add, cp.multiply, cp.maximum, cp.atan2, cp.logaddexp, cp.less])
def test_broadcasting_against_numpy(f: Any, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    random = np.random.default_rng(0)
    x, y = random.standard_normal(a), random.standard_normal(b)
    reference = getattr(np, {"atan2": "arctan2"}.get(f.__name__, f.__name__))
    for first, second, expected in ((x, y, reference(x, y)), (y, x, reference(y, x))):
        plain = f(cp.tensor(first), cp.tensor(second))
        recorded = f(cp.tensor(first, requires_grad=True), cp.tensor(second, requires_grad=True))
        np.testing.assert_allclose(plain.numpy(), expected)
        np.testing.assert_allclose(recorded.numpy(), expected)
        assert plain.shape == recorded.shape == expected.shape
    if f is not cp.less:
        cp.check_gradients(f, x, y)


def test_broadcast_of_batched_constants() -> None:
    """Inside vmap the hidden batch axis takes no part in broadcasting, even if lengths happen to fit."""
    numbers, row = cp.tensor([1.0, 2.0, 3.0]), cp.tensor([10.0, 20.0, 30.0])
    table = cp.vmap(lambda x: x + row)(numbers)
    np.testing.assert_array_equal(table.numpy(), numbers.numpy()[:, None] + row.numpy())


def test_where_and_clip() -> None:
    x = cp.tensor([-1.0, 0.5, 3.0])
    assert cp.where(cp.tensor([[True], [False]]), x, 0.0).shape == (2, 3)
    assert cp.where(cp.tensor([True, False]), 1, 2).dtype is cp.int64
    assert cp.clip(x, 0.0, 1.0).tolist() == [0.0, 0.5, 1.0]
    assert cp.clip(x, max=1.0).tolist() == [-1.0, 0.5, 1.0]
    assert cp.clip(x) is x
    assert cp.clip(x, cp.tensor([0.0, 1.0, 2.0]), 2.5).tolist() == [0.0, 1.0, 2.5]
    assert cp.clip(cp.tensor([1, 5]), 2).tolist() == [2, 5]
    assert cp.clip(cp.tensor([1, 5]), 1.5).dtype is cp.float32
    assert cp.clip(x, np.float64(0.0)).dtype is cp.float32
    cp.check_gradients(lambda x, low: cp.clip(x, low, 2.0), [-1.0, 0.5, 3.0], [0.0, 1.0, 2.0])


@pytest.mark.parametrize("requires_grad", [False, True])
def test_shapes_that_do_not_broadcast(requires_grad: bool) -> None:
    x, y = cp.tensor(np.ones((2, 3)), requires_grad=requires_grad), cp.ones((2, 4))
    with pytest.raises(cp.ShapeError) as caught:
        x + y
    assert caught.value.message.startswith("add: ")
    assert "(2, 3)" in caught.value.message
    assert "(2, 4)" in caught.value.message
    assert "x + y" in caught.value.where
    assert "reshape" in caught.value.hint
