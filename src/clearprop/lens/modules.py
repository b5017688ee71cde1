"""The nodes of a run as a tree: one group for each call of a module, inside it those of its parts, down to the nodes.

Nodes are numbered in run order, and what one call computes is an interval of these numbers. Groups that are intervals
have no edges between them that form a circle, at any level: so each level can be drawn in layers by itself. Parameters
belong to the smallest group that has all their users.

A tape knows when modules were called. A graph alone knows only the path of each node; then a call ends where a node of
something else follows.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, TypeAlias

from clearprop.graph import Node
from clearprop.source import describe, line_number

_LINES_FROM = 8  # so many nodes beside one another, outside of any part: those of one line are put in a group
_NODES_OF_A_LINE = 3  # fewer need no group
_LONG_RUN = 16  # more equal blocks than that in a row are put in a group, but for the first and the last
_SHOWN_IN_FRONT = 2
_LONGEST_PERIOD = 8


@dataclass
class Call:
    """A call of a module.

    Attributes:
        module: the module.
        first, last: its nodes have numbers between these; ``last`` is infinite while the call goes on.
    """

    module: Any
    first: float
    last: float = math.inf

    @property
    def is_network(self) -> bool:
        """Whether the module is a whole network, and not a part of one."""
        return not self.module.path and any(True for _ in self.module.children())


@dataclass(eq=False)
class Group:
    """Nodes that belong together: a call of a module, a line of the user's code, equal blocks, or the whole run.

    Attributes:
        path: of the module whose code it is, or the class of one that has none; empty outside of modules.
        label: what it is called inside the group around it, e.g. ``"attn.q_proj"``.
        about: the module's class and settings, or the place of the line, where known; else empty.
        parent: the group around it; None for the whole run.
        members: nodes and groups. Leaves come first, the others in run order.
        call: counts the calls of a module from 1, in run order.
    """

    path: str
    label: str
    about: str = ""
    parent: Group | None = None
    members: list[Member] = field(default_factory=list)
    call: int = 1

    def nodes(self) -> Iterator[Node]:
        """All nodes inside, at any depth."""
        for member in self.members:
            if isinstance(member, Group):
                yield from member.nodes()
            else:
                yield member

    def groups(self) -> Iterator[Group]:
        """The group itself and all inside it, outer before inner."""
        yield self
        for member in self.members:
            if isinstance(member, Group):
                yield from member.groups()

    def outwards(self) -> Iterator[Group]:
        """The group itself, the one around it, and so on to the whole run."""
        group: Group | None = self
        while group is not None:
            yield group
            group = group.parent

    def __repr__(self) -> str:
        return f"<Group {self.label!r} of {len(self.members)} members>"


Member: TypeAlias = Node | Group


def tree(nodes: Iterable[Node], calls: Sequence[Call] = (), *, by_line: bool = True) -> Group:
    """The whole run as a group, with the groups of all calls inside; in linear time.

    Args:
        nodes: of a tape or a graph.
        calls: of modules, as far as they were observed.
        by_line: also put many nodes outside of modules into groups by the user's source line.

    >>> import clearprop as cp
    >>> model = cp.nn.Sequential(cp.nn.Linear(2, 3), cp.nn.ReLU(), cp.nn.Linear(3, 1))
    >>> run = tree(cp.Graph(model(cp.ones((4, 2))).sum()).nodes)
    >>> [member.label if isinstance(member, Group) else member.name for member in run.members]
    ['0', 'relu', '2', 'sum']
    """
    ordered = sorted(nodes, key=attrgetter("number"))
    root = Group("", "")
    home = _in_calls(root, ordered, calls) if calls else _by_path(root, ordered)
    _add_leaves(root, ordered, home)
    for group in list(root.groups()):
        if by_line:
            group.members = _in_lines(group)
        group.members = _shortened(group)
    _dissolve(root)
    return root


def _in_calls(root: Group, nodes: Sequence[Node], calls: Sequence[Call]) -> dict[Node, Group]:
    """Put each node that is no leaf into the group of the innermost call that it was computed in."""
    begin = next((node.number for node in nodes if not node.is_leaf), 0)
    calls = [call for call in calls if call.last > begin]  # a tape of the last steps has forgotten what others computed
    networks = [call for call in calls if call.is_network]
    waiting = deque(call for call in calls if len(networks) > 1 or not call.is_network)  # one network is the whole run
    counts: dict[str, int] = {}
    home: dict[Node, Group] = {}
    group, ends = root, [math.inf]
    for node in nodes:
        if node.is_leaf:
            continue
        while waiting and waiting[0].first < node.number:
            call = waiting.popleft()
            while ends[-1] < call.first:
                ends.pop()
                group = group.parent or root
            name = call.module.path or type(call.module).__name__
            group = _opened(group, name, _about(call.module), counts)
            ends.append(call.last)
        while ends[-1] < node.number:
            ends.pop()
            group = group.parent or root
        group.members.append(node)
        home[node] = group
    return home


def _by_path(root: Group, nodes: Sequence[Node]) -> dict[Node, Group]:
    """Put each node that is no leaf into the group of its path, as long as nothing else comes between."""
    counts: dict[str, int] = {}
    home: dict[Node, Group] = {}
    group = root
    for node in nodes:
        if node.is_leaf:
            continue
        while group.path and not f"{node.module}.".startswith(f"{group.path}."):
            group = group.parent or root
        inner = node.module[len(group.path) :].strip(".")
        for part in inner.split(".") if inner else ():
            group = _opened(group, f"{group.path}.{part}".strip("."), "", counts)
        group.members.append(node)
        home[node] = group
    return home


def _opened(around: Group, path: str, about: str, counts: dict[str, int]) -> Group:
    """A new group inside another one."""
    label = path.removeprefix(f"{around.path}.") if around.path else path
    call = counts[path] = counts.get(path, 0) + 1
    inner = Group(path, label, about, around, [], call)
    around.members.append(inner)
    return inner


def _about(module: Any) -> str:
    """``Linear(2, 16)``."""
    return f"{type(module).__name__}({module.extra_repr()})".removesuffix("()")


def _add_leaves(root: Group, nodes: Sequence[Node], home: dict[Node, Group]) -> None:
    users: dict[Node, list[Group]] = {}
    for node, group in home.items():
        for parent in node.parents:
            if parent is not None:
                users.setdefault(parent, []).append(group)
    added: dict[Group, list[Member]] = {}
    for node in nodes:
        if node.is_leaf:
            added.setdefault(_smallest_around(root, users.get(node, [])), []).append(node)
    for group, leaves in added.items():
        group.members = [*leaves, *group.members]


def _smallest_around(root: Group, groups: Sequence[Group]) -> Group:
    """The smallest group that has all of these inside."""
    distinct = list(dict.fromkeys(groups))
    if not distinct:
        return root
    common = list(distinct[0].outwards())
    for other in distinct[1:]:
        around = set(other.outwards())
        common = [group for group in common if group in around]
    return common[0]


def _dissolve(group: Group) -> None:
    """Let groups of one member give way to it, and groups of nothing vanish."""
    members: list[Member] = []
    for member in group.members:
        while isinstance(member, Group) and len(member.members) == 1:
            only = member.members[0]
            if isinstance(only, Group):
                only.label, only.about = f"{member.label}.{only.label}".strip("."), only.about or member.about
            member = only
        if isinstance(member, Group):
            member.parent = group
            _dissolve(member)
        if not isinstance(member, Group) or member.members:
            members.append(member)
    group.members = members


# Lines of the user's code --------------------------------------------------------------------------------------------


def _in_lines(group: Group) -> list[Member]:
    """The members, with nodes of one line of code in a group, where a level has many nodes of several lines."""
    loose = [member for member in group.members if isinstance(member, Node) and not member.is_leaf]
    if len(loose) < _LINES_FROM or len({_line(node) for node in loose}) < 2:
        return group.members
    members: list[Member] = []
    for run in _runs(group.members):
        if len(run) < _NODES_OF_A_LINE:
            members += run
            continue
        first = run[0]
        assert isinstance(first, Node)
        place, _, text = describe(first.position).partition(": ")
        members.append(Group(group.path, text or place, place, group, run))
    return members


def _runs(members: Sequence[Member]) -> Iterator[list[Member]]:
    """Neighbours of one line; of a loop, those of one pass through it. What has no line is alone."""
    run: list[Member] = []
    for member in members:
        if run and not _goes_on(run[-1], member):
            yield run
            run = []
        run.append(member)
    if run:
        yield run


def _goes_on(before: Member, member: Member) -> bool:
    if isinstance(before, Group) or isinstance(member, Group) or before.is_leaf or member.is_leaf:
        return False
    if before.position is None or member.position is None or _line(before) != _line(member):
        return False
    return member.position[1] >= before.position[1]  # in a loop the next pass begins with an earlier instruction


def _line(node: Node) -> tuple[Any, int] | None:
    return None if node.position is None else (node.position[0], line_number(node.position))


# Equal blocks --------------------------------------------------------------------------------------------------------


def _shortened(group: Group) -> list[Member]:
    """The members; of many equal blocks in a row the first, the last, and one group of all between."""
    kinds = [_kind(member) for member in group.members]
    start, period, count = _longest_repetition(kinds)
    if count <= _LONG_RUN:
        return group.members
    first, last = start + _SHOWN_IN_FRONT * period, start + (count - 1) * period
    hidden = count - _SHOWN_IN_FRONT - 1
    between = Group(group.path, f"… {hidden} more alike …", "", group, group.members[first:last])
    for member in between.members:
        if isinstance(member, Group):
            member.parent = between
    return [*group.members[:first], between, *group.members[last:]]


def _kind(member: Member) -> str:
    if isinstance(member, Node):
        return member.name if not member.is_leaf else ""
    return re.sub(r"\d+", "#", f"{member.label} {member.about}") + f" {len(member.members)}"


def _longest_repetition(kinds: Sequence[str]) -> tuple[int, int, int]:
    """Where the most equal blocks in a row begin, how many members each has, and how many blocks there are."""
    best = (0, 1, 0)
    for period in range(1, min(_LONGEST_PERIOD, len(kinds) // 2) + 1):
        start = 0
        for i in range(len(kinds) - period + 1):
            equal = i + period < len(kinds) and kinds[i] == kinds[i + period] != ""
            if not equal:
                count = (i - start) // period + 1
                if count * period > best[1] * best[2] and count > 1:
                    best = (start, period, count)
                start = i + 1
    return best
