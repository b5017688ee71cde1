"""The loader: batches of a dataset, in an order that can be continued where it was left.

The order of an epoch depends on the seed and the number of the epoch alone, so a checkpoint needs to keep two numbers,
epoch and position, for a resumed run to get the very batches that the uninterrupted one would have got.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, Protocol, TypeAlias

import numpy as np

from clearprop.array import asarray
from clearprop.data.datasets import ArrayDataset
from clearprop.data.order import shuffled
from clearprop.errors import DataError, UsageError
from clearprop.tensor import Tensor

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Columns: TypeAlias = tuple[Array, ...]


class Dataset(Protocol):
    """What a loader takes: anything that has a length and gives example i, a tuple of arrays and numbers."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


class DataLoader:
    """Batches of a dataset, epoch after epoch: each ``for`` loop over the loader is one epoch.

    Args:
        dataset: an `ArrayDataset`, or anything with ``len(dataset)`` and ``dataset[i]``, one example.
        batch_size: examples in a batch; the last of an epoch may have fewer.
        shuffle: another order in each epoch; else the dataset's own.
        drop_last: leave out a last batch that is not full.
        seed: of the shuffling.
        prefetch: batches that a background thread prepares ahead; 0 for none. It is for datasets that read or compute
            their examples: a batch of an `ArrayDataset` is copied from memory sooner than a thread could hand it over.

    Attributes:
        epoch: number of the epoch that runs or comes next, from 0.
        position: batches of it that have been handed out.

    Raises:
        DataError: an empty dataset, or no full batch where the last is dropped.
        UsageError: a batch size below 1 or a negative prefetch.

    >>> loader = DataLoader(ArrayDataset([[0.0], [1.0], [2.0]], [0, 1, 2]), batch_size=2)
    >>> len(loader), [labels.numpy().tolist() for inputs, labels in loader]
    (2, [[0, 1], [2]])
    >>> loader.epoch
    1
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int = 64,
        shuffle: bool = False,
        drop_last: bool = False,
        seed: int = 0,
        prefetch: int = 2,
    ) -> None:
        if not isinstance(batch_size, (int, np.integer)) or batch_size < 1:  # type: ignore[redundant-expr]
            raise UsageError(f"DataLoader: batch_size is {batch_size!r}", hint="a whole number, at least 1")
        if not isinstance(seed, (int, np.integer)):
            raise UsageError(f"DataLoader: seed is {seed!r}", hint="a whole number, such as 0")
        if prefetch < 0:
            raise UsageError(f"DataLoader: prefetch is {prefetch}", hint="0 for none")
        if len(dataset) == 0:
            raise DataError("DataLoader: the dataset is empty", hint="check how it was selected or read")
        if drop_last and len(dataset) < batch_size:
            raise DataError(
                f"DataLoader: with drop_last, {len(dataset)} examples make no batch of {batch_size}",
                hint=f"batch_size={len(dataset)}",
            )
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.seed = seed
        self.prefetch = prefetch
        self.epoch = 0
        self.position = 0
        self._next_start = 0  # where the next loop begins: only after load_state_dict not at 0

    def __len__(self) -> int:
        """Batches in an epoch."""
        full, rest = divmod(len(self.dataset), self.batch_size)
        return full + bool(rest and not self.drop_last)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        """One epoch of batches, each a tuple of tensors with the batch as first axis; dtypes are the dataset's.

        A loop that is left early begins again with the same epoch, as is usual for loaders; a loop after
        `load_state_dict` begins with the batch that follows.
        """
        self.position, self._next_start = self._next_start, 0
        for columns in self._columns(self.position):
            self.position += 1  # before the batch is used: a checkpoint made while using it counts it as done
            yield tuple(asarray(column, copy=False) for column in columns)  # both ways to make columns copy
        self.epoch += 1
        self.position = 0

    def set_epoch(self, epoch: int) -> None:
        """Go to the start of an epoch; to the one that is under way already, this changes nothing."""
        if epoch != self.epoch:
            self.epoch, self.position, self._next_start = epoch, 0, 0

    def state_dict(self) -> dict[str, int]:
        """Where the loader is, as integers, with what must be equal for it to be continued."""
        return {"epoch": self.epoch, "position": self.position, **self._identity()}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Continue where another loader of the same dataset was: its next batch comes next.

        Raises:
            DataError: the state is that of a loader with other settings or with a dataset of another length.
        """
        for name, value in self._identity().items():
            if state.get(name) != value:
                raise DataError(
                    f"DataLoader: the saved state has {name} = {state.get(name)}, this loader has {value}: "
                    "its batches would not be those that come next",
                    hint="a loader made like the one that was saved",
                )
        self.epoch = state["epoch"]
        self.position = self._next_start = state["position"]

    def _identity(self) -> dict[str, int]:
        return {
            "examples": len(self.dataset),
            "batch_size": self.batch_size,
            "shuffle": int(self.shuffle),
            "drop_last": int(self.drop_last),
            "seed": self.seed,
        }

    def _columns(self, start: int) -> Iterator[Columns]:
        """The batches of this epoch from number `start` on, as arrays."""
        order = shuffled(len(self.dataset), self.seed, self.epoch) if self.shuffle else np.arange(len(self.dataset))
        batches = (order[k * self.batch_size : (k + 1) * self.batch_size] for k in range(start, len(self)))
        if isinstance(self.dataset, ArrayDataset):
            return map(self.dataset.__getitem__, batches)
        return _prepared(self._collect, batches, self.prefetch)

    def _collect(self, indices: Array) -> Columns:
        """Examples one by one, stacked along a new first axis."""
        examples = [self.dataset[int(index)] for index in indices]
        rows = [example if isinstance(example, tuple) else (example,) for example in examples]
        try:
            return tuple(np.stack([np.asarray(entry) for entry in column]) for column in zip(*rows, strict=True))
        except ValueError as error:
            raise DataError(
                f"DataLoader: examples {indices.tolist()} do not make a batch: {error}",
                hint="a dataset whose examples all have the same entries with the same shapes",
            ) from error


def _prepared(collect: Callable[[Array], Columns], batches: Iterator[Array], ahead: int) -> Iterator[Columns]:
    """`collect` of each batch, up to `ahead` of them computed in advance by a thread."""
    if ahead == 0:
        yield from map(collect, batches)
        return
    worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="clearprop-loader")
    try:
        pending = deque(worker.submit(collect, batch) for batch in islice(batches, ahead))
        while pending:
            coming = pending.popleft()
            pending.extend(worker.submit(collect, batch) for batch in islice(batches, 1))
            yield coming.result()  # an error in the dataset is raised here, in the user's thread
    finally:
        worker.shutdown(cancel_futures=True)
