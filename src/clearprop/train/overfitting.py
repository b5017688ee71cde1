"""The first sanity check: a network that cannot learn a handful of examples by heart will not learn more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clearprop.arguments import number, whole
from clearprop.errors import UsageError
from clearprop.lens.drawing.saving import Svg
from clearprop.nn import Module
from clearprop.train.checking.learning import RATES, STEPS, a_few, attempt
from clearprop.train.checking.subject import FEW, Subject, nothing_changed, trained
from clearprop.train.drawing.plots import lines, picture
from clearprop.train.figures import figure

_BARS = "▁▂▃▄▅▆▇█"
_WIDEST = 60
_STILL = 0.1  # of all the way that the loss has gone


def overfit(
    model: Module,
    loss: Callable[[Any, Any], Any],
    batch: Any,
    *,
    examples: int | None = FEW,
    steps: int = STEPS,
    lr: float | None = None,
) -> Overfit:
    """Train a copy of a network with a few examples, all at once, until it knows them by heart.

    If it cannot, something is wrong with the network, its loss or its data, and more data will not help. It is the last
    of the findings of `cp.check`, by itself: with the whole curve, and the examples, steps and rate of your choice. The
    copy is in evaluation mode, without dropout, but for batch normalization; the network and random numbers stay as
    they are, and the result is the same each time.

    Args:
        loss: ``loss(output, target)``, as for `fit`.
        batch: a tuple of inputs and, last, a target: ``next(iter(loader))``.
        examples: how many of the batch, from as many classes as there are; None for all.
        steps: of Adam, at most.
        lr: its learning rate; None tries 0.01, and then 0.001 if that does not go well.

    Raises:
        UsageError, DataError: arguments that are no network, no loss, no batch; or nothing is trained.

    >>> import clearprop as cp
    >>> from clearprop import data, nn, train
    >>> cp.random.seed(0)
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    >>> result = train.overfit(model, nn.CrossEntropyLoss(), data.digits("train")[:32])
    >>> result.reached, result.accuracy, len(result.losses) < 100
    (True, 1.0, True)
    """
    subject = Subject.of(model, loss, batch, "overfit")
    whole("overfit", "steps", steps)
    if examples is not None:
        whole("overfit", "examples", examples)
    rates = RATES if lr is None else (number("overfit", "lr", lr, positive=True),)
    if not trained(model):
        raise UsageError("overfit: no parameter of the network is to be trained", hint="parameter.requires_grad = True")
    if examples is not None and subject.has_batch_axis:
        subject = subject.part(a_few(subject, examples))
    with nothing_changed():
        found = attempt(subject, rates, steps)
    return Overfit(np.array(found.losses), found.learned, found.right, found.rate, subject.examples)


@dataclass(eq=False)
class Overfit:
    """What `overfit` has found; print it to read it.

    Attributes:
        losses: before each step.
        reached: whether all labels are right, or the loss has become a twentieth of what it was.
        accuracy: the share of labels that are right in the end; None if there are no labels.
        lr: the learning rate.
        examples: how many were to be learned.
    """

    losses: np.ndarray[Any, np.dtype[np.float64]]
    reached: bool
    accuracy: float | None
    lr: float
    examples: int

    @property
    def hint(self) -> str:
        """What to try; empty if they were learned."""
        if self.reached:
            return ""
        first, last, lowest = self.losses[0], self.losses[-1], float(np.min(self.losses))
        if not np.isfinite(last) or last > 2 * first:
            return f"a smaller learning rate: overfit(..., lr={self.lr / 10:g}); inputs of mean 0 and variance 1"
        if self._stands_still:
            return "cp.check(model, loss, batch): the loss does not move on, so perhaps most weights get no gradient"
        if last > 1.5 * lowest:
            return f"a smaller learning rate: overfit(..., lr={self.lr / 10:g})"
        return f"more steps: overfit(..., steps={10 * len(self.losses)}); then cp.check(model, loss, batch)"

    @property
    def _stands_still(self) -> bool:
        """Whether the last third of the steps has changed next to nothing."""
        rest = self.losses[-(len(self.losses) // 3) :]
        return bool(np.ptp(rest) <= _STILL * np.ptp(self.losses))

    def draw(self) -> Svg:
        """The curve of the loss."""
        panel = lines(
            f"{self.examples} examples by heart", np.arange(1.0, len(self.losses) + 1), {"loss": self.losses},
            words=self._sentence, x_label="step", from_zero=True, may_be_logarithmic=True,
        )  # fmt: skip
        return picture("A few examples by heart", [[panel]])

    @property
    def _sentence(self) -> str:
        count, end = len(self.losses), float(self.losses[-1])
        right = "" if self.accuracy is None else f", {100 * self.accuracy:.0f} % of the labels are right"
        course = f"the loss went from {figure('loss', float(self.losses[0]))} to {figure('loss', end)}{right}"
        return f"{self.examples} examples in {count} step{'s' if count > 1 else ''} of Adam, lr {self.lr:g}: {course}."

    def __str__(self) -> str:
        mark = "✓ learned by heart" if self.reached else "✗ not learned by heart"
        try_this = [f"  Try: {self.hint}"] if self.hint else []
        return "\n".join([mark, f"  {self._sentence}", f"  {sparkline(self.losses)}", *try_this])

    def __repr__(self) -> str:
        return f"<Overfit: {'learned' if self.reached else 'not learned'}, {len(self.losses)} steps>"

    def _repr_html_(self) -> str:
        words = f"<p>Try: {self.hint}</p>" if self.hint else ""
        return f"{self.draw()._repr_html_()}{words}"


def sparkline(values: Sequence[float] | np.ndarray[Any, Any], width: int = _WIDEST) -> str:
    """A curve of positive values as a row of bars, on a logarithmic scale if they span more than a decade.

    >>> sparkline([1.0, 0.5, 0.25, 0.0])
    '█▅▃▁'
    """
    y = np.asarray(values, np.float64)
    if len(y) > width:  # the mean of each part
        y = np.array([part.mean() for part in np.array_split(y, width)])
    finite = y[np.isfinite(y)]
    if not len(finite):
        return ""
    if finite.min() > 0 and finite.max() / finite.min() > 10:
        y, finite = np.log(np.where(y > 0, y, np.nan)), np.log(finite)
    low, high = finite.min(), finite.max()
    share = (y - low) / (high - low) if high > low else np.zeros(len(y))
    return "".join(_BARS[round(one * (len(_BARS) - 1))] if np.isfinite(one) else "×" for one in share)
