"""New tensors: the creation functions of the array API standard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clearprop.array.promotion import DEFAULT_FLOAT, ArrayLike, cast_to
from clearprop.dtypes import to_numpy
from clearprop.errors import DTypeError, ShapeError
from clearprop.primitive import numpy_dtype
from clearprop.tensor import Tensor, as_tensor, to_array

Shape = int | Sequence[int]


def asarray(obj: ArrayLike, *, dtype: Any = None, device: str | None = None, copy: bool | None = None) -> Tensor:
    """A tensor of numbers, nested lists, a NumPy array or a tensor (which keeps its history).

    Args:
        dtype: by default float32 for Python floats, int64 for Python integers, otherwise that of the array.
        device: "cpu", the only one so far.
        copy: NumPy arrays are copied unless this is False; then the tensor shares their memory, and they must not be
            changed any more.

    >>> import clearprop as cp
    >>> cp.asarray([1, 2, 3])
    Tensor([1, 2, 3], dtype=int64)
    """
    if device not in (None, "cpu"):
        raise DTypeError(f"device {device!r} is not known", hint='device="cpu"')
    if isinstance(obj, np.ndarray) and copy is False:
        wanted = to_numpy(obj.dtype if dtype is None else dtype)
        if wanted != obj.dtype:
            raise DTypeError(f"asarray: {obj.dtype} cannot become {wanted} without a copy", hint="copy=None")
        return Tensor(obj)
    if isinstance(obj, np.ndarray):
        return Tensor(to_array(obj, dtype))
    if dtype is None:
        return as_tensor(obj)
    return cast_to(as_tensor(obj), to_numpy(dtype)) if hasattr(obj, "requires_grad") else Tensor(to_array(obj, dtype))


def _numpy(dtype: Any) -> np.dtype[Any]:
    return DEFAULT_FLOAT if dtype is None else to_numpy(dtype)


def _lengths(shape: Shape) -> tuple[int, ...]:
    lengths = (shape,) if isinstance(shape, int) else tuple(int(length) for length in shape)
    if min(lengths, default=0) < 0:
        raise ShapeError(f"a tensor cannot have shape {lengths}", hint="lengths of axes are 0 or more")
    return lengths


def zeros(shape: Shape, *, dtype: Any = None) -> Tensor:
    """All zeros; float32 by default.

    >>> import clearprop as cp
    >>> cp.zeros(2)
    Tensor([0., 0.], dtype=float32)
    """
    return Tensor(np.zeros(_lengths(shape), _numpy(dtype)))


def ones(shape: Shape, *, dtype: Any = None) -> Tensor:
    """All ones; float32 by default.

    >>> import clearprop as cp
    >>> cp.ones((1, 2))
    Tensor([[1., 1.]], dtype=float32)
    """
    return Tensor(np.ones(_lengths(shape), _numpy(dtype)))


def full(shape: Shape, fill_value: Any, *, dtype: Any = None) -> Tensor:
    """All one number; its dtype by default.

    >>> import clearprop as cp
    >>> cp.full(2, 7)
    Tensor([7, 7], dtype=int64)
    """
    value = to_array(fill_value, dtype)
    return Tensor(np.full(_lengths(shape), value, value.dtype))


def empty(shape: Shape, *, dtype: Any = None) -> Tensor:
    """As `zeros`: tensors are values, so there is nothing to fill in later.

    >>> import clearprop as cp
    >>> cp.empty((2, 3)).shape
    (2, 3)
    """
    return zeros(shape, dtype=dtype)


def zeros_like(x: ArrayLike, *, dtype: Any = None) -> Tensor:
    """Zeros of the shape and dtype of x.

    >>> import clearprop as cp
    >>> cp.zeros_like([1, 2])
    Tensor([0, 0], dtype=int64)
    """
    tensor = as_tensor(x)
    return zeros(tensor.shape, dtype=numpy_dtype(tensor) if dtype is None else dtype)


def ones_like(x: ArrayLike, *, dtype: Any = None) -> Tensor:
    """Ones of the shape and dtype of x.

    >>> import clearprop as cp
    >>> cp.ones_like([1, 2])
    Tensor([1, 1], dtype=int64)
    """
    tensor = as_tensor(x)
    return ones(tensor.shape, dtype=numpy_dtype(tensor) if dtype is None else dtype)


def full_like(x: ArrayLike, fill_value: Any, *, dtype: Any = None) -> Tensor:
    """One number in the shape and dtype of x.

    >>> import clearprop as cp
    >>> cp.full_like([1.0, 2.0], 3)
    Tensor([3., 3.], dtype=float32)
    """
    tensor = as_tensor(x)
    return full(tensor.shape, fill_value, dtype=numpy_dtype(tensor) if dtype is None else dtype)


def arange(start: float, stop: float | None = None, step: float = 1, *, dtype: Any = None) -> Tensor:
    """Equally spaced numbers from start up to, and without, stop; from 0 if only one bound is given.

    >>> import clearprop as cp
    >>> cp.arange(3), cp.arange(0.0, 1.0, 0.5)
    (Tensor([0, 1, 2], dtype=int64), Tensor([0. , 0.5], dtype=float32))
    """
    first, last = (0, start) if stop is None else (start, stop)
    if step == 0:
        raise ShapeError(f"arange({first}, {last}, step=0) has no end", hint="a step that is not 0")
    if dtype is None:
        dtype = np.int64 if all(isinstance(number, int) for number in (first, last, step)) else DEFAULT_FLOAT
    return Tensor(np.arange(first, last, step).astype(to_numpy(dtype)))


def linspace(start: float, stop: float, num: int, *, dtype: Any = None, endpoint: bool = True) -> Tensor:
    """So many equally spaced numbers from start to stop.

    >>> import clearprop as cp
    >>> cp.linspace(0.0, 1.0, 3)
    Tensor([0. , 0.5, 1. ], dtype=float32)
    """
    if num < 0:
        raise ShapeError(f"linspace: {num} numbers", hint="num >= 0")
    return Tensor(np.linspace(start, stop, num, endpoint=endpoint).astype(_numpy(dtype)))


def eye(n_rows: int, n_cols: int | None = None, *, k: int = 0, dtype: Any = None) -> Tensor:
    """Ones on the diagonal (the k-th above it), zeros elsewhere.

    >>> import clearprop as cp
    >>> cp.eye(2)
    Tensor([[1., 0.],
            [0., 1.]], dtype=float32)
    """
    return Tensor(np.eye(n_rows, n_cols, k, dtype=_numpy(dtype)))
