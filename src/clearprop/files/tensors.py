"""Named arrays in a file, in the safetensors format: a header in JSON, then the bytes of the arrays. No pickle.

The safetensors library lays the file out and checks it when reading. Two things are added here, both inside the format,
so that every other reader of safetensors reads these files: the metadata stands in a fixed order, so that equal runs
write equal files; and it holds a checksum of everything, so that a damaged file is never taken for a good one.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import safetensors
import safetensors.numpy

from clearprop.errors import FileError, UsageError
from clearprop.files.atomic import atomic_write, read_bytes
from clearprop.tensor import Tensor, as_array

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

_METADATA = "__metadata__"
_CHECKSUM = "clearprop.sha256"


def save(path: str | os.PathLike[str], tensors: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> None:
    """Write named tensors to `path`, whole or not at all.

    Args:
        path: the file; what was there is replaced only when all has been written.
        tensors: for each name an array, a number, or anything with a ``numpy()`` method; any shape, also () and (0, 3).
        metadata: names and texts to keep beside them.

    Raises:
        UsageError: tensors without names, or of a dtype that a safetensors file cannot hold; metadata that is not text.
        FileError: the file cannot be written.

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/weights.safetensors"
    >>> save(path, {"w": np.eye(2, dtype=np.float32), "step": 7}, metadata={"model": "tiny"})
    >>> load(path)["w"]
    array([[1., 0.],
           [0., 1.]], dtype=float32)
    >>> load_metadata(path)
    {'model': 'tiny'}
    """
    _check_names(tensors)
    arrays = {name: _to_array(value) for name, value in tensors.items()}
    for key, text in (metadata or {}).items():
        if not isinstance(text, str):
            raise UsageError(f"save: metadata {key!r} is {text!r}, not text", hint=f"str({text!r})")
    try:
        content = safetensors.numpy.save(arrays)
    except safetensors.SafetensorError as error:
        dtypes = ", ".join(f"{name}: {array.dtype}" for name, array in arrays.items())
        raise UsageError(
            f"save: a tensor cannot be written to {path}: {error} ({dtypes})", hint="numbers and booleans only"
        ) from error
    header, data = _parts(content)
    header[_METADATA] = dict(metadata or {})
    header[_METADATA][_CHECKSUM] = _checksum(header, data)
    with atomic_write(path) as file:
        file.write(_encode(header))
        file.write(data)


def load(path: str | os.PathLike[str]) -> dict[str, Array]:
    """The arrays in a safetensors file, by name: of `save`, or of any other program.

    Raises:
        FileError: there is no such file; it is truncated or not a safetensors file; its content has changed since
            `save` wrote it; it holds a dtype that NumPy does not have.
    """
    return load_with_metadata(path)[0]


def load_tensors(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The tensors in a safetensors file, by name; ``cp.load``. It fails like `load`.

    >>> import tempfile
    >>> import clearprop as cp
    >>> path = tempfile.mkdtemp() + "/weights.safetensors"
    >>> cp.save(path, {"w": cp.ones(2)})
    >>> cp.load(path)
    {'w': Tensor([1., 1.], dtype=float32)}
    """
    return {name: Tensor(array) for name, array in load(path).items()}


def load_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """The names and texts that `save` was given as metadata; checked, and failing, like `load`."""
    return load_with_metadata(path)[1]


def load_with_metadata(path: str | os.PathLike[str]) -> tuple[dict[str, Array], dict[str, str]]:
    """What `load` and `load_metadata` give, both of one reading: they belong together."""
    content = read_bytes(path)
    try:
        arrays = safetensors.numpy.load(content)
    except safetensors.SafetensorError as error:
        raise _damaged(path, str(error)) from error
    except KeyError as error:  # the library's table of NumPy's dtypes lacks this one
        raise FileError(
            f"{path} holds a tensor of dtype {error.args[0]}, which NumPy does not have",
            hint="convert the file to float32 with the program that wrote it",
        ) from error
    header, data = _parts(content)
    metadata: dict[str, str] = header.get(_METADATA, {})
    expected = metadata.pop(_CHECKSUM, None)  # files of other programs have none
    if expected is not None and expected != _checksum(header, data):
        raise _damaged(path, "its content is not what was saved (the checksum differs)")
    return arrays, metadata


def _check_names(tensors: Any) -> None:
    """Raise UsageError unless every tensor has a name."""
    if not isinstance(tensors, Mapping):
        hint = "model.state_dict()" if hasattr(tensors, "state_dict") else 'a name for each tensor: {"x": x}'
        raise UsageError(f"save: tensors is a {type(tensors).__name__}, not a mapping of names", hint=hint)
    unnamed = [name for name in tensors if not isinstance(name, str)]
    if unnamed:
        raise UsageError(f"save: the name of a tensor is {unnamed[0]!r}, not text", hint=f"str({unnamed[0]!r})")


def _to_array(value: Any) -> Array:
    """The value as a C-ordered array: the library writes memory as it lies, so a transposed view would be garbled."""
    return np.asarray(as_array(value), order="C")


def _parts(content: bytes) -> tuple[dict[str, Any], memoryview]:
    """A safetensors file taken apart: 8 bytes with the length of the header, the header in JSON, the data."""
    start = 8 + int.from_bytes(content[:8], "little")
    return json.loads(content[8:start]), memoryview(content)[start:]


def _encode(header: dict[str, Any]) -> bytes:
    text = json.dumps(header, sort_keys=True).encode()
    text += b" " * (-len(text) % 8)  # the format wants the data to begin at a multiple of 8
    return len(text).to_bytes(8, "little") + text


def _checksum(header: dict[str, Any], data: memoryview) -> str:
    digest = hashlib.sha256(_encode(header))
    digest.update(data)
    return digest.hexdigest()


def _damaged(path: str | os.PathLike[str], reason: str) -> FileError:
    return FileError(
        f"{path} is damaged, or not a safetensors file: {reason}", hint="an earlier checkpoint, or save it again"
    )
