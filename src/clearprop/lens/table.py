"""The table of the lecture notes: values forward, then backward by edges, and the sums.

For each edge it shows upstream gradient, local derivative and contribution. One layout serves a line of
arithmetic and a network.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from clearprop.lens import formulas
from clearprop.lens.figures import figure
from clearprop.lens.layout import (
    DIM,
    HEAD,
    HEADING,
    NAME,
    NO_BREAK,
    PATTERN,
    VALUE,
    Line,
    Span,
    cells,
    fits,
    in_columns,
    plain_text,
    wrapped,
)
from clearprop.lens.patterns import FAN_OUT

if TYPE_CHECKING:
    from clearprop.lens.rows import Edge, Row, Visit
    from clearprop.lens.tape import Tape

_NARROW_HEAD = [
    [Span("     edge: local derivative", HEAD)],
    [Span("           upstream × local = contribution", HEAD)],
]
_ORDINALS = ("1st", "2nd", "3rd")


def text(lines: Sequence[Line]) -> str:
    """Lines as plain text."""
    return plain_text(lines)


def of_tape(tape: Tape, width: int = 80, rows: int | None = None) -> list[Line]:
    """The whole table of a tape, in lines that fit the width."""
    lines = [*_forward(tape.rows, width, rows)]
    steps = [visit for visit in tape.visits if visit.edges]
    if steps:
        lines += [[], *_backward(steps, width, rows)]
    gradients = _gradients(tape, rows)
    if gradients:
        lines += [[], *gradients]
    if tape.error:
        lines += [[], [Span("The recording ended with an error", HEADING)], [Span(f"  {tape.error}")]]
    return [piece for line in lines for piece in wrapped(line, width)]


def _rest(count: int, limit: int | None) -> list[Line]:
    if limit is None or count <= limit:
        return []
    return [[Span(f"  … and {count - limit:,} more: table(rows=None)", DIM)]]


# Forward -------------------------------------------------------------------------------------------------------------


def _forward(rows: Sequence[Row], width: int, limit: int | None) -> list[Line]:
    title = [Span("Forward", HEADING), Span("  from the inputs to the result", DIM)]
    ordered = [row for row in rows if row.is_leaf] + [row for row in rows if not row.is_leaf]
    shown = ordered[:limit]
    table = in_columns(
        [
            [Span("node", HEAD), Span("formula", HEAD), Span("with numbers", HEAD), Span("value", HEAD)],
            *[
                [
                    Span(row.label, NAME),
                    Span(row.formula) if row.formula else Span("given" if row.is_leaf else "not recorded", DIM),
                    Span(row.numbers, DIM),
                    Span(figure(row.value), VALUE),
                ]
                for row in shown
            ],
        ],
        "<<<>",
    )
    if not fits(table, width):
        table = [line for row in shown for line in _forward_narrow(row)]
    return [title, *table, *_rest(len(ordered), limit)]


def _forward_narrow(row: Row) -> Iterator[Line]:
    chain = [part for part in (row.formula, row.numbers) if part]
    first, *others = [*chain, figure(row.value)]
    equals = Span(" " * (len(row.label) + 3) + "= ")
    yield [Span("  "), Span(row.label, NAME), Span(" = "), Span(first, "" if others else VALUE)]
    for i, part in enumerate(others):
        yield [equals, Span(part, VALUE if i == len(others) - 1 else DIM)]


# Backward ------------------------------------------------------------------------------------------------------------


def _backward(steps: Sequence[Visit], width: int, limit: int | None) -> list[Line]:
    title = [Span("Backward", HEADING), Span("  from the result to the inputs", DIM)]
    shown = steps[:limit]
    table = _edge_table([edge for visit in shown for edge in visit.edges], width)
    lines, edges = [title, *(table[:1] or _NARROW_HEAD)], iter(table[1:])
    for i, visit in enumerate(shown, 1):
        lines += _step_heading(i, visit, visit.root.label)
        for edge in visit.edges:
            lines += [next(edges)] if table else _edge_narrow(edge)
    return [*lines, *_rest(len(steps), limit)]


def _edge_table(edges: Sequence[Edge], width: int) -> list[Line]:
    """A head and one line for each edge, in the widest form that fits; nothing if none does."""
    head = [Span(name, HEAD) for name in ("edge", "upstream ×", "local derivative =", "contribution")]
    for gap, in_full in ((3, True), (2, True), (2, False)):
        table = in_columns([head, *[_edge_cells(edge, in_full) for edge in edges]], "<><>", indent=5, gap=gap)
        if fits(table, width):
            return table
    return []


def _step_heading(i: int, visit: Visit, root: str) -> Iterator[Line]:
    row = visit.row
    line = [Span(f"{i:3}. ", DIM), Span(row.label, NAME), Span(f" = {row.formula}")]
    yield [*line, Span("   "), Span(row.pattern, PATTERN)] if row.pattern else line
    if visit.pattern:
        yield [Span("     upstream "), *_sum(root, row, visit.contributions_in, visit.upstream)]


def _edge_cells(edge: Edge, in_full: bool) -> list[Span]:
    return [
        Span(edge_name(edge), NAME),
        Span(figure(edge.upstream)),
        Span(local_text(edge, in_full)),
        Span(figure(edge.contribution), VALUE),
    ]


def _edge_narrow(edge: Edge) -> Iterator[Line]:
    """One edge in several lines: the local derivative, and below it the product with the upstream gradient."""
    name = Span(edge_name(edge), NAME)
    yield [Span("     "), name, Span("   "), Span(local_text(edge).replace(" ", NO_BREAK))]
    space, upstream, contribution = Span(" " * (cells(name.text) + 8)), figure(edge.upstream), figure(edge.contribution)
    if _is_number(edge.contribution) and edge.local_derivative is not None:
        factor = figure(edge.local_derivative)
        product = f"{upstream} · ({factor})" if factor.startswith("-") else f"{upstream} · {factor}"
        yield [space, Span(f"{product} = "), Span(contribution, VALUE)]
    else:
        yield [space, Span("upstream      ", DIM), Span(upstream)]
        yield [space, Span("contribution  ", DIM), Span(contribution, VALUE)]


def _is_number(value: Any) -> bool:
    return not isinstance(value, dict) and np.ndim(value) == 0


def edge_name(edge: Edge) -> str:
    """``"h → w"``; where a node uses an input more than once, which use it is."""
    name = f"{edge.row.label} → {edge.input.label}"
    return f"{name} ({_ordinal(edge)})" if edge.is_repeated else name


def _ordinal(edge: Edge) -> str:
    earlier = sum(operand.row is edge.input for operand in edge.row.operands[: edge.index])
    return ordinals(earlier)


def ordinals(i: int) -> str:
    """The place of an input in words.

    >>> ordinals(0), ordinals(3)
    ('1st', '4th')
    """
    return _ORDINALS[i] if i < len(_ORDINALS) else f"{i + 1}th"


def local_text(edge: Edge, in_full: bool = True) -> str:
    """The local derivative: what it is (if in full), its formula with names, its value."""
    if edge.local_derivative is None:
        return _rule(edge)
    value = figure(edge.local_derivative)
    is_tie = edge.formula.startswith("[") and value == "0.5"
    known = [value] if is_tie else [edge.formula] if re.fullmatch(r"-?[\d.]+", edge.formula) else [edge.formula, value]
    return " = ".join(known if edge.is_repeated or not in_full else [f"∂{edge.row.label}/∂{edge.input.label}", *known])


def _rule(edge: Edge) -> str:
    """The rule of an edge that is no elementwise product, with g for the upstream gradient: ``"xᵀ @ g"``, ``"∑ g"``."""
    return formulas.fill(formulas.in_terms_of_g(edge.latex), edge.labels)


# Sums ----------------------------------------------------------------------------------------------------------------


def _gradients(tape: Tape, limit: int | None) -> list[Line]:
    rows = [row for row in tape.rows if row.users and (row.is_leaf or not row.visits)]
    if not rows:
        return []
    title = [Span("Gradients", HEADING), Span("  the sum of the contributions to each input", DIM)]
    sums = [[Span("  "), *_sum(row.users[-1].visit.root.label, row, row.users, row.gradient)] for row in rows[:limit]]
    return [title, *sums, *_rest(len(rows), limit)]


def _sum(root: str, row: Row, edges: Sequence[Edge], total: Any) -> Line:
    """``∂f/∂x = 2 + 3 = 5   fan-out adds``."""
    line = [Span(f"∂{root}/∂{row.label}", NAME), Span(" = ")]
    if len(edges) > 1:
        line.append(Span(f"{_summands(edges)} = "))
    line.append(Span(figure(total), VALUE))
    return [*line, Span("   "), Span(FAN_OUT.replace(" ", NO_BREAK), PATTERN)] if len(edges) > 1 else line


def _summands(edges: Sequence[Edge]) -> str:
    if not all(_is_number(edge.contribution) for edge in edges):
        return f"sum of {len(edges)} contributions"
    first, *others = [figure(edge.contribution) for edge in edges]
    return " + ".join([first, *(f"({other})" if other.startswith("-") else other for other in others)])
