"""What gradients cost, counted on graphs whose counts are known by hand."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import functional, nn


def chain(length: int) -> Any:
    """f = w_L (… (w_2 (w_1 x)))."""
    weights = [cp.tensor(0.5, requires_grad=True) for _ in range(length)]
    with cp.record() as tape:
        y = cp.tensor(2.0)
        for w in weights:
            y = w * y
    return tape


def ways(tape: Any) -> dict[str, int]:
    return {way.name: way.multiplications for way in tape.cost().ways}


@pytest.mark.parametrize("length", [1, 2, 7, 40])
def test_a_chain_takes_as_many_steps_as_it_is_long_or_its_square(length: int) -> None:
    """An edge to each weight, and one to each product but the last; without memory, every weight begins at the top."""
    found = ways(chain(length))
    assert found["backpropagation"] == 2 * length - 1
    again = length + length * (length - 1) // 2
    assert found["upstream gradients not kept"] == found["forward mode"] == again


def test_jacobians_of_layers() -> None:
    """n numbers in, n out, L times: vector by matrix n² for each layer, matrix by matrix n³."""
    n, depth = 6, 5
    x = cp.tensor(np.ones(n), requires_grad=True)
    with cp.record() as tape:
        y = x
        for _ in range(depth):
            y = cp.sin(y)
        loss = cp.sum(y)
    found = ways(tape)
    assert found["backpropagation"] == depth * n  # the Jacobians are diagonal; the sum moves
    assert found["Jacobians, vector × matrix"] == depth * n * n + n
    assert found["Jacobians, matrix × matrix"] == depth * n**3 + n * n
    assert found["forward mode"] == n * depth * n
    assert tape.cost(loss).ways == tape.cost().ways


def test_a_product_of_matrices_is_counted_as_such() -> None:
    w = cp.Parameter(np.ones((3, 4)), name="w")
    x = cp.tensor(np.ones((2, 3)), requires_grad=True)
    with cp.record() as tape:
        (x @ w).sum().backward()
    cost = tape.cost()
    assert cost.ways[0].multiplications == 2 * (2 * 3 * 4)  # g wᵀ and xᵀ g
    assert cost.forward == 2 * 3 * 4
    assert (cost.nodes, cost.edges, cost.depth, cost.leaves, cost.parameters) == (4, 3, 2, 2, 18)
    assert cost.residual_bytes == tape.residual_bytes == (3 * 4 + 2 * 3) * 8


def test_upstream_gradients_are_in_memory_from_the_first_contribution_to_the_visit() -> None:
    """Of a chain that is two at a time, however long it is."""
    x = cp.tensor(np.ones(100), requires_grad=True)
    with cp.record() as tape:
        y = x
        for _ in range(9):
            y = cp.sin(y)
    backpropagation, *_ = tape.cost().ways
    assert backpropagation.nbytes == 2 * 100 * 8


def test_growth_over_the_depth() -> None:
    growth = chain(40).cost().growth
    for depth, kept, again in growth:
        assert kept == 2 * depth - 1
        assert again >= kept
    (_, _, half), (_, _, full) = next(row for row in growth if row[0] == 20), growth[-1]
    assert 3.5 < full / half < 4.0  # twice as deep, four times as many


def test_a_network_with_its_backward_pass() -> None:
    """Counted where the last backward pass began; the same before it has run."""
    cp.random.seed(0)
    model = nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3))
    with cp.record() as tape:
        loss = functional.cross_entropy(model(cp.ones((4, 5))), cp.zeros(4, dtype="int64"))
        before = tape.cost()
        loss.backward()
    after = tape.cost()
    assert before.ways[0].multiplications == after.ways[0].multiplications
    first, second = 4 * 5 * 6, 4 * 6 * 3
    assert after.ways[0].multiplications >= first + 2 * second + 4 * 6
    assert after.parameters == 5 * 6 + 6 + 6 * 3 + 3
    text = str(after)
    assert "backpropagation" in text
    assert all(len(line) <= 80 for line in text.splitlines())
    json.dumps(after.as_dict())


def test_a_chain_of_thousands_is_counted_at_once() -> None:
    """Which leaves lie below a node are bits, not lists."""
    assert ways(chain(3000))["upstream gradients not kept"] == 3000 + 3000 * 2999 // 2


def test_nothing_to_count() -> None:
    with cp.record() as tape:
        pass
    with pytest.raises(cp.UsageError, match="the tape is empty"):
        tape.cost()
    x = cp.tensor(1.0, requires_grad=True)
    with cp.record() as tape:
        y = x * 2.0
    with pytest.raises(cp.UsageError, match="nothing was computed"):
        tape.cost(x)
    assert tape.cost(y).depth == 1
