"""Layered drawings: boxes do not overlap, edges point down, what can be drawn without crossings is."""

from __future__ import annotations

import itertools
import random

import pytest

from clearprop.lens.coordinates import Gaps, Placement, Point, path, place
from clearprop.lens.layered import Layers, arrange

Edges = list[tuple[int, int]]


def tree(depth: int) -> tuple[int, Edges]:
    """A binary tree of sums: the root is the last box."""
    count = 2**depth - 1
    return count, [(count - 1 - child, count - 1 - (child - 1) // 2) for child in range(1, count)]


def residual_blocks(blocks: int) -> tuple[int, Edges]:
    """Three operations with a parameter each, and a skip connection around them."""
    edges: Edges = []
    x, count = 0, 1
    for _ in range(blocks):
        y = x
        for _ in range(3):
            edges += [(y, count + 1), (count, count + 1)]
            y, count = count + 1, count + 2
        edges += [(y, count), (x, count)]
        x, count = count, count + 1
    return count, edges


def recurrent(steps: int) -> tuple[int, Edges]:
    """A chain in which every step uses the same two weights."""
    chain = [(i, i + 1) for i in range(steps - 1)]
    return steps + 2, chain + [(weight, i) for i in range(1, steps) for weight in (steps, steps + 1)]


def scattered(count: int, seed: int) -> tuple[int, Edges]:
    draw = random.Random(seed)
    return count, [(draw.randrange(max(0, i - 12), i), i) for i in range(1, count) for _ in range(draw.randrange(3))]


GRAPHS = {
    "nothing": (0, []),
    "one box": (1, []),
    "apart": (3, []),
    "used twice": (2, [(0, 1), (0, 1)]),
    "tree": tree(5),
    "residual blocks": residual_blocks(4),
    "recurrent": recurrent(20),
    "wide": (301, [(i, 300) for i in range(300)]),
    "deep": (2_000, [(i, i + 1) for i in range(1_999)]),
    "scattered": scattered(60, 0),
    "scattered again": scattered(60, 1),
}


def sizes_of(count: int) -> list[tuple[float, float]]:
    return [(30.0 + 17 * (i % 5), 20.0 + 9 * (i % 3)) for i in range(count)]


def drawn(count: int, edges: Edges) -> tuple[Layers, Placement]:
    layers = arrange(count, edges)
    return layers, place(layers, sizes_of(count))


@pytest.mark.parametrize("name", GRAPHS)
def test_every_item_stands_in_one_rank_and_chains_join_neighbouring_ranks(name: str) -> None:
    count, edges = GRAPHS[name]
    layers = arrange(count, edges)
    items = [item for rank in layers.ranks for item in rank]
    assert sorted(items) == list(range(len(items)))
    assert len(items) >= count
    for (source, target), chain in zip(edges, layers.chains, strict=True):
        assert (chain[0], chain[-1]) == (source, target)
        assert all(item >= count for item in chain[1:-1])
        assert [layers.rank[item] for item in chain] == list(
            range(layers.rank[source], layers.rank[source] + len(chain))
        )


@pytest.mark.parametrize("name", GRAPHS)
def test_boxes_keep_apart_and_lie_inside_the_drawing(name: str) -> None:
    count, edges = GRAPHS[name]
    layers, placement = drawn(count, edges)
    sizes = sizes_of(count)
    for rank in layers.ranks:
        boxes = [item for item in rank if item < count]
        for left, right in itertools.pairwise(boxes):
            assert placement.corners[left].x + sizes[left][0] + Gaps().across <= placement.corners[right].x + 0.2
    for upper, lower in itertools.pairwise(layers.ranks):
        bottoms = [placement.corners[i].y + sizes[i][1] for i in upper if i < count]
        tops = [placement.corners[i].y for i in lower if i < count]
        assert not bottoms or not tops or max(bottoms) < min(tops)
    for corner, (width, height) in zip(placement.corners, sizes, strict=True):
        assert 0 <= corner.x <= placement.size[0] + 0.2 - width
        assert 0 <= corner.y <= placement.size[1] + 0.2 - height


@pytest.mark.parametrize("name", GRAPHS)
def test_edges_run_downwards_from_box_to_box(name: str) -> None:
    count, edges = GRAPHS[name]
    _, placement = drawn(count, edges)
    sizes = sizes_of(count)
    for (source, target), route in zip(edges, placement.routes, strict=True):
        assert len(route) % 2 == 0
        assert all(a.y <= b.y for a, b in itertools.pairwise(route))
        start, end = placement.corners[source], placement.corners[target]
        assert start.x < route[0].x < start.x + sizes[source][0]
        assert end.x <= route[-1].x <= end.x + sizes[target][0]
        assert (route[0].y, route[-1].y) == (start.y + sizes[source][1], end.y)


@pytest.mark.parametrize("name", ["tree", "residual blocks", "recurrent", "wide", "deep", "used twice"])
def test_what_can_be_drawn_without_crossings_is(name: str) -> None:
    assert arrange(*GRAPHS[name]).crossings() == 0


def test_crossings_that_cannot_be_avoided_are_few() -> None:
    three_by_three = [(i, j) for i in range(3) for j in range(3, 6)]
    assert arrange(6, three_by_three).crossings() == 9  # on two lines, K(3, 3) has no drawing with fewer


def test_a_turned_bipartite_graph_is_untangled() -> None:
    layers = arrange(20, [(i, 19 - i) for i in range(10)] + [(i, 18 - i) for i in range(9)])
    assert layers.crossings() == 0


def test_parameters_stand_just_above_what_uses_them() -> None:
    layers = arrange(5, [(0, 1), (1, 2), (2, 3), (4, 3)])
    assert layers.rank[4] == layers.rank[3] - 1


def test_edges_of_one_source_share_their_bends() -> None:
    layers = arrange(5, [(0, 1), (1, 2), (2, 3), (3, 4), (0, 3), (0, 4)])
    third, fourth = layers.chains[4], layers.chains[5]
    assert len(third) == 4
    assert fourth[: len(third) - 1] == third[:-1]


def test_long_edges_are_straight() -> None:
    _, placement = drawn(*residual_blocks(3))
    longest = max(placement.routes, key=len)
    assert len(longest) == 10  # three bends
    assert len({point.x for point in longest[2:-2]}) == 1


def test_the_same_graph_gives_the_same_drawing() -> None:
    count, edges = scattered(80, 5)
    assert drawn(count, edges) == drawn(count, edges)


def test_edges_at_one_box_do_not_meet() -> None:
    layers = arrange(3, [(0, 2), (1, 2), (0, 2)])
    placement = place(layers, [(50, 20)] * 3, Gaps(ports=8))
    ends = sorted(route[-1].x for route in placement.routes)
    assert [b - a for a, b in itertools.pairwise(ends)] == pytest.approx([8, 8])


def test_coordinates_follow_sizes_while_the_structure_stays() -> None:
    layers = arrange(4, [(0, 2), (1, 2), (2, 3)])
    small, large = place(layers, [(40, 20)] * 4), place(layers, [(40, 20)] * 2 + [(300, 200), (40, 20)])
    assert large.size[0] >= 300
    assert large.size[1] == pytest.approx(small.size[1] + 180, abs=10)


def test_bends_stay_within_bounds_in_a_graph_of_long_edges() -> None:
    count, edges = recurrent(4_000)  # 2 · 4,000 edges of a mean length of 2,000
    layers = arrange(count, edges)
    assert sum(map(len, layers.chains)) < 30 * count
    assert [(chain[0], chain[-1]) for chain in layers.chains] == edges


def test_a_circle_is_refused() -> None:
    with pytest.raises(ValueError, match="circle"):
        arrange(3, [(0, 1), (1, 2), (2, 1)])


def test_paths_are_straight_in_ranks_and_curved_between() -> None:
    route = [Point(5, 10), Point(5, 20), Point(5, 60), Point(5, 80), Point(25, 120), Point(25, 120)]
    assert path(route) == "M5 10V20V60V80C5 100 25 100 25 120"
