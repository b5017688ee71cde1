"""Contributions by path: which ways a gradient takes from an output to an input, and how much comes over each.

The number of paths grows exponentially with depth, so they are grouped, by what `Grouping` says, and each group is
backpropagated by itself, in one walk over the graph: at every node there is one part of the upstream gradient for each
group. The parts add up to the gradient, as the rules are linear.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from clearprop.arguments import whole
from clearprop.autodiff.backward import accumulate
from clearprop.lens.answers import Answer
from clearprop.lens.figures import count, figure, json_count, json_number, number, percent
from clearprop.lens.grouping import ByPath, Grouping, Key, choose
from clearprop.lens.layout import (
    DIM,
    HEAD,
    HEADING,
    NAME,
    REMARK,
    VALUE,
    Line,
    Span,
    cut,
    in_columns,
    wrapped,
)
from clearprop.lens.pushing import Between, norm, remarks_on, share
from clearprop.lens.rows import Row, as_data

if TYPE_CHECKING:
    from clearprop.lens.tape import Tape

MOST_GROUPS = 64
"""So many groups are told apart unless somebody asks for more."""

_OTHERS: Key = ("others",)
_BAR = 10
_SHOWN = 24


class _Part(NamedTuple):
    """A part of an upstream gradient, and over how many paths it came."""

    g: Any
    paths: int


class PathGroup(NamedTuple):
    """What comes over some of the paths.

    Attributes:
        title: which paths they are.
        paths: how many.
        contribution: their part of the gradient.
        share: how much of the gradient that is, see `clearprop.lens.pushing.share`. Shares add up to 1.
        norm: the Euclidean norm of the contribution.
        rows: of a single path, the nodes on it, from the output to the input; else empty.
    """

    title: str
    paths: int
    contribution: Any
    share: float
    norm: float
    rows: Sequence[Row]


class Paths(Answer):
    """The ways from an output to an input, with what each of them contributes to the gradient.

    Attributes:
        output, input: the rows between which they run.
        by: how they are grouped.
        count: how many there are.
        groups: by time or position where the grouping has such an order, else the largest share first.
        total: the sum of all contributions.
        gradient: what the tape says that arrived at the input in the last pass; None if nothing did.
        remarks: what to know about the numbers.
    """

    title = "Paths"

    def __init__(self, between: Between, grouping: Grouping, groups: Sequence[PathGroup], total: Any) -> None:
        self.output, self.input = between.output, between.input
        self.by = grouping.name
        self.count = between.counts()[between.output] if between.rows else 0
        self.groups = list(groups)
        self.total = total
        self.gradient = self.input.visits[-1].upstream if self.input.visits else None
        self.remarks = remarks_on(between, [group.contribution for group in groups], total) if groups else []

    def lines(self, width: int = 80) -> list[Line]:
        """A line for each group, in styled lines that fit the width."""
        paths = f"{count(self.count)} path{'' if self.count == 1 else 's'}"
        title = [
            Span(f"Paths from {self.output.label} to {self.input.label}", HEADING),
            Span(f"  {paths}, {self.by}" if self.count > 1 else f"  {paths}", DIM),
        ]
        if not self.groups:
            return wrapped([*title, Span(": no gradient flows from one to the other")], width)
        is_number = np.ndim(self.total) == 0 and not isinstance(self.total, dict)
        head = [Span(name, HEAD) for name in ("share", "", "contribution" if is_number else "norm", "paths", "which")]
        shown = self._largest()
        rows = [self._cells(group, is_number) for group in shown]
        room = width - sum(max(len(row[i].text) for row in [head, *rows]) for i in range(4)) - 14
        rows = [[*row[:4], Span(cut(row[4].text, max(room, 20)), NAME)] for row in rows]
        lines = [title, *in_columns([head, *rows], "><>><")]
        if len(shown) < len(self.groups):
            rest = sum(group.share for group in self.groups if all(group is not one for one in shown))
            more = len(self.groups) - len(shown)
            lines.append([Span(f"  … and {more:,} smaller groups, together {percent(rest)}: see groups", DIM)])
        lines.append([Span(f"  ∂{self.output.label}/∂{self.input.label} = "), Span(figure(self.total), VALUE)])
        lines += [[Span("  "), Span(remark, REMARK)] for remark in self.remarks]
        return [piece for line in lines for piece in wrapped(line, width)]

    def _largest(self) -> list[PathGroup]:
        """As many groups as are shown, in their order."""
        if len(self.groups) <= _SHOWN:
            return self.groups
        sizes = sorted((group.norm for group in self.groups), reverse=True)
        return [group for group in self.groups if group.norm >= sizes[_SHOWN - 1]][-_SHOWN:]

    def _cells(self, group: PathGroup, is_number: bool) -> list[Span]:
        largest = max((abs(one.share) for one in self.groups if np.isfinite(one.share)), default=0.0)
        length = abs(group.share) / largest * _BAR if largest and np.isfinite(group.share) else 0.0
        return [
            Span(percent(group.share), VALUE),
            Span(("▇" if group.share > 0 else "░") * round(length), DIM),
            Span(figure(group.contribution) if is_number else number(group.norm)),
            Span(count(group.paths)),
            Span(group.title, NAME),
        ]

    def as_dict(self) -> dict[str, Any]:
        """The same for machines: strings, numbers, lists and dicts."""
        return {
            "output": self.output.label,
            "input": self.input.label,
            "by": self.by,
            "paths": json_count(self.count),
            "groups": [
                {
                    "title": group.title,
                    "paths": json_count(group.paths),
                    "share": json_number(group.share),
                    "norm": json_number(group.norm),
                    "nodes": [row.label for row in group.rows],
                }
                for group in self.groups
            ],
            "norm": json_number(norm(self.total)),
            "remarks": self.remarks,
        }

    def __repr__(self) -> str:
        ends = f"from {self.output.label} to {self.input.label}"
        return f"<Paths {ends}: {count(self.count)} in {len(self.groups)} groups>"


def paths(tape: Tape, output: Any, w: Any, by: Any = None, *, limit: int = MOST_GROUPS) -> Paths:
    """See `Tape.paths`."""
    whole("paths", "limit", limit)
    between = Between(tape, tape[output], tape[w])
    grouping = choose(between, by, limit)
    if not between.rows:
        return Paths(between, grouping, [], None)
    parts = _arriving(between, grouping, limit)
    total = _sum([part.g for part in parts.values()])
    return Paths(between, grouping, _in_order(grouping, parts, total), total)


def _in_order(grouping: Grouping, parts: dict[Key, _Part], total: Any) -> list[PathGroup]:
    """The groups in the order of the grouping, or the largest share first; what was put together last."""
    groups = {
        key: PathGroup(
            f"other {count(part.paths)} paths, the smallest" if key == _OTHERS else grouping.title(key),
            part.paths, part.g, share(part.g, total), norm(part.g),
            grouping.rows(key) if part.paths == 1 and key != _OTHERS else (),
        )
        for key, part in parts.items()
    }  # fmt: skip
    known = [key for key in parts if key != _OTHERS]
    order = grouping.order(known) or sorted(known, key=lambda key: _size(groups[key]), reverse=True)
    return [groups[key] for key in [*order, *(key for key in parts if key == _OTHERS)]]


def _size(group: PathGroup) -> float:
    return abs(group.share) if np.isfinite(group.share) else group.norm


def _arriving(between: Between, grouping: Grouping, limit: int) -> dict[Key, _Part]:
    """By group, what arrives at the input: one walk from the output down, with a part for each group at every node."""
    waiting: dict[Row, dict[Key, _Part]] = {between.output: {(): _Part(as_data(between.start), 1)}}
    for row in reversed(between.rows):
        parts = _lumped(_split(grouping, row, waiting.pop(row, {})), limit)
        if row is between.input:
            return parts
        edges = between.edges(row)
        for key, part in parts.items():
            contributions = between.push(row, part.g)
            for i in edges:
                if i not in contributions:
                    continue
                parent = waiting.setdefault(between.parent(row, i), {})
                longer = key if key == _OTHERS else grouping.extend(key, row, i)
                held = parent.get(longer)
                g = contributions[i] if held is None else as_data(accumulate(held.g, contributions[i]))
                parent[longer] = _Part(g, part.paths + (0 if held is None else held.paths))
    return {}


def by_path(between: Between) -> Sequence[tuple[Row, int]]:
    """The edges of the path with the largest share, all paths being compared."""
    grouping = ByPath(between)
    parts = _arriving(between, grouping, MOST_GROUPS)
    total = _sum([part.g for part in parts.values()])

    def weight(key: Key) -> float:
        part = share(parts[key].g, total)
        return part if np.isfinite(part) else norm(parts[key].g)

    return grouping.steps(max(parts, key=weight))


def _split(grouping: Grouping, row: Row, parts: dict[Key, _Part]) -> dict[Key, _Part]:
    """The parts cut into slices, at the node where the grouping wants that; else as they are."""
    axis = grouping.sliced_axis(row)
    if axis is None:
        return parts
    found: dict[Key, _Part] = {}
    for key, part in parts.items():
        for i in range(part.g.shape[axis]):
            piece = np.zeros(part.g.shape, part.g.dtype)
            place = tuple(slice(i, i + 1) if j == axis else slice(None) for j in range(piece.ndim))
            piece[place] = part.g[place]
            found[(*key, i)] = _Part(piece, part.paths)
    return found


def _lumped(parts: dict[Key, _Part], limit: int) -> dict[Key, _Part]:
    """At most so many groups, and one more: of the others together, which are the smallest at this node."""
    known = [key for key in parts if key != _OTHERS]
    if len(known) <= limit:
        return parts
    known.sort(key=lambda key: norm(parts[key].g), reverse=True)
    rest = [*known[limit:], *([_OTHERS] if _OTHERS in parts else [])]
    others = _Part(_sum([parts[key].g for key in rest]), sum(parts[key].paths for key in rest))
    return {key: parts[key] for key in known[:limit]} | {_OTHERS: others}


def _sum(values: Iterable[Any]) -> Any:
    total = None
    for value in values:
        total = value if total is None else as_data(accumulate(total, value))
    return total
