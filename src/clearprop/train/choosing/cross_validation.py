"""Cross-validation: how well a plan does on examples that it was not trained with, and how many epochs are best."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from clearprop.arguments import one_of
from clearprop.data.batches import Dataset
from clearprop.errors import DataError, UsageError
from clearprop.nn import Module
from clearprop.train import tables
from clearprop.train.choosing.folds import k_fold_split
from clearprop.train.choosing.plan import Build, Plan, check_build
from clearprop.train.choosing.several import Trained, Work, check_work, told
from clearprop.train.early_stopping import EarlyStopping
from clearprop.train.figures import BOOKKEEPING, VALIDATION, better, figure
from clearprop.train.history import FILE_NAME, History
from clearprop.train.metrics import AnyMetric, make_metrics

Mode = Literal["min", "max"]


def cross_validate(
    build: Build,
    dataset: Dataset,
    *,
    epochs: int,
    folds: int = 5,
    settings: Mapping[str, Any] | None = None,
    metrics: Iterable[AnyMetric] = (),
    monitor: str = "val_loss",
    mode: Mode | None = None,
    stratify: bool | None = None,
    seed: int = 0,
    folder: str | os.PathLike[str] | None = None,
    compile: bool | None = None,
    progress: bool = True,
) -> CrossValidation:
    """Train once for each fold, with the other folds, and measure on it after every epoch.

    The mean over the folds says how well it goes, and after how many epochs best; `CrossValidation.refit` then trains
    with everything, for so many epochs. Equal seeds give equal results; random numbers afterwards go on as if nothing
    had been trained.

    Args:
        build: makes a new `Plan`, with a network of new weights: the plan of each fold.
        dataset: examples to train with; a test set is no part of them.
        epochs: of each fold: more than will be needed.
        folds: how many.
        settings: what `build` is given, by name.
        metrics: figures beside the loss, as for `fit`.
        monitor: the figure whose mean over the folds decides: "val_loss", or ``val_`` and the name of a metric.
        mode: whether "min" or "max" of it is best; by default what its name says, as for `EarlyStopping`.
        stratify: as for `k_fold_split`.
        seed: of the folds, the first weights and the order of examples.
        folder: keeps what is done. After Ctrl-C, or a crash, the same call with the same folder goes on where it was.
        compile: as for `fit`.
        progress: show how it goes, on stderr.

    Raises:
        UsageError, DataError: arguments that make no sense, or a folder with other trainings in it.
        TrainingInterrupted: Ctrl-C; what is done is in the folder.

    >>> import clearprop as cp
    >>> from clearprop import data, nn, optim, train
    >>> def build(hidden=32):
    ...     model = nn.Sequential(nn.Flatten(), nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, 10))
    ...     optimizer = optim.AdamW(model.parameters(), lr=0.02)
    ...     return train.Plan(model=model, loss=nn.CrossEntropyLoss(), optimizer=optimizer)
    >>> digits = data.Subset(data.digits("train"), range(300))
    >>> result = train.cross_validate(build, digits, epochs=4, folds=3, metrics=["accuracy"], progress=False)
    >>> result.best_epochs, result.scores.shape, result.curve("val_accuracy").shape
    (4, (3,), (3, 4))
    >>> model, history = result.refit(progress=False)
    >>> len(history.epochs)
    4
    """
    metrics = list(metrics)
    mode = check_monitor("cross_validate", monitor, mode, metrics)
    check_work("cross_validate", dataset, epochs)
    check_build("cross_validate", build, settings or {})
    work = Work("cross_validate", build, metrics=metrics, folder=folder, seed=seed, compile=compile, progress=progress,
                count=folds, unit="fold", check=check_plan)  # fmt: skip
    pairs = k_fold_split(dataset, folds, stratify=stratify, seed=seed)
    with work.open():
        runs = list(fold_runs(work, pairs, epochs, settings or {}, monitor))
    result = CrossValidation(work, dataset, dict(settings or {}), monitor, mode, [one.history for one in runs],
                             models=[one.model for one in runs])  # fmt: skip
    if work.folder is not None:
        result.history.write(work.folder / FILE_NAME)
    return result


@dataclass(eq=False)
class CrossValidation:
    """What `cross_validate` has found; print it to read it.

    Attributes:
        settings: what the plans were made of.
        monitor, mode: the figure that decides, and which of its values is best.
        histories: of each fold.
        models: the networks of the folds; none if it is part of a search.
        history: the mean over the folds for each epoch, as a record: for `compare` and `write_report`.
        best_epochs: after how many epochs the mean of the figure was best.
    """

    work: Work
    dataset: Dataset
    settings: dict[str, Any]
    monitor: str
    mode: Mode
    histories: Sequence[History]
    models: Sequence[Module] = ()
    place: str = "."  # in the folder of the work

    def __post_init__(self) -> None:
        self.history = self._mean_history()
        values = self.history.column(self.monitor)
        if not np.isfinite(values).any():
            raise DataError(
                f"the mean of {self.monitor} over the folds is after no epoch a number", hint="another monitor, or data"
            )
        best = np.nanargmin(values) if self.mode == "min" else np.nanargmax(values)
        self.best_epochs = int(best) + 1
        self.history.best_epoch, self.history.monitor = self.best_epochs, self.monitor

    def curve(self, name: str) -> npt.NDArray[np.float64]:
        """A figure of all folds and epochs, of shape (folds, epochs).

        Raises:
            UsageError: there is no such figure.
        """
        if name not in self.history.columns:
            known = ", ".join(column for column in self.history.columns if column not in BOOKKEEPING)
            raise UsageError(f"the folds have no figure {name!r}; they have {known}", hint=f"curve({self.monitor!r})")
        return np.stack([history.column(name)[: len(self.history.epochs)] for history in self.histories])

    def scores_of(self, name: str) -> npt.NDArray[np.float64]:
        """A figure of each fold after `best_epochs` epochs."""
        return self.curve(name)[:, self.best_epochs - 1]

    @property
    def scores(self) -> npt.NDArray[np.float64]:
        """The figure that decides, of each fold, after `best_epochs` epochs."""
        return self.scores_of(self.monitor)

    @property
    def mean(self) -> float:
        """The mean of the scores."""
        return float(self.scores.mean())

    @property
    def std(self) -> float:
        """Their standard deviation, with the mean taken over the number of folds, as in scikit-learn."""
        return float(self.scores.std())

    def refit(self, *, seed: int | None = None, progress: bool = True) -> Trained:
        """Train a new network with all examples, for `best_epochs` epochs.

        With a folder it is kept there too, and can be interrupted.

        Args:
            seed: of its first weights and the order of examples; by default that of the cross-validation.
            progress: show how it goes, on stderr.

        Returns:
            the network and its history.
        """
        chosen = self.work.seed if seed is None else seed
        work = self.work.again(seed=chosen, progress=progress)
        place = f"{self.place}/everything-{self.best_epochs}"
        with work.open():
            return work.train(place, self.dataset, None, self.best_epochs, settings=self.settings, seed=chosen,
                              line=partial(told, names=["loss"]))  # fmt: skip

    def rows(self) -> tuple[list[str], list[list[str]]]:
        """Head and rows of its table: the figures of each fold after `best_epochs` epochs, their mean and spread."""
        names = [name for name in self.history.columns if name.startswith(VALIDATION)]
        columns = {name: self.scores_of(name) for name in names}
        rows = [[str(fold), *(figure(name, columns[name][fold - 1]) for name in names)] for fold in self._folds]
        rows.append(["mean", *(figure(name, float(columns[name].mean())) for name in names)])
        rows.append(["±", *(figure(name, float(columns[name].std())) for name in names)])
        return ["fold", *names], rows

    @property
    def _folds(self) -> range:
        return range(1, len(self.histories) + 1)

    @property
    def _title(self) -> str:
        best = f"best after {self.best_epochs} of {len(self.history.epochs)} epochs"
        return f"{len(self.histories)} folds, {best}, by the mean of {self.monitor}:"

    def __str__(self) -> str:
        return f"{self._title}\n{tables.as_text(*self.rows())}"

    def __repr__(self) -> str:
        return (
            f"<CrossValidation: {self.monitor} {spread(self.monitor, self.mean, self.std)} after {self.best_epochs} "
            f"epochs, {len(self.histories)} folds>"
        )

    def _repr_html_(self) -> str:
        return tables.as_html(self._title, *self.rows())

    def _mean_history(self) -> History:
        epochs = min(len(history.epochs) for history in self.histories)
        first = self.histories[0]
        mean = History(self.work.label(self.settings), self.settings, self.work.seed, setup=dict(first.setup))
        mean.layers, mean.input_shape = first.layers, first.input_shape
        mean.seconds = sum(history.seconds for history in self.histories)
        for epoch in range(epochs):
            rows = [history.epochs[epoch] for history in self.histories]
            mean.add_epoch({name: float(np.mean([row[name] for row in rows])) for name in rows[0] if name != "epoch"})
        return mean


def fold_runs(
    work: Work,
    pairs: Sequence[tuple[Dataset, Dataset]],
    epochs: int,
    settings: Mapping[str, Any],
    monitor: str,
    *,
    place: str = ".",
    label: str = "",
) -> Iterator[Trained]:
    """Train one network for each pair of training set and validation set.

    Args:
        place: a folder in that of the work.
        label: what to call them all.
    """

    def line(history: History) -> str:
        figures = told(history, dict.fromkeys([monitor, "val_loss"]))
        return f"{label}  {figures}" if label else figures

    for fold, pair in enumerate(pairs, 1):
        yield work.train(
            f"{place}/fold-{fold}", *pair, epochs, settings=settings, seed=work.seed + fold, label=label,
            health=fold == 1, line=line,
        )  # fmt: skip


def check_monitor(name: str, monitor: Any, mode: Any, metrics: Sequence[AnyMetric]) -> Mode:
    """Which of its values is best; UsageError if a figure would not be there, or that cannot be known."""
    known = [VALIDATION + one for one in ("loss", *(metric.name for metric in make_metrics(metrics)))]
    if monitor not in known:
        raise UsageError(
            f"{name}: monitor is {monitor!r}; the figures of validation are {', '.join(known)}",
            hint='metrics=["accuracy"] for others',
        )
    if mode is not None:
        one_of(name, "mode", mode, "min", "max")
    found = mode or better(monitor)
    if found is None:
        raise UsageError(f"{name}: is more of {monitor!r} better, or less?", hint='mode="max", or "min"')
    return found


def check_plan(plan: Plan) -> None:
    """Raise UsageError if a plan ends a training by itself: how many epochs are best is to be found."""
    if any(isinstance(one, EarlyStopping) for one in plan.callbacks):
        raise UsageError(
            "cross_validate: the plan has EarlyStopping, but all folds are trained for all epochs: their mean says how "
            "many are best",
            hint="a plan without it",
        )


def spread(name: str, mean: float, std: float) -> str:
    """A mean with its standard deviation.

    >>> spread("val_accuracy", 0.975, 0.0123), spread("val_loss", 0.25, 0.03)
    ('97.50 ± 1.23 %', '0.2500 ± 0.0300')
    """
    first, second = figure(name, mean), figure(name, std)
    return f"{first.removesuffix(' %')} ± {second}"
