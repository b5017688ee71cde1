"""The learning-rate range test: which learning rates make a network learn, and from which on it diverges.

L. N. Smith, "Cyclical learning rates for training neural networks", 2015 (section 3.3): train for a short while with a
learning rate that grows from step to step, and look at the figure. Here it grows by a factor, as is usual today, so
that rates of all sizes are seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from clearprop.arguments import flag, number, whole
from clearprop.errors import DivergenceError, UsageError
from clearprop.lens.drawing.saving import Svg
from clearprop.nn import Module
from clearprop.optim import Optimizer
from clearprop.train import checks
from clearprop.train.drawing.plots import lines, picture
from clearprop.train.figures import figure
from clearprop.train.overfitting import sparkline
from clearprop.train.progress import Progress
from clearprop.train.run import Batches, Run, check_arguments
from clearprop.train.step import Step
from clearprop.train.unchanged import Unchanged

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_KEPT = 0.8  # of the running mean, from one step to the next
_DIVERGED = 1.5  # times the first loss
_FALLS = 0.95  # to this share of the first loss at least

Floats = npt.NDArray[np.float64]


def lr_range_test(
    model: Module,
    data: Batches,
    *,
    loss: Callable[[Any, Any], Any],
    optimizer: Optimizer,
    lowest: float = 1e-6,
    highest: float = 10.0,
    steps: int = 100,
    clip_grad_norm: float | None = None,
    compile: bool | None = None,
    progress: bool = True,
) -> LRRangeTest:
    """Train with a learning rate that grows from step to step, and take it all back.

    It ends before the last step if the loss is half as much again as the first one, or no number. Afterwards weights,
    buffers, gradients, optimizer, random numbers and the place in the data are what they were.

    Args:
        model, data, loss, optimizer, clip_grad_norm, compile: as for `fit`. Groups of parameters with other learning
            rates than the first keep their ratio to it.
        lowest, highest: the first learning rate and the last.
        steps: how many batches; data with fewer are gone through again.
        progress: show how it goes, on stderr.

    Raises:
        UsageError, DataError: as `fit`; rates that do not grow; fewer than 10 steps.
        DivergenceError: there is no loss to be seen: already that of the first step is no number.

    >>> import clearprop as cp
    >>> from clearprop import data, nn, optim, train
    >>> cp.random.seed(0)
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    >>> loader = data.DataLoader(data.digits("train"), batch_size=64, shuffle=True)
    >>> optimizer = optim.AdamW(model.parameters())
    >>> result = train.lr_range_test(model, loader, loss=nn.CrossEntropyLoss(), optimizer=optimizer, progress=False)
    >>> 1e-3 < result.suggestion < 0.1 < result.diverges_at < 10, optimizer.param_groups[0]["lr"]
    (True, 0.001)
    """
    lowest = number("lr_range_test", "lowest", lowest, positive=True)
    highest = number("lr_range_test", "highest", highest, positive=True)
    if highest <= lowest:
        raise UsageError(
            f"lr_range_test: the rates go from {lowest:g} to {highest:g}", hint="lowest=1e-6, highest=10.0"
        )
    whole("lr_range_test", "steps", steps, 10)
    flag("lr_range_test", "progress", progress)
    run = Run(model, data, loss=loss, optimizer=optimizer, epochs=1, clip_grad_norm=clip_grad_norm, health=False,
              compile=compile)  # fmt: skip
    check_arguments(run)
    checks.check_loader(data, "the data", "lr_range_test")
    checks.check_values(data, "the data")
    rates = np.geomspace(lowest, highest, steps)
    with _taken_back(run), Progress(1, show=progress, unit="test") as run.progress:
        losses = list(_losses(run, rates))
    if not losses:
        raise DivergenceError(
            "lr_range_test: the loss of the first step is no number", hint="cp.check(model, loss, batch)"
        )
    return LRRangeTest(rates[: len(losses)], np.array(losses), complete=len(losses) == steps)


@dataclass(eq=False)
class LRRangeTest:
    """What `lr_range_test` has found; print it to read it.

    Attributes:
        rates: the learning rate of each step.
        losses: before each step.
        complete: whether it went on to the highest rate; else it ended because the loss grew.
    """

    rates: Floats
    losses: Floats
    complete: bool

    @cached_property
    def smoothed(self) -> Floats:
        """The losses without their noise: the mean of each with its neighbours, the nearest of which count most.

        What is far above the first one is cut off, so that one step beyond all does not hide the rest.
        """
        reach = max(1, len(self.losses) // 20)
        weights = np.bartlett(2 * reach + 3)[1:-1]
        values = np.minimum(self.losses, _DIVERGED * self.losses[0])
        counts = np.convolve(np.ones(len(values)), weights, "same")
        smoothed: Floats = np.convolve(values, weights, "same") / counts
        return smoothed

    @property
    def suggestion(self) -> float | None:
        """The rate at which the loss falls fastest, a good first choice; None if it does not fall."""
        end = int(np.argmin(self.smoothed)) + 1
        if end < 3 or self.smoothed[end - 1] > _FALLS * self.smoothed[0]:
            return None
        slope = np.gradient(self.smoothed[:end], np.log(self.rates[:end]))
        return float(self.rates[np.argmin(slope)])

    @property
    def lowest_at(self) -> float:
        """The rate at which the loss was lowest. It is too high already, for the loss is about to rise."""
        return float(self.rates[np.argmin(self.smoothed)])

    @property
    def diverges_at(self) -> float | None:
        """The rate from which on the loss is higher than at the beginning; None if it never is."""
        after = int(np.argmin(self.smoothed))
        above = np.flatnonzero(self.smoothed[after:] > self.smoothed[0])
        if above.size:
            return float(self.rates[after + above[0]])
        return None if self.complete else float(self.rates[-1])

    def draw(self) -> Svg:
        """The losses by learning rate, with the suggestion."""
        curves = {"each step": self.losses, "smoothed": self.smoothed}
        if self.suggestion is not None:
            curves[_rate(self.suggestion)] = np.where(self.rates == self.suggestion, self.smoothed, np.nan)
        high = _DIVERGED * self.losses[0]  # of what is beyond nobody wants to know how far
        shown = {name: np.where(curve > high, np.nan, curve) for name, curve in curves.items()}
        panel = lines(
            "Loss by learning rate", self.rates, shown, words=self._sentence, x_label="learning rate", from_zero=True,
            x_text=_tick, x_logarithmic=True,
        )  # fmt: skip
        return picture("Learning-rate range test", [[panel]])

    @property
    def _sentence(self) -> str:
        if self.suggestion is None:
            return "The loss falls at none of these rates."
        rises = "" if self.diverges_at is None else f"; it is above its beginning from {_rate(self.diverges_at)} on"
        return (
            f"The loss falls fastest at lr {_rate(self.suggestion)}, and is lowest at {_rate(self.lowest_at)}{rises}."
        )

    @property
    def hint(self) -> str:
        """What to try."""
        if self.suggestion is None:
            return "cp.check(model, loss, batch); then more steps, or higher rates: highest=100.0"
        return f"lr={_rate(self.suggestion)}; in a schedule that rises and falls {_rate(self.lowest_at)} at most"

    def __str__(self) -> str:
        ends = f"{_rate(self.rates[0])} to {_rate(self.rates[-1])}"
        course = f"loss {figure('loss', float(self.losses[0]))} to {figure('loss', float(self.losses[-1]))}"
        return f"{self._sentence}\n  {sparkline(self.smoothed)}\n  lr {ends}, {course}\n  Try: {self.hint}"

    def __repr__(self) -> str:
        found = "no suggestion" if self.suggestion is None else f"suggestion {_rate(self.suggestion)}"
        return f"<LRRangeTest: {found}, {len(self.rates)} steps>"

    def _repr_html_(self) -> str:
        return f"{self.draw()._repr_html_()}<p>{self._sentence} Try: {self.hint}</p>"


def _losses(run: Run, rates: Floats) -> Iterator[float]:
    """The loss before each step, until it is too large."""
    ratios = [group["lr"] / (run.learning_rate or 1.0) for group in run.optimizer.param_groups]
    step, first, mean = Step(run), math.nan, math.nan
    run.progress.start_epoch(1, len(rates), lambda: {"lr": run.learning_rate, "loss": mean})
    run.model.train()
    for count, (rate, batch) in enumerate(zip(rates.tolist(), _endless(run.data))):  # noqa: B905 (batches have no end)
        inputs, target = checks.split_batch(batch, "lr_range_test")
        for group, ratio in zip(run.optimizer.param_groups, ratios, strict=True):
            group["lr"] = rate * ratio
        try:
            loss = step(inputs, target).loss
        except DivergenceError:
            return
        yield loss
        first, mean = (loss, loss) if count == 0 else (first, _KEPT * mean + (1 - _KEPT) * loss)
        run.progress.advance(len(target))
        if mean > _DIVERGED * first:
            return


def _endless(data: Batches) -> Iterator[Any]:
    """The batches of an epoch, again and again; DataError if there are none."""
    while True:
        empty = True
        for batch in data:
            empty = False
            yield batch
        if empty:
            raise checks.no_batches("the data", "lr_range_test")


@contextmanager
def _taken_back(run: Run) -> Iterator[None]:
    """Inside, a network may be trained; afterwards nothing has happened.

    Weights, moments, learning rates and the counters of random numbers are cells; gradients belong to parameters.
    """
    modes = [(module, module.training) for module in run.model.modules()]
    place = run.data.state_dict() if hasattr(run.data, "load_state_dict") else None  # type: ignore[attr-defined]
    try:
        with Unchanged():
            yield
    finally:
        for module, mode in modes:
            module.training = mode
        if place is not None:
            run.data.load_state_dict(place)  # type: ignore[attr-defined]


def _rate(value: float) -> str:
    return f"{value:.2g}"


def _tick(value: float) -> str:
    """A rate on the axis: powers of ten as such.

    >>> _tick(1e-05), _tick(0.02)
    ('10⁻⁵', '0.02')
    """
    power = round(math.log10(value))
    return f"10{str(power).translate(_RAISED)}" if math.isclose(value, 10.0**power) else _rate(value)
