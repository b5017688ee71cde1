"""What the samples of a run have said up to now: sums of the epoch, units that are silent, how long something lasts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from clearprop.train.health.watching import Activation, Sample
from clearprop.train.records import EpochHealth

ENOUGH_EXAMPLES = 256
"""A unit that was silent for so many examples counts as dead."""

_COLUMNS = ("gradient", "update", "gain", "saturated")


@dataclass
class Course:
    """The statistics of a run, to be saved and gone on with.

    Attributes:
        sums: for each column of the epoch, and each layer, how many numbers there were and their sum.
        silent: for each ReLU and unit the number of examples since it was last above 0.
        seen: for each ReLU the number of examples.
        streaks: for how many samples in a row something has been so, by its name.
        losses: of the first sample, and the mean of later ones in which the newest count most.
        samples: how many there were.
        said: what has been said already.
        shapes: of the batches that samples were taken with.
    """

    sums: dict[str, dict[str, list[float]]] = field(default_factory=lambda: {name: {} for name in _COLUMNS})
    silent: dict[str, list[int]] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)
    streaks: dict[str, int] = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)
    samples: int = 0
    said: list[str] = field(default_factory=list)
    shapes: list[str] = field(default_factory=list)

    def add(self, sample: Sample, activations: Mapping[str, Activation], examples: int) -> None:
        """Take a sample into account."""
        self.samples += 1
        self.losses = [sample.loss, sample.loss] if not self.losses else self.losses
        self.losses[1] += (sample.loss - self.losses[1]) / 3
        ratios = {name: ratio(sample.update[name], sample.weight[name]) for name in sample.update}
        gains = {name: ratio(sample.handed_on[name], arrived) for name, arrived in sample.upstream.items()
                 if name in sample.handed_on}  # fmt: skip
        saturated = {name: share for name, share in sample.flat.items() if activations[name].kind != "relu"}
        for column, found in zip(_COLUMNS, (sample.gradient, ratios, gains | sample.factor, saturated), strict=True):
            for name, value in found.items():
                if math.isfinite(value):
                    count, total = self.sums[column].get(name, [0, 0.0])
                    self.sums[column][name] = [count + 1, total + value]
        for name, active in sample.active.items():
            before = self.silent.get(name)
            held = np.zeros(len(active), np.int64) if before is None else np.asarray(before)
            self.silent[name] = np.where(active > 0, 0, held + examples).tolist()
            self.seen[name] = self.seen.get(name, 0) + examples

    def lasts(self, key: str, is_so: bool) -> int:
        """For how many samples in a row, this one included, something has been so."""
        self.streaks[key] = self.streaks.get(key, 0) + 1 if is_so else 0
        return self.streaks[key]

    def dead(self, name: str) -> float:
        """The share of the units of a ReLU that have been silent for all examples seen, or for enough of them."""
        silent = self.silent[name]
        enough = min(self.seen[name], ENOUGH_EXAMPLES)
        return sum(count >= enough for count in silent) / len(silent)

    def end_epoch(self, epoch: int, order: Iterable[str]) -> EpochHealth | None:
        """The row of an epoch; None if no sample fell into it. The sums begin anew."""
        means = {
            column: {name: total / count for name, (count, total) in self.sums[column].items()} for column in _COLUMNS
        }
        if not any(means.values()):
            return None
        self.sums = {name: {} for name in _COLUMNS}
        places = {name: place for place, name in enumerate(order)}
        columns = means | {"dead": {name: self.dead(name) for name in self.silent}}
        return EpochHealth(
            epoch, **{column: dict(sorted(row.items(), key=lambda one: places.get(one[0], len(places))))
                      for column, row in columns.items()}
        )  # fmt: skip

    def state_dict(self) -> dict[str, Any]:
        """All of it as plain data."""
        return dict(vars(self))

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Course:
        """What `state_dict` gave."""
        return cls(**{name: _copied(value) for name, value in state.items()})


def ratio(part: float, whole: float) -> float:
    """Part by whole; NaN where there is no whole."""
    return part / whole if whole else math.nan


def in_order(names: Iterable[str], activations: Iterable[Activation]) -> list[str]:
    """Names of modules and layers, in the order of their definition, and each function after the layer that feeds it.

    >>> in_order(["fc1", "fc2"], [Activation("relu after fc1", "relu", "fc1")])
    ['fc1', 'relu after fc1', 'fc2']
    """
    known = list(dict.fromkeys(names))
    functions = [one for one in activations if one.name not in known]
    return [
        *(one.name for one in functions if one.feeder not in known),
        *(each for name in known for each in [name, *(one.name for one in functions if one.feeder == name)]),
    ]


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _copied(one) for name, one in value.items()}
    return [_copied(one) for one in value] if isinstance(value, list | tuple | np.ndarray) else value
