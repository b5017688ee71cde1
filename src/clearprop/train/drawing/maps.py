"""More panels for `plots.picture`: an array as shades, what its colours say, a text whose words are marked."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from clearprop.errors import ShapeError, UsageError
from clearprop.files.png import png
from clearprop.train.drawing.charts import Floats
from clearprop.train.drawing.plots import Panel

_LETTER = 7.3  # of the typeface whose letters have one width, at 12 pixels
_TITLE = 8.0  # how wide a letter of a title is, at most
_LINE = 22
_BESIDE, _BELOW, _ABOVE = 8, 20, 4
_AFTER_COLOUR = 20
_STRONGEST = 0.6  # of the colour behind a word, which is to be read


@dataclass(frozen=True)
class Shades:
    """An array as a picture: its pixels as PNG in base64, its place, names beside rows and columns, a line below.

    Attributes:
        above, below: what is more than 0, and what is less; empty if nothing is.
    """

    above: str
    below: str
    box: tuple[float, float, float, float]
    rows: list[tuple[float, str]]
    columns: list[tuple[float, str]]
    caption: str


@dataclass(frozen=True)
class Word:
    """A word of a text: its left end and its base line, how wide it is, the strength of its colour, what it counts."""

    x: float
    y: float
    width: float
    strength: float
    word: str
    text: str


def shades(
    title: str,
    values: Floats,
    *,
    words: str,
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    cell: tuple[float, float] = (8, 8),
    most: float | None = None,
    caption: str = "",
) -> Panel:
    """An array: the farther from 0, the stronger the colour; numbers below 0 have another one.

    Args:
        values: (rows, columns).
        rows, columns: names, one for each row and column; or none.
        cell: width and height of a number's place.
        most: the number that has the full colour; by default the one farthest from 0.
        caption: a line below.

    Raises:
        ShapeError: values of another shape, or another number of names.

    >>> panel = shades("Attention", np.eye(3), words="Each looks at itself.", rows="abc", columns="abc", cell=(20, 20))
    >>> panel.content.box, panel.content.rows[0]
    ((15.3, 4, 60, 60), (18.0, 'a'))
    """
    fits = values.ndim == 2 and values.size and len(rows) in (0, len(values)) and len(columns) in (0, values.shape[1])
    if not fits:
        raise ShapeError(
            f"shades: values of shape {values.shape}, {len(rows)} names of rows and {len(columns)} of columns",
            hint="(rows, columns), and as many names of each, or none",
        )
    top = most or float(np.abs(values).max()) or 1.0
    edge = round(max(map(len, rows)) * _LETTER + _BESIDE, 1) if rows else 0.0
    width, height = values.shape[1] * cell[0], len(values) * cell[1]
    content = Shades(
        _pixels(values / top),
        _pixels(-values / top) if values.min() < 0 else "",
        (edge, _ABOVE, width, height),
        [(_ABOVE + (i + 0.5) * cell[1] + 4, name) for i, name in enumerate(rows)],
        [(edge + (j + 0.5) * cell[0], name) for j, name in enumerate(columns)],
        caption,
    )
    room = max(edge + width, len(title) * _TITLE)
    return Panel("shades", title, words, content, room, _ABOVE + height + (_BELOW if columns or caption else 0))


def _pixels(strengths: Floats) -> str:
    """A picture whose brightness is the strength, from 0 to 1."""
    return base64.b64encode(png(np.rint(255 * np.clip(strengths, 0.0, 1.0)).astype(np.uint8))).decode()


def colours(title: str, above: str, below: str) -> Panel:
    """What the two colours of `shades` stand for, numbers above 0 and below.

    >>> colours("Weights", "for it", "against it").words
    'Two colours: for it; against it.'
    """
    room = max(_AFTER_COLOUR + max(len(above), len(below)) * _LETTER, len(title) * _TITLE)
    return Panel("colours", title, f"Two colours: {above}; {below}.", (above, below), room, 2 * _LINE)


def reading(
    title: str, text: Sequence[str], weights: Floats, *, words: str, width: float = 640, most: float | None = None
) -> Panel:
    """A text, each word before a colour that is the stronger the more it counts.

    Args:
        text: its words, in order.
        weights: one for each, at least 0.
        width: of a line.
        most: the weight that has the full colour; by default the largest.

    Raises:
        UsageError: no words, or another number of weights.

    >>> panel = reading("Cue", ["my", "love", "is", "gone"], np.array([0.0, 0.9, 0.1, 0.0]), words="love counts.")
    >>> [(word.word, word.strength) for word in panel.content]
    [('my', 0.0), ('love', 0.6), ('is', 0.067), ('gone', 0.0)]
    """
    if not text or len(text) != len(weights):
        raise UsageError(f"reading: {len(text)} words and {len(weights)} weights", hint="a weight for each word")
    placed = list(_placed(text, weights.tolist(), width, most or float(weights.max()) or 1.0))
    return Panel("reading", title, words, placed, width, placed[-1].y + _LINE - 15)


def _placed(text: Sequence[str], weights: Sequence[float], width: float, most: float) -> Iterator[Word]:
    """The words in lines."""
    x, y = 0.0, 15.0
    for word, weight in zip(text, weights, strict=True):
        size = round(len(word) * _LETTER, 1)
        if x and x + size > width:
            x, y = 0.0, y + _LINE
        strength = round(_STRONGEST * min(max(weight / most, 0.0), 1.0), 3)
        yield Word(round(x, 1), y, size, strength, word, f"{word}: {weight:.3f}")
        x += size + _LETTER
