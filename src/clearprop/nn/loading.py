"""Putting saved values into cells: all of them, or, if anything does not fit, none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from clearprop.alignment import aligned_copy
from clearprop.arguments import one_of
from clearprop.cell import Cell
from clearprop.errors import DataError
from clearprop.tensor import Tensor, as_array

_MOST_SHOWN = 8


class LoadResult(NamedTuple):
    """The names that did not occur on both sides."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Slot(NamedTuple):
    """One place in a network where a parameter or buffer is set."""

    name: str
    cell: Cell
    torch_transposed: bool


def values_of(slots: Sequence[Slot], layout: str) -> dict[str, Tensor]:
    """The values of all cells by name, as that layout has them.

    Raises:
        UsageError: for an unknown layout.
    """
    if _is_torch(layout):
        return {
            slot.name: Tensor(np.asarray(_turned(slot, slot.cell.value.array, layout), order="C")) for slot in slots
        }
    first: dict[Cell, Slot] = {}
    for slot in slots:
        first.setdefault(slot.cell, slot)
    return {slot.name: Tensor(cell.value.array) for cell, slot in first.items()}


def load(owner: str, slots: Sequence[Slot], values: Mapping[str, Any], strict: bool, layout: str) -> LoadResult:
    """Assign values to cells by name.

    A cell that is set at several places may be given under any of its names; under several, with equal values.

    Args:
        owner: whose cells they are, for the message.
        values: tensors or arrays; cast to the dtypes of the cells.
        strict: whether every cell must have a value, and every value a cell.
        layout: "clearprop", or "torch" for matrices that are [out, in].

    Raises:
        DataError: names everything that does not fit; then nothing has been assigned.
        UsageError: for an unknown layout.
    """
    _is_torch(layout)
    if not isinstance(values, Mapping):
        raise DataError(
            f"the values for {owner} are a {type(values).__name__}, not a mapping of names", hint="model.state_dict()"
        )
    places = {slot.name: slot for slot in slots}
    given = {places[name].cell for name in values if name in places}
    missing = list({slot.cell: slot.name for slot in reversed(slots) if slot.cell not in given}.values())[::-1]
    unexpected = [str(name) for name in values if name not in places]
    arrays = {name: _turned(places[name], _array(value), layout) for name, value in values.items() if name in places}
    chosen: dict[Cell, str] = {}
    problems = [
        *(_list("missing: ", missing) if strict else ()),
        *(_list("unexpected: ", unexpected) if strict else ()),
        *_limited([line for name in arrays for line in _misfit(places[name], arrays, chosen, layout)]),
    ]
    if problems:
        raise DataError(
            f"these values do not fit {owner}; nothing was loaded:\n" + "\n".join(f"  {line}" for line in problems),
            hint=_hint(missing, unexpected),
        )
    for cell, name in chosen.items():
        cell.assign(Tensor(aligned_copy(arrays[name], cell.peek().array.dtype)))
    return LoadResult(missing, unexpected)


def _is_torch(layout: str) -> bool:
    return one_of("a state", "layout", layout, "clearprop", "torch") == "torch"


def _turned(slot: Slot, array: np.ndarray[Any, Any], layout: str) -> np.ndarray[Any, Any]:
    """The array as it is stored on the other side: a matrix turned, if the two sides differ."""
    return array.T if layout == "torch" and slot.torch_transposed else array


def _array(value: Any) -> np.ndarray[Any, Any]:
    try:
        return as_array(value)
    except (TypeError, RuntimeError) as error:  # PyTorch's bfloat16, or a tensor with a gradient
        raise DataError(f"a value cannot become an array: {error}", hint="value.detach().float()") from error


def _misfit(slot: Slot, arrays: Mapping[str, Any], chosen: dict[Cell, str], layout: str) -> list[str]:
    """What is wrong with the value of that name; ``chosen`` notes which value each cell takes."""
    name, held, array = slot.name, slot.cell.peek(), arrays[slot.name]
    other = chosen.setdefault(slot.cell, name)
    if other != name and not np.array_equal(arrays[other], array, equal_nan=array.dtype.kind == "f"):
        return [f"value: {other} and {name} are one parameter here, and the values differ"]
    if array.shape != held.shape:
        is_turned = array.shape == held.shape[::-1] and layout == "clearprop"
        turned = ', its transpose: weights are stored [in, out]; layout="torch" turns them' if is_turned else ""
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
