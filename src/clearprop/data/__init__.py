"""Data: datasets, the files they come in, checks, and loaders that hand out batches.

>>> from clearprop.data import DataLoader, digits
>>> images, labels = next(iter(DataLoader(digits("train"), batch_size=32, shuffle=True)))
>>> images.shape, labels.shape
((32, 1, 8, 8), (32,))
"""

from clearprop.data.checks import check_finite, check_labels
from clearprop.data.datasets import ArrayDataset, digits, mnist, split
from clearprop.data.idx import read_idx, write_idx
from clearprop.data.loader import DataLoader

__all__ = [
    "ArrayDataset",
    "DataLoader",
    "check_finite",
    "check_labels",
    "digits",
    "mnist",
    "read_idx",
    "split",
    "write_idx",
]
