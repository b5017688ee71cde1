"""Sorting: in order, the positions that sort, the k best, and places in what is sorted.

NaN is larger than every number: it comes last in ascending order and first in descending order, as the largest.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from clearprop import primitives
from clearprop.arguments import one_of
from clearprop.array.indexing import take
from clearprop.array.promotion import ArrayLike, normalize_axis, same_dtype, whole_number
from clearprop.errors import DTypeError, ShapeError
from clearprop.primitive import numpy_dtype
from clearprop.tensor import Tensor, as_tensor


def sort(x: ArrayLike, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """The elements in ascending, or descending, order along an axis. Each gradient goes back to where its element was.

    Args:
        stable: keep what compares as equal in its order. Of numbers only 0.0 and -0.0 can show the difference, so it
            costs nothing and is always done.

    >>> import clearprop as cp
    >>> cp.sort([2.0, 3.0, 1.0]), cp.sort([2.0, 3.0, 1.0], descending=True)
    (Tensor([1., 2., 3.], dtype=float32), Tensor([3., 2., 1.], dtype=float32))
    """
    tensor = as_tensor(x)
    return primitives.sort(tensor, axis=normalize_axis(axis, tensor.ndim, "sort"), descending=bool(descending))


def argsort(x: ArrayLike, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """The positions along an axis that sort the tensor.

    Args:
        stable: equal elements in the order in which they stand, also in descending order; False may be quicker.

    >>> import clearprop as cp
    >>> cp.argsort([2.0, 3.0, 1.0, 2.0])
    Tensor([2, 0, 3, 1], dtype=int64)
    """
    tensor = as_tensor(x)
    at = normalize_axis(axis, tensor.ndim, "argsort")
    return primitives.argsort(tensor, axis=at, descending=bool(descending), stable=bool(stable))


def searchsorted(
    x1: ArrayLike,
    x2: ArrayLike,
    /,
    *,
    side: Literal["left", "right"] = "left",
    sorter: ArrayLike | None = None,
) -> Tensor:
    """Where the elements of x2 would have to be put into the sorted vector x1 so that it stays sorted.

    Args:
        side: before those that are equal ("left"), or behind them.
        sorter: positions that sort x1, if it is not sorted itself.

    Raises:
        ShapeError: if x1 is no vector.
        UsageError: for another side.

    >>> import clearprop as cp
    >>> cp.searchsorted([1.0, 2.0, 2.0, 5.0], [0.0, 2.0, 9.0])
    Tensor([0, 1, 4], dtype=int64)
    """
    one_of("searchsorted", "side", side, "left", "right")
    inside, wanted = same_dtype(as_tensor(x1), as_tensor(x2))
    if inside.ndim != 1:
        raise ShapeError(f"searchsorted: x1 has shape {inside.shape}; it must be a vector", hint="x1.reshape(-1)")
    if sorter is not None:
        inside = take(inside, _sorter(sorter, inside))
    flat = primitives.reshape(wanted, shape=(wanted.size,))
    return primitives.reshape(primitives.searchsorted(inside, flat, right=side == "right"), shape=wanted.shape)


def _sorter(sorter: ArrayLike, x: Tensor) -> Tensor:
    tensor = as_tensor(sorter)
    if tensor.shape != x.shape:
        raise ShapeError(
            f"searchsorted: sorter has shape {tensor.shape}, x1 has shape {x.shape}; they must be equal",
            hint="cp.argsort(x1)",
        )
    if numpy_dtype(tensor).kind not in "iu":
        raise DTypeError(f"searchsorted: sorter is {tensor.dtype.name}; it takes positions", hint="cp.argsort(x1)")
    return tensor


class TopK(NamedTuple):
    """What `topk` returns."""

    values: Tensor
    indices: Tensor


def topk(x: ArrayLike, k: int, axis: int = -1, *, largest: bool = True) -> TopK:
    """The k largest elements along an axis, the largest first, and where they are; gradients flow through the values.

    Of equal elements the first are taken.

    Args:
        largest: False for the k smallest, the smallest first.

    Raises:
        ShapeError: if there are fewer than k.

    >>> import clearprop as cp
    >>> values, indices = cp.topk([3.0, 1.0, 5.0, 2.0], 2)
    >>> values, indices
    (Tensor([5., 3.], dtype=float32), Tensor([2, 0], dtype=int64))
    """
    tensor = as_tensor(x)
    at = normalize_axis(axis, tensor.ndim, "topk")
    count = whole_number(k, "topk", "k")
    if not 0 <= count <= tensor.shape[at]:
        raise ShapeError(
            f"topk: k={count} elements of axis {at} of a tensor of shape {tensor.shape}",
            hint=f"k from 0 to {tensor.shape[at]}",
        )
    indices = primitives.argtopk(tensor, axis=at, k=count, largest=bool(largest))
    return TopK(primitives.take_along_axis(tensor, indices, axis=at), indices)
