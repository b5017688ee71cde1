"""Pictures of numbers are well-formed, say in words what they show, and put everything where it belongs."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearprop.errors import ShapeError, UsageError
from clearprop.train.drawing import plots
from clearprop.train.drawing.charts import line_chart
from clearprop.train.drawing.contours import contours

AXIS = np.linspace(-1.0, 1.0, 21)


def test_a_picture_is_one_file_with_its_words_in_it() -> None:
    panels = [
        plots.lines("Curves", [1, 2, 3], {"a <b>": [1.0, 2.0, np.nan]}, words="It & rises.", x_label="epoch"),
        plots.field("Bowl", AXIS, AXIS, AXIS**2 + AXIS[:, None] ** 2, words="Lowest in the middle."),
        plots.table("Weights", np.eye(2), words="Ones and zeros.", rows=["x", "y"], columns=["x", "y"]),
    ]
    spread = plots.histograms(
        "Spread", {"a": [AXIS, AXIS * 5]}, words="Two.", columns=["1", "2"], limits=(-1.0, 1.0), figure=lambda x: "f"
    )
    root = ElementTree.fromstring(plots.picture("All kinds", [panels, [spread]]).svg)
    text = " ".join(root.itertext())
    for words in ("All kinds", "It & rises.", "Lowest in the middle.", "Ones and zeros.", "Two.", "a <b>"):
        assert words in text
    inside = {element.get("id") for element in root.iter() if element.get("id")}
    for element in root.iter():
        for name in ("aria-labelledby", "aria-describedby"):
            assert element.get(name) is None or element.get(name) in inside
    assert not re.search(r"(href|src|url)=?[\"(]", plots.picture("All kinds", [panels]).svg)  # nothing is loaded


def test_two_pictures_in_one_page_do_not_share_their_ids() -> None:
    first, second = (
        plots.picture(title, [[plots.lines("L", [1, 2], {"a": [1.0, 2.0]}, words="w", x_label="x")]])
        for title in ("one", "two")
    )
    assert not set(re.findall(r' id="([^"]+)"', first.svg)) & set(re.findall(r' id="([^"]+)"', second.svg))


def test_contours_of_a_bowl_are_circles() -> None:
    bowl = AXIS**2 + AXIS[:, None] ** 2
    map = contours(AXIS, AXIS, bowl, [0.25], str, "the bottom")
    ((_, path),) = map.lines
    left, top, side = map.frame
    points = np.array(re.findall(r"[ML]([\d.]+) ([\d.]+)", path), np.float64)
    x, y = (points[:, 0] - left) / side * 2 - 1, 1 - (points[:, 1] - top) / side * 2
    np.testing.assert_allclose(np.hypot(x, y), 0.5, atol=0.01)
    assert [band.text for band in map.bands] == ["below 0.25", "above 0.25"]
    assert map.origin == (left + side / 2, top + side / 2, "the bottom")


def test_the_second_axis_points_upwards() -> None:
    map = contours(AXIS, AXIS, np.repeat(AXIS[:, None], 21, axis=1), [0.5], str)
    ((_, path),) = map.lines
    assert {float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", path)} == {map.frame[1] + map.frame[2] / 4}


@given(st.lists(st.floats(width=32), min_size=9, max_size=9), st.none() | st.just([0.0, 1.0]))
def test_any_numbers_give_a_map(values: list[float], levels: list[float] | None) -> None:
    axis = np.array([0.0, 1.0, 2.0])
    array = np.array(values, np.float64).reshape(3, 3)
    map = contours(axis, axis, array, levels, str)
    assert all("nan" not in path and "inf" not in path for _, path in map.lines)
    assert bool(map.bands) or not np.isfinite(array).all()


def test_what_cannot_be_drawn() -> None:
    with pytest.raises(ShapeError, match=r"values of shape \(2, 2\) over 21 x and 21 y"):
        plots.field("No", AXIS, AXIS, np.zeros((2, 2)), words="")
    with pytest.raises(UsageError, match="no finite value"):
        plots.lines("No", [1, 2], {"a": [np.nan, np.inf]}, words="", x_label="x")


def test_a_chart_with_other_axes() -> None:
    x = np.array([0.5, 5.0, 50.0])
    chart = line_chart(x, {"a": x}, text=str, x_text="{:g}".format, x_logarithmic=True)
    assert chart is not None
    assert [text for _, text in chart.x_ticks] == ["1", "10"]
    places = [at for at, _, _ in chart.curves[0].dots]
    assert places[1] - places[0] == pytest.approx(places[2] - places[1], abs=0.2)
    assert chart.curves[0].dots[0][2] == "0.5: 0.5"
