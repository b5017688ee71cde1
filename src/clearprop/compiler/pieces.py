"""Values that are cut in pieces, and put together from pieces.

The gradients of slices are paddings, and where a value has been cut in several slices, as the gates of a recurrent
network or queries, keys and values, its gradient is a sum of them. If they do not overlap and leave no gap, that sum is
one `concat`, which reads each piece once and adds nothing.
"""

from __future__ import annotations

from clearprop import primitives
from clearprop.graph import Node


def pieces_of_sum(x: Node, y: Node) -> tuple[int, list[Node]] | None:
    """Of x + y the axis and the pieces that lie one behind the other; None if it is not such a sum."""
    paddings, waiting = list[Node](), [x, y]
    while waiting:
        node = waiting.pop()
        if node.primitive is primitives.pad:
            paddings.append(node)
        elif node.primitive is primitives.add:
            waiting += [parent for parent in node.parents if parent is not None]
        else:
            return None
    axes = {_axis(padding) for padding in paddings}
    axis = axes.pop()
    if axes or axis is None:
        return None
    paddings.sort(key=lambda padding: (padding.attributes["before"][axis], padding.number))
    pieces, end = list[Node](), 0
    for padding in paddings:
        (piece,) = padding.parents
        assert piece is not None
        if padding.attributes["before"][axis] != end:
            return None
        pieces.append(piece)
        end += piece.shape[axis]
    return (axis, pieces) if end == x.shape[axis] else None


def _axis(padding: Node) -> int | None:
    """The only axis along which there is something to be padded; None if there are more, or zeros within."""
    before, after, between = (padding.attributes[name] for name in ("before", "after", "between"))
    padded = [i for i, widths in enumerate(zip(before, after, strict=True)) if any(widths)]
    return padded[0] if len(padded) == 1 and not any(between) else None
