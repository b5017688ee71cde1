"""How many threads work on one step."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from clearprop.errors import UsageError

_MOST = 256


@cache
def thread_count() -> int:
    """How many threads there are, this one included.

    ``CLEARPROP_THREADS``; else one for each core that the process may use, as affinity and the limits of a container
    say. Two threads of one core share its arithmetic units, so that the second one would only be in the way.

    Raises:
        UsageError: if ``CLEARPROP_THREADS`` is no whole number from 1 on.
    """
    chosen = os.environ.get("CLEARPROP_THREADS")
    if not chosen:
        return max(1, min(_cores(), _quota(), _MOST))
    if not chosen.isdigit() or not 1 <= int(chosen) <= _MOST:
        raise UsageError(f"CLEARPROP_THREADS={chosen!r}", hint=f"a whole number from 1 to {_MOST}, such as 4")
    return int(chosen)


def _cores() -> int:
    """Cores, each counted once, that this process may run on."""
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    allowed = os.sched_getaffinity(0)
    siblings = (Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/core_cpus_list") for cpu in allowed)
    return len({path.read_text() if path.exists() else path for path in siblings})


def _quota() -> int:
    """Processors' worth of time that a container may use, rounded up; very many if nothing is said."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return -(-int(quota) // int(period))
    except (OSError, ValueError):  # no such file, or "max"
        return _MOST
