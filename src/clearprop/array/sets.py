"""Which values a tensor holds, and where: distinct values, places that are not zero, one-hot rows.

How many distinct values there are, or places that are not zero, is known only once the numbers are: such functions
cannot run inside ``vmap``, nor be traced, and say so.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from clearprop import primitives
from clearprop.array.promotion import DEFAULT_INT, ArrayLike, cast_to, expand, normalize_axis, whole_number
from clearprop.array.reductions import Axis, sum
from clearprop.dtypes import to_numpy
from clearprop.errors import DTypeError, RangeError, ShapeError
from clearprop.primitive import numpy_dtype
from clearprop.tensor import Tensor, as_tensor

Array = np.ndarray[Any, Any]


def is_known(x: Tensor) -> bool:
    """Whether the numbers are there: not inside ``vmap``, where a tensor stands for many, and not while tracing."""
    return type(x) is Tensor and isinstance(x.array, (np.ndarray, np.generic))


def known_values(name: str, x: Tensor) -> Array:
    """The numbers, for a function whose result has a shape that depends on them; ShapeError if they are not known."""
    if not is_known(x):
        raise ShapeError(
            f"{name}: the shape of its result depends on the numbers in {x.dtype.name}{list(x.shape)}, which are not "
            "known inside vmap, or while a function is traced",
            hint="call it outside; or keep the shape, with cp.where(condition, x, 0) or cp.sort(x)",
        )
    return np.asarray(x.array)


class UniqueAll(NamedTuple):
    """What `unique_all` returns."""

    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class UniqueCounts(NamedTuple):
    """What `unique_counts` returns."""

    values: Tensor
    counts: Tensor


class UniqueInverse(NamedTuple):
    """What `unique_inverse` returns."""

    values: Tensor
    inverse_indices: Tensor


def _unique(name: str, x: ArrayLike) -> UniqueAll:
    tensor = as_tensor(x)
    array = known_values(name, tensor)
    found = np.unique(array, return_index=True, return_inverse=True, return_counts=True, equal_nan=False)
    _, indices, inverse, counts = (Tensor(part) for part in found)
    values = primitives.gather(primitives.reshape(tensor, shape=(tensor.size,)), indices)
    return UniqueAll(values, indices, Tensor(inverse.array.reshape(array.shape)), counts)


def unique_all(x: ArrayLike, /) -> UniqueAll:
    """The distinct values in ascending order, with where each occurs first, which each element is, and how often.

    Every NaN is a value of its own; 0.0 and -0.0 are one. Gradients flow through the values to their first occurrence.

    Returns:
        values: a vector; x is flattened for it.
        indices: of the first occurrence of each value in the flattened x.
        inverse_indices: in the shape of x; ``values[inverse_indices]`` is x.
        counts: of each value.

    Raises:
        ShapeError: inside vmap, or while a function is traced: the shapes depend on the numbers.

    >>> import clearprop as cp
    >>> found = cp.unique_all([30, 10, 30])
    >>> found.values, found.indices
    (Tensor([10, 30], dtype=int64), Tensor([1, 0], dtype=int64))
    >>> found.inverse_indices, found.counts
    (Tensor([1, 0, 1], dtype=int64), Tensor([1, 2], dtype=int64))
    """
    return _unique("unique_all", x)


def unique_counts(x: ArrayLike, /) -> UniqueCounts:
    """The distinct values in ascending order, and how often each occurs; see `unique_all`.

    >>> import clearprop as cp
    >>> cp.unique_counts([3, 1, 3]).counts
    Tensor([1, 2], dtype=int64)
    """
    found = _unique("unique_counts", x)
    return UniqueCounts(found.values, found.counts)


def unique_inverse(x: ArrayLike, /) -> UniqueInverse:
    """The distinct values in ascending order, and for each element which of them it is; see `unique_all`.

    >>> import clearprop as cp
    >>> cp.unique_inverse([30, 10, 30]).inverse_indices
    Tensor([1, 0, 1], dtype=int64)
    """
    found = _unique("unique_inverse", x)
    return UniqueInverse(found.values, found.inverse_indices)


def unique_values(x: ArrayLike, /) -> Tensor:
    """The distinct values, in ascending order; see `unique_all`.

    >>> import clearprop as cp
    >>> cp.unique_values([3, 1, 3])
    Tensor([1, 3], dtype=int64)
    """
    return _unique("unique_values", x).values


def nonzero(x: ArrayLike, /) -> tuple[Tensor, ...]:
    """Where the elements are that are not zero, in row-major order: for each axis one vector of positions.

    Raises:
        ShapeError: of a tensor without axes; and inside vmap, or while a function is traced: the shape of the result
            depends on the numbers.

    >>> import clearprop as cp
    >>> cp.nonzero([[0, 5], [7, 0]])
    (Tensor([0, 1], dtype=int64), Tensor([1, 0], dtype=int64))
    """
    tensor = as_tensor(x)
    if tensor.ndim == 0:
        raise ShapeError("nonzero: a tensor without axes has no positions", hint="x.reshape(1)")
    return tuple(Tensor(places) for places in np.nonzero(known_values("nonzero", tensor)))


def count_nonzero(x: ArrayLike, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """How many elements are not zero, along one axis, several, or all.

    >>> import clearprop as cp
    >>> cp.count_nonzero([[0, 5], [7, 1]], axis=1)
    Tensor([1, 2], dtype=int64)
    """
    tensor = as_tensor(x)
    chosen = tensor if numpy_dtype(tensor).kind == "b" else cast_to(tensor, np.dtype(np.bool_))
    return sum(chosen, axis, dtype=DEFAULT_INT, keepdims=keepdims)


def one_hot(x: ArrayLike, num_classes: int = -1, *, dtype: Any = None, axis: int = -1) -> Tensor:
    """For each class number a row that is 1 at its place and 0 elsewhere, along a new axis.

    Args:
        num_classes: the length of the rows; -1 for one more than the largest number.
        dtype: int64 by default, as in PyTorch.
        axis: where the new axis goes.

    Raises:
        RangeError: if a number is negative, or no class.
        ShapeError: if ``num_classes`` is left out inside vmap, or while a function is traced.

    >>> import clearprop as cp
    >>> cp.one_hot([0, 2], 3)
    Tensor([[1, 0, 0],
            [0, 0, 1]], dtype=int64)
    """
    tensor = as_tensor(x)
    if numpy_dtype(tensor).kind not in "iu":
        raise DTypeError(f"one_hot: x is {tensor.dtype.name}; it takes class numbers", hint="x.astype(cp.int64)")
    at = normalize_axis(axis, tensor.ndim + 1, "one_hot")
    length = _number_of_classes(tensor, whole_number(num_classes, "one_hot", "num_classes"))
    if not is_known(tensor):  # under vmap, or traced: looked at where the numbers are
        says = f"one_hot: class {{wrong}} among {length} classes{{more}}"
        hint = f"numbers from 0 to {length - 1}"
        tensor = primitives.in_range(cast_to(tensor, DEFAULT_INT), count=length, message=says, hint=hint)
    shape = (*tensor.shape[:at], length, *tensor.shape[at:])
    numbers = np.arange(length).reshape(-1, *(1,) * (tensor.ndim - at))
    rows = primitives.broadcast(cast_to(tensor, DEFAULT_INT), shape=shape, axes=(at,))
    hit = primitives.equal(rows, expand(Tensor(numbers), shape))
    return cast_to(hit, DEFAULT_INT if dtype is None else to_numpy(dtype))


def _number_of_classes(x: Tensor, num_classes: int) -> int:
    """The length of a one-hot row; RangeError if a number does not fit, as far as the numbers are known."""
    if num_classes < -1:
        raise RangeError(f"one_hot: num_classes={num_classes}", hint="how many there are, or -1 for as many as needed")
    if num_classes != -1 and not is_known(x):
        return num_classes
    numbers = known_values("one_hot with num_classes=-1", x)
    lowest, highest = (int(numbers.min()), int(numbers.max())) if numbers.size else (0, -1)
    length = highest + 1 if num_classes == -1 else num_classes
    if lowest < 0 or highest >= length:
        raise RangeError(
            f"one_hot: class {lowest if lowest < 0 else highest} among {length} classes",
            hint=f"numbers from 0 to {length - 1}; or num_classes={highest + 1}",
        )
    return length
