"""State of any shape as named arrays and a JSON text, and back: what a checkpoint needs to hold no pickle.

A state is what ``state_dict()`` methods return: dicts, lists and tuples, nested at will, of arrays, tensors, numbers,
texts, booleans and None. Arrays go to a safetensors file under their path in the state; all else goes to JSON, in which
every value that JSON cannot say is an object with one entry, its kind.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from clearprop.cell import Cell
from clearprop.errors import DataError, UsageError
from clearprop.tensor import Tensor

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]


def pack(state: Any) -> tuple[dict[str, Array], str]:
    """The arrays of a state by path, and the rest of it as JSON.

    Raises:
        UsageError: the state holds something else, which is named with its place.

    >>> arrays, text = pack({"weight": np.ones(2), "betas": (0.9, 0.999)})
    >>> arrays
    {'weight': array([1., 1.])}
    >>> text
    '{"dict": [["weight", {"array": "weight"}], ["betas", {"tuple": [0.9, 0.999]}]]}'
    >>> unpack(arrays, text)
    {'weight': array([1., 1.]), 'betas': (0.9, 0.999)}
    """
    arrays: dict[str, Array] = {}
    return arrays, json.dumps(_encode(state, "", arrays), allow_nan=False)


def unpack(arrays: Mapping[str, Array], text: str) -> Any:
    """The state that `pack` took apart.

    Raises:
        DataError: they do not belong together, or the text is not of `pack`.
    """
    try:
        return _decode(json.loads(text), arrays)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise DataError(f"the saved state is damaged: {reason}") from error


def _encode(value: Any, path: str, arrays: dict[str, Array]) -> Any:
    if isinstance(value, Tensor | Cell):
        value = value.numpy()
    if isinstance(value, np.ndarray):
        arrays[path] = value
        return {"array": path}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {"dict": [[_encode(key, "", {}), _encode(one, _join(path, key), arrays)] for key, one in value.items()]}
    if isinstance(value, list | tuple):
        entries = [_encode(entry, _join(path, index), arrays) for index, entry in enumerate(value)]
        return entries if isinstance(value, list) else {"tuple": entries}
    raise UsageError(
        f"a checkpoint cannot hold {path or 'the state'}: it is a {type(value).__name__}",
        hint="state_dict() of arrays, tensors, numbers, texts, and dicts and lists of them",
    )


def _decode(value: Any, arrays: Mapping[str, Array]) -> Any:
    if isinstance(value, list):
        return [_decode(entry, arrays) for entry in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "array":
        return arrays[content]
    if kind == "float":
        return float(content)
    if kind == "tuple":
        return tuple(_decode(entry, arrays) for entry in content)
    if kind == "dict":
        return {_decode(key, arrays): _decode(entry, arrays) for key, entry in content}
    raise ValueError(f"there is no kind {kind!r}")


def _join(path: str, key: object) -> str:
    return f"{path}/{key}" if path else str(key)
