"""Contestants side by side: they take turns, and the median of their rounds counts."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from select import select
from statistics import median
from typing import TYPE_CHECKING, Any

from contestants import CONTESTANTS

if TYPE_CHECKING:
    from limit import Limit

_FOLDER = Path(__file__).parent
_LOSS_TOLERANCE = 2e-4  # relative; float32 in another order of summation
_FAR_BEHIND = 4.0  # times as slow as the fastest: then a few rounds are enough
_FEW_ROUNDS = 3
_PAUSE = 0.15  # seconds, in which threads of the last one that still spin come to rest: those of OpenBLAS take 30 ms
_WARM_UP = 0.1
"""Seconds of each turn, at least a step, that are not timed: a processor that was idle, and caches that others have
filled, make the first 40 ms up to twice as slow."""


class ContestError(Exception):
    """A contestant failed, or did other work than the rest."""


@dataclass(frozen=True)
class Rules:
    """How long to measure.

    Attributes:
        rounds: turns of each contestant.
        seconds: at least, for a round.
        patience: seconds in which a contestant must be ready.
        threads: of each contestant.
        small: whether to shrink the workloads, to see only whether everything works.
    """

    rounds: int = 15
    seconds: float = 0.05
    patience: float = 120.0
    threads: int = 1
    small: bool = False


class Worker:
    """A contestant at work on one workload, in its own process."""

    def __init__(self, contestant: str, workload: str, rules: Rules) -> None:
        self.contestant = contestant
        self._folder = tempfile.TemporaryDirectory(prefix="clearprop-bench-")
        self._errors = Path(self._folder.name, "errors")
        arguments = [contestant, workload, str(rules.threads), *(["--small"] if rules.small else [])]
        with self._errors.open("w") as errors:
            self._process = subprocess.Popen(
                [sys.executable, str(_FOLDER / "worker.py"), *arguments],
                env=_environment(contestant, rules.threads, self._folder.name),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        assert self._process.stdout is not None
        if not select([self._process.stdout], [], [], rules.patience)[0]:
            self.kill()
            raise ContestError(f"not ready after {rules.patience:g} s")
        self.ready: dict[str, Any] = json.loads(self._answer())

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            reason = self._errors.read_text(errors="replace").strip()[-1500:]
            self.kill()
            raise ContestError(f"stopped: {reason}")
        return line

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def run(self, steps: int, untimed: int = 0) -> float:
        """Seconds for so many steps, behind others that are not timed."""
        self._tell(f"{untimed} {steps}")
        return float(self._answer())

    def stop(self) -> int:
        """End the process; its peak memory in bytes."""
        self._tell("")
        peak = int(self._answer())
        self.kill()
        return peak

    def kill(self) -> None:
        """End the process if it has not ended, and take its files away."""
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()


@dataclass
class Result:
    """What one contestant reached on one workload.

    Attributes:
        failure: why there are no figures.
        rounds: seconds for a unit of work, such as a step.
        first_step: seconds until the first step was done, from the start of the process on.
        compile: seconds that the first steps took beyond what the last of them took: some compile in the second too.
        losses: of the first steps.
    """

    contestant: str
    failure: str = ""
    rounds: list[float] = field(default_factory=list)
    first_step: float = math.nan
    compile: float = math.nan
    peak_bytes: int = 0
    losses: list[float] = field(default_factory=list)

    @property
    def reason(self) -> str:
        """The failure in a line."""
        return self.failure.splitlines()[-1] if self.failure else ""

    @property
    def seconds(self) -> float:
        """Seconds for a unit: the median of the rounds."""
        return median(self.rounds) if self.rounds else math.inf


def contest(workload: str, names: Sequence[str], rules: Rules, limit: Limit | None) -> list[Result]:
    """Let contestants take turns on a workload; who fails has a `Result` that says why."""
    results = [Result(name) for name in names]
    workers: dict[str, Worker] = {}
    try:
        for result in results:
            _start(result, workload, rules, workers)
        compare_losses(results)
        steps = {name: _steps_for_a_round(worker, rules.seconds) for name, worker in workers.items()}
        for turn in range(rules.rounds):
            for result in still_in(results, turn):
                time.sleep(_PAUSE)
                _take_turn(result, workers[result.contestant], *steps[result.contestant])
            if limit is not None:
                time.sleep(_PAUSE)
                limit.measure(_WARM_UP)
        for result in results:
            if not result.failure:
                result.peak_bytes = workers.pop(result.contestant).stop()
    finally:
        for worker in workers.values():
            worker.kill()
    return results


def _start(result: Result, workload: str, rules: Rules, workers: dict[str, Worker]) -> None:
    try:
        worker = workers[result.contestant] = Worker(result.contestant, workload, rules)
    except ContestError as error:
        result.failure = str(error)
        return
    ready = worker.ready
    steps = ready["steps"]
    result.first_step = ready["import"] + ready["build"] + steps[0]
    result.compile = max(sum(steps) - len(steps) * steps[-1], 0.0)
    result.losses = ready["losses"]


def _take_turn(result: Result, worker: Worker, steps: int, untimed: int) -> None:
    try:
        result.rounds.append(worker.run(steps, untimed) / (steps * worker.ready["units"]))
    except ContestError as error:
        result.failure = str(error)


def compare_losses(results: list[Result]) -> None:
    """Name in each result whose losses are not those of most; a NaN is a loss that cannot be compared."""
    known = [result for result in results if result.losses and not math.isnan(result.losses[0])]
    if not known:
        return
    usual = [median(losses) for losses in zip(*(result.losses for result in known), strict=True)]
    for result in known:
        for step, (own, expected) in enumerate(zip(result.losses, usual, strict=True)):
            if not abs(own - expected) <= _LOSS_TOLERANCE * abs(expected):
                result.failure = f"other work: in step {step} its loss is {own:.6g}, and {expected:.6g} is usual"
                break


def still_in(results: list[Result], turn: int) -> list[Result]:
    """Who has another turn: all without a failure, and after a few rounds all who are not far behind."""
    running = [result for result in results if not result.failure]
    if turn < _FEW_ROUNDS:
        return running
    fastest = min((result.seconds for result in running), default=0.0)
    return [result for result in running if result.seconds <= _FAR_BEHIND * fastest]


def _steps_for_a_round(worker: Worker, seconds: float) -> tuple[int, int]:
    """So many that a round is long enough, and so many to warm up before it."""
    steps = max(1, int(seconds / worker.ready["steps"][-1]))
    while (taken := worker.run(steps)) < seconds:
        steps = max(steps + 1, int(1.2 * steps * min(seconds / max(taken, 1e-9), 100.0)))
    return steps, math.ceil(_WARM_UP / taken * steps)


def _environment(contestant: str, threads: int, folder: str) -> dict[str, str]:
    """As many threads for all, and caches that are empty, but for Python's own: packages are installed with theirs."""
    threaded = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "CLEARPROP_THREADS")
    return {
        **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
        **dict.fromkeys(threaded, str(threads)),
        "XDG_CACHE_HOME": folder,
        "CLEARPROP_CACHE": folder,
        "TORCHINDUCTOR_CACHE_DIR": folder,
        "TMPDIR": folder,
        **CONTESTANTS[contestant].environment(),
    }
