"""Indexing: ``x[...]`` with everything that NumPy takes, and ``x.at[...]`` to make changed copies.

An index is taken apart into primitives. Ranges become ``slice`` (and ``flip`` for a negative step), new axes and single
positions ``reshape``, arrays of integers ``gather``; a boolean mask is turned into the positions where it is true.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from clearprop import primitives
from clearprop.array.promotion import ArrayLike, cast_to, common_shape, expand, normalize_axis, only_axis
from clearprop.cell import Cell
from clearprop.errors import DTypeError, RangeError, ShapeError
from clearprop.primitive import numpy_dtype
from clearprop.tensor import Tensor, as_tensor


def getitem(x: Tensor, index: Any) -> Tensor:
    """``x[index]``: integers, ranges, ``...``, ``None``, and arrays of integers or booleans, as in NumPy.

    Raises:
        RangeError: if a position is outside its axis, or there are more of them than axes.
        DTypeError: if the index is of another type.

    >>> import clearprop as cp
    >>> x = cp.reshape(cp.arange(6), (2, 3))
    >>> x[1, ::-1], x[:, [0, 2]], x[x > 3]
    (Tensor([5, 4, 3], dtype=int64), Tensor([[0, 2],
            [3, 5]], dtype=int64), Tensor([4, 5], dtype=int64))
    """
    if _is_truth(index):  # a mask without axes: all of x or nothing, along a new axis
        x, index = primitives.reshape(x, shape=(1, *x.shape)), slice(int(bool(index)))
    entries = _entries(index, x.shape)
    x, entries = _apply_basic(x, entries)
    arrays = [(axis, entry) for axis, entry in enumerate(entries) if entry is not None]
    return _apply_arrays(x, arrays) if arrays else x


def _is_truth(index: Any) -> bool:
    """Whether an index is one truth value, in an array or a tensor; a Python boolean is most likely a mistake."""
    return isinstance(index, (Tensor, np.ndarray, np.generic)) and index.ndim == 0 and numpy_dtype(index).kind == "b"


def _entries(index: Any, shape: tuple[int, ...]) -> list[Any]:
    """One entry for each axis of x, and None in between for each new axis; masks replaced by positions."""
    given = [
        entry.value if isinstance(entry, Cell) else entry for entry in (index if isinstance(index, tuple) else (index,))
    ]
    used = sum(_axes_used(entry) for entry in given)
    if used > len(shape):
        raise RangeError(f"{used} indices for a tensor of shape {shape}", hint="one index for each axis")
    dots = sum(entry is Ellipsis for entry in given)
    if dots > 1:
        raise RangeError("an index can have one '...' only", hint="x[..., 0]")
    entries: list[Any] = []
    axis = 0
    for entry in given if dots else [*given, Ellipsis]:
        if entry is Ellipsis:
            entries.extend([slice(None)] * (len(shape) - used))
            axis += len(shape) - used
        else:
            entries.extend(_expand_entry(entry, shape[axis:]))
            axis += _axes_used(entry)
    return entries


def _axes_used(entry: Any) -> int:
    """For how many axes of the tensor an entry stands: a mask for as many as it has."""
    if entry is None or entry is Ellipsis:
        return 0
    array = entry if isinstance(entry, (Tensor, slice)) else np.asarray(entry)
    return array.ndim if not isinstance(array, slice) and numpy_dtype(array).kind == "b" else 1


def _expand_entry(entry: Any, lengths: tuple[int, ...]) -> list[Any]:
    """An entry in plain form; a mask of several axes becomes as many arrays of positions.

    Args:
        lengths: of the axes of the tensor from this entry on.
    """
    if entry is None or isinstance(entry, slice):
        return [entry]
    if isinstance(entry, (int, np.integer)) and not isinstance(entry, bool):
        return [int(entry)]
    array = entry if isinstance(entry, Tensor) else np.asarray(entry)
    if isinstance(array, np.ndarray) and array.size == 0 and array.dtype.kind == "f":
        array = array.astype(np.int64)  # an empty list
    kind = numpy_dtype(array).kind
    if kind == "b":
        return _positions(np.asarray(array), lengths)
    if kind not in "iu":
        raise DTypeError(
            f"an index must be integers, a range, booleans, None or '...'; this one is {entry!r}"[:200],
            hint="x[index.astype(cp.int64)]",
        )
    if array.ndim == 0 and isinstance(array.array if type(array) is Tensor else array, (np.ndarray, np.generic)):
        return [int(np.asarray(array))]
    return [array]


def _positions(mask: np.ndarray[Any, Any], lengths: tuple[int, ...]) -> list[Any]:
    """Where a mask is true: one array of positions for each of its axes."""
    fits = 0 < mask.ndim <= len(lengths) and all(m in (0, n) for m, n in zip(mask.shape, lengths, strict=False))
    if not fits:
        raise RangeError(
            f"a mask of shape {mask.shape} as an index of axes of lengths {lengths}",
            hint="a mask has the lengths of the axes that it chooses from (or 0, to choose nothing)",
        )
    return list(np.nonzero(mask))


def _apply_basic(x: Tensor, entries: list[Any]) -> tuple[Tensor, list[Any]]:
    """Apply ranges, single positions and new axes; what remains are arrays, and None for axes that are done."""
    shape = x.shape
    start, stop, step, flipped, kept = list[int](), list[int](), list[int](), list[int](), list[int]()
    remaining: list[Any] = []
    has_arrays = any(not isinstance(entry, (slice, int)) and entry is not None for entry in entries)
    axis = 0
    for entry in entries:
        if entry is None:
            kept.append(1)
            remaining.append(None)
            continue
        length = shape[axis]
        axis += 1
        if isinstance(entry, slice):
            if entry.step == 0:
                raise RangeError("a range with step 0 in an index", hint="x[::1]")
            first, last, by = entry.indices(length)
            count = len(range(first, last, by))
            if by < 0:
                flipped.append(axis - 1)
                first, last, by = first + (count - 1) * by, first + 1, -by
            start.append(first if count else 0)
            stop.append(last if count else 0)
            step.append(by)
            kept.append(count)
            remaining.append(None)
        elif isinstance(entry, int) and not has_arrays:
            at = _position(entry, length, axis - 1, shape)
            start.append(at)
            stop.append(at + 1)
            step.append(1)
        else:  # an array, or a single position beside arrays, which NumPy treats as one
            start.append(0)
            stop.append(length)
            step.append(1)
            kept.append(length)
            if isinstance(entry, int):
                entry = np.asarray(_position(entry, length, axis - 1, shape))
            remaining.append(entry)
    if tuple(start) != (0,) * len(shape) or tuple(stop) != shape or tuple(step) != (1,) * len(shape):
        x = primitives.slice_(x, start=tuple(start), stop=tuple(stop), step=tuple(step))
    if flipped:
        x = primitives.flip(x, axes=tuple(flipped))
    if x.shape != tuple(kept):
        x = primitives.reshape(x, shape=tuple(kept))
    return x, remaining


def _position(index: int, length: int, axis: int, shape: tuple[int, ...]) -> int:
    if not -length <= index < length:
        raise RangeError(
            f"index {index} is outside axis {axis} of a tensor of shape {shape}",
            hint=f"an index from {-length} to {length - 1}" if length else "the axis is empty",
        )
    return index % length


def _apply_arrays(x: Tensor, arrays: list[tuple[int, Any]]) -> Tensor:
    """Gather along the axes that have index arrays; these axes come first, or stay in place if they are neighbours."""
    axes = [axis for axis, _ in arrays]
    indices = [as_tensor(array) for _, array in arrays]
    shape = common_shape("index", *indices)
    indices = [expand(index, shape) for index in indices]
    others = [axis for axis in range(x.ndim) if axis not in axes]
    order = (*axes, *others)
    if order != tuple(range(x.ndim)):
        x = primitives.permute(x, axes=order)
    picked: Tensor = primitives.gather(x, *indices)
    if axes[-1] - axes[0] != len(axes) - 1 or axes[0] == 0:
        return picked
    behind = list(range(len(shape), picked.ndim))
    place = axes[0]
    final = (*behind[:place], *range(len(shape)), *behind[place:])
    return primitives.permute(picked, axes=final)


def take(x: ArrayLike, indices: ArrayLike, /, *, axis: int | None = None) -> Tensor:
    """The elements (rows, …) at integer positions along an axis, which may be left out for a vector.

    >>> import clearprop as cp
    >>> cp.take([10.0, 20.0, 30.0], [2, 0])
    Tensor([30., 10.], dtype=float32)
    """
    tensor, places = as_tensor(x), as_tensor(indices)
    at = only_axis(axis, tensor, "take")
    if places.size == 0:  # an empty list is one of floating-point numbers, as far as it goes
        places = cast_to(places, np.dtype(np.int64))
    if numpy_dtype(places).kind not in "iu":
        raise DTypeError(f"take: indices are {places.dtype.name}; they must be integers", hint="x[mask] for booleans")
    return getitem(tensor, (*[slice(None)] * at, places))


def take_along_axis(x: ArrayLike, indices: ArrayLike, /, *, axis: int = -1) -> Tensor:
    """For each place its own position along an axis; x and indices have as many axes, and broadcast but for that axis.

    >>> import clearprop as cp
    >>> cp.take_along_axis([[1.0, 2.0], [3.0, 4.0]], [[1], [0]], axis=1)
    Tensor([[2.],
            [3.]], dtype=float32)
    """
    tensor, places = as_tensor(x), as_tensor(indices)
    at = normalize_axis(axis, tensor.ndim, "take_along_axis")
    if places.ndim == tensor.ndim:
        tensor, places = _broadcast_but(at, tensor, places)
    return primitives.take_along_axis(tensor, places, axis=at)


def _broadcast_but(axis: int, *xs: Tensor) -> list[Tensor]:
    """All of them broadcast to one shape, each with its own length along one axis."""
    lengths = [x.shape[axis] for x in xs]
    others = [Tensor(np.broadcast_to(False, (*x.shape[:axis], 1, *x.shape[axis + 1 :]))) for x in xs]
    shape = common_shape("take_along_axis", *others)
    return [expand(x, (*shape[:axis], length, *shape[axis + 1 :])) for x, length in zip(xs, lengths, strict=True)]


class At:
    """``x.at[index]``: the places to change in a copy of x."""

    def __init__(self, x: Tensor, index: Any = ()) -> None:
        self.x = x
        self.index = index

    def __getitem__(self, index: Any) -> At:
        return At(self.x, index)

    def set(self, value: ArrayLike) -> Tensor:
        """x with other values at these places; where a place is named twice the last value counts.

        >>> import clearprop as cp
        >>> cp.zeros(3).at[1].set(5.0)
        Tensor([0., 5., 0.], dtype=float32)
        """
        places, flat = self._places()
        values = primitives.reshape(self._values(value, places.shape), shape=(places.size,))
        changed = primitives.scatter_set(flat, values, primitives.reshape(places, shape=(places.size,)))
        return primitives.reshape(changed, shape=self.x.shape)

    def add(self, value: ArrayLike) -> Tensor:
        """x with values added at these places; where a place is named twice both are added.

        >>> import clearprop as cp
        >>> cp.zeros(3).at[[1, 1]].add(5.0)
        Tensor([ 0., 10.,  0.], dtype=float32)
        """
        places, flat = self._places()
        values = primitives.reshape(self._values(value, places.shape), shape=(places.size,))
        added = primitives.scatter_add(values, primitives.reshape(places, shape=(places.size,)), shape=flat.shape)
        return primitives.reshape(primitives.add(flat, added), shape=self.x.shape)

    def _places(self) -> tuple[Tensor, Tensor]:
        """Positions in the flattened tensor, in the shape of x[index]; and the flattened tensor."""
        numbers = Tensor(np.arange(self.x.size).reshape(self.x.shape))
        return getitem(numbers, self.index), primitives.reshape(self.x, shape=(self.x.size,))

    def _values(self, value: ArrayLike, shape: tuple[int, ...]) -> Tensor:
        tensor, wanted = as_tensor(value), numpy_dtype(self.x)
        if numpy_dtype(tensor).kind == "f" and wanted.kind != "f":
            raise DTypeError(
                f"at[...]: values of dtype {tensor.dtype.name} in a tensor of dtype {wanted}",
                hint=f"value.astype(cp.{wanted})",
            )
        tensor = cast_to(tensor, wanted)
        if common_shape("at[...]", tensor, Tensor(np.broadcast_to(False, shape))) != shape:
            raise ShapeError(
                f"at[...]: values of shape {tensor.shape} for places of shape {shape}",
                hint=f"values that broadcast to {shape}",
            )
        return expand(tensor, shape)
