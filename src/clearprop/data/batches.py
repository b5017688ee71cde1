"""From examples to batches: what a dataset is, several of its examples at once, and the columns that they make."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np

from clearprop.errors import DataError

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Columns: TypeAlias = tuple[Array, ...]


class Dataset(Protocol):
    """What a loader takes: anything that has a length and gives example i, a tuple of arrays and numbers."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


@runtime_checkable
class Batched(Protocol):
    """A dataset that gives many examples at once, which is faster than one by one."""

    def examples_at(self, indices: Array, /) -> Columns:
        """The examples at some indices, each entry of them as one array with the examples along its first axis."""
        ...


def examples_at(dataset: Dataset, indices: Array) -> Columns:
    """The examples at some indices as columns, from any dataset.

    Raises:
        DataError: the examples do not make a batch.
    """
    if isinstance(dataset, Batched):
        return dataset.examples_at(indices)
    examples = [dataset[int(index)] for index in indices]
    rows = [example if isinstance(example, tuple) else (example,) for example in examples]
    try:
        return tuple(np.stack([as_array(entry) for entry in column]) for column in zip(*rows, strict=True))
    except ValueError as error:
        raise DataError(
            f"DataLoader: examples {indices.tolist()} do not make a batch: {error}",
            hint="a dataset whose examples all have the same entries with the same shapes; "
            "for sequences of different lengths, DataLoader(…, collate=data.PadCollate())",
        ) from error


def as_array(value: Any) -> Array:
    """A tensor, an array, a number or nested lists as a NumPy array."""
    return np.asarray(value.numpy() if hasattr(value, "numpy") else value)
