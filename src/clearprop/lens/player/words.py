"""Each step of a play in one sentence: for screen readers, and for all who would rather read than look."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clearprop.lens.figures import figure
from clearprop.lens.rows import Edge, Row, Visit
from clearprop.lens.table import local_text

_MOST_NAMED = 6


def given(rows: Sequence[Row]) -> str:
    """What there is before anything is computed.

    >>> given([])
    'No input of the run was recorded.'
    """
    if not rows:
        return "No input of the run was recorded."
    if len(rows) > _MOST_NAMED:
        return f"Given: {len(rows):,} inputs, {_named(rows)}."
    return f"Given: {', '.join(f'{row.label} = {figure(row.value)}' for row in rows)}."


def _named(rows: Sequence[Row]) -> str:
    return f"from {rows[0].label} to {rows[-1].label}"


def forward(row: Row) -> str:
    """A node is computed: ``q = x + y = -2 + 5 = 3``."""
    return " = ".join(part for part in (row.label, row.formula, row.numbers, figure(row.value)) if part) + "."


def begin(visit: Visit) -> str:
    """A backward pass begins."""
    name = visit.row.label
    return f"The backward pass begins at {name}, with the upstream gradient ∂{name}/∂{name} = {figure(visit.upstream)}."


def sums_up(row: Row, edges: Sequence[Edge], total: Any) -> str:
    """Contributions are added up: ``Fan-out adds: the contributions 5 and 5 to h make its gradient 10``."""
    if all(_is_number(edge.contribution) for edge in edges) and len(edges) <= _MOST_NAMED:
        *others, last = [figure(edge.contribution) for edge in edges]
        which = f"contributions {', '.join(others)} and {last}"
    else:
        which = f"{len(edges)} contributions"
    return f"Fan-out adds: the {which} to {row.label} make its gradient {figure(total)}."


def again(visits: Sequence[Visit], total: Any) -> str:
    """The gradient of a leaf is added to those of earlier passes: ``Gradients add up over 2 backward passes: …``."""
    label, latest = visits[0].row.label, figure(visits[-1].upstream)
    return (
        f"Gradients add up over {len(visits)} backward passes: with this one's {latest}, {label} has {figure(total)}."
    )


def edge(one: Edge) -> str:
    """A contribution is handed on, with the pattern in the words of the lecture notes."""
    pattern = one.row.pattern
    opening = f"{pattern[0].upper()}{pattern[1:]}" if pattern else f"{one.row.label} = {one.row.formula}"
    upstream, contribution = figure(one.upstream), figure(one.contribution)
    local = local_text(one, in_full=False)
    if one.local_derivative is None:
        how = f"upstream {upstream} becomes {local}, the contribution {contribution}"
    else:
        each = "" if _is_number(one.contribution) else ", element by element,"
        how = f"upstream {upstream} times local derivative {local}{each} gives contribution {contribution}"
    return f"{opening}: {how} to {one.input.label}."


def end(rows: Sequence[Row], error: str) -> str:
    """What has come out."""
    if error:
        return f"The recording ended with an error. {error}"
    reached = [row for row in rows if row.gradient is not None]
    if not reached:
        return "No gradient was computed: the recording has no backward pass."
    if len(reached) > _MOST_NAMED:
        return f"The gradients of {len(reached):,} inputs are complete, {_named(reached)}."
    return f"The gradients are complete: {', '.join(f'by {row.label} {figure(row.gradient)}' for row in reached)}."


def _is_number(value: Any) -> bool:
    return not isinstance(value, dict) and np.ndim(value) == 0
