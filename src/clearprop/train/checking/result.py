"""What a check has found: a list of findings, in words with numbers."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

Status = Literal["passed", "warning", "failed", "skipped"]

MARKS: dict[Status, str] = {"passed": "✓", "warning": "!", "failed": "✗", "skipped": "–"}


@dataclass(frozen=True)
class Finding:
    """What came out of one check.

    Args:
        name: what was looked at, in a word or two.
        status: "passed"; "warning", of what may be meant so; "failed"; "skipped", of what cannot be looked at here.
        text: what was found, with numbers.
        hint: one thing to try; empty if it passed.

    >>> Finding("labels", "failed", "4 of 32 labels are no classes", "labels from 0 to 9").status
    'failed'
    """

    name: str
    status: Status
    text: str
    hint: str = ""


@dataclass(frozen=True)
class Check:
    """The result of `check`; print it to read it.

    Attributes:
        findings: in the order in which things were looked at.

    >>> data, labels = Finding("data", "passed", "finite"), Finding("labels", "failed", "4 of 3 classes", "count again")
    >>> print(Check([data, labels]))
    ✓ data    finite
    ✗ labels  4 of 3 classes
              Try: count again
    1 failed, 1 passed
    """

    findings: Sequence[Finding]

    @property
    def ok(self) -> bool:
        """Whether nothing failed; there may be warnings."""
        return not self.of("failed")

    def of(self, status: Status) -> list[Finding]:
        """The findings of one kind."""
        return [finding for finding in self.findings if finding.status == status]

    def __getitem__(self, name: str) -> Finding:
        """The finding of that name; KeyError if there is none."""
        found = next((finding for finding in self.findings if finding.name == name), None)
        if found is None:
            raise KeyError(f"{name}: there are {', '.join(finding.name for finding in self.findings)}")
        return found

    @property
    def summary(self) -> str:
        """How many findings there are of each kind."""
        order: tuple[Status, ...] = ("failed", "warning", "passed", "skipped")
        counts = {status: len(self.of(status)) for status in order}
        words = {"warning": "warnings" if counts["warning"] != 1 else "warning"}
        return ", ".join(f"{count} {words.get(status, status)}" for status, count in counts.items() if count)

    def lines(self, width: int = 100) -> Iterator[tuple[Status, str]]:
        """The lines of the printed list, each with the status of its finding."""
        names = max((len(finding.name) for finding in self.findings), default=0)
        for finding in self.findings:
            first = f"{MARKS[finding.status]} {finding.name:<{names}}  "
            rest = " " * len(first)
            yield from ((finding.status, line) for line in textwrap.wrap(finding.text, width, initial_indent=first,
                                                                         subsequent_indent=rest))  # fmt: skip
            if finding.hint:
                yield from ((finding.status, line) for line in textwrap.wrap(f"Try: {finding.hint}", width,
                                                                             initial_indent=rest,
                                                                             subsequent_indent=rest))  # fmt: skip

    def __str__(self) -> str:
        return "\n".join([*(line for _, line in self.lines()), self.summary])

    def __repr__(self) -> str:
        return f"<Check: {self.summary}>"

    def _repr_html_(self) -> str:
        left = "style='text-align:left'"
        rows = "".join(
            f"<tr><td {left}>{MARKS[one.status]} {one.status}</td><th scope='row' {left}>{escape(one.name)}</th>"
            f"<td {left}>{escape(one.text)}{f'<br>Try: {escape(one.hint)}' if one.hint else ''}</td></tr>"
            for one in self.findings
        )
        return f"<table><caption>{escape(self.summary)}</caption><tbody>{rows}</tbody></table>"


def number(value: float) -> str:
    """A figure in a sentence: three digits.

    >>> number(2.302585), number(1234567.0), number(1.5e-9)
    ('2.3', '1.23e+06', '1.5e-09')
    """
    return f"{value:.3g}"
