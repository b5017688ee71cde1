"""New tensors: the creation functions of the array API standard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clearprop.arguments import number
from clearprop.array.devices import check_device
from clearprop.array.promotion import (
    DEFAULT_FLOAT,
    ArrayLike,
    cast_to,
    common_shape,
    expand,
    whole_number,
    whole_numbers,
)
from clearprop.cell import Cell
from clearprop.dtypes import from_numpy, to_numpy
from clearprop.errors import ShapeError, UsageError
from clearprop.primitive import numpy_dtype
from clearprop.tensor import Tensor, as_tensor, to_array

Shape = int | Sequence[int]


def asarray(obj: ArrayLike, /, *, dtype: Any = None, device: str | None = None, copy: bool | None = None) -> Tensor:
    """A tensor of numbers, nested lists, an array, or a tensor (which keeps its history).

    Args:
        obj: what to make a tensor of; also an array of another library, or anything with a buffer.
        dtype: by default float32 for Python floats, int64 for Python integers, otherwise that of the array.
        device: "cpu", the only one so far.
        copy: arrays are copied unless this is False; then the tensor shares their memory, and they must not be changed
            any more. Tensors, which nobody can change, are shared always.

    Raises:
        UsageError: if there is no way without a copy and ``copy`` is False.

    >>> import clearprop as cp
    >>> cp.asarray([1, 2, 3])
    Tensor([1, 2, 3], dtype=int64)
    """
    check_device(device)
    wanted = None if dtype is None else to_numpy(dtype)
    if isinstance(obj, (Tensor, Cell)):
        tensor = as_tensor(obj)
        if wanted is None or numpy_dtype(tensor) == wanted:
            return tensor
        if copy is False:
            raise _needs_copy(f"{numpy_dtype(tensor)} cannot become {wanted}")
        return cast_to(tensor, wanted)
    return Tensor(_shared(obj, wanted) if copy is False else to_array(obj, wanted))


def _shared(obj: Any, dtype: np.dtype[Any] | None) -> np.ndarray[Any, Any]:
    """An array on the memory of an object; UsageError if it offers none that fits."""
    try:
        array = np.asarray(obj, dtype, copy=False)
    except (ValueError, TypeError) as error:
        raise _needs_copy(f"{type(obj).__name__} cannot become a tensor") from error
    from_numpy(array.dtype)
    return array


def _needs_copy(what: str) -> UsageError:
    return UsageError(f"asarray: {what} without a copy", hint="copy=None")


def _numpy(dtype: Any, device: str | None) -> np.dtype[Any]:
    """NumPy's dtype for that of a new tensor, float32 by default; and the device is checked."""
    check_device(device)
    return DEFAULT_FLOAT if dtype is None else to_numpy(dtype)


def _lengths(shape: Shape) -> tuple[int, ...]:
    lengths = whole_numbers(shape, "a new tensor", "shape")
    if min(lengths, default=0) < 0:
        raise ShapeError(f"a tensor cannot have shape {lengths}", hint="lengths of axes are 0 or more")
    return lengths


def zeros(shape: Shape, *, dtype: Any = None, device: str | None = None) -> Tensor:
    """All zeros; float32 by default.

    >>> import clearprop as cp
    >>> cp.zeros(2)
    Tensor([0., 0.], dtype=float32)
    """
    return Tensor(np.zeros(_lengths(shape), _numpy(dtype, device)))


def ones(shape: Shape, *, dtype: Any = None, device: str | None = None) -> Tensor:
    """All ones; float32 by default.

    >>> import clearprop as cp
    >>> cp.ones((1, 2))
    Tensor([[1., 1.]], dtype=float32)
    """
    return Tensor(np.ones(_lengths(shape), _numpy(dtype, device)))


def full(shape: Shape, fill_value: Any, *, dtype: Any = None, device: str | None = None) -> Tensor:
    """All one number; its dtype by default.

    >>> import clearprop as cp
    >>> cp.full(2, 7)
    Tensor([7, 7], dtype=int64)
    """
    value, lengths = asarray(fill_value, dtype=dtype, device=device), _lengths(shape)
    if value.shape and common_shape("full", value, Tensor(np.broadcast_to(False, lengths))) != lengths:
        raise ShapeError(f"full: a value of shape {value.shape} for {lengths}", hint="one number; or cp.broadcast_to")
    if type(value) is Tensor and value.node is None:
        return Tensor(np.full(lengths, value.array))
    return expand(value, lengths)


def empty(shape: Shape, *, dtype: Any = None, device: str | None = None) -> Tensor:
    """As `zeros`: tensors are values, so there is nothing to fill in later.

    >>> import clearprop as cp
    >>> cp.empty((2, 3)).shape
    (2, 3)
    """
    return zeros(shape, dtype=dtype, device=device)


def empty_like(x: ArrayLike, /, *, dtype: Any = None, device: str | None = None) -> Tensor:
    """As `zeros_like`: there is nothing to fill in later.

    >>> import clearprop as cp
    >>> cp.empty_like(cp.ones((2, 3))).shape
    (2, 3)
    """
    return zeros_like(x, dtype=dtype, device=device)


def zeros_like(x: ArrayLike, /, *, dtype: Any = None, device: str | None = None) -> Tensor:
    """Zeros of the shape and dtype of x.

    >>> import clearprop as cp
    >>> cp.zeros_like([1, 2])
    Tensor([0, 0], dtype=int64)
    """
    tensor = as_tensor(x)
    return zeros(tensor.shape, dtype=numpy_dtype(tensor) if dtype is None else dtype, device=device)


def ones_like(x: ArrayLike, /, *, dtype: Any = None, device: str | None = None) -> Tensor:
    """Ones of the shape and dtype of x.

    >>> import clearprop as cp
    >>> cp.ones_like([1, 2])
    Tensor([1, 1], dtype=int64)
    """
    tensor = as_tensor(x)
    return ones(tensor.shape, dtype=numpy_dtype(tensor) if dtype is None else dtype, device=device)


def full_like(x: ArrayLike, /, fill_value: Any, *, dtype: Any = None, device: str | None = None) -> Tensor:
    """One number in the shape and dtype of x.

    >>> import clearprop as cp
    >>> cp.full_like([1.0, 2.0], 3)
    Tensor([3., 3.], dtype=float32)
    """
    tensor = as_tensor(x)
    return full(tensor.shape, fill_value, dtype=numpy_dtype(tensor) if dtype is None else dtype, device=device)


def arange(
    start: float,
    /,
    stop: float | None = None,
    step: float = 1,
    *,
    dtype: Any = None,
    device: str | None = None,
) -> Tensor:
    """Equally spaced numbers from start up to, and without, stop; from 0 if only one bound is given.

    Raises:
        ShapeError: if the step is 0.

    >>> import clearprop as cp
    >>> cp.arange(3), cp.arange(0.0, 1.0, 0.5)
    (Tensor([0, 1, 2], dtype=int64), Tensor([0. , 0.5], dtype=float32))
    """
    first, last = (0, start) if stop is None else (start, stop)
    for name, bound in (("start", first), ("stop", last), ("step", step)):
        number("arange", name, bound)
    if step == 0:
        raise ShapeError(f"arange({first}, {last}, step=0) has no end", hint="a step that is not 0")
    if dtype is None and all(isinstance(number, int) for number in (first, last, step)):
        dtype = np.int64
    return Tensor(np.arange(first, last, step).astype(_numpy(dtype, device)))


def linspace(
    start: float,
    stop: float,
    /,
    num: int,
    *,
    dtype: Any = None,
    device: str | None = None,
    endpoint: bool = True,
) -> Tensor:
    """So many equally spaced numbers from start to stop, which is the last one, or with ``endpoint=False`` left out.

    >>> import clearprop as cp
    >>> cp.linspace(0.0, 1.0, 3)
    Tensor([0. , 0.5, 1. ], dtype=float32)
    """
    number("linspace", "start", start, infinite=True)
    number("linspace", "stop", stop, infinite=True)
    if whole_number(num, "linspace", "num") < 0:
        raise ShapeError(f"linspace: {num} numbers", hint="num >= 0")
    return Tensor(np.linspace(start, stop, num, endpoint=endpoint).astype(_numpy(dtype, device)))


def eye(
    n_rows: int, n_cols: int | None = None, /, *, k: int = 0, dtype: Any = None, device: str | None = None
) -> Tensor:
    """Ones on the diagonal (the k-th above it), zeros elsewhere.

    >>> import clearprop as cp
    >>> cp.eye(2)
    Tensor([[1., 0.],
            [0., 1.]], dtype=float32)
    """
    rows, columns = _lengths((n_rows, n_rows if n_cols is None else n_cols))
    return Tensor(np.eye(rows, columns, k, dtype=_numpy(dtype, device)))
