"""Gradients of tables, row by row, and the steps of plain gradient descent that touch only rows with a gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.compiler.native.layouts import half, layouts, numbers
from tests.compiler.native.protected import check
from tests.compiler.native.test_native import EAGER_TO_SHARE, native

import clearprop as cp
from clearprop import functional, primitives

RANDOM = np.random.default_rng(0)


def in_range(i: Any, length: int) -> Any:
    return primitives.in_range(i, count=length, message="{wrong} is no row", hint="another one")


def summing_kernels(program: Any) -> list[str]:
    """What the kernels that sum rows compute."""
    kernels = [kernel for kernel in program.fusion.kernels if kernel.node.name == "scatter_add"]
    assert all(kernel.walked is not None for kernel in kernels)
    return [" ".join(node.name for node in kernel.nodes) for kernel in kernels]


@half
@given(
    table=st.integers(1, 40),
    columns=st.integers(8, 150),
    places=st.sampled_from([(1,), (7,), (300,), (5, 9), (4, 1, 6)]),
    dtype=st.sampled_from(["float32", "float64"]),
    kind=st.sampled_from(["int64", "int32", "uint8"]),
    data=st.data(),
)
def test_sums_of_rows(table: int, columns: int, places: tuple[int, ...], dtype: str, kind: str, data: Any) -> None:
    """Any number of columns, positions in any layout, rows that are there often, once and never."""
    x_layout, i_layout = data.draw(layouts((*places, columns))), data.draw(layouts(places))
    index = RANDOM.integers(0, max(1, table * 2 // 3), i_layout.stored).astype(kind)
    program = check(
        lambda x, i: primitives.scatter_add(
            x_layout.view(x), in_range(i_layout.view(i), table), shape=(table, columns)
        ),
        numbers(x_layout.stored, dtype),
        index,
        rtol=0.0,
    )
    assert summing_kernels(program) == ["scatter_add"]


def test_a_summand_is_computed_on_the_way() -> None:
    """The gradient of rows of a table that were multiplied with rows of another one."""

    def f(g: Any, other: Any, i: Any, j: Any) -> Any:
        rows = cp.take(other, in_range(j, other.shape[0]), axis=0)
        product = cp.expand_dims(g, axis=-1) * cp.expand_dims(rows, axis=1)
        return primitives.scatter_add(product, in_range(i, 50), shape=(50, 70))

    values = [
        numbers((90, 6), "float32"), numbers((33, 70), "float32"),
        RANDOM.integers(0, 50, (90, 6)), RANDOM.integers(0, 33, 90),
    ]  # fmt: skip
    program = check(f, *values, rtol=0.0)
    assert summing_kernels(program) == ["scatter_add multiply"]
    assert not any(kernel.node.name == "gather" for kernel in program.fusion.kernels)  # read where they stand


def updated(w: Any, x: Any, i: Any, lr: Any) -> Any:
    return w - lr * primitives.scatter_add(x, in_range(i, w.shape[0]), shape=w.shape)


UPDATES: dict[str, Callable[[Any, Any], Any]] = {
    "descent": lambda w, g: w - 0.5 * g,
    "ascent": lambda w, g: w + g * 0.5,
    "negated": lambda w, g: -(g * 0.25) * 2.0 + w,
}
OTHERS: dict[str, Callable[[Any, Any], Any]] = {
    "decay": lambda w, g: w - 0.5 * (g + 0.1 * w),
    "the other way round": lambda w, g: g - w,
    "a number for each column": lambda w, g: w - cp.arange(w.shape[1], dtype=w.dtype) * g,
    "added to all": lambda w, g: w - (g + 1.0),
}


@pytest.mark.parametrize("name", UPDATES)
def test_a_step_is_part_of_the_sums(name: str) -> None:
    def f(w: Any, x: Any, i: Any) -> Any:
        return UPDATES[name](w, primitives.scatter_add(x, in_range(i, 30), shape=w.shape))

    program = check(f, numbers((30, 40), "float32"), numbers((20, 40), "float32"), RANDOM.integers(0, 30, 20), rtol=0.0)
    (kernel,) = [kernel for kernel in program.fusion.kernels if kernel.walked is not None and kernel.space is None]
    assert kernel.nodes[-1].name in ("add", "subtract")


@pytest.mark.parametrize("name", OTHERS)
def test_what_changes_all_rows_is_no_such_step(name: str) -> None:
    def f(w: Any, x: Any, i: Any) -> Any:
        return OTHERS[name](w, primitives.scatter_add(x, in_range(i, 30), shape=w.shape))

    program = check(
        f, numbers((30, 40), "float32"), numbers((20, 40), "float32"), RANDOM.integers(0, 30, 20), rtol=1e-6
    )
    assert summing_kernels(program) == ["scatter_add"]


def test_a_gradient_that_is_needed_elsewhere_is_written() -> None:
    def f(w: Any, x: Any, i: Any) -> Any:
        gradient = primitives.scatter_add(x, in_range(i, 30), shape=w.shape)
        return w - 0.5 * gradient, cp.sum(gradient * gradient)

    program = check(
        f, numbers((30, 40), "float32"), numbers((20, 40), "float32"), RANDOM.integers(0, 30, 20), rtol=1e-6
    )
    assert summing_kernels(program) == ["scatter_add"]


def test_the_bits_do_not_depend_on_the_number_of_threads() -> None:
    """Nor does it matter that one row is there nearly always."""
    index = np.where(RANDOM.random(400) < 0.8, 3, RANDOM.integers(0, 60, 400))
    values = [numbers((60, 45), "float32"), numbers((400, 45), "float32"), index, np.float32(0.1)]
    expected = native(updated, *values)(values)
    for threads in (2, 3, 5):
        found = native(updated, *values, machine=replace(EAGER_TO_SHARE, threads=threads))(values)
        np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(expected[0], updated(*map(cp.asarray, values)).numpy())


# In training steps ----------------------------------------------------------------------------------------------------


def skip_gram(words: Any, others: Any) -> Any:
    """Word2vec's step with one table, or two; see Mikolov et al. 2013."""
    optimizer = cp.optim.SGD(dict.fromkeys([words, others]), lr=0.5)

    def step(i: Any, j: Any) -> Any:
        optimizer.zero_grad()
        fits = cp.sum(functional.embedding(j, others) * functional.embedding(i, words)[:, None, :], axis=-1)
        loss = cp.mean(functional.softplus(fits))
        loss.backward()
        optimizer.step()
        return loss

    return step


def tables(*, tied: bool) -> list[Any]:
    random = np.random.default_rng(1)
    made = [cp.Parameter(random.standard_normal((80, 40)).astype(np.float32)) for _ in range(2)]
    return [made[0], made[0]] if tied else made


def pairs() -> tuple[Any, Any]:
    random = np.random.default_rng(2)
    return cp.asarray(random.integers(0, 80, 50)), cp.asarray(random.integers(0, 80, (50, 6)))


@pytest.mark.parametrize("tied", [False, True])
def test_steps_are_those_of_eager(tied: bool) -> None:
    """A table that is looked up while it would be updated is updated elsewhere."""
    eager, compiled = tables(tied=tied), tables(tied=tied)
    step, fast, batch = skip_gram(*eager), cp.compile(skip_gram(*compiled), executor="native"), pairs()
    for _ in range(5):
        assert fast(*batch).item() == pytest.approx(step(*batch).item(), rel=1e-5)
    for one, other in zip(compiled, eager, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-4, atol=1e-6)


def test_a_table_that_somebody_else_holds_is_not_written_over() -> None:
    words, others = tables(tied=False)
    fast, batch = cp.compile(skip_gram(words, others), executor="native"), pairs()
    for _ in range(3):
        held = words.value
        before = held.numpy().copy()
        fast(*batch)
        np.testing.assert_array_equal(held.numpy(), before)
        assert (words.numpy() != before).any(axis=1).sum() == len(np.unique(batch[0].numpy()))


def test_rows_without_a_gradient_stay_as_they_are() -> None:
    """Even where they are not numbers."""
    words, others = tables(tied=False)
    (i, j), untouched = pairs(), 79
    i = cp.asarray(np.where(i.numpy() == untouched, 0, i.numpy()))
    start = words.numpy().copy()
    start[untouched] = np.nan
    words.assign(cp.asarray(start))
    fast = cp.compile(skip_gram(words, others), executor="native")
    for _ in range(3):
        assert np.isfinite(fast(i, j).item())
    assert np.isnan(words.numpy()[untouched]).all()
    assert np.isfinite(words.numpy()[:untouched]).all()


def test_rows_of_bags_are_read_where_they_stand() -> None:
    """Neither the rows of a bag nor their gradients, one for each row, are written down on the way."""

    def f(table: Any, positions: Any, offsets: Any, g: Any) -> Any:
        total, back = cp.vjp(lambda t: functional.embedding_bag(positions, t, offsets), table)
        return total, *back(g)

    positions = RANDOM.integers(0, 60, 700)
    program = check(
        f, numbers((60, 64), "float32"), positions, np.arange(0, 700, 7), numbers((100, 64), "float32"), rtol=1e-6
    )
    assert not any(kernel.node.name == "gather" for kernel in program.fusion.kernels)
