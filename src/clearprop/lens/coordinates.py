"""Layered layout, second half: where boxes stand and how edges run, for the ranks and orders that `layered` found.

Ranks lie below one another. Within a rank each item wants to stand where the items are that it is joined to; the order
and the sizes of the boxes say how near two neighbours may come. What comes closest to all wishes, in least squares, is
found exactly, rank by rank, by pooling neighbours that want to overlap (isotonic regression); sweeps down and up settle
the whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple, TypeAlias

from clearprop.lens.layered import Layers

_SWEEPS = 8
_BEND_WIDTH = 6.0
_STRAIGHTNESS = (2.0, 1.0, 8.0)  # how much a link weighs, by how many of its ends are bends
_STRAIGHT = 6.0  # instead of a bend of up to so many pixels
_NO_WISH = 1e-3  # weight of an item that is joined to nothing on that side, for staying where it is


class Point(NamedTuple):
    """A place in the drawing; y grows downwards."""

    x: float
    y: float


Size: TypeAlias = tuple[float, float]


@dataclass(frozen=True)
class Gaps:
    """Free space.

    Attributes:
        across: between neighbours in a rank.
        along: between ranks; more where edges go far to the side.
        ports: between the ends of two edges at one box, at most.
    """

    across: float = 24.0
    along: float = 40.0
    ports: float = 18.0


@dataclass(frozen=True)
class Placement:
    """A finished layout, whose upper left corner is (0, 0).

    Attributes:
        size: width and height.
        corners: the upper left corner of each box.
        routes: for each edge an even number of points. From the first to the second the edge runs straight down, to the
            third in a curve, to the fourth straight down, and so on; see `path`.
    """

    size: Size
    corners: list[Point]
    routes: list[list[Point]]


@dataclass(frozen=True)
class Ports:
    """Where edges leave and enter boxes, by the numbers of the edges, as distances from the left side of the box.

    Edges that are not in there are spread around the middle.
    """

    leaving: Mapping[int, float] = field(default_factory=dict)
    entering: Mapping[int, float] = field(default_factory=dict)


def place(layers: Layers, sizes: Sequence[Size], gaps: Gaps | None = None, ports: Ports | None = None) -> Placement:
    """Coordinates for boxes of these widths and heights.

    >>> from clearprop.lens.layered import arrange
    >>> placement = place(arrange(3, [(0, 2), (1, 2)]), [(40, 20)] * 3, Gaps(across=10, along=30))
    >>> placement.size, placement.corners
    ((90.0, 71.5), [Point(x=0.0, y=0.0), Point(x=50.0, y=0.0), Point(x=25.0, y=51.5)])
    >>> path(placement.routes[0])
    'M20 20C20 35.8 36 35.8 36 51.5'
    """
    gaps = gaps or Gaps()
    bends = sum(map(len, layers.ranks)) - layers.count
    widths = [*(width for width, _ in sizes), *[_BEND_WIDTH] * bends]
    x = _across(layers, widths, gaps.across)
    left = min((x[i] - width / 2 for i, width in enumerate(widths)), default=0.0)
    x = [one - left for one in x]
    tops, heights = _along(layers, sizes, x, gaps.along)
    rank = layers.rank
    corners = [
        Point(_rounded(x[i] - width / 2), _rounded(tops[rank[i]] + (heights[rank[i]] - height) / 2))
        for i, (width, height) in enumerate(sizes)
    ]
    right = max((x[i] + width / 2 for i, width in enumerate(widths)), default=0.0)
    bottom = tops[-1] + heights[-1] if tops else 0.0
    bands = [(top, top + height) for top, height in zip(tops, heights, strict=True)]
    ends = _ends(layers, sizes, x, gaps.ports, ports or Ports())
    routes = _routes(layers, sizes, corners, x, bands, ends)
    return Placement((_rounded(right), _rounded(bottom)), corners, routes)


def path(route: Sequence[Point]) -> str:
    """A route as the path data of SVG: straight down within ranks, curves between them.

    >>> path([Point(0, 0), Point(0, 10), Point(20, 30), Point(20, 40)])
    'M0 0V10C0 20 20 20 20 30V40'
    """
    first, *others = route
    steps, here = [f"M{first.x:g} {first.y:g}"], first
    for i, point in enumerate(others):
        if i % 2:
            middle = _rounded((here.y + point.y) / 2)
            straight = here.x == point.x
            curve = f"C{here.x:g} {middle:g} {point.x:g} {middle:g} {point.x:g} {point.y:g}"
            steps.append(f"V{point.y:g}" if straight else curve)
        elif point.y != here.y:
            steps.append(f"V{point.y:g}")
        here = point
    return "".join(steps)


# Across: x -----------------------------------------------------------------------------------------------------------


def _across(layers: Layers, widths: Sequence[float], gap: float) -> list[float]:
    """The middle of each item."""
    above, below = _pulls(layers, len(widths))
    both = [up + down for up, down in zip(above, below, strict=True)]
    x = [0.0] * len(widths)
    nothing: _Pulls = [[]] * len(widths)
    for rank in layers.ranks:
        _settle(rank, x, widths, gap, nothing)
    for _ in range(_SWEEPS):
        for rank in layers.ranks:
            _settle(rank, x, widths, gap, above)
        for rank in reversed(layers.ranks):
            _settle(rank, x, widths, gap, below)
    for _ in range(_SWEEPS // 2):
        for rank in layers.ranks:
            _settle(rank, x, widths, gap, both)
        for rank in reversed(layers.ranks):
            _settle(rank, x, widths, gap, both)
    _straighten(layers, x, widths, gap)
    return x


_Pulls: TypeAlias = list[list[tuple[int, float]]]


def _pulls(layers: Layers, items: int) -> tuple[_Pulls, _Pulls]:
    """For each item those that it is joined to in the rank above, with the weight of the link, and those below."""
    above: _Pulls = [[] for _ in range(items)]
    below: _Pulls = [[] for _ in range(items)]
    weights: dict[tuple[int, int], float] = {}
    for chain, weight in zip(layers.chains, layers.weights, strict=True):
        for a, b in pairwise(chain):
            bends = (a >= layers.count) + (b >= layers.count)
            weights[a, b] = max(weights.get((a, b), 0.0), weight * _STRAIGHTNESS[bends])
    for (a, b), weight in weights.items():
        above[b].append((a, weight))
        below[a].append((b, weight))
    return above, below


def _settle(rank: Sequence[int], x: list[float], widths: Sequence[float], gap: float, pulls: _Pulls) -> None:
    """Put the items of a rank as near as possible to where they are pulled, without overlap."""
    blocks: list[tuple[float, float, int]] = []  # wish, weight and number of items of each pool
    offsets, offset = [], 0.0
    for i, item in enumerate(rank):
        if i:
            offset += (widths[rank[i - 1]] + widths[item]) / 2 + gap
        offsets.append(offset)
        weight = sum(weight for _, weight in pulls[item])
        wish = sum(x[other] * weight for other, weight in pulls[item]) / weight if weight else x[item]
        block = (wish - offset, weight or _NO_WISH, 1)
        while blocks and blocks[-1][0] >= block[0]:
            before = blocks.pop()
            total = before[1] + block[1]
            block = ((before[0] * before[1] + block[0] * block[1]) / total, total, before[2] + block[2])
        blocks.append(block)
    i = 0
    for wish, _, count in blocks:
        for _ in range(count):
            x[rank[i]] = wish + offsets[i]
            i += 1


def _straighten(layers: Layers, x: list[float], widths: Sequence[float], gap: float) -> None:
    """Put bends that follow one another exactly below one another, as far as their neighbours leave room."""
    neighbours = {item: near for rank in layers.ranks for item, near in _neighbours(rank)}
    for trunk in layers.trunks():
        run: list[int] = []
        low, high = float("-inf"), float("inf")
        for bend in trunk:
            left, right = neighbours[bend]
            lowest = float("-inf") if left is None else x[left] + (widths[left] + widths[bend]) / 2 + gap
            highest = float("inf") if right is None else x[right] - (widths[right] + widths[bend]) / 2 - gap
            if max(low, lowest) > min(high, highest):
                _align(run, x, low, high)
                run, low, high = [], float("-inf"), float("inf")
            run.append(bend)
            low, high = max(low, lowest), min(high, highest)
        _align(run, x, low, high)


def _align(run: Sequence[int], x: list[float], low: float, high: float) -> None:
    """Give bends one x: the middle one of theirs, kept between two bounds."""
    if run:
        middle = sorted(x[bend] for bend in run)[len(run) // 2]
        middle = max(low, min(high, middle))
        for bend in run:
            x[bend] = middle


def _neighbours(rank: Sequence[int]) -> Iterator[tuple[int, tuple[int | None, int | None]]]:
    """Each item of a rank with those to its left and right."""
    padded = [None, *rank, None]
    return ((item, (padded[i], padded[i + 2])) for i, item in enumerate(rank))


# Along: y ------------------------------------------------------------------------------------------------------------


def _along(layers: Layers, sizes: Sequence[Size], x: Sequence[float], gap: float) -> tuple[list[float], list[float]]:
    """Top and height of each rank. Where edges go far to the side there is more space, so that they are not flat."""
    heights = [max((sizes[item][1] for item in rank if item < layers.count), default=0.0) for rank in layers.ranks]
    sideways = [0.0] * len(layers.ranks)
    rank = layers.rank
    for a, b in layers.links():
        sideways[rank[a]] = max(sideways[rank[a]], abs(x[a] - x[b]))
    tops, y = [], 0.0
    for height, aside in zip(heights, sideways, strict=True):
        tops.append(y)
        y += height + min(2 * gap, gap + 0.06 * aside)
    return tops, heights


# Edges ---------------------------------------------------------------------------------------------------------------


def _routes(
    layers: Layers,
    sizes: Sequence[Size],
    corners: Sequence[Point],
    x: Sequence[float],
    bands: Sequence[tuple[float, float]],
    ends: Sequence[tuple[float, float]],
) -> list[list[Point]]:
    """For each edge the points where it leaves and enters ranks."""
    rank = layers.rank
    routes = []
    for i, (chain, (source, target)) in enumerate(zip(layers.chains, layers.edges, strict=True)):
        start, end = map(_rounded, ends[i])
        points = [Point(start, corners[source].y + sizes[source][1]), Point(start, _rounded(bands[rank[source]][1]))]
        for bend in chain[1:-1]:
            top, bottom = bands[rank[bend]]
            points += [Point(_rounded(x[bend]), _rounded(top)), Point(_rounded(x[bend]), _rounded(bottom))]
        points += [Point(end, _rounded(bands[rank[target]][0])), Point(end, corners[target].y)]
        routes.append(points)
    return routes


def _ends(
    layers: Layers, sizes: Sequence[Size], x: Sequence[float], gap: float, ports: Ports
) -> list[tuple[float, float]]:
    """For each edge where it leaves its source and where it enters its target: side by side, so that none cross.

    Edges that share a bend leave together.
    """
    outgoing: list[dict[tuple[float, int], list[int]]] = [{} for _ in range(layers.count)]
    incoming: list[list[tuple[float, int]]] = [[] for _ in range(layers.count)]
    for i, (chain, (source, target)) in enumerate(zip(layers.chains, layers.edges, strict=True)):
        shared = chain[1] >= layers.count
        outgoing[source].setdefault((x[chain[1]], -1 if shared else i), []).append(i)
        incoming[target].append((x[chain[-2]], i))
    leaving: dict[int, float] = {}
    entering: dict[int, float] = {}
    for box, (width, _) in enumerate(sizes):
        ways = sorted(outgoing[box])
        for way, place_ in zip(ways, _spread(x[box], width, len(ways), gap), strict=True):
            leaving.update((i, place_) for i in outgoing[box][way])
        arriving = sorted(incoming[box])
        for (_, i), place_ in zip(arriving, _spread(x[box], width, len(arriving), gap), strict=True):
            entering[i] = place_
        left = x[box] - width / 2
        leaving.update(
            (i, left + ports.leaving[i]) for way in outgoing[box].values() for i in way if i in ports.leaving
        )
        entering.update((i, left + ports.entering[i]) for _, i in incoming[box] if i in ports.entering)
    for i, (chain, (source, target)) in enumerate(zip(layers.chains, layers.edges, strict=True)):
        if i not in ports.entering and _near(leaving[i], entering[i], sizes[target][0]) and len(chain) == 2:
            entering[i] = leaving[i]
        if len(chain) > 2 and i not in ports.leaving and _near(leaving[i], x[chain[1]], sizes[source][0]):
            leaving[i] = x[chain[1]]
        if len(chain) > 2 and i not in ports.entering and _near(entering[i], x[chain[-2]], sizes[target][0]):
            entering[i] = x[chain[-2]]
    return [(leaving[i], entering[i]) for i in range(len(layers.edges))]


def _near(a: float, b: float, width: float) -> bool:
    """Whether two places are so near that an edge between them had better be straight."""
    return abs(a - b) <= min(_STRAIGHT, width / 8)


def _spread(middle: float, width: float, count: int, gap: float) -> Iterator[float]:
    """So many places around the middle of a side, evenly apart."""
    step = min(gap, width / max(1, count))
    return (middle + (i - (count - 1) / 2) * step for i in range(count))


def _rounded(value: float) -> float:
    return round(value, 1)
