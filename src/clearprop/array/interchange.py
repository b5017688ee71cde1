"""Handing tensors to other array libraries and taking over theirs: DLPack, and what the standard asks of an array.

Nobody may write to a tensor. So what is handed out is read-only where the protocol can say so, and a copy elsewhere;
and what is taken over is copied unless the caller vouches for it with ``copy=False``.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from clearprop.array.devices import check_device
from clearprop.array.inspection import check_api_version
from clearprop.cell import Cell
from clearprop.dtypes import from_numpy
from clearprop.errors import DTypeError
from clearprop.tensor import Tensor, as_tensor

_CPU_OF_DLPACK = (1, 0)  # kDLCPU, and the first of them
_KNOWS_READ_ONLY = (1, 0)  # the version of DLPack from which on it can say that memory must not be written to


def from_dlpack(x: Any, /, *, device: str | None = None, copy: bool | None = None) -> Tensor:
    """A tensor of an array of another library that speaks DLPack, such as NumPy, PyTorch or JAX.

    Args:
        x: an array in the memory of the CPU.
        device: "cpu", the only one so far.
        copy: the array is copied unless this is False; then the tensor shares its memory, which must not be changed any
            more. A tensor always shares its own, and leaves its history behind.

    Raises:
        DTypeError: if it is no such array, or has a dtype or a device that tensors cannot have.

    >>> import numpy as np
    >>> import clearprop as cp
    >>> cp.from_dlpack(np.asarray([1.0, 2.0]))
    Tensor([1., 2.], dtype=float64)
    """
    check_device(device)
    if isinstance(x, (Tensor, Cell)):
        return Tensor(as_tensor(x).array)
    if not hasattr(x, "__dlpack__"):
        raise DTypeError(f"from_dlpack: {type(x).__name__} does not offer DLPack", hint="cp.asarray(x)")
    try:
        array = np.from_dlpack(x)
    except (BufferError, RuntimeError, TypeError) as error:
        raise DTypeError(
            f"from_dlpack: {type(x).__name__} cannot be taken over: {error}",
            hint="bring it to the CPU, detach it, and give it a dtype that tensors have",
        ) from error
    from_numpy(array.dtype)
    return Tensor(array if copy is False else array.copy())


def export(
    self: Any,
    /,
    *,
    stream: None = None,
    max_version: tuple[int, int] | None = None,
    dl_device: tuple[int, int] | None = None,
    copy: bool | None = None,
) -> Any:
    """A DLPack capsule: read-only where the version asked for can say so, else a copy.

    With ``copy=False`` an older version shares the memory too, and whoever asked for it must not write to it.

    Raises:
        BufferError: if the device is another, or doing without a copy is impossible.
    """
    tensor = as_tensor(self)
    array: Any = tensor.numpy()
    if max_version is None or max_version < _KNOWS_READ_ONLY:
        array = np.asarray(tensor.array)
        copy = True if copy is None else copy
    return array.__dlpack__(stream=stream, max_version=max_version, dl_device=dl_device, copy=copy)


def dlpack_device(self: Any, /) -> tuple[int, int]:
    """DLPack's kind and number of the device: the CPU."""
    return _CPU_OF_DLPACK


def to_device(self: Any, device: str, /, *, stream: None = None) -> Tensor:
    """The same on another device; "cpu" is the only one so far."""
    check_device(device)
    return as_tensor(self)


def namespace(self: Any, /, *, api_version: str | None = None) -> Any:
    """The array namespace: `clearprop`, for programs that work with any array library."""
    check_api_version(api_version)
    return import_module("clearprop")
