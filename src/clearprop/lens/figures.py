"""How the lens writes values: a number in full, a small array by its elements, a large one by its shape and range."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

MOST_ELEMENTS = 4
"""Up to so many elements an array is written out."""


def number(value: float) -> str:
    """A number with at most six significant digits.

    >>> number(-4.0), number(0.26894142137), number(1e-9), number(float("nan"))
    ('-4', '0.268941', '1e-09', 'NaN')
    """
    if math.isnan(value):
        return "NaN"
    return f"{value + 0.0:.6g}"  # adding 0 turns -0 into 0


def figure(value: Any) -> str:
    """Any recorded value, in a few characters.

    >>> import numpy as np
    >>> figure(np.float64(3)), figure(np.array([1.0, 2.5])), figure(np.arange(6.0).reshape(2, 3)), figure(None)
    ('3', '[1 2.5]', '2×3: 0 … 5', '–')
    """
    if value is None:
        return "–"
    if isinstance(value, dict):
        return "; ".join(f"{key}: {figure(one)}" for key, one in value.items())
    if isinstance(value, (list, tuple)):
        return "; ".join(figure(one) for one in value)
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        return str(array.dtype)
    if array.ndim == 0:
        return number(float(array))
    if array.ndim == 1 and array.size <= MOST_ELEMENTS:
        return f"[{' '.join(number(float(x)) for x in array)}]"
    shape = "×".join(map(str, array.shape)) if array.ndim > 1 else f"{array.size} elements"
    if not array.size:
        return shape
    low, high = number(float(array.min())), number(float(array.max()))  # NaN if one is among them
    return f"{shape}: all {low}" if array.min() == array.max() else f"{shape}: {low} … {high}"
