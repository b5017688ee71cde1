"""The process of one contestant on one workload.

It gets ready (import, build, first step), says so with one line of JSON, and then obeys: two numbers on standard input
mean so many steps of training that are not timed and so many that are, answered by the seconds of these; an empty line
or the end of the input means to stop, answered by the peak memory of the process. Whatever a library prints goes to
standard error.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

_LOSSES_COMPARED = 3


def main() -> None:
    """Run as ``python worker.py CONTESTANT WORKLOAD THREADS [--small]``."""
    started = time.perf_counter()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    from importlib import import_module

    contestant, workload, threads, *rest = sys.argv[1:]
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(threads)])

    from contestants import CONTESTANTS
    from workloads import WORKLOADS, small

    entry, task = CONTESTANTS[contestant], WORKLOADS[workload]
    task = small(task) if rest == ["--small"] else task
    __import__(entry.package)
    imported = time.perf_counter()
    step = import_module(f"contestants.{entry.library}").make_step(task, entry.variant)
    built = time.perf_counter()
    losses, seconds = [], []
    for _ in range(_LOSSES_COMPARED):
        begun = time.perf_counter()
        losses.append(float(step()))
        seconds.append(time.perf_counter() - begun)
    ready = {
        "import": imported - started,
        "build": built - imported,
        "steps": seconds,
        "losses": losses,
        "units": getattr(step, "units", task.units[0]),
    }
    print(json.dumps(ready), file=answers, flush=True)
    for line in sys.stdin:
        if not line.strip():
            break
        untimed, timed = map(int, line.split())
        if untimed:
            _timed(step, untimed)
        print(_timed(step, timed), file=answers, flush=True)
    print(_peak_bytes(), file=answers, flush=True)


def _timed(step: Any, steps: int) -> float:
    start = time.perf_counter()
    for _ in range(steps - 1):
        step()
    float(step())  # waits for the last
    return time.perf_counter() - start


def _peak_bytes() -> int:
    """Of this program alone: ``ru_maxrss`` would begin with that of the process that started it."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()
