"""The tree of groups: one for each call of a module, parameters with what uses them, equal blocks kept short."""

from __future__ import annotations

import random
from typing import Any

import pytest

import clearprop as cp
from clearprop import nn
from clearprop.lens import Tape
from clearprop.lens.modules import Group, tree


def labels(group: Group) -> list[str]:
    return [member.label if isinstance(member, Group) else member.name for member in group.members]


def recorded(function: Any, *args: Any) -> Tape:
    tape: Tape = cp.record(function)(*args)
    return tape


def tree_of(tape: Tape, **options: Any) -> Group:
    return tree([row.node for row in tape.rows], tape.calls, **options)


def named(root: Group, label: str) -> list[Group]:
    return [group for group in root.groups() if group.label == label]


def check_levels(root: Group) -> None:
    """Each node is in one place, and at no level do edges between members form a circle."""
    nodes = list(root.nodes())
    assert len(nodes) == len(set(nodes))
    for group in root.groups():
        place = {}
        for i, member in enumerate(group.members):
            for node in member.nodes() if isinstance(member, Group) else (member,):
                place[node] = i
        for node, i in place.items():
            assert all(parent not in place or place[parent] <= i for parent in node.parents)


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        self.narrow = nn.Linear(width, width)
        self.wide = nn.Linear(width, width)

    def forward(self, x: cp.Tensor) -> cp.Tensor:
        return x + self.wide(cp.functional.relu(self.narrow(x)))


class Network(nn.Module):
    def __init__(self, blocks: int) -> None:
        self.blocks = nn.Sequential(*(Block(4) for _ in range(blocks)))
        self.head = nn.Linear(4, 1)

    def forward(self, x: cp.Tensor) -> cp.Tensor:
        return self.head(self.blocks(x)).sum()


def test_modules_inside_modules() -> None:
    root = tree_of(recorded(Network(2), cp.ones((3, 4))))
    assert labels(root) == ["blocks", "head", "sum"]
    (blocks,) = named(root, "blocks")
    assert labels(blocks) == ["0", "1"]
    first = blocks.members[0]
    assert isinstance(first, Group)
    assert (first.path, first.about) == ("blocks.0", "Block")
    assert labels(first) == ["narrow", "relu", "wide", "add"]
    assert [group.about for group in named(root, "head")] == ["Linear(4, 1)"]
    check_levels(root)


def test_parameters_are_with_what_uses_them() -> None:
    root = tree_of(recorded(Network(1), cp.ones((3, 4))))
    (head,) = named(root, "head")
    assert [node.name for node in head.members if not isinstance(node, Group) and node.is_leaf] == [
        "head.weight",
        "head.bias",
    ]


def test_calls_of_one_module_are_told_apart_and_what_they_share_is_outside() -> None:
    cell = nn.RNNCell(2, 3)

    def run() -> cp.Tensor:
        h = cp.zeros((1, 3))
        for _ in range(4):
            h = cell(cp.ones((1, 2)), h)
        return h.sum()

    root = tree_of(recorded(run))
    calls = named(root, "RNNCell")
    assert [group.call for group in calls] == [1, 2, 3, 4]
    assert [node.name for node in root.members if not isinstance(node, Group) and node.is_leaf] == [
        "weight_ih",
        "weight_hh",
        "bias_ih",
        "bias_hh",
    ]
    check_levels(root)


def test_a_part_called_twice_by_the_same_module() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            self.fc = nn.Linear(2, 2)

        def forward(self, x: cp.Tensor) -> cp.Tensor:
            return self.fc(self.fc(x))

    root = tree_of(recorded(Twice(), cp.ones((1, 2))))
    assert [group.call for group in named(root, "fc")] == [1, 2]
    check_levels(root)


def test_two_networks_stay_two() -> None:
    first, second = (nn.Sequential(nn.Linear(2, 2), nn.Tanh()) for _ in range(2))
    root = tree_of(recorded(lambda: second(first(cp.ones((1, 2)))).sum()))
    assert labels(root) == ["Sequential", "Sequential", "sum"]


def test_a_graph_alone_knows_paths() -> None:
    root = tree(cp.Graph(Network(2)(cp.ones((3, 4)))).nodes)
    assert labels(root) == ["blocks", "head", "sum"]
    assert labels(named(root, "0")[0]) == ["narrow", "relu", "wide", "add"]
    check_levels(root)


def test_many_equal_blocks_are_shortened() -> None:
    root = tree_of(recorded(Network(40), cp.ones((3, 4))))
    (blocks,) = named(root, "blocks")
    assert labels(blocks) == ["0", "1", "… 37 more alike …", "39"]
    between = blocks.members[2]
    assert isinstance(between, Group)
    assert labels(between) == [str(i) for i in range(2, 39)]
    assert all(group.parent is between for group in between.members if isinstance(group, Group))
    check_levels(root)


def test_blocks_of_several_nodes_repeat_too() -> None:
    def run(x: cp.Tensor) -> cp.Tensor:
        for _ in range(30):
            x = cp.tanh(x)
            x = x * 2.0
        return x

    root = tree_of(recorded(run, cp.tensor(1.0, requires_grad=True)))
    assert "… 27 more alike …" in labels(root)
    check_levels(root)


def test_twelve_blocks_are_all_shown() -> None:
    root = tree_of(recorded(Network(12), cp.ones((3, 4))))
    assert labels(named(root, "blocks")[0]) == [str(i) for i in range(12)]


def two_lines(x: cp.Tensor) -> cp.Tensor:
    y = cp.exp(x) * x + x * x * 2.0
    return y * y * y + y * 3.0 - x


def test_nodes_of_one_line_are_a_group() -> None:
    tape = recorded(two_lines, cp.tensor(1.0, requires_grad=True))
    root = tree_of(tape)
    first, second = (member for member in root.members if isinstance(member, Group))
    assert first.label == "y = cp.exp(x) * x + x * x * 2.0"
    assert second.label == "return y * y * y + y * 3.0 - x"
    assert first.about.startswith("test_modules.py:")
    assert not any(isinstance(member, Group) for member in tree_of(tape, by_line=False).members)
    check_levels(root)


def test_each_pass_through_a_loop_is_a_group() -> None:
    def run(x: cp.Tensor) -> cp.Tensor:
        h = x
        for _ in range(5):
            h = cp.tanh(h * 0.5 + x) * 2.0
        return cp.square(h)

    root = tree_of(recorded(run, cp.tensor(1.0, requires_grad=True)))
    assert labels(root) == ["leaf", *["h = cp.tanh(h * 0.5 + x) * 2.0"] * 5, "multiply"]
    check_levels(root)


def test_a_run_that_ends_with_an_error() -> None:
    class Broken(nn.Module):
        def __init__(self) -> None:
            self.good = nn.Linear(2, 3)
            self.bad = nn.Linear(4, 1)

        def forward(self, x: cp.Tensor) -> cp.Tensor:
            return self.bad(cp.functional.relu(self.good(x)))

    with pytest.raises(cp.ShapeError), cp.record() as tape:
        Broken()(cp.ones((1, 2)))
    w = cp.tensor(1.0, requires_grad=True)
    root = tree([row.node for row in tape.rows] + [(w * w).node], tape.calls)  # what comes later is outside
    assert labels(root) == ["good", "relu", "multiply"]


def test_recording_that_begins_inside_a_module() -> None:
    class Watched(nn.Module):
        def __init__(self) -> None:
            self.first, self.second = nn.Linear(2, 2), nn.Linear(2, 2)

        def forward(self, x: cp.Tensor) -> cp.Tensor:
            h = self.first(x)
            with cp.record() as self.tape:
                return self.second(h)

    model = Watched()
    model(cp.ones((1, 2)))
    assert "second" in labels(tree_of(model.tape))


def test_nothing() -> None:
    assert tree([]).members == []


def test_very_many_nodes_are_in_pieces() -> None:
    draw = random.Random(0)
    functions = [cp.tanh, cp.exp, cp.sin, cp.cos, cp.square]

    def run(x: cp.Tensor) -> cp.Tensor:
        for _ in range(3_000):
            x = draw.choice(functions)(x)
        return x

    root = tree_of(recorded(run, cp.tensor(0.1, requires_grad=True)))
    assert labels(root) == [f"part {i} of 20" for i in range(1, 21)]
    assert max(len(group.members) for group in root.groups()) <= 100
    assert sum(1 for node in root.nodes()) == 3_001
    check_levels(root)


def test_time_steps_inside_a_recurrent_module_are_rounds() -> None:
    root = tree_of(recorded(nn.LSTM(3, 4), cp.ones((12, 2, 3))))
    (lstm,) = (group for group in root.groups() if group.label == "LSTM")
    steps = [member.label for member in lstm.members if isinstance(member, Group)]
    assert len(steps) >= 10
    assert steps[0].startswith("round 1 of ")
    check_levels(root)
    many = tree_of(recorded(nn.LSTM(3, 4), cp.ones((60, 2, 3))))
    assert max(len(group.members) for group in many.groups()) < 100
    assert any("more alike" in group.label for group in many.groups())
    check_levels(many)


def test_parameters_that_one_line_uses_are_in_its_group() -> None:
    w, b, x = (cp.Parameter(2.0, name=name) for name in "wbx")

    def run() -> cp.Tensor:
        h = cp.tanh(w * 1.5 + b) * 2.0
        return cp.sin(h) * h + cp.cos(h) * x + x

    root = tree_of(recorded(run))
    assert [labels(group)[:2] for group in root.members if isinstance(group, Group)] == [["w", "b"], ["x", "sin"]]
    check_levels(root)
