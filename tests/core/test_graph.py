"""The record itself: nodes, graphs in print, source lines, module paths."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop.graph import state
from clearprop.source import caller, describe


def leaf(value: Any) -> Any:
    return cp.tensor(value, requires_grad=True)


def test_nodes_in_topological_order() -> None:
    x, y = leaf(2.0), leaf(1.0)
    z = y * (x * x + x)
    graph = cp.Graph(z)
    assert [node.name for node in graph.nodes] == ["leaf", "leaf", "multiply", "add", "multiply"]
    assert graph.leaves == [x.node, y.node]
    assert graph.outputs == [z.node]
    assert len(graph) == 5
    for node in graph.nodes:
        assert all(parent.number < node.number for parent in node.parents if parent is not None)


def test_a_graph_of_several_outputs_and_of_constants() -> None:
    x = leaf(2.0)
    square = x * x
    assert len(cp.Graph(square, square + 1.0)) == 3
    assert len(cp.Graph(cp.tensor(1.0))) == 0
    assert str(cp.Graph(cp.tensor(1.0))) == "Graph: 0 nodes, 0 leaves, 0 bytes kept"


def test_what_a_node_knows() -> None:
    x = leaf(np.ones((2, 3)))
    y = cp.sum(x, axis=1)
    node = y.node
    assert (node.name, node.shape, node.dtype, node.attributes) == ("sum", (2,), np.float64, {"axes": (1,)})
    assert node.parents == (x.node,)
    assert not node.is_leaf
    assert repr(node) == f"<Node %{node.number} sum float64[2]>"


def test_constants_are_not_nodes() -> None:
    x = leaf([1.0, 2.0])
    y = x * cp.tensor([3.0, 4.0]) + 5.0
    assert [node.name for node in cp.Graph(y).nodes] == ["leaf", "multiply", "add"]
    assert [parent is None for parent in y.node.parents] == [False, True]


def test_broadcasts_and_casts_are_seen() -> None:
    """What primitives do not do by themselves stands in the graph."""
    x, b = leaf(np.ones((2, 3))), leaf([1.0, 2.0, 3.0])
    assert [node.name for node in cp.Graph(x + b).nodes] == ["leaf", "leaf", "cast", "broadcast", "add"]


def test_printed() -> None:
    w = cp.Parameter(np.ones((3, 2)), name="w")
    y = cp.tanh(cp.tensor(np.ones((4, 3))) @ w)  # in print
    lines = str(cp.Graph(y)).splitlines()
    assert lines[0] == f"Graph: 3 nodes, 1 leaves, {4 * 3 * 8 + 4 * 2 * 8} bytes kept"
    assert re.fullmatch(r"%\d+  w +float64\[3, 2\]", lines[1])
    number = lines[1].split()[0]
    assert re.match(rf"%\d+  matmul\(constant, {number}\) +float64\[4, 2\]", lines[2])
    assert re.match(r"%\d+  tanh\(%\d+\) +float64\[4, 2\]", lines[3])
    assert lines[3].endswith("y = cp.tanh(cp.tensor(np.ones((4, 3))) @ w)  # in print")


def test_attributes_are_printed() -> None:
    assert "sum(%" in str(cp.Graph(cp.sum(leaf([1.0]), 0)))
    assert ", axes=(0,))" in str(cp.Graph(cp.sum(leaf([1.0]), 0)))


# Source lines ---------------------------------------------------------------------------------------------------------


class Model:
    def __call__(self, x: Any) -> Any:
        return cp.sin(x)  # inside a method


def test_each_node_knows_the_users_line() -> None:
    y = Model()(leaf(1.0))
    assert re.fullmatch(
        r"test_graph.py:\d+ in Model.__call__: return cp.sin\(x\)  # inside a method", y.node.where
    )  # fmt: skip


def test_operators_and_methods_are_not_the_users_line() -> None:
    x = leaf([1.0, 2.0])
    for y in (x + x, x @ x, x[0], x.sum(), x.at[0].set(5.0), abs(x), 1.0 - x):
        assert "for y in (x + x" in y.node.where


def test_lines_of_expressions_over_several_lines() -> None:
    x = leaf(1.0)
    y = cp.sin(
        cp.exp(x)  # the inner line
    )
    assert "the inner line" in y.node.parents[0].where


def test_nodes_inside_transformations_and_functions() -> None:
    class Double(cp.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2.0

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 2.0

    y = Double.apply(leaf(1.0))  # where it is applied
    assert "where it is applied" in y.node.where


def test_code_without_a_file() -> None:
    space: dict[str, Any] = {"cp": cp, "x": leaf(1.0)}
    exec(compile("def f(x):\n    return x * x\ny = f(x)", "<typed in>", "exec"), space)
    assert space["y"].node.where == "<typed in>:2 in f"


def test_describe() -> None:
    assert describe(None) == ""
    assert "assert describe(caller())" not in describe(None)
    text = describe(caller())
    assert text.startswith("test_graph.py:")
    assert "in test_describe: text = describe(caller())" in text


def test_long_lines_are_cut() -> None:
    y = leaf(1.0) * 1.0 + 1.0 + 1.0 + 1.0 + 1.0 + 1.0 + 1.0 + 1.0 + 1.0 + 1.0 + 1.0 + 1.0 + 1.0 + 1.0 + 1.0 + 1.0 + 1.0
    assert y.node.where.endswith("…")
    assert len(y.node.where) < 200


# Module paths ---------------------------------------------------------------------------------------------------------


def test_nodes_know_which_module_was_running(monkeypatch: pytest.MonkeyPatch) -> None:
    x = leaf(1.0)
    monkeypatch.setattr(state, "module", "encoder.fc1")
    y = x * x
    monkeypatch.setattr(state, "module", "")
    assert y.node.module == "encoder.fc1"
    assert (y + 1.0).node.module == ""
    assert "encoder.fc1" in str(cp.Graph(y))


# Memory ---------------------------------------------------------------------------------------------------------------


def test_an_array_that_several_nodes_keep_counts_once() -> None:
    x = leaf(np.ones(100))
    assert cp.Graph(cp.sin(x) + cp.cos(x)).residual_bytes() == 800
    assert cp.Graph(x * 2.0 + 1.0).residual_bytes() <= 800


def test_addition_keeps_nothing() -> None:
    x, y = leaf(np.ones(100)), leaf(np.ones(100))
    assert cp.Graph(x + y - x).residual_bytes() == 0
