"""Panels of shades and of texts: what they say, and that they end up in a picture."""

from __future__ import annotations

import base64
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from clearprop.errors import ShapeError, UsageError
from clearprop.train.drawing import maps, plots

SVG = "{http://www.w3.org/2000/svg}"


def test_shades_and_words_are_drawn_with_their_names() -> None:
    values = np.array([[0.0, 1.0, 0.5], [0.25, 0.0, 2.0]])
    one = maps.shades("Map", values, words="A map.", rows=["up", "down"], columns="abc", cell=(20, 10), most=1.0)
    two = maps.reading("Text", ["what", "<is>", "love"], np.array([0.1, 0.0, 0.8]), words="Love counts.")
    root = ET.fromstring(plots.picture("Both", [[one], [two]]).svg)
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert [text for text in texts if text in ("up", "down", "a", "b", "c")] == ["up", "down", "a", "b", "c"]
    assert "<is>" in texts
    marks = [float(mark.get("opacity", "")) for mark in root.iter(f"{SVG}rect") if mark.get("class") == "mark"]
    assert marks == [pytest.approx(0.075), pytest.approx(0.6)]  # none behind a word that does not count
    (image,) = root.iter(f"{SVG}image")
    assert base64.b64decode(image.get("href", "").partition(",")[2])[:4] == b"\x89PNG"
    assert (image.get("width"), image.get("height")) == ("60", "20")
    said = [element.text for element in root.iter(f"{SVG}desc")]
    assert said == ["A map.", "Love counts."]


def test_numbers_below_0_have_a_colour_of_their_own() -> None:
    one = maps.shades("Template", np.array([[0.5, -1.0]]), words="Two weights.", caption="-1 to 0.5")
    root = ET.fromstring(plots.picture("Weights", [[maps.colours("Weights", "for", "against")], [one]]).svg)
    masked = [rect.get("class") for rect in root.iter(f"{SVG}rect") if rect.get("mask")]
    assert masked == ["area", "mark"]
    assert len({mask.get("id") for mask in root.iter(f"{SVG}mask")}) == 2
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert texts == ["Weights", "for", "against", "Template", "-1 to 0.5"]


def test_a_text_is_broken_into_lines() -> None:
    panel = maps.reading("Text", ["word"] * 30, np.ones(30), words="All alike.", width=200)
    assert max(word.x + word.width for word in panel.content) <= 200
    assert len({word.y for word in panel.content}) > 3
    assert panel.height >= panel.content[-1].y


def test_what_does_not_fit_is_an_error() -> None:
    with pytest.raises(ShapeError, match=r"values of shape \(2, 3\), 1 names of rows and 3 of columns"):
        maps.shades("Map", np.ones((2, 3)), words="", rows=["one"], columns="abc")
    with pytest.raises(ShapeError, match=r"values of shape \(0, 3\)"):
        maps.shades("Map", np.ones((0, 3)), words="")
    with pytest.raises(UsageError, match="3 words and 2 weights"):
        maps.reading("Text", ["a", "b", "c"], np.ones(2), words="")
