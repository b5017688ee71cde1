"""Checks of data before training starts: a label out of range or a NaN is named where it lies, not where it hurts."""

from __future__ import annotations

from typing import Any

import numpy as np

from clearprop.errors import DataError


def check_labels(y: Any, classes: int, name: str = "labels") -> None:
    """Check that all labels are integers from 0 to classes - 1.

    Args:
        y: integer array of any shape, or anything NumPy makes an array of.
        classes: the number of classes, which is the number of outputs of the network.
        name: what to call them in the error.

    Raises:
        DataError: naming the first label that is not, and where.

    >>> check_labels([0, 3, 10], classes=10)
    Traceback (most recent call last):
    clearprop.errors.DataError: labels must be integers from 0 to 9: the label at index 2 is 10
    Try: a network with at least 11 outputs, or labels counted from 0
    """
    labels = np.asarray(y)
    if labels.dtype.kind not in "iu":
        raise DataError(
            f"{name} must be integers from 0 to {classes - 1}: these have dtype {labels.dtype}",
            hint="np.unique(labels, return_inverse=True)[1] numbers the classes",
        )
    wrong = np.argwhere((labels < 0) | (labels >= classes))
    if len(wrong):
        highest = int(labels.max())
        raise DataError(
            f"{name} must be integers from 0 to {classes - 1}: the label at {_place(wrong[0])} is "
            f"{labels[tuple(wrong[0])]}{_and_others(wrong)}",
            hint=f"a network with at least {highest + 1} outputs, or labels counted from 0"
            if highest >= classes
            else "labels counted from 0",
        )


def check_finite(x: Any, name: str = "x") -> None:
    """Check that no value is NaN or infinite.

    Args:
        x: array of any shape and dtype, or anything NumPy makes an array of.
        name: what to call it in the error.

    Raises:
        DataError: naming the first such value, and where.

    >>> check_finite([[0.5, float("nan")]], name="images")
    Traceback (most recent call last):
    clearprop.errors.DataError: images must be finite: the value at index (0, 1) is nan
    Try: drop the examples or replace the values: np.nan_to_num(images)
    """
    values = np.asarray(x)
    if values.dtype.kind != "f":
        return
    wrong = np.argwhere(~np.isfinite(values))
    if len(wrong):
        raise DataError(
            f"{name} must be finite: the value at {_place(wrong[0])} is {values[tuple(wrong[0])]}{_and_others(wrong)}",
            hint=f"drop the examples or replace the values: np.nan_to_num({name if name.isidentifier() else 'array'})",
        )


def _place(index: Any) -> str:
    position = tuple(int(i) for i in index)
    return f"index {position[0] if len(position) == 1 else position}"


def _and_others(wrong: Any) -> str:
    others = len(wrong) - 1
    return f" (and {others:,} more)" if others else ""
