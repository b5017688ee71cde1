"""A gradient factor by factor: the path that contributes most, and by what each node on it multiplies the gradient."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from clearprop.autodiff.backward import accumulate
from clearprop.lens.paths import MOST_GROUPS, by_path
from clearprop.lens.pushing import Between, kept, norm, share
from clearprop.lens.rows import Edge, Row, Visit, as_data

MOST_DETOURS = 12
"""So many ways beside a path are told apart; each costs as much as the path itself."""


class Dominating(NamedTuple):
    """The path that contributes most, edge by edge.

    Attributes:
        edges: from the output to the input; upstream gradients and contributions are those of this path alone.
        contribution: what comes over it.
        share: of the whole gradient, see `clearprop.lens.pushing.share`.
        total: the whole gradient.
        paths: the number of all paths.
        arrived: over every edge between output and input, by node and place among its inputs, the whole contribution.
    """

    edges: Sequence[Edge]
    contribution: Any
    share: float
    total: Any
    paths: int
    arrived: Mapping[tuple[Row, int], Any]


class Detour(NamedTuple):
    """Paths that end like another one: they meet it at a node, coming from other users of that node.

    Attributes:
        row: the node where they meet; None for paths that meet it at several.
        users: of that node, from which they come.
        paths: how many there are.
        contribution: what comes over them to the end of the path.
        share: of the whole gradient.
    """

    row: Row | None
    users: Sequence[Row]
    paths: int
    contribution: Any
    share: float


def dominating(between: Between) -> Dominating:
    """The path with the largest share of the gradient.

    Where there are too many paths to compare, it is found going up from the input: at every node that is used several
    times, to the use whose contribution has the largest share of the gradient of that node.
    """
    arrived, totals = _everything(between)
    count = between.counts()[between.output]
    steps = by_path(between) if 1 < count <= MOST_GROUPS else _upwards(between, arrived, totals)
    edges = _along(between, steps)
    total = totals[between.input]
    end = edges[-1].contribution if edges else total
    return Dominating(edges, end, share(end, total), total, count, arrived)


def detours(between: Between, path: Dominating) -> list[Detour]:
    """All other paths, by the node where they meet this one; in run order, from the output down.

    What comes over them is sent along the path in one walk. Of more than `MOST_DETOURS` the smallest are put together.
    """
    above = _paths_above(between)
    known, rest = list[Detour](), list[Detour]()
    for edge in path.edges:
        known = [_pushed(between, detour, edge) for detour in known]
        rest = [_pushed(between, detour, edge) for detour in rest]
        others = [use for use in between.uses[edge.input] if use != (edge.row, edge.index) and use in path.arrived]
        if others:
            g = _sum([path.arrived[use] for use in others])
            count = sum(above[user] for user, _ in others)
            known.append(Detour(edge.input, [user for user, _ in others], count, g, math.nan))
        if len(known) > MOST_DETOURS:
            smallest = min(known, key=lambda detour: norm(detour.contribution))
            known = [detour for detour in known if detour is not smallest]
            rest = [_together([smallest, *rest])]
    return [detour._replace(share=share(detour.contribution, path.total)) for detour in [*known, *rest]]


def _pushed(between: Between, detour: Detour, edge: Edge) -> Detour:
    contribution = between.push(edge.row, detour.contribution, edge.index)[edge.index]
    return detour._replace(contribution=contribution)


def _together(parts: Sequence[Detour]) -> Detour:
    g = _sum([detour.contribution for detour in parts])
    return Detour(None, (), sum(detour.paths for detour in parts), g, math.nan)


def _sum(parts: Sequence[Any]) -> Any:
    total = parts[0]
    for part in parts[1:]:
        total = as_data(accumulate(total, part))
    return total


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
