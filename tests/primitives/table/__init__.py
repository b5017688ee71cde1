"""One declaration for every primitive, by family: how to call it, what it must give, what it keeps, takes and costs.

`test_rows` runs the same tests over all of them. A primitive without a declaration fails `test_registry`.
"""

from tests.primitives.table import (
    contraction,
    convolution,
    elementwise,
    indexing,
    ordering,
    pooling,
    random,
    recurrence,
    reduction,
    shaping,
)
from tests.primitives.table.declaring import TABLE, Array, Case, Declaration, Wrong

__all__ = ["TABLE", "Array", "Case", "Declaration", "Wrong"]
