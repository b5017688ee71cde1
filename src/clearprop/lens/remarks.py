"""What to know about a run on numbers: where infinity and NaN come from, and where a derivative is a choice."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from clearprop.lens.figures import figure
from clearprop.lens.rows import Edge, Row

if TYPE_CHECKING:
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
        yield f"{row.label} = {row.formula} = {row.numbers} is {figure(value)}: {reason(row.primitive, values, value)}"


def reason(primitive: str, values: list[float], value: float, dtype: Any = np.float64) -> str:
    """Why a primitive makes infinity or NaN of finite numbers, in words.

    >>> reason("log", [0.0], float("-inf")), reason("divide", [0.0, 0.0], float("nan"))
    ('the logarithm of zero is minus infinity', '0 / 0 has no value')
    """
    match primitive, values:
        case "divide", [0.0, 0.0]:
            return "0 / 0 has no value"
        case "divide", [_, 0.0]:
            return "division by zero gives infinity"
        case (("subtract" | "add"), [x, y]) if math.isinf(x) and math.isinf(y):
            return "∞ - ∞ has no value"
        case "multiply", [x, y] if math.isinf(x) or math.isinf(y):
            return "0 · ∞ has no value"
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
        return f"larger than any {np.dtype(dtype).itemsize * 8}-bit floating-point number, or a pole"
    return f"{primitive} has no value there"


def remedy(primitive: str, values: list[float], value: float) -> str:
    """What to try where a primitive, or its derivative, is infinite or NaN; empty if there is no special advice.

    >>> remedy("log", [0.0], float("-inf"))
    'cp.log(cp.maximum(x, 1e-12)); for probabilities cross_entropy, or log_softmax, of the logits'
    """
    match primitive:
        case "log" | "log2" | "log10":
            safe = f"cp.{primitive}(cp.maximum(x, 1e-12))"
            return f"{safe}; for probabilities cross_entropy, or log_softmax, of the logits"
        case "sqrt":
            return "cp.sqrt(x + 1e-12); behind where, choose before the root too: cp.sqrt(cp.where(x > 0, x, 1.0))"
        case "subtract" if values and all(map(math.isinf, values)):
            return "leave something finite: where a mask hides all scores, they are all -inf, and have no softmax"
        case "divide":
            return "x / (y + 1e-8): a small number added to what may be zero"
        case "power" if values and values[0] <= 0.0:
            return "keep the base away from zero: cp.maximum(x, 1e-12) ** p"
        case "exp":
            return "subtract the largest before exp, as softmax and logsumexp do"
    return ""


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
