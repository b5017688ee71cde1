"""Explicit Jacobians of edges: they turn the upstream gradient into the contribution."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import functional, nn


def test_they_multiply_the_upstream_gradient_into_the_contribution() -> None:
    """Of every edge of a small network: g . J = contribution, summed over the axes of the output."""
    cp.random.seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3), nn.LayerNorm(3))
    x = cp.tensor(np.random.default_rng(0).standard_normal((2, 1, 4, 4)).astype(np.float32), requires_grad=True)
    with cp.record() as tape:
        functional.cross_entropy(model(x), np.array([0, 2])).backward()
    edges = [edge for visit in tape.visits for edge in visit.edges]
    assert len(edges) > 20
    for edge in edges:
        jacobian = edge.jacobian()
        assert jacobian.shape == (*edge.row.node.shape, *edge.input.node.shape)
        product = np.tensordot(edge.upstream, jacobian, axes=len(edge.row.node.shape))
        np.testing.assert_allclose(product, edge.contribution, rtol=1e-4, atol=1e-6)


def test_of_a_linear_layer() -> None:
    """dy/dx of y = x w is w transposed, for each example; examples do not meet."""
    x, w = cp.tensor(np.ones((2, 3)), requires_grad=True), cp.Parameter(np.arange(6.0).reshape(3, 2), name="w")
    with cp.record() as tape:
        y = x @ w
        cp.sum(y).backward()
    jacobian = tape["y"].edges[0].jacobian()
    assert jacobian.shape == (2, 2, 2, 3)
    np.testing.assert_array_equal(jacobian[0, :, 0], w.numpy().T)
    np.testing.assert_array_equal(jacobian[0, :, 1], 0.0)


def large(x: Any) -> Any:
    return cp.sum(cp.tanh(x))


def test_large_ones_are_not_made_by_accident() -> None:
    tape = cp.record(lambda x: large(x).backward())(cp.tensor(np.ones(1000), requires_grad=True))
    edge = tape["x"].users[0]
    with pytest.raises(cp.UsageError, match=r"has \(1000,\) x \(1000,\), 1,000,000 numbers, more than 65,536"):
        edge.jacobian()
    assert edge.jacobian(most=10**6).trace() == pytest.approx(1000 * (1 - np.tanh(1.0) ** 2))


def test_of_several_outputs_and_of_what_is_not_on_the_tape() -> None:
    x = cp.tensor([3.0, 1.0, 2.0], requires_grad=True)

    class Two(cp.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2.0, x * 3.0

        @staticmethod
        def backward(ctx: Any, g: Any, h: Any) -> Any:
            return g * 2.0 + h * 3.0

    with cp.record() as tape:
        one, other = Two.apply(x)
        cp.sum(one * other).backward()
    with pytest.raises(cp.UsageError, match="has several outputs"):
        tape["x"].users[0].jacobian()
    w = cp.Parameter([1.0, 2.0], name="w")

    def f(x: Any) -> None:
        h = w * x
        y = cp.tanh(h)
        cp.sum(y).backward()

    compiled = cp.compile(f, watch=["y"])
    compiled(cp.ones(2))
    for edge in compiled.tape["y"].edges:
        assert edge.jacobian().shape == (2, 2)  # tanh keeps its output, which is watched
