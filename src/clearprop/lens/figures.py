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


def percent(part: float) -> str:
    """A share in percent; small ones with more digits.

    >>> percent(0.8712), percent(0.0123), percent(-0.5), percent(float("nan"))
    ('87 %', '1.2 %', '-50 %', '–')
    """
    if not math.isfinite(part):
        return "–"
    digits = 0 if abs(part) >= 0.0995 or part == 0.0 else 1
    return f"{100 * part:.{digits}f} %" if abs(part) >= 0.0005 or part == 0.0 else f"{100 * part:.0e} %"


def count(number: int) -> str:
    """How many; a number that is too long to be read in powers of ten.

    >>> count(1234567), count(2**400)
    ('1,234,567', '2.6e+120')
    """
    if number < 10**15:
        return f"{number:,}"
    exponent = math.log10(number)  # of an integer of any length
    return f"{10 ** (exponent % 1):.1f}e+{int(exponent)}"


def json_count(number: int) -> int | str:
    """How many for JSON: an integer, as long as all readers of JSON take it for one; else as `count` says it.

    >>> json_count(12), json_count(2**400)
    (12, '2.6e+120')
    """
    return number if number < 2**53 else count(number)


def json_number(value: Any) -> float | str:
    """A number for JSON, which lacks NaN and infinity: these become strings.

    >>> json_number(1), json_number(float("-inf"))
    (1.0, '-Infinity')
    """
    x = float(value)
    if math.isnan(x):
        return "NaN"
    return x if math.isfinite(x) else "Infinity" if x > 0 else "-Infinity"


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


def nbytes(count: int) -> str:
    """A number of bytes, in a few characters.

    >>> nbytes(12), nbytes(1500), nbytes(2_340_000_000)
    ('12 B', '1.5 kB', '2.34 GB')
    """
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:,.3g} {unit}" if count < 1000 * size else f"{count / size:,.0f} {unit}"
    return f"{count} B"
