"""Layered layout, first half: which rank each box stands in, and in which order the boxes of a rank stand.

The method is that of Sugiyama, Tagawa and Toda (1981), in the form of Gansner, Koutsofios, North and Vo (1993). Edges
point from rank to rank. One that spans several ranks gets a *bend* in each rank between, an item without a box, so that
all links join neighbouring ranks. The order within the ranks is then improved until few links cross.

All of this depends on who is joined to whom, and not on sizes: when a box grows, only `coordinates` has to run again.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import pairwise
from operator import itemgetter

_ROUNDS = 24  # sweeps at most
_PATIENCE = 6  # sweeps without fewer crossings after which to stop
_LINKS_SWEPT = 1_000_000  # so many links are looked at in all sweeps together, at most: a bound on the time
_MOST_TRANSPOSED = 3_000  # in graphs of up to so many items, neighbours are exchanged one by one too
_BENDS_PER_BOX = 20  # with more (and 1,000) in all chains the longest edges go without: they would be clutter anyway


@dataclass(frozen=True)
class Layers:
    """The structure of a layered drawing. Items are boxes (numbers below ``count``) and bends (from ``count`` on).

    Attributes:
        count: how many boxes there are.
        edges: the edges, as pairs of boxes.
        weights: of each edge; the heavier an edge, the straighter it is drawn.
        ranks: the items of each rank, from left to right.
        chains: for each edge its items: source, bends, target. Edges from one source share their bends as far as they
            go together. An edge that skips a rank without a bend (see `arrange`) is drawn as one curve.
    """

    count: int
    edges: Sequence[tuple[int, int]]
    weights: Sequence[float]
    ranks: list[list[int]]
    chains: list[list[int]]

    @property
    def rank(self) -> dict[int, int]:
        """The rank of each item."""
        return {item: i for i, rank in enumerate(self.ranks) for item in rank}

    def links(self) -> list[tuple[int, int]]:
        """Pairs of items of neighbouring ranks that an edge joins, upper first; each once."""
        rank = self.rank
        pairs = (pair for chain in self.chains for pair in pairwise(chain))
        return list(dict.fromkeys((a, b) for a, b in pairs if rank[b] == rank[a] + 1))

    def trunks(self) -> list[list[int]]:
        """The bends that belong to one source, from above to below; one list for each source that has some."""
        longest: dict[int, list[int]] = {}
        for chain in self.chains:
            if len(chain) > 2 and len(chain) - 2 > len(longest.get(chain[0], ())):
                longest[chain[0]] = chain[1:-1]
        return list(longest.values())

    def crossings(self) -> int:
        """How often two links cross."""
        return _Order(self.ranks, self.links()).crossings(self.ranks)


def arrange(
    count: int,
    edges: Iterable[tuple[int, int]],
    weights: Sequence[float] | None = None,
    *,
    first: Collection[int] = (),
    last: Collection[int] = (),
) -> Layers:
    """Ranks and orders for boxes 0, 1, …, ``count - 1`` joined by edges that form no circle.

    Deterministic. The time is about linear in boxes and bends. A graph with very many long edges is spared the bends of
    the longest ones.

    Args:
        weights: of each edge; 1 by default.
        first: boxes without inputs that have the first rank to themselves.
        last: boxes without users that have the last rank to themselves.

    Raises:
        ValueError: if the edges form a circle.

    >>> layers = arrange(4, [(0, 1), (1, 2), (0, 2), (3, 2)])
    >>> layers.ranks, layers.chains
    ([[0], [1, 4, 3], [2]], [[0, 1], [1, 2], [0, 4, 2], [3, 2]])
    """
    edges = list(edges)
    rank = _ranks(count, edges, set(first), set(last))
    chains, bend_ranks = _bent(count, edges, rank)
    levels: list[list[int]] = [[] for _ in range(max(rank, default=-1) + 1)]
    for item, level in enumerate([*rank, *bend_ranks]):
        levels[level].append(item)
    layers = Layers(count, edges, [1.0] * len(edges) if weights is None else list(weights), levels, chains)
    return Layers(layers.count, edges, layers.weights, _least_crossed(layers), chains)


# Ranks ---------------------------------------------------------------------------------------------------------------


def _ranks(count: int, edges: Sequence[tuple[int, int]], first: set[int], last: set[int]) -> list[int]:
    """As early as the inputs allow; then whatever gains by it, parameters above all, is moved towards its users."""
    inputs: list[set[int]] = [set() for _ in range(count)]
    users: list[set[int]] = [set() for _ in range(count)]
    for source, target in edges:
        inputs[target].add(source)
        users[source].add(target)
    rank = [0 if box in first or not first else 1 for box in range(count)]
    order = _topological(inputs, users)
    for box in order:
        rank[box] = max((rank[other] + 1 for other in inputs[box]), default=rank[box])
    lowest = max((level for box, level in enumerate(rank) if box not in last), default=0)
    for box in last:
        rank[box] = lowest + 1
    for box in reversed(order):
        if box in first:
            continue
        if users[box] and len(inputs[box]) <= len(users[box]):  # no input's edge grows by more than the outputs' shrink
            rank[box] = min(rank[other] for other in users[box]) - 1
    highest = min(rank, default=0)
    return [level - highest for level in rank]


def _topological(inputs: Sequence[set[int]], users: Sequence[set[int]]) -> list[int]:
    """Inputs before their users; of those that are ready, the lowest number first."""
    missing = [len(others) for others in inputs]
    ready = [box for box, count in enumerate(missing) if not count]
    heapify(ready)
    order = []
    while ready:
        box = heappop(ready)
        order.append(box)
        for user in users[box]:
            missing[user] -= 1
            if not missing[user]:
                heappush(ready, user)
    if len(order) < len(inputs):
        raise ValueError("the edges form a circle")
    return order


def _bent(count: int, edges: Sequence[tuple[int, int]], rank: Sequence[int]) -> tuple[list[list[int]], list[int]]:
    """The chain of each edge, and the rank of each bend. All edges from one source follow one trunk of bends."""
    lengths = [rank[target] - rank[source] - 1 for source, target in edges]
    longest = _longest_chain(lengths, count)
    trunks: dict[int, list[int]] = {}
    bend_ranks: list[int] = []
    chains = []
    for (source, target), length in zip(edges, lengths, strict=True):
        if length > longest:
            chains.append([source, target])
            continue
        trunk = trunks.setdefault(source, [])
        while len(trunk) < length:
            trunk.append(count + len(bend_ranks))
            bend_ranks.append(rank[source] + len(trunk))
        chains.append([source, *trunk[:length], target])
    return chains, bend_ranks


def _longest_chain(lengths: Iterable[int], count: int) -> int:
    """How many bends an edge may have, so that all chains together are not too long."""
    total = longest = 0
    for length in sorted(lengths):
        total += length
        if total > _BENDS_PER_BOX * count + 1_000:
            return length - 1
        longest = length
    return longest


# Order ---------------------------------------------------------------------------------------------------------------


def _least_crossed(layers: Layers) -> list[list[int]]:
    """The best of the orders that sweeps arrive at, from one or two beginnings."""
    order = _Order(layers.ranks, layers.links())
    fewest, best = order.improved(order.from_below())
    if order.size > _MOST_TRANSPOSED:
        return best
    if fewest:
        fewest, best = min((fewest, best), order.improved(order.from_above()), key=itemgetter(0))
    return order.with_trunks_moved(fewest, best, layers.trunks())


class _Order:
    """Orders of the items of some ranks, and how often links cross in them."""

    def __init__(self, ranks: list[list[int]], links: list[tuple[int, int]]) -> None:
        self.ranks = ranks
        self.size = sum(map(len, ranks))
        self.links = len(links)
        self.above: dict[int, list[int]] = {item: [] for rank in ranks for item in rank}
        self.below: dict[int, list[int]] = {item: [] for rank in ranks for item in rank}
        for upper, lower in links:
            self.above[lower].append(upper)
            self.below[upper].append(lower)

    def from_below(self) -> list[list[int]]:
        """From the last results up to their inputs, in the order of the inputs: without crossings for a tree."""
        return self._walked(reversed(self.ranks), self.above, self.below)

    def from_above(self) -> list[list[int]]:
        """From the first inputs down to their users."""
        return self._walked(self.ranks, self.below, self.above)

    def _walked(
        self, ranks: Iterable[list[int]], onwards: dict[int, list[int]], back: dict[int, list[int]]
    ) -> list[list[int]]:
        """The order in which a walk depth first, from those items from which nothing goes back, comes by."""
        level = {item: i for i, rank in enumerate(self.ranks) for item in rank}
        found: list[list[int]] = [[] for _ in self.ranks]
        reached: set[int] = set()
        for root in (item for rank in ranks for item in rank if not back[item]):
            waiting = [root]
            while waiting:
                item = waiting.pop()
                if item not in reached:
                    reached.add(item)
                    found[level[item]].append(item)
                    waiting += reversed(onwards[item])
        return found

    def improved(self, ranks: list[list[int]]) -> tuple[int, list[list[int]]]:
        """The fewest crossings after sweeps down and up, and the order that has them."""
        ranks = [list(rank) for rank in ranks]
        place = {item: i for rank in ranks for i, item in enumerate(rank)}
        best, fewest, waited = [list(rank) for rank in ranks], self.crossings(ranks), 0
        for i in range(min(_ROUNDS, max(2, _LINKS_SWEPT // max(1, self.links)))):
            if not fewest or waited == _PATIENCE:
                break
            self._sweep(ranks, place, down=i % 2 == 0)
            if self.size <= _MOST_TRANSPOSED:
                self._transpose(ranks, place)
            crossings, waited = self.crossings(ranks), waited + 1
            if crossings < fewest:
                best, fewest, waited = [list(rank) for rank in ranks], crossings, 0
        return fewest, best

    def with_trunks_moved(self, fewest: int, best: list[list[int]], trunks: Iterable[Sequence[int]]) -> list[list[int]]:
        """The best order with each trunk at the far left, at the far right or where it was, followed by more sweeps.

        Sweeps move one bend at a time, and a whole trunk never from one side of what it is joined to over to the other.
        """
        level = {item: i for i, rank in enumerate(best) for item in rank}
        budget = _LINKS_SWEPT // (self.links * _ROUNDS + 1)
        for trunk in trunks:
            for left in (True, False):
                if not fewest or not budget:
                    return best
                moved, budget = list(best), budget - 1
                for bend in trunk:
                    others = [item for item in moved[level[bend]] if item != bend]
                    moved[level[bend]] = [bend, *others] if left else [*others, bend]
                fewest, best = min((fewest, best), self.improved(moved), key=itemgetter(0))
        return best

    def _sweep(self, ranks: list[list[int]], place: dict[int, int], *, down: bool) -> None:
        """Order each rank by where, on average, its links come from; items without links stay where they are."""
        neighbours = self.above if down else self.below
        previous: list[int] = []
        for rank in ranks if down else reversed(ranks):
            scale = len(previous) or 1
            key = {}
            for i, item in enumerate(rank):
                others = neighbours[item]
                mean = sum(place[other] for other in others) / len(others) + 0.5 if others else 0.0
                key[item] = mean / scale if others else (i + 0.5) / len(rank)
            rank.sort(key=key.__getitem__)
            place.update((item, i) for i, item in enumerate(rank))
            previous = rank

    def _transpose(self, ranks: list[list[int]], place: dict[int, int]) -> None:
        """Exchange neighbours wherever that takes a crossing away."""
        for _ in range(4):
            changed = False
            for rank in ranks:
                for i in range(len(rank) - 1):
                    left, right = rank[i], rank[i + 1]
                    if self._crossed(left, right, place) > self._crossed(right, left, place):
                        rank[i], rank[i + 1] = right, left
                        place[left], place[right] = i + 1, i
                        changed = True
            if not changed:
                return

    def _crossed(self, left: int, right: int, place: dict[int, int]) -> int:
        """How often the links of two neighbours cross one another."""
        crossings = 0
        for neighbours in (self.above, self.below):
            ends = sorted(place[other] for other in neighbours[right])
            for other in neighbours[left]:
                crossings += bisect_right(ends, place[other] - 1)
        return crossings

    def crossings(self, ranks: list[list[int]]) -> int:
        """How often links cross, counted as inversions with a binary indexed tree (Barth, Jünger, Mutzel, 2002)."""
        place = {item: i for rank in ranks for i, item in enumerate(rank)}
        total = 0
        for upper, lower in pairwise(ranks):
            tree, seen = [0] * (len(lower) + 1), 0
            for item in upper:
                ends = sorted(place[other] for other in self.below[item])
                for end in ends:
                    total += seen - _count(tree, end + 1)
                for end in ends:
                    _add(tree, end + 1)
                seen += len(ends)
        return total


def _count(tree: list[int], i: int) -> int:
    total = 0
    while i:
        total += tree[i]
        i -= i & -i
    return total


def _add(tree: list[int], i: int) -> None:
    while i < len(tree):
        tree[i] += 1
        i += i & -i
