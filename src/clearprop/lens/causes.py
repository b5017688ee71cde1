"""Why a gradient is as it is: one cause, in words with numbers, where it is, and what to try."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from clearprop.cell import Cell, Parameter
from clearprop.lens import missing
from clearprop.lens.answers import Answer
from clearprop.lens.births import birth_of_gradient, is_bad, place_in_words
from clearprop.lens.factors import Dominating, dominating
from clearprop.lens.figures import json_number, number, percent
from clearprop.lens.layout import DIM, HEADING, REMARK, Line, Span, wrapped
from clearprop.lens.pushing import Between, check_whole, norm
from clearprop.lens.rows import Row
from clearprop.lens.strength import (
    CANCELS,
    HUGE,
    TINY,
    Finding,
    broadcast_target,
    growth,
    head_length,
    huge,
    mostly_dead,
    nothing_arrives,
    saturated_output,
    stopped,
    tiny,
)

if TYPE_CHECKING:
    from clearprop.lens.tape import Tape

HEALTHY = ("healthy", "cancels")


class Cause(Answer):
    """Why the gradient of a parameter, or of another node, is as it is.

    Attributes:
        kind: "healthy"; "none" arrived; none as it is "frozen"; "zero", "tiny", "huge"; "nan" (infinity too); "growing"
            from step to step; "broadcast", of a target against predictions; "cancels": it is zero but for rounding,
            since the result does not depend on it, as of a bias before a normalization, and that is no harm.
        label: of the parameter.
        words: the cause.
        where: the user's source line of it; empty if there is none.
        row: the node that is to blame; None if there is none.
        advice: what to try.
        numbers: the figures in the words, by name.
    """

    title = "Why"

    def __init__(self, kind: str, label: str, finding: Finding) -> None:
        self.kind, self.label = kind, label
        self.words, self.where, self.row, self.advice, self.numbers = finding

    @property
    def is_healthy(self) -> bool:
        """Whether there is nothing wrong."""
        return self.kind in HEALTHY

    def lines(self, width: int = 80) -> list[Line]:
        """The answer in styled lines that fit the width."""
        state = {"none": "no gradient", "nan": "NaN or infinite", "cancels": "zero but for rounding"}
        head = [Span(f"{self.label}: {state.get(self.kind, self.kind)}", HEADING)]
        lines: list[Line] = [head, [Span("  "), Span(self.words, "" if self.is_healthy else REMARK)]]
        lines += [[Span(f"  {place_in_words(self.row, self.where)}", DIM)]] if self.where else []
        lines += [[Span(f"Try: {self.advice}")]] if self.advice else []
        return [piece for line in lines for piece in wrapped(line, width)]

    def as_dict(self) -> dict[str, Any]:
        """The same for machines: strings, numbers and dicts."""
        return {
            "parameter": self.label,
            "kind": self.kind,
            "healthy": self.is_healthy,
            "words": self.words,
            "node": "" if self.row is None else self.row.label,
            "where": self.where,
            "advice": self.advice,
            "numbers": {name: json_number(value) for name, value in self.numbers.items()},
        }

    def __repr__(self) -> str:
        return f"<Cause: {self.label} is {self.kind}: {self.words}>"


def why(tape: Tape, w: Any) -> Cause:
    """See `Tape.why`."""
    check_whole(tape)
    w = _known_parameter(tape, w) if isinstance(w, str) else w
    if isinstance(w, Cell):
        rows = [row for row in tape.rows if row.node.cell is w]
        if not rows:
            is_frozen = isinstance(w, Parameter) and not w.requires_grad
            found = missing.frozen(w) if is_frozen else missing.not_in_the_graph(tape, w)
            return Cause("frozen" if is_frozen else "none", w.name or "the parameter", Finding(*found, {}))
        row = _latest(tape, rows)
    else:
        row = tape[w]
        rows = [one for one in tape.rows if one.node.cell is not None and one.node.cell is row.node.cell] or [row]
    if not row.visits:
        return Cause("none", row.label, Finding(*missing.no_gradient(tape, row), {}))
    return Cause(*_judged(tape, row, rows))


def known_parameters(tape: Tape) -> list[Parameter]:
    """All parameters that the tape has seen: of the modules that were called, and those that were used; each once."""
    found: dict[Parameter, None] = {}
    for module in tape.modules:
        found.update(dict.fromkeys(module.parameters()))
    for row in tape.rows:
        if isinstance(row.node.cell, Parameter):
            found[row.node.cell] = None
    return list(found)


def _known_parameter(tape: Tape, name: str) -> Any:
    """The parameter of that name, if a module that was called has it; else the name itself."""
    return next((one for one in known_parameters(tape) if one.name == name), name)


def _latest(tape: Tape, rows: Sequence[Row]) -> Row:
    """Of the rows of a parameter, one for each value that it had, the last that a backward pass could have come to."""
    last = max((visit.row.number for visit in tape.visits if visit.begins), default=-1)
    return next((row for row in reversed(rows) if row.number < last), rows[-1])


def _judged(tape: Tape, row: Row, rows: Sequence[Row]) -> tuple[str, str, Finding]:
    """What kind of gradient it is, and its cause; the worst first."""
    gradient, label = row.visits[-1].upstream, row.label
    found = growth([one for one in rows if one.visits])
    if found is not None:
        return "growing", label, found
    if is_bad(gradient):
        birth = birth_of_gradient(tape, row)
        return "nan", label, Finding(birth.words, birth.where, birth.row, birth.advice, {"places": birth.count})
    between = Between(tape, row.visits[-1].root, row)
    found = broadcast_target(between)
    if found is not None:
        return "broadcast", label, found
    size = norm(gradient)
    if size == 0.0:
        edge = stopped(between)
        if edge is not None:
            return "zero", label, nothing_arrives(edge)
    path = dominating(between)
    found = mostly_dead(path)
    if found is not None:
        return "zero", label, found
    return _sized(between, path, size)


def _sized(between: Between, path: Dominating, size: float) -> tuple[str, str, Finding]:
    row = between.input
    largest = max(map(norm, [path.contribution, *(path.arrived.get(use, 0.0) for use in between.uses[row])]))
    at_output = norm(path.edges[head_length(path)].upstream) if path.edges else size
    if size <= TINY * max(at_output, largest):
        if size == 0.0 or largest > CANCELS * size or _cancels_in_sum(path):
            return "cancels", row.label, _no_effect(row, size, largest)
        return "tiny", row.label, tiny(path, size, at_output)
    value = norm(row.value) if row.value is not None else 1.0
    if size > HUGE * max(1.0, value):
        return "huge", row.label, huge(path, size, value)
    saturated = saturated_output(path, between.output.value, size)
    if saturated is not None:
        return "tiny", row.label, saturated
    return "healthy", row.label, _nothing_wrong(between, size, value)


def _cancels_in_sum(path: Dominating) -> bool:
    """Whether the gradient vanishes where contributions of repeated values are added up."""
    return any(
        edge.row.primitive == "broadcast" and norm(edge.contribution) * CANCELS < norm(edge.upstream)
        for edge in path.edges
    )


def _no_effect(row: Row, size: float, largest: float) -> Finding:
    return Finding(
        f"its contributions cancel: their sum has norm {number(size)}, the largest of them {number(largest)}. The "
        f"result does not depend on {row.label}, as on a bias in front of a normalization",
        "",
        row,
        "",
        {"norm": size, "largest": largest},
    )


def _nothing_wrong(between: Between, size: float, value: float) -> Finding:
    row = between.input
    words = f"nothing wrong: its norm is {number(size)}"
    if value > 0.0 and math.isfinite(value):
        words += f", {percent(size / value)} of the norm of {row.label}"
    uses = between.uses[row]
    if len(uses) > 1:
        users = list(dict.fromkeys(user for user, _ in uses))
        parts = [norm(edge.contribution) for edge in row.users if edge.row in users]
        places = "; ".join(f"{user.label} = {user.formula} ({user.where.partition(': ')[0]})" for user in users[:3])
        more = f" and {len(users) - 3:,} more" if len(users) > 3 else ""
        norms = ", ".join(map(number, parts[:3])) + (", …" if len(parts) > 3 else "")
        words += f". It is used {len(uses):,} times: {places}{more}; the contributions, of norms {norms}, are added up"
    return Finding(words, "", row, "", {"norm": size, "uses": len(uses)})
