"""Seeing backpropagation: the record of a run as data, and the views that read it.

`recorder` watches, `recording` and `tape` keep what happened; `formulas`, `names` and `figures` put it in words and
numbers, `table` lays it out, `drawing` makes pictures (`modules` folds them, `layered` and `coordinates` lay them out),
`player` plays them; `expression` and `explain` do all of this for one line of arithmetic. `paths`, `derivation`,
`causes` and `births` answer questions about gradients, `findings` those about all of a run; `cost`, `memory` and
`difference` count and compare; `watching` makes tapes of compiled runs.
"""

from clearprop.lens.births import Birth
from clearprop.lens.causes import Cause
from clearprop.lens.cost import Cost, Way
from clearprop.lens.derivation import Derivation
from clearprop.lens.difference import Difference, Parting
from clearprop.lens.drawing import Drawing
from clearprop.lens.explain import Explanation, explain_expression
from clearprop.lens.findings import Findings, findings
from clearprop.lens.memory import Memory
from clearprop.lens.paths import PathGroup, Paths
from clearprop.lens.player import Player
from clearprop.lens.recorder import record
from clearprop.lens.rows import Edge, Operand, Row, Visit
from clearprop.lens.tape import Tape

__all__ = [
    "Birth",
    "Cause",
    "Cost",
    "Derivation",
    "Difference",
    "Drawing",
    "Edge",
    "Explanation",
    "Findings",
    "Memory",
    "Operand",
    "Parting",
    "PathGroup",
    "Paths",
    "Player",
    "Row",
    "Tape",
    "Visit",
    "Way",
    "explain_expression",
    "findings",
    "record",
]
