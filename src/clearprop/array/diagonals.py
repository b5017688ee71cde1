"""Of matrices, the last two axes: the diagonal, and what is below or above it."""

from __future__ import annotations

from typing import Any

import numpy as np

from clearprop import primitives
from clearprop.array.promotion import ArrayLike, expand, whole_number
from clearprop.errors import ShapeError
from clearprop.primitive import numpy_dtype
from clearprop.tensor import Tensor, as_tensor


def _matrices(name: str, x: ArrayLike) -> Tensor:
    """A tensor of two axes or more."""
    tensor = as_tensor(x)
    if tensor.ndim < 2:
        raise ShapeError(f"{name}: a tensor of shape {tensor.shape} is no matrix", hint="x.reshape(1, -1)")
    return tensor


def diagonal(x: ArrayLike, /, *, offset: int = 0) -> Tensor:
    """The diagonal of each matrix, as a new last axis.

    Args:
        offset: so many places above the main diagonal; below it if negative.

    >>> import clearprop as cp
    >>> cp.diagonal([[1, 2], [3, 4]]), cp.diagonal([[1, 2], [3, 4]], offset=1)
    (Tensor([1, 4], dtype=int64), Tensor([2], dtype=int64))
    """
    tensor = _matrices("diagonal", x)
    rows, columns = tensor.shape[-2:]
    offset = whole_number(offset, "diagonal", "offset")
    length = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
    first = offset if offset >= 0 else -offset * columns
    # Row after row, the elements of the diagonal are one row and one column apart.
    batch = tensor.shape[:-2]
    flat = primitives.reshape(tensor, shape=(*batch, rows * columns))
    start, stop = (first, first + (length - 1) * (columns + 1) + 1) if length else (0, 0)
    none, whole = (0,) * len(batch), (1,) * len(batch)
    return primitives.slice_(flat, start=(*none, start), stop=(*batch, stop), step=(*whole, columns + 1))


def tril(x: ArrayLike, /, *, k: int = 0) -> Tensor:
    """Each matrix with zeros above its diagonal.

    Args:
        k: which diagonal is the last to be kept: so many places above the main one; below it if negative.

    >>> import clearprop as cp
    >>> cp.tril([[1, 2], [3, 4]])
    Tensor([[1, 0],
            [3, 4]], dtype=int64)
    """
    tensor = _matrices("tril", x)
    rows, columns = tensor.shape[-2:]
    return _kept(tensor, np.tri(rows, columns, whole_number(k, "tril", "k"), dtype=np.bool_))


def triu(x: ArrayLike, /, *, k: int = 0) -> Tensor:
    """Each matrix with zeros below its diagonal.

    Args:
        k: which diagonal is the first to be kept: so many places above the main one; below it if negative.

    >>> import clearprop as cp
    >>> cp.triu([[1, 2], [3, 4]])
    Tensor([[1, 2],
            [0, 4]], dtype=int64)
    """
    tensor = _matrices("triu", x)
    rows, columns = tensor.shape[-2:]
    return _kept(tensor, ~np.tri(rows, columns, whole_number(k, "triu", "k") - 1, dtype=np.bool_))


def _kept(x: Tensor, mask: np.ndarray[Any, Any]) -> Tensor:
    """The elements of each matrix where the mask is true, zeros elsewhere."""
    zero = False if numpy_dtype(x).kind == "b" else 0
    return primitives.where(expand(Tensor(mask), x.shape), x, zero)
