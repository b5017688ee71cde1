"""CIFAR-10: small colour photographs of ten classes (A. Krizhevsky 2009, Learning Multiple Layers of Features)."""

from __future__ import annotations

import hashlib
import os
import tarfile
import zlib
from pathlib import Path

import numpy as np

from clearprop.caches import cache_folder
from clearprop.data import image_cache
from clearprop.data.batches import Array
from clearprop.data.datasets import Split, check_split
from clearprop.data.images import ImageDataset, ImageFolder
from clearprop.errors import DataError, FileError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

_PICTURES = "cifar10-images.zip"
_BINARY = "cifar-10-binary.tar.gz"
_URL = f"https://www.cs.toronto.edu/~kriz/{_BINARY}"
_SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"  # MD5 c32a1d4ab5d03f1284b67883e8d87530
_MEMBERS = {
    "train": tuple(f"cifar-10-batches-bin/data_batch_{number}.bin" for number in range(1, 6)),
    "test": ("cifar-10-batches-bin/test_batch.bin",),
}
_IMAGES = 10_000  # in a member
_SHAPE = (3, 32, 32)
_RECORD = 1 + 3 * 32 * 32  # a byte for the label, then the pixels, channel by channel


def cifar10(split: Split = "train", *, folder: str | os.PathLike[str] | None = None) -> ImageDataset:
    """CIFAR-10: colour photographs of 32×32 pixels in ten classes, 50,000 to train with and 10,000 to test with.

    In the folder that the environment variable ``CLEARPROP_DATA`` names, two forms are looked for: the archive of
    pictures ``cifar10-images.zip``, with ``cifar10/train/<class>/<number>.jpg``, and the authors' binary release,
    ``cifar-10-binary.tar.gz``. If neither is there, the latter is downloaded once. Either is decoded once, into the
    cache. The pictures are JPEG, so that their pixels differ slightly from the release, and sorted by class: shuffle
    them.

    Args:
        split: "train" or "test".
        folder: where to look instead; nothing is downloaded then.

    Raises:
        DataError: a file is damaged or holds something else.
        FileError: a file can neither be read nor downloaded, or is not in the folder named.
        UsageError: the pictures need Pillow, which is not installed.
    """
    check_split(split)
    path = _find(folder)
    if path.name == _PICTURES:
        return ImageFolder(path, f"cifar10/{split}", classes=CLASSES)
    return _of_release(path, split)


def _find(folder: str | os.PathLike[str] | None) -> Path:
    """Where one of the two forms is; downloaded if it is nowhere and no folder is named."""
    chosen = folder or os.environ.get("CLEARPROP_DATA")
    places = [] if not chosen else [Path(chosen), Path(chosen) / "cifar10"]
    for name in (_PICTURES, _BINARY):
        for place in places:
            if (place / name).is_file():
                return place / name
    if folder:
        raise FileError(f"{folder} holds neither {_PICTURES} nor {_BINARY}", hint=f"put {_URL} there")
    path = cache_folder() / "cifar10" / _BINARY
    if not path.exists():
        from clearprop.files.download import download  # loads the network and the progress bar: only when needed

        download([_URL], path, sha256=_SHA256, compressed=False)
    return path


def _of_release(path: Path, split: Split) -> ImageDataset:
    """The images of the binary release, from the cache, where they are put first if need be."""
    state = path.stat()
    place = image_cache.place_of(f"cifar10-{split}", str(path.resolve()), split)
    signature = f"{state.st_size} {state.st_mtime_ns}"
    found = image_cache.load(place, signature)
    if found is None:
        records = _read_release(path, split)
        about = {"labels": records[:, 0].tolist()}
        images = (record[1:].reshape(_SHAPE) for record in records)
        found = image_cache.store(place, signature, about, images, len(records))
    return ImageDataset(found.images, found.about["labels"], CLASSES, checksum=found.checksum)


def _read_release(path: Path, split: Split) -> Array:
    """The records of one of its parts, uint8 of shape (N, 3073). Nothing is unpacked: its names lead nowhere."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != _SHA256:
        raise DataError(
            f"{path} is not the published release of CIFAR-10: it has the SHA-256 {found}, not {_SHA256}",
            hint="remove it, and it is downloaded; or read pictures of your own with ImageFolder",
        )
    try:
        with tarfile.open(path, "r:gz") as archive:
            parts = [_read_member(archive, name) for name in _MEMBERS[split]]
    except (tarfile.TarError, zlib.error, EOFError, OSError, KeyError) as error:
        raise DataError(f"{path} is damaged: {error}", hint="get the file again") from error
    return np.concatenate(parts)


def _read_member(archive: tarfile.TarFile, name: str) -> Array:
    file = archive.extractfile(name)
    content = file.read(_IMAGES * _RECORD + 1) if file is not None else b""
    if len(content) != _IMAGES * _RECORD:
        raise EOFError(f"{name} does not hold {_IMAGES:,} images")
    return np.frombuffer(content, np.uint8).reshape(_IMAGES, _RECORD)
