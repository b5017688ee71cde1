"""Images that were decoded once: a folder of the cache for each set, with the pixels as a memory-mapped .npy file.

Beside the pixels lies ``index.json``: what they were made of, and the size, time and checksum of the file of pixels. A
set is taken from the cache only if all of that fits. The checksum is computed only if the file was touched since it was
written, so that opening costs a few milliseconds however large the set is.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from clearprop.caches import cache_folder
from clearprop.data.batches import Array
from clearprop.errors import FileError
from clearprop.files.atomic import atomic_write

_PIXELS, _INDEX = "images.npy", "index.json"
_FORMAT = 1  # changes when what is in the cache can no longer be read, or would be decoded in another way
_CHUNK_BYTES = 1 << 24


class CachedImages(NamedTuple):
    """Images that were decoded.

    Args:
        images: uint8 of shape (N, C, H, W); from the cache, memory-mapped and read-only.
        about: what was stored with them.
        checksum: their CRC-32.
    """

    images: Array
    about: dict[str, Any]
    checksum: int


def place_of(name: str, *facts: Any) -> Path:
    """The folder in the cache for images that depend on such facts, which JSON can say; `name` is for people."""
    key = hashlib.sha256(json.dumps([_FORMAT, *facts]).encode()).hexdigest()
    return cache_folder() / "images" / f"{name}-{key[:16]}"


def load(place: Path, signature: str) -> CachedImages | None:
    """The images in a folder of the cache, and what was stored with them.

    Args:
        signature: of what they were decoded from, as it is now.

    Returns:
        None if nothing is there, or it is outdated or damaged.
    """
    try:
        index = json.loads((place / _INDEX).read_bytes())
        if index["signature"] != signature or not _is_unharmed(place / _PIXELS, index):
            return None
        images = np.asarray(np.load(place / _PIXELS, mmap_mode="r", allow_pickle=False))
        fits = images.dtype == np.uint8 and images.shape == tuple(index["shape"])
        return CachedImages(images, index["about"], index["crc32"]) if fits else None
    except (OSError, ValueError, EOFError, KeyError, TypeError):
        return None  # whatever it is, it is not what `store` has written


def store(place: Path, signature: str, about: Mapping[str, Any], images: Iterable[Array], count: int) -> CachedImages:
    """Write images to a folder of the cache, one by one as they come, with a progress bar on stderr.

    Args:
        about: what to store with them, which JSON can say.
        images: uint8 of shape (C, H, W), all of the same.
        count: how many there are.

    Returns:
        what `load` gives from now on.

    Raises:
        FileError: the cache cannot be written. What was there before is unharmed.
    """
    with _writable(place):
        shape, checksum = _write_pixels(place / _PIXELS, images, count, f"decoding {place.name.rpartition('-')[0]}")
        state = (place / _PIXELS).stat()
        index = {"signature": signature, "shape": shape, "bytes": state.st_size, "time": state.st_mtime_ns,
                 "crc32": checksum, "about": about}  # fmt: skip
        with atomic_write(place / _INDEX) as file:
            file.write(json.dumps(index).encode())
    written = load(place, signature)
    if written is None:
        raise FileError(f"the cache {place} does not hold what was written to it", hint="check the disk")
    return written


def gathered(images: Iterable[Array], about: dict[str, Any], count: int, name: str) -> CachedImages:
    """The same in memory, for those who want no cache; `name` is for people."""
    shown = progress(images, count, f"decoding {name}")
    first = next(shown)
    result = np.empty((count, *first.shape), np.uint8)
    for row, image in zip(result, chain([first], shown), strict=True):
        row[...] = image
    return CachedImages(result, about, zlib.crc32(result.data))


def progress(items: Iterable[Array], count: int, name: str) -> Iterator[Array]:
    """The items as they come, with a bar on stderr that shows how many of `count` have come."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    every = max(count // 200, 1)  # moving the bar takes as long as decoding a small image
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(name, total=count)
        for number, item in enumerate(items, start=1):
            yield item
            if number % every == 0 or number == count:
                bar.update(task, completed=number)


def _is_unharmed(path: Path, index: Mapping[str, Any]) -> bool:
    """Whether the file of pixels is the one that the index was written for."""
    state = path.stat()
    if state.st_size != index["bytes"]:
        return False
    if state.st_mtime_ns == index["time"]:
        return True
    checksum = 0
    with path.open("rb") as file:
        file.seek(state.st_size - math.prod(index["shape"]))
        while chunk := file.read(_CHUNK_BYTES):
            checksum = zlib.crc32(chunk, checksum)
    if checksum != index["crc32"]:
        return False
    with suppress(OSError):  # it was only copied or touched: next time, its time will say so
        os.utime(path, ns=(state.st_atime_ns, index["time"]))
    return True


def _write_pixels(path: Path, images: Iterable[Array], count: int, name: str) -> tuple[tuple[int, ...], int]:
    """Write images as a .npy file; their shape, all together, and their checksum."""
    shape: tuple[int, ...] = ()
    checksum = 0
    with atomic_write(path) as file:
        for image in progress(images, count, name):
            if not shape:
                shape = (count, *image.shape)
                header = {"descr": "|u1", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
            content = image.tobytes()
            checksum = zlib.crc32(content, checksum)
            file.write(content)
    return shape, checksum


@contextmanager
def _writable(place: Path) -> Iterator[None]:
    """Make the folder, and remove it again if nothing comes to be in it.

    FileError, before an hour is spent on decoding, if nothing can be written there.
    """
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise FileError(
            f"the cache {place} cannot be written: {error.strerror}",
            hint="CLEARPROP_CACHE=/a/folder/of/yours in the environment; or cache=False, to decode every time",
        ) from error
    try:
        yield
    except BaseException:
        with suppress(OSError):  # it is not empty: what was there before is still good
            place.rmdir()
        raise
