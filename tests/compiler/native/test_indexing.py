"""Reading and writing at positions that are data, natively; and what happens if one of them is out of range."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.compiler.native.layouts import dtypes, half, layouts, lengths, numbers, shapes
from tests.compiler.native.protected import check
from tests.compiler.native.test_native import native, same

import clearprop as cp
from clearprop import functional, nn, optim, primitives

kinds = st.sampled_from(["int64", "int32", "uint8", "int8"])


def positions(data: Any, shape: tuple[int, ...], length: int) -> Any:
    """Positions along an axis of that length, in some dtype and layout; half of the time negative ones, too."""
    layout, dtype = data.draw(layouts(shape)), data.draw(kinds)
    low = -length if data.draw(st.booleans()) and not dtype.startswith("u") else 0
    random = np.random.default_rng(data.draw(st.integers(0, 9)))
    return layout, random.integers(low, length, layout.stored).astype(dtype)


@half
@given(shape=shapes, dtype=dtypes, data=st.data())
def test_gather(shape: tuple[int, ...], dtype: str, data: Any) -> None:
    x_layout = data.draw(layouts(shape))
    count = data.draw(st.integers(1, len(shape)))
    drawn = data.draw(st.one_of(st.just(()), shapes.filter(lambda s: len(s) < 3)))
    indices = [positions(data, drawn, length) for length in shape[:count]]
    check(
        lambda x, *given: primitives.gather(
            x_layout.view(x), *(layout.view(i) for (layout, _), i in zip(indices, given, strict=True))
        ),
        numbers(x_layout.stored, dtype),
        *(array for _, array in indices),
    )


@half
@given(shape=shapes, dtype=dtypes.filter(lambda d: d != "bool"), data=st.data())
def test_scatter_add(shape: tuple[int, ...], dtype: str, data: Any) -> None:
    count = data.draw(st.integers(1, len(shape)))
    drawn = data.draw(st.one_of(st.just(()), st.just((0,)), shapes.filter(lambda s: len(s) < 3)))
    x_layout = data.draw(layouts((*drawn, *shape[count:])))
    indices = [positions(data, drawn, length) for length in shape[:count]]
    check(
        lambda x, *given: primitives.scatter_add(
            x_layout.view(x), *(layout.view(i) for (layout, _), i in zip(indices, given, strict=True)), shape=shape
        ),
        numbers(x_layout.stored, dtype),
        *(array for _, array in indices),
        rtol=1e-5 if dtype == "float32" else 1e-12,
    )


@half
@given(length=lengths, dtype=dtypes, data=st.data())
def test_scatter_set(length: int, dtype: str, data: Any) -> None:
    count = data.draw(lengths)
    x_layout, y_layout = data.draw(layouts((length,))), data.draw(layouts((count,)))
    i_layout, index = positions(data, (count,), length)
    check(
        lambda x, y, i: primitives.scatter_set(x_layout.view(x), y_layout.view(y), i_layout.view(i)),
        numbers(x_layout.stored, dtype),
        numbers(y_layout.stored, dtype, 1),
        index,
    )


@half
@given(shape=shapes, dtype=dtypes, data=st.data())
def test_along_an_axis(shape: tuple[int, ...], dtype: str, data: Any) -> None:
    axis, length = data.draw(st.integers(0, len(shape) - 1)), data.draw(lengths)
    x_layout = data.draw(layouts(shape))
    i_layout, index = positions(data, (*shape[:axis], length, *shape[axis + 1 :]), shape[axis])
    check(
        lambda x, i: primitives.take_along_axis(x_layout.view(x), i_layout.view(i), axis=axis),
        numbers(x_layout.stored, dtype),
        index,
    )
    if dtype != "bool":
        i_layout, index = positions(data, shape, length)
        check(
            lambda x, i: primitives.add_along_axis(x_layout.view(x), i_layout.view(i), axis=axis, length=length),
            numbers(x_layout.stored, dtype),
            index,
            rtol=1e-5 if dtype == "float32" else 1e-12,
        )


def test_wide_rows_of_a_table() -> None:
    table, index = numbers((50, 130), "float32"), np.random.default_rng(0).integers(0, 50, (9, 21))
    check(lambda x, i: primitives.gather(x, i), table, index)
    rows = numbers((9, 21, 130), "float32")
    check(lambda x, i: primitives.scatter_add(x, i, shape=(50, 130)), rows, index, rtol=1e-5)


def test_sums_are_those_of_the_numbers_in_their_order() -> None:
    """1 is lost beside 1e16 if it is added to it, and not if it comes before."""
    x, index = np.array([1.0, 1e16, 1.0, -1e16]), np.zeros(4, np.int64)
    (found,) = native(lambda x, i: primitives.scatter_add(x, i, shape=(2,)), x, index)([x, index])
    assert found.tolist() == [0.0, 0.0]
    (found,) = native(lambda x, i: primitives.add_along_axis(x, i, axis=0, length=2), x, index)([x, index])
    assert found.tolist() == [0.0, 0.0]


def test_nan_and_infinity_stay_in_their_places() -> None:
    x = np.array([np.nan, np.inf, -np.inf, 1.0, np.inf])
    check(lambda x, i: primitives.scatter_add(x, i, shape=(4,)), x, np.array([0, 1, 1, 2, 3]))


# Out of range ---------------------------------------------------------------------------------------------------------

Function = Callable[[Any, Any], Any]
FUNCTIONS: dict[str, Function] = {
    "gather": lambda x, i: primitives.gather(x, i),
    "gather of elements": lambda x, i: primitives.gather(primitives.reshape(x, shape=(1, 70)), i * 0, i),
    "scatter_add": lambda x, i: primitives.scatter_add(x, i, shape=(70,)),
    "scatter_set": lambda x, i: primitives.scatter_set(x, x[: i.shape[0]], i),
    "take_along_axis": lambda x, i: primitives.take_along_axis(x, i, axis=0),
    "add_along_axis": lambda x, i: primitives.add_along_axis(x[: i.shape[0]], i, axis=0, length=70),
    "take_along_axis in rows": lambda x, i: primitives.take_along_axis(
        cp.stack([x, x], axis=1), cp.broadcast_to(i[:, None], (i.shape[0], 2)), axis=0
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", ["int64", "int8"])
def test_an_index_out_of_range(name: str, dtype: str) -> None:
    """Wherever it stands, it is found; and the next run, with good indices, is right."""
    x, good = np.arange(70.0), (np.arange(70) % 50).astype(dtype)
    good[7] = -70
    compiled = same(FUNCTIONS[name], x, good)
    assert compiled.by_numpy() == []
    expected = compiled([x, good])[0]
    for at in (0, 1, 13, 63, 66, 69):
        for wrong in (70, -71, 100):
            index = good.copy()
            index[at] = wrong
            with pytest.raises(cp.RangeError, match=f"{wrong} is out of bounds"):
                compiled([x, index])
        np.testing.assert_array_equal(compiled([x, good])[0], expected)


def test_what_cannot_be_out_of_range_is_not_looked_at() -> None:
    """Constants, and positions that are computed: their kernels cannot fail."""

    def f(x: Any) -> Any:
        best = cp.argmax(x, axis=1, keepdims=True)
        return cp.take_along_axis(x, best, axis=1), x[np.array([1, 2])]

    compiled = same(lambda x: list(f(x)), np.random.default_rng(0).standard_normal((3, 4)))
    assert not any(getattr(made, "may_fail", False) for made in compiled._writers.values())
    with pytest.raises(cp.RangeError, match="9 is out of bounds"):
        native(lambda x: primitives.gather(x, np.array([1, 9])), np.ones(4))([np.ones(4)])


def test_an_error_in_a_loop() -> None:
    def f(x: Any, indices: Any) -> Any:
        return cp.scan(lambda carry, i: (carry + x[i], x[i]), cp.zeros((), dtype=x.dtype), indices)

    x, indices = np.arange(5.0), np.array([4, 3, -5, 1])
    compiled = same(f, x, indices)
    with pytest.raises(cp.RangeError, match="7 is out of bounds"):
        compiled([x, np.array([4, 3, 7, 1])])
    same(f, x, indices)


def test_one_position_that_is_not_known_yet() -> None:
    def f(x: Any, i: Any) -> Any:
        return [x[i], x[:, i], x[1:, i, ::2], x[i, i]]

    x = np.arange(24.0).reshape(3, 2, 4)
    same(f, x, np.array(1))
    same(f, x, np.array(-1))


# In a training step ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("executor", ["native", "reference"])
@pytest.mark.parametrize("wrong", [3, -1, 1000])
def test_a_label_out_of_range(executor: str, wrong: int) -> None:
    """An error that says which label, of which loss, in which line; nothing has changed."""
    cp.random.seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Dropout(0.5), nn.BatchNorm1d(5), nn.Linear(5, 3))
    optimizer = optim.Adam(model.parameters(), lr=0.1)

    @cp.compile(executor=executor)
    def step(x: Any, y: Any) -> Any:
        loss = functional.cross_entropy(model(x), y)  # this line
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    x, y = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32), np.array([0, 1, 2, -100, 1, 0])
    step(x, y)
    counter = cp.random.default_generator.state_dict()
    before = [value.numpy() for value in model.state_dict().values()], str(optimizer.state_dict())
    y[4] = wrong
    says = (
        rf"cross_entropy: in target, label {wrong} is not one of 3 classes, which are 0 to 2\n.*this line\nTry: labels"
    )
    with pytest.raises(cp.RangeError, match=says):
        step(x, y)
    assert cp.random.default_generator.state_dict() == counter
    assert str(optimizer.state_dict()) == before[1]
    for now, then in zip(model.state_dict().values(), before[0], strict=True):
        np.testing.assert_array_equal(now.numpy(), then)
    y[4] = 2
    step(x, y)


@pytest.mark.parametrize("wrong", [7, -1])
def test_a_word_out_of_range(wrong: int) -> None:
    model = nn.Embedding(7, 3)
    run = cp.compile(lambda x: model(x), executor="native")
    np.testing.assert_array_equal(run([[0, 6]]).numpy(), model([[0, 6]]).numpy())
    with pytest.raises(
        cp.RangeError, match=f"embedding: x has {wrong}, which is not one of 0 to 6: num_embeddings is 7"
    ):
        run([[0, wrong]])
    assert run.traces == 1


LOSSES: dict[str, Function] = {
    "nll_loss": lambda x, y: functional.nll_loss(functional.log_softmax(x), y),
    "multi_margin_loss": lambda x, y: functional.multi_margin_loss(x, y),
    "weights": lambda x, y: functional.cross_entropy(x, y, weight=np.ones(3), label_smoothing=0.1),
    "images": lambda x, y: functional.cross_entropy(x.mT[None], y[None]),
    "per example": lambda x, y: cp.vmap(functional.cross_entropy)(x, y),
}


@pytest.mark.parametrize("name", LOSSES)
def test_labels_of_other_losses(name: str) -> None:
    x, y = np.random.default_rng(0).standard_normal((4, 3)), np.array([0, 1, 2, 1])
    run = cp.compile(LOSSES[name], executor="native")
    np.testing.assert_allclose(run(x, y).numpy(), LOSSES[name](x, y).numpy(), rtol=1e-6)
    for wrong in (3, -1):
        with pytest.raises(cp.RangeError) as eager:
            LOSSES[name](x, np.array([0, wrong, 2, wrong]))
        with pytest.raises(cp.RangeError) as compiled:
            run(x, np.array([0, wrong, 2, wrong]))
        assert compiled.value.message == eager.value.message
        assert "(and 1 more such)" in eager.value.message


def looked_up(table: Any, i: Any, weights: Any) -> Any:
    known_to_be_in_range = functional.one_hot(i, table.shape[0]).argmax(axis=-1)
    rows = cp.take(table, known_to_be_in_range, axis=0)
    return cp.sum(rows * weights[:, None, :], axis=-1), cp.tanh(rows[..., 3:]) - 1.0, cp.sum(rows, axis=(0, 1))


def test_rows_that_are_only_read_are_not_copied() -> None:
    """A table of any layout, rows read as they are, in part, and summed; beside them one that is written over."""
    random = np.random.default_rng(0)
    table, i = random.standard_normal((50, 40)), random.integers(0, 50, (30, 7))
    weights = random.standard_normal((30, 40))
    for layout in (table, np.asfortranarray(table), np.concatenate([table, table])[::2]):
        program = check(looked_up, layout, i, weights, rtol=1e-12)
        assert not any(kernel.nodes[0].name == "gather" for kernel, _ in program.kernels())


def test_rows_that_leave_the_program_are_copied() -> None:
    random = np.random.default_rng(0)
    table, i = random.standard_normal((50, 40)), random.integers(0, 50, (30, 7))

    def f(table: Any, i: Any) -> Any:
        rows = cp.take(table, functional.one_hot(i, 50).argmax(axis=-1), axis=0)
        return rows, cp.sin(rows)

    program = check(f, table, i, rtol=1e-12)
    assert any(kernel.nodes[0].name == "gather" for kernel, _ in program.kernels())


def test_a_table_that_is_read_through_positions_and_updated() -> None:
    """The update is written over the table only when nobody looks anything up any more."""
    w = cp.Parameter(np.random.default_rng(0).standard_normal((60, 40)).astype(np.float32))
    optimizer = cp.optim.SGD([w], lr=0.1)

    def step(i: Any) -> Any:
        optimizer.zero_grad()
        rows = functional.embedding(i, w)
        loss = cp.sum(cp.tanh(rows) * rows)
        loss.backward()
        optimizer.step()
        return loss

    compiled, i = cp.compile(step), cp.asarray(np.random.default_rng(1).integers(0, 60, (40, 9)))
    before = w.value
    found = [compiled(i).item() for _ in range(4)]
    w.assign(before)
    np.testing.assert_allclose(found, [step(i).item() for _ in range(4)], rtol=1e-5)
