"""Several trials: the same plan trained from different first weights; how much is chance, and what all say together."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from clearprop.arguments import whole
from clearprop.data.batches import Dataset, check_dataset
from clearprop.nn import Module
from clearprop.train import tables
from clearprop.train.choosing.cross_validation import spread
from clearprop.train.choosing.ensemble import Ensemble, Vote
from clearprop.train.choosing.plan import Build, check_build
from clearprop.train.choosing.several import Work, check_work, told
from clearprop.train.figures import BOOKKEEPING, figure
from clearprop.train.history import History
from clearprop.train.metrics import AnyMetric, make_metrics


def trials(
    build: Build,
    dataset: Dataset,
    *,
    epochs: int,
    n: int = 5,
    settings: Mapping[str, Any] | None = None,
    validation: Dataset | None = None,
    metrics: Iterable[AnyMetric] = (),
    seed: int = 0,
    folder: str | os.PathLike[str] | None = None,
    compile: bool | None = None,
    progress: bool = True,
) -> Trials:
    """Train several networks of one plan, each from first weights of its own and with its own order of examples.

    Args:
        build: makes a new `Plan`, with a network of new weights.
        dataset: examples to train with.
        epochs: of each.
        n: how many.
        settings: what `build` is given, by name.
        validation: examples to measure with after every epoch.
        metrics: figures beside the loss, as for `fit`.
        seed: the first trial has it, the next ones those that follow.
        folder: keeps what is done. After Ctrl-C, or a crash, the same call with the same folder goes on where it was;
            also with a larger `n`.
        compile: as for `fit`.
        progress: show how it goes, on stderr.

    Raises:
        UsageError, DataError: arguments that make no sense, or a folder with other trainings in it.
        TrainingInterrupted: Ctrl-C; what is done is in the folder.

    >>> import clearprop as cp
    >>> from clearprop import data, nn, optim, train
    >>> def build(hidden=16):
    ...     model = nn.Sequential(nn.Flatten(), nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, 10))
    ...     optimizer = optim.AdamW(model.parameters(), lr=0.02)
    ...     return train.Plan(model=model, loss=nn.CrossEntropyLoss(), optimizer=optimizer)
    >>> digits = data.Subset(data.digits("train"), range(300))
    >>> result = train.trials(build, digits, n=3, epochs=3, metrics=["accuracy"], progress=False)
    >>> mean, std = result.figures["accuracy"]
    >>> all_together = result.ensemble("majority")
    >>> test = data.DataLoader(data.digits("test"), batch_size=128)
    >>> train.evaluate(all_together, test, metrics=["accuracy"]).metrics["accuracy"] > 0.6
    True
    """
    check_work("trials", dataset, epochs)
    whole("trials", "n", n)
    check_build("trials", build, settings or {})
    if validation is not None:
        check_dataset("trials", validation)
    metrics = list(metrics)
    work = Work("trials", build, metrics=metrics, folder=folder, seed=seed, compile=compile, progress=progress, count=n,
                unit="trial")  # fmt: skip
    names = [*(metric.name for metric in make_metrics(metrics)), "loss"]
    line = partial(told, names=[f"val_{name}" for name in names] if validation is not None else names)
    with work.open():
        runs = [
            work.train(f"trial-{trial}", dataset, validation, epochs, settings=settings or {}, seed=seed + trial - 1,
                       health=trial == 1, line=line)
            for trial in range(1, n + 1)
        ]  # fmt: skip
    return Trials([one.model for one in runs], [one.history for one in runs])


@dataclass(eq=False)
class Trials:
    """What `trials` has trained; print it for the figures of all.

    Attributes:
        models: the networks, in evaluation mode.
        histories: of each its record.
    """

    models: Sequence[Module]
    histories: Sequence[History]

    @property
    def figures(self) -> dict[str, tuple[float, float]]:
        """For each figure the mean over the trials, and the standard deviation of a single one (n - 1).

        They are those of the best epoch where one is marked, as `EarlyStopping` does, else of the last.
        """
        columns = self._columns()
        return {name: (float(np.mean(one)), _deviation(one)) for name, one in columns.items()}

    def ensemble(self, vote: Vote = "mean", *, class_axis: int = 1) -> Ensemble:
        """All networks as one that answers, see `Ensemble`; it shares their weights."""
        return Ensemble(self.models, vote, class_axis=class_axis).eval()

    def rows(self) -> tuple[list[str], list[list[str]]]:
        """Head and rows of its table: the figures of each trial, their mean and standard deviation."""
        columns = self._columns()
        rows = [
            [str(trial + 1), *(figure(name, one[trial]) for name, one in columns.items())] for trial in self._trials
        ]
        rows.append(["mean", *(figure(name, mean) for name, (mean, _) in self.figures.items())])
        rows.append(["±", *(figure(name, std) for name, (_, std) in self.figures.items())])
        return ["trial", *columns], rows

    @property
    def _trials(self) -> range:
        return range(len(self.histories))

    def _columns(self) -> dict[str, list[float]]:
        best = [history.best or {} for history in self.histories]
        names = [name for name in best[0] if name not in BOOKKEEPING]
        return {name: [float(row[name]) for row in best] for name in names}

    def __str__(self) -> str:
        return tables.as_text(*self.rows())

    def __repr__(self) -> str:
        name, (mean, std) = list(self.figures.items())[-1]
        return f"<Trials: {len(self.models)}, {name} {spread(name, mean, std)}>"

    def _repr_html_(self) -> str:
        return tables.as_html(f"{len(self.models)} trials", *self.rows())


def _deviation(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
