"""How many threads NumPy's matrix products run on.

OpenBLAS, which comes with NumPy, starts one thread for each core, and each waits for the others in a loop that never
sleeps. For the small networks of the command line that gains little on an idle machine (MNIST: 15 %), and loses much on
a busy one: measured with one other program on 2 cores, the digits took 37 s on two threads and 3 s on one. One
thread also makes the result independent of the number of cores, to the bit. NumPy has no function for it, and OpenBLAS
reads its environment variable only while NumPy is imported, which has happened long before; so the library is asked.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

_PREFIXES_AND_SUFFIXES = (("scipy_", "64_"), ("scipy_", ""), ("", "64_"), ("", ""))


@contextmanager
def blas_threads(count: int) -> Iterator[None]:
    """Inside, matrix products run on so many threads. Nothing changes where NumPy came with another library.

    >>> with blas_threads(1):
    ...     _ = np.eye(2) @ np.eye(2)
    """
    found = _openblas()
    before = [get() for get, _ in found]
    for _, put in found:
        put(count)
    try:
        yield
    finally:
        for (_, put), threads in zip(found, before, strict=True):
            put(threads)


def _openblas() -> list[tuple[Any, Any]]:
    """The functions that get and set the number of threads, of each OpenBLAS that lies beside NumPy."""
    package = Path(np.__file__).parent
    folders = (package.with_name("numpy.libs"), package / ".dylibs")  # of NumPy's wheels: Linux and Windows, macOS
    functions = []
    for path in (path for folder in folders if folder.is_dir() for path in folder.glob("*openblas*")):
        try:
            library = ctypes.CDLL(str(path))
        except OSError:
            continue
        for prefix, suffix in _PREFIXES_AND_SUFFIXES:
            names = (f"{prefix}openblas_get_num_threads{suffix}", f"{prefix}openblas_set_num_threads{suffix}")
            if all(hasattr(library, name) for name in names):
                functions.append((getattr(library, names[0]), getattr(library, names[1])))
                break
    return functions
