"""One line of arithmetic, computed forward and backpropagated before the reader's eyes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from clearprop.errors import UsageError
from clearprop.lens import expression, table
from clearprop.lens.answers import Answer
from clearprop.lens.expression import Parsed
from clearprop.lens.figures import json_number, number
from clearprop.lens.layout import HEADING, NO_BREAK, REMARK, Line, Span, wrapped
from clearprop.lens.recorder import Recorder
from clearprop.lens.remarks import remarks
from clearprop.lens.rows import Edge, Row
from clearprop.lens.tape import Tape
from clearprop.primitives.control import identity
from clearprop.tensor import Tensor, tensor


class Explanation(Answer):
    """An expression at a point, with the tape of its forward and backward run.

    Attributes:
        expression: as it was given.
        values: the value of each variable.
        name: what the result is called, ``"f"`` unless a variable is.
        value: the result.
        gradients: the derivative of the result by each variable.
        remarks: what to know about infinities, NaN and kinks in this run.
        tape: the record; its rows have the names that the table shows.
    """

    title = "Explanation"

    def __init__(self, text: str, values: Mapping[str, float], result: Row, tape: Tape) -> None:
        self.expression = text
        self.values = dict(values)
        self.name = result.label
        self.value = float(result.value)
        self.tape = tape
        rows = {row.name: row for row in tape.rows}
        unused = [name for name in values if name not in rows]
        self.gradients = {name: 0.0 if name in unused else float(rows[name].gradient) for name in values}
        self.remarks = [f"{name} does not occur in the expression: its gradient is 0" for name in unused]
        self.remarks += remarks(tape)

    def lines(self, width: int = 80) -> list[Line]:
        """The explanation in styled lines that fit the width."""
        pairs = (f"{name} = {number(value)}".replace(" ", NO_BREAK) for name, value in self.values.items())
        title = [Span(f"{self.name} = {self.expression}", HEADING), Span(f"   at{NO_BREAK}{', '.join(pairs)}")]
        lines = [*wrapped(title, width), [], *table.of_tape(self.tape, width)]
        if self.remarks:
            lines += [[], [Span("Remarks", HEADING)]]
            lines += [piece for one in self.remarks for piece in wrapped([Span("  "), Span(one, REMARK)], width)]
        return lines

    def as_dict(self) -> dict[str, Any]:
        """The same for machines: strings, numbers, lists and dicts. What JSON lacks is ``"NaN"``, ``"Infinity"``."""
        return {
            "expression": self.expression,
            "values": {name: json_number(value) for name, value in self.values.items()},
            "result": {"name": self.name, "value": json_number(self.value)},
            "forward": [_forward(row) for row in self.tape.rows],
            "backward": [
                {
                    "node": visit.row.label,
                    "upstream": json_number(visit.upstream),
                    "summands": [json_number(edge.contribution) for edge in visit.contributions_in],
                    "pattern": visit.row.pattern,
                    "edges": [_edge(edge) for edge in visit.edges],
                }
                for visit in self.tape.visits
            ],
            "gradients": {name: json_number(value) for name, value in self.gradients.items()},
            "remarks": self.remarks,
        }


def _forward(row: Row) -> dict[str, Any]:
    return {
        "node": row.label,
        "primitive": row.primitive,
        "inputs": [operand.label for operand in row.inputs],
        "formula": row.formula,
        "latex": row.latex,
        "value": json_number(row.value),
    }


def _edge(edge: Edge) -> dict[str, Any]:
    return {
        "to": edge.input.label,
        "input": edge.index,
        "formula": edge.formula,
        "latex": edge.latex,
        "local_derivative": json_number(edge.local_derivative),
        "contribution": json_number(edge.contribution),
    }


def explain_expression(text: str, values: Mapping[str, float]) -> Explanation:
    """Compute an expression and backpropagate through it, keeping every number on the way.

    Args:
        text: numbers, names, ``+ - * / **``, parentheses, and functions such as ``exp``, ``log``, ``sigmoid``, ``max``.
        values: a number for each name.

    Raises:
        UsageError: if the expression cannot be read, or a name has no value.

    >>> explanation = explain_expression("(x + y) * z", {"x": -2, "y": 5, "z": -4})
    >>> explanation.value, explanation.gradients
    (-12.0, {'x': -4.0, 'y': -4.0, 'z': 3.0})
    >>> print(explanation)
    f = (x + y) * z   at x = -2, y = 5, z = -4
    <BLANKLINE>
    Forward  from the inputs to the result
      node   formula   with numbers   value
      x      given                       -2
      y      given                        5
      z      given                       -4
      q      x + y     -2 + 5             3
      f      q · z     3 · (-4)         -12
    <BLANKLINE>
    Backward  from the result to the inputs
         edge    upstream ×   local derivative =   contribution
      1. f = q · z   multiplication switches
         f → q            1   ∂f/∂q = z = -4                 -4
         f → z            1   ∂f/∂z = q = 3                   3
      2. q = x + y   addition distributes
         q → x           -4   ∂q/∂x = 1                      -4
         q → y           -4   ∂q/∂y = 1                      -4
    <BLANKLINE>
    Gradients  the sum of the contributions to each input
      ∂f/∂x = -4
      ∂f/∂y = -4
      ∂f/∂z = 3
    """
    parsed = expression.parse(text)
    expression.check_values(parsed, values)
    if not any(name in values for name in parsed.names):
        raise UsageError(f"{parsed.text} has no variable: there is nothing to differentiate by", hint='"x * 2" x=3')
    inputs = {name: tensor(float(value), dtype="float64", requires_grad=True) for name, value in values.items()}
    recorder = Recorder()
    with recorder as tape, np.errstate(all="ignore"):
        result, steps = expression.compute(parsed, inputs)
        if result.node is not None and result.node.is_leaf:  # the expression is a name and nothing else
            result = identity(result)
        result.backward()
    tape.name(inputs)
    tape.name(_names(parsed, values, result, [step for step in steps if step is not result and step.requires_grad]))
    return Explanation(parsed.text, values, tape[result], tape)


def _names(parsed: Parsed, given: Iterable[str], result: Tensor, between: list[Tensor]) -> dict[str, Tensor]:
    """Names for the nodes: f for the result and q, or q1, q2, …, for what lies between; others if these are taken."""
    taken = {*parsed.names, *given}
    roots = {re.sub(r"\d+$", "", name) for name in taken}
    letter = next(letter for letter in (*"qrsuvwhabcdgkmnpt", "node") if letter not in roots)
    name = next(name for name in ("f", "L", "J", "result", "the_result") if name not in taken)
    names = {letter if len(between) == 1 else f"{letter}{i}": step for i, step in enumerate(between, 1)}
    return {**names, name: result}
