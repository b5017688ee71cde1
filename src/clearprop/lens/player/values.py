"""How much of each recorded value a player's page takes along: never a whole large array.

A number is written in full. A small array is a table of its elements, a medium one a heat map, a large one a histogram;
each with shape, range and mean. The amount is bounded for each array, and an array that occurs twice is stored once.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from clearprop.lens.figures import figure, number

MOST_WRITTEN = 36
"""Up to so many elements an array's elements are written out."""

MOST_DRAWN = 400
"""Up to so many elements an array is a heat map."""

_BARS = 24
_STRONGEST = 127  # heat is one signed byte for each element
_NOT_FINITE = -128


class Values:
    """Summaries of values, numbered from 0 in the order in which they were added.

    Args:
        detailed: with what is needed to draw medium and large arrays.

    >>> values = Values()
    >>> x = np.array([1.0, 2.0])
    >>> values.add(np.float64(3.0)), values.add(x), values.add(x), values.add(None)
    (0, 1, 1, None)
    >>> values.summaries[0]
    {'text': '3'}
    >>> values.summaries[1]
    {'text': '[1 2]', 'shape': '2', 'dtype': 'float64', 'mean': '1.5', 'short': '1 … 2', 'numbers': [['1', '2']]}
    """

    def __init__(self, detailed: bool = True) -> None:
        self.detailed = detailed
        self.summaries: list[dict[str, Any]] = []
        self._by_array: dict[int, int] = {}
        self._by_text: dict[str, int] = {}
        self._held: list[Any] = []  # so that no other array takes their identity

    def add(self, value: Any) -> int | None:
        """The number of this value's summary; None for a value that was not recorded."""
        if value is None:
            return None
        if id(value) not in self._by_array:
            self._by_array[id(value)] = self._numbered(summary(value, self.detailed))
            self._held.append(value)
        return self._by_array[id(value)]

    def _numbered(self, one: dict[str, Any]) -> int:
        """Its number: that of an equal number that is there already, or a new one."""
        key = one["text"] if one.keys() <= {"text", "full"} else ""
        if key and self._by_text.get(key) is not None and self.summaries[self._by_text[key]] == one:
            return self._by_text[key]
        self.summaries.append(one)
        if key:
            self._by_text[key] = len(self.summaries) - 1
        return len(self.summaries) - 1


def summary(value: Any, detailed: bool = True) -> dict[str, Any]:
    """What the page shows of a value, as JSON: strings, and lists of them; what it needs to draw it."""
    shown: dict[str, Any] = {"text": figure(value)}
    if isinstance(value, (dict, list, tuple)):
        return shown
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        return shown
    if array.ndim == 0:
        full = repr(array.item())
        return shown if number(float(array)) in (full, full.removesuffix(".0")) else {**shown, "full": full}
    shown |= {"shape": "×".join(map(str, array.shape)), "dtype": str(array.dtype)}
    if not array.size:
        return shown
    numbers = array.astype(np.float64)
    finite = np.isfinite(numbers)
    with np.errstate(all="ignore"):
        shown["mean"] = number(float(numbers.mean()))
        shown["short"] = _range(float(numbers.min()), float(numbers.max()))
    if not finite.all():
        shown["bad"] = int(numbers.size - finite.sum())
    rows = numbers.reshape(-1, numbers.shape[-1])
    if array.size <= MOST_WRITTEN:
        return shown | {"numbers": [[_short(x) for x in row] for row in rows.tolist()]}
    if not detailed:
        return shown
    return shown | (_heat(rows) if array.size <= MOST_DRAWN else _histogram(numbers[finite]))


def _range(low: float, high: float) -> str:
    """A range in few characters, for a box of the graph."""
    return f"{low:.3g}" if low == high else f"{low:.3g} … {high:.3g}"


def _short(value: float) -> str:
    """An element of an array."""
    return "NaN" if np.isnan(value) else f"{value + 0.0:.4g}"


def _heat(rows: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Each element as one signed byte, in parts of the largest magnitude."""
    finite = np.isfinite(rows)
    largest = float(np.abs(rows[finite]).max(initial=0.0))
    levels = np.full(rows.shape, _NOT_FINITE, np.int8)
    levels[finite] = np.rint(rows[finite] / (largest or 1.0) * _STRONGEST)
    return {"columns": rows.shape[1], "heat": base64.b64encode(levels.tobytes()).decode(), "largest": number(largest)}


def _histogram(numbers: np.ndarray[Any, Any]) -> dict[str, Any]:
    """How many elements lie in each of some equal parts of the range, in parts of the largest count."""
    if not numbers.size:
        return {}
    low, high = float(numbers.min()), float(numbers.max())
    if low == high or not np.isfinite(high - low):
        return {}
    counts = np.histogram(numbers, _BARS, (low, high))[0]
    return {"bars": np.ceil(counts / counts.max() * 100).astype(int).tolist(), "low": number(low), "high": number(high)}
