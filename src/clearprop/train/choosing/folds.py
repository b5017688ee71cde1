"""Folds: each part of a data set is once what a network is measured on, and else what it is trained with."""

from __future__ import annotations

from typing import Any

import numpy as np

from clearprop.arguments import flag, whole
from clearprop.data import Subset
from clearprop.data.batches import Dataset, check_dataset
from clearprop.data.order import checked_seed, shuffled
from clearprop.errors import DataError

Indices = np.ndarray[Any, np.dtype[np.intp]]


def k_fold_split(
    dataset: Dataset, folds: int = 5, *, stratify: bool | None = None, seed: int = 0
) -> list[tuple[Subset, Subset]]:
    """Pairs of a training set and a validation set; each example is in one of the validation sets.

    Args:
        dataset: any data set.
        folds: how many pairs; the validation sets differ by at most one example in length.
        stratify: every class has the same share in all folds, as nearly as that can be. None does so if the last entry
            of an example is a label: one whole number.
        seed: of the shuffling; equal seeds give equal folds.

    Raises:
        DataError: there are fewer examples than folds; or no labels, and ``stratify=True``.
        UsageError: fewer than 2 folds.

    >>> from clearprop.data import ArrayDataset
    >>> labels = np.array([0] * 8 + [1] * 4)
    >>> for training, validation in k_fold_split(ArrayDataset(labels, labels), folds=4):
    ...     print(len(training), np.bincount(validation.examples_at(np.arange(len(validation)))[1]))
    9 [2 1]
    9 [2 1]
    9 [2 1]
    9 [2 1]
    """
    check_dataset("k_fold_split", dataset)
    whole("k_fold_split", "folds", folds, 2)
    if stratify is not None:
        flag("k_fold_split", "stratify", stratify)
    if len(dataset) < folds:
        raise DataError(
            f"k_fold_split: {len(dataset)} examples for {folds} folds", hint=f"at most {len(dataset)} folds"
        )
    order = shuffled(len(dataset), checked_seed("k_fold_split", seed))
    labels = None if stratify is False else _labels(dataset)
    if labels is None and stratify:
        raise DataError(
            "k_fold_split: the last entry of the examples is no label", hint="stratify=False, or one whole number each"
        )
    if labels is not None:
        order = order[np.argsort(labels[order], kind="stable")]  # a class after the other, each in its random order
    # Dealt like cards: of each class, and of all, two folds differ by at most one example.
    parts = [np.sort(order[fold::folds]) for fold in range(folds)]
    return [
        (Subset(dataset, np.sort(np.concatenate([*parts[:fold], *parts[fold + 1 :]]))), Subset(dataset, part))
        for fold, part in enumerate(parts)
    ]


def _labels(dataset: Dataset) -> Indices | None:
    """The last entry of all examples, if it is one whole number each."""
    if isinstance(dataset, Subset):
        inner = _labels(dataset.dataset)
        return None if inner is None else inner[dataset.indices]
    first = dataset[0]
    if not isinstance(first, tuple) or not _is_label(first[-1]):
        return None
    known = getattr(dataset, "arrays", None)
    return np.asarray(known[-1] if known else [dataset[i][-1] for i in range(len(dataset))]).astype(np.intp)


def _is_label(entry: Any) -> bool:
    label = np.asarray(entry)
    return label.ndim == 0 and label.dtype.kind in "iu"
