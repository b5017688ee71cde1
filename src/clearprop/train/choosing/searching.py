"""The choice of settings by cross-validation: hidden units, learning rate, weight decay, anything a plan is made of."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, TypeAlias

import numpy as np

from clearprop.arguments import whole
from clearprop.data.batches import Dataset
from clearprop.errors import DivergenceError, UsageError
from clearprop.train import tables
from clearprop.train.choosing.cross_validation import (
    CrossValidation,
    Mode,
    check_monitor,
    check_plan,
    fold_runs,
    spread,
)
from clearprop.train.choosing.folds import k_fold_split
from clearprop.train.choosing.plan import Build, check_build
from clearprop.train.choosing.several import Trained, Work, check_work, folder_name, in_words
from clearprop.train.figures import duration, figure
from clearprop.train.history import FILE_NAME, History
from clearprop.train.metrics import AnyMetric
from clearprop.train.records import plain

Settings: TypeAlias = Mapping[str, Any]
Grid: TypeAlias = Mapping[str, Sequence[Any]] | Sequence[Settings]


def search(
    build: Build,
    dataset: Dataset,
    grid: Grid,
    *,
    epochs: int,
    folds: int = 5,
    metrics: Iterable[AnyMetric] = (),
    monitor: str = "val_loss",
    mode: Mode | None = None,
    stratify: bool | None = None,
    seed: int = 0,
    folder: str | os.PathLike[str] | None = None,
    compile: bool | None = None,
    progress: bool = True,
) -> Search:
    """Cross-validate each of several settings, with the same folds and first seeds, and say which are best.

    A setting with which training diverges is passed over; it has no score.

    Args:
        build: makes a new `Plan` of settings, its arguments.
        grid: for each argument the values to try, of which every combination is tried; or a list of settings.
        dataset, epochs, folds, metrics, monitor, mode, stratify, seed, compile, progress: as for `cross_validate`; each
            setting is judged after the number of epochs that is best for it.
        folder: keeps what is done, each setting in a folder of its own: the same call goes on there, also with more
            settings. ``clearprop compare FOLDER/*`` compares them.

    Raises:
        UsageError, DataError: as `cross_validate`; an empty grid, or settings that `build` does not take.
        DivergenceError: training diverges with all settings.
        TrainingInterrupted: Ctrl-C; what is done is in the folder.

    >>> import clearprop as cp
    >>> from clearprop import data, nn, optim, train
    >>> def build(hidden, lr):
    ...     model = nn.Sequential(nn.Flatten(), nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, 10))
    ...     return train.Plan(model=model, loss=nn.CrossEntropyLoss(), optimizer=optim.AdamW(model.parameters(), lr=lr))
    >>> digits = data.Subset(data.digits("train"), range(200))
    >>> grid = {"hidden": [2, 32], "lr": [0.02]}
    >>> found = train.search(build, digits, grid, epochs=4, folds=2, progress=False)
    >>> found.best_params, found.cv_results["rank_test_score"]
    ({'hidden': 32, 'lr': 0.02}, [2, 1])
    """
    metrics = list(metrics)
    mode = check_monitor("search", monitor, mode, metrics)
    check_work("search", dataset, epochs)
    tried = _settings(grid)
    for settings in tried:
        check_build("search", build, settings)
    whole("search", "folds", folds, 2)
    work = Work("search", build, metrics=metrics, folder=folder, seed=seed, compile=compile, progress=progress,
                count=len(tried) * folds, unit="fold", check=check_plan)  # fmt: skip
    pairs = k_fold_split(dataset, folds, stratify=stratify, seed=seed)
    results: list[CrossValidation | None] = []
    with work.open():
        for settings in tried:
            histories: list[History] = []
            words, place = in_words(settings), folder_name(settings)
            try:
                for one in fold_runs(work, pairs, epochs, settings, monitor, place=place, label=words):
                    histories.append(one.history)  # noqa: PERF401 (what was done before training diverged counts)
            except DivergenceError as error:
                work.give_up(folds - len(histories), f"{words}: {error.message.partition(chr(10))[0]}")
                results.append(None)
                continue
            result = CrossValidation(work, dataset, dict(settings), monitor, mode, histories, place=place)
            results.append(result)
            if work.folder is not None:
                result.history.write(work.folder / place / FILE_NAME)
    if not any(results):
        raise DivergenceError("search: training diverges with all settings", hint="smaller learning rates")
    return Search(tried, results, monitor, mode)


@dataclass(eq=False)
class Search:
    """What `search` has found, under scikit-learn's names; print it for a table, the best first.

    Attributes:
        params: all settings, in the order in which they were tried.
        results: of each its `CrossValidation`; None where training diverged.
        monitor, mode: the figure that decides, and which of its values is best.
    """

    params: Sequence[Settings]
    results: Sequence[CrossValidation | None]
    monitor: str
    mode: Mode

    @property
    def best_index(self) -> int:
        """Which of the settings is best."""
        return self._order()[0]

    @property
    def best(self) -> CrossValidation:
        """The cross-validation of the best settings."""
        found = self.results[self.best_index]
        assert found is not None  # search raises if there is none
        return found

    @property
    def best_params(self) -> dict[str, Any]:
        """The best settings."""
        return dict(self.params[self.best_index])

    @property
    def best_score(self) -> float:
        """Their mean score."""
        return self.best.mean

    @property
    def best_epochs(self) -> int:
        """After how many epochs."""
        return self.best.best_epochs

    @property
    def histories(self) -> list[History]:
        """For each setting the mean over its folds as a record: ``train.compare(found.histories, "search.html")``."""
        return [one.history for one in self.results if one is not None]

    @property
    def cv_results(self) -> dict[str, list[Any]]:
        """A column for everything, for ``pandas.DataFrame``.

        The names are those of scikit-learn: "test" is what the folds were measured on. ``epochs`` is added: how many
        are best for each setting. Scores are figures as they are, also where less is better; the rank knows.
        """
        scores = [[math.nan] if one is None else one.scores.tolist() for one in self.results]
        seconds = [[math.nan] if one is None else [h.seconds for h in one.histories] for one in self.results]
        names = list(dict.fromkeys(name for settings in self.params for name in settings))
        folds = max(map(len, scores))
        ranks = {place: rank for rank, place in enumerate(self._order(), 1)}
        return {
            "mean_fit_time": [float(np.mean(one)) for one in seconds],
            "std_fit_time": [float(np.std(one)) for one in seconds],
            **{f"param_{name}": [settings.get(name) for settings in self.params] for name in names},
            "params": [dict(settings) for settings in self.params],
            **{f"split{k}_test_score": [one[k] if k < len(one) else math.nan for one in scores] for k in range(folds)},
            "mean_test_score": [float(np.mean(one)) for one in scores],
            "std_test_score": [float(np.std(one)) for one in scores],
            "rank_test_score": [ranks[place] for place in range(len(self.params))],
            "epochs": [None if one is None else one.best_epochs for one in self.results],
        }

    def refit(self, *, seed: int | None = None, progress: bool = True) -> Trained:
        """Train a network of the best settings with all examples, see `CrossValidation.refit`."""
        return self.best.refit(seed=seed, progress=progress)

    def rows(self) -> tuple[list[str], list[list[str]]]:
        """Head and rows of its table, the best first."""
        names = list(dict.fromkeys(name for settings in self.params for name in settings))
        rows = [self._row(rank, place, names) for rank, place in enumerate(self._order(), 1)]
        return ["rank", *names, self.monitor, "epochs", "time"], rows

    def _row(self, rank: int, place: int, names: Sequence[str]) -> list[str]:
        settings, one = self.params[place], self.results[place]
        values = [_short(settings[name]) if name in settings else "" for name in names]
        if one is None:
            return [str(rank), *values, "diverged", "", ""]
        score = spread(self.monitor, one.mean, one.std)
        return [str(rank), *values, score, str(one.best_epochs), duration(one.history.seconds)]

    def _order(self) -> list[int]:
        """The places of the settings, the best first, those that diverged last."""
        sign = 1.0 if self.mode == "min" else -1.0
        keys = [math.inf if one is None else sign * one.mean for one in self.results]
        return sorted(range(len(keys)), key=keys.__getitem__)

    @property
    def _title(self) -> str:
        folds = len(self.best.histories)
        return (
            f"{len(self.params)} settings, {folds} folds each, by the mean of {self.monitor} ± its standard deviation:"
        )

    def __str__(self) -> str:
        return f"{self._title}\n{tables.as_text(*self.rows())}"

    def __repr__(self) -> str:
        score = f"{self.monitor} {figure(self.monitor, self.best_score)}"
        return f"<Search: {len(self.params)} settings, best {in_words(self.best_params)}, {score}>"

    def _repr_html_(self) -> str:
        return tables.as_html(self._title, *self.rows())


def _settings(grid: Any) -> list[dict[str, Any]]:
    """All settings that a grid means; UsageError if it means none, or one twice."""
    found = list(_combinations(grid))
    if not found:
        raise UsageError("search: the grid is empty", hint='{"hidden": [16, 64], "lr": [0.01, 0.001]}')
    seen: set[str] = set()
    for settings in found:
        words = in_words(settings)
        if words in seen:
            raise UsageError(
                f"search: {words} stands twice in the grid", hint="each once; functions with names of their own"
            )
        seen.add(words)
    return found


def _combinations(grid: Any) -> Iterator[dict[str, Any]]:
    if isinstance(grid, Mapping):
        for name, values in grid.items():
            if isinstance(values, str) or not isinstance(values, Iterable):
                raise UsageError(
                    f"search: the values of {name} are {values!r}", hint=f'a list: {{"{name}": [{values!r}]}}'
                )
        columns = [list(values) for values in grid.values()]
        yield from (dict(zip(grid, values, strict=True)) for values in product(*columns) if grid)
    elif isinstance(grid, Iterable) and not isinstance(grid, str):
        for settings in grid:
            if not isinstance(settings, Mapping):
                raise UsageError(
                    f"search: {settings!r} is no setting"[:200], hint='a list of dictionaries: [{"lr": 0.1}]'
                )
            yield dict(settings)
    else:
        raise UsageError(f"search: the grid is a {type(grid).__name__}", hint='{"hidden": [16, 64]}')


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float | np.floating) else str(plain(value))
