"""A picture as frames within frames: each unfolded group is laid out by itself, and is a box in the group around it.

A wire that crosses the border of a frame does so at a port, a place without a box at its upper or lower edge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from clearprop.graph import Node
from clearprop.lens.coordinates import Gaps, Placement, Point, Ports, Size, place
from clearprop.lens.drawing import contents
from clearprop.lens.drawing.contents import LINE, Contents, Text
from clearprop.lens.layered import arrange
from clearprop.lens.layout import cut
from clearprop.lens.modules import Group, Member
from clearprop.lens.rows import Edge, Row

HEADER, PAD = 26.0, 12.0
"""Of a frame: the height of its title, and the space between its border and what is inside."""

LABEL = 13.0
"""The height of a line of text at a wire."""

PORT: Size = (0.0, 0.0)
_GAPS = Gaps(across=20.0, along=26.0, ports=16.0)
_LONGEST_TITLE = 36  # characters in one line
_LEAF_WEIGHT = 0.05  # parameters stand beside the way of the data


@dataclass(frozen=True)
class Wire:
    """What carries a value to a box, and its gradient back.

    Attributes:
        source: the node whose value it is.
        start: the item that it leaves, by its number in the frame; a higher number for a port.
        edges: along which contributions came back, all inside the box.
        labels: what stands at its lower end.
        route: see `Placement`; in the coordinates of its frame.
    """

    source: Node
    start: int
    edges: Sequence[Edge]
    labels: Sequence[Text]
    route: list[Point] = field(default_factory=list)


@dataclass(frozen=True)
class Box:
    """A node or a folded group.

    Attributes:
        member: what it stands for.
        contents: the lines inside.
        above, below: space for the labels of wires that enter and leave it.
    """

    member: Member
    contents: Contents
    width: float
    above: float
    below: float

    @property
    def size(self) -> Size:
        """With the space for labels."""
        return self.width, self.above + self.contents.height + self.below


@dataclass(frozen=True)
class Frame:
    """An unfolded group.

    Attributes:
        group: what it stands for.
        title: its lines.
        items: boxes and frames inside, with their upper left corners.
        wires: inside it.
        size: with title and margins.
        entering, leaving: where values cross its upper and lower border, as distances from its left side.
    """

    group: Group
    title: Sequence[Text]
    items: list[tuple[Point, Item]]
    wires: list[Wire]
    size: Size
    entering: Mapping[Node, float]
    leaving: Mapping[Node, float]


Item: TypeAlias = Box | Frame


class Picture:
    """Lays out a run.

    Args:
        rows: of the run, by node.
        is_open: which groups are unfolded.
        in_full: whether boxes show formulas and numbers, and wires local derivatives.
    """

    def __init__(self, rows: Mapping[Node, Row], is_open: Callable[[Group], bool], *, in_full: bool) -> None:
        self.rows = rows
        self.is_open = is_open
        self.in_full = in_full
        self.users: dict[Node, list[tuple[Node, int]]] = {}
        for node in rows:
            for i, parent in enumerate(node.parents):
                if parent is not None and parent in rows:
                    self.users.setdefault(parent, []).append((node, i))

    def frame(self, group: Group) -> Frame:
        """The frame of an unfolded group."""
        inner = {member: self.frame(member) for member in _groups(group.members) if self.is_open(member)}
        level = _Level(self, group, inner)
        return level.frame()

    def edges(self, source: Node, users: Iterable[tuple[Node, int]]) -> list[Edge]:
        """The edges over which these uses of a node sent contributions back."""
        wanted = set(users)
        return [edge for edge in self.rows[source].users if (edge.row.node, edge.index) in wanted]


def _groups(members: Iterable[Member]) -> list[Group]:
    return [member for member in members if isinstance(member, Group)]


class _Level:
    """The members of one group and the wires between them; edges from and to the inside of members end at these."""

    def __init__(self, picture: Picture, group: Group, inner: Mapping[Group, Frame]) -> None:
        self.picture = picture
        self.group = group
        self.members = group.members
        self.inner = inner
        self.box_of: dict[Node, int] = {}
        for i, member in enumerate(self.members):
            for node in member.nodes() if isinstance(member, Group) else (member,):
                self.box_of[node] = i
        self.edges: list[tuple[int, int]] = []
        self.wires: list[Wire] = []
        self.inputs, self.outputs = self._join()

    def _join(self) -> tuple[list[Node], list[Node]]:
        """Make the wires; the nodes whose values enter, and those whose values leave."""
        inputs, outputs = dict[Node, int](), dict[Node, int]()
        count = len(self.members)
        for node in self.box_of:
            for parent in node.parents:
                if parent is not None and parent in self.picture.rows and parent not in self.box_of:
                    inputs.setdefault(parent, count + len(inputs))
        for node in self.box_of:
            if any(user not in self.box_of for user, _ in self.picture.users.get(node, ())):
                outputs[node] = count + len(inputs) + len(outputs)
        for source in [*inputs, *self.box_of]:
            start = inputs[source] if source in inputs else self.box_of[source]
            for end, uses in self._uses(source, start).items():
                self._connect(source, start, end[0], uses)
            if source in outputs:
                outside = [use for use in self.picture.users[source] if use[0] not in self.box_of]
                self.edges.append((start, outputs[source]))
                self.wires.append(Wire(source, start, self.picture.edges(source, outside), ()))
        return list(inputs), list(outputs)

    def _uses(self, source: Node, start: int) -> dict[tuple[int, int], list[tuple[Node, int]]]:
        """The uses of a value by box; those of a node that uses it twice apart."""
        found: dict[tuple[int, int], list[tuple[Node, int]]] = {}
        for user, i in self.picture.users.get(source, ()):
            box = self.box_of.get(user, start)
            if box != start:
                found.setdefault((box, i if self.members[box] is user else -1), []).append((user, i))
        return found

    def _connect(self, source: Node, start: int, end: int, uses: list[tuple[Node, int]]) -> None:
        edges = self.picture.edges(source, uses)
        at_node = self.picture.in_full and isinstance(self.members[end], Node)
        self.edges.append((start, end))
        self.wires.append(Wire(source, start, edges, contents.at_edge(edges[-1]) if at_node and edges else ()))

    def frame(self) -> Frame:
        """The finished frame."""
        items = [self.inner[m] if m in self.inner else self._box(i) for i, m in enumerate(self.members)]  # type: ignore[index]
        count = len(items)
        sizes = [item.size for item in items] + [PORT] * (len(self.inputs) + len(self.outputs))
        weights = [_LEAF_WEIGHT if wire.source.is_leaf else 1.0 for wire in self.wires]
        first, last = range(count, count + len(self.inputs)), range(count + len(self.inputs), len(sizes))
        layers = arrange(len(sizes), self.edges, weights, first=first, last=last)
        gaps = Gaps(_GAPS.across, _GAPS.along, 1e6 if self.picture.in_full else _GAPS.ports)
        placement = place(layers, sizes, gaps, self._ports(items))
        return self._framed(items, placement)

    def _box(self, i: int) -> Box:
        member, rows = self.members[i], self.picture.rows
        if isinstance(member, Group):
            inside = contents.of_group(member, rows)
        else:
            in_words = contents.of_row if self.picture.in_full else contents.of_row_in_brief
            inside = in_words(rows[member], self.group)
        arriving = [wire.labels for wire, (_, end) in zip(self.wires, self.edges, strict=True) if end == i]
        slot = max((contents.text_width(len(label.text)) + 14 for labels in arriving for label in labels), default=0.0)
        above = max((len(labels) * LABEL for labels in arriving), default=0.0)
        shapes = [wire.source for wire, (start, _) in zip(self.wires, self.edges, strict=True) if start == i]
        below = LABEL if any(contents.shape_of(node) for node in shapes) else 0.0
        return Box(member, inside, max(inside.width, slot * len(arriving)), above, below)

    def _ports(self, items: Sequence[Item]) -> Ports:
        """Edges meet the borders of frames where the wires inside go on."""
        leaving, entering = dict[int, float](), dict[int, float]()
        for i, (wire, (start, end)) in enumerate(zip(self.wires, self.edges, strict=True)):
            source, target = (items[box] if box < len(items) else None for box in (start, end))
            if isinstance(source, Frame):
                leaving[i] = source.leaving[wire.source]
            if isinstance(target, Frame):
                entering[i] = target.entering[wire.source]
        return Ports(leaving, entering)

    def _framed(self, items: list[Item], placement: Placement) -> Frame:
        title = _title(self.group) if self.group.parent is not None else []
        top = HEADER + (len(title) - 1) * LINE if title else 0.0
        side = PAD if title else 0.0
        shift = Point(side, top)
        wide = max((contents.text_width(len(line.text)) for line in title), default=0.0) + 2 * PAD
        size = (max(placement.size[0] + 2 * side, wide), placement.size[1] + top + side)
        placed = [(_moved(corner, shift), item) for corner, item in zip(placement.corners, items, strict=False)]
        wires = [
            self._routed(i, [_moved(p, shift) for p in placement.routes[i]], items, size)
            for i in range(len(self.edges))
        ]
        count = len(items)
        ports = [corner.x + side for corner in placement.corners[count:]]
        entering = dict(zip(self.inputs, ports, strict=False))
        leaving = dict(zip(self.outputs, ports[len(self.inputs) :], strict=True))
        return Frame(self.group, title, placed, wires, size, entering, leaving)

    def _routed(self, i: int, route: list[Point], items: Sequence[Item], size: Size) -> Wire:
        """A wire with its route from border to border: past the labels of boxes, and out to the border of the frame."""
        start, end = self.edges[i]
        source, target = (items[box] if box < len(items) else None for box in (start, end))
        top, bottom = route[0], route[-1]
        if isinstance(source, Box):
            top = Point(top.x, top.y - source.below)
        elif source is None:
            top = Point(top.x, 0.0)
        if isinstance(target, Box):
            bottom = Point(bottom.x, bottom.y + target.above)
        elif target is None:
            bottom = Point(bottom.x, size[1])
        wire = self.wires[i]
        return Wire(wire.source, start, wire.edges, wire.labels, [top, *route[1:-1], bottom])


def _title(group: Group) -> list[Text]:
    text, about = contents.title_of(group), contents.about_of(group)
    if len(text) + len(about) <= _LONGEST_TITLE:
        return [Text(f"{text}  {about}".rstrip(), "title")]
    lines = [Text(text, "title"), Text(about, "about")] if about else [Text(text, "title")]
    return [Text(cut(line.text, _LONGEST_TITLE), line.role) for line in lines]


def _moved(point: Point, by: Point) -> Point:
    return Point(round(point.x + by.x, 1), round(point.y + by.y, 1))
