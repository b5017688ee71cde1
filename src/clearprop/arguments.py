"""Checks of plain settings, the same in all rooms: numbers, whole numbers, flags, functions, paths.

What a check refuses is a `UsageError` that names the operation and the setting, shows what was given, and says what is
taken. A setting that is refused by Python itself, deep inside, would say neither.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

from clearprop.errors import ClearpropError, UsageError


def is_whole(value: Any) -> bool:
    """Whether it is a whole number, Python's or NumPy's, and not True or False."""
    return type(value) is int or (isinstance(value, Integral) and not isinstance(value, bool))


def whole(name: str, setting: str, value: Any, least: int = 1) -> int:
    """A setting that counts something.

    Raises:
        UsageError: it is no whole number, or too small.

    >>> whole("StepLR", "step_size", 2.5)
    Traceback (most recent call last):
    clearprop.errors.UsageError: StepLR: step_size=2.5
    Try: a whole number, from 1 on
    """
    if not is_whole(value) or value < least:
        raise UsageError(f"{name}: {setting}={value!r}", hint=f"a whole number, from {least} on")
    return int(value)


def number(
    name: str,
    setting: str,
    value: Any,
    least: float = -math.inf,
    most: float = math.inf,
    *,
    positive: bool = False,
    infinite: bool = False,
) -> float:
    """A setting that is a number, as a float.

    Args:
        least, most: its range.
        positive: it must be above 0.
        infinite: it may be infinite.

    Raises:
        UsageError: it is no number, NaN, or not in its range.

    >>> number("elu", "alpha", "large")
    Traceback (most recent call last):
    clearprop.errors.UsageError: elu: alpha='large'
    Try: a number
    """
    if positive:
        least = max(least, 0.0)
    if type(value) is float and least <= value <= most and math.isfinite(value) and (value or not positive):
        return value
    found = _as_float(value)
    inside = least <= found <= most and (infinite or math.isfinite(found)) and not (positive and found == 0.0)
    if not inside:
        raise UsageError(f"{name}: {setting}={value!r}", hint=f"a number{_range(least, most, positive)}")
    return found


def _as_float(value: Any) -> float:
    """The number; NaN for what is none, so that every comparison is false."""
    if isinstance(value, (bool, np.bool_, str, bytes, bytearray)):
        return math.nan
    try:
        return float(value)
    except ClearpropError:  # a tensor says better why it is no number
        raise
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _range(least: float, most: float, positive: bool) -> str:
    if positive:
        return " above 0" + ("" if most == math.inf else f", at most {most:g}")
    if least == -math.inf:
        return "" if most == math.inf else f", at most {most:g}"
    return f" from {least:g} " + ("on" if most == math.inf else f"to {most:g}")


def flag(name: str, setting: str, value: Any) -> bool:
    """A setting that is True or False. Any other value has a truth of its own, and "no" would be true.

    Raises:
        UsageError: it is neither.

    >>> flag("DataLoader", "shuffle", "no")
    Traceback (most recent call last):
    clearprop.errors.UsageError: DataLoader: shuffle='no'
    Try: True or False
    """
    if not isinstance(value, (bool, np.bool_)):
        raise UsageError(f"{name}: {setting}={value!r}", hint="True or False")
    return bool(value)


def one_of(name: str, setting: str, value: Any, *choices: str) -> str:
    """A setting that is one of some words.

    Raises:
        UsageError: it is another.

    >>> one_of("interpolate", "mode", "cubic", "nearest", "linear", "area")
    Traceback (most recent call last):
    clearprop.errors.UsageError: interpolate: mode='cubic'
    Try: 'nearest', 'linear' or 'area'
    """
    if not isinstance(value, str) or value not in choices:
        *others, last = map(repr, choices)
        raise UsageError(f"{name}: {setting}={value!r}"[:200], hint=f"{', '.join(others)} or {last}")
    return value


def function(name: str, setting: str, value: Any, hint: str) -> Callable[..., Any]:
    """A setting that will be called.

    Raises:
        UsageError: it cannot be called.
    """
    if not callable(value):
        raise UsageError(f"{name}: {setting} is {value!r}", hint=hint)
    return value


def as_path(path: Any) -> Path:
    """The path of a file or folder, given as a text or as a path.

    Raises:
        UsageError: it is neither.

    >>> as_path(None)
    Traceback (most recent call last):
    clearprop.errors.UsageError: None is no path
    Try: a text or a pathlib.Path
    """
    if not isinstance(path, (str, os.PathLike)):
        raise UsageError(f"{path!r} is no path"[:200], hint="a text or a pathlib.Path")
    return Path(path)
