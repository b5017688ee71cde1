"""Pictures of graphs: small ones node by node with all numbers, large ones folded by modules.

`contents` says what stands in the boxes, `frames` lays them out, `svg` writes the picture, `saving` puts it in a file.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, TypeGuard

from clearprop.errors import UsageError
from clearprop.graph import Node
from clearprop.lens.drawing.frames import Picture
from clearprop.lens.drawing.saving import Svg
from clearprop.lens.drawing.svg import drawn
from clearprop.lens.modules import Group, Member, tree
from clearprop.lens.rows import Row

if TYPE_CHECKING:
    from clearprop.lens.tape import Tape

IN_FULL = 24
"""Up to so many nodes a picture shows formulas and numbers."""

OVERLOOKED = 40
"""Groups are unfolded from the outside inwards as long as there are no more boxes than that."""


class Drawing(Svg):
    """A picture of a graph. A notebook shows it by itself.

    Attributes:
        svg: the picture as text; it needs nothing else, and is light or dark as the reader has chosen.
        name: of the node that the graph computes.
        nodes: how many nodes the graph has; a folded picture has fewer boxes.
    """

    def __init__(self, svg: str, name: str, nodes: int) -> None:
        super().__init__(svg, "Graph")
        self.name = name
        self.nodes = nodes

    def __repr__(self) -> str:
        return f'<Drawing of {self.name}, {self.nodes:,} nodes: .svg, .save("{self.name}.svg")>'


def draw(tape: Tape, *, depth: int | None = None, unfold: str | Iterable[str] = ()) -> Drawing:
    """A picture of a tape, see `Tape.draw`."""
    rows = {row.node: row for row in tape.rows}
    if not rows:
        hint = "compute a loss inside the block, from a parameter, and not in no_grad()"
        raise UsageError("draw: there is nothing on the tape", hint=hint)
    in_full = len(rows) <= IN_FULL
    root = tree(rows, tape.calls, by_line=not in_full)
    opened = _opened(root, depth, [unfold] if isinstance(unfold, str) else list(unfold), everything=in_full)
    frame = Picture(rows, opened.__contains__, in_full=in_full).frame(root)
    has_gradients = any(row.users or row.visits for row in rows.values())
    name = max(rows.values(), key=attrgetter("number")).label
    title = f"Graph of {name}: {len(rows):,} nodes"
    picture = drawn(frame, title, _description(root, rows), has_gradients=has_gradients)
    return Drawing(picture, name, len(rows))


# What is unfolded ----------------------------------------------------------------------------------------------------


def _opened(root: Group, depth: int | None, paths: Sequence[str], *, everything: bool) -> set[Group]:
    if depth is not None:
        opened = _to_depth(root, depth)
    elif everything:
        opened = set(root.groups())
    else:
        opened = _overlooked(root)
    for path in paths:
        opened.update(_group_at(root, path).outwards())
    return opened


def _to_depth(root: Group, depth: int) -> set[Group]:
    if depth < 1:
        raise UsageError(f"draw: depth is {depth}", hint="depth=1 for the outermost modules, 2 for what is inside them")
    return {group for group in root.groups() if sum(1 for _ in group.outwards()) <= depth}


def _overlooked(root: Group) -> set[Group]:
    """From the outside inwards, of one level all groups or none: first those with groups inside, then any."""
    opened, visible = {root}, len(root.members)
    for is_worth_it in (_has_groups, _is_group):
        level = [root]
        while level:
            inner = [member for group in level for member in group.members if is_worth_it(member)]
            visible += sum(len(group.members) - 1 for group in inner if group not in opened)
            if visible > OVERLOOKED:
                return opened
            opened.update(inner)
            level = inner
    return opened


def _is_group(member: Member) -> TypeGuard[Group]:
    return isinstance(member, Group)


def _has_groups(member: Member) -> TypeGuard[Group]:
    return isinstance(member, Group) and any(isinstance(inner, Group) for inner in member.members)


def _group_at(root: Group, path: str) -> Group:
    found = next((group for group in root.groups() if path and path in (group.path, group.label)), None)
    if found is None:
        known = list(dict.fromkeys(group.path for group in root.groups() if group.path))
        close = difflib.get_close_matches(path, known, n=3) or known[:10]
        raise UsageError(f"draw: no module {path!r} ran", hint=f"unfold={close[0]!r}" if close else "depth=2")
    return found


# In words ------------------------------------------------------------------------------------------------------------


def _description(root: Group, rows: Mapping[Node, Row]) -> str:
    """What is computed from what, for those who do not see the picture."""
    parts = []
    for member in root.members[:OVERLOOKED]:
        if isinstance(member, Group):
            parts.append(f"{member.label} {member.about}".strip())
        else:
            row = rows[member]
            parts.append(f"{row.label} = {row.formula}" if row.formula else row.label)
    more = len(root.members) - OVERLOOKED
    return "; ".join([*parts, *([f"and {more:,} more"] if more > 0 else [])]) + "."
