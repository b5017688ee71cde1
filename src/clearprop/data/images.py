"""Images with labels: of a folder or an archive, decoded once; kept as bytes, handed out as numbers from 0 to 1."""

from __future__ import annotations

import csv
import difflib
import io
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, TypeAlias

import numpy as np

from clearprop.arguments import as_path, is_whole
from clearprop.data import image_cache
from clearprop.data.batches import Array, described, no_such_example
from clearprop.data.checks import check_labels
from clearprop.data.decoding import Decoder, decode_all
from clearprop.data.image_cache import CachedImages
from clearprop.data.sources import Reader, Source, source_of
from clearprop.errors import DataError, UsageError
from clearprop.files.atomic import read_bytes
from clearprop.tensor import as_array

Labels: TypeAlias = Callable[[str], str] | Mapping[str, str] | str | os.PathLike[str] | None

_CHUNK = 4096  # images that are counted in one go


class ImageDataset:
    """Images and their classes. Example i is the image, float32 from 0 to 1 of shape (C, H, W), and its label, int64.

    Args:
        images: bytes, uint8 of shape (N, C, H, W); not copied, so that they may lie in a file.
        labels: (N,), whole numbers from 0 to len(classes) - 1.
        classes: their names.
        checksum: the CRC-32 of the images, where it is known, so that nobody must read them all to compute it.

    Attributes:
        images, labels, classes: the same; the labels as int64, the classes as a tuple.

    Raises:
        DataError: images of another kind, or labels that do not fit.

    >>> dataset = ImageDataset(np.full((2, 3, 4, 4), 51, np.uint8), [0, 1], ["cat", "dog"])
    >>> image, label = dataset[1]
    >>> image.shape, float(image.max()), dataset.classes[label]
    ((3, 4, 4), 0.20000000298023224, 'dog')
    """

    def __init__(self, images: Any, labels: Any, classes: Sequence[str], *, checksum: int | None = None) -> None:
        self._checksum = checksum
        self.images = as_array(images)
        self.labels = as_array(labels)
        if isinstance(classes, str) or not isinstance(classes, Iterable):
            raise UsageError(f"{type(self).__name__}: classes is {classes!r}", hint="a list of names")
        self.classes = tuple(classes)
        if self.images.dtype != np.uint8 or self.images.ndim != 4:
            raise DataError(
                f"ImageDataset: images of dtype {self.images.dtype} and shape {self.images.shape}",
                hint="bytes, uint8 of shape (N, C, H, W); ArrayDataset for others",
            )
        if self.labels.shape != (len(self.images),):
            raise DataError(
                f"ImageDataset: {len(self.images)} images, and labels of shape {self.labels.shape}",
                hint="one label for each image",
            )
        check_labels(self.labels, len(self.classes))
        self.labels = self.labels.astype(np.int64, copy=False)

    @property
    def arrays(self) -> tuple[Array, Array]:
        """Images and labels."""
        return self.images, self.labels

    def contents(self) -> list[str]:
        """Images and labels in words, with their checksums: a checkpoint keeps them."""
        return [described(self.images, self._checksum), described(self.labels)]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        """Image and label at `index`: an integer, a slice or an array of integers."""
        try:
            return np.divide(self.images[index], 255, dtype=np.float32), self.labels[index]
        except IndexError:
            raise no_such_example(self, index) from None

    def examples_at(self, indices: Array) -> tuple[Array, Array]:
        """Several examples at once, as columns."""
        return self[indices]

    def mean_and_std(self) -> tuple[list[float], list[float]]:
        """Mean and standard deviation of each channel, over all pixels of all images: what `Normalize` takes.

        >>> dataset = ImageDataset(np.array([[[[0, 255]], [[51, 51]]]], np.uint8), [0], ["any"])
        >>> dataset.mean_and_std()
        ([0.5, 0.2], [0.5, 0.0])
        """
        channels = self.images.shape[1]
        counts = np.zeros((channels, 256), np.int64)
        for start in range(0, len(self), _CHUNK):
            for channel in range(channels):
                pixels = self.images[start : start + _CHUNK, channel].reshape(-1)
                counts[channel] += np.bincount(pixels, minlength=256)
        share, value = counts / counts.sum(axis=1, keepdims=True), np.arange(256) / 255
        mean = share @ value
        variance = (share * (value - mean[:, None]) ** 2).sum(axis=1)
        return mean.tolist(), np.sqrt(variance).tolist()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self):,} × uint8{list(self.images.shape[1:])}, {len(self.classes)} classes)"


class ImageFolder(ImageDataset):
    """The pictures in a folder or a zip archive, with the classes that their folders, their names or a file tell.

    They are decoded once, into the cache (``CLEARPROP_CACHE``, else where the system keeps caches), and again when one
    of them changes. From there they are mapped into memory: opening takes no time, and memory need not hold them all.

    Args:
        path: the folder, or the .zip file.
        subfolder: a folder in it; the others are not looked at. "cifar10/train", for instance.
        labels: where the class of a picture is told. None: its folder's name, ``<class>/<picture>``. A function, given
            the file's name with its folders. A mapping, or a CSV file whose first two columns are file and class; there
            the folders and the suffix may be left out.
        classes: their names in the order of the labels; by default all that occur, sorted (numbers by their size). A
            set to test with takes those of the training.
        resize: pixels of a side, or (height, width), to scale all pictures to; what sticks out on two sides is cut off.
        mode: "RGB", "L" (brightness) or "RGBA" to convert all pictures to; by default they stay what they are, and must
            be the same.
        cache: False to decode every time, into memory.

    Attributes:
        files: the names of the files, in the order of the images.

    Raises:
        DataError: no pictures; one that is damaged, or has another size or other channels than the first; one without
            a class; a damaged or dangerous archive. Each names the file.
        FileError: the folder or a file cannot be read, or the cache cannot be written.
        UsageError: Pillow is not installed; arguments that there are not.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name, colour in [("leaf", "green"), ("sky", "blue")]:
    ...     (folder / name).mkdir()
    ...     Image.new("RGB", (4, 4), colour).save(folder / name / "1.png")
    >>> dataset = ImageFolder(folder, cache=False)
    >>> dataset, dataset.classes, dataset.files
    (ImageFolder(2 × uint8[3, 4, 4], 2 classes), ('leaf', 'sky'), ['leaf/1.png', 'sky/1.png'])
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        subfolder: str = "",
        *,
        labels: Labels = None,
        classes: Sequence[str] | None = None,
        resize: int | tuple[int, int] | None = None,
        mode: str | None = None,
        cache: bool = True,
    ) -> None:
        inside = PurePosixPath(as_path(subfolder)).as_posix() if subfolder else ""
        size = None if resize is None else _sides(resize)
        source, decoder = source_of(path, inside), Decoder(mode, size)
        found = _cached(source, decoder, inside) if cache else _decoded(source, decoder, inside)
        self.path, self.files = source.path, found.about["files"]
        names = _class_names(self.files, labels, _told(source, inside))
        super().__init__(found.images, *_numbered(names, classes, self.files), checksum=found.checksum)


def _sides(resize: Any) -> tuple[int, int]:
    """Height and width; UsageError for anything but one or two whole numbers."""
    sides = tuple(resize) if isinstance(resize, tuple | list) else (resize, resize)
    if len(sides) != 2 or not all(map(is_whole, sides)):
        raise UsageError(f"ImageFolder: resize={resize!r}", hint="pixels of a side, or (height, width)")
    return int(sides[0]), int(sides[1])


def _cached(source: Source, decoder: Decoder, inside: str) -> CachedImages:
    """The images and the names of their files from the cache, where they are put first if need be."""
    facts = (str(source.path.resolve()), inside, decoder.mode, decoder.size)
    place = image_cache.place_of(source.path.stem, *facts)
    signature = source.signature()
    found = image_cache.load(place, signature)
    if found is not None:
        return found
    with source.open() as reader:
        files = _files(reader, source, inside)
        images = decode_all(reader, files, decoder, str(source.path), os.cpu_count() or 1)
        return image_cache.store(place, signature, {"files": files}, images, len(files))


def _decoded(source: Source, decoder: Decoder, inside: str) -> CachedImages:
    """The same without the cache, in memory."""
    with source.open() as reader:
        files = _files(reader, source, inside)
        images = decode_all(reader, files, decoder, str(source.path), os.cpu_count() or 1)
        return image_cache.gathered(images, {"files": files}, len(files), source.path.stem)


def _files(reader: Reader, source: Source, inside: str) -> list[str]:
    """The names of the pictures; DataError if there are none."""
    files = reader.files()
    if files:
        return files
    folders = reader.folders()
    near = difflib.get_close_matches(inside, folders, n=1, cutoff=0.3) or folders[:1]
    hint = f"subfolder={near[0]!r}" if near and near[0] != inside else "JPEG, PNG or similar files in it"
    missing = bool(inside) and inside not in folders
    raise DataError(
        f"{source.path} has no folder {inside}" if missing else f"{_told(source, inside)} holds no pictures", hint=hint
    )


def _told(source: Source, inside: str) -> str:
    return f"{inside} in {source.path}" if inside else str(source.path)


# Classes ------------------------------------------------------------------------------------------------------------


def _class_names(files: Sequence[str], labels: Labels, where: str) -> list[str]:
    """The name of the class of each file; DataError, naming it, for a file that has none."""
    if labels is None:
        return [_folder_of(file, where) for file in files]
    if isinstance(labels, str | os.PathLike):
        where, labels = os.fspath(labels), _read_table(labels)
    elif isinstance(labels, Mapping):
        where = "labels"
    if isinstance(labels, Mapping):
        return [_looked_up(file, labels, where) for file in files]
    if not callable(labels):
        raise UsageError(f"ImageFolder: labels={labels!r}", hint="a function, mapping or CSV file that tells the class")
    names: list[Any] = [labels(file) for file in files]
    if None in names:
        raise DataError(
            f"{files[names.index(None)]} in {where} has no class: the function for labels returned None",
            hint="return the name of the class; or remove the picture",
        )
    return [str(name) for name in names]


def _folder_of(file: str, where: str) -> str:
    folders = file.split("/")[:-1]
    if len(folders) == 1:
        return folders[0]
    if not folders:
        raise DataError(f"{file} in {where} lies in no folder, which would be its class",
                        hint="labels=a function, mapping or CSV file that tells it")  # fmt: skip
    raise DataError(
        f"{file} in {where} lies {len(folders)} folders deep; a class is a folder with pictures in it",
        hint=f"subfolder='{'/'.join(folders[:-1])}' for that part, or labels=lambda file: file.split('/')[0]",
    )


def _looked_up(file: str, labels: Mapping[str, str], where: str) -> str:
    path = PurePosixPath(file)
    for key in (file, path.name, path.stem):
        if key in labels:
            return str(labels[key])
    raise DataError(f"{file} has no class in {where}", hint="a row with its name and its class; or remove the picture")


def _read_table(path: str | os.PathLike[str]) -> dict[str, str]:
    """The first two columns of a CSV file. Its heading does no harm: no picture has that name."""
    try:
        rows = list(csv.reader(io.StringIO(read_bytes(path).decode("utf-8-sig"))))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not a CSV file: {error}", hint="rows of a file's name, a comma, a class") from error
    for number, row in enumerate(rows, start=1):
        if len(row) == 1:
            raise DataError(f"{path}, line {number}: one column only", hint="a file's name, a comma, a class")
    return {row[0].strip(): row[1].strip() for row in rows if row}


def _numbered(
    names: Sequence[str], classes: Sequence[str] | None, files: Sequence[str]
) -> tuple[Array, tuple[str, ...]]:
    """The classes as numbers, and their names in order."""
    if isinstance(classes, str):
        raise UsageError(f"classes is {classes!r}", hint="a list of names")
    ordered = tuple(classes) if classes is not None else _in_order(set(names))
    if len(set(ordered)) != len(ordered):
        raise UsageError(f"ImageFolder: classes={list(ordered)} names one twice"[:200], hint="each name once")
    numbers = {name: number for number, name in enumerate(ordered)}
    for name, file in zip(names, files, strict=True):
        if name not in numbers:
            raise DataError(
                f"{file} is of class {name!r}, which is none of the {len(ordered)} classes {', '.join(ordered[:10])}",
                hint="classes= of the training set; or leave it out, to take all that occur",
            )
    return np.array([numbers[name] for name in names], np.int64), ordered


def _in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Sorted; by their size if all are numbers, so that the folder 10 is class 10."""
    ordered = sorted(names)
    return tuple(sorted(ordered, key=int) if all(name.isdecimal() for name in ordered) else ordered)
