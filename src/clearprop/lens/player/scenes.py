"""A tape as a play: its nodes, the edges over which gradients come back, and the steps in which both are shown.

First the values, node by node; then the backward pass, edge by edge, with a step of its own wherever several
contributions are added up. Everything is plain data, and all numbers are the tape's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from clearprop.autodiff.backward import accumulate
from clearprop.errors import UsageError
from clearprop.lens import mathml
from clearprop.lens.figures import figure
from clearprop.lens.mathml import Math
from clearprop.lens.player import words
from clearprop.lens.player.values import Values
from clearprop.lens.rows import Edge, Row, Visit, as_data
from clearprop.lens.table import local_text

if TYPE_CHECKING:
    from clearprop.lens.tape import Tape

MOST_NODES = 4_000
"""So many nodes a page can play: more would make a file that is slow to open, and nobody would watch them."""

MOST_DETAILED = 1_500
"""Up to so many nodes the arrays are drawn too; beyond that they are told by shape, range and mean."""


@dataclass(frozen=True)
class SceneNode:
    """A node as the page shows it. Numbers of values are places in `Scenes.values`.

    Attributes:
        inputs: for each input the number of its node (-1 for a constant) and its label.
        formula, numbers: the right side of the forward formula, with names and, if all inputs are numbers, with these.
        value, gradient: the output, and what has arrived in all recorded backward passes.
    """

    label: str
    primitive: str
    module: str
    where: str
    inputs: list[tuple[int, str]]
    formula: Math | None
    numbers: Math | None
    value: int | None
    gradient: int | None
    pattern: str


@dataclass(frozen=True)
class SceneEdge:
    """What a node hands to one of its inputs.

    Attributes:
        source: the node that hands it on.
        index: to which of its inputs.
        target: the node of that input.
        local: the value of the local derivative; None unless the primitive is elementwise.
        formula: the local derivative as a formula, with names; None where there is none.
        rule: the whole rule, with g for the upstream gradient.
        factor: what stands at the edge where there is no local derivative as a value: ``"wᵀ"``, ``"∑ g"``.
    """

    source: int
    index: int
    target: int
    upstream: int | None
    local: int | None
    contribution: int | None
    formula: Math | None
    rule: Math
    factor: str


@dataclass(frozen=True)
class Step:
    """One step of the play.

    Attributes:
        kind: "given", "forward", "begin" (of a backward pass), "edge", "sum" (where several contributions meet),
            "again" (a gradient is added to that of an earlier pass), "end".
        node: of which node; -1 for the first and the last step.
        edges: the edges that it is about.
        value: what comes out of it: the value, the upstream gradient, the contribution, the sum.
        words: the same as a sentence.
    """

    kind: str
    node: int
    edges: list[int]
    value: int | None
    words: str


@dataclass
class Scenes:
    """All that a player shows of a tape.

    >>> import clearprop as cp
    >>> x = cp.tensor(3.0, requires_grad=True)
    >>> with cp.record() as tape:
    ...     y = x * x
    ...     y.backward()
    >>> for step in scenes(tape).steps:
    ...     print(step.kind, "|", step.words)
    given | Given: x = 3.
    forward | y = x · x = 3 · 3 = 9.
    begin | The backward pass begins at y, with the upstream gradient ∂y/∂y = 1.
    edge | Multiplication switches: upstream 1 times local derivative x = 3 gives contribution 3 to x.
    edge | Multiplication switches: upstream 1 times local derivative x = 3 gives contribution 3 to x.
    sum | Fan-out adds: the contributions 3 and 3 to x make its gradient 6.
    end | The gradients are complete: by x 6.
    """

    nodes: list[SceneNode] = field(default_factory=list)
    edges: list[SceneEdge] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    values: list[dict[str, Any]] = field(default_factory=list)
    roots: list[int] = field(default_factory=list)
    detailed: bool = True


def scenes(tape: Tape, *, sources: bool = True) -> Scenes:
    """The play of a tape.

    Args:
        tape: the run.
        sources: say at which source line each node was made.

    Raises:
        UsageError: if the tape is empty, or has more than `MOST_NODES` nodes.
    """
    rows = tape.rows
    if not rows:
        raise UsageError(
            "the tape is empty: there is nothing to play",
            hint="compute inside the block, with a tensor that requires gradients, and not in no_grad()",
        )
    if len(rows) > MOST_NODES:
        raise UsageError(
            f"the tape has {len(rows):,} nodes, more than the {MOST_NODES:,} that a page can play",
            hint="record one step, fewer time steps or a part of the network",
        )
    return _Writer(tape, rows, sources).written()


class _Writer:
    """Writes the scenes of one tape."""

    def __init__(self, tape: Tape, rows: list[Row], sources: bool) -> None:
        self.tape = tape
        self.sources = sources
        self.rows = rows
        self.number = {id(row): i for i, row in enumerate(rows)}
        self.edge_number: dict[int, int] = {}
        self.values = Values(detailed=len(rows) <= MOST_DETAILED)
        self.scenes = Scenes(values=self.values.summaries, detailed=self.values.detailed)

    def written(self) -> Scenes:
        """All of them."""
        self.scenes.nodes = [self._node(row) for row in self.rows]
        self._step("given", None, words.given([row for row in self.rows if not row.operands and row.value is not None]))
        for row in self.rows:
            if row.operands:
                self._step("forward", row, words.forward(row), value=row.value)
        for visit in self.tape.visits:
            self._backward(visit)
        for row in self.rows:  # gradients that were asked for, as in cp.grad: no pass visits their nodes
            if not row.visits and len(row.users) > 1:
                self._sum(row, row.users, row.gradient)
        self._step("end", None, words.end([row for row in self.rows if not row.operands], self.tape.error))
        return self.scenes

    def _node(self, row: Row) -> SceneNode:
        return SceneNode(
            row.label,
            row.primitive,
            row.module,
            row.where if self.sources else "",
            [(-1 if one.row is None else self.number[id(one.row)], one.label) for one in row.operands],
            _formula(row, {one.name: one.label for one in row.operands}),
            _formula(row, {one.name: figure(one.value) for one in row.operands}) if row.numbers else None,
            self.values.add(row.value),
            self.values.add(row.gradient),
            row.pattern,
        )

    def _backward(self, visit: Visit) -> None:
        if len(visit.contributions_in) > 1:
            self._sum(visit.row, visit.contributions_in, visit.upstream)
        elif not visit.contributions_in and visit.edges:
            self.scenes.roots.append(self.number[id(visit.row)])
            self._step("begin", visit.row, words.begin(visit), value=visit.upstream)
        if visit is not visit.row.visits[0] and visit.row.is_leaf:
            self._again(visit)
        for edge in visit.edges:
            self.scenes.edges.append(self._edge(edge))
            self.edge_number[id(edge)] = len(self.scenes.edges) - 1
            self._step("edge", visit.row, words.edge(edge), edges=[edge], value=edge.contribution)

    def _edge(self, edge: Edge) -> SceneEdge:
        of_numbers = np.ndim(edge.row.value) == 0
        return SceneEdge(
            self.number[id(edge.row)],
            edge.index,
            self.number[id(edge.input)],
            self.values.add(edge.upstream),
            self.values.add(edge.local_derivative),
            self.values.add(edge.contribution),
            _filled(mathml.local_derivative(edge.latex), edge.labels, of_numbers) if edge.formula else None,
            _filled(mathml.right_side(mathml.parse(edge.latex)), edge.labels, of_numbers),
            edge.formula or local_text(edge, in_full=False),
        )

    def _sum(self, row: Row, edges: Sequence[Edge], total: Any) -> None:
        self._step("sum", row, words.sums_up(row, edges, total), edges=edges, value=total)

    def _again(self, visit: Visit) -> None:
        """``.grad`` of a leaf grows from pass to pass."""
        visits = visit.row.visits[: visit.row.visits.index(visit) + 1]
        total = visits[0].upstream
        for later in visits[1:]:
            total = as_data(accumulate(total, later.upstream))
        self._step("again", visit.row, words.again(visits, total), value=total)

    def _step(self, kind: str, row: Row | None, told: str, *, edges: Sequence[Edge] = (), value: Any = None) -> None:
        node = -1 if row is None else self.number[id(row)]
        numbers = [self.edge_number[id(edge)] for edge in edges]
        self.scenes.steps.append(Step(kind, node, numbers, self.values.add(value), told))


def _formula(row: Row, labels: dict[str, str]) -> Math | None:
    """The right side of a node's forward formula; None for a leaf."""
    if not row.latex:
        return None
    if not labels.keys() & {"x", "y", "c"}:
        return mathml.call(str(row.attributes.get("function", row.primitive)), list(labels.values()))
    return _filled(mathml.right_side(mathml.parse(row.latex)), labels, np.ndim(row.value) == 0)


def _filled(math: Math, labels: dict[str, str], of_numbers: bool) -> Math:
    return mathml.fill(math, labels, of_numbers=of_numbers)
