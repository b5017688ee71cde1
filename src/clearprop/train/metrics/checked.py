"""What the functions of this package are given, checked: arrays of one length, of the right kind, without NaN."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from clearprop.errors import DataError, DTypeError, ShapeError, UsageError
from clearprop.tensor import Tensor

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Floats: TypeAlias = npt.NDArray[np.float64]


class UndefinedMetricWarning(UserWarning):
    """A figure that would divide by zero, and got the value that stands for this."""


def array(value: Any) -> Array:
    """The numbers of a tensor, array or list."""
    return np.asarray(value.array if type(value) is Tensor else value)


def labels(function: str, **named: Any) -> list[Array]:
    """Labels, checked: one axis, one length, integers or texts; all of one kind.

    >>> labels("accuracy_score", y_true=[1, 0], y_pred=[True, False])
    [array([1, 0]), array([1, 0])]
    """
    arrays = {name: array(value) for name, value in named.items()}
    for name, one in arrays.items():
        if one.ndim != 1:
            hint = "scores of shape (N, classes) become labels by argmax(axis=1)" if one.ndim == 2 else "shape (N,)"
            raise ShapeError(f"{function}: {name} has shape {one.shape}; labels have one axis", hint=hint)
        if one.dtype.kind == "f" and one.size and not np.all(one == np.floor(one)):
            raise DTypeError(
                f"{function}: {name} holds {one[one != np.floor(one)][0]}, which is no label", hint="scores > 0.5"
            )
        if one.dtype.kind not in "biufU":
            raise DTypeError(f"{function}: {name} has dtype {one.dtype}", hint="labels are integers, or texts")
    check_lengths(function, arrays)
    if len({one.dtype.kind == "U" for one in arrays.values()}) > 1:
        raise DTypeError(f"{function}: {' and '.join(arrays)} mix texts and numbers", hint="one kind of labels")
    return [one if one.dtype.kind == "U" else one.astype(np.int64) for one in arrays.values()]


def numbers(function: str, name: str, value: Any) -> Floats:
    """Real numbers without NaN, as float64."""
    found = array(value)
    if found.dtype.kind not in "biuf" and found.dtype.name != "bfloat16":
        raise DTypeError(f"{function}: {name} has dtype {found.dtype}", hint="real numbers")
    found = found.astype(np.float64)
    if np.isnan(found).any():
        raise DataError(f"{function}: {name} holds NaN", hint="look where it comes from, or leave these examples out")
    return found


def weights(function: str, sample_weight: Any, examples: int) -> Floats | None:
    """The weights of the examples, if there are any."""
    if sample_weight is None:
        return None
    found = numbers(function, "sample_weight", sample_weight)
    if found.shape != (examples,):
        raise ShapeError(
            f"{function}: sample_weight has shape {found.shape} for {examples} examples", hint=f"shape ({examples},)"
        )
    if np.any(found < 0) or not np.isfinite(found).all() or not found.any():
        raise DataError(f"{function}: sample_weight must be finite, from 0 on, and not 0 throughout", hint="weights")
    return found


def whole(function: str, name: str, value: Any, least: int) -> None:
    """Raise UsageError for what is not a whole number from `least` on."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UsageError(f"{function}: {name} is {value!r}", hint=f"a whole number from {least} on")


def check_lengths(function: str, arrays: dict[str, Array]) -> None:
    """Raise ShapeError for different lengths, DataError for none at all."""
    lengths = {name: len(one) for name, one in arrays.items()}
    if len(set(lengths.values())) > 1:
        said = " and ".join(f"{length} {name}" for name, length in lengths.items())
        raise ShapeError(f"{function}: there are {said}", hint="one of each for every example")
    if not all(lengths.values()):
        raise DataError(f"{function}: there are no examples", hint="check how they were selected")


def one_of(function: str, name: str, value: Any, allowed: tuple[Any, ...]) -> None:
    """Raise UsageError for a setting that the function does not take."""
    if value not in allowed:
        choices = ", ".join(map(repr, allowed[:-1])) + f" or {allowed[-1]!r}"
        raise UsageError(f"{function}: {name} is {value!r}", hint=f"{name}={choices}")
