"""What to know about a run on numbers: where infinity and NaN come from, and where a derivative is a choice."""

from __future__ import annotations

import math
from collections.abc import Iterator

from clearprop.lens.figures import figure
from clearprop.lens.rows import Edge, Row
from clearprop.lens.tape import Tape


def remarks(tape: Tape) -> list[str]:
    """Remarks on the rows of a tape of numbers, forward and then backward; most runs need none."""
    rows = [row for row in tape.rows if not row.is_leaf]
    edges = [edge for visit in tape.visits for edge in visit.edges]
    found = [*_values(rows), *_kinks(rows), *_local_derivatives(edges), *_contributions(edges)]
    return list(dict.fromkeys(found))


def _values(rows: list[Row]) -> Iterator[str]:
    """Infinity or NaN that comes out where only finite numbers went in."""
    for row in rows:
        values = [float(operand.value) for operand in row.operands]
        value = float(row.value)
        if math.isfinite(value) or not all(map(math.isfinite, values)):
            continue
        yield f"{row.label} = {row.formula} = {row.numbers} is {figure(value)}: {_cause(row.primitive, values, value)}"


def _cause(primitive: str, values: list[float], value: float) -> str:
    match primitive, values:
        case "divide", [0.0, 0.0]:
            return "0 / 0 has no value"
        case "divide", [_, 0.0]:
            return "division by zero gives infinity"
        case "power", [0.0, float()]:
            return "a negative power of zero is a division by zero"
        case "power", [x, _] if x < 0 and math.isnan(value):
            return "a negative number has no real power that is not a whole number"
        case (("log" | "log2" | "log10"), [0.0]):
            return "the logarithm of zero is minus infinity"
        case (("log" | "log2" | "log10"), _):
            return "the logarithm of a negative number is not a number"
        case "sqrt", _:
            return "the square root of a negative number is not a number"
    if math.isinf(value):
        return "larger than any 64-bit floating-point number, or a pole"
    return f"{primitive} has no value there"


def _kinks(rows: list[Row]) -> Iterator[str]:
    """Places without a derivative, where one value was chosen by convention."""
    for row in rows:
        values = [float(operand.value) for operand in row.operands]
        match row.primitive, values:
            case (("relu" | "abs"), [0.0]):
                yield f"{row.label} = {row.formula} has a kink at 0: its derivative is taken as 0"
            case (("maximum" | "minimum"), [x, y]) if x == y:
                yield f"{row.label} = {row.formula} is a tie: each side gets half of the gradient"


def _local_derivatives(edges: list[Edge]) -> Iterator[str]:
    """Infinite or undefined local derivatives where the value itself is finite."""
    for edge in edges:
        local = float(edge.local_derivative)
        if not math.isfinite(local) and math.isfinite(float(edge.row.value)):
            node = edge.row.label
            yield f"∂{node}/∂{edge.input.label} = {edge.formula} is {figure(local)}, although {node} is finite"


def _contributions(edges: list[Edge]) -> Iterator[str]:
    """NaN that backpropagation itself makes: zero times infinity."""
    for edge in edges:
        local, upstream = float(edge.local_derivative), float(edge.upstream)
        if math.isnan(float(edge.contribution)) and not math.isnan(local) and not math.isnan(upstream):
            yield f"{edge.row.label} → {edge.input.label}: {figure(upstream)} · {figure(local)} is NaN"
