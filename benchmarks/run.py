"""``make bench``: every workload, every contestant, one table.

Progress goes to standard error, the table to standard output. ``--save`` keeps it, with all figures, the machine and
the versions, as Markdown and JSON, and draws the chart.
"""

from __future__ import annotations

import argparse
import compileall
import json
import math
import re
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import machine
from chart import draw
from contest import Rules, contest
from contestants import CONTESTANTS, OURS, OURS_EAGER, taking_part
from summary_table import Row, details, properties, summary
from workloads import WORKLOADS, small

_RESULTS = Path(__file__).parent / "results"


def main() -> int:
    """Parse the command line, run, print; 1 if one of our own entries failed, or anybody did other work."""
    options = _options()
    rules = Rules(options.rounds, options.seconds, options.patience, options.threads, options.small)
    here = {name: CONTESTANTS[name] for name in options.only or CONTESTANTS}
    for contestant in here.values():
        if missing := contestant.missing():
            print(f"{contestant.title}: not here: {missing}", file=sys.stderr)
    here = {name: contestant for name, contestant in here.items() if not contestant.missing()}
    compileall.compile_dir(Path(__file__).parent.parent / "src", quiet=1)  # as it is where a package is installed
    started = time.perf_counter()
    rows = _rows(options.rows or list(WORKLOADS), list(here), rules)
    if not rows:
        return 130
    taken = f"{time.perf_counter() - started:.0f} s"
    about = {**machine.describe(), "threads": str(rules.threads), "rounds": str(rules.rounds), "taken": taken}
    text = "\n".join([summary(rows), "", properties(about), "", properties(machine.versions())])
    print(text)
    if options.save:
        _save(options.save, rows, about, text)
    return int(any(_is_wrong(result) for row in rows for result in row.results))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"by default all of: {', '.join(WORKLOADS)}")
    parser.add_argument("--only", nargs="+", metavar="CONTESTANT", help=f"some of: {', '.join(CONTESTANTS)}")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each contestant (default: 15)")
    parser.add_argument("--seconds", type=float, default=0.05, help="shortest round (default: 0.05)")
    parser.add_argument("--patience", type=float, default=120.0, help="seconds to get ready in (default: 120)")
    parser.add_argument("--threads", type=int, default=machine.cores(), help="of each contestant (default: all cores)")
    parser.add_argument("--small", action="store_true", help="shrunken workloads: only shows whether everything works")
    parser.add_argument("--save", type=Path, nargs="?", const=_RESULTS, metavar="FOLDER", help="default: results/")
    options = parser.parse_args()
    for given, known, kind in ((options.rows, WORKLOADS, "workload"), (options.only or [], CONTESTANTS, "contestant")):
        for name in given:
            if name not in known:
                parser.error(f"no {kind} {name!r}; there are: {', '.join(known)}")
    if options.rounds < 1 or not 1 <= options.threads <= machine.cores():
        parser.error(f"--rounds from 1 on, --threads from 1 to {machine.cores()}")
    return options


def _rows(names: list[str], here: list[str], rules: Rules) -> list[Row]:
    """Measure one workload after the other; Ctrl-C ends that, and what is measured is not lost."""
    rows = []
    try:
        for name in names:
            rows.append(_row(name, here, rules))  # noqa: PERF401 (a comprehension would lose them)
    except KeyboardInterrupt:
        print(f"interrupted after {len(rows)} of {len(names)} rows", file=sys.stderr)
    return rows


def _row(name: str, here: list[str], rules: Rules) -> Row:
    """Measure one workload, and the machine beside it."""
    workload = small(WORKLOADS[name]) if rules.small else WORKLOADS[name]
    names = [contestant for contestant in taking_part(workload) if contestant in here]
    started = time.perf_counter()
    print(f"{workload.title}: {', '.join(names)} …", file=sys.stderr, flush=True)
    limit = _limit(rules.threads)
    results = contest(name, names, rules, limit)
    for result in results:
        if result.failure:
            print(f"  {result.contestant}: {result.failure}", file=sys.stderr)
    print(f"  {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    if limit is None:
        return Row(workload, results)
    limit.close()
    seconds = (limit.seconds(flops, workload.optimizer_bytes) for flops in (workload.flops, workload.fewer_flops))
    return Row(workload, results, *seconds)


def _limit(threads: int) -> Any:
    """What measures the machine; None without llvmlite."""
    try:
        from limit import Limit
    except ImportError:
        return None
    return Limit(threads)


def _is_wrong(result: Any) -> bool:
    return bool(result.failure) and (result.contestant in (OURS, OURS_EAGER) or result.failure.startswith("other work"))


def _save(folder: Path, rows: list[Row], about: dict[str, str], text: str) -> None:
    """Table and figures as Markdown, everything as JSON, and the chart."""
    folder.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"\W+", "-", f"{about['date']} {about['processor']} {about['threads']} threads").strip("-")
    title = f"# {about['date']}, {about['processor']}, {about['threads']} threads"
    head = f"One run of `make bench`.\n\n![ratios]({name}.svg)"
    page = "\n\n".join([title, head, text, "## All figures", details(rows)])
    (folder / f"{name}.md").write_text(page + "\n")
    record = {
        "about": about,
        "versions": machine.versions(),
        "rows": [
            {
                "workload": row.workload.name,
                "unit": row.workload.units[1],
                "flops": row.workload.flops,
                "fewer_flops": row.workload.fewer_flops,
                "optimizer_bytes": row.workload.optimizer_bytes,
                "limit_seconds": row.limit,
                "limit_seconds_of_fewer": row.fewer,
                "results": [asdict(result) for result in row.results],
            }
            for row in rows
        ],
    }
    (folder / f"{name}.json").write_text(json.dumps(_plain(record), indent=1, allow_nan=False) + "\n")
    (folder / f"{name}.svg").write_text(draw(rows, properties(about)))


def _plain(value: Any) -> Any:
    """What JSON can say: None for numbers that are none."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


if __name__ == "__main__":
    sys.exit(main())
