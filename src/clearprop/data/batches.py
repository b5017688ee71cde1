"""From examples to batches: what a dataset is, several of its examples at once, and the columns that they make."""

from __future__ import annotations

import zlib
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np

from clearprop.errors import DataError, RangeError, UsageError
from clearprop.tensor import as_array

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
        """The examples at some indices, each entry of them as one array with the examples along its first axis.

        The arrays are new: nobody writes to them afterwards.
        """
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


def check_dataset(name: str, dataset: Any) -> None:
    """Raise UsageError unless it has a length and gives examples by their number."""
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise UsageError(f"{name}: the dataset is a {type(dataset).__name__}", hint="ArrayDataset(inputs, targets)")


def no_such_example(dataset: Dataset, index: Any) -> RangeError:
    """The error of an index that a dataset does not have, or that is none."""
    return RangeError(
        f"{type(dataset).__name__}: there is no example {index!r:.80}; it has {len(dataset)}",
        hint=f"a whole number from 0 to {len(dataset) - 1}, or several" if len(dataset) else "it is empty",
    )


def described(array: Array, checksum: int | None = None) -> str:
    """An array in words: dtype, shape and a checksum of its elements, which is computed if it is not known.

    >>> described(np.zeros((2, 3)))
    'float64[2, 3], CRC-32 f288b395'
    """
    known = zlib.crc32(np.ascontiguousarray(array).data if array.size else b"") if checksum is None else checksum
    return f"{array.dtype}{list(array.shape)}, CRC-32 {known:08x}"
