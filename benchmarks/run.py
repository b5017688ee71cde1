"""``make bench``: every workload, every contestant, one table.

Progress goes to standard error, the table to standard output; ``--save`` keeps it, with the machine's name.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import sys
from datetime import date
from pathlib import Path

from contest import ContestError, Result, contest
from workloads import WORKLOADS

_OURS = "clearprop_eager"
_PEERS = {"torch_eager": "torch"}  # contestant and the package that it needs


def main() -> int:
    """Parse the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", help=f"which ones; by default all of: {', '.join(WORKLOADS)}")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each contestant (default: 15)")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write the table to a file too (Markdown)")
    options = parser.parse_args()
    unknown = [name for name in options.workloads if name not in WORKLOADS]
    if unknown:
        parser.error(f"no workload {unknown[0]!r}; there are: {', '.join(WORKLOADS)}")
    peers = [peer for peer, package in _PEERS.items() if importlib.util.find_spec(package)]
    table = [_HEAD, _RULE]
    for name in options.workloads or WORKLOADS:
        print(f"{name} …", file=sys.stderr, flush=True)
        try:
            results = contest(name, [_OURS, *peers], options.rounds)
        except ContestError as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 1
        table.append(_row(name, results))
    text = "\n".join([*table, "", _machine()])
    print(text)
    if options.save:
        options.save.write_text(text + "\n")
    return 0


_HEAD = "| workload | clearprop | best peer | ratio | to first step | peak memory |"
_RULE = "|---|---|---|---|---|---|"


def _row(name: str, results: list[Result]) -> str:
    ours, *peers = results
    count = WORKLOADS[name].layers if WORKLOADS[name].per_layer else 1
    unit = "/layer" if count > 1 else ""
    cells = [name, f"{ours.seconds / count * 1e6:.1f} µs{unit}"]
    if not peers:
        return "| " + " | ".join([*cells, "none installed", "", f"{ours.first_step:.2f} s", _size(ours)]) + " |"
    best = min(peers, key=lambda result: result.seconds)
    cells += [
        f"{best.contestant.replace('_', ' ')} {best.seconds / count * 1e6:.1f} µs{unit}",
        f"{best.seconds / ours.seconds:.2f}",
        f"{ours.first_step:.2f} s ({best.first_step:.2f} s)",
        f"{_size(ours)} ({_size(best)})",
    ]
    return "| " + " | ".join(cells) + " |"


def _size(result: Result) -> str:
    return f"{result.peak_bytes / 2**20:.0f} MB"


def _machine() -> str:
    cpu = next(
        (line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor(),
    )
    cores = len(os.sched_getaffinity(0))
    return f"{date.today()}, {cpu}, {cores} cores, {platform.system()}, Python {platform.python_version()}"


def _lines(path: str) -> list[str]:
    file = Path(path)
    return file.read_text().splitlines() if file.exists() else []


if __name__ == "__main__":
    sys.exit(main())
