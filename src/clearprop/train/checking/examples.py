"""Checks of how examples are treated: they do not influence one another, and a few can be learned by heart."""

from __future__ import annotations

from typing import Any

import numpy as np

from clearprop.autodiff import no_grad
from clearprop.nn import Module
from clearprop.optim import Adam
from clearprop.tensor import Tensor
from clearprop.train.checking.result import Finding, number
from clearprop.train.checking.subject import BATCH_NORMS, FEW, Array, Subject, selected, trained
from clearprop.train.compiling import OfBatches

_TOLERANCE = 1e-4
_STEPS = 300
_RATES = (0.01, 0.001)
_LEARNED = 0.05  # of the loss at the beginning


def influence(subject: Subject) -> Finding:
    """Whether the output of an example depends on the others: they are replaced by copies of it."""
    name = "examples alone"
    if not subject.has_batch_axis or subject.examples < 2:
        return Finding(name, "skipped", "the first axis does not count the examples, or there is one alone")
    change, size = _change(subject, subject.copy().eval())
    if change is None:
        return Finding(name, "skipped", "the first axis of the output does not count the examples")
    if change > _TOLERANCE * max(size, 1.0):
        return Finding(
            name, "failed",
            f"the output of the first example changes by {number(change)} (its size is {number(size)}) when the others "
            "are replaced by copies of it: examples of a batch influence one another",
            "reshape, mean, softmax or matmul over another axis than the first, which counts the examples",
        )  # fmt: skip
    if any(isinstance(module, BATCH_NORMS) for module in subject.model.modules()):
        return Finding(name, "passed", "but for batch normalization while training, the others change nothing")
    return Finding(name, "passed", "the others change nothing in the output of an example")


def _change(subject: Subject, model: Module) -> tuple[float | None, float]:
    """The largest change of the first output, and its size; None if the outputs are not one for each example."""
    first = np.zeros(subject.examples, np.int64)
    with no_grad():
        usual = model(*subject.inputs)
        alone = model(*(selected(x, first) for x in subject.inputs))
    if not isinstance(usual, Tensor) or not usual.ndim or usual.shape[0] != subject.examples:
        return None, 0.0
    a, b = (np.asarray(y.array, np.float64)[0] for y in (usual, alone))
    return float(np.max(np.abs(a - b), initial=0.0)), float(np.max(np.abs(a), initial=0.0))


def overfit(subject: Subject, steps: int = _STEPS) -> Finding:
    """Whether a copy of the network can learn a few examples by heart; all, where they cannot be told apart."""
    name = "a few by heart"
    few, what = subject, "the whole batch"
    if subject.has_batch_axis:
        few = subject.part(_a_few(subject))
        what = f"{few.examples} examples"
    if not trained(few.model):
        return Finding(name, "skipped", "nothing is trained")
    best: tuple[float, str] = (-1.0, "")
    for rate in _RATES:
        model = few.copy()
        first, last, taken = _train(few, model, rate, steps)
        right = _right(few, model)
        of = f"{what} in {taken} steps of Adam, lr {rate:g}: "
        losses = f"the loss went from {number(first)} to {number(last)}"
        if right == 1.0 or last <= _LEARNED * first:  # of equal beginnings of texts not all can be right
            learned = "all labels are learned, " if right == 1.0 else ""
            return Finding(name, "passed", f"{of}{learned}{losses}")
        score = right if right is not None else 1 - last / first if first > 0 else 0.0
        words = f"{of}{losses}" + (f", {100 * right:.0f} % of the labels are right" if right is not None else "")
        best = max(best, (score, words))
    return Finding(
        name, "failed" if _right(few, few.copy()) is not None else "warning",
        f"{best[1]}. A network that cannot learn these will not learn more",
        "fewer layers, ReLU in the place of sigmoids, a normalization; and look at the other findings first",
    )  # fmt: skip


def _a_few(subject: Subject) -> Array:
    """Examples that differ, from as many classes as there are."""
    seen: set[bytes] = set()
    by_label: dict[bytes, list[int]] = {}
    for i in range(subject.examples):
        content = b"".join(np.asarray(x.array)[i].tobytes() for x in subject.inputs)
        if content not in seen:
            seen.add(content)
            by_label.setdefault(np.asarray(subject.target.array)[i].tobytes(), []).append(i)
    queues = list(by_label.values())
    picked = [queue[turn] for turn in range(FEW) for queue in queues if turn < len(queue)]
    return np.array(sorted(picked[:FEW]), np.int64)


def _train(subject: Subject, model: Module, rate: float, steps: int) -> tuple[float, float, int]:
    """Train with all examples at once, until they are learned; the first and the last loss, and the steps taken."""
    optimizer = Adam([parameter for _, parameter in trained(model)], lr=rate)

    def step(*batch: Any) -> Tensor:
        *inputs, target = batch
        optimizer.zero_grad()
        loss: Tensor = subject.loss(model(*inputs), target)
        loss.backward()
        optimizer.step()
        return loss

    run = OfBatches(step, compile=None, note=_nowhere)
    first = last = float("nan")
    for taken in range(1, steps + 1):
        last = float(run(*subject.inputs, subject.target).item())
        if taken == 1:
            first = last
        learned = last <= _LEARNED * first and _right(subject, model) in (None, 1.0)
        if learned or not np.isfinite(last):
            break
    return first, last, taken


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
