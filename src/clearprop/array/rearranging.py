"""The same elements elsewhere, or more than once: repeated, rolled, tiled, taken apart, spread out as a grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from clearprop import primitives
from clearprop.arguments import one_of
from clearprop.array.indexing import take
from clearprop.array.promotion import ArrayLike, normalize_axis, whole_numbers
from clearprop.array.sets import known_values
from clearprop.array.shapes import flatten
from clearprop.errors import DTypeError, RangeError, ShapeError
from clearprop.primitives.shaping import take_range
from clearprop.tensor import Tensor, as_tensor


def repeat(x: ArrayLike, repeats: ArrayLike, /, *, axis: int | None = None) -> Tensor:
    """Each element so many times, one after the other, along an axis; of the flattened tensor for ``axis=None``.

    Args:
        repeats: one whole number for all, or a vector with one for each element along the axis.

    Raises:
        ShapeError: if there are not as many numbers as elements; and if ``repeats`` is a tensor inside vmap, or of a
            function that is traced: the shape of the result depends on its numbers.
        RangeError: if one is negative.

    >>> import clearprop as cp
    >>> cp.repeat([1.0, 2.0], 2), cp.repeat([1.0, 2.0], [3, 1])
    (Tensor([1., 1., 2., 2.], dtype=float32), Tensor([1., 1., 1., 2.], dtype=float32))
    """
    tensor = as_tensor(x)
    if axis is None:
        tensor, axis = flatten(tensor), 0
    at = normalize_axis(axis, tensor.ndim, "repeat")
    counts = _repeats(repeats, tensor.shape[at])
    if isinstance(counts, int):
        before, length, behind = tensor.shape[:at], tensor.shape[at], tensor.shape[at + 1 :]
        copies = primitives.broadcast(tensor, shape=(*before, length, counts, *behind), axes=(at + 1,))
        return primitives.reshape(copies, shape=(*before, length * counts, *behind))
    return take(tensor, np.repeat(np.arange(tensor.shape[at]), counts), axis=at)


def _repeats(repeats: ArrayLike, length: int) -> int | np.ndarray[Any, Any]:
    """One number for all elements, or one for each."""
    if isinstance(repeats, (int, np.integer)):
        counts = np.asarray(repeats)
    else:
        counts = known_values("repeat", as_tensor(repeats))
    if counts.dtype.kind not in "iu":
        raise DTypeError(
            f"repeat: repeats are {counts.dtype}; they must be whole numbers",
            hint="repeats.astype(cp.int64)",
        )
    if counts.ndim > 1 or (counts.ndim == 1 and len(counts) not in (1, length)):
        raise ShapeError(f"repeat: repeats of shape {counts.shape} for {length} elements", hint="one for each, or one")
    if counts.size and counts.min() < 0:
        raise RangeError(f"repeat: {counts.min()} times", hint="repeats are 0 or more")
    return int(counts.reshape(())) if counts.size == 1 else counts


def roll(x: ArrayLike, /, shift: int | Sequence[int], *, axis: int | Sequence[int] | None = None) -> Tensor:
    """Moved by so many places along one axis or several; what leaves at the end comes in at the beginning.

    Args:
        shift: one number, or one for each axis; negative ones move towards the beginning.
        axis: for None the tensor is flattened, rolled, and given its shape again.

    Raises:
        ShapeError: if there are not as many shifts as axes.

    >>> import clearprop as cp
    >>> cp.roll([1, 2, 3, 4], 1), cp.roll([[1, 2], [3, 4]], -1, axis=0)
    (Tensor([4, 1, 2, 3], dtype=int64), Tensor([[3, 4],
            [1, 2]], dtype=int64))
    """
    tensor, shifts = as_tensor(x), whole_numbers(shift, "roll", "shift")
    if axis is None:
        if len(shifts) != 1:
            raise ShapeError(f"roll: shifts {shift} without axes", hint="axis=(0, 1): one for each shift")
        return primitives.reshape(_rolled(flatten(tensor), shifts[0], 0), shape=tensor.shape)
    axes = whole_numbers(axis, "roll", "axis")
    shifts = shifts * len(axes) if len(shifts) == 1 else shifts
    if len(shifts) != len(axes):
        raise ShapeError(
            f"roll: {len(shifts)} shifts {shift} for {len(axes)} axes {axis}",
            hint="one shift for each axis, or one for all",
        )
    for by, one in zip(shifts, axes, strict=True):
        tensor = _rolled(tensor, by, normalize_axis(one, tensor.ndim, "roll"))
    return tensor


def _rolled(x: Tensor, shift: int, axis: int) -> Tensor:
    length = x.shape[axis]
    if length == 0 or shift % length == 0:
        return x
    cut = length - shift % length
    parts = take_range(x, axis, cut, length), take_range(x, axis, 0, cut)
    return primitives.concat(*parts, axis=axis, lengths=(length - cut, cut))


def tile(x: ArrayLike, repetitions: Sequence[int], /) -> Tensor:
    """The whole tensor so many times along each axis; missing axes, and missing numbers, are ones put in front.

    >>> import clearprop as cp
    >>> cp.tile([1, 2], (2, 2))
    Tensor([[1, 2, 1, 2],
            [1, 2, 1, 2]], dtype=int64)
    """
    tensor, times = as_tensor(x), whole_numbers(repetitions, "tile", "repetitions")
    if min(times, default=0) < 0:
        raise RangeError(f"tile: repetitions {times}", hint="0 or more along each axis")
    shape = (*(1,) * (len(times) - tensor.ndim), *tensor.shape)
    times = (*(1,) * (tensor.ndim - len(times)), *times)
    copies = primitives.broadcast(
        primitives.reshape(tensor, shape=shape),
        shape=tuple(length for pair in zip(times, shape, strict=True) for length in pair),
        axes=tuple(range(0, 2 * len(shape), 2)),
    )
    return primitives.reshape(copies, shape=tuple(count * length for count, length in zip(times, shape, strict=True)))


def unstack(x: ArrayLike, /, *, axis: int = 0) -> tuple[Tensor, ...]:
    """The tensors that are joined along an axis, without it: what `stack` put together.

    >>> import clearprop as cp
    >>> cp.unstack([[1.0, 2.0], [3.0, 4.0]], axis=1)
    (Tensor([1., 3.], dtype=float32), Tensor([2., 4.], dtype=float32))
    """
    tensor = as_tensor(x)
    at = normalize_axis(axis, tensor.ndim, "unstack")
    shape = (*tensor.shape[:at], *tensor.shape[at + 1 :])
    return tuple(primitives.reshape(take_range(tensor, at, i, i + 1), shape=shape) for i in range(tensor.shape[at]))


def meshgrid(*arrays: ArrayLike, indexing: Literal["xy", "ij"] = "xy") -> list[Tensor]:
    """Vectors of coordinates as a grid: one tensor for each, with one axis for each.

    Args:
        indexing: "ij" for axes in the order of the vectors; "xy" for the first two exchanged, as x and y of a picture.

    Raises:
        ShapeError: if one of them is no vector.
        UsageError: for another indexing.

    >>> import clearprop as cp
    >>> cp.meshgrid([1, 2], [3, 4, 5], indexing="ij")
    [Tensor([[1, 1, 1],
            [2, 2, 2]], dtype=int64), Tensor([[3, 4, 5],
            [3, 4, 5]], dtype=int64)]
    """
    one_of("meshgrid", "indexing", indexing, "xy", "ij")
    vectors = [as_tensor(array) for array in arrays]
    for i, vector in enumerate(vectors):
        if vector.ndim != 1:
            raise ShapeError(f"meshgrid: array {i} has shape {vector.shape}; it must be a vector", hint="x.reshape(-1)")
    places = list(range(len(vectors)))
    if indexing == "xy" and len(vectors) > 1:
        places[:2] = [1, 0]
    lengths = {place: vector.shape[0] for place, vector in zip(places, vectors, strict=True)}
    shape = tuple(lengths[place] for place in range(len(vectors)))
    return [
        primitives.broadcast(vector, shape=shape, axes=tuple(axis for axis in range(len(shape)) if axis != place))
        for place, vector in zip(places, vectors, strict=True)
    ]
