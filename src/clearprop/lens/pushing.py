"""Backpropagation of a part of a gradient, over a graph that was recorded.

A rule turns an upstream gradient into contributions, and does so linearly: of a sum it makes the sum of what it makes
of the summands. So the gradient that arrives at an output can be split in parts, or be sent over some edges and not
over others, and what arrives at an input adds up to its gradient. That is what paths and their shares are made of. What
the rules need was kept by the tape.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from clearprop.errors import UsageError
from clearprop.graph import RELEASED, Node, topological
from clearprop.lens.rows import Row, as_data

if TYPE_CHECKING:
    from clearprop.lens.tape import Tape


class Between:
    """What lies between an output and an input: all nodes that are on a path from one to the other.

    Args:
        tape: with the rows of these nodes.
        output: where the gradient comes from.
        input: where it goes to.

    Attributes:
        rows: of these nodes, in run order; the input is the first, the output the last. None if there is no path.
        uses: for each of them where it is used on the way to the output: by which node, as which of its inputs.
    """

    def __init__(self, tape: Tape, output: Row, input: Row) -> None:
        check_whole(tape)
        self.tape, self.output, self.input = tape, output, input
        reaching = {input.node}
        for node in topological([output.node], since=input.number - 1):
            if any(parent in reaching for parent in node.parents):
                reaching.add(node)
        known = {row.node: row for row in tape.rows}
        found = sorted(reaching, key=lambda node: node.number) if output.node in reaching else []
        self._by_node = {node: known.get(node) or Row(node, len(known) + i) for i, node in enumerate(found, 1)}
        self.rows = list(self._by_node.values())
        self.uses: dict[Row, list[tuple[Row, int]]] = {row: [] for row in self.rows}
        for user in self.rows:
            for index in self.edges(user):
                self.uses[self.parent(user, index)].append((user, index))

    def edges(self, row: Row) -> list[int]:
        """Which inputs of a node lead to the input, by their place among them."""
        if row is self.input:
            return []
        return [i for i, parent in enumerate(row.node.parents) if parent in self._by_node]

    def parent(self, row: Row, index: int) -> Row:
        """The row of one input of a node."""
        node = row.node.parents[index]
        assert node is not None
        return self._by_node[node]

    def counts(self) -> dict[Row, int]:
        """For each node the number of paths from it down to the input."""
        counts: dict[Row, int] = {}
        for row in self.rows:
            counts[row] = 1 if row is self.input else sum(counts[self.parent(row, i)] for i in self.edges(row))
        return counts

    @property
    def start(self) -> Any:
        """The gradient that the output starts with: what arrived there in the last recorded pass, or 1 for a number.

        Raises:
            UsageError: if the output is not a number, and no backward pass went through it.
        """
        if self.output.visits:
            return self.output.visits[-1].upstream
        if self.output.node.shape:
            raise UsageError(
                f"{self.output.label} has shape {self.output.node.shape}, and no gradient has arrived there",
                hint=f"a scalar loss; or {self.output.label}.backward(g) inside record()",
            )
        return np.ones((), self.output.node.dtype)

    def push(self, row: Row, g: Any, only: int | None = None) -> dict[int, Any]:
        """What a node makes of an upstream gradient: the contribution to each of its inputs that lead to the input.

        Args:
            only: the place of the one input that wants a contribution; by default all do.

        Raises:
            UsageError: if what the node kept was released before the recording began.
        """
        wanted = [i for i in self.edges(row) if only is None or i == only]
        return pushed(row, g, wanted)

    @property
    def hooked(self) -> list[Row]:
        """Nodes whose gradient a hook may have replaced: what comes below them is not what the rules say."""
        return [row for row in self.rows if row.node.hooks]


def check_whole(tape: Tape) -> None:
    """Raise UsageError for a tape of a compiled run, on which a few rows were chosen."""
    if tape.is_partial:
        raise UsageError(
            "this is a tape of a compiled run, which holds what was watched and no more",
            hint="with cp.record() as tape: … around a call: the compiled function then runs operation by operation",
        )


def pushed(row: Row, g: Any, wanted: Sequence[int]) -> dict[int, Any]:
    """The contributions of one node to some of its inputs, by their place, for an upstream gradient.

    Raises:
        UsageError: if what the node kept was released before the recording began.
    """
    residuals = kept(row)
    if residuals is RELEASED:
        raise UsageError(
            f"{row.label} ({row.primitive}) was computed, and what it kept was released, before the recording began",
            hint="record() around the forward pass too",
        )
    node, primitive = row.node, row.node.primitive
    assert primitive is not None
    parents: list[Node | None] = [parent if i in wanted else None for i, parent in enumerate(node.parents)]
    with np.errstate(all="ignore"):
        contributions = primitive.vjp(node, g, residuals, parents)
    return {i: as_data(contributions[i]) for i in wanted if contributions[i] is not None}


def kept(row: Row) -> Any:
    """What a node kept for the backward pass, as arrays; `RELEASED` if the tape does not have it either."""
    if row.kept is not RELEASED:
        return row.kept
    return next((visit.residuals for visit in row.visits if visit.residuals is not RELEASED), RELEASED)


def norm(value: Any) -> float:
    """The Euclidean norm of a gradient; of a node with several outputs, of all of them together.

    >>> norm(np.array([3.0, 4.0])), norm({0: np.float32(3.0), 1: np.float32(4.0)})
    (5.0, 5.0)
    """
    if isinstance(value, dict):
        return float(np.sqrt(sum(norm(part) ** 2 for part in value.values())))
    with np.errstate(all="ignore"):
        array = np.asarray(value, np.float64)
        largest = float(np.abs(array).max(initial=0.0))
        if largest == 0.0 or not np.isfinite(largest):
            return largest
        return largest * float(np.sqrt(np.sum((array / largest) ** 2)))


def share(part: Any, total: Any) -> float:
    """How much of a total gradient one contribution makes up: <part, total> / <total, total>.

    That is the length of its projection on the total, in lengths of the total. Shares add up to 1; one is negative
    where a contribution works against the others. NaN where the total is zero, or not finite.

    >>> share(np.array([3.0, 1.0]), np.array([4.0, 0.0])), share(np.float64(-1.0), np.float64(2.0))
    (0.75, -0.5)
    """
    whole = norm(total)
    if whole == 0.0 or not np.isfinite(whole):
        return float("nan")
    with np.errstate(all="ignore"):
        return float(np.sum(np.asarray(part, np.float64) / whole * (np.asarray(total, np.float64) / whole)))


_CANCELS = 1000.0
"""From this ratio on, of contributions to their sum, they are said to cancel."""


def remarks_on(between: Between, contributions: Sequence[Any], total: Any) -> list[str]:
    """What to know about the shares of some contributions: hooks, and contributions that cancel."""
    remarks = [
        f"a hook at {row.label} may have changed the gradient that it saw; these numbers are those of the rules"
        for row in between.hooked
    ]
    largest, whole = max(map(norm, contributions), default=0.0), norm(total)
    if whole == 0.0 and largest > 0.0:
        remarks.append("the contributions cancel one another: their sum is zero, and there are no shares")
    elif largest > _CANCELS * whole:
        remarks.append(
            f"the contributions all but cancel: the largest is {largest / whole:,.0f} times as large as their sum, "
            "which is mostly rounding error where that is beyond a million"
        )
    return remarks
