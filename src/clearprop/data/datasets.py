"""Datasets: arrays that belong together, MNIST, and the handwritten digits that come with the package."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any, Literal, TypeAlias, overload

import numpy as np

from clearprop.arguments import number, one_of
from clearprop.caches import cache_folder
from clearprop.data.batches import Dataset, check_dataset, no_such_example
from clearprop.data.idx import parse_idx, read_content, read_idx
from clearprop.data.order import checked_seed, shuffled
from clearprop.data.selections import Subset
from clearprop.errors import DataError, FileError
from clearprop.tensor import as_array

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Split: TypeAlias = Literal["train", "test"]

_SAMPLES = Path(__file__).parent / "samples"

_MNIST_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "http://yann.lecun.com/exdb/mnist/",
)
_MNIST_FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
_MNIST_SHA256 = {  # of the decompressed files: mirrors compress them differently
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


class ArrayDataset:
    """Arrays of equal length, taken together: example i is the i-th entry of each.

    Args:
        arrays: for instance the images and their labels; at least one, each with at least one axis. Not copied.

    Attributes:
        arrays: the same, as NumPy arrays.

    Raises:
        DataError: lengths that differ, or no arrays.

    >>> dataset = ArrayDataset([[0.0, 0.1], [0.2, 0.3], [0.4, 0.5]], [0, 1, 1])
    >>> len(dataset), dataset[1]
    (3, (array([0.2, 0.3]), np.int64(1)))
    >>> dataset[np.array([2, 0])][1]
    array([1, 0])
    """

    ready = True  # a batch is only copied from memory

    def __init__(self, *arrays: Any) -> None:
        self.arrays = tuple(_to_array(array, position) for position, array in enumerate(arrays))
        lengths = {len(array) for array in self.arrays}
        if len(lengths) != 1:
            shapes = ", ".join(str(array.shape) for array in self.arrays)
            raise DataError(
                f"a dataset needs arrays of equal length; these have the shapes {shapes or '(none)'}",
                hint="one entry of each array for every example: ArrayDataset(images, labels)",
            )

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, index: Any) -> tuple[Any, ...]:
        """The entries of each array at `index`: an integer, a slice or an array of integers."""
        try:
            return tuple(array[index] for array in self.arrays)
        except IndexError:
            raise no_such_example(self, index) from None

    def examples_at(self, indices: Array) -> tuple[Array, ...]:
        """Several examples at once, as columns."""
        return self[indices]

    def __repr__(self) -> str:
        return f"ArrayDataset({', '.join(f'{array.dtype}{list(array.shape)}' for array in self.arrays)})"


def mnist(
    split: Split = "train", *, flatten: bool = False, folder: str | os.PathLike[str] | None = None
) -> ArrayDataset:
    """MNIST: handwritten digits of 28×28 pixels, 60,000 to train with and 10,000 to test with.

    The files are taken from the folder in the environment variable ``CLEARPROP_DATA`` (from its subfolder ``mnist``, or
    itself) if they are there, else from the cache, into which they are downloaded once. In any case their content must
    be the published one.

    Args:
        split: "train" or "test".
        flatten: each image as one axis of 784.
        folder: where to look instead; nothing is downloaded then.

    Returns:
        images, float32 in [0, 1] of shape (N, 1, 28, 28) or (N, 784); labels, int64 of shape (N,).

    Raises:
        DataError: a file is damaged or holds something else.
        FileError: a file can neither be read nor downloaded, or is not in the folder named.

    Source: Y. LeCun, C. Cortes, C. Burges; CC BY-SA 3.0.
    """
    check_split(split)
    images, labels = (_read_mnist(name, folder) for name in _MNIST_FILES[split])
    return _image_dataset(images, labels, white=255, flatten=flatten)


def digits(split: Split = "train", *, flatten: bool = False) -> ArrayDataset:
    """Handwritten digits of 8×8 pixels, which come with the package: 1,442 to train with and 355 to test with.

    Of each class every fifth image, in the order of the source, is for testing; so both parts hold all classes alike.

    Args:
        split: "train" or "test".
        flatten: each image as one axis of 64.

    Returns:
        images, float32 in [0, 1] of shape (N, 1, 8, 8) or (N, 64); labels, int64 of shape (N,).

    Source: E. Alpaydin, C. Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine Learning Repository,
    https://doi.org/10.24432/C50P49, test part; CC BY 4.0.

    >>> digits("train"), digits("test", flatten=True)
    (ArrayDataset(float32[1442, 1, 8, 8], int64[1442]), ArrayDataset(float32[355, 64], int64[355]))
    """
    check_split(split)
    images, labels = (read_idx(_SAMPLES / f"digits-{part}.gz") for part in ("images-idx3-ubyte", "labels-idx1-ubyte"))
    chosen = _every_fifth_of_each_class(labels) == (split == "test")
    return _image_dataset(images[chosen], labels[chosen], white=16, flatten=flatten)


@overload
def split(dataset: ArrayDataset, fraction: float, seed: int = 0) -> tuple[ArrayDataset, ArrayDataset]: ...
@overload
def split(dataset: Dataset, fraction: float, seed: int = 0) -> tuple[Dataset, Dataset]: ...
def split(dataset: Dataset, fraction: float, seed: int = 0) -> tuple[Dataset, Dataset]:
    """Two datasets, of `fraction` of the examples and of the rest, chosen at random but equally for equal seeds.

    The examples of an `ArrayDataset` are copied; of others, the parts are `Subset`.

    Raises:
        DataError: one of the two would be empty.

    >>> train, validation = split(digits("train"), 0.9)
    >>> len(train), len(validation)
    (1298, 144)
    """
    check_dataset("split", dataset)
    fraction = number("split", "fraction", fraction)
    first = round(len(dataset) * fraction) if 0 < fraction < 1 else 0
    if not 0 < first < len(dataset):
        raise DataError(
            f"split: a fraction of {fraction} of {len(dataset)} examples leaves one of the two parts empty",
            hint="a fraction between 0 and 1, and enough examples",
        )
    order = shuffled(len(dataset), checked_seed("split", seed))
    if isinstance(dataset, ArrayDataset):
        return ArrayDataset(*dataset[order[:first]]), ArrayDataset(*dataset[order[first:]])
    return Subset(dataset, order[:first]), Subset(dataset, order[first:])


def _read_mnist(name: str, folder: str | os.PathLike[str] | None) -> Array:
    path = _find_mnist(name, folder)
    content = read_content(path)
    found = hashlib.sha256(content).hexdigest()
    if found != _MNIST_SHA256[name]:
        raise DataError(
            f"{path} is not the published MNIST file: its content has the SHA-256 {found}, not {_MNIST_SHA256[name]}",
            hint="remove it, and it is downloaded; or read images of your own with read_idx",
        )
    return parse_idx(content, str(path))


def _find_mnist(name: str, folder: str | os.PathLike[str] | None) -> Path:
    """Where the file is; downloaded if it is nowhere and no folder is named."""
    chosen = folder or os.environ.get("CLEARPROP_DATA")
    if chosen:
        for place in (Path(chosen) / "mnist", Path(chosen)):
            for path in (place / f"{name}.gz", place / name):
                if path.is_file():
                    return path
    if folder and not Path(folder).is_dir():
        raise FileError(f"there is no folder {folder}", hint="the folder with the four MNIST files, or none named")
    if folder:
        raise FileError(f"{folder} holds no MNIST file {name}.gz", hint="the four MNIST files belong there")
    path = cache_folder() / "mnist" / f"{name}.gz"
    if not path.exists():
        from clearprop.files.download import download  # loads the network and the progress bar: only when needed

        download([f"{mirror}{name}.gz" for mirror in _MNIST_MIRRORS], path, sha256=_MNIST_SHA256[name])
    return path


def _image_dataset(images: Array, labels: Array, *, white: int, flatten: bool) -> ArrayDataset:
    """Bytes from 0 to `white`, (N, H, W), become float32 from 0 to 1, (N, 1, H, W) or (N, H * W)."""
    count, height, width = images.shape
    shape = (count, height * width) if flatten else (count, 1, height, width)
    return ArrayDataset(np.divide(images, white, dtype=np.float32).reshape(shape), labels.astype(np.int64))


def _every_fifth_of_each_class(labels: Array) -> Array:
    """True at the 5th, 10th, 15th, … occurrence of each label."""
    chosen = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        chosen[np.flatnonzero(labels == label)[4::5]] = True
    return chosen


def check_split(split: str) -> None:
    """Raise UsageError unless it is "train" or "test"."""
    one_of("a data set", "split", split, "train", "test")


def _to_array(value: Any, position: int) -> Array:
    try:
        array = as_array(value)
    except ValueError as error:
        raise DataError(
            f"array {position} of the dataset has entries of different shapes", hint="pad or cut them to one shape"
        ) from error
    if array.ndim == 0:
        raise DataError(f"array {position} of the dataset is a single value", hint="one entry for every example")
    return array.astype(array.dtype.newbyteorder("="), copy=False)  # tensors have the machine's byte order
