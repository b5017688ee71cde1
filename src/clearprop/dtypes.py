"""The data types of tensors, as objects of our own.

They follow the Python array API standard: ``cp.float32``, ``cp.int64``, ``cp.bool``, … Inside the library arrays are
NumPy's and so are their dtypes; a `DType` is what the user sees of them. It compares equal to NumPy's dtype of the same
name, and NumPy takes it wherever it takes a dtype.
"""

from __future__ import annotations

import builtins  # `bool` is a name of ours in this file
from typing import Any

import numpy as np

from clearprop.errors import DTypeError


class DType:
    """A data type, e.g. ``cp.float32``.

    >>> import clearprop as cp
    >>> cp.float32.itemsize, cp.float32.is_floating, cp.float32 == np.dtype("float32")
    (4, True, True)
    """

    __slots__ = ("dtype", "itemsize", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.dtype = np.dtype(name)  # NumPy looks for this attribute: np.zeros(3, cp.float32) works
        self.itemsize = self.dtype.itemsize

    @property
    def is_floating(self) -> builtins.bool:
        """Whether values of this type are real numbers, so that gradients exist."""
        return self.dtype.kind == "f"

    def __eq__(self, other: object) -> builtins.bool:
        if isinstance(other, DType):
            return self is other
        if isinstance(other, np.dtype) or (isinstance(other, type) and issubclass(other, np.generic)):
            return builtins.bool(self.dtype == other)
        return self.name == other if isinstance(other, str) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.dtype)

    def __reduce__(self) -> str:
        return self.name  # there is one object for each dtype, also after copying

    def __repr__(self) -> str:
        return f"clearprop.{self.name}"


bool = DType("bool")
int8, int16, int32, int64 = DType("int8"), DType("int16"), DType("int32"), DType("int64")
uint8, uint16, uint32, uint64 = DType("uint8"), DType("uint16"), DType("uint32"), DType("uint64")
float16, float32, float64 = DType("float16"), DType("float32"), DType("float64")

DTYPES = {
    d.dtype: d for d in (bool, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float16, float32, float64)
}

DEFAULT_FLOAT = float32
DEFAULT_INT = int64


def from_numpy(dtype: np.dtype[Any]) -> DType:
    """Our name for one of NumPy's dtypes; DTypeError if tensors cannot have it."""
    try:
        return DTYPES[dtype]
    except KeyError:
        raise _unsupported(dtype) from None


def to_numpy(dtype: Any) -> np.dtype[Any]:
    """NumPy's dtype for whatever names one: a `DType`, a NumPy dtype, a string, ``float``; checked to be supported."""
    if isinstance(dtype, DType):
        return dtype.dtype
    if dtype is float:
        return DEFAULT_FLOAT.dtype
    try:
        found = np.dtype(dtype).newbyteorder("=")
    except (TypeError, ValueError):  # the second for what has an attribute dtype that is none
        raise DTypeError(f"{dtype!r} is not a dtype"[:200], hint="cp.float32, cp.int64, … or the name of one") from None
    return from_numpy(found).dtype


def _unsupported(dtype: np.dtype[Any]) -> DTypeError:
    if dtype.kind == "c":
        return DTypeError(
            f"tensors of dtype {dtype} are not supported yet: complex numbers come later",
            hint="keep the real and the imaginary part in two tensors",
        )
    return DTypeError(f"tensors cannot have dtype {dtype}", hint=f"one of {', '.join(d.name for d in DTYPES.values())}")
