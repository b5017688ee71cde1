"""What can be checked before hours are spent: that the data are finite, that every label is a class of the network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from typing import Any

import numpy as np

from clearprop.data import ArrayDataset, ImageDataset, check_finite, check_labels
from clearprop.errors import DataError, UsageError

_CHUNK = 1 << 22  # elements looked at in one go: what is computed for them stays in the cache, and takes no memory


def check_values(data: Any, name: str) -> None:
    """Raise DataError if the arrays behind a loader hold a NaN or an infinity. Other data are not read in advance."""
    for index, array in enumerate(_arrays(data)):
        if array.dtype.kind != "f":
            continue
        flat = array.reshape(-1)
        if not all(np.isfinite(flat[start : start + _CHUNK]).all() for start in range(0, flat.size, _CHUNK)):
            check_finite(array, f"{name}, array {index},")  # finds and names the first one


def check_classes(data: Any, name: str, output: Any, target: Any, ignored: int | None) -> None:
    """Raise DataError if a label is not a class of the network, given one batch of its outputs and targets.

    Args:
        name: what to call the labels in errors.
        ignored: a label that the loss passes over.
    """
    labels = np.asarray(target)
    if labels.dtype.kind not in "iu" or output.ndim != labels.ndim + 1 or output.shape[1] == 1:
        return  # these are no classes
    if (output.shape[0], *output.shape[2:]) != labels.shape:
        return  # the classes are another axis, and the loss knows which
    for array in list(_arrays(data))[-1:] or [labels]:
        if array.dtype.kind in "iu":
            kept = array if ignored is None else np.where(array == ignored, 0, array)  # each keeps its place
            check_labels(kept, output.shape[1], name)


def check_some_label(target: Any, ignored: int | None, step: int) -> None:
    """Raise DataError if the loss passes over every label of a batch: it is a mean of nothing, 0 / 0."""
    labels = np.asarray(target)
    if ignored is not None and labels.size and (labels == ignored).all():
        raise DataError(
            f"fit: all labels of step {step:,} are {ignored}, which the loss passes over: its mean is of nothing",
            hint="larger batches, or leave out examples without a label",
        )


def check_loader(data: Any, name: str, owner: str = "fit") -> None:
    """Raise an error if something is not a source of batches that can be gone through again and again."""
    if isinstance(data, ArrayDataset):
        raise UsageError(f"{owner}: {name} is a dataset", hint="DataLoader(dataset, batch_size=64, shuffle=True)")
    if not isinstance(data, Iterable):
        raise UsageError(
            f"{owner}: {name} is a {type(data).__name__}, which gives no batches",
            hint="DataLoader(dataset, batch_size=64), or a list of batches",
        )
    if isinstance(data, Iterator):
        raise UsageError(
            f"{owner}: {name} is a {type(data).__name__}, which can be gone through only once",
            hint="DataLoader(dataset, batch_size=64), or a list of batches",
        )
    if isinstance(data, Sized) and len(data) == 0:
        raise no_batches(name, owner)


def no_batches(name: str, owner: str = "fit") -> DataError:
    """The error of data of which there are none."""
    return DataError(f"{owner}: {name} has no batches", hint="check how it was selected or read")


def split_batch(batch: Any, owner: str = "fit") -> tuple[tuple[Any, ...], Any]:
    """The inputs and the target of a batch."""
    if not isinstance(batch, tuple | list) or len(batch) < 2:
        kind = f"{type(batch).__name__} of {len(batch)}" if isinstance(batch, tuple | list) else type(batch).__name__
        raise DataError(
            f"{owner}: a batch must be a tuple of inputs and a target; this one is a {kind}",
            hint="ArrayDataset(inputs, targets); to learn the inputs themselves, ArrayDataset(inputs, inputs)",
        )
    return tuple(batch[:-1]), batch[-1]


def _arrays(data: Any) -> Iterator[np.ndarray[Any, Any]]:
    dataset = getattr(data, "dataset", None)
    yield from dataset.arrays if isinstance(dataset, ArrayDataset | ImageDataset) else ()
