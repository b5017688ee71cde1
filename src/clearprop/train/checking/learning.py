"""Whether a few examples can be learned by heart: the attempts of `cp.check` and of `train.overfit`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from clearprop.autodiff import no_grad
from clearprop.nn import Module
from clearprop.optim import Adam
from clearprop.tensor import Tensor
from clearprop.train.checking.subject import FEW, Array, Subject, trained
from clearprop.train.compiling import OfBatches

STEPS = 300
RATES = (0.01, 0.001)
_LEARNED = 0.05  # of the loss at the beginning


class Attempt(NamedTuple):
    """A copy of the network that was trained with a few examples.

    Attributes:
        rate: the learning rate of Adam.
        losses: before each step.
        right: the share of labels that are right; None if there are no labels.
        learned: whether all labels are right, or the loss has become a twentieth of what it was.
    """

    rate: float
    losses: Sequence[float]
    right: float | None
    learned: bool


def attempt(subject: Subject, rates: Sequence[float], steps: int) -> Attempt:
    """The first attempt that goes well, one for each learning rate; else the one that came nearest.

    Args:
        subject: all of its examples are to be learned.
        steps: of each attempt, at most.
    """
    best, score = None, -np.inf
    for rate in rates:
        one = _attempt(subject, rate, steps)
        if one.learned:
            return one
        first, last = one.losses[0], one.losses[-1]
        reached = one.right if one.right is not None else 1 - last / first if first > 0 else 0.0
        if best is None or reached > score:
            best, score = one, reached
    assert best is not None
    return best


def a_few(subject: Subject, count: int = FEW) -> Array:
    """The places of examples that differ, from as many classes as there are."""
    seen: set[bytes] = set()
    by_label: dict[bytes, list[int]] = {}
    for i in range(subject.examples):
        content = b"".join(np.asarray(x.array)[i].tobytes() for x in subject.inputs)
        if content not in seen:
            seen.add(content)
            by_label.setdefault(np.asarray(subject.target.array)[i].tobytes(), []).append(i)
    queues = list(by_label.values())
    picked = [queue[turn] for turn in range(count) for queue in queues if turn < len(queue)]
    return np.array(sorted(picked[:count]), np.int64)


def _attempt(subject: Subject, rate: float, steps: int) -> Attempt:
    """Train a copy with all examples at once, until they are learned."""
    model = subject.copy()
    optimizer = Adam([parameter for _, parameter in trained(model)], lr=rate)

    def step(*batch: Any) -> Tensor:
        *inputs, target = batch
        optimizer.zero_grad()
        loss: Tensor = subject.loss(model(*inputs), target)
        loss.backward()
        optimizer.step()
        return loss

    run = OfBatches(step, compile=None, note=_nowhere)
    losses: list[float] = []
    for _ in range(steps):
        losses.append(float(run(*subject.inputs, subject.target).item()))
        is_small = losses[-1] <= _LEARNED * losses[0]
        if not np.isfinite(losses[-1]) or (is_small and _right(subject, model) in (None, 1.0)):
            break
    right = _right(subject, model)
    # Of equal beginnings of texts not all can be right.
    return Attempt(rate, losses, right, right == 1.0 or losses[-1] <= _LEARNED * losses[0])


def _right(subject: Subject, model: Module) -> float | None:
    """The share of labels that are right; None if there are no labels."""
    with no_grad():
        output = model(*subject.inputs)
    axis = subject.class_axis(output)
    if axis is None or output.shape[axis] == 1:
        return None
    labels = np.asarray(subject.target.array)
    ignored = getattr(subject.loss, "ignore_index", None)
    counted = np.ones(labels.shape, np.bool_) if ignored is None else labels != ignored
    return float(np.mean((np.asarray(output.array).argmax(axis) == labels)[counted]))


def _nowhere(_: str) -> None:
    """Whether a step could be compiled is of no interest here."""
