"""Checks of a batch: finite values, their scale, targets that fit the output."""

from __future__ import annotations

from typing import Any

import numpy as np

from clearprop.tensor import Tensor
from clearprop.train.checking.result import Finding, number
from clearprop.train.checking.subject import Subject

_LARGEST_SPREAD, _LARGEST_MEAN = 20.0, 50.0
_SMALLEST_SPREAD = 1e-3


def finite(subject: Subject) -> Finding:
    """Whether there is a NaN or an infinity among inputs and targets."""
    named = [*((f"input {i}", x) for i, x in enumerate(subject.inputs)), ("the target", subject.target)]
    for name, x in named:
        array = np.asarray(x.array)
        if array.dtype.kind != "f":
            continue
        bad = ~np.isfinite(array)
        if bad.any():
            place = tuple(int(i) for i in np.argwhere(bad)[0])
            return Finding(
                "data", "failed",
                f"{int(bad.sum()):,} of {array.size:,} values of {name} are NaN or infinite, the first at {place}",
                "leave these examples out, or put a number in their place: np.nan_to_num",
            )  # fmt: skip
    shapes = ", ".join(str(x.shape) for x in subject.inputs)
    return Finding("data", "passed", f"inputs {shapes} and target {subject.target.shape} are finite")


def scale(subject: Subject) -> Finding:
    """Whether floating-point inputs are of the size that first weights are made for."""
    floats = [(i, np.asarray(x.array, np.float64)) for i, x in enumerate(subject.inputs)
              if x.array.dtype.kind == "f" and x.size]  # fmt: skip
    if not floats:
        return Finding("scale of inputs", "skipped", "the inputs are whole numbers")
    words = []
    for i, x in floats:
        mean, spread = float(x.mean()), float(x.std())
        text = f"input {i} has mean {number(mean)} and standard deviation {number(spread)}"
        if spread > _LARGEST_SPREAD or abs(mean) > _LARGEST_MEAN or 0 < spread < _SMALLEST_SPREAD:
            hint = "(x - mean) / std, both measured on the training data; pixels of 0 to 255 divided by 255"
            return Finding("scale of inputs", "warning", f"{text}: first weights are made for about 0 and 1", hint)
        words.append(text)
    return Finding("scale of inputs", "passed", "; ".join(words))


def target_shape(subject: Subject, output: Any) -> Finding:
    """Whether a difference of output and target would be broadcast to pairs of all examples."""
    target = subject.target
    if not isinstance(output, Tensor):
        return Finding("shape of the target", "skipped", f"the network returns a {type(output).__name__}")
    if subject.class_axis(output) is not None and output.shape[-1] != 1:
        return Finding("shape of the target", "passed", f"labels {target.shape} for outputs {output.shape}")
    if output.shape == target.shape:
        return Finding("shape of the target", "passed", f"output and target are {output.shape}")
    try:
        together = np.broadcast_shapes(output.shape, target.shape)
    except ValueError:
        return Finding("shape of the target", "passed", f"target {target.shape} for outputs {output.shape}")
    if int(np.prod(together)) > max(output.size, target.size):
        wanted = "target[:, None]" if target.ndim < output.ndim else "output[:, 0]"
        return Finding(
            "shape of the target", "failed",
            f"the output is {output.shape} and the target {target.shape}: their difference is broadcast to {together}, "
            f"every prediction against every target",
            f"{wanted}, so that both have one shape",
        )  # fmt: skip
    return Finding("shape of the target", "passed", f"target {target.shape} for outputs {output.shape}")


def labels(subject: Subject, output: Any) -> Finding | None:
    """Whether every label is a class of the network; None if there are no labels."""
    axis = subject.class_axis(output)
    if axis is None or output.shape[axis] == 1:
        return None
    classes = output.shape[axis]
    ignored = getattr(subject.loss, "ignore_index", None)
    array = np.asarray(subject.target.array)
    counted = array if ignored is None else array[array != ignored]
    bad = counted[(counted < 0) | (counted >= classes)]
    if bad.size:
        return Finding(
            "labels", "failed",
            f"{bad.size:,} of {array.size:,} labels are no classes of the {classes} outputs, such as {int(bad[0])}",
            f"labels from 0 to {classes - 1}, or a network with {int(counted.max()) + 1} outputs",
        )  # fmt: skip
    present = np.unique(counted).size
    return Finding("labels", "passed", f"{present} of {classes} classes are in the batch")
