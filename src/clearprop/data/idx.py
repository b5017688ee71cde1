"""IDX files, the form in which MNIST is published (http://yann.lecun.com/exdb/mnist/).

Two zero bytes, a byte for the type of the elements, a byte for the number of axes; the length of each axis as a
big-endian 32-bit integer; then the elements, big-endian, in C order. Often the whole is compressed with gzip.
"""

from __future__ import annotations

import gzip
import math
import os
import zlib
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from clearprop.errors import DataError
from clearprop.files.atomic import atomic_write, read_bytes

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

_DTYPES = {
    code: np.dtype(name).newbyteorder(">")
    for code, name in {0x08: "u1", 0x09: "i1", 0x0B: "i2", 0x0C: "i4", 0x0D: "f4", 0x0E: "f8"}.items()
}
_GZIP_MAGIC = b"\x1f\x8b"


def read_idx(path: str | os.PathLike[str]) -> Array:
    """The array in an IDX file, plain or compressed with gzip, in the machine's byte order.

    Raises:
        FileError: the file cannot be read.
        DataError: it is not an IDX file, it is truncated, or bytes are left over.

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/labels-idx1-ubyte.gz"
    >>> write_idx(path, np.array([5, 0, 4], dtype=np.uint8))
    >>> read_idx(path)
    array([5, 0, 4], dtype=uint8)
    """
    return parse_idx(read_content(path), str(path))


def write_idx(path: str | os.PathLike[str], array: Array) -> None:
    """Write an array as an IDX file, compressed if `path` ends in ``.gz``; equal arrays give equal files.

    Raises:
        DataError: an IDX file cannot hold the dtype.
        FileError: the file cannot be written.

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/labels-idx1-ubyte.gz"
    >>> write_idx(path, np.array([5, 0, 4], np.uint8))
    >>> read_idx(path)
    array([5, 0, 4], dtype=uint8)
    """
    array = np.asarray(array)
    codes = [code for code, dtype in _DTYPES.items() if dtype == array.dtype.newbyteorder(">")]
    if not codes:
        raise DataError(
            f"{path}: an IDX file cannot hold dtype {array.dtype}",
            hint="uint8, int8, int16, int32, float32 or float64: array.astype(…)",
        )
    header = bytes([0, 0, codes[0], array.ndim]) + np.array(array.shape, dtype=">u4").tobytes()
    content = header + array.astype(_DTYPES[codes[0]]).tobytes()
    with atomic_write(path) as file:
        file.write(gzip.compress(content, mtime=0) if Path(path).suffix == ".gz" else content)


def read_content(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a file, decompressed if it is compressed with gzip; DataError if it is damaged."""
    content = read_bytes(path)
    if not content.startswith(_GZIP_MAGIC):
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} is damaged: {error}", hint="get the file again") from error


def parse_idx(content: bytes, name: str) -> Array:
    """The array that the bytes of an IDX file describe; `name` is the file's, for errors."""
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _DTYPES:
        raise DataError(
            f"{name} is not an IDX file: it begins with {content[:4].hex(' ') or 'nothing'}, "
            "not with 00 00, a type and a number of axes",
            hint="check that it is the file you mean",
        )
    dtype, ndim = _DTYPES[content[2]], content[3]
    start = 4 + 4 * ndim
    if len(content) < start:
        raise DataError(f"{name} is truncated: it ends within its header", hint="get the file again")
    shape = [int(length) for length in np.frombuffer(content, ">u4", count=ndim, offset=4)]
    expected = math.prod(shape) * dtype.itemsize
    found = len(content) - start
    if found != expected:
        problem = "is truncated" if found < expected else "has bytes left over"
        raise DataError(
            f"{name} {problem}: its header promises shape {tuple(shape)} of {dtype.name}, {expected:,} bytes, "
            f"and {found:,} follow",
            hint="get the file again",
        )
    return np.frombuffer(content, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))
