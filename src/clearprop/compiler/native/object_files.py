"""Machine code on the disk: what one process has compiled, the next one need not compile again.

A file for each kernel, named after all that its code depends on, in a folder that only its owner may enter. It is a
cache: what is damaged or cannot be read counts as missing, and what cannot be written is not written. When there is too
much of it, what was used longest ago goes.

``CLEARPROP_CODE_CACHE=0`` turns it off.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

import llvmlite
import llvmlite.binding as llvm

from clearprop.caches import cache_folder

_MARK = b"clearprop code 1\n"
_HASH_BYTES = hashlib.sha256().digest_size
_SECONDS_ABANDONED = 3600.0
_ENDING = ".code"
_LOOKS = 16
"""So often, by chance, somebody looks how much there is, while as much is written as may be there."""
_WRITTEN_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


class ObjectFiles:
    """Object code by name.

    Args:
        folder: where it is kept; it may not exist yet.
        most_bytes: so much is kept.
    """

    def __init__(self, folder: Path, most_bytes: int = 64 << 20) -> None:
        self._folder, self._most_bytes = folder, most_bytes
        self._is_known = False  # that it is our own

    def load(self, name: str) -> bytes | None:
        """The code of that name, or None if there is none that is whole."""
        path = self._path(name)
        try:
            if not self._is_our_own():
                return None
            content = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        start = len(_MARK) + _HASH_BYTES
        code = content[start:]
        return code if content[:start] == _MARK + hashlib.sha256(code).digest() else None

    def store(self, name: str, code: bytes) -> None:
        """Keep the code of that name, if there is a place for it."""
        path = self._path(name)
        temporary = self._folder / f"{name}.{secrets.token_hex(4)}.tmp"
        try:
            if not self._is_known:
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self._is_our_own():
                return
            temporary.write_bytes(_MARK + hashlib.sha256(code).digest() + code)
            temporary.replace(path)
        except OSError:
            with suppress(OSError):
                temporary.unlink()
            return
        if zlib.crc32(name.encode()) < _LOOKS * len(code) / self._most_bytes * 2**32:
            self._remove_oldest()

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}{_ENDING}"

    def _is_our_own(self) -> bool:
        """Whether nobody else can have put code there, which would then be run."""
        if not self._is_known:
            found = self._folder.stat()
            is_foreign = os.name != "nt" and (found.st_uid != os.getuid() or found.st_mode & _WRITTEN_BY_OTHERS)
            self._is_known = not is_foreign
        return self._is_known

    def _remove_oldest(self) -> None:
        """Leave three quarters of what may be there; remove what writers that were killed left behind."""
        files = []
        for entry in self._entries():
            with suppress(OSError):
                found = entry.stat()
                if entry.name.endswith(_ENDING):
                    files.append((found.st_mtime, found.st_size, entry.path))
                elif time.time() - found.st_mtime > _SECONDS_ABANDONED:
                    Path(entry.path).unlink()
        total = sum(size for _, size, _ in files)
        if total <= self._most_bytes:
            return
        for _, size, path in sorted(files):
            with suppress(OSError):
                Path(path).unlink()
            total -= size
            if total <= self._most_bytes * 3 // 4:
                return

    def _entries(self) -> Iterator[os.DirEntry[str]]:
        with suppress(OSError), os.scandir(self._folder) as entries:
            yield from entries


def object_files() -> ObjectFiles | None:
    """Those of this version of clearprop and of LLVM; None if there shall be none."""
    if os.environ.get("CLEARPROP_CODE_CACHE", "1") == "0":
        return None
    try:
        return _files_in(cache_folder() / "code")
    except RuntimeError:  # nobody is at home
        return None


@cache
def _files_in(folder: Path) -> ObjectFiles:
    return ObjectFiles(folder)


@cache
def version() -> str:
    """All that code depends on besides what it computes and for which processor: LLVM, and the files that write it."""
    found = hashlib.sha256(f"{llvmlite.__version__} {llvm.llvm_version_info} {llvm.get_default_triple()}".encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        found.update(path.name.encode() + path.read_bytes())
    return found.hexdigest()
