"""Putting saved values into cells: all of them, or, if anything does not fit, none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from clearprop.errors import DataError
from clearprop.tensor import Cell, Tensor

_MOST_SHOWN = 8


class LoadResult(NamedTuple):
    """The names that did not occur on both sides."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def load(owner: str, cells: Mapping[str, Cell], values: Mapping[str, Any], strict: bool) -> LoadResult:
    """Assign values to cells by name.

    Args:
        owner: whose cells they are, for the message.
        values: tensors or arrays; cast to the dtypes of the cells.
        strict: whether every cell must have a value, and every value a cell.

    Raises:
        DataError: names everything that does not fit; then nothing has been assigned.
    """
    if not isinstance(values, Mapping):
        raise DataError(
            f"the values for {owner} are a {type(values).__name__}, not a mapping of names", hint="model.state_dict()"
        )
    missing = [name for name in cells if name not in values]
    unexpected = [name for name in values if name not in cells]
    arrays = {name: _array(value) for name, value in values.items() if name in cells}
    problems = [
        *(_list("missing: ", missing) if strict else ()),
        *(_list("unexpected: ", unexpected) if strict else ()),
        *_limited([line for name, array in arrays.items() for line in _misfit(name, cells[name], array)]),
    ]
    if problems:
        raise DataError(
            f"these values do not fit {owner}; nothing was loaded:\n" + "\n".join(f"  {line}" for line in problems),
            hint=_hint(missing, unexpected),
        )
    for name, array in arrays.items():
        held = cells[name].peek().array
        cells[name].assign(Tensor(np.array(array, held.dtype)))
    return LoadResult(missing, unexpected)


def _array(value: Any) -> np.ndarray[Any, Any]:
    return np.asarray(value.numpy() if hasattr(value, "numpy") else value)


def _misfit(name: str, cell: Cell, array: np.ndarray[Any, Any]) -> list[str]:
    held = cell.peek()
    if array.shape != held.shape:
        turned = ", its transpose: weights are stored [in, out]" if array.shape == held.shape[::-1] else ""
        return [f"shape: {name} has shape {held.shape}, the value has shape {array.shape}{turned}"]
    kind = held.array.dtype.kind
    if array.dtype.kind != kind and not (kind == "f" and array.dtype.kind in "iu"):
        return [f"dtype: {name} is {held.dtype.name}, the value is {array.dtype}"]
    return []


def _list(label: str, names: Sequence[str]) -> Iterable[str]:
    if names:
        more = f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else ""
        yield label + ", ".join(names[:_MOST_SHOWN]) + more


def _limited(lines: list[str]) -> list[str]:
    more = [f"and {len(lines) - _MOST_SHOWN} more"] if len(lines) > _MOST_SHOWN else []
    return [*lines[:_MOST_SHOWN], *more]


def _hint(missing: Sequence[str], unexpected: Sequence[str]) -> str:
    """If all names differ by one prefix, say so."""
    for name in missing:
        for other in unexpected:
            if other.endswith("." + name):
                prefix = other[: -len(name)]
                return f"the names have the prefix {prefix!r}: {{name.removeprefix({prefix!r}): v for name, v in ...}}"
    if missing or unexpected:
        return "build the network as it was when it was saved, or load_state_dict(values, strict=False)"
    return "build the network as it was when it was saved"
