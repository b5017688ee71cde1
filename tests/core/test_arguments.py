"""Plain settings: what is taken for a number, and what is said of the rest."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import arguments
from clearprop.errors import UsageError


@pytest.mark.parametrize("value", [0, 1.5, np.float32(1.5), np.int64(2), np.array(0.5), cp.tensor(0.5)])
def test_what_is_a_number(value: Any) -> None:
    assert arguments.number("f", "x", value, 0.0, 2.0) == float(value)


@pytest.mark.parametrize("value", ["1.0", b"1", None, True, np.True_, [1.0], [], {}, object(), math.nan, 1j, -0.1, 2.1])
def test_what_is_none(value: Any) -> None:
    with pytest.raises(UsageError, match=r"f: x=[\s\S]*Try: a number from 0 to 2"):
        arguments.number("f", "x", value, 0.0, 2.0)


def test_infinity_is_a_number_where_that_is_said() -> None:
    assert arguments.number("f", "x", math.inf, infinite=True) == math.inf
    with pytest.raises(UsageError, match="x=inf"):
        arguments.number("f", "x", math.inf)
    with pytest.raises(UsageError, match="x=inf"):
        arguments.number("f", "x", math.inf, positive=True)


@pytest.mark.parametrize("value", [0, 0.0, -1.0, math.nan])
def test_a_number_that_must_be_positive(value: float) -> None:
    with pytest.raises(UsageError, match="Try: a number above 0"):
        arguments.number("f", "x", value, positive=True)


@pytest.mark.parametrize("value", [0, -1, 1.0, "1", None, True, [1], np.float64(1.0), cp.tensor(1)])
def test_what_is_no_whole_number_from_1_on(value: Any) -> None:
    with pytest.raises(UsageError, match="Try: a whole number, from 1 on"):
        arguments.whole("f", "n", value)


def test_whole_numbers_of_numpy() -> None:
    assert arguments.whole("f", "n", np.uint8(3)) == 3
    assert type(arguments.whole("f", "n", np.uint8(3))) is int


@pytest.mark.parametrize("value", ["no", 0, 1, None, []])
def test_what_is_no_flag(value: Any) -> None:
    with pytest.raises(UsageError, match="Try: True or False"):
        arguments.flag("f", "on", value)


@pytest.mark.parametrize("value", [None, 3, b"file", ["a"]])
def test_what_is_no_path(value: Any) -> None:
    with pytest.raises(UsageError, match="is no path"):
        arguments.as_path(value)
    assert arguments.as_path("a/b") == arguments.as_path(Path("a/b"))
