"""One process at a time in a folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clearprop.errors import FileError

if sys.platform != "win32":
    import fcntl


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold a folder while the block runs: two processes that go on with one run would each undo what the other saves.

    No file is left there, and the system lets go of the folder when the process ends, however that comes about. Where
    folders cannot be held, on Windows and on some network file systems, this does nothing.

    Raises:
        FileError: another process holds it.

    >>> import tempfile
    >>> with alone_in(Path(tempfile.mkdtemp())):
    ...     pass
    """
    descriptor = _held(folder)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _held(folder: Path) -> int | None:
    if sys.platform == "win32":
        return None
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # who writes there will say why
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise FileError(
            f"another process is at work in {folder}", hint="wait until it has ended, or take another folder"
        ) from None
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
