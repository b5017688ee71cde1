"""What checks of arguments share: what to call an argument, and whether positions in a table are all inside.

Positions are words of a vocabulary, or labels of classes. Under ``vmap`` the checks look at the whole batch. Where a
function is traced there are no numbers yet to look at: the check becomes part of the program, and of every run of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from clearprop import primitives
from clearprop.array import add, subtract
from clearprop.array.promotion import ArrayLike, cast_to
from clearprop.autodiff.batching import innermost, levels_of
from clearprop.cell import Cell
from clearprop.errors import DTypeError, RangeError, ShapeError
from clearprop.primitive import numpy_dtype
from clearprop.tensor import Tensor, as_tensor


def named(role: str, x: ArrayLike) -> str:
    """What an argument is, and its name in the network if that says more."""
    name = x.name if isinstance(x, Cell) else ""
    return role if name in ("", role) else f"{role} {name}"


def check_dtype(name: str, label: str, x: Tensor, w: Tensor, weight: ArrayLike) -> None:
    """Raise DTypeError for floating-point numbers of another dtype than the weight's.

    NumPy's arrays are float64 unless somebody said otherwise: they would make a float32 network slow, silently.
    """
    have, want = numpy_dtype(x), numpy_dtype(w)
    if have.kind == want.kind == "f" and have != want:
        raise DTypeError(
            f"{name}: {label} is {have}, {named('weight', weight)} is {want}",
            hint=f"{label}.astype(cp.{want}), or the network .to(cp.{have})",
        )


def as_positions(name: str, label: str, x: Tensor) -> Tensor:
    """The same as int64.

    Raises:
        DTypeError: if they are not integers.
    """
    if numpy_dtype(x).kind not in "iu":
        raise DTypeError(f"{name}: {label} is {x.dtype.name}; it takes whole numbers", hint=f"{label}.astype(cp.int64)")
    return cast_to(x, np.dtype(np.int64))


def known_values(x: Tensor) -> np.ndarray[Any, Any] | None:
    """The values of a tensor, under ``vmap`` those of all examples; None while a function is traced."""
    array = innermost(x).array
    return np.asarray(array) if isinstance(array, (np.ndarray, np.generic)) else None


def single_values(x: Tensor) -> np.ndarray[Any, Any] | None:
    """The values of a tensor; None under ``vmap``, where there are many, and while a function is traced."""
    return None if levels_of(x) else known_values(x)


def all_inside(positions: Tensor, count: int) -> bool:
    """Whether every position, an int64, is known to be one of 0 to count - 1.

    NumPy alone would take -1 for the last. One pass: read as unsigned numbers, negative ones are larger than any count.
    """
    array = known_values(positions)
    return array is not None and (not array.size or int(array.view(np.uint64).max()) < count)


def check_inside(name: str, label: str, positions: Tensor, count: int, what: str, hint: str) -> Tensor:
    """The same positions; a RangeError that names the first of them that is not one of 0 to count - 1.

    Where a function is traced, what is returned is checked in every run.

    Args:
        name: of the operation.
        label: of its argument.
        what: what there are ``count`` of, such as ``"num_embeddings"``.
    """
    says = f"{name}: {label} has {{wrong}}, which is not one of 0 to {count - 1}: {what} is {count}{{more}}"
    return checked_inside(positions, count, says, hint)


def checked_inside(positions: Tensor, count: int, message: str, hint: str) -> Tensor:
    """The same with a message of its own, see `clearprop.primitives.indexing.InRange`."""
    if all_inside(positions, count):
        return positions
    return primitives.in_range(positions, count=count, message=message, hint=hint)


def check_lengths(name: str, lengths: ArrayLike, steps: int, batch: int) -> Tensor:
    """The lengths of the sequences in a padded batch, (N,), each from 1 to ``steps``.

    Where a function is traced, what is returned is checked in every run.

    Args:
        name: of the operation.
        steps: the length of the batch.
        batch: N.

    Raises:
        DTypeError: they are no whole numbers.
        ShapeError: they are not (N,).
        RangeError: names a length that cannot be.
    """
    ends = as_tensor(lengths)
    if numpy_dtype(ends).kind not in "iu":
        raise DTypeError(
            f"{name}: lengths are {ends.dtype.name}; they must be whole numbers",
            hint="mask.sum(axis=…) counts what a mask keeps" if numpy_dtype(ends).kind == "b" else "astype(cp.int64)",
        )
    if ends.shape != (batch,):
        raise ShapeError(
            f"{name}: lengths have shape {ends.shape}; one for each of {batch} sequences is needed",
            hint=f"lengths of shape ({batch},)",
        )
    hint = f"lengths from 1 to {steps}, the length of the input; leave sequences of length 0 out of the batch"
    values = known_values(ends)
    if values is None:  # traced: looked at in every run
        says = f"{name}: a length is not one of 1 to {steps}, which is how many steps the input has"
        places = cast_to(subtract(ends, 1), np.dtype(np.int64))
        return add(checked_inside(places, steps, says, hint), 1)
    if ((values < 1) | (values > steps)).any():
        place = tuple(np.argwhere((values < 1) | (values > steps))[0])
        raise RangeError(f"{name}: lengths[{place[-1]}] is {values[place]}; the input has {steps} steps", hint=hint)
    return ends
