"""Checks of how examples are treated: they do not influence one another, and a few can be learned by heart."""

from __future__ import annotations

import numpy as np

from clearprop.autodiff import no_grad
from clearprop.nn import Module
from clearprop.tensor import Tensor
from clearprop.train.checking.learning import RATES, STEPS, a_few, attempt
from clearprop.train.checking.result import Finding, number
from clearprop.train.checking.subject import BATCH_NORMS, Subject, selected, trained

_TOLERANCE = 1e-4


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


def overfit(subject: Subject, steps: int = STEPS) -> Finding:
    """Whether a copy of the network can learn a few examples by heart; all, where they cannot be told apart."""
    name = "a few by heart"
    few, what = subject, "the whole batch"
    if subject.has_batch_axis:
        few = subject.part(a_few(subject))
        what = f"{few.examples} examples"
    if not trained(few.model):
        return Finding(name, "skipped", "nothing is trained")
    found = attempt(few, RATES, steps)
    taken = f"{what} in {len(found.losses)} steps of Adam, lr {found.rate:g}: "
    losses = f"the loss went from {number(found.losses[0])} to {number(found.losses[-1])}"
    if found.learned:
        return Finding(name, "passed", f"{taken}{'all labels are learned, ' if found.right == 1.0 else ''}{losses}")
    right = "" if found.right is None else f", {100 * found.right:.0f} % of the labels are right"
    return Finding(
        name, "warning" if found.right is None else "failed",
        f"{taken}{losses}{right}. A network that cannot learn these will not learn more",
        "fewer layers, ReLU in the place of sigmoids, a normalization; and look at the other findings first",
    )  # fmt: skip
