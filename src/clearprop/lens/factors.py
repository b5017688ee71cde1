"""A gradient factor by factor: the path that contributes most, and by what each node on it multiplies the gradient."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from clearprop.autodiff.backward import accumulate
from clearprop.lens.paths import MOST_GROUPS, by_path
from clearprop.lens.pushing import Between, kept, norm, share
from clearprop.lens.rows import Edge, Row, Visit, as_data


class Detour(NamedTuple):
    """Paths that end like another one: they meet it at a node, coming from other users of that node.

    Attributes:
        row: the node where they meet.
        users: of that node, from which they come.
        paths: how many there are.
        contribution: what comes over them to the end of the path.
        share: of the whole gradient.
    """

    row: Row
    users: Sequence[Row]
    paths: int
    contribution: Any
    share: float


class Dominating(NamedTuple):
    """The path that contributes most, edge by edge, and all others by where they meet it.

    Attributes:
        edges: from the output to the input; upstream gradients and contributions are those of this path alone.
        contribution: what comes over it.
        share: of the whole gradient, see `clearprop.lens.pushing.share`.
        detours: all other paths.
        total: the whole gradient.
        paths: the number of all paths.
    """

    edges: Sequence[Edge]
    contribution: Any
    share: float
    detours: Sequence[Detour]
    total: Any
    paths: int


def dominating(between: Between) -> Dominating:
    """The path with the largest share of the gradient.

    Where there are too many paths to compare, it is found going up from the input: at every node that is used several
    times, to the use whose contribution has the largest share of the gradient of that node.
    """
    arrived, totals = _everything(between)
    counts, above = between.counts(), _paths_above(between)
    is_comparable = 1 < counts[between.output] <= MOST_GROUPS
    steps = by_path(between) if is_comparable else _upwards(between, arrived, totals)
    edges = _along(between, steps)
    total = totals[between.input]
    end = edges[-1].contribution if edges else total
    detours = list(_detours(between, edges, arrived, total, above))
    return Dominating(edges, end, share(end, total), detours, total, counts[between.output])


def gain(edge: Edge) -> float:
    """What an edge multiplies the norm of the gradient by; NaN if nothing arrives there."""
    before = norm(edge.upstream)
    return norm(edge.contribution) / before if before else math.nan


def _everything(between: Between) -> tuple[dict[tuple[Row, int], Any], dict[Row, Any]]:
    """One backward pass over all that lies between: the contribution over every edge, the gradient at every node."""
    totals: dict[Row, Any] = {between.output: as_data(between.start)}
    arrived: dict[tuple[Row, int], Any] = {}
    for row in reversed(between.rows):
        if row is between.input or row not in totals:
            continue
        for i, contribution in between.push(row, totals[row]).items():
            parent = between.parent(row, i)
            arrived[row, i] = contribution
            held = totals.get(parent)
            totals[parent] = contribution if held is None else as_data(accumulate(held, contribution))
    return arrived, totals


def _upwards(
    between: Between, arrived: dict[tuple[Row, int], Any], totals: dict[Row, Any]
) -> Sequence[tuple[Row, int]]:
    """The edges from the output to the input, chosen from the input upwards."""
    row, found = between.input, list[tuple[Row, int]]()
    while row is not between.output:
        uses = [use for use in between.uses[row] if use in arrived]
        if not uses:
            break
        best = max(uses, key=lambda use: _weight(arrived[use], totals[row]))
        found.append(best)
        row = best[0]
    return found[::-1]


def _weight(contribution: Any, total: Any) -> float:
    part = share(contribution, total) if not isinstance(total, dict) else math.nan
    return part if math.isfinite(part) else norm(contribution)


def _along(between: Between, steps: Sequence[tuple[Row, int]]) -> list[Edge]:
    """The edges of one path, with what is pushed over them alone."""
    g, edges = as_data(between.start), list[Edge]()
    for row, index in steps:
        contribution = between.push(row, g, index).get(index)
        if contribution is None:
            break
        visit = Visit(row, g, kept(row))
        edges.append(Edge(visit, index, between.parent(row, index), contribution))
        visit.edges.append(edges[-1])
        g = contribution
    return edges


def _paths_above(between: Between) -> dict[Row, int]:
    """For each node the number of paths from the output to it."""
    above = dict.fromkeys(between.rows, 0)
    above[between.output] = 1
    for row in reversed(between.rows):
        for i in between.edges(row):
            above[between.parent(row, i)] += above[row]
    return above


def _detours(
    between: Between, edges: Sequence[Edge], arrived: dict[tuple[Row, int], Any], total: Any, above: dict[Row, int]
) -> Iterable[Detour]:
    for i, edge in enumerate(edges):
        others = [use for use in between.uses[edge.input] if use != (edge.row, edge.index) and use in arrived]
        if not others:
            continue
        g = arrived[others[0]]
        for use in others[1:]:
            g = as_data(accumulate(g, arrived[use]))
        for following in edges[i + 1 :]:
            g = between.push(following.row, g, following.index)[following.index]
        count = sum(above[user] for user, _ in others)
        yield Detour(edge.input, [user for user, _ in others], count, g, share(g, total))


# Which factors matter -------------------------------------------------------------------------------------------------


class Repeated(NamedTuple):
    """Factors that belong together, such as those of one operation in every time step.

    Attributes:
        rows: their nodes.
        product: of the factors.
        strongest: the node whose factor is furthest from 1.
    """

    rows: Sequence[Row]
    product: float
    strongest: Row

    @property
    def each(self) -> float:
        """The factor of one of them, on average."""
        return float(self.product ** (1.0 / len(self.rows)))


def strongest(factors: Sequence[tuple[Row, float]], together: Callable[[Row], Hashable]) -> Repeated | None:
    """Of some factors, gathered by what they belong to, those that change a number most; None if there are none."""
    groups: dict[Hashable, list[tuple[Row, float]]] = {}
    for row, factor in factors:
        if factor > 0.0 and math.isfinite(factor):
            groups.setdefault(together(row), []).append((row, factor))
    if not groups:
        return None
    best = max(groups.values(), key=lambda group: abs(sum(math.log(factor) for _, factor in group)))
    with np.errstate(all="ignore"):
        product = float(np.exp(sum(math.log(factor) for _, factor in best)))
    return Repeated([row for row, _ in best], product, max(best, key=lambda one: abs(math.log(one[1])))[0])


def by_place(row: Row) -> Hashable:
    """The operation and the source line: the same in every step of a loop."""
    return row.primitive, row.module, row.where
