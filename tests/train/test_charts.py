"""Charts are laid out for any numbers, and inside the paper."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearprop.train.drawing.charts import (
    BOTTOM,
    HEIGHT,
    LABEL_HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    decades,
    line_chart,
    nice_ticks,
)


@given(
    st.integers(1, 60).flatmap(lambda n: st.tuples(*[st.lists(st.floats(), min_size=n, max_size=n)] * 2)),
    st.booleans(),
    st.booleans(),
)
def test_any_numbers_give_a_chart_on_the_paper(
    curves: tuple[list[float], list[float]], from_zero: bool, logarithmic: bool
) -> None:
    x = np.arange(1.0, len(curves[0]) + 1)
    given_curves = {"a": np.array(curves[0]), "b": np.array(curves[1])}
    chart = line_chart(x, given_curves, text=repr, from_zero=from_zero, may_be_logarithmic=logarithmic, mark=1.0)
    if chart is None:
        assert not any(abs(value) < 1e300 for curve in curves for value in curve)
        return
    for curve in chart.curves:
        for at, height, _ in curve.dots:
            assert LEFT <= at <= WIDTH - RIGHT
            assert TOP <= height <= HEIGHT - BOTTOM
    assert all(LEFT <= at <= WIDTH - RIGHT for at, _ in chart.x_ticks)
    assert all(TOP <= at <= HEIGHT - BOTTOM for at, _ in chart.y_ticks)


@given(st.floats(-1e200, 1e200), st.floats(1e-200, 1e200))
def test_ticks_enclose_the_interval_and_are_few(low: float, size: float) -> None:
    high = low + size
    ticks = nice_ticks(low, high)
    assert ticks[-1] > ticks[0]
    tolerance = 1e-6 * (ticks[-1] - ticks[0])
    assert ticks[0] <= low + tolerance
    assert ticks[-1] >= high - tolerance
    assert len(ticks) <= 9


def test_whole_ticks_for_few_epochs() -> None:
    assert nice_ticks(1, 3, whole=True) == [1, 2, 3]


def test_a_curve_breaks_where_values_are_missing() -> None:
    y = np.array([1.0, 2.0, math.nan, 3.0, math.inf, 4.0])
    chart = line_chart(np.arange(1.0, 7.0), {"a": y}, text=str)
    assert chart is not None
    (curve,) = chart.curves
    assert curve.path.count("M") == 3
    assert len(curve.dots) == 4


def test_logarithmic_only_over_two_decades_of_positive_numbers() -> None:
    x = np.array([1.0, 2.0])

    def logarithmic(*values: float) -> bool:
        chart = line_chart(x, {"a": np.array(values)}, text=str, may_be_logarithmic=True)
        assert chart is not None
        return chart.logarithmic

    assert logarithmic(1.0, 0.01)
    assert not logarithmic(1.0, 0.02)
    assert not logarithmic(1.0, 0.0)
    assert not logarithmic(1.0, -100.0)
    assert decades(0.008, 1.25) == pytest.approx([0.01, 0.1, 1.0])


def test_names_of_curves_do_not_cover_each_other() -> None:
    chart = line_chart(np.array([1.0, 2.0]), {"a": np.array([0.0, 1.0]), "b": np.array([0.5, 1.0])}, text=str)
    assert chart is not None
    first, second = (curve.label_at for curve in chart.curves)
    assert abs(first - second) >= LABEL_HEIGHT
