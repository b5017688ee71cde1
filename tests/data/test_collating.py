"""Sequences of different lengths as one array."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from clearprop.data import PadCollate, pad_sequence, padding_mask
from clearprop.errors import DataError


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("dtype", ["int64", "float32", "bool"])
def test_sequences_are_padded_at_their_ends(batch_first: bool, dtype: str) -> None:
    sequences = [np.ones((length, 2), dtype) for length in (2, 0, 3)]
    padded = pad_sequence(sequences, batch_first=batch_first)
    assert padded.dtype == dtype
    rows = padded if batch_first else np.moveaxis(padded, 1, 0)
    assert rows.shape == (3, 3, 2)
    assert rows[..., 0].astype(int).tolist() == [[1, 1, 0], [0, 0, 0], [1, 1, 1]]


def test_the_mask_says_where_the_padding_is() -> None:
    mask = padding_mask([2, 0, 3], longest=4)
    assert mask.astype(int).tolist() == [[0, 0, 1, 1], [1, 1, 1, 1], [0, 0, 0, 1]]
    assert padding_mask([2, 1]).shape == (2, 2)


def test_targets_for_each_token_are_padded_with_what_the_loss_ignores() -> None:
    examples = [([1, 2, 3], [0, 1, 0], 7.5), ([4], [1], 8.5)]
    tokens, lengths, targets, numbers = PadCollate()(examples)
    assert tokens.tolist() == [[1, 2, 3], [4, 0, 0]]
    assert lengths.tolist() == [3, 1]
    assert targets.tolist() == [[0, 1, 0], [1, -100, -100]]
    assert numbers.tolist() == [7.5, 8.5]


def test_single_sequences_make_a_batch_of_two_columns() -> None:
    tokens, lengths = PadCollate(padding_value=9, batch_first=False)([[1, 2], [3]])
    assert tokens.tolist() == [[1, 3], [2, 9]]
    assert lengths.tolist() == [2, 1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pad_sequence([]), "there are no sequences"),
        (lambda: pad_sequence([[1], 2]), r"sequence 1 has shape \(\)"),
        (lambda: pad_sequence([[[1]], [[1, 2]]]), r"sequence 1 has shape \(1, 2\) .* sequence 0 has shape \(1, 1\)"),
        (lambda: pad_sequence([[1], [0.5]]), "sequence 1 has shape .* dtype float64"),
        (lambda: PadCollate()([([1], 0), ([1],)]), r"examples of \[1, 2\] entries"),
        (lambda: padding_mask(3), r"lengths of dtype int64 and shape \(\)"),
        (lambda: padding_mask([0.5]), "lengths of dtype float64"),
    ],
)
def test_sequences_that_do_not_fit_together(call: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        call()
    assert caught.value.hint
