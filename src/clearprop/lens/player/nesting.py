"""The groups of a run, each laid out in layers on its own: boxes within boxes, for a page on which they unfold.

Where an edge enters or leaves a group, it passes through a port, a box without extent. So the layout of a group depends
on nothing outside of it, and the page can put layouts into one another, whatever is unfolded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clearprop.graph import Node
from clearprop.lens import modules
from clearprop.lens.layered import arrange
from clearprop.lens.modules import Call, Group

MOST_VISIBLE = 36
"""Boxes are unfolded from the outside inwards as long as no more than so many can be seen."""


def nested(nodes: Sequence[Node], calls: Sequence[Call] = ()) -> list[dict[str, Any]]:
    """The groups of a run as JSON; the whole run first, outer before inner.

    Each has a label, the number of the group around it, its boxes (nodes by their place among those given, groups, and
    ports), and what `arrange` says of them: ranks and chains of the edges.

    >>> import clearprop as cp
    >>> x = cp.tensor(3.0, requires_grad=True)
    >>> (whole,) = nested(cp.Graph(x * x + 1.0).nodes)
    >>> whole["boxes"], whole["edges"], whole["ranks"]
    ([{'node': 0}, {'node': 1}, {'node': 2}], [(0, 1), (1, 2)], [[0], [1], [2]])
    """
    root = modules.tree(nodes, calls)
    groups = list(root.groups())
    numbers = {group: i for i, group in enumerate(groups)}
    place = {node: i for i, node in enumerate(nodes)}
    users: dict[Node, list[Node]] = {}
    for node in nodes:
        for parent in node.parents:
            if parent in place:
                users.setdefault(parent, []).append(node)
    is_open = _unfolded(root)
    return [
        {
            "label": group.label,
            "path": group.path,
            "about": group.about,
            "call": group.call,
            "parent": -1 if group.parent is None else numbers[group.parent],
            "open": group in is_open,
            **_laid_out(group, numbers, place, users),
        }
        for group in groups
    ]


def _unfolded(root: Group) -> set[Group]:
    """From the outside inwards, in each group all inner groups or none, while the whole can be overlooked."""
    visible, found, waiting = len(root.members), {root}, [root]
    while waiting:
        inner = [member for member in waiting.pop(0).members if isinstance(member, Group)]
        more = sum(len(group.members) - 1 for group in inner)
        if visible + more <= MOST_VISIBLE:
            visible += more
            waiting += inner
            found |= set(inner)
    return found


def _laid_out(
    group: Group, numbers: dict[Group, int], place: dict[Node, int], users: dict[Node, list[Node]]
) -> dict[str, Any]:
    """The boxes of one group, and their layout."""
    boxes: list[dict[str, Any]] = []
    box_of: dict[Node, int] = {}
    for member in group.members:
        inside = member.nodes() if isinstance(member, Group) else [member]
        box_of |= dict.fromkeys(inside, len(boxes))
        boxes.append({"group": numbers[member]} if isinstance(member, Group) else {"node": place[member]})
    edges = {
        (box_of[parent], box): None
        for node, box in box_of.items()
        for parent in node.parents
        if parent in box_of and box_of[parent] != box
    }
    entering = {box_of[node] for node in box_of if any(p in place and p not in box_of for p in node.parents)}
    leaving = {box_of[node] for node in box_of if any(user not in box_of for user in users.get(node, ()))}
    if entering:
        edges |= {(len(boxes), box): None for box in sorted(entering)}
        boxes.append({"port": "in"})
    if leaving:
        edges |= {(box, len(boxes)): None for box in sorted(leaving)}
        boxes.append({"port": "out"})
    layers = arrange(len(boxes), edges)
    return {"boxes": boxes, "edges": list(edges), "ranks": layers.ranks, "chains": layers.chains}
