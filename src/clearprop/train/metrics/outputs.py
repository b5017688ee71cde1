"""What a network answered in a batch: the classes with the highest scores, beside the right ones."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from clearprop.errors import DataError, DTypeError, ShapeError
from clearprop.train.metrics.checked import Array, array

IGNORED = -100  # what nn.CrossEntropyLoss passes over by default


class Answers(NamedTuple):
    """Labels of shape (N,), without those that are passed over.

    Args:
        true: the right classes.
        given: the answers.
        classes: how many classes there are.
        binary: there was one logit for each example, which speaks for class 1.
    """

    true: Array
    given: Array
    classes: int
    binary: bool


def numbers_of(metric: str, output: Any, target: Any) -> tuple[Array, Array]:
    """Outputs and targets of a batch as arrays; DTypeError, naming which, if they hold no numbers."""
    arrays = array(output), array(target)
    for name, one in zip(("the output", "the target"), arrays, strict=True):
        if one.dtype.kind not in "biuf" and one.dtype.name != "bfloat16":
            raise DTypeError(f"{metric}: {name} has dtype {one.dtype}", hint="a tensor or an array of numbers")
    return arrays


def answers(metric: str, output: Array, target: Array, class_axis: int = 1, ignore_index: int = IGNORED) -> Answers:
    """The answers of a batch: by the highest score, or by the sign of the logit.

    >>> answers("accuracy", np.array([[0.1, 0.9], [0.8, 0.2]]), np.array([1, -100]))
    Answers(true=array([1]), given=array([1]), classes=2, binary=False)
    """
    target = hard_labels(output, target, class_axis)
    kept = target != ignore_index
    if output.shape == target.shape:
        check_shares(metric, target[kept])
        true, given = target > 0.5, output > 0
        classes, binary = 2, True
    else:
        check_classes_axis(metric, output, target, class_axis)
        true, given = target, output.argmax(axis=class_axis)
        classes, binary = output.shape[class_axis], False
        check_labels(metric, true[kept], classes)
    if kept.all():
        return Answers(true.reshape(-1), given.reshape(-1), classes, binary)
    return Answers(true[kept], given[kept], classes, binary)


def hard_labels(output: Array, target: Array, class_axis: int = 1) -> Array:
    """The most likely classes where targets are probabilities of the classes, as mixup makes them; else the targets.

    Targets of the outputs' own shape are probabilities if they add up to 1 over the classes, else labels by themselves.

    >>> hard_labels(np.zeros((1, 3)), np.array([[0.1, 0.2, 0.7]])), hard_labels(np.zeros((1, 3)), np.array([[1, 1, 0]]))
    (array([2]), array([[1, 1, 0]]))
    """
    if output.shape != target.shape or target.ndim < 2 or target.shape[class_axis] < 2:
        return target
    return target.argmax(axis=class_axis) if np.allclose(target.sum(axis=class_axis), 1.0, atol=1e-3) else target


def scores(
    metric: str, output: Array, target: Array, class_axis: int = 1, ignore_index: int = IGNORED
) -> tuple[Array, Array]:
    """The scores of each example with a row of its own, of shape (N, classes), and the right classes, of shape (N,).

    Raises:
        DataError: a label is no class.
    """
    check_classes_axis(metric, output, target, class_axis)
    rows = np.moveaxis(output, class_axis, -1).reshape(-1, output.shape[class_axis])
    true = target.reshape(-1)
    kept = true != ignore_index
    if not kept.all():
        rows, true = rows[kept], true[kept]
    check_labels(metric, true, rows.shape[1])
    return rows, true


def check_classes_axis(metric: str, output: Array, target: Array, class_axis: int) -> None:
    """Raise ShapeError unless output has the shape of target, with an axis of classes in it."""
    if output.ndim == target.ndim + 1 and -output.ndim <= class_axis < output.ndim:
        axis = class_axis % output.ndim
        if (*output.shape[:axis], *output.shape[axis + 1 :]) == target.shape and output.shape[axis] > 1:
            return
    hint = "output of shape (N, classes) with integer targets of shape (N,), or logits of the targets' own shape"
    if output.ndim > 2 and output.shape[:-1] == target.shape and class_axis == 1:
        hint = "class_axis=-1 if the classes are the last axis of the output"
    raise ShapeError(f"{metric}: output has shape {output.shape}, target has shape {target.shape}", hint=hint)


def check_shares(metric: str, target: Array) -> None:
    """Raise DataError for a target of one logit that is not 0, 1, or a probability between."""
    if target.size and not (target.min() >= 0 and target.max() <= 1):
        raise DataError(
            f"{metric}: targets from {target.min()} to {target.max()} for one logit each, which tells 0 from 1",
            hint="outputs of shape (N, classes) for more classes; ignore_index=… for targets to pass over",
        )


def check_labels(metric: str, true: Array, classes: int) -> None:
    """Raise DTypeError for labels that are no integers, DataError for a label that is no class."""
    if true.dtype.kind not in "biu":
        raise DTypeError(f"{metric}: labels of dtype {true.dtype}", hint="integers: target.astype(cp.int64)")
    if true.size and (true.min() < 0 or true.max() >= classes):
        raise DataError(
            f"{metric}: labels from {true.min()} to {true.max()} for {classes} classes",
            hint="labels that count from 0; ignore_index=… for those to pass over",
        )
