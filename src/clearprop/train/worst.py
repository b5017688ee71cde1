"""The worst mistakes: the examples with the largest loss, kept with what they look like."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clearprop.errors import UsageError
from clearprop.nn import BCEWithLogitsLoss, Module
from clearprop.train.metrics.checked import array, whole
from clearprop.train.metrics.outputs import hard_labels
from clearprop.train.pictures import Array, in_numbers, is_image, picture
from clearprop.train.records import Example

Show = Callable[[Array], Any]

_LONGEST_TEXT = 400  # characters of an input


@dataclass(frozen=True)
class _Kept:
    mistaken: bool
    loss: float
    index: int
    given: Array
    output: Array
    target: Array


class Worst:
    """Keeps the worst examples of all batches: mistakes first, and among them those with the largest loss.

    Args:
        most: how many to keep.
        loss: as for `fit`; that of each example by itself is computed.
        class_names: one for each class; their numbers if there are none.
        show: makes of an input what is to be seen of it, an image (see `picture`) or a text; by default images are
            shown as they are, and of other arrays the first numbers.

    >>> from clearprop import nn
    >>> worst = Worst(1, nn.CrossEntropyLoss(), ["cat", "dog"])
    >>> worst.update(np.array([[0.5], [0.1]]), np.array([[2.0, -2.0], [1.0, 3.0]]), np.array([1, 1]))
    >>> [(one.index, one.truth, one.answer, round(one.probability, 3), one.text) for one in worst.examples()]
    [(0, 'dog', 'cat', 0.982, '0.5')]
    """

    def __init__(
        self, most: int, loss: Callable[[Any, Any], Any], class_names: Sequence[str] = (), show: Show | None = None
    ) -> None:
        self._most, self._loss, self._names, self._show = most, loss, class_names, show
        self._binary = isinstance(loss, BCEWithLogitsLoss)
        self._seen = 0
        self._kept: list[_Kept] = []

    def update(self, inputs: Any, output: Any, target: Any) -> None:
        """Look at a batch: its first input, the outputs and the targets."""
        losses = losses_of_examples(self._loss, output, target)
        given, outputs, targets = array(inputs), array(output), hard_labels(array(output), array(target))
        mistaken = self._mistaken(outputs, targets)
        order = np.lexsort((-losses, ~mistaken))[: self._most]
        for at in order.tolist():
            own = (np.array(column[at]) for column in (given, outputs, targets))  # copies: the batch can go
            self._kept.append(_Kept(bool(mistaken[at]), float(losses[at]), self._seen + at, *own))
        self._kept.sort(key=lambda one: (not one.mistaken, -one.loss, one.index))
        del self._kept[self._most :]
        self._seen += len(targets)

    def examples(self) -> list[Example]:
        """The worst ones, the worst first."""
        return [self._example(one) for one in self._kept]

    def _mistaken(self, outputs: Array, targets: Array) -> Array:
        if self._has_classes(outputs, targets):
            return np.asarray((outputs.argmax(axis=1) != targets) | np.isnan(outputs).any(axis=1))
        if self._binary and outputs.size == len(outputs):
            return np.asarray((outputs > 0) != (targets > 0.5)).reshape(-1)
        return np.zeros(len(targets), bool)

    def _has_classes(self, outputs: Array, targets: Array) -> bool:
        return outputs.ndim == 2 and outputs.shape[1] > 1 and targets.ndim == 1 and targets.dtype.kind in "iu"

    def _example(self, one: _Kept) -> Example:
        about: dict[str, Any] = {"index": one.index, "loss": one.loss, "mistaken": one.mistaken}
        about |= self._appearance(one.given)
        if self._has_classes(one.output[np.newaxis], one.target[np.newaxis]):
            shares, truth = _probabilities(one.output), int(one.target)
        elif self._binary and one.output.size == 1:
            share = 1 / (1 + math.exp(-float(np.clip(one.output.reshape(()), -700, 700))))
            shares, truth = np.array([1 - share, share]), int(one.target.reshape(()) > 0.5)
        else:
            return Example(**about, truth=in_numbers(one.target), answer=in_numbers(one.output))
        answer = int(np.argmax(shares))
        return Example(
            **about,
            truth=self._name(truth),
            answer=self._name(answer),
            probability=float(shares[answer]),
            truth_probability=float(shares[truth]) if 0 <= truth < len(shares) else None,
        )

    def _name(self, label: int) -> str:
        return self._names[label] if 0 <= label < len(self._names) else str(label)

    def _appearance(self, given: Array) -> dict[str, str]:
        shown = given if self._show is None else self._show(given)
        if isinstance(shown, str):
            return {"text": shown if len(shown) <= _LONGEST_TEXT else shown[:_LONGEST_TEXT] + "…"}
        shown = array(shown)
        return {"picture": picture(shown)} if is_image(shown) else {"text": in_numbers(shown)}


def losses_of_examples(loss: Callable[[Any, Any], Any], output: Any, target: Any) -> Array:
    """The loss of each example of a batch by itself, as float64; what is NaN counts as infinite.

    A loss of `nn` says them all at once; of any other function, which gives means of batches, each example is made a
    batch.

    >>> from clearprop import nn
    >>> losses_of_examples(nn.MSELoss(), np.array([1.0, 2.0]), np.array([0.0, 0.0])).tolist()
    [1.0, 4.0]
    """
    each = _unreduced(loss, output, target)
    if each is None:
        alone = (loss(output[at : at + 1], target[at : at + 1]) for at in range(len(target)))
        each = np.array([float(np.asarray(array(one)).reshape(-1)[0]) for one in alone])
    return np.where(np.isnan(each), math.inf, each)


def _unreduced(loss: Callable[[Any, Any], Any], output: Any, target: Any) -> Array | None:
    """The losses of the examples from a module that can leave out its reduction; None if it is no such module."""
    if not isinstance(loss, Module) or getattr(loss, "reduction", None) != "mean":
        return None
    single = copy.copy(loss)
    single.reduction = "none"
    each = array(single(output, target)).astype(np.float64)
    if each.ndim == 0 or len(each) != len(target):
        return None
    if each.ndim == 1:
        return each
    return np.asarray(each.reshape(len(each), -1).mean(axis=1)) if not hasattr(loss, "ignore_index") else None


def _probabilities(output: Array) -> Array:
    """Of the classes: the outputs themselves if they are probabilities, else their softmax."""
    values = output.astype(np.float64)
    if np.all(values >= 0) and abs(values.sum() - 1) < 1e-3:
        return values
    powers = np.exp(values - values.max())
    return np.asarray(powers / powers.sum())


def check_worst(most: int, loss: Any) -> None:
    """Raise UsageError for a number of examples that makes no sense, or without a loss to judge them by."""
    whole("evaluate", "worst", most, 0)
    if most and loss is None:
        raise UsageError("evaluate: worst needs a loss to judge the examples by", hint="loss=nn.CrossEntropyLoss()")
