"""The explicit Jacobian of one edge: what backpropagation multiplies by, and never writes down.

For an output of m numbers and an input of n it has m * n, most of them 0 where an operation works element by element.
Each row is what the rule of the operation makes of an upstream gradient that is 1 in one place and 0 elsewhere.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from clearprop.errors import UsageError
from clearprop.graph import RELEASED

if TYPE_CHECKING:
    from clearprop.lens.rows import Edge

MOST_NUMBERS = 1 << 16


def jacobian(edge: Edge, most: int = MOST_NUMBERS) -> Any:
    """d(output)/d(input), of shape ``(*output, *input)``, see `clearprop.lens.Edge.jacobian`."""
    node, residuals = edge.row.node, edge.visit.residuals
    primitive, parent = node.primitive, node.parents[edge.index]
    assert primitive is not None
    assert parent is not None
    what = f"the Jacobian of {edge.row.label} by {edge.input.label}"
    if isinstance(edge.upstream, dict):
        raise UsageError(f"{what}: {edge.row.primitive} has several outputs", hint="that of a node behind one of them")
    size = math.prod(node.shape) * math.prod(parent.shape)
    if size > most:
        raise UsageError(
            f"{what} has {node.shape} x {parent.shape}, {size:,} numbers, more than {most:,}",
            hint=f"edge.jacobian(most={size}), if that is meant; backpropagation needs edge.contribution only",
        )
    if residuals is RELEASED or residuals is None:
        raise UsageError(f"{what}: what the operation kept is not on the tape", hint="cp.record() around an eager run")
    rows = np.zeros((math.prod(node.shape), *parent.shape), parent.dtype)
    wanted = [one if i == edge.index else None for i, one in enumerate(node.parents)]
    with np.errstate(all="ignore"):
        for i in range(len(rows)):
            unit = np.zeros(math.prod(node.shape), node.dtype)
            unit[i] = 1
            contribution = primitive.vjp(node, unit.reshape(node.shape), residuals, wanted)[edge.index]
            if contribution is not None:
                rows[i] = np.asarray(getattr(contribution, "array", contribution))
    return rows.reshape((*node.shape, *parent.shape))
