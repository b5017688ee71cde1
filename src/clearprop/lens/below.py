"""The graph below the rows where backward passes began."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clearprop.lens.rows import Row
    from clearprop.lens.tape import Tape


def roots(tape: Tape) -> list[Row]:
    """Where backward passes began; if none has run yet, what was computed last. Empty if nothing was computed."""
    begun = [visit.row for visit in tape.visits if visit.begins]
    computed = [row for row in tape.rows if row.operands]
    return list(dict.fromkeys(begun)) or computed[-1:]


def below(tops: Sequence[Row]) -> list[Row]:
    """These rows and all that they were computed from, inputs first."""
    reached = set(tops)
    waiting = list(reached)
    while waiting:
        for operand in waiting.pop().operands:
            if operand.row is not None and operand.row not in reached:
                reached.add(operand.row)
                waiting.append(operand.row)
    return sorted(reached, key=lambda row: row.number)
