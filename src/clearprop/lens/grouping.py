"""What paths are told apart by: each by itself, by the use of an input, by modules, by branches, by attention heads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

from clearprop.errors import UsageError
from clearprop.graph import topological
from clearprop.lens.pushing import Between
from clearprop.lens.rows import Row
from clearprop.lens.table import ordinals

Key: TypeAlias = tuple[Any, ...]
"""What the paths of a group have in common, from the output down."""

JOINS = ("add", "subtract", "concat", "maximum", "minimum", "where")
"""Where branches of a network come together."""

_SHOWN = 6


class Grouping:
    """A way to tell paths apart; this one does not.

    Attributes:
        name: of the way, in words.
    """

    name = "all together"

    def __init__(self, between: Between) -> None:
        self.between = between

    def extend(self, key: Key, row: Row, index: int) -> Key:
        """The key of a path that goes on from a node over one of its inputs."""
        return key

    def sliced_axis(self, row: Row) -> int | None:
        """The axis along which the gradient of this node is cut into slices that go on by themselves."""
        return None

    def title(self, key: Key) -> str:
        """A key in words."""
        return "all paths"

    def rows(self, key: Key) -> Sequence[Row]:
        """The nodes on the path of a key, where a key is a path; else none."""
        return ()

    def order(self, keys: Iterable[Key]) -> list[Key] | None:
        """The keys in their own order; None if they have none, and go by size."""
        return None


class ByPath(Grouping):
    """Each path by itself: the key holds the input that was chosen at every node where several lead on."""

    name = "one by one"

    def extend(self, key: Key, row: Row, index: int) -> Key:
        return (*key, (row, index)) if len(self.between.edges(row)) > 1 else key

    def steps(self, key: Key) -> list[tuple[Row, int]]:
        """All edges of a path, from the output down."""
        chosen, row, found = dict(key), self.between.output, list[tuple[Row, int]]()
        while row is not self.between.input:
            index = chosen.get(row, self.between.edges(row)[0])
            found.append((row, index))
            row = self.between.parent(row, index)
        return found

    def rows(self, key: Key) -> Sequence[Row]:
        return [*(row for row, _ in self.steps(key)), self.between.input]

    def title(self, key: Key) -> str:
        """The nodes that are on this path and not on all of them; else the choices themselves."""
        counts, total = self._passing(), self.between.counts()[self.between.output]
        own = [row for row in self.rows(key) if counts[row] < total]
        if not key:
            return arrows(row.label for row in self.rows(key))
        again = [f"{row.label} → {parent.label} ({which})" for row, parent, which in self._repeated(key)]
        if own:
            return ", ".join([f"through {arrows(row.label for row in own)}", *again])
        return ", ".join(again or [f"{row.label} → {self.between.parent(row, i).label}" for row, i in key])

    def _repeated(self, key: Key) -> Iterator[tuple[Row, Row, str]]:
        """The choices between two uses of one input by one node, as in x · x: node, input, and which use it is."""
        for row, i in key:
            parent = self.between.parent(row, i)
            same = [j for j in self.between.edges(row) if self.between.parent(row, j) is parent]
            if len(same) > 1:
                yield row, parent, ordinals(same.index(i))

    def _passing(self) -> dict[Row, int]:
        """For each node the number of paths that pass it."""
        below, above = self.between.counts(), dict.fromkeys(self.between.rows, 0)
        above[self.between.output] = 1
        for row in reversed(self.between.rows):
            for i in self.between.edges(row):
                above[self.between.parent(row, i)] += above[row]
        return {row: below[row] * above[row] for row in self.between.rows}


class ByUse(Grouping):
    """By the use of the input; of one that is used once, by the uses of what is first used several times above it."""

    def __init__(self, between: Between) -> None:
        super().__init__(between)
        self.shared = first_fan_out(between)
        self.name = f"by the use of {self.shared.label}"
        self.uses = {use: i for i, use in enumerate(between.uses.get(self.shared, []), 1)}

    def extend(self, key: Key, row: Row, index: int) -> Key:
        return (*key, self.uses[row, index]) if (row, index) in self.uses else key

    def title(self, key: Key) -> str:
        row, index = list(self.uses)[key[0] - 1]
        again = f" ({ordinals(index)})" if sum(user is row for user, _ in self.uses) > 1 else ""
        return f"use {key[0]}: {row.label} = {row.formula}{again}"

    def order(self, keys: Iterable[Key]) -> list[Key] | None:
        return sorted(keys)


class ByModule(Grouping):
    """By the modules that a path passes, in this order."""

    name = "by the modules they pass"

    def extend(self, key: Key, row: Row, index: int) -> Key:
        return key if not row.module or key[-1:] == (row.module,) else (*key, row.module)

    def title(self, key: Key) -> str:
        return arrows(key) if key else "past all modules"


class ByBranch(Grouping):
    """By the branch that a path takes wherever branches come together."""

    name = "by the branches they take"

    def __init__(self, between: Between) -> None:
        super().__init__(between)
        self._skips: dict[tuple[Row, int], bool] = {}

    def extend(self, key: Key, row: Row, index: int) -> Key:
        several = row.primitive in JOINS and len(self.between.edges(row)) > 1
        return (*key, (row, index)) if several else key

    def title(self, key: Key) -> str:
        """The branches that it goes through, in run order, and how many others it goes past."""
        taken = [(row, i) for row, i in reversed(key) if not self._is_skip(row, i)]
        past = len(key) - len(taken)
        if not taken:
            return f"past all {past:,} branches" if past > 1 else "past the branch"
        parents = [self.between.parent(row, i) for row, i in taken]
        through = "through " + arrows(parent.module or parent.label for parent in parents)
        return f"{through}, past {past:,} other{'' if past == 1 else 's'}" if past else through

    def _is_skip(self, row: Row, index: int) -> bool:
        """Whether this input is a skip connection: another branch begins where it does."""
        if (row, index) not in self._skips:
            taken = self.between.parent(row, index)
            others = [self.between.parent(row, i) for i in self.between.edges(row) if i != index]
            above = (topological([other.node], since=taken.number - 1) for other in others)
            self._skips[row, index] = any(taken.node in nodes for nodes in above)
        return self._skips[row, index]


class BySlice(Grouping):
    """By slices of the gradient of one node along one of its axes."""

    def __init__(self, between: Between, sliced: Row, axis: int, what: str = "slice") -> None:
        super().__init__(between)
        shape = sliced.node.shape
        if not -len(shape) <= axis < len(shape):
            raise UsageError(f"paths: {sliced.label} has shape {shape}, there is no axis {axis}", hint="by=(h, -1)")
        self.sliced, self.axis, self.what = sliced, axis % len(shape), what
        self.name = f"by {what} of {sliced.label}"

    def sliced_axis(self, row: Row) -> int | None:
        return self.axis if row is self.sliced else None

    def title(self, key: Key) -> str:
        return f"{self.what} {key[0]}" if key else f"past {self.sliced.label}"

    def order(self, keys: Iterable[Key]) -> list[Key] | None:
        return sorted(keys)


class ByJoined(Grouping):
    """By the input of one node: of a concatenation of heads, the head."""

    def __init__(self, between: Between, joined: Row) -> None:
        super().__init__(between)
        self.joined = joined
        self.name = f"by head of {joined.label}"

    def extend(self, key: Key, row: Row, index: int) -> Key:
        return (*key, index) if row is self.joined else key

    def title(self, key: Key) -> str:
        return f"head {key[0]}" if key else f"past {self.joined.label}"

    def order(self, keys: Iterable[Key]) -> list[Key] | None:
        return sorted(keys)


class ByPassing(Grouping):
    """By which of some nodes a path passes."""

    name = "by what they pass"

    def __init__(self, between: Between, marks: Iterable[Row]) -> None:
        super().__init__(between)
        self.marks = list(marks)

    def extend(self, key: Key, row: Row, index: int) -> Key:
        parent = self.between.parent(row, index)
        return (*key, parent) if parent in self.marks else key

    def title(self, key: Key) -> str:
        if key:
            return f"through {arrows(row.label for row in key)}"
        return f"past {', '.join(row.label for row in self.marks)}"


def choose(between: Between, by: Any, limit: int) -> Grouping:
    """The grouping that is asked for; by default the finest that is not too fine.

    Raises:
        UsageError: if it is none.
    """
    if by is None:
        return _default(between, limit)
    simple = {"path": ByPath, "use": ByUse, "module": ByModule, "branch": ByBranch}
    if isinstance(by, str):
        if by == "head":
            return _by_head(between)
        if by in simple:
            return simple[by](between)
    elif isinstance(by, tuple) and len(by) == 2 and isinstance(by[1], int):
        return BySlice(between, _same(between, by[0]), by[1])
    elif isinstance(by, list) and by:
        return ByPassing(between, [_same(between, one) for one in by])
    raise UsageError(
        f"paths: by={by!r}"[:200],
        hint='by="path", "use", "module", "branch" or "head"; by=[h, …] for whether they pass h; by=(h, axis) for '
        "slices of h",
    )


def _same(between: Between, key: Any) -> Row:
    row: Row = between.tape[key]
    return row


def _default(between: Between, limit: int) -> Grouping:
    if not between.rows or between.counts()[between.output] <= limit:
        return ByPath(between)
    by_use = ByUse(between)
    return by_use if len(by_use.uses) > 1 else ByModule(between)


def first_fan_out(between: Between) -> Row:
    """Going up from the input, the first node that is used several times; the input itself if none is."""
    row = between.input
    while len(between.uses.get(row, ())) == 1:
        ((row, _),) = between.uses[row]
    return row if between.uses.get(row) else between.input


def _by_head(between: Between) -> Grouping:
    """By attention head: where the outputs of the heads, nearest to the input, are put side by side.

    That is a reshape that makes one axis of the last two, heads and their columns, or a concatenation.

    Raises:
        UsageError: if there is no such place.
    """
    for row in between.rows:
        if row.primitive == "concat" and len(between.edges(row)) > 1:
            return ByJoined(between, row)
        if row.primitive == "reshape" and row.node.parents[0] is not None:
            source = between.parent(row, 0) if between.edges(row) else row
            shape, merged = source.node.shape, row.node.shape
            heads = len(shape) > 2 and shape[:-2] == merged[:-1] and shape[-2] > 1
            if heads and source.primitive == "permute":
                return BySlice(between, source, -2, "head")
    raise UsageError(
        f"paths: between {between.output.label} and {between.input.label} no attention heads are put side by side",
        hint="by=(h, axis), with the value h and the axis that has the heads",
    )


def arrows(labels: Iterable[str]) -> str:
    """Labels with arrows between them; of many, the first and the last.

    >>> arrows("abc"), arrows("abcdefgh")
    ('a → b → c', 'a → b → c → … → f → g → h')
    """
    labels = list(labels)
    if len(labels) > _SHOWN:
        labels = [*labels[: _SHOWN // 2], "…", *labels[-(_SHOWN // 2) :]]
    return " → ".join(labels)
