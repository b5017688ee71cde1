"""Which sums of rows, at positions that are data, are gathered row by row, and which of them update a table in place.

The gradient of a table whose rows were looked up is zero but for these rows. Where plain gradient descent subtracts it
from the table, all other rows stay as they are: nothing has to be read or written there. (A step of infinite size would
make NaN of them, by 0 * inf; it does not here.)
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

from clearprop.compiler.native.lookup import is_in_range
from clearprop.compiler.native.views import View
from clearprop.graph import Node

_LONG = 8
"""Elements: shorter rows are added one after the other."""
_MOST = 1 << 31
"""So many positions, and rows, are counted with 32 bits."""


def gathers_rows(scatter: Node, views: Mapping[Node, View], constants: Mapping[Node, Any]) -> bool:
    """Whether a ``scatter_add`` can be computed row by row: all positions of a row are known before it is begun."""
    if scatter.name != "scatter_add" or scatter.dtype.kind != "f" or len(scatter.parents) != 2:
        return False
    rows, positions = scatter.parents
    assert rows is not None
    assert positions is not None
    if len(scatter.shape) != 2 or len(rows.shape) < 2 or scatter.shape[1] < _LONG or 0 in rows.shape:
        return False
    count, length = rows.shape[0], scatter.shape[0]
    for n in rows.shape[1:-1]:
        count *= n
    return max(count, length) < _MOST and is_in_range(views[positions].source, length, constants)


def is_update(
    nodes: Sequence[Node], scatter: Node, views: Mapping[Node, View], inputs: Container[Node], leaving: Sequence[Node]
) -> bool:
    """Whether nodes compute ``table - scatter * numbers``, a table that is an input.

    Args:
        leaving: those of the nodes that are needed elsewhere.
    """
    last = nodes[-1]
    if last.name not in ("add", "subtract") or list(leaving) != [last]:
        return False
    scaled: set[Node] = {scatter}
    for node in nodes[:-1]:
        if node.name not in ("multiply", "negative"):
            return False
        others = [parent for parent in node.parents if parent is not None and parent not in scaled]
        if len(others) == len(node.parents) or len(others) > 1 or not all(_is_number(views[one]) for one in others):
            return False
        scaled.add(node)
    tables = [parent for parent in last.parents if parent is not None and parent not in scaled]
    if len(tables) != 1 or (last.name == "subtract" and last.parents[0] is not tables[0]):
        return False
    view = views[tables[0]]
    return view.is_whole and view.source in inputs and view.source.dtype == last.dtype


def _is_number(view: View) -> bool:
    """Whether it shows the same number everywhere."""
    return not any(view.strides)
