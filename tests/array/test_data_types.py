"""What dtypes hold and what they become: the data type functions and the inspection of the namespace."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop.errors import UsageError

SIGNED = [cp.int8, cp.int16, cp.int32, cp.int64]
UNSIGNED = [cp.uint8, cp.uint16, cp.uint32, cp.uint64]
REAL = [cp.float16, cp.float32, cp.float64]
ALL = [cp.bool, *SIGNED, *UNSIGNED, *REAL]


@pytest.mark.parametrize(("a", "b"), [*product(ALL, ALL)])
def test_result_type_is_the_dtype_of_a_sum(a: cp.DType, b: cp.DType) -> None:
    x, y = cp.ones(2, dtype=a), cp.ones(2, dtype=b)
    if {a, b} in [{cp.uint64, signed} for signed in SIGNED]:
        with pytest.raises(cp.DTypeError, match="no common integer type"):
            cp.result_type(a, b)
        return
    expected = cp.bool if a is b is cp.bool else (x + y).dtype
    for found in (cp.result_type(a, b), cp.result_type(x, b), cp.result_type(x, y), cp.result_type(b, x)):
        assert found is expected
    if a.dtype.kind == b.dtype.kind:
        assert found == np.result_type(a, b)


@pytest.mark.parametrize("number", [True, 1, 1.0])
@pytest.mark.parametrize("dtype", ALL)
def test_python_numbers_are_weak_in_result_type(dtype: cp.DType, number: Any) -> None:
    found = cp.result_type(number, dtype)
    assert found is cp.result_type(cp.ones(1, dtype=dtype), number)
    if dtype is not cp.bool:
        assert found is (cp.ones(1, dtype=dtype) * number).dtype


def test_result_type_of_several() -> None:
    assert cp.result_type(cp.int8, cp.uint8, cp.int32) is cp.int32
    assert cp.result_type("float32", np.dtype("float64"), [1, 2]) is cp.float64
    assert cp.result_type(cp.Parameter([1.0]), 3) is cp.float32
    for nothing in ((), (1, 2.0)):
        with pytest.raises(UsageError, match="a tensor or a dtype"):
            cp.result_type(*nothing)


@pytest.mark.parametrize(("a", "b"), [*product(ALL, ALL)])
def test_can_cast_stays_within_a_kind(a: cp.DType, b: cp.DType) -> None:
    kinds = {a.dtype.kind, b.dtype.kind}
    expected = bool(np.can_cast(a, b)) and (len(kinds) == 1 or kinds == {"i", "u"})
    assert cp.can_cast(a, b) is cp.can_cast(cp.zeros(1, dtype=a), b) is expected


@pytest.mark.parametrize("dtype", REAL)
def test_limits_of_floats(dtype: cp.DType) -> None:
    limits, expected = cp.finfo(dtype), np.finfo(dtype.dtype)
    assert limits == cp.finfo(cp.ones(1, dtype=dtype))
    assert (limits.bits, limits.dtype) == (8 * dtype.itemsize, dtype)
    for name in ("eps", "max", "min", "smallest_normal"):
        assert type(getattr(limits, name)) is float
        assert getattr(limits, name) == getattr(expected, name)


@pytest.mark.parametrize("dtype", [*SIGNED, *UNSIGNED])
def test_limits_of_integers(dtype: cp.DType) -> None:
    limits, expected = cp.iinfo(dtype), np.iinfo(dtype.dtype)
    assert limits == cp.iinfo(cp.ones(1, dtype=dtype))
    assert (limits.bits, limits.max, limits.min, limits.dtype) == (expected.bits, expected.max, expected.min, dtype)
    assert type(limits.max) is int


@pytest.mark.parametrize(("f", "wrong"), [(cp.finfo, cp.int8), (cp.iinfo, cp.float32), (cp.finfo, cp.bool)])
def test_limits_of_the_other_kind(f: Any, wrong: cp.DType) -> None:
    with pytest.raises(cp.DTypeError, match=wrong.name) as caught:
        f(wrong)
    assert "info" in caught.value.hint


@pytest.mark.parametrize(
    ("kind", "members"),
    [
        ("bool", [cp.bool]),
        ("signed integer", SIGNED),
        ("unsigned integer", UNSIGNED),
        ("integral", SIGNED + UNSIGNED),
        ("real floating", REAL),
        ("complex floating", []),
        ("numeric", SIGNED + UNSIGNED + REAL),
        (("bool", "real floating"), [cp.bool, *REAL]),
        (cp.int8, [cp.int8]),
        ((cp.int8, "bool"), [cp.int8, cp.bool]),
    ],
)
def test_kinds(kind: Any, members: list[cp.DType]) -> None:
    assert [dtype for dtype in ALL if cp.isdtype(dtype, kind)] == [dtype for dtype in ALL if dtype in members]


def test_kinds_that_there_are_not() -> None:
    with pytest.raises(UsageError, match="'float' is no kind") as caught:
        cp.isdtype(cp.float32, "float")
    assert "'real floating'" in caught.value.hint
    with pytest.raises(UsageError, match="'complex' is no kind"):
        cp.__array_namespace_info__().dtypes(kind="complex")
    with pytest.raises(cp.DTypeError):
        cp.isdtype("nonsense", "bool")


# The namespace --------------------------------------------------------------------------------------------------------


def test_inspection() -> None:
    info = cp.__array_namespace_info__()
    assert info.devices() == [info.default_device()] == [cp.ones(1).device] == ["cpu"]
    capabilities = info.capabilities()
    assert capabilities["boolean indexing"] is capabilities["data-dependent shapes"] is True
    most = capabilities["max dimensions"]
    assert cp.ones((1,) * most).ndim == most
    defaults = info.default_dtypes(device="cpu")
    assert defaults["real floating"] is cp.asarray(1.0).dtype
    assert defaults["integral"] is cp.asarray(1).dtype
    assert defaults["indexing"] is cp.argmax(cp.ones(3)).dtype


def test_inspection_of_dtypes() -> None:
    info = cp.__array_namespace_info__()
    named = {dtype.name: dtype for dtype in ALL if dtype is not cp.float16}  # which the standard does not know
    assert info.dtypes() == named
    assert info.dtypes(kind=("bool", "unsigned integer")).keys() == {"bool", "uint8", "uint16", "uint32", "uint64"}
    assert info.dtypes(kind="complex floating", device="cpu") == {}


def test_a_tensor_knows_its_namespace() -> None:
    assert cp.__array_api_version__ == "2024.12"
    for x in (cp.ones(1), cp.Parameter([1.0])):
        assert x.__array_namespace__() is cp
        assert x.__array_namespace__(api_version="2022.12") is cp
        with pytest.raises(UsageError, match="2035"):
            x.__array_namespace__(api_version="2035.12")


def test_constants() -> None:
    assert cp.tensor([1.0, 2.0])[:, cp.newaxis].shape == (2, 1)
    assert cp.log(cp.tensor(cp.e, dtype=cp.float64)).item() == pytest.approx(1.0)
    assert cp.sin(cp.tensor(cp.pi, dtype=cp.float64)).item() == pytest.approx(0.0)
    assert cp.isinf(cp.tensor(cp.inf)).item()
    assert cp.isnan(cp.tensor(cp.nan)).item()


@pytest.mark.parametrize(
    "call",
    [
        lambda device: cp.ones(1, device=device),
        lambda device: cp.zeros_like([1.0], device=device),
        lambda device: cp.full((2,), 1.0, device=device),
        lambda device: cp.arange(3, device=device),
        lambda device: cp.linspace(0.0, 1.0, 3, device=device),
        lambda device: cp.eye(2, device=device),
        lambda device: cp.asarray([1.0], device=device),
        lambda device: cp.astype([1.0], cp.float64, device=device),
        lambda device: cp.from_dlpack(np.ones(1), device=device),
        lambda device: cp.ones(1).to_device(device),
        lambda device: cp.Parameter([1.0]).to_device(device),
    ],
)
def test_devices(call: Any) -> None:
    assert call("cpu").device == "cpu"
    with pytest.raises(UsageError, match="device 'gpu' is not known") as caught:
        call("gpu")
    assert "cpu" in caught.value.hint
