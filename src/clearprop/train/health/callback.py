"""The callback that looks at a network's health now and then, and speaks up only if there is something to say."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from clearprop.arguments import whole
from clearprop.autodiff.tree import map_leaves
from clearprop.cell import Parameter
from clearprop.compiler import compile as compiled
from clearprop.errors import ClearpropError, NotFiniteError
from clearprop.train.callbacks import Callback
from clearprop.train.health.advice import Advice, Findings, advice, facts
from clearprop.train.health.course import Course, in_order
from clearprop.train.health.layers import Layer, layers_of
from clearprop.train.health.watching import Activation, Met, Sample, Watch, as_numbers
from clearprop.train.unchanged import Unchanged

if TYPE_CHECKING:
    from clearprop.train.run import Run

_EARLY = frozenset({0, 1, 2, 4, 8, 16, 32})
_MOST_SHAPES = 2
"""Samples are taken with batches of so many shapes, when they are compiled: each takes its time."""


class Health(Callback):
    """Looks at gradients, updates and activations at some steps, tells of trouble, and keeps a summary of each epoch.

    `fit` does this by itself; give it one to look more often or less, or ``health=False``. It changes nothing: neither
    the weights nor the random numbers of a run are other ones for it. An eager step that is looked at is watched while
    it runs. Beside compiled steps a function of its own computes the statistics, with a forward and a backward pass of
    their own, and no update; so it costs a bit more than one step in `every`, and its memory.

    For each layer: the norm of its gradient (before clipping), the norm of an update by that of the weights, the gain,
    which is what the layer multiplies the norm of the gradient by; of ReLUs the share of units that are 0 for all
    examples looked at; of sigmoids and tanhs the share of outputs where they are flat.

    Args:
        every: the number of steps from one look to the next. At the beginning of a run it looks more often: at steps
            1, 2, 3, 5, 9, 17 and 33.

    Attributes:
        summary: of each epoch a `train.records.EpochHealth`; also in the history, as ``history.health``.
        advice: what it has said; also in the history, as ``history.advice``.

    Raises:
        UsageError: `every` is not a whole number from 1 on.

    >>> import clearprop as cp
    >>> from clearprop import nn, optim, train
    >>> cp.random.seed(0)
    >>> sigmoids = [layer for _ in range(8) for layer in (nn.Linear(16, 16), nn.Sigmoid())]
    >>> model = nn.Sequential(*sigmoids, nn.Linear(16, 1))
    >>> batches = [(cp.ones((4, 16)), cp.ones((4, 1)))] * 5
    >>> history = train.fit(
    ...     model, batches, loss=nn.MSELoss(), optimizer=optim.SGD(model.parameters(), lr=0.1), epochs=1, progress=False
    ... )
    >>> history.advice[0].partition("; ")[2].partition(". Try")[0]
    'the 8 times sigmoid on the way multiplies it by 0.22 to 0.25'
    """

    def __init__(self, every: int = 50) -> None:
        self.every = whole("Health", "every", every)
        self._begin([])

    def _begin(self, layers: list[Layer]) -> None:
        self._layers = layers
        self._course = Course()
        self._activations: dict[str, Activation] = {}
        self._names: dict[Parameter, str] = {}
        self._reached: set[Parameter] = set()
        self._order: list[str] = []
        self._waits = False
        self._ended = False
        self._probe: _Probe | None = None
        self.summary: list[Any] = []
        self.advice: list[str] = []

    # Called by fit ------------------------------------------------------------------------------------------------

    def on_fit_begin(self, run: Run) -> None:
        """A new run; a saved one is loaded afterwards."""
        self._begin(layers_of(run.model))
        self._names = {parameter: name for name, parameter in run.model.named_parameters()}
        parts = [layer.name for layer in self._layers if layer.place is None]  # of modules with several matrices
        self._order = [
            name
            for path, module in run.model.named_modules()
            for name in (path or type(module).__name__, *(part for part in parts if part.rpartition(".")[0] == path))
        ]

    def on_epoch_begin(self, run: Run) -> None:
        """Facts are told once, before the first step."""
        trained = {parameter for group in run.optimizer.param_groups for parameter in group["params"]}
        for fact in facts(self._layers, trained):
            self._say(run, fact)

    def on_epoch_end(self, run: Run) -> None:
        """Add the epoch to the summary."""
        row = self._course.end_epoch(run.epoch, in_order(self._order, self._activations.values()))
        if row is not None:
            self.summary.append(row)
            run.history.health.append(row)

    def is_due(self, step: int) -> bool:
        """Whether the next step, of this number from 0, is to be looked at."""
        self._waits = not self._ended and (self._waits or step in _EARLY or step % self.every == 0)
        return self._waits

    def watch(self, run: Run, step: Callable[..., Any], batch: tuple[Any, ...]) -> Any:
        """Run an eager step, and look at it.

        Args:
            step: returns the loss, and whatever else.
            batch: what it takes; the target is the last.
        """
        with Watch(run.model) as seen:
            result = step(*batch)
        self._take(run, _plain(seen.sample(result[0])), seen.met(), len(batch[-1]))
        return result

    def look(self, run: Run, step: Callable[..., Any], batch: tuple[Any, ...]) -> None:
        """Look at a step that is going to be run as a compiled function.

        Args:
            step: the same step; it is carried out, and taken back.
            batch: what it takes; the target is the last.
        """
        shapes = str([tuple(x.shape) for x in batch if hasattr(x, "shape")])
        if shapes not in self._course.shapes:
            if len(self._course.shapes) == _MOST_SHAPES:
                return  # and wait for another batch
            self._course.shapes.append(shapes)
        if self._probe is None:
            self._probe = _Probe(run, step)
        try:
            sample = self._probe(batch, eagerly=self._course.samples == 0)
        except NotFiniteError:  # the step itself is going to say so
            return
        except Exception as error:  # whatever it is, it is no reason to end a training
            self._ended, self._waits = True, False
            words = error.message if isinstance(error, ClearpropError) else f"{type(error).__name__}: {error}"
            run.note(f"Health has ended, the training goes on: {words}")
            return
        self._take(run, sample, self._probe.met, len(batch[-1]))

    # What a sample says -------------------------------------------------------------------------------------------

    def _take(self, run: Run, sample: Sample, met: Met, examples: int) -> None:
        self._waits = False
        if not math.isfinite(sample.loss):
            return
        self._activations |= met.activations
        self._reached |= met.reached
        self._course.add(sample, self._activations, examples)
        never = [name for p, name in self._names.items() if p.requires_grad and p not in self._reached]
        for one in advice(Findings(self._layers, self._activations, sample, self._course, never)):
            self._say(run, one)

    def _say(self, run: Run, one: Advice) -> None:
        if one.key in self._course.said:
            return
        self._course.said.append(one.key)
        text = f"step {run.position.step + 1:,}: {one.text}"
        self.advice.append(text)
        run.history.advice.append(text)
        run.note(f"health, {text}")

    # The state ----------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """The statistics of the run, for one that is resumed to say what it would have said."""
        return {
            "course": self._course.state_dict(),
            "activations": [[one.name, one.kind, one.feeder] for one in self._activations.values()],
            "reached": sorted(self._names[parameter] for parameter in self._reached if parameter in self._names),
            "waits": self._waits,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self._course = Course.from_state(state["course"])
        self._activations = {fields[0]: Activation(*fields) for fields in state["activations"]}
        parameters = {name: parameter for parameter, name in self._names.items()}
        self._reached = {parameters[name] for name in state["reached"]}
        self._waits = state["waits"]


class _Probe:
    """A step that is carried out and taken back, for its statistics: eagerly, or as a compiled function."""

    def __init__(self, run: Run, step: Callable[..., Any]) -> None:
        self._run, self._step = run, step
        self._compiled = compiled(self._statistics)
        self.met = Met({}, frozenset())

    def __call__(self, batch: tuple[Any, ...], *, eagerly: bool) -> Sample:
        found = self._statistics(*batch) if eagerly else self._compiled(*batch)
        return _plain(Sample(**found))

    def _statistics(self, *batch: Any) -> dict[str, Any]:
        with Unchanged(), Watch(self._run.model) as seen:
            loss = self._step(*batch)[0]
            found = vars(seen.sample(loss))
            self.met = seen.met()
            return found


def _plain(sample: Sample) -> Sample:
    return Sample(**map_leaves(as_numbers, vars(sample)))
