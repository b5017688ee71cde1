"""Rows of tables and bags of them: gradients, checks of positions, padding, vmap."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import functional
from clearprop.errors import DTypeError, RangeError, ShapeError, UsageError

TABLE = np.sin(np.arange(15.0)).reshape(5, 3)
WORDS = np.array([[0, 3, 3], [4, 1, 3]])
ROW, OFFSETS = np.array([0, 3, 3, 4, 1]), np.array([0, 2, 2, 5])


def test_gradients_of_rows() -> None:
    cp.check_gradients(lambda table: functional.embedding(WORDS, table) ** 2, TABLE, order=2)
    # A row of padding that nobody looks up changes nothing.
    cp.check_gradients(lambda table: functional.embedding(WORDS, table, padding_idx=2) ** 2, TABLE, order=2)


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("place", [(WORDS, None), (ROW, OFFSETS), (ROW, np.array([0, 0, 5, 5]))])
def test_gradients_of_bags(mode: str, place: Any) -> None:
    positions, offsets = place

    def squares(table: Any) -> Any:
        return functional.embedding_bag(positions, table, offsets, mode=mode) ** 2

    cp.check_gradients(squares, TABLE, order=2)


def test_gradients_of_the_weights_of_a_bag() -> None:
    def total(table: Any, weights: Any) -> Any:
        return functional.embedding_bag(ROW, table, OFFSETS, mode="sum", per_sample_weights=weights)

    cp.check_gradients(total, TABLE, np.cos(np.arange(5.0)), order=2)


def test_a_word_that_occurs_twice_gets_both_gradients() -> None:
    table = cp.tensor(TABLE, requires_grad=True)
    functional.embedding(WORDS, table).sum().backward()
    assert table.grad.numpy()[:, 0].tolist() == [1.0, 1.0, 0.0, 3.0, 1.0]  # type: ignore[union-attr]


def test_the_padding_gets_no_gradient_but_where_it_is_used_otherwise() -> None:
    table = cp.tensor(TABLE, requires_grad=True)
    (functional.embedding(WORDS, table, padding_idx=-2).sum() + 7.0 * table[3].sum()).backward()
    assert table.grad.numpy()[:, 0].tolist() == [1.0, 1.0, 0.0, 7.0, 1.0]  # type: ignore[union-attr]


def test_shared_gradients_leave_the_values_as_they_are() -> None:
    table = cp.tensor(TABLE.astype(np.float32), requires_grad=True)
    rows = functional.embedding(WORDS, table, scale_grad_by_freq=True)
    np.testing.assert_array_equal(rows.numpy(), TABLE.astype(np.float32)[WORDS])
    rows.sum().backward()
    np.testing.assert_allclose(table.grad.numpy()[:, 0], [1.0, 1.0, 0.0, 1.0, 1.0])  # type: ignore[union-attr]


def test_vmap_is_a_loop() -> None:
    for function in (
        lambda x: functional.embedding(x, TABLE, padding_idx=3),
        lambda x: functional.embedding_bag(x, TABLE, padding_idx=3),
        lambda x: functional.embedding_bag(x, TABLE, mode="max", padding_idx=3),
        lambda x: functional.embedding_bag(x[0], TABLE, [0, 2], mode="sum"),
    ):
        positions = np.stack([WORDS, WORDS[::-1, ::-1]])
        looped = np.stack([function(cp.tensor(one)).numpy() for one in positions])
        np.testing.assert_allclose(cp.vmap(function)(cp.tensor(positions)).numpy(), looped, rtol=1e-14)
    with pytest.raises(cp.errors.TraceError, match=r"offsets that are known(.|\n)*padding_idx"):
        cp.vmap(lambda o: functional.embedding_bag(ROW, TABLE, o, mode="max"))(cp.tensor([[0, 1], [0, 2]]))


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int32, np.uint64])
def test_positions_of_any_integer_type(dtype: Any) -> None:
    np.testing.assert_array_equal(functional.embedding(WORDS.astype(dtype), TABLE).numpy(), TABLE[WORDS])


@pytest.mark.parametrize("wrong", [5, -1, 2**40])
def test_words_outside_the_vocabulary(wrong: int) -> None:
    words = np.array([[0, 1], [wrong, wrong]])
    for function in (functional.embedding, functional.embedding_bag):
        message = rf"{function.__name__}: x has {wrong}, which is not one of 0 to 4: num_embeddings is 5 \(and 1 more"
        with pytest.raises(RangeError, match=message):
            function(words, TABLE)
        with pytest.raises(RangeError, match=f"x has {wrong}"):
            cp.vmap(lambda x, function=function: function(x, TABLE))(cp.tensor(words[:, None]))


def test_empty_batches_and_bags() -> None:
    nothing = np.zeros((2, 0), np.int64)
    assert functional.embedding(nothing, TABLE).shape == (2, 0, 3)
    for mode in ("sum", "mean", "max"):
        assert functional.embedding_bag(nothing, TABLE, mode=mode).tolist() == np.zeros((2, 3)).tolist()
        assert functional.embedding_bag(nothing[0], TABLE, [0, 0], mode=mode).tolist() == np.zeros((2, 3)).tolist()
        padded = functional.embedding_bag([[2, 2]], TABLE, mode=mode, padding_idx=2)
        assert padded.tolist() == [[0.0, 0.0, 0.0]]


def test_long_rows_are_shortened_in_the_parameter() -> None:
    table = cp.Parameter(np.array([[3.0, 4.0], [3.0, 4.0], [0.3, 0.4]]))
    rows = functional.embedding([0, 2], table, max_norm=1.0)
    np.testing.assert_allclose(rows.numpy(), [[0.6, 0.8], [0.3, 0.4]], rtol=1e-6)
    np.testing.assert_allclose(table.numpy(), [[0.6, 0.8], [3.0, 4.0], [0.3, 0.4]], rtol=1e-6)
    rows.sum().backward()
    assert table.grad.tolist() == [[1.0, 1.0], [0.0, 0.0], [1.0, 1.0]]  # type: ignore[union-attr]
    with pytest.raises(UsageError, match="weight must be a Parameter"):
        functional.embedding([0], TABLE, max_norm=1.0)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: functional.embedding([0.5], TABLE), DTypeError, "x is float32; it takes whole numbers"),
        (lambda: functional.embedding([True], TABLE), DTypeError, "x is bool"),
        (lambda: functional.embedding([0], TABLE[0]), ShapeError, r"weight has shape \(3,\)"),
        (lambda: functional.embedding([0], TABLE, padding_idx=5), RangeError, "padding_idx=5 is not one of the rows 0"),
        (lambda: functional.embedding_bag(ROW, TABLE), ShapeError, "no offsets say where its bags begin"),
        (lambda: functional.embedding_bag(WORDS, TABLE, [0]), ShapeError, "there can be no offsets"),
        (lambda: functional.embedding_bag(WORDS[None], TABLE), ShapeError, r"x has shape \(1, 2, 3\)"),
        (lambda: functional.embedding_bag(ROW, TABLE, [1, 2]), RangeError, "must begin with 0"),
        (lambda: functional.embedding_bag(ROW, TABLE, [0, 3, 2]), RangeError, "rise"),
        (lambda: functional.embedding_bag(ROW, TABLE, [0, 6]), RangeError, "beyond the 5"),
        (lambda: functional.embedding_bag(ROW, TABLE, [[0]]), ShapeError, "must be a vector"),
        (lambda: functional.embedding_bag(ROW, TABLE, [0, 4], include_last_offset=True), RangeError, "it is 5"),
        (lambda: functional.embedding_bag(WORDS, TABLE, mode="min"), UsageError, "mode='min'"),
        (lambda: functional.embedding_bag(WORDS, TABLE, per_sample_weights=WORDS), UsageError, "mode='mean'"),
        (
            lambda: functional.embedding_bag(WORDS, TABLE, mode="sum", per_sample_weights=ROW),
            ShapeError,
            r"per_sample_weights \(5,\)",
        ),
    ],
)
def test_what_does_not_fit(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize("executor", ["native", "reference"])
@pytest.mark.parametrize(
    ("offsets", "ends", "words"),
    [
        ([1, 2], False, "there are positions before the first bag"),
        ([0, 3, 2], False, "a bag has -1 positions"),
        ([0, 6], False, "an offset is 6; x has 5 positions"),
        ([0, 4], True, "1 of 5 positions are behind the last offset"),
    ],
)
@pytest.mark.parametrize("mode", ["sum", "mean"])
def test_compiled_bags_are_checked_in_every_run(
    executor: str, offsets: list[int], ends: bool, words: str, mode: str
) -> None:
    """They used to be put together anyhow where offsets did not begin with 0, or fell."""

    def bags(offsets: Any) -> Any:
        return functional.embedding_bag(ROW, TABLE, offsets, mode=mode, include_last_offset=ends)

    compiled = cp.compile(bags, executor=executor)
    right = np.array([0, *[2] * (len(offsets) - 2), 5 if ends else 2])
    np.testing.assert_allclose(compiled(right).numpy(), bags(right).numpy(), rtol=1e-12)
    with pytest.raises(RangeError, match=words):
        compiled(np.array(offsets))
