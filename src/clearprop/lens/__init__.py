"""Seeing backpropagation: the record of a run as data, and the views that read it.

`tape` keeps what happened, `formulas`, `names` and `figures` put it in words and numbers, `table` lays it out;
`expression` and `explain` do all of this for one line of arithmetic.
"""

from clearprop.lens.explain import Explanation, explain_expression
from clearprop.lens.rows import Edge, Operand, Row, Visit
from clearprop.lens.tape import Tape, record

__all__ = ["Edge", "Explanation", "Operand", "Row", "Tape", "Visit", "explain_expression", "record"]
