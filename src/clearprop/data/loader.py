"""The loader: batches of a dataset, in an order that can be continued where it was left.

The order of an epoch depends on the seed and the number of the epoch alone, and so do the random numbers of transforms.
A checkpoint therefore needs to keep two numbers, epoch and position, for a resumed run to get the very batches that the
uninterrupted one would have got.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from clearprop.arguments import flag, is_whole
from clearprop.array import asarray
from clearprop.data.ahead import computed_ahead
from clearprop.data.batches import Array, Dataset, check_dataset, examples_at
from clearprop.data.draws import Draws
from clearprop.data.order import checked_seed, shuffled
from clearprop.data.transforms import Transform, applied, as_columns, check_callable, transform_name
from clearprop.errors import DataError, UsageError
from clearprop.tensor import Tensor


class DataLoader:
    """Batches of a dataset, epoch after epoch: each ``for`` loop over the loader is one epoch.

    Args:
        dataset: an `ArrayDataset`, or anything with ``len(dataset)`` and ``dataset[i]``, one example.
        batch_size: examples in a batch; the last of an epoch may have fewer.
        shuffle: another order in each epoch; else the dataset's own.
        drop_last: leave out a last batch that is not full.
        seed: of the shuffling, and of the random numbers of the transform.
        prefetch: batches that a background thread prepares ahead; 0 for none. The batches are the same. What lies ready
            in memory, such as an `ArrayDataset`, is copied sooner than a thread could hand it over: it needs no thread.
        transform: changes each batch, see `Transform`: scaling, augmentation.
        collate: makes the columns of a batch from a list of examples, for examples of different shapes: `PadCollate`.

    Attributes:
        epoch: number of the epoch that runs or comes next, from 0.
        position: batches of it that have been handed out.

    Raises:
        DataError: an empty dataset, or no full batch where the last is dropped.
        UsageError: a batch size below 1 or a negative prefetch.

    >>> from clearprop.data import ArrayDataset
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
        *,
        transform: Transform | None = None,
        collate: Callable[[Sequence[Any]], Any] | None = None,
    ) -> None:
        if not is_whole(batch_size) or batch_size < 1:
            raise UsageError(f"DataLoader: batch_size is {batch_size!r}", hint="a whole number, at least 1")
        checked_seed("DataLoader", seed)
        if not is_whole(prefetch) or prefetch < 0:
            raise UsageError(f"DataLoader: prefetch is {prefetch!r}", hint="a whole number, 0 for none")
        shuffle, drop_last = (
            flag("DataLoader", name, value) for name, value in (("shuffle", shuffle), ("drop_last", drop_last))
        )
        check_dataset("DataLoader", dataset)
        if collate is not None:
            check_callable("DataLoader: collate", collate)
        self._apply = None if transform is None else applied(transform, "DataLoader: transform")
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
        self.transform = transform
        self.collate = collate
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
        for batch in self._batches(self.position):
            self.position += 1  # before the batch is used: a checkpoint made while using it counts it as done
            yield batch
        self.epoch += 1
        self.position = 0

    def set_epoch(self, epoch: int) -> None:
        """Go to the start of an epoch; to the one that is under way already, this changes nothing."""
        if epoch != self.epoch:
            self.epoch, self.position, self._next_start = epoch, 0, 0

    def state_dict(self) -> dict[str, int | str]:
        """Where the loader is, with what must be equal for it to be continued."""
        return {"epoch": self.epoch, "position": self.position, **self._identity()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where another loader of the same dataset was: its next batch comes next.

        Raises:
            DataError: the state is that of a loader with other settings or with a dataset of another length.
        """
        if not isinstance(state, Mapping):
            raise DataError(f"DataLoader: the saved state is a {type(state).__name__}", hint="loader.state_dict()")
        own = self._identity()
        for name in ({**own, **state}).keys() - {"epoch", "position"}:
            if state.get(name) != own.get(name):
                raise DataError(
                    f"DataLoader: the saved state has {name} = {state.get(name)}, this loader has {own.get(name)}: "
                    "its batches would not be those that come next",
                    hint="a loader made like the one that was saved",
                )
        self.epoch = state["epoch"]
        self.position = self._next_start = state["position"]

    def _identity(self) -> dict[str, int | str]:
        named = {"transform": self.transform, "collate": self.collate}
        return {
            "examples": len(self.dataset),
            "batch_size": self.batch_size,
            "shuffle": int(self.shuffle),
            "drop_last": int(self.drop_last),
            "seed": self.seed,
            **{name: transform_name(function) for name, function in named.items() if function is not None},
        }

    def _batches(self, start: int) -> Iterator[tuple[Tensor, ...]]:
        """The batches of this epoch from number `start` on."""
        order = shuffled(len(self.dataset), self.seed, self.epoch) if self.shuffle else np.arange(len(self.dataset))
        epoch = self.epoch

        def prepare(number: int) -> tuple[Tensor, ...]:
            first = number * self.batch_size
            indices = order[first : first + self.batch_size]
            if self.collate is None and self._apply is None:  # the columns are new, and nobody else has them
                return _as_tensors(examples_at(self.dataset, indices), copy=False)
            columns = self._collected(indices)
            if self._apply is not None:
                columns = self._apply(columns, Draws(len(indices), self.seed, epoch, first))
                if self.collate is None:  # else the batch may be another axis of each
                    _check_lengths(columns, self.transform)
            return _as_tensors(columns, copy=True)

        ready = getattr(self.dataset, "ready", False) and self.transform is None and self.collate is None
        ahead = 0 if ready else self.prefetch
        return computed_ahead(prepare, range(start, len(self)), ahead, name="clearprop-loader")

    def _collected(self, indices: Array) -> tuple[Any, ...]:
        """The columns of a batch, before they are transformed."""
        if self.collate is None:
            return examples_at(self.dataset, indices)
        return as_columns(self.collate([self.dataset[int(index)] for index in indices]), self.collate)


def _check_lengths(columns: tuple[Any, ...], transform: Any) -> None:
    """Raise DataError if a transform has left columns of different lengths, so that inputs would lack targets."""
    shapes = [np.shape(column) for column in columns]
    if len({shape[:1] for shape in shapes}) > 1:
        raise DataError(
            f"DataLoader: the transform {transform_name(transform)} returned columns of shapes "
            f"{', '.join(map(str, shapes))}, which are of different numbers of examples",
            hint="as many entries of each column",
        )


def _as_tensors(columns: tuple[Any, ...], *, copy: bool) -> tuple[Tensor, ...]:
    for number, column in enumerate(columns):
        if isinstance(column, np.ndarray) and column.dtype.kind not in "biufc":
            raise DataError(
                f"DataLoader: entry {number} of the examples has dtype {column.dtype}; tensors hold numbers",
                hint="numbers for it in the dataset: tokenizer.encode(text), the index of a class",
            )
    return tuple(asarray(column, copy=copy) for column in columns)
