"""Several trainings that are one piece of work: one display, one folder, which keeps what is done, and one seed."""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from clearprop.arguments import as_path, whole
from clearprop.data.batches import Dataset, check_dataset
from clearprop.data.order import checked_seed
from clearprop.errors import FileError, UsageError
from clearprop.files.atomic import write_error
from clearprop.nn import Module
from clearprop.random import default_generator
from clearprop.train.checkpoint import Checkpoint
from clearprop.train.choosing.plan import Build, Plan, made
from clearprop.train.figures import duration, figure
from clearprop.train.history import FILE_NAME, History
from clearprop.train.interruption import TrainingInterrupted
from clearprop.train.loop import fit
from clearprop.train.metrics import AnyMetric
from clearprop.train.progress import Progress, no_numbers
from clearprop.train.records import plain

_CHECKPOINT = "checkpoint.safetensors"
_LONGEST_NAME = 100  # of a folder, without what makes it unique
_SAVE_EVERY_SECONDS = 10.0  # by the clock: an epoch may take less time than a disk for one file


class Trained(NamedTuple):
    """A network that was trained, and the record of it.

    Attributes:
        model: in evaluation mode.
        history: one row of figures for each epoch.
    """

    model: Module
    history: History


class Work:
    """Trains one network after the other.

    Args:
        name: of the function that the user called, for messages.
        build: makes a new plan of settings.
        metrics: as for `fit`.
        folder: keeps what is done; None for nowhere. Called again with the same folder, what is done is read.
        seed: of first weights, of everything random in a training, and of the order of examples.
        compile: as for `fit`.
        progress: whether to show how it goes.
        count: how many trainings there will be.
        unit: what one is called: "fold", "trial".
        check: looks at each plan, and may raise an error.
    """

    def __init__(
        self,
        name: str,
        build: Build,
        *,
        metrics: Iterable[AnyMetric] = (),
        folder: str | os.PathLike[str] | None = None,
        seed: int = 0,
        compile: bool | None = None,
        progress: bool = True,
        count: int = 1,
        unit: str = "training",
        check: Callable[[Plan], None] | None = None,
    ) -> None:
        self.name, self.build, self.metrics = name, build, list(metrics)
        self.folder = None if folder is None else as_path(folder)
        self.seed = checked_seed(name, seed)
        self.compile, self.count, self.unit, self._check = compile, count, unit, check
        self._display = Progress(count, show=progress, unit=unit)
        self._done = 0
        self._said: set[str] = set()

    @contextmanager
    def open(self) -> Iterator[None]:
        """Inside, networks can be trained; afterwards random numbers go on as if none had been.

        Raises:
            TrainingInterrupted: Ctrl-C; what is done is in the folder.
        """
        before = default_generator.state_dict()
        try:
            with self._display:
                yield
        except KeyboardInterrupt as error:
            if self.folder is None:
                raise
            raise self._interrupted(error) from None
        finally:
            default_generator.load_state_dict(before)

    def train(
        self,
        place: str,
        training: Dataset,
        validation: Dataset | None,
        epochs: int,
        *,
        settings: Mapping[str, Any],
        seed: int,
        label: str = "",
        health: bool = True,
        line: Callable[[History], str],
    ) -> Trained:
        """Train one network, or read it if it has been trained before.

        Args:
            place: the name of its folder in that of the work.
            training, validation: data sets.
            settings: what the plan is made of.
            seed: of this training.
            label: what to show beside its number.
            health: as for `fit`.
            line: what to say of it when it is done.
        """
        default_generator.manual_seed(seed)
        plan = made(self.name, self.build, settings)
        if self._check is not None:
            self._check(plan)
        folder = None if self.folder is None else self.folder / place
        saved = None if folder is None else folder / _CHECKPOINT
        record = History(
            PurePath(place).as_posix(), dict(settings), seed, path=None if folder is None else folder / FILE_NAME
        )
        loader = plan.loader(training, seed)
        display = _Part(self._display, label, epochs, len(loader), self._note)
        self._display.start_epoch(self._done + 1, epochs * len(loader), display.figures)
        history = fit(
            plan.model,
            loader,
            epochs=epochs,
            validation=None if validation is None else plan.measuring_loader(validation),
            metrics=self.metrics,
            checkpoint=None if saved is None else _checkpoint(saved),
            resume=saved if saved is not None and saved.exists() else None,
            history=record,
            health=health,
            compile=self.compile,
            progress=display,
            **plan.fit_arguments(),
        )
        if len(history.epochs) > epochs:
            raise UsageError(
                f"{self.name}: {folder} holds a training of {len(history.epochs)} epochs, more than {epochs}",
                hint="another folder",
            )
        self._done += 1
        self._display.end_training(f"{self.unit} {self._done:>{len(str(self.count))}}/{self.count}  {line(history)}")
        return Trained(plan.model if plan.evaluated is None else plan.evaluated, history)

    def again(self, *, seed: int, progress: bool) -> Work:
        """Work for one training more, of the same kind."""
        return Work(self.name, self.build, metrics=self.metrics, folder=self.folder, seed=seed, compile=self.compile,
                    progress=progress)  # fmt: skip

    def label(self, settings: Mapping[str, Any]) -> str:
        """What to call a training: its settings, or the function that made its plan."""
        return in_words(settings) if settings else getattr(self.build, "__name__", self.name)

    def give_up(self, trainings: int, why: str) -> None:
        """So many trainings will not be done; say why."""
        self._done += trainings
        self._display.note(why)

    def _note(self, text: str) -> None:
        if text not in self._said:  # what is to be said of one training is mostly to be said of all
            self._said.add(text)
            self._display.note(text)

    def _interrupted(self, error: KeyboardInterrupt) -> TrainingInterrupted:
        assert self.folder is not None
        done = f"{self._done} of {self.count} {self.unit}s are done"
        part = ", the next is saved" if isinstance(error, TrainingInterrupted) else ""
        again = f"To go on: the same program again, with {self.name}(..., folder={os.fspath(self.folder)!r})"
        return TrainingInterrupted(f"{done}{part}\n{again}", self.folder)


class _Part(Progress):
    """The display of one of several trainings: a part of that of all."""

    def __init__(self, whole: Progress, label: str, epochs: int, batches: int, note: Callable[[str], None]) -> None:
        super().__init__(epochs, show=False)
        self._whole, self._label_of_all, self._batches_of_epoch, self._say = whole, label, batches, note
        self._row: Mapping[str, float] = {}
        self._trains = False

    def figures(self) -> Mapping[str, float]:
        """Of the last epoch."""
        return {name: value for name, value in self._row.items() if name.startswith("val_")}

    def start_epoch(
        self, epoch: int, batches: int | None = None, numbers: Callable[[], Mapping[str, float]] = no_numbers
    ) -> None:
        super().start_epoch(epoch, batches, numbers)
        left = self._batches_of_epoch if batches is None else batches
        words = f"{self._label_of_all}, " if self._label_of_all else ""
        self._whole.begin_part(f"{words}epoch {epoch}/{self._epochs}", epoch * self._batches_of_epoch - left)
        self._trains = True

    def start_validation(
        self,
        batches: int | None = None,
        numbers: Callable[[], Mapping[str, float]] = no_numbers,
        *,
        label: str = "validating",
    ) -> None:
        super().start_validation(batches, numbers, label=label)
        self._trains = False

    def advance(self, examples: int) -> None:
        if self._trains:
            self._whole.advance(examples)

    def end_epoch(self, row: Mapping[str, float], *, best: bool = False) -> None:
        self._row = row

    def note(self, text: str) -> None:
        self._say(text)


def check_work(name: str, dataset: Any, epochs: Any) -> None:
    """Raise UsageError for what no work can be begun with."""
    check_dataset(name, dataset)
    whole(name, "epochs", epochs)


def in_words(settings: Mapping[str, Any]) -> str:
    """Settings in a line.

    >>> in_words({"hidden": 16, "lr": 0.01, "activation": "relu"})
    'hidden=16, lr=0.01, activation=relu'
    """
    return ", ".join(f"{name}={plain(value)}" for name, value in settings.items())


def folder_name(settings: Mapping[str, Any]) -> str:
    """The same as the name of a folder, on any system.

    >>> folder_name({"lr": 0.01}), folder_name({"data": "a/b"})
    ('lr=0.01', 'data=a_b d2579e21')
    """
    words = in_words(settings)
    name = re.sub(r"[^\w=.,+\- ]", "_", words)[:_LONGEST_NAME]
    return name if name == words else f"{name} {zlib.crc32(words.encode()):08x}"


def told(history: History, names: Iterable[str]) -> str:
    """The figures of a training in a line: of its best epoch if one was marked, else of the last."""
    row = history.best or {}
    said = [f"{name} {figure(name, row[name])}" for name in names if name in row]
    return "  ".join([*said, duration(history.seconds)])


def _checkpoint(path: Path) -> Checkpoint:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise FileError(f"{path.parent} is not a folder", hint="another one") from error
    except OSError as error:
        raise write_error(path, error) from error
    return Checkpoint(path, every_epochs=None, every_seconds=_SAVE_EVERY_SECONDS)
