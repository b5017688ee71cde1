"""The process of one contestant on one workload.

It gets ready (import, build, first step), says so with one line of JSON, and then obeys: a number on standard input
means so many steps of training, answered by the seconds they took; an empty line or the end of the input means to stop,
answered by the peak memory of the process.
"""

from __future__ import annotations

import json
import resource
import sys
import time

_LOSSES_COMPARED = 5


def main() -> None:
    """Run as ``python worker.py CONTESTANT WORKLOAD``."""
    started = time.perf_counter()
    from importlib import import_module

    from workloads import WORKLOADS

    contestant, workload = sys.argv[1:]
    step = import_module(f"contestants.{contestant}").make_step(WORKLOADS[workload])
    losses = [float(step())]
    ready = time.perf_counter() - started
    losses += [float(step()) for _ in range(_LOSSES_COMPARED - 1)]
    print(json.dumps({"first_step": ready, "losses": losses}), flush=True)
    for line in sys.stdin:
        if not line.strip():
            break
        steps = int(line)
        start = time.perf_counter()
        for _ in range(steps):
            step()
        print(time.perf_counter() - start, flush=True)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, flush=True)


if __name__ == "__main__":
    main()
