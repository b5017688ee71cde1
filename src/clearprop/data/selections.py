"""Parts of a dataset, and several of them as one. No example is copied: they are looked up when they are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from clearprop.arguments import is_whole, number
from clearprop.data.batches import (
    Array,
    Columns,
    Dataset,
    check_dataset,
    described,
    examples_at,
    no_such_example,
)
from clearprop.data.order import checked_seed, shuffled
from clearprop.errors import DataError, UsageError
from clearprop.tensor import as_array


class Subset:
    """Some examples of a dataset, in an order of their own.

    Args:
        dataset: any dataset.
        indices: where in it they are.

    Attributes:
        dataset, indices: the same; the indices as an array.

    Raises:
        DataError: an index that the dataset does not have, or indices that are no whole numbers.

    >>> from clearprop.data import ArrayDataset
    >>> part = Subset(ArrayDataset([10, 11, 12, 13]), [3, 1])
    >>> len(part), part[0], part.examples_at(np.array([1, 0]))
    (2, (np.int64(13),), (array([11, 13]),))
    """

    def __init__(self, dataset: Dataset, indices: Any) -> None:
        check_dataset("Subset", dataset)
        self.dataset = dataset
        self.indices = as_array(indices)
        if self.indices.ndim != 1 or (self.indices.dtype.kind not in "iu" and self.indices.size):
            raise DataError(
                f"Subset: indices of dtype {self.indices.dtype} and shape {self.indices.shape}",
                hint="a list of whole numbers; np.flatnonzero(mask) of a mask",
            )
        self.indices = self.indices.astype(np.int64, copy=False)
        wrong = (self.indices < 0) | (self.indices >= len(dataset))
        if wrong.any():
            raise DataError(
                f"Subset: index {self.indices[wrong][0]} of a dataset of {len(dataset)} examples",
                hint=f"indices from 0 to {len(dataset) - 1}",
            )

    @property
    def ready(self) -> bool:
        """Whether a batch is only copied from memory."""
        return getattr(self.dataset, "ready", False)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: Any) -> Any:
        """The example at `index`; for a slice or an array of them, another subset."""
        try:
            if isinstance(index, slice | np.ndarray | list):
                return Subset(self.dataset, self.indices[index])
            chosen = int(self.indices[index])
        except IndexError:
            raise no_such_example(self, index) from None
        return self.dataset[chosen]

    def examples_at(self, indices: Array) -> Columns:
        """Several examples at once, as columns."""
        return examples_at(self.dataset, self.indices[indices])

    def __repr__(self) -> str:
        return f"Subset({len(self)} of {self.dataset!r})"


class ConcatDataset:
    """Several datasets, one behind the other.

    Args:
        datasets: with examples that have the same entries.

    Raises:
        DataError: there are none.

    >>> from clearprop.data import ArrayDataset
    >>> both = ConcatDataset([ArrayDataset([10, 11]), ArrayDataset([20])])
    >>> len(both), both[2], both.examples_at(np.array([2, 0]))
    (3, (np.int64(20),), (array([20, 10]),))
    """

    def __init__(self, datasets: Sequence[Dataset]) -> None:
        if hasattr(datasets, "examples_at") or not isinstance(datasets, Iterable):
            raise UsageError(
                f"ConcatDataset: datasets is a {type(datasets).__name__}", hint="a list: ConcatDataset([first, second])"
            )
        self.datasets = list(datasets)
        if not self.datasets:
            raise DataError("ConcatDataset: there are no datasets", hint="at least one")
        for dataset in self.datasets:
            check_dataset("ConcatDataset", dataset)
        self._ends = np.array(list(accumulate(len(dataset) for dataset in self.datasets)))

    @property
    def ready(self) -> bool:
        """Whether a batch is only copied from memory."""
        return all(getattr(dataset, "ready", False) for dataset in self.datasets)

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: int) -> Any:
        """The example at `index`."""
        if not is_whole(index) or not -len(self) <= index < len(self):
            raise no_such_example(self, index)
        number, within = self._locate(np.array([index % len(self)]))
        return self.datasets[number[0]][int(within[0])]

    def examples_at(self, indices: Array) -> Columns:
        """Several examples at once, as columns."""
        numbers, within = self._locate(indices)
        used = np.unique(numbers)
        places = np.concatenate([np.flatnonzero(numbers == number) for number in used])
        parts = [examples_at(self.datasets[number], within[numbers == number]) for number in used]
        back = np.argsort(places)
        try:
            return tuple(np.concatenate(column)[back] for column in zip(*parts, strict=True))
        except ValueError as error:
            shapes = "; ".join(str([column.shape[1:] for column in part]) for part in parts)
            raise DataError(
                f"ConcatDataset: the examples of the datasets have different shapes: {shapes}",
                hint="datasets with examples that have the same entries",
            ) from error

    def _locate(self, indices: Array) -> tuple[Array, Array]:
        """For each example, which dataset it is in, and where in that."""
        numbers = np.searchsorted(self._ends, indices, side="right")
        return numbers, indices - np.concatenate([[0], self._ends])[numbers]

    def __repr__(self) -> str:
        return f"ConcatDataset({self.datasets!r})"


def contents_of(dataset: Any) -> list[str]:
    """The arrays that a dataset of this package takes its examples from, in words: equal words mean equal examples.

    Datasets of other kinds have none that could be known.

    >>> from clearprop.data import ArrayDataset
    >>> contents_of(Subset(ArrayDataset([1.0, 2.0]), [1]))
    ['int64[1], CRC-32 a988dff7', 'float64[2], CRC-32 7ba3895f']
    """
    if isinstance(dataset, Subset):
        return [described(dataset.indices), *contents_of(dataset.dataset)]
    if isinstance(dataset, ConcatDataset):
        return [words for part in dataset.datasets for words in contents_of(part)]
    if hasattr(dataset, "contents"):
        return list(dataset.contents())
    return [described(array) for array in getattr(dataset, "arrays", ()) if isinstance(array, np.ndarray)]


def random_split(dataset: Dataset, lengths: Sequence[float], seed: int = 0) -> list[Subset]:
    """Parts of a dataset, chosen at random but equally for equal seeds; each example belongs to one of them.

    Args:
        dataset: any dataset.
        lengths: how many examples each part has; or the share of each, adding up to 1.
        seed: any whole number.

    Raises:
        DataError: lengths that do not add up, or a part that would be empty.

    >>> from clearprop.data import digits
    >>> training, validation, rest = random_split(digits(), [0.8, 0.1, 0.1])
    >>> len(training), len(validation), len(rest)
    (1154, 144, 144)
    """
    check_dataset("random_split", dataset)
    counts = _counts(lengths, len(dataset))
    order = shuffled(len(dataset), checked_seed("random_split", seed))
    ends = list(accumulate(counts))
    return [Subset(dataset, order[end - count : end]) for count, end in zip(counts, ends, strict=True)]


def _counts(lengths: Any, examples: int) -> list[int]:
    if isinstance(lengths, str) or not isinstance(lengths, Iterable):
        raise UsageError(f"random_split: lengths={lengths!r}", hint="a list, such as [0.9, 0.1]")
    for length in lengths:
        number("random_split", "a length", length)
    if all(is_whole(length) for length in lengths):
        counts = [int(length) for length in lengths]
    elif abs(sum(lengths) - 1) < 1e-6:
        ends = [round(examples * share) for share in accumulate(lengths)]
        counts = [end - start for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    else:
        counts = []
    if sum(counts) != examples or min(counts, default=0) < 1:
        raise DataError(
            f"random_split: {examples} examples cannot be split into parts of {list(lengths)}",
            hint=f"whole numbers that add up to {examples}, or shares that add up to 1, no part empty",
        )
    return counts
