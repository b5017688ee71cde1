"""Contestants side by side: they take turns, and the median of their rounds counts."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

_FOLDER = Path(__file__).parent
_SHORTEST_ROUND = 0.05  # seconds; shorter ones are not timed well
_LOSS_TOLERANCE = 2e-3  # relative; float32 in another order of summation


class ContestError(Exception):
    """A contestant failed, or did other work than the rest."""


class Worker:
    """A contestant at work on one workload, in its own process."""

    def __init__(self, contestant: str, workload: str) -> None:
        self.contestant = contestant
        command = [sys.executable, str(_FOLDER / "worker.py"), contestant, workload]
        self._process = subprocess.Popen(
            command, cwd=_FOLDER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        ready = json.loads(self._answer())
        self.first_step: float = ready["first_step"]
        self.losses: list[float] = ready["losses"]

    def _answer(self) -> str:
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        line = self._process.stdout.readline()
        if not line:
            raise ContestError(f"{self.contestant} stopped:\n{self._process.stderr.read()[-2000:]}")
        return line

    def run(self, steps: int) -> float:
        """Seconds for so many steps."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{steps}\n")
        self._process.stdin.flush()
        return float(self._answer())

    def stop(self) -> int:
        """End the process; its peak memory in bytes."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        peak = int(self._answer())
        self._process.wait()
        return peak


@dataclass
class Result:
    """What one contestant reached on one workload."""

    contestant: str
    rounds: list[float] = field(default_factory=list)  # seconds per step
    first_step: float = 0.0
    peak_bytes: int = 0

    @property
    def seconds(self) -> float:
        """Seconds per step: the median of the rounds."""
        return median(self.rounds)


def contest(workload: str, contestants: list[str], rounds: int) -> list[Result]:
    """Let contestants take turns on a workload.

    Raises:
        ContestError: if one fails, or their losses part.
    """
    workers = [Worker(contestant, workload) for contestant in contestants]
    _compare_losses(workers)
    steps = [_steps_for_a_round(worker) for worker in workers]
    results = [Result(worker.contestant, first_step=worker.first_step) for worker in workers]
    for _ in range(rounds):
        for worker, count, result in zip(workers, steps, results, strict=True):
            result.rounds.append(worker.run(count) / count)
    for worker, result in zip(workers, results, strict=True):
        result.peak_bytes = worker.stop()
    return results


def _compare_losses(workers: list[Worker]) -> None:
    first = workers[0]
    for other in workers[1:]:
        for step, (a, b) in enumerate(zip(first.losses, other.losses, strict=True)):
            if abs(a - b) > _LOSS_TOLERANCE * max(abs(a), abs(b)):
                raise ContestError(f"step {step}: {first.contestant} has loss {a}, {other.contestant} {b}")


def _steps_for_a_round(worker: Worker) -> int:
    steps = 1
    while (taken := worker.run(steps)) < _SHORTEST_ROUND:
        steps = max(2 * steps, int(1.2 * steps * _SHORTEST_ROUND / max(taken, 1e-9)))
    return steps
