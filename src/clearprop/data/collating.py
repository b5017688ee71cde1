"""Batches of sequences of different lengths: padded to the longest, with the lengths beside them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clearprop.arguments import number, whole
from clearprop.data.batches import Array, Columns
from clearprop.errors import DataError
from clearprop.tensor import as_array


def pad_sequence(sequences: Sequence[Any], batch_first: bool = False, padding_value: float = 0.0) -> Array:
    """Sequences of different lengths as one array, padded at their ends.

    Args:
        sequences: N arrays of shape (length, …), of equal dtypes and equal shapes but for the lengths.
        batch_first: the shape is (N, longest, …) instead of (longest, N, …).
        padding_value: what fills the places behind the end of a sequence.

    Raises:
        DataError: there are no sequences, or one of them does not fit to the first; it is named.

    >>> pad_sequence([[1, 2, 3], [4]], batch_first=True, padding_value=-1)
    array([[ 1,  2,  3],
           [ 4, -1, -1]])
    """
    if not isinstance(sequences, Iterable):
        raise DataError(f"pad_sequence: the sequences are a {type(sequences).__name__}", hint="a list of arrays")
    number("pad_sequence", "padding_value", padding_value, infinite=True)
    arrays = [as_array(sequence) for sequence in sequences]
    if not arrays:
        raise DataError("pad_sequence: there are no sequences", hint="at least one")
    first = arrays[0]
    for i, array in enumerate(arrays):
        if array.ndim == 0 or array.shape[1:] != first.shape[1:] or array.dtype.kind != first.dtype.kind:
            raise DataError(
                f"pad_sequence: sequence {i} has shape {array.shape} and dtype {array.dtype}, "
                f"sequence 0 has shape {first.shape} and dtype {first.dtype}",
                hint="arrays of shape (length, …) that differ in their lengths only",
            )
    longest = max(len(array) for array in arrays)
    padded = np.full((len(arrays), longest, *first.shape[1:]), padding_value, np.result_type(*arrays))
    for row, array in zip(padded, arrays, strict=True):
        row[: len(array)] = array
    return padded if batch_first else np.moveaxis(padded, 0, 1)


def padding_mask(lengths: Any, longest: int | None = None) -> Array:
    """Where a padded batch holds nothing: bool of shape (N, longest), what attention takes as ``key_padding_mask``.

    Args:
        lengths: of the sequences, (N,).
        longest: the length of the batch; by default that of its longest sequence.

    Raises:
        DataError: lengths that are no whole numbers along one axis, or not from 0 to ``longest``.

    >>> padding_mask([3, 1])
    array([[False, False, False],
           [False,  True,  True]])
    """
    counts = as_array(lengths)
    if counts.ndim != 1 or counts.dtype.kind not in "iu":
        raise DataError(
            f"padding_mask: lengths of dtype {counts.dtype} and shape {counts.shape}", hint="one whole number each"
        )
    most = int(counts.max(initial=0)) if longest is None else whole("padding_mask", "longest", longest, 0)
    wrong = counts[(counts < 0) | (counts > most)]
    if wrong.size:
        raise DataError(f"padding_mask: a length of {wrong[0]} in a batch of length {most}", hint=f"from 0 to {most}")
    return np.arange(most) >= counts[:, None]


@dataclass(frozen=True)
class PadCollate:
    """Makes batches of examples (sequence, …), whose sequences have different lengths: for ``DataLoader(collate=…)``.

    A batch is the padded sequences, their lengths (int64), and the other entries: those that are sequences themselves,
    such as a target for each token, are padded too, numbers are stacked. So ``model(sequences, lengths)`` is what
    `fit` calls, with the last entry as the target.

    Args:
        padding_value: of the first entry.
        target_padding_value: of all others; -100 is what `cross_entropy` ignores.
        batch_first: (N, longest, …) instead of (longest, N, …).

    >>> PadCollate()([(np.array([5, 6, 7]), 1), (np.array([8]), 0)])
    (array([[5, 6, 7],
           [8, 0, 0]]), array([3, 1]), array([1, 0]))
    """

    padding_value: float = 0.0
    target_padding_value: float = -100.0
    batch_first: bool = True

    def __call__(self, examples: Sequence[Any]) -> Columns:
        """The columns of a batch."""
        rows = [example if isinstance(example, tuple) else (example,) for example in examples]
        if len({len(row) for row in rows}) != 1:
            raise DataError(
                f"PadCollate: examples of {sorted({len(row) for row in rows})} entries do not make a batch",
                hint="examples that all have the same entries",
            )
        sequences, *others = zip(*rows, strict=True)
        padded = pad_sequence(sequences, self.batch_first, self.padding_value)
        lengths = np.array([len(sequence) for sequence in sequences], np.int64)
        return padded, lengths, *(self._column(entries) for entries in others)

    def _column(self, entries: Sequence[Any]) -> Array:
        if as_array(entries[0]).ndim == 0:
            return np.asarray([as_array(entry) for entry in entries])
        return pad_sequence(entries, self.batch_first, self.target_padding_value)
