"""Seeing backpropagation: the record of a run as data, and the views that read it.

`tape` keeps what happened, `formulas`, `names` and `figures` put it in words and numbers, `table` lays it out,
`drawing` makes pictures (`modules` folds them, `layered` and `coordinates` lay them out), `player` plays them;
`expression` and `explain` do all of this for one line of arithmetic. `paths`, `derivation`, `causes` and `births`
answer questions about gradients, `findings` those about all of a run.
"""

from clearprop.lens.births import Birth
from clearprop.lens.causes import Cause
from clearprop.lens.derivation import Derivation
from clearprop.lens.drawing import Drawing
from clearprop.lens.explain import Explanation, explain_expression
from clearprop.lens.findings import Findings, findings
from clearprop.lens.paths import PathGroup, Paths
from clearprop.lens.player import Player
from clearprop.lens.rows import Edge, Operand, Row, Visit
from clearprop.lens.tape import Tape, record

__all__ = [
    "Birth",
    "Cause",
    "Derivation",
    "Drawing",
    "Edge",
    "Explanation",
    "Findings",
    "Operand",
    "PathGroup",
    "Paths",
    "Player",
    "Row",
    "Tape",
    "Visit",
    "explain_expression",
    "findings",
    "record",
]
