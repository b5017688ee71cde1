"""``make examples``: run the examples one after the other, and compare what was reached with what was asked.

Each leaves a log. A run that was interrupted goes on where it was; a finished one is not repeated unless its folder is
removed. One or several by name: ``python examples/all.py gpt ntm``. Results go to standard output, the rest to logs.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import clearprop
from clearprop.train import History

HERE = Path(__file__).parent
LOGS = HERE / "logs"
_YES, _NO = "yes", "no"


@dataclass(frozen=True)
class Goal:
    """A figure that a run must reach.

    Args:
        run: the folder of the run, below that of the example; empty for the folder itself.
        figure: its name in the test of the run.
        least, most: what it must be, at least or at most.
        beats: another run of the example, which must not have more.
        minutes: in which time, if that is asked.
    """

    run: str
    figure: str
    least: float | None = None
    most: float | None = None
    minutes: float | None = None
    beats: str = ""

    @property
    def asked(self) -> str:
        """In words."""
        limit = f"≤ {self.most:g}" if self.most is not None else f"≥ {self.beats or self.least}"
        return f"{self.figure} {limit}" + (f" in {self.minutes:g} min" if self.minutes else "")

    def reached(self, folder: Path) -> tuple[bool, str]:
        """Whether a run has reached it, and what it has."""
        value, seconds = self._figure(folder / self.run)
        least = self._figure(folder / self.beats)[0] if self.beats else self.least
        enough = (least is None or value >= least) and (self.most is None or value <= self.most)
        text = f"{value:.4g}" + (f" against {least:.4g}" if self.beats else "") + f" in {seconds / 60:.1f} min"
        return enough and (self.minutes is None or seconds <= 60 * self.minutes), text

    def _figure(self, run: Path) -> tuple[float, float]:
        """What a run has, and how long it took, in seconds."""
        history = History.read(run / "history.jsonl")
        assert history.evaluation is not None
        return history.evaluation.metrics[self.figure], history.seconds


@dataclass(frozen=True)
class Example:
    """A script of this folder and what must come of it.

    Args:
        name: of the script, and of its log.
        goals: what must be reached.
    """

    name: str
    goals: Sequence[Goal]


EXAMPLES = (
    Example("mlp", [Goal("", "accuracy", least=0.984)]),
    Example("lenet_1989", [Goal("1989", "accuracy", least=0.95), Goal("dropout", "accuracy", least=0.97)]),
    Example("linear", [Goal("softmax", "accuracy", least=0.915)]),
    Example("mnist_cnn", [Goal("", "accuracy", least=0.993)]),
    Example("cifar_cnn", [Goal("", "accuracy", least=0.80, minutes=10)]),
    Example("resnet", [Goal("", "accuracy", least=0.85)]),
    Example("plain_or_residual", []),
    Example("char_rnn", [Goal(cell, "loss", most=1.65) for cell in ("lstm", "gru")]),
    Example("gpt", [Goal("", "loss", most=1.65, minutes=15)]),
    Example("word2vec", [Goal(kind, "top-5 analogy accuracy", least=0.2) for kind in ("skip-gram", "cbow")]),
    Example("sequences", [Goal("classify-attention", "far_accuracy", beats="classify-lstm")]),
    Example("seq2seq", [Goal(task, "greedy_accuracy", least=0.99) for task in ("reverse", "add")]),
    Example("ntm", [Goal("", "wrong_bits_at_40", most=1)]),
    Example("bert", [Goal("pretrained", "accuracy", beats="new")]),
)


def main() -> int:
    """Run the examples that are named; 1 if one of them fails or does not reach what it must."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = {one.name: one for one in EXAMPLES}
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"by default all of: {', '.join(known)}")
    parser.add_argument(
        "--output", type=Path, default=Path("runs/examples"), metavar="FOLDER", help="(default: %(default)s)"
    )
    options = parser.parse_args()
    for name in options.names:
        if name not in known:
            parser.error(f"no example {name!r}; there are: {', '.join(known)}")
    rows = [row for name in options.names or known for row in _rows(known[name], options.output / name)]
    print(_table([("example", "run", "asked", "reached", ""), *rows]))
    return 0 if all(row[-1] == _YES for row in rows) else 1


def _rows(example: Example, folder: Path) -> list[tuple[str, ...]]:
    """Run an example: for each goal a row of the table."""
    print(f"{example.name} …", file=sys.stderr, flush=True)
    began = time.perf_counter()
    code = _run(example.name, folder)
    print(f"  {(time.perf_counter() - began) / 60:.1f} min", file=sys.stderr, flush=True)
    if code:
        return [(example.name, "", "", f"exit code {code}, see {LOGS / example.name}.txt", _NO)]
    reached = [(goal, *goal.reached(folder)) for goal in example.goals]
    return [(example.name, goal.run, goal.asked, text, _YES if enough else _NO) for goal, enough, text in reached]


def _run(name: str, folder: Path) -> int:
    """Run a script; what it prints goes into its log."""
    command = [sys.executable, str(HERE / f"{name}.py"), "--output", str(folder)]
    LOGS.mkdir(exist_ok=True)
    with (LOGS / f"{name}.txt").open("a" if folder.exists() else "w", encoding="utf-8") as log:
        log.write(f"$ python examples/{name}.py --output {folder}\n{_machine()}\n\n")
        log.flush()
        return subprocess.run(
            command, stdout=log, stderr=subprocess.STDOUT, env=os.environ | {"NO_COLOR": "1"}
        ).returncode


def _machine() -> str:
    threads = os.environ.get("CLEARPROP_THREADS", os.cpu_count())
    return (
        f"{date.today()}, clearprop {clearprop.__version__}, Python {platform.python_version()}, "
        f"{platform.machine()}, {threads} threads"
    )


def _table(rows: Sequence[Sequence[str]]) -> str:
    """As Markdown."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


if __name__ == "__main__":
    sys.exit(main())
