"""Rows of a table that are read where they stand.

A gather copies rows of a table, at positions that are data, one after the other. Where nobody but loop nests reads that
copy, and along its rows, it need not be written: they take each row from the table, as the position says. The
positions must be known to be in range, since nobody looks at them then.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from clearprop.compiler.native.views import Positions, View, row_strides
from clearprop.graph import Node

if TYPE_CHECKING:
    from clearprop.compiler.native.kernels import Kernel

_LONG = 8
"""Elements: of shorter rows the position of each would cost more than the copy."""
_LARGE = 1 << 14
"""Bytes: a smaller copy stays in a cache."""
_MOST_READERS = 4
"""Kernels that look up the positions; for more of them the copy is the better way."""

_BOUNDED_BY_AXES = frozenset({"argmax", "argmin", "argsort", "argtopk"})


def bound(node: Node) -> int | None:
    """What the positions that a node computes are smaller than, without being negative; None if that is not known."""
    operand = node.parents[0] if node.parents else None
    if node.name == "in_range":
        return int(node.attributes["count"])
    if operand is None:
        return None
    if node.name in _BOUNDED_BY_AXES:
        axis = node.attributes["axes"][0] if "axes" in node.attributes else node.attributes["axis"]
        return operand.shape[axis]
    return math.prod(operand.shape[2:]) if node.name == "max_pool_positions" else None


def is_in_range(source: Node, length: int, constants: Mapping[Node, Any]) -> bool:
    """Whether all numbers of a buffer are known to be from 0 to length - 1."""
    array = constants.get(source)
    if array is not None:
        return not array.size or bool(array.min() >= 0 and array.max() < length)
    most = bound(source)
    return most is not None and most <= length


def read_rows_where_they_stand(views: dict[Node, View], outputs: Iterable[Node], kernels: Iterable[Kernel]) -> None:
    """Change the views of such gathers into views of their tables."""
    kernels = [kernel for kernel in kernels if kernel.nodes]
    leaving = {views[node].source for node in outputs}
    gathers = [kernel.node for kernel in kernels if kernel.node.name == "gather" and len(kernel.node.parents) == 2]
    readers: dict[Node, dict[Kernel, list[Node]]]  # of each gather: the kernels, and the nodes they read it as
    readers = {gather: {} for gather in gathers if gather not in leaving}
    for kernel in kernels if readers else ():
        for node in kernel.nodes:
            for parent in node.parents:
                assert parent is not None
                found = readers.get(views[parent].source)
                if found is not None:
                    found.setdefault(kernel, []).append(parent)
    for gather, found in readers.items():
        _look_up(gather, views, found)


def _look_up(gather: Node, views: dict[Node, View], readers: dict[Kernel, list[Node]]) -> None:
    table, positions = (views[parent] for parent in gather.parents if parent is not None)
    most = bound(positions.source)
    nbytes = math.prod(gather.shape) * gather.dtype.itemsize
    if len(table.shape) != 2 or table.positions or positions.positions or most is None or most > table.shape[0]:
        return
    if positions.strides != row_strides(positions.shape) or nbytes < _LARGE or len(readers) > _MOST_READERS:
        return
    found: dict[Node, View] = {}
    for kernel, nodes in readers.items():
        for node in nodes:
            looked_up = _through(views[node], table, positions)
            if looked_up is None or kernel.walked != views[node].shape:
                return
            found[node] = looked_up
    views.update(found)


def _through(view: View, table: View, positions: View) -> View | None:
    """A view of gathered rows as one of the table; None if it does not run along rows, or along several at once."""
    columns = table.shape[1]
    row, column = divmod(view.offset, columns)
    by_row = tuple(0 if stride % columns else stride // columns for stride in view.strides)
    by_column = tuple(stride if stride % columns else 0 for stride in view.strides)
    last = column + sum((n - 1) * step for n, step in zip(view.shape, by_column, strict=True))
    if min(by_column, default=0) < 0 or last >= columns or not view.shape:
        return None
    if not by_column[-1] or view.shape[-1] < _LONG:
        return None
    place = Positions(positions.source, by_row, positions.offset + row, table.strides[0])
    strides = tuple(step * table.strides[1] for step in by_column)
    return View(table.source, view.shape, strides, table.offset + column * table.strides[1], place)
