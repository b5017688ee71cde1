"""The data type functions of the array API standard: what a dtype can hold, and what several of them become."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from clearprop.array.devices import check_device
from clearprop.array.promotion import ArrayLike, cast_to, promoted, promoted_with_number
from clearprop.dtypes import DType, from_numpy, to_numpy
from clearprop.errors import DTypeError, UsageError
from clearprop.primitive import numpy_dtype
from clearprop.tensor import Tensor, as_tensor

KINDS = {
    "bool": "b",
    "signed integer": "i",
    "unsigned integer": "u",
    "integral": "iu",
    "real floating": "f",
    "complex floating": "c",
    "numeric": "iufc",
}
"""The standard's names for kinds of dtypes, and NumPy's letters for them."""


def astype(x: ArrayLike, dtype: Any, /, *, copy: bool = True, device: str | None = None) -> Tensor:
    """As another dtype. Gradients flow between floating-point types and end at others.

    Args:
        dtype: the dtype wanted.
        copy: makes no difference. Nobody can write to a tensor, so one that has the dtype already serves as its copy.
        device: "cpu", the only one so far.

    >>> import clearprop as cp
    >>> cp.astype([1.7, -1.7], cp.int64)
    Tensor([ 1, -1], dtype=int64)
    """
    check_device(device)
    return cast_to(as_tensor(x), to_numpy(dtype))


def can_cast(from_: Any, to: Any, /) -> bool:
    """Whether promotion can make the first dtype, or that of a tensor, the second. It stays within a kind of dtypes.

    >>> import clearprop as cp
    >>> cp.can_cast(cp.int8, cp.int64), cp.can_cast(cp.int64, cp.int8), cp.can_cast(cp.int8, cp.float32)
    (True, False, False)
    """
    have, want = _dtype_of(from_), to_numpy(to)
    if have == want:
        return True
    if not any(have.kind in letters and want.kind in letters for letters in ("iu", "f")):
        return False
    try:
        return promoted(have, want) == want
    except DTypeError:  # uint64 and signed integers have no common type
        return False


def result_type(*arrays_and_dtypes: Any) -> DType:
    """The dtype of an operation on all of these: tensors, dtypes, and Python numbers, which are weak.

    Raises:
        DTypeError: if they have no common dtype.
        UsageError: if none is a tensor or a dtype.

    >>> import clearprop as cp
    >>> cp.result_type(cp.int8, cp.tensor([1], dtype=cp.int32), 5), cp.result_type(cp.int8, 0.5)
    (clearprop.int32, clearprop.float32)
    """
    numbers = [one for one in arrays_and_dtypes if isinstance(one, (int, float))]
    strong = [_dtype_of(one) for one in arrays_and_dtypes if not isinstance(one, (int, float))]
    if not strong:
        raise UsageError("result_type needs a tensor or a dtype", hint="cp.result_type(x, 1.0)")
    return from_numpy(reduce(promoted_with_number, numbers, reduce(promoted, strong)))


def isdtype(dtype: Any, kind: Any) -> bool:
    """Whether a dtype is of a kind, is a given dtype, or one of several.

    Args:
        dtype: the dtype in question.
        kind: "bool", "signed integer", "unsigned integer", "integral", "real floating", "complex floating", "numeric",
            a dtype, or a tuple of these.

    >>> import clearprop as cp
    >>> cp.isdtype(cp.int8, "integral"), cp.isdtype(cp.int8, (cp.float32, "bool"))
    (True, False)
    """
    found = to_numpy(dtype)
    kinds = kind if isinstance(kind, tuple) else (kind,)
    return any(found.kind in letters(one) if isinstance(one, str) else found == to_numpy(one) for one in kinds)


def letters(kind: str) -> str:
    """NumPy's letters for a kind of dtypes; UsageError if there is none of that name."""
    if kind not in KINDS:
        raise UsageError(f"{kind!r} is no kind of dtypes", hint=f"one of {', '.join(map(repr, KINDS))}")
    return KINDS[kind]


@dataclass(frozen=True, slots=True)
class FloatInfo:
    """The limits of a floating-point dtype.

    Attributes:
        bits: the size of a number.
        eps: from 1.0 to the next larger number.
        max, min: the largest and the smallest finite number.
        smallest_normal: the smallest positive number with full precision.
        dtype: the dtype itself.
    """

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: DType


@dataclass(frozen=True, slots=True)
class IntegerInfo:
    """The limits of an integer dtype: its size in bits, its largest and its smallest number."""

    bits: int
    max: int
    min: int
    dtype: DType


def finfo(type: Any, /) -> FloatInfo:
    """The limits of a floating-point dtype, or of that of a tensor.

    >>> import clearprop as cp
    >>> cp.finfo(cp.float32).bits, cp.finfo(cp.float32).eps == 2.0**-23
    (32, True)
    """
    dtype = _dtype_of(type)
    if dtype.kind != "f":
        raise DTypeError(f"finfo: {dtype} is no floating-point dtype", hint="cp.iinfo, for integers")
    limits = np.finfo(dtype)
    eps, top, bottom, normal = map(float, (limits.eps, limits.max, limits.min, limits.smallest_normal))
    return FloatInfo(dtype.itemsize * 8, eps, top, bottom, normal, from_numpy(dtype))


def iinfo(type: Any, /) -> IntegerInfo:
    """The limits of an integer dtype, or of that of a tensor.

    >>> import clearprop as cp
    >>> cp.iinfo(cp.int8).min, cp.iinfo(cp.uint16).max
    (-128, 65535)
    """
    dtype = _dtype_of(type)
    if dtype.kind not in "iu":
        raise DTypeError(f"iinfo: {dtype} is no integer dtype", hint="cp.finfo, for floating-point numbers")
    limits = np.iinfo(dtype)
    return IntegerInfo(dtype.itemsize * 8, int(limits.max), int(limits.min), from_numpy(dtype))


def _dtype_of(x: Any) -> np.dtype[Any]:
    """NumPy's dtype of a dtype, or of a tensor or what can become one."""
    return to_numpy(x) if isinstance(x, (DType, np.dtype, str, type)) else numpy_dtype(as_tensor(x))
