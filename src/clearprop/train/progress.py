"""The live display of a training run, on stderr: a line that moves while an epoch runs, and one that stays after it.

What is asked per batch is one addition and one look at the clock; figures are read and drawn a few times a second, and
never for more than a hundredth of the time. Where stderr is no terminal there is one plain line per epoch and nothing
else. rich is imported when a display opens: `import clearprop` must not wait for it.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, TextIO, TypeVar

from clearprop.train.figures import BOOKKEEPING, VALIDATION, clock, duration, figure, rate

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.table import Table

T = TypeVar("T")

DRAW_EVERY_SECONDS = 0.1
_SHARE_FOR_DRAWING = 0.01
_NARROWEST_BAR = 10


class Cell(NamedTuple):
    """One figure of a finished epoch: the name of its column, its text, the width of the column."""

    name: str
    text: str
    width: int


def no_numbers() -> Mapping[str, float]:
    """The figures of a stage that has none to show."""
    return {}


class Progress:
    """A display of one training run; a context manager, which gives the terminal back however the block ends.

    Args:
        epochs: how many epochs there will be at most.
        show: False for a display that shows nothing, for callers that want the same code either way.
        stream: where to write; stderr by default.
        now: the clock, in seconds.
        unit: what is counted: "epoch"; of several trainings, which are parts of one display, "fold" or "trial".

    >>> with Progress(epochs=2, stream=sys.stdout) as progress:  # stdout of a doctest is no terminal: plain lines
    ...     for epoch in (1, 2):
    ...         progress.start_epoch(epoch, batches=3, numbers=lambda: {"loss": 0.5})
    ...         for _ in range(3):
    ...             progress.advance(examples=64)
    ...         progress.end_epoch({"epoch": epoch, "loss": 0.5, "val_accuracy": 0.9, "seconds": 1.5}, best=epoch == 1)
    epoch 1/2  loss 0.5000  val_accuracy 90.00 %  1.5 s  best
    epoch 2/2  loss 0.5000  val_accuracy 90.00 %  1.5 s
    """

    def __init__(
        self,
        epochs: int,
        *,
        show: bool = True,
        stream: TextIO | None = None,
        now: Callable[[], float] = time.perf_counter,
        unit: str = "epoch",
    ) -> None:
        self._epochs = epochs
        self._unit = unit
        self._show = show
        self._stream = stream
        self._now = now
        self._live: Live | None = None
        self._columns: list[str] = []  # of the table of finished epochs, as last printed
        self._epoch_seconds = 0.0  # of the last finished epoch, validation included
        self._epoch = 0
        self._epoch_began = now()
        self._next_draw = 0.0
        self._begin_stage("", None, no_numbers)

    def __enter__(self) -> Progress:
        # Asked again here: a stream may have been redirected since, as test runners and notebooks do.
        self._stream = self._stream if self._stream is not None else sys.stderr
        if self._show and is_terminal(self._stream):
            self._open(self._stream)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close()

    def start_epoch(
        self, epoch: int, batches: int | None = None, numbers: Callable[[], Mapping[str, float]] = no_numbers
    ) -> None:
        """Begin the training part of an epoch.

        Args:
            epoch: its number, from 1; a resumed run begins later.
            batches: how many there will be; None if that is not known.
            numbers: gives the running loss and metrics; called only when they are drawn.
        """
        self._epoch = epoch
        self._epoch_began = self._now()
        self._begin_stage("", batches, numbers)
        self._may_estimate = True
        if self._epoch_seconds == 0 or self._unit != "epoch":  # the first batch may wait for the compiler
            self._draw()

    def start_validation(
        self,
        batches: int | None = None,
        numbers: Callable[[], Mapping[str, float]] = no_numbers,
        *,
        label: str = "validating",
    ) -> None:
        """Begin a part in which nothing is trained: validation in an epoch, the test after the last one."""
        self._begin_stage(label, batches, numbers)

    def begin_part(self, label: str, done: int) -> None:
        """Say which epoch of one of several trainings is under way, and how many batches were done before."""
        self._label, self._batch = label, done

    def advance(self, examples: int) -> None:
        """One batch is done. Costs well under a microsecond unless the display is due."""
        self._batch += 1
        self._examples += examples
        if self._live is not None and self._now() >= self._next_draw:
            self._draw()

    def end_epoch(self, row: Mapping[str, float], *, best: bool = False) -> None:
        """An epoch is done: write the line that stays.

        Args:
            row: its row of the History.
            best: whether it is the best one so far.
        """
        self._epoch_seconds = self._now() - self._epoch_began
        if not self._show:
            return
        if self._live is None:
            self._write(epoch_line(row, self._epochs, best))
            return
        cells = epoch_cells(row, self._epochs, best, self._live.console.width)
        names = [cell.name for cell in cells]
        if names != self._columns:  # the first epoch, or the terminal has another width now
            self._columns = names
            self._print_above(_aligned(names, cells), "bold")
        self._print_above(_aligned((cell.text for cell in cells), cells), "green" if best else "")

    def end_training(self, line: str) -> None:
        """One of several trainings is done: write the line that stays."""
        self._epoch_seconds = self._now() - self._epoch_began
        self.note(line)

    def note(self, text: str) -> None:
        """Write something that stays, such as the advice of a callback, without disturbing the moving line."""
        if not self._show:
            return
        if self._live is None:
            self._write(text)
        else:
            self._print_above(text, "")

    def _begin_stage(self, label: str, batches: int | None, numbers: Callable[[], Mapping[str, float]]) -> None:
        self._label, self._batches, self._numbers = label, batches, numbers
        self._batch = self._examples = 0
        self._may_estimate = False  # how long the run will take, by its first epoch
        self._stage_began = self._now()

    def _open(self, stream: TextIO) -> None:
        import rich.progress_bar
        import rich.table  # noqa: F401 (for the first line: drawing it must not seem slow)
        from rich.console import Console
        from rich.live import Live

        class LastingConsole(Console):
            def on_broken_pipe(self) -> None:
                self.quiet = True  # rich's own way is to end the program, and with it the training

        self._live = Live(
            console=LastingConsole(file=stream, force_terminal=True, highlight=False),
            auto_refresh=False,  # no thread: it would take the interpreter from the training it shows
            transient=True,
            redirect_stdout=sys.stdout.isatty(),  # otherwise `python train.py > results` would lose its results
        )
        try:
            self._live.start()
        except OSError:
            self._close()

    def _close(self) -> None:
        live, self._live = self._live, None
        if live is not None:
            with suppress(OSError):  # the terminal may have gone
                live.stop()

    def _write(self, line: str) -> None:
        # A display that cannot be written, because its pipe was closed, must not end a training of hours.
        with suppress(OSError):
            print(line, file=self._stream, flush=True)

    def _print_above(self, line: str, style: str) -> None:
        if self._live is None:
            return
        try:
            self._live.console.print(line, style=style or None, markup=False, soft_wrap=True)
        except OSError:
            self._close()

    def _draw(self) -> None:
        if self._live is None:
            return
        began = self._now()
        try:
            self._live.update(self._moving_line(self._live.console), refresh=True)
        except OSError:
            self._close()
        ended = self._now()
        self._next_draw = ended + max(DRAW_EVERY_SECONDS, (ended - began) / _SHARE_FOR_DRAWING)

    def _moving_line(self, console: Console) -> Table:
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        left = _position(self._epoch, self._epochs, self._unit) + (f" {self._label}" if self._label else "")
        pieces = [(importance, len(text), text) for importance, text in self._pieces()]
        right = "  ".join(_fitting(pieces, console.width - len(left) - _NARROWEST_BAR - 3))
        bar = ProgressBar(
            total=None if self._batches is None else max(self._batches, 1),
            completed=self._batch,
            width=max(console.width - len(left) - len(right) - 3, 1),
            pulse=self._batches is None,
        )
        line = Table.grid(padding=(0, 1, 0, 0))
        for _ in range(3):
            line.add_column(no_wrap=True)
        line.add_row(left, bar, right)
        return line

    def _pieces(self) -> list[tuple[int, str]]:
        """What stands at the right of the bar, each with its importance: the least important goes first."""
        elapsed = self._now() - self._stage_began
        pieces = [(9, rate(self._examples / elapsed if elapsed > 0 else math.inf))]
        if self._batches is not None:
            pieces.insert(0, (3, f"{self._batch:>{len(str(self._batches))}}/{self._batches}"))
        for position, (name, value) in enumerate(self._numbers().items()):
            pieces.append((8 - min(position, 4), f"{name} {figure(name, value)}"))
        left = self.seconds_left()
        if left is not None:
            pieces.append((10, f"{clock(left)} left"))
        return pieces

    def seconds_left(self) -> float | None:
        """How long the run will go on if every epoch is like the last one; None where nothing can be said yet."""
        after_this = self._epochs - self._epoch
        if self._epoch_seconds > 0:
            return max(self._epoch_seconds - (self._now() - self._epoch_began), 0.0) + after_this * self._epoch_seconds
        if self._batches is None or self._batch == 0 or not self._may_estimate:
            return None
        whole_epoch = (self._now() - self._stage_began) * self._batches / self._batch
        return whole_epoch * (1 - self._batch / self._batches + after_this)


def is_terminal(stream: TextIO) -> bool:
    """Whether lines on this stream can be moved and coloured."""
    return stream.isatty() and os.environ.get("TERM", "").lower() not in ("dumb", "unknown")


def epoch_line(row: Mapping[str, float], epochs: int, best: bool = False) -> str:
    """A finished epoch as one plain line that names every figure, for files and pipes.

    >>> epoch_line({"epoch": 3, "loss": 0.25, "accuracy": 0.9, "lr": 0.01, "seconds": 2.0}, epochs=20)
    'epoch  3/20  loss 0.2500  accuracy 90.00 %  lr 0.01  2.0 s'
    """
    named = [f"{name} {figure(name, value)}" for name, value in row.items() if name == "lr" or name not in BOOKKEEPING]
    speed = [rate(row["examples_per_second"])] if "examples_per_second" in row else []
    seconds = [duration(row["seconds"])] if "seconds" in row else []
    position = _position(int(row.get("epoch", 0)), epochs)
    return "  ".join([position, *named, *speed, *seconds, *(["best"] if best else [])])


def epoch_cells(row: Mapping[str, float], epochs: int, best: bool, width: int) -> list[Cell]:
    """A finished epoch as cells of a table, without what a terminal of `width` cannot hold.

    >>> row = {"epoch": 3, "loss": 0.25, "val_loss": 0.5, "seconds": 2.0}
    >>> for width in (60, 28):
    ...     print([cell.text for cell in epoch_cells(row, epochs=20, best=True, width=width)])
    [' 3/20', '0.2500', '0.5000', '2.0 s', 'best']
    [' 3/20', '0.5000', 'best']
    """
    figures = [name for name in row if name not in BOOKKEEPING]
    figures.sort(key=lambda name: name.startswith(VALIDATION))
    texts = {"epoch": _position(int(row.get("epoch", 0)), epochs).removeprefix("epoch ")}
    texts |= {name: figure(name, row[name]) for name in figures}
    texts |= {"lr": figure("lr", row["lr"])} if "lr" in row else {}
    texts |= {"examples": rate(row["examples_per_second"])} if "examples_per_second" in row else {}
    texts |= {"time": duration(row["seconds"])} if "seconds" in row else {}
    texts["best"] = "best" if best else ""
    cells = [Cell(name, text, _cell_width(name, text)) for name, text in texts.items()]
    return _fitting([(_importance(cell.name), cell.width, cell) for cell in cells], width)


def _position(epoch: int, epochs: int, unit: str = "epoch") -> str:
    return f"{unit} {epoch:>{len(str(epochs))}}/{epochs}"


def _cell_width(name: str, text: str) -> int:
    # At least six, so that the columns stay where they are when later epochs have longer figures.
    return max(len(name), len(text), 0 if name in ("epoch", "best") else 6)


def _importance(name: str) -> int:
    """What is given up first in a narrow terminal has the least: a run is judged by its validation."""
    ranks = {"epoch": 9, "best": 9, "val_loss": 8, "loss": 7, "time": 4, "examples": 3, "lr": 2}
    return ranks.get(name, 6 if name.startswith(VALIDATION) else 5)


def _fitting(pieces: Sequence[tuple[int, int, T]], room: int) -> list[T]:
    """The pieces (importance, width, content) that fit side by side with two spaces between them, in their order."""
    kept = list(pieces)
    while len(kept) > 1 and sum(width + 2 for _, width, _ in kept) - 2 > room:
        # Of equally important ones the last goes first.
        kept.pop(min(range(len(kept)), key=lambda index: (kept[index][0], -index)))
    return [content for _, _, content in kept]


def _aligned(texts: Iterable[str], cells: Sequence[Cell]) -> str:
    return "  ".join(text.rjust(cell.width) for text, cell in zip(texts, cells, strict=True)).rstrip()
