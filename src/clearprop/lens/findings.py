"""What is wrong with the gradients of a whole run: ``why`` asked of every parameter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from clearprop.lens.answers import Answer
from clearprop.lens.births import Birth, birth_of_nan
from clearprop.lens.causes import Cause, known_parameters, why
from clearprop.lens.figures import number
from clearprop.lens.layout import DIM, HEADING, NAME, Line, Span, wrapped
from clearprop.lens.tape import Tape

_NAMED = 6


class Findings(Answer):
    """The causes of all gradients of a run.

    Attributes:
        causes: one for each parameter.
        birth: where the first NaN comes from.
    """

    title = "Gradients of the run"

    def __init__(self, causes: Sequence[Cause], birth: Birth) -> None:
        self.causes, self.birth = list(causes), birth

    @property
    def is_healthy(self) -> bool:
        """Whether nothing is wrong with any of them; that some are frozen is taken to be meant."""
        return not self.birth and all(cause.is_healthy or cause.kind == "frozen" for cause in self.causes)

    def groups(self) -> list[list[Cause]]:
        """The causes that are not healthy, those of one place together; the most parameters first.

        Those that `birth` tells are left out.
        """
        found: dict[Any, list[Cause]] = {}
        for cause in self.causes:
            is_told = cause.kind == "nan" and cause.row is not None and cause.row is self.birth.row
            if not cause.is_healthy and not is_told:
                is_of_all = cause.kind in ("growing", "frozen")
                place = cause.row.node if cause.row is not None and cause.where else cause.label
                found.setdefault((cause.kind, "" if is_of_all else place), []).append(cause)
        return sorted(found.values(), key=len, reverse=True)

    def lines(self, width: int = 80) -> list[Line]:
        """What is wrong, in styled lines that fit the width; one line if nothing is."""
        groups = self.groups()
        lines: list[Line] = []
        if self.birth:
            lines += [[Span("The first bad number", HEADING)], *_indented(self.birth.lines(width - 2))]
        for group in groups:
            lines += [[]] if lines else []
            first, *others = group[0].lines(width)
            if len(group) > 1:
                kind = "".join(span.text for span in first).rpartition(": ")[2]
                names = ", ".join(cause.label for cause in group[:_NAMED])
                more = f" and {len(group) - _NAMED:,} more" if len(group) > _NAMED else ""
                lines += wrapped([Span(f"{names}{more}: {kind}", HEADING)], width)
            else:
                lines.append(first)
            lines += others
        lines += [[]] if lines else []
        return [*lines, *wrapped(self._summary(), width)]

    def _summary(self) -> Line:
        healthy = [cause for cause in self.causes if cause.is_healthy]
        count = len(self.causes)
        if not count:
            return [Span("no parameter was seen", DIM)]
        if len(healthy) < count:
            return [Span(f"{len(healthy):,} of {count:,} parameters get a gradient with which nothing is wrong", DIM)]
        norms = sorted((cause.numbers["norm"], cause.label) for cause in healthy if cause.kind == "healthy")
        line = [Span("nothing wrong", HEADING), Span(f" with the gradients of {_counted(count)}")]
        if norms:
            (low, least), (high, most) = norms[0], norms[-1]
            line.append(Span(f": their norms are from {number(low)} ({least}) to {number(high)} ({most})", NAME))
        return line

    def as_dict(self) -> dict[str, Any]:
        """The same for machines: strings, numbers, lists and dicts."""
        return {
            "healthy": self.is_healthy,
            "birth_of_nan": self.birth.as_dict(),
            "parameters": [cause.as_dict() for cause in self.causes],
        }

    def __repr__(self) -> str:
        return f"<Findings on {_counted(len(self.causes))}>"


def _counted(count: int) -> str:
    return f"{count:,} parameter{'' if count == 1 else 's'}"


def _indented(lines: Iterable[Line]) -> list[Line]:
    return [[Span("  "), *line] for line in lines]


def findings(tape: Tape, names: Sequence[str] = ()) -> Findings:
    """Ask `Tape.why` of all parameters that the tape has seen, or of those of some names.

    Raises:
        UsageError: if the tape has nothing of one of these names.

    >>> import clearprop as cp
    >>> model = cp.nn.Linear(2, 1)
    >>> with cp.record() as tape:
    ...     cp.sum(model(cp.ones((3, 2)))).backward()
    >>> findings(tape).is_healthy
    True
    """
    asked: Sequence[Any] = names or known_parameters(tape)
    return Findings([why(tape, one) for one in asked], birth_of_nan(tape))
