"""Where pictures lie: in a folder or in a zip archive. Both are read the same way, and neither is ever unpacked."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Protocol

from clearprop.arguments import as_path
from clearprop.errors import DataError, FileError
from clearprop.files.atomic import read_bytes

SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")

_MOST_BYTES = 1 << 28  # in one picture: a header that promises more is an attack on the memory, or no picture
_ENCRYPTED = 0x1  # a flag of a member, section 4.4.4 of the specification of zip files


class Source(Protocol):
    """A place with pictures."""

    path: Path

    def signature(self) -> str:
        """What changes whenever the pictures do; it costs little to ask for."""
        ...

    def open(self) -> Reader:
        """The place, to be read from; a context, which closes it."""
        ...


class Reader(AbstractContextManager["Reader"], ABC):
    """A place that is open."""

    @abstractmethod
    def files(self) -> list[str]:
        """The names of the pictures, sorted, each with the folders that lead to it and / between them."""

    @abstractmethod
    def folders(self) -> list[str]:
        """The names of all folders in the place, for errors."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """The bytes of one of the pictures; FileError or DataError, naming it, if it cannot be read."""


def source_of(path: str | os.PathLike[str], inside: str = "") -> Source:
    """The place that a path names.

    Args:
        inside: a folder in it, to which it is narrowed.

    Raises:
        FileError: there is nothing.
    """
    place = as_path(path)
    if place.is_dir():
        return FolderSource(place, inside)
    if not place.is_file():
        raise FileError(f"there is no folder or zip archive {place}", hint="check the path")
    return ZipSource(place, inside)


class FolderSource:
    """A folder on the disk. Links are followed; what begins with a dot is passed over."""

    def __init__(self, path: Path, inside: str = "") -> None:
        self.path = path
        self._inside = inside

    def signature(self) -> str:
        """Of the names, sizes and times of all pictures."""
        root, digest = self.path / self._inside, hashlib.sha256()
        for name in self.open().files():
            with suppress(OSError):  # a link that leads nowhere: reading it will say so
                state = (root / name).stat()
                digest.update(f"{name}\0{state.st_size}\0{state.st_mtime_ns}\n".encode())
        return digest.hexdigest()

    def open(self) -> Reader:
        """Nothing needs to be opened."""
        return FolderReader(self.path, self._inside)


class FolderReader(Reader):
    """The pictures under a folder."""

    def __init__(self, path: Path, inside: str) -> None:
        self._path, self._root = path, path / inside

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""

    def files(self) -> list[str]:
        """See `Reader`."""
        return sorted(
            (folder / name).as_posix()
            for folder, names in _walk(self._root)
            for name in names
            if is_picture(name) and not name.startswith(".")
        )

    def folders(self) -> list[str]:
        """See `Reader`."""
        return sorted(folder.as_posix() for folder, _ in _walk(self._path) if folder.parts)

    def read(self, name: str) -> bytes:
        """See `Reader`; FileError if it cannot be read."""
        return read_bytes(self._root / name)


class ZipSource:
    """A zip archive. Its members are read where they are, one by one; nothing is ever written where their names say."""

    def __init__(self, path: Path, inside: str = "") -> None:
        self.path = path
        self._inside = inside

    def signature(self) -> str:
        """Of its size and time."""
        state = self.path.stat()
        return f"{state.st_size} {state.st_mtime_ns}"

    def open(self) -> Reader:
        """Open the archive; DataError if it is none, is truncated, or holds a name that leads out of it."""
        return ZipReader(self.path, self._inside)


class ZipReader(Reader):
    """The pictures under a folder in a zip archive."""

    def __init__(self, path: Path, inside: str) -> None:
        self._path = path
        self._prefix = f"{inside}/" if inside else ""
        try:
            self._archive = zipfile.ZipFile(path)
        except OSError as error:
            raise FileError(f"cannot read {path}: {error.strerror}", hint="check that you may read it") from error
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise DataError(
                f"{path} is not a zip archive, or it is truncated: {error}", hint="get the file again"
            ) from error
        members = {_checked(info, path): info for info in self._archive.infolist()}
        self._members = {name: info for name, info in members.items() if not info.is_dir()}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._archive.close()

    def files(self) -> list[str]:
        """See `Reader`."""
        start = len(self._prefix)
        return sorted(
            name[start:]
            for name in self._members
            if name.startswith(self._prefix) and is_picture(name) and not _hidden(name[start:])
        )

    def folders(self) -> list[str]:
        """See `Reader`."""
        parents = {parent.as_posix() for name in self._members for parent in PurePosixPath(name).parents}
        return sorted(parent for parent in parents - {"."} if not _hidden(parent))

    def read(self, name: str) -> bytes:
        """See `Reader`; DataError if it is damaged or protected."""
        info = self._members[self._prefix + name]
        where = f"{info.filename} in {self._path}"
        if info.flag_bits & _ENCRYPTED:
            raise DataError(f"{where} is protected by a password", hint="unpack it, and name the folder instead")
        if info.file_size > _MOST_BYTES:
            raise DataError(f"{where} claims {info.file_size:,} bytes: that is no picture", hint="leave it out")
        try:
            return self._archive.read(info)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
            raise DataError(f"{where} is damaged: {error}", hint="get the archive again, or leave it out") from error
        except (NotImplementedError, RuntimeError) as error:  # a method of compression that this Python does not have
            raise DataError(f"{where} cannot be read: {error}", hint="pack it again with zip's own method") from error


def _walk(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """Each folder, relative to the root, with the names of its files; one that leads back to itself only once."""
    seen: set[tuple[int, int]] = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        state = Path(folder).stat()
        if (state.st_dev, state.st_ino) in seen:
            folders.clear()
            continue
        seen.add((state.st_dev, state.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield Path(folder).relative_to(root), names


def is_picture(name: str) -> bool:
    """Whether the name of a file ends like that of a picture."""
    return name.lower().endswith(SUFFIXES)


def _hidden(name: str) -> bool:
    """What a file manager has put there for itself."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def _checked(info: zipfile.ZipInfo, path: Path) -> str:
    """The name of a member; DataError if it leads out of the archive (a "zip slip"), as no honest archive's does."""
    name = info.filename.replace("\\", "/")  # as some programs of Windows write it
    parts = name.split("/")
    is_link = stat.S_ISLNK(info.external_attr >> 16)
    if ".." in parts or parts[0] == "" or parts[0].endswith(":") or is_link:
        what = "is a link" if is_link else "leads out of it"
        raise DataError(
            f"{path} holds {json.dumps(info.filename)}, which {what}: nothing is read from such an archive",
            hint="pack the folder of pictures again: zip -r pictures.zip folder",
        )
    return name
