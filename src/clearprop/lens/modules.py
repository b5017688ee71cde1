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
from itertools import groupby
from operator import attrgetter
from typing import Any, TypeAlias

from clearprop.graph import Node
from clearprop.source import describe, line_number

_LINES_FROM = 8  # so many nodes beside one another, outside of any part: those of one line are put in a group
_NODES_OF_A_LINE = 3  # fewer need no group
_LONG_RUN = 16  # more equal blocks than that in a row are put in a group, but for the first and the last
_SHOWN_IN_FRONT = 2
_LONGEST_PERIOD = 8  # members of a block
_LONGEST_ROUND, _SHORTEST_ROUND, _FEWEST_ROUNDS = 64, 4, 3
_MOST_AT_A_LEVEL, _PIECES = 100, 20  # a level of more members than that is put into so many pieces


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
    computed = [node for node in ordered if not node.is_leaf]
    if calls:
        _in_calls(root, computed, calls)
    else:
        _by_path(root, computed)
    for group in list(root.groups()):
        if by_line:
            _in_lines(group)
        _in_rounds(group)
        _shorten(group)
        _in_pieces(group)
    _add_leaves(root, [node for node in ordered if node.is_leaf])
    _dissolve(root)
    return root


def _in_calls(root: Group, nodes: Sequence[Node], calls: Sequence[Call]) -> None:
    """Put each node into the group of the innermost call that it was computed in."""
    begin = nodes[0].number if nodes else 0
    calls = [call for call in calls if call.last > begin]  # a tape of the last steps has forgotten what others computed
    networks = [call for call in calls if call.is_network]
    waiting = deque(call for call in calls if len(networks) > 1 or not call.is_network)  # one network is the whole run
    counts: dict[str, int] = {}
    group, ends = root, [math.inf]
    for node in nodes:
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


def _by_path(root: Group, nodes: Sequence[Node]) -> None:
    """Put each node into the group of its path, as long as nothing else comes between."""
    counts: dict[str, int] = {}
    group = root
    for node in nodes:
        while group.path and not f"{node.module}.".startswith(f"{group.path}."):
            group = group.parent or root
        inner = node.module[len(group.path) :].strip(".")
        for part in inner.split(".") if inner else ():
            group = _opened(group, f"{group.path}.{part}".strip("."), "", counts)
        group.members.append(node)


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


def _gathered(around: Group, label: str, about: str, members: list[Member]) -> Group:
    """A new group of some members of another, in whose place it is to stand."""
    inner = Group(around.path, label, about, around, members)
    for member in members:
        if isinstance(member, Group):
            member.parent = inner
    return inner


def _add_leaves(root: Group, leaves: Sequence[Node]) -> None:
    """Put each leaf into the smallest group that has all its users, in front."""
    users: dict[Node, list[Group]] = {leaf: [] for leaf in leaves}
    for group in root.groups():
        for parent in (parent for member in group.members if isinstance(member, Node) for parent in member.parents):
            if parent in users:
                users[parent].append(group)
    added: dict[Group, list[Member]] = {}
    for leaf in leaves:
        added.setdefault(_smallest_around(root, users[leaf]), []).append(leaf)
    for group, its_own in added.items():
        group.members = [*its_own, *group.members]


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


def _in_lines(group: Group) -> None:
    """Put nodes of one line of code into a group, where a level has many nodes of several lines."""
    loose = [member for member in group.members if isinstance(member, Node)]
    if len(loose) < _LINES_FROM or len({_line(node) for node in loose}) < 2:
        return
    members: list[Member] = []
    for run in _runs(group.members):
        first = run[0]
        if len(run) < _NODES_OF_A_LINE or isinstance(first, Group):
            members += run
            continue
        place, _, text = describe(first.position).partition(": ")
        members.append(_gathered(group, text or place, place, run))
    group.members = members


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
    if isinstance(before, Group) or isinstance(member, Group):
        return False
    if before.position is None or member.position is None or _line(before) != _line(member):
        return False
    return member.position[1] >= before.position[1]  # in a loop the next pass begins with an earlier instruction


def _line(node: Node) -> tuple[Any, int] | None:
    return None if node.position is None else (node.position[0], line_number(node.position))


# Equal blocks --------------------------------------------------------------------------------------------------------


def _shorten(group: Group) -> None:
    """Of many equal blocks in a row leave the first and the last, and put all between into one group."""
    start, period, count = _longest_repetition([_kind(member) for member in group.members], _LONGEST_PERIOD)
    if count <= _LONG_RUN:
        return
    first, last = start + _SHOWN_IN_FRONT * period, start + (count - 1) * period
    label = f"… {count - _SHOWN_IN_FRONT - 1} more alike …"
    between = _gathered(group, label, "", group.members[first:last])
    group.members = [*group.members[:first], between, *group.members[last:]]


def _kind(member: Member) -> str:
    """What equal blocks have in common."""
    if isinstance(member, Node):
        return member.name
    return re.sub(r"\d+", "#", f"{member.label} {member.about}") + f" {len(member.members)}"


def _longest_repetition(kinds: Sequence[str], longest: int) -> tuple[int, int, int]:
    """Where the most equal blocks in a row begin, how many members each has, and how many blocks there are."""
    best = (0, 1, 0)
    for period in range(1, min(longest, len(kinds) // 2) + 1):
        start = 0
        for i in range(len(kinds) - period + 1):
            equal = i + period < len(kinds) and kinds[i] == kinds[i + period]
            if not equal:
                count = (i - start) // period + 1
                if count * period > best[1] * best[2] and count > 1:
                    best = (start, period, count)
                start = i + 1
    return best


def _in_rounds(group: Group) -> None:
    """Where very many nodes repeat, as the time steps inside a recurrent module, put each round into a group."""
    for _ in range(_PIECES):
        if len(group.members) <= _MOST_AT_A_LEVEL:
            return
        kinds = [member.name if isinstance(member, Node) else str(i) for i, member in enumerate(group.members)]
        start, period, count = _longest_repetition(kinds, _LONGEST_ROUND)
        if period < _SHORTEST_ROUND or count < _FEWEST_ROUNDS:
            return
        rounds = [
            _gathered(group, f"round {i + 1} of {count}", "", group.members[at : at + period])
            for i, at in enumerate(range(start, start + count * period, period))
        ]
        group.members = [*group.members[:start], *rounds, *group.members[start + count * period :]]


def _in_pieces(group: Group) -> None:
    """Put very many members into pieces, and these too if they are large; groups among them stay if they are few."""
    count = len(group.members)
    if count <= _MOST_AT_A_LEVEL:
        return
    size = -(-count // _PIECES)
    groups = sum(map(_is_group, group.members))
    runs = [group.members] if groups > _MOST_AT_A_LEVEL // 2 else _loose_runs(group.members)
    pieces = [run[start : start + size] for run in runs for start in range(0, len(run), size)]
    count, i = sum(len(piece) > 1 for piece in pieces), 0
    group.members = []
    for piece in pieces:
        if len(piece) > 1:
            i += 1
            inner = _gathered(group, f"part {i} of {count}", "", piece)
            group.members.append(inner)
            _in_pieces(inner)
        else:
            group.members += piece


def _loose_runs(members: Sequence[Member]) -> Iterator[list[Member]]:
    """Nodes that follow one another, and each group alone."""
    for are_groups, run in groupby(members, _is_group):
        found = list(run)
        yield from [[member] for member in found] if are_groups else [found]


def _is_group(member: Member) -> bool:
    return isinstance(member, Group)
