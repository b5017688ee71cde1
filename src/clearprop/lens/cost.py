"""What backpropagation costs on the graph at hand, beside the ways of computing gradients that it replaces.

All ways multiply local derivatives along the edges of the graph; they differ in the order, and in what they keep:

- backpropagation keeps the upstream gradient of each node, and so goes over each edge once: O(L) for a chain of L;
- without keeping them, each parameter's gradient begins at the result again: O(L²);
- forward mode goes from one number of the input to all that depends on it: one pass for each number;
- with explicit Jacobians, a product from the result down is of a vector by a matrix, from the inputs up of a matrix by
  a matrix.

A multiplication is a product of two numbers: an upstream gradient by a local derivative, also where that is 1. An
elementwise operation needs one for each element and input, a matrix product m * k * n; what only moves or adds numbers
needs none.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from clearprop.errors import UsageError
from clearprop.graph import Node
from clearprop.lens.answers import Answer
from clearprop.lens.below import below, roots
from clearprop.lens.figures import nbytes
from clearprop.lens.layout import DIM, HEAD, HEADING, NAME, VALUE, Line, Span, in_columns, wrapped
from clearprop.primitives.contraction import Matmul
from clearprop.primitives.convolution import Convolution, ConvolutionDataGradient, ConvolutionWeightGradient
from clearprop.primitives.families import Elementwise

if TYPE_CHECKING:
    from clearprop.lens.rows import Row
    from clearprop.lens.tape import Tape

_CONTRACTIONS = (Matmul, Convolution, ConvolutionDataGradient, ConvolutionWeightGradient)
_ADDING = frozenset({"sum", "sum_pool", "spread_pool", "cumulative_sum"})
_MOST_DEPTHS = 60
_MOST_BARS, _FEWEST_BARS = 12, 3


class Way(NamedTuple):
    """One way to compute the gradients.

    Attributes:
        name: what it is called.
        multiplications: how many it takes on this graph.
        law: how they grow with the depth L of a chain, or with its width n.
        nbytes: the most that it has in memory at a time for itself: upstream gradients, tangents, or one Jacobian.
    """

    name: str
    multiplications: int
    law: str
    nbytes: int


class _Edge(NamedTuple):
    """From a node to one of its inputs."""

    row: Row
    input: Row
    multiplications: int


@dataclass(frozen=True)
class Cost(Answer):
    """What `Tape.cost` returns.

    Attributes:
        nodes, edges, depth: of the graph below the result; the depth is its longest way.
        parameters: how many numbers gradients are computed for, in how many leaves.
        forward: multiplications of the forward pass, counted in the same way.
        residual_bytes: what the forward pass keeps for the backward pass.
        ways: backpropagation first.
        growth: by depth, down to which the graph is looked at: multiplications with upstream gradients kept, and
            without.
    """

    title = "Cost"

    nodes: int
    edges: int
    depth: int
    leaves: int
    parameters: int
    forward: int
    residual_bytes: int
    ways: list[Way]
    growth: list[tuple[int, int, int]]

    def lines(self, width: int = 80) -> list[Line]:
        """Tables in lines that fit the width: the ways, and how the first two grow with the depth."""
        title = f"{self.nodes:,} nodes, {self.edges:,} edges, depth {self.depth:,}; "
        title += f"gradients of {self.parameters:,} numbers in {self.leaves:,} leaves"
        lines = [[Span("Cost", HEADING), Span(f"  {title}", DIM)], *self._ways(), [], self._forward(), []]
        return [piece for line in [*lines, *self._growth(width)] for piece in wrapped(line, width)]

    def _ways(self) -> list[Line]:
        first = self.ways[0].multiplications or 1
        head = [Span(name, HEAD) for name in ("way", "multiplications", "times", "grows as", "memory")]
        rows = [
            [
                Span(way.name, NAME),
                Span(_count(way.multiplications), VALUE),
                Span(_times(way.multiplications / first)),
                Span(way.law),
                Span(nbytes(way.nbytes)),
            ]
            for way in self.ways
        ]
        return in_columns([head, *rows], "<>><>", gap=2)

    def _forward(self) -> Line:
        text = (
            f"  The forward pass takes {_count(self.forward)} multiplications and keeps {nbytes(self.residual_bytes)}"
        )
        ratio = f"; backpropagation takes {self.ways[0].multiplications / self.forward:.2g} times as many."
        return [Span(text), Span(ratio if self.forward else ".")]

    def _growth(self, width: int) -> list[Line]:
        """Bars: what backpropagation takes is full, what the other way takes besides is hatched."""
        step = max(1, len(self.growth) // _MOST_BARS)
        shown = self.growth[::-1][::step][::-1]
        most = max((again for _, _, again in shown), default=0)
        if len(shown) < _FEWEST_BARS or not most:
            return []
        room = max(8, min(40, width - 42))
        head = [Span(name, HEAD) for name in ("depth", "kept", "not kept", "")]
        rows = [
            [Span(f"{depth:,}"), Span(_count(kept)), Span(_count(again)), Span(_bar(kept / most, again / most, room))]
            for depth, kept, again in shown
        ]
        title = [
            Span("Growth", HEADING),
            Span("  multiplications down to each depth, with upstream gradients kept or not", DIM),
        ]
        return [title, *in_columns([head, *rows], ">>><")]

    def as_dict(self) -> dict[str, Any]:
        """The same for machines."""
        return {
            "nodes": self.nodes,
            "edges": self.edges,
            "depth": self.depth,
            "leaves": self.leaves,
            "parameters": self.parameters,
            "forward_multiplications": self.forward,
            "residual_bytes": self.residual_bytes,
            "ways": [way._asdict() for way in self.ways],
            "growth": [{"depth": d, "kept": kept, "not_kept": again} for d, kept, again in self.growth],
        }


def cost(tape: Tape, output: Row | None = None) -> Cost:
    """Count on the graph below a row; by default the one where the last backward pass began, or the last one.

    >>> import clearprop as cp
    >>> w = [cp.tensor(0.5, requires_grad=True) for _ in range(10)]
    >>> with cp.record() as tape:
    ...     y = cp.tensor(1.0)
    ...     for factor in w:
    ...         y = factor * y
    >>> [(way.name, way.multiplications) for way in tape.cost().ways[:2]]
    [('backpropagation', 19), ('upstream gradients not kept', 55)]
    """
    edges = _edges(output or _root(tape))
    if not edges:
        raise UsageError("cost: nothing was computed from which gradients would flow", hint="record a forward pass")
    root = edges[0].row
    reached = {edge.input: None for edge in edges}
    leaves = [row for row in reached if row.is_leaf]
    reaching = _leaves_below(edges, leaves)
    depths = _depths(edges, root)
    rows = [root, *reached]
    size = _size(root.node)
    ways = [
        Way("backpropagation", sum(e.multiplications for e in edges) * size, "L", _upstream_bytes(edges, root)),
        Way(
            "upstream gradients not kept",
            sum(e.multiplications * reaching.count(e.input) for e in edges) * size,
            "L²", _upstream_bytes(edges, root),
        ),
        Way(
            "forward mode",
            sum(e.multiplications * reaching.numbers(e.input) for e in edges),
            "L · numbers", _tangent_bytes(rows),
        ),
        Way(
            "Jacobians, vector × matrix",
            sum(_size(e.row.node) * _size(e.input.node) for e in edges) * size,
            "L n²", _jacobian_bytes(edges),
        ),
        Way(
            "Jacobians, matrix × matrix",
            sum(_size(e.row.node) * _size(e.input.node) * reaching.numbers(e.input) for e in edges),
            "L n³", _jacobian_bytes(edges),
        ),
    ]  # fmt: skip
    return Cost(
        nodes=len(rows),
        edges=len(edges),
        depth=max(depths.values()),
        leaves=len(leaves),
        parameters=sum(_size(row.node) for row in leaves),
        forward=sum(_forward(row) for row in rows),
        residual_bytes=sum(row.residual_bytes for row in rows),
        ways=ways,
        growth=_growth(edges, depths, leaves, size),
    )


# The graph ------------------------------------------------------------------------------------------------------------


def _root(tape: Tape) -> Row:
    found = roots(tape)
    if not found:
        raise UsageError("cost: the tape is empty", hint="with cp.record() as tape: loss = f(x)")
    return found[-1]


def _edges(root: Row) -> list[_Edge]:
    """All edges below the root, those of later nodes first."""
    return [
        _Edge(row, operand.row, _multiplications(row, operand.row))
        for row in reversed(below([root]))
        for operand in row.operands
        if operand.row is not None
    ]


def _multiplications(row: Row, to: Row) -> int:
    """How many take the upstream gradient of a node to one of its inputs."""
    primitive = row.node.primitive
    if isinstance(primitive, Elementwise):
        return _size(row.node)
    if isinstance(primitive, _CONTRACTIONS):
        return row.flops // 2
    if row.primitive in _ADDING or not row.flops:
        return 0
    return max(_size(to.node), _size(row.node))


def _forward(row: Row) -> int:
    """Multiplications of the forward pass: of an operation that is none, one for each element."""
    return max((_multiplications(row, operand.row) for operand in row.operands if operand.row is not None), default=0)


def _size(node: Node) -> int:
    return math.prod(node.shape)


class _Below:
    """Which leaves lie below each node, as the bits of a number."""

    def __init__(self, leaves: Sequence[Row]) -> None:
        self.bits: dict[Row, int] = {leaf: 1 << i for i, leaf in enumerate(leaves)}
        self._of_size: dict[int, int] = {}
        for leaf in leaves:
            size = _size(leaf.node)
            self._of_size[size] = self._of_size.get(size, 0) | self.bits[leaf]

    def count(self, row: Row) -> int:
        """How many."""
        return self.bits.get(row, 0).bit_count()

    def numbers(self, row: Row) -> int:
        """How many numbers these are."""
        bits = self.bits.get(row, 0)
        return sum(size * (bits & some).bit_count() for size, some in self._of_size.items())


def _leaves_below(edges: Sequence[_Edge], leaves: Sequence[Row]) -> _Below:
    found = _Below(leaves)
    for edge in reversed(edges):  # inputs first
        found.bits[edge.row] = found.bits.get(edge.row, 0) | found.bits.get(edge.input, 0)
    return found


def _depths(edges: Iterable[_Edge], root: Row) -> dict[Row, int]:
    """How many edges the longest way from the root to each node has."""
    depths = {root: 0}
    for edge in edges:
        depths[edge.input] = max(depths.get(edge.input, 0), depths[edge.row] + 1)
    return depths


def _growth(
    edges: Sequence[_Edge], depths: dict[Row, int], leaves: Sequence[Row], size: int
) -> list[tuple[int, int, int]]:
    """Multiplications of the part of the graph down to each depth."""
    deepest = max(depths.values())
    step = -(-deepest // _MOST_DEPTHS)
    found: list[tuple[int, int, int]] = []
    for depth in [*range(step, deepest, step), deepest]:
        inside = [edge for edge in edges if depths[edge.input] <= depth]
        reaching = _leaves_below(inside, [leaf for leaf in leaves if depths[leaf] <= depth])
        kept = sum(edge.multiplications for edge in inside if reaching.count(edge.input))
        again = sum(edge.multiplications * reaching.count(edge.input) for edge in inside)
        if not found or found[-1][1:] != (kept * size, again * size):  # else there are only sums, and moves
            found.append((depth, kept * size, again * size))
    return found


# Memory ---------------------------------------------------------------------------------------------------------------


def _nbytes(node: Node) -> int:
    return _size(node) * node.dtype.itemsize


def _upstream_bytes(edges: Sequence[_Edge], root: Row) -> int:
    """The most that upstream gradients take at a time: from the first contribution to the visit of the node."""
    alive, most, current = {root}, _nbytes(root.node), _nbytes(root.node)
    done: Row | None = None
    for edge in edges:
        if done is not None and edge.row is not done and done in alive:
            alive.remove(done)
            current -= _nbytes(done.node)
        done = edge.row
        if edge.input not in alive:
            alive.add(edge.input)
            current += _nbytes(edge.input.node)
        most = max(most, current)
    return most


def _tangent_bytes(rows: Sequence[Row]) -> int:
    """Two neighbouring tangents at least; nothing is kept for later."""
    return sum(sorted(_nbytes(row.node) for row in rows)[-2:])


def _jacobian_bytes(edges: Sequence[_Edge]) -> int:
    """The largest Jacobian."""
    return max(_nbytes(e.row.node) * _size(e.input.node) for e in edges)


# Numbers --------------------------------------------------------------------------------------------------------------


def _bar(full: float, whole: float, room: int) -> str:
    filled = round(full * room)
    return "█" * filled + "░" * (round(whole * room) - filled)


def _count(number: int) -> str:
    return f"{number:,}" if number < 10**10 else f"{number:.2e}"


def _times(ratio: float) -> str:
    return f"× {ratio:,.3g}" if ratio < 1000 else f"× {ratio:,.0f}" if ratio < 10**6 else f"× {ratio:.2g}"
