"""A plan: what one training is made of, beside its data.

`cross_validate`, `search` and `trials`, which train several networks, are given a function that makes plans.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from clearprop.data import DataLoader
from clearprop.data.batches import Dataset
from clearprop.data.transforms import Transform
from clearprop.errors import UsageError
from clearprop.nn import Module
from clearprop.optim import Optimizer
from clearprop.optim.lr_scheduler import LRScheduler
from clearprop.train.callbacks import Callback
from clearprop.train.run import Each

_VALIDATION_BATCH = 256  # at least: nothing is trained with it


@dataclass(kw_only=True)
class Plan:
    """What one training is made of, beside its data: what `fit` is given, and how batches are made.

    Args:
        model: the network, with new weights.
        loss, optimizer, scheduler, schedule, clip_grad_norm, accumulate, callbacks: as for `fit`.
        evaluated: the network that is kept in the end, if that is not the one which is trained: an average of it, which
            ``callbacks=[AverageWeights(average, validate=True)]`` makes and measures.
        batch_size: examples in a batch to train with.
        transform: changes each batch to train with: augmentation, see `DataLoader`.
        validation_transform: changes each batch to measure with.
        collate: makes batches of examples of different shapes, see `DataLoader`.

    A scheduler that counts epochs has the same course in folds, which have fewer batches, and with all examples.

    >>> import clearprop as cp
    >>> from clearprop import data, nn, optim, train
    >>> def build(hidden=16, lr=0.01):
    ...     model = nn.Sequential(nn.Flatten(), nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, 10))
    ...     optimizer = optim.AdamW(model.parameters(), lr=lr)
    ...     return train.Plan(model=model, loss=nn.CrossEntropyLoss(), optimizer=optimizer, batch_size=64)
    >>> build(hidden=8).model[1].out_features
    8
    """

    model: Module
    loss: Callable[[Any, Any], Any]
    optimizer: Optimizer
    evaluated: Module | None = None
    batch_size: int = 64
    scheduler: LRScheduler | None = None
    schedule: Each = "epoch"
    clip_grad_norm: float | None = None
    accumulate: int = 1
    callbacks: Sequence[Callback] = ()
    transform: Transform | None = None
    validation_transform: Transform | None = None
    collate: Callable[[Sequence[Any]], Any] | None = None

    def loader(self, dataset: Dataset, seed: int) -> DataLoader:
        """Batches to train with, in another order in each epoch."""
        return DataLoader(
            dataset, self.batch_size, shuffle=True, seed=seed, transform=self.transform, collate=self.collate
        )

    def measuring_loader(self, dataset: Dataset) -> DataLoader:
        """Batches to measure with."""
        size = max(self.batch_size, _VALIDATION_BATCH)
        return DataLoader(dataset, size, transform=self.validation_transform, collate=self.collate)

    def fit_arguments(self) -> dict[str, Any]:
        """What `fit` is given by name."""
        names = ("loss", "optimizer", "scheduler", "schedule", "clip_grad_norm", "accumulate", "callbacks")
        return {name: getattr(self, name) for name in names}


Build: TypeAlias = Callable[..., Plan]
"""Makes a new plan of settings, with a network of new weights each time."""


def check_build(name: str, build: Any, settings: Mapping[str, Any]) -> None:
    """Raise UsageError if this is no function that takes such settings."""
    if not callable(build) or isinstance(build, Plan | Module):
        raise UsageError(
            f"{name}: build is a {type(build).__name__}",
            hint="a function that makes a new train.Plan, with a network of new weights each time",
        )
    try:
        signature = inspect.signature(build)
    except (TypeError, ValueError):  # some built in C have none
        return
    try:
        signature.bind(**settings)
    except TypeError as error:
        takes = ", ".join(signature.parameters) or "nothing"
        raise UsageError(
            f"{name}: build takes {takes}: {error}", hint="settings by the names of its arguments"
        ) from None


def made(name: str, build: Build, settings: Mapping[str, Any]) -> Plan:
    """A new plan; UsageError if the function makes something else."""
    plan = build(**settings)
    if not isinstance(plan, Plan):
        raise UsageError(
            f"{name}: build returned a {type(plan).__name__}",
            hint="return train.Plan(model=model, loss=nn.CrossEntropyLoss(), optimizer=optimizer)",
        )
    return plan
