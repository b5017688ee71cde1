"""Products with rows of a table: shorter ones, and the same values and gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.core.test_trace import traced

import clearprop as cp
from clearprop.compiler.simplify import simplify
from clearprop.compiler.table_products import with_short_table_products
from clearprop.trace import Program

RNG = np.random.default_rng(0)
TABLE, WEIGHTS = RNG.normal(size=(5, 32)), RNG.normal(size=(32, 7))
POSITIONS = np.array([[0, 3, 3, 1], [2, 0, 1, 1], [0, 0, 2, 2]])  # nobody reads the last row

Function = Callable[[Any, Any, Any], Any]


def product(positions: Any, table: Any, weights: Any) -> Any:
    return cp.sum(cp.sin(cp.nn.functional.linear(cp.nn.functional.embedding(positions, table), weights)))


def shortened(f: Function, *arrays: Any) -> tuple[Program, Program]:
    """Value and gradients, as they are traced, and shortened; both give the same."""

    def outputs(*xs: Any) -> Any:
        value, gradients = cp.value_and_grad(f, (1, 2))(*xs)
        return [value, *gradients]

    long = simplify(traced(outputs, *arrays).program)
    short = with_short_table_products(long)
    for one, other in zip(short.run(arrays), long.run(arrays), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)
    return long, short


def rows_multiplied(program: Program) -> set[int]:
    """How many rows, or terms of a sum over rows, the products have that are no axis of the weights."""
    products = [node for node in program.order if node.name == "matmul"]
    lengths = {size for node in products for one in (node, *node.parents) if one is not None for size in one.shape}
    return lengths - set(WEIGHTS.shape)


@pytest.mark.parametrize("positions", [POSITIONS, POSITIONS.reshape(-1), POSITIONS.reshape(3, 2, 2)])
def test_no_product_is_longer_than_the_table(positions: Any) -> None:
    long, short = shortened(product, positions, TABLE, WEIGHTS)
    assert rows_multiplied(long) == {12}
    assert rows_multiplied(short) == {5}
    assert short.flops() < long.flops()


def test_what_else_uses_the_rows_gets_them() -> None:
    def f(positions: Any, table: Any, weights: Any) -> Any:
        rows = cp.nn.functional.embedding(positions, table)
        return cp.sum(cp.sin(rows @ weights)) + cp.sum(rows * rows * rows)

    _, short = shortened(f, POSITIONS, TABLE, WEIGHTS)
    assert rows_multiplied(short) == {5, 12}  # the gradient of the rows is a sum, and no product


def test_two_products_with_the_same_rows() -> None:
    def f(positions: Any, table: Any, weights: Any) -> Any:
        rows = cp.nn.functional.embedding(positions, table)
        return cp.sum(cp.sin(rows @ weights) * cp.cos(rows @ (2.0 * weights)))

    shortened(f, POSITIONS, TABLE, WEIGHTS)


def test_several_rows_side_by_side_are_one_row_of_another_product() -> None:
    """A model of windows multiplies what it has looked up for several words at once; it could not be compiled."""

    def windows(positions: Any, table: Any, weights: Any) -> Any:
        rows = cp.nn.functional.embedding(positions, table)
        return cp.sum(cp.sin(rows.reshape(6, 64) @ cp.concat([weights, weights])))

    shortened(windows, POSITIONS.reshape(12), TABLE, WEIGHTS)


def test_a_batch_of_products_is_not_one() -> None:
    def pooled(positions: Any, table: Any, weights: Any) -> Any:
        shares = cp.asarray(RNG.normal(size=(3, 2, 4)))
        return cp.sum(cp.sin(shares @ cp.nn.functional.embedding(positions, table))) + product(
            positions, table, weights
        )

    shortened(pooled, POSITIONS, TABLE, WEIGHTS)


def test_whole_numbers_are_left_alone() -> None:
    table, weights = np.ones((2, 32), np.int8), np.ones((32, 7), np.int8)
    program = traced(lambda i, t, w: cp.nn.functional.embedding(i, t) @ w, POSITIONS.reshape(-1) % 2, table, weights)
    assert with_short_table_products(program.program) is program.program


@pytest.mark.parametrize(
    ("positions", "table", "weights"),
    [
        (POSITIONS[:2], TABLE, WEIGHTS),  # 8 positions, 5 rows: little to win
        (POSITIONS, TABLE[:, :31], WEIGHTS[:31]),
    ],
)
def test_nothing_is_done_where_it_does_not_pay(positions: Any, table: Any, weights: Any) -> None:
    long, short = shortened(product, positions, table, weights)
    assert short is long


def test_positions_that_nobody_has_checked_are_left_alone() -> None:
    """Their error would name the shape of another table."""
    long, short = shortened(lambda i, table, w: cp.sum(cp.sin(table[i] @ w)), POSITIONS, TABLE, WEIGHTS)
    assert short is long


def compiled(f: Function) -> Any:
    return cp.compile(cp.value_and_grad(f, (1, 2)))


def test_a_row_that_nobody_reads_takes_no_part_whatever_it_holds() -> None:
    table = TABLE.copy()
    table[4] = [np.nan, np.inf] * 16
    value, gradients = compiled(product)(*map(cp.asarray, (POSITIONS, table, WEIGHTS)))
    expected, others = cp.value_and_grad(product, (1, 2))(*map(cp.asarray, (POSITIONS, table, WEIGHTS)))
    np.testing.assert_allclose(value.numpy(), expected.numpy(), rtol=1e-12)
    for one, other in zip(gradients, others, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-12, atol=1e-12)


def test_its_gradient_is_zero_even_if_the_weights_are_infinite() -> None:
    weights = WEIGHTS.copy()
    weights[0] = np.inf
    _, (by_table, _) = compiled(product)(*map(cp.asarray, (POSITIONS, TABLE, weights)))
    assert not by_table.numpy()[4].any()
    assert np.isnan(by_table.numpy()[:4]).any()


def test_a_bad_position_is_named_as_ever() -> None:
    positions = POSITIONS.copy()
    positions[1, 2] = 5
    with pytest.raises(cp.errors.RangeError, match="embedding: x has 5, which is not one of 0 to 4"):
        compiled(product)(*map(cp.asarray, (positions, TABLE, WEIGHTS)))


@pytest.mark.parametrize("layer", ["LSTM", "GRU", "RNN"])
def test_a_character_model_learns_the_same(layer: str) -> None:
    text = cp.asarray(RNG.integers(0, 9, (16, 4)))

    def losses(executor: str) -> list[float]:
        cp.random.seed(0)
        embedding, recurrent, head = cp.nn.Embedding(9, 32), getattr(cp.nn, layer)(32, 16), cp.nn.Linear(16, 9)
        model = cp.nn.ModuleList([embedding, recurrent, head])
        optimizer = cp.optim.Adam(model.parameters(), lr=0.02)

        @cp.compile(executor=executor)
        def step(text: Any) -> Any:
            output, _ = recurrent(embedding(text[:-1]))
            loss = cp.nn.functional.cross_entropy(head(output).reshape(60, 9), text[1:].reshape(60))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        found = [float(step(text)) for _ in range(20)]
        if executor == "native":
            products = {kernel.shape for kernel in step.profile(text).kernels if "matmul" in kernel.operations}
            assert (60, 16) in products  # the gradient of what the head reads
            assert (60, 32) not in products  # that of what has been looked up
        return found

    native, reference = losses("native"), losses("reference")
    assert native[-1] < 0.6 * native[0]
    np.testing.assert_allclose(native, reference, rtol=2e-3)
