"""Results as Markdown: one row for each workload, and the figures of each contestant for those who want them all."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from contest import Result
from contestants import CONTESTANTS, OURS, OURS_EAGER, ours
from workloads.base import Workload

_LAST = ("ratio to the best peer", "of the limit", "peak memory", "first step after", "compilation")


@dataclass(frozen=True)
class Row:
    """A workload, and what the contestants reached.

    Attributes:
        limit: the seconds that the machine needs at least for what the layers define; NaN if not known.
        fewer: the same for what our algorithms leave of that.
    """

    workload: Workload
    results: list[Result]
    limit: float = math.nan
    fewer: float = math.nan

    def of(self, contestant: str) -> Result | None:
        """The result of one, if it has figures."""
        return next((r for r in self.results if r.contestant == contestant and r.rounds and not r.failure), None)

    @property
    def ours(self) -> Result | None:
        """Our result."""
        return self.of(ours(self.workload))

    @property
    def best_peer(self) -> Result | None:
        """The fastest of the others."""
        found = [r for name in CONTESTANTS if name not in (OURS, OURS_EAGER) and (r := self.of(name))]
        return min(found, key=lambda result: result.seconds, default=None)

    @property
    def ratio(self) -> float:
        """The best peer's time divided by ours."""
        return self.best_peer.seconds / self.ours.seconds if self.best_peer and self.ours else math.nan

    def of_limit(self, seconds: float) -> float:
        """The least time that there can be divided by ours."""
        return seconds / (self.ours.seconds * self.workload.units[0]) if self.ours else math.nan


def summary(rows: Sequence[Row]) -> str:
    """One row for each workload."""
    names = [name for name in CONTESTANTS if any(r.contestant == name for row in rows for r in row.results)]
    lines = [["workload", *(CONTESTANTS[name].title for name in names), *_LAST]]
    lines += [[row.workload.title, *(_time(row, name) for name in names), *_comparison(row)] for row in rows]
    return "\n".join([*_markdown(lines), "", *_legend(rows, names)])


def details(rows: Sequence[Row]) -> str:
    """One row for each contestant of each workload."""
    lines = [["workload", "contestant", "median", "least", "most", "rounds", "first step", "compilation", "memory"]]
    for row in rows:
        for result in row.results:
            if not result.rounds:
                continue
            figures = [result.seconds, min(result.rounds), max(result.rounds)]
            lines.append(
                [
                    row.workload.title,
                    CONTESTANTS[result.contestant].title,
                    *(_pace(figure, row.workload) for figure in figures),
                    str(len(result.rounds)),
                    _seconds(result.first_step),
                    _seconds(result.compile),
                    _size(result.peak_bytes),
                ]
            )
    return "\n".join(_markdown(lines))


def _time(row: Row, name: str) -> str:
    result = next((result for result in row.results if result.contestant == name), None)
    if result is None:
        return ""
    if result.failure:
        return "failed"
    few = len(result.rounds) < max(len(other.rounds) for other in row.results)
    return _pace(result.seconds, row.workload) + ("\\*" if few else "")


def _comparison(row: Row) -> list[str]:
    own = row.ours
    if own is None:
        return [""] * len(_LAST)
    torch, compiled = row.of("torch"), row.of("torch-compile")
    return [
        "" if math.isnan(row.ratio) else f"{row.ratio:.2f}",
        "" if math.isnan(row.limit) else _beside(*_of_limits(row)),
        _beside(_size(own.peak_bytes), _size(torch.peak_bytes) if torch else ""),
        _beside(_seconds(own.first_step), _seconds(torch.first_step) if torch else ""),
        _beside(_seconds(own.compile), _seconds(compiled.compile) if compiled else ""),
    ]


def _of_limits(row: Row) -> tuple[str, str]:
    """In per cent of both limits, or of one if they are the same."""
    of_limit, of_fewer = (f"{100 * row.of_limit(seconds):.0f} %" for seconds in (row.limit, row.fewer))
    return of_limit, of_fewer if row.fewer != row.limit else ""


def _beside(own: str, other: str) -> str:
    return f"{own} ({other})" if other else own


def _legend(rows: Sequence[Row], names: Sequence[str]) -> Iterable[str]:
    yield (
        "- The ratio is the best peer's time divided by ours. In parentheses: PyTorch's memory and first step, "
        "torch.compile's compilation."
    )
    if any(row.fewer != row.limit for row in rows if not math.isnan(row.limit)):
        yield "- In parentheses beside the limit: of that for the multiplications that our algorithms leave."
    if any("\\*" in _time(row, result.contestant) for row in rows for result in row.results):
        yield "- \\* So far behind that a few rounds were enough."
    for row in rows:
        for name in names:
            who = f"- {row.workload.title}: {CONTESTANTS[name].title}"
            failure = next((result.reason for result in row.results if result.contestant == name), "")
            if name in row.workload.absent:
                yield f"{who} is absent: {row.workload.absent[name]}."
            elif failure:
                yield f"{who} failed: {failure}."


def _pace(seconds: float, workload: Workload) -> str:
    """Seconds for a unit of work, as people say it."""
    unit = workload.units[1]
    if unit == "word":
        return f"{1 / seconds:,.0f} words/s"
    factor, name = next((f, n) for f, n in ((1.0, "s"), (1e3, "ms"), (1e6, "µs")) if seconds * f >= 1 or n == "µs")
    text = f"{_three_digits(seconds * factor)} {name}"
    return text if unit == "step" else f"{text}/{unit}"


def _three_digits(value: float) -> str:
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"


def _size(count: int) -> str:
    return f"{count / 2**20:.0f} MB"


def properties(of: Mapping[str, str]) -> str:
    """Names and values in a line."""
    return ", ".join(f"{name} {value}" for name, value in of.items())


def _markdown(lines: Sequence[Sequence[str]]) -> list[str]:
    head, *body = ("| " + " | ".join(cells) + " |" for cells in lines)
    return [head, "|" + "---|" * len(lines[0]), *body]
