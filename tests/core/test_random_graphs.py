"""Random graphs: any computation of many uses and broadcasts, differentiated, pushed forward, batched.

A program is a list of steps; each applies an operation to earlier values, so that values are used any number of times.
All operations are smooth and map the numbers that occur to numbers of moderate size.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import clearprop as cp

UNARY = {
    "sin": cp.sin,
    "tanh": cp.tanh,
    "negative": cp.negative,
    "sigmoid": cp.primitives.sigmoid,
    "erf": cp.erf,
    "softplus": lambda x: cp.logaddexp(x, 0.0),
    "square": lambda x: cp.square(cp.sin(x)),
    "sqrt": lambda x: cp.sqrt(x * x + 1.0),
    "transposed": lambda x: x.mT if x.ndim == 2 else x,
    "turned": lambda x: x[::-1] if x.ndim else x,
    "mean": lambda x: x.mean(axis=0, keepdims=True) if x.ndim else x,
    "sum": lambda x: x.sum(axis=-1) * 0.3 if x.ndim else x,
    "logsumexp": cp.logsumexp,
    "running": lambda x: cp.cumulative_sum(x, axis=0) * 0.3 if x.ndim else x,
    "picked": lambda x: x[[0, -1, 0]] if x.ndim else x,
    "changed": lambda x: x.at[0].set(cp.sin(x[-1])) if x.ndim else x,
    "prod": lambda x: cp.prod(cp.sin(x)),
}
BINARY = {
    "add": cp.add,
    "subtract": cp.subtract,
    "multiply": lambda x, y: cp.tanh(x) * y,
    "divide": lambda x, y: x / (y * y + 1.0),
    "atan2": lambda x, y: cp.atan2(x, cp.exp(cp.sin(y))),
    "matmul": lambda x, y: cp.tanh(x @ y) if x.ndim == y.ndim == 2 and x.shape[1] == y.shape[0] else x,
    "concat": lambda x, y: cp.concat([x, y]) if x.ndim and y.ndim == x.ndim and x.shape[1:] == y.shape[1:] else y,
}
SHAPES: list[tuple[int, ...]] = [(), (3,), (1, 3), (3, 1), (3, 3)]

steps = st.tuples(st.sampled_from([*UNARY, *BINARY]), st.integers(0, 30), st.integers(0, 30))
programs = st.lists(steps, min_size=1, max_size=12)
input_shapes = st.lists(st.sampled_from(SHAPES), min_size=1, max_size=3)


def run(program: list[tuple[str, int, int]], inputs: Any) -> Any:
    """The mean of everything the program computed."""
    values = list(inputs)
    for name, i, j in program:
        x, y = values[i % len(values)], values[j % len(values)]
        if name in UNARY:
            values.append(UNARY[name](x))
            continue
        try:
            values.append(BINARY[name](x, y))
        except cp.ShapeError:
            values.append(x)
    total: Any = 0.0
    for value in values:
        total = total + cp.mean(value)
    return total


def draw_inputs(shapes: list[tuple[int, ...]], seed: int = 0) -> list[Any]:
    random = np.random.default_rng(seed)
    return [np.asarray(random.uniform(-1.5, 1.5, shape)) for shape in shapes]


@given(program=programs, shapes=input_shapes)
def test_backward_and_forward_against_central_differences(program: Any, shapes: Any) -> None:
    cp.check_gradients(lambda *xs: run(program, xs), *draw_inputs(shapes))


@given(program=programs, shapes=input_shapes)
def test_second_derivatives(program: Any, shapes: Any) -> None:
    xs = [cp.tensor(x) for x in draw_inputs(shapes)]
    vs = [cp.tensor(x) for x in draw_inputs(shapes, 1)]
    numbers = tuple(range(len(xs)))
    f: Any = lambda *xs: run(program, xs)  # noqa: E731
    products = cp.hvp(f, xs, vs)
    by_reverse = cp.grad(
        lambda *xs: sum(((g * v).sum() for g, v in zip(cp.grad(f, numbers)(*xs), vs, strict=True)), cp.tensor(0.0)),
        numbers,
    )(*xs)
    for a, b in zip(products if len(xs) > 1 else [products], by_reverse, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-8, atol=1e-10)


@given(program=programs, shapes=input_shapes)
def test_a_batch_against_a_loop(program: Any, shapes: Any) -> None:
    examples = [draw_inputs(shapes, seed) for seed in range(3)]
    stacked = [cp.tensor(np.stack(xs)) for xs in zip(*examples, strict=True)]
    numbers = tuple(range(len(shapes)))
    f: Any = lambda *xs: run(program, xs)  # noqa: E731
    values, gradients = cp.vmap(cp.value_and_grad(f, numbers))(*stacked)
    for k, xs in enumerate(examples):
        value, gradient = cp.value_and_grad(f, numbers)(*xs)
        np.testing.assert_allclose(values[k].numpy(), value.numpy(), rtol=1e-12)
        for of_batch, alone in zip(gradients, gradient, strict=True):
            np.testing.assert_allclose(of_batch[k].numpy(), alone.numpy(), rtol=1e-9, atol=1e-12)


@given(program=programs, shapes=input_shapes)
def test_backward_adds_what_grad_returns(program: Any, shapes: Any) -> None:
    leaves = [cp.tensor(x, requires_grad=True) for x in draw_inputs(shapes)]
    run(program, leaves).backward()
    gradients = cp.grad(lambda *xs: run(program, xs), tuple(range(len(leaves))))(*draw_inputs(shapes))
    for x, g in zip(leaves, gradients, strict=True):
        assert x.grad is not None
        np.testing.assert_array_equal(x.grad.numpy(), g.numpy())


@given(program=programs, shapes=input_shapes)
def test_checkpointing_changes_nothing(program: Any, shapes: Any) -> None:
    f: Any = lambda *xs: run(program, xs)  # noqa: E731
    numbers = tuple(range(len(shapes)))
    for a, b in zip(
        cp.grad(cp.checkpoint(f), numbers)(*draw_inputs(shapes)), cp.grad(f, numbers)(*draw_inputs(shapes)), strict=True
    ):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@given(program=programs, shapes=input_shapes)
def test_graphs_print_and_know_their_lines(program: Any, shapes: Any) -> None:
    leaves = [cp.tensor(x, requires_grad=True) for x in draw_inputs(shapes)]
    graph = cp.Graph(run(program, leaves))
    lines = str(graph).splitlines()
    assert len(lines) == len(graph) + 1
    for node in graph.nodes:
        assert node.is_leaf or "test_random_graphs.py" in node.where
