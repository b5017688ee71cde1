"""Reading and writing whole files: a file on the disk is the old one or the new one, never half of either.

Everything that clearprop saves goes through `atomic_write`: weights, checkpoints, reports. A full disk, an exception or
a SIGKILL in the middle of writing leaves what was there before.
"""

from __future__ import annotations

import difflib
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from clearprop.arguments import as_path
from clearprop.errors import FileError

_ABANDONED_AFTER_SECONDS = 3600.0


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A binary file to write to, which takes the place of `path` when the block ends, and only if it ends well.

    The bytes go to a temporary file in the same folder, are flushed to the disk, and the temporary is renamed. If the
    block raises, the temporary is removed and `path` is untouched. A symbolic link stays one: its target is replaced.

    Raises:
        FileError: the folder does not exist or cannot be written, `path` is something other than a file, the disk is
            full. Any OSError of the block counts as a failure to write.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "notes.txt"
    >>> with atomic_write(path) as file:
    ...     _ = file.write(b"x = 3")
    >>> path.read_bytes()
    b'x = 3'
    """
    target = Path(os.path.realpath(as_path(path)))
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        if target.exists() and not target.is_file():
            raise FileError(f"cannot write {path}: it is not a regular file", hint="choose another name")
        _remove_abandoned(target)
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
        sync_folder(target.parent)
    except FileError:
        raise
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        with suppress(OSError):  # after success it bears the new name, and there is nothing to remove
            temporary.unlink()


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """The content of a file; FileError with a suggestion if it cannot be read."""
    place = as_path(path)
    try:
        return place.read_bytes()
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror}", hint=_reading_hint(place, error)) from error


def write_error(path: str | os.PathLike[str], error: OSError) -> FileError:
    """What to tell somebody whose file could not be written."""
    reason = error.strerror or str(error)
    if not Path(path).parent.is_dir():
        reason, hint = "its folder does not exist", f"mkdir -p {Path(path).parent}"
    elif isinstance(error, PermissionError):
        hint = "choose a folder that you may write to"
    else:
        hint = "free some space on the disk, or choose another folder"
    return FileError(f"cannot write {path}: {reason}; nothing that was saved before has changed", hint=hint)


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power failure."""
    if os.name == "nt":
        return  # Windows cannot open a folder, and renames are journalled
    with suppress(OSError):  # the new file is in place already; some network file systems cannot sync a folder
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove_abandoned(target: Path) -> None:
    """Remove the temporaries of writers that were killed; a living writer touches its own more often than this."""
    with suppress(OSError):  # tidying up must not keep anybody from saving
        for other in target.parent.iterdir():
            is_temporary = other.name.startswith(f".{target.name}.") and other.suffix == ".tmp"
            if is_temporary and time.time() - other.stat().st_mtime > _ABANDONED_AFTER_SECONDS:
                other.unlink()


def _reading_hint(path: Path, error: OSError) -> str:
    if isinstance(error, IsADirectoryError):
        return f"name a file in it: {path}/…"
    if not isinstance(error, FileNotFoundError):
        return "check that you may read it"
    names = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
    similar = difflib.get_close_matches(path.name, names, n=1)
    return str(path.with_name(similar[0])) if similar else "check the path"
