"""Each step of a play in one sentence: for screen readers, and for all who would rather read than look."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clearprop.lens import formulas
from clearprop.lens.figures import figure
from clearprop.lens.rows import Edge, Row, Visit

_MOST_NAMED = 6


def given(rows: Sequence[Row]) -> str:
    """What there is before anything is computed.

    >>> given([])
    'Nothing was given to which gradients flow.'
    """
    if not rows:
        return "Nothing was given to which gradients flow."
    if len(rows) > _MOST_NAMED:
        return f"Given: {len(rows):,} inputs, {_named(rows)}."
    return f"Given: {', '.join(f'{row.label} = {figure(row.value)}' for row in rows)}."


def _named(rows: Sequence[Row]) -> str:
    return f"from {rows[0].label} to {rows[-1].label}"


def forward(row: Row) -> str:
    """A node is computed: ``q = x + y = -2 + 5 = 3.``"""
    return " = ".join(part for part in (row.label, row.formula, row.numbers, figure(row.value)) if part) + "."


def begin(visit: Visit) -> str:
    """A backward pass begins."""
    name = visit.row.label
    return f"The backward pass begins at {name}, with the upstream gradient ∂{name}/∂{name} = {figure(visit.upstream)}."


def sums_up(row: Row, edges: Sequence[Edge], total: Any) -> str:
    """Contributions are added up: ``Fan-out adds: the contributions 5 and 5 to h make its gradient 10.``"""
    if all(_is_number(edge.contribution) for edge in edges) and len(edges) <= _MOST_NAMED:
        *others, last = [figure(edge.contribution) for edge in edges]
        which = f"contributions {', '.join(others)} and {last}"
    else:
        which = f"{len(edges)} contributions"
    return f"Fan-out adds: the {which} to {row.label} make its gradient {figure(total)}."


def again(visits: Sequence[Visit], total: Any) -> str:
    """The gradient of a leaf is added to those of earlier passes: ``Gradients add up over 2 backward passes: …``"""
    label, latest = visits[0].row.label, figure(visits[-1].upstream)
    return f"Gradients add up over {len(visits)} backward passes: with this one's {latest}, {label} has {figure(total)}."


def edge(one: Edge) -> str:
    """A contribution is handed on, with the pattern in the words of the lecture notes."""
    opening = one.row.pattern or f"{one.row.label} = {one.row.formula}"
    upstream, contribution = figure(one.upstream), figure(one.contribution)
    if one.local_derivative is None:
        how = f"upstream {upstream} becomes {rule(one)}, the contribution {contribution}"
    else:
        each = "" if _is_number(one.contribution) else ", element by element,"
        how = f"upstream {upstream} times local derivative {_local(one)}{each} gives contribution {contribution}"
    return f"{opening[:1].upper()}{opening[1:]}: {how} to {one.input.label}."


def _local(one: Edge) -> str:
    value = figure(one.local_derivative)
    return value if value == one.formula else f"{one.formula} = {value}"


def rule(one: Edge) -> str:
    """The rule of an edge that is no product element by element, with g for the upstream gradient: ``g @ wᵀ``."""
    return formulas.fill(formulas.in_terms_of_g(one.latex), one.labels)


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
