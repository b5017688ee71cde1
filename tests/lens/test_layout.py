"""Columns are flush, whatever the characters; lines are cut at spaces, and at nothing else if they can."""

from __future__ import annotations

import numpy as np
import pytest

from clearprop.lens.figures import figure, number
from clearprop.lens.layout import NO_BREAK, Span, cells, in_columns, length, plain_text, wrapped


def test_columns_are_flush_and_empty_ones_left_out() -> None:
    rows = [[Span(text) for text in row] for row in (["a", "none", "b"], ["重み", "", "1"], ["z\u0304", "", "-10"])]
    assert plain_text(in_columns(rows, "<<>")).splitlines() == ["  a        b", "  重み     1", "  z\u0304      -10"]


def test_wrapping() -> None:
    line = [Span("aaa bbb", "bold"), Span(f" c{NO_BREAK}c"), Span(" " + "d" * 12)]
    lines = wrapped(line, 10, hang=2)
    assert all(length(one) <= 10 for one in lines)
    assert "c c" in plain_text(lines)
    assert plain_text(lines).replace("\n", "").replace(" ", "") == "aaabbbccdddddddddddd"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.float32(0.1), "0.1"),
        (np.array(-0.0), "0"),
        (np.array([True, False]), "[1 0]"),
        (np.arange(5), "5 elements: 0 … 4"),
        (np.ones((2, 3)), "2×3: all 1"),
        (np.zeros((0, 3)), "0×3"),
        (np.array([[1.0, np.nan]]), "1×2: NaN … NaN"),
        ([np.array(1.0), np.array(2.0)], "1; 2"),
        ({1: np.array(2.0)}, "1: 2"),
        (None, "–"),
    ],
)
def test_figures(value: object, text: str) -> None:
    assert figure(value) == text


def test_numbers() -> None:
    assert [number(x) for x in (float("inf"), 1e20, 123456.7, 1 / 3)] == ["inf", "1e+20", "123457", "0.333333"]
    assert cells("∂f/∂x → 重み") == 12
