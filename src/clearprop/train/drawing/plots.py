"""Pictures of numbers that stand alone: curves, contours, histograms and tables side by side in one SVG.

A `Panel` is laid out by a function that is named after what it shows; `picture` puts panels in rows and writes them
with `templates/picture.svg`. Colours are those of the reports, light or dark as the reader has chosen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clearprop.errors import UsageError
from clearprop.lens.drawing.saving import Svg
from clearprop.train.drawing.charts import HEIGHT, RIGHT, WIDTH, Floats, line_chart
from clearprop.train.drawing.contours import Contours, contours
from clearprop.train.drawing.heat import number
from clearprop.train.drawing.pages import render_page

Numbers = Sequence[float] | Floats

_GAP, _MARGIN = 36, 24
_HEADING = 30
_ABOVE, _BELOW, _BETWEEN = 20, 18, 8  # of histograms: their columns' labels, their figures, the space between them
_LETTER, _BOLD = 6.8, 7.8  # how wide a letter is
_CELL = 34


@dataclass(frozen=True)
class Panel:
    """One part of a picture, ready to draw.

    Args:
        kind: the macro of the template that draws it.
        title: what stands above it.
        words: what it shows, for those who do not see it.
        content: what that macro takes.
        width, height: without the title.
        x_label: the name of its horizontal axis.
    """

    kind: str
    title: str
    words: str
    content: Any
    width: float
    height: float
    x_label: str = ""


@dataclass(frozen=True)
class Placed:
    """A panel, and its upper left corner in the picture."""

    panel: Panel
    x: float
    y: float


@dataclass(frozen=True)
class Histogram:
    """One distribution: an outline, where it stands, and a figure below it."""

    path: str
    x: float
    y: float
    figure: str
    text: str


@dataclass(frozen=True)
class Entry:
    """One number of a table: the place of its middle, its width and the strength of its colour, itself as text."""

    x: float
    y: float
    width: float
    strength: float
    figure: str
    text: str


@dataclass(frozen=True)
class Rows:
    """Rows with names, of histograms or of entries; `labels` stand above the columns."""

    names: list[tuple[float, str]]
    edge: float
    labels: list[tuple[float, str]]
    items: list[Any]


def picture(title: str, rows: Sequence[Sequence[Panel]]) -> Svg:
    """Panels in rows, as one SVG that needs nothing else.

    >>> panel = lines("Loss", [1, 2, 3], {"plain": [2.0, 1.0, 0.5]}, words="It falls.", x_label="epoch")
    >>> picture("Training", [[panel]])
    <Svg "Training": .svg, .save("picture.svg")>
    """
    placed, top = [], float(_MARGIN / 2)
    for row in rows:
        left = float(_MARGIN)
        for panel in row:
            placed.append(Placed(panel, left, top))
            left += panel.width + _GAP
        top += max(panel.height for panel in row) + _HEADING + _MARGIN
    width = max(one.x + one.panel.width for one in placed) + _MARGIN
    key = hashlib.sha256(repr((title, placed)).encode()).hexdigest()[:8]  # ids of several pictures in one page differ
    svg = render_page(
        "picture.svg", title=title, placed=placed, width=width, height=top, key=f"cp-{key}", heading=_HEADING
    )
    return Svg(f"{svg.strip()}\n", title)


def lines(
    title: str,
    x: Numbers,
    curves: Mapping[str, Numbers],
    *,
    words: str,
    x_label: str,
    text: Callable[[float], str] = number,
    from_zero: bool = False,
    may_be_logarithmic: bool = False,
    x_text: Callable[[float], str] | None = None,
    x_logarithmic: bool = False,
) -> Panel:
    """Curves over a common x, by name; the other arguments are those of `charts.line_chart`.

    Raises:
        UsageError: not one of the values is finite.

    >>> lines("Loss", [1, 2, 3], {"plain": [2.0, 1.0, 0.5]}, words="It falls.", x_label="epoch").width
    380
    """
    chart = line_chart(
        np.asarray(x, np.float64),
        {name: np.asarray(y, np.float64) for name, y in curves.items()},
        text=text,
        from_zero=from_zero,
        may_be_logarithmic=may_be_logarithmic,
        x_text=x_text,
        x_logarithmic=x_logarithmic,
    )
    if chart is None:
        raise UsageError(f"lines: there is no finite value to draw of {title!r}", hint="a curve with finite values")
    names = WIDTH - RIGHT + 9 + max(map(len, curves)) * _BOLD
    return Panel("lines", title, words, chart, max(WIDTH, names), HEIGHT, x_label)


def field(
    title: str,
    x: Numbers,
    y: Numbers,
    values: Floats,
    *,
    words: str,
    levels: Sequence[float] | None = None,
    text: Callable[[float], str] = number,
    origin: str = "",
) -> Panel:
    """Values over a plane, as contours between bands of colour.

    Args:
        values: of shape (len(y), len(x)); at a place that is not finite there is no colour.
        levels: of the contours; by default round numbers.
        origin: what is at (0, 0), to be marked with a cross.

    >>> x = np.linspace(-1, 1, 5)
    >>> panel = field("Bowl", x, x, x**2 + x[:, None] ** 2, words="Lowest in the middle.", levels=[0.5, 1.0])
    >>> [label for label, _ in panel.content.legend]
    ['below 0.5', '0.5 to 1', 'above 1']
    """
    content: Contours = contours(np.asarray(x, np.float64), np.asarray(y, np.float64), values, levels, text, origin)
    return Panel("field", title, words, content, content.width, content.height)


def histograms(
    title: str,
    rows: Mapping[str, Sequence[Floats]],
    *,
    words: str,
    columns: Sequence[str],
    limits: tuple[float, float],
    figure: Callable[[Floats], str],
    bins: int = 40,
    width: float = 62,
    height: float = 34,
) -> Panel:
    """Small histograms, one for each column of each row, all over the same interval, each as high as its row.

    Args:
        rows: by name, as many arrays of values as there are columns.
        limits: the interval; what lies outside is counted at its ends.
        figure: what to write below a histogram.
        width, height: of a histogram.

    >>> panel = histograms(
    ...     "Activations", {"tanh": [np.zeros(5)]}, words="All 0.", columns=["1"], limits=(-1, 1), figure=lambda x: "0"
    ... )
    >>> panel.content.names, panel.content.items[0].figure
    ([(43.0, 'tanh')], '0')
    """
    edge = _edge(rows)
    places = [round(edge + _BETWEEN + i * (width + _BETWEEN), 1) for i in range(len(columns))]
    bases = [_ABOVE + height + i * (height + _BELOW) for i in range(len(rows))]
    items = []
    for base, (name, arrays) in zip(bases, rows.items(), strict=True):
        for x, column, values in zip(places, columns, arrays, strict=True):
            counts, _ = np.histogram(np.clip(values, *limits), bins, limits)
            said = figure(values)
            items.append(Histogram(_outline(counts, width, height), x, base, said, f"{name}, {column}: {said}"))
    names = [(base - height / 2 + 6, name) for base, name in zip(bases, rows, strict=True)]
    labels = [(round(x + width / 2, 1), column) for x, column in zip(places, columns, strict=True)]
    content = Rows(names, edge, labels, items)
    return Panel("histograms", title, words, content, places[-1] + width, bases[-1] + _BELOW)


def table(
    title: str,
    values: Floats,
    *,
    words: str,
    rows: Sequence[str],
    columns: Sequence[str],
    text: Callable[[float], str] = number,
    most: float | None = None,
    cell: float = _CELL,
) -> Panel:
    """Numbers in rows and columns, the larger the stronger their colour.

    Args:
        values: of shape (len(rows), len(columns)), at least 0.
        most: the number that has the full colour; by default the largest.

    >>> panel = table("Weights", np.eye(2), words="Each takes its own.", rows="ab", columns="ab", text="{:.0f}".format)
    >>> [entry.figure for entry in panel.content.items]
    ['1', '0', '0', '1']
    """
    edge = _edge(rows)
    top = most or float(values.max()) or 1.0
    items = []
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            value = float(values[i, j])
            x, y = edge + 8 + (j + 0.5) * cell, _ABOVE + (i + 0.5) * _CELL
            strength = round(0.75 * min(max(value / top, 0.0), 1.0), 3)
            items.append(Entry(round(x, 1), y, cell - 2, strength, text(value), f"{row}, {column}: {text(value)}"))
    names = [(_ABOVE + (i + 0.5) * _CELL + 4, name) for i, name in enumerate(rows)]
    labels = [(round(edge + 8 + (j + 0.5) * cell, 1), column) for j, column in enumerate(columns)]
    content = Rows(names, edge, labels, items)
    return Panel("table", title, words, content, edge + 8 + len(columns) * cell, _ABOVE + len(rows) * _CELL)


def _edge(names: Sequence[str] | Mapping[str, Any]) -> float:
    """Where names that end there have room."""
    return round(max(16.0, max(map(len, names)) * _LETTER), 1)


def _outline(counts: np.ndarray[Any, Any], width: float, height: float) -> str:
    """A histogram as an area that begins and ends at its base line."""
    highest, step = float(counts.max()) or 1.0, width / len(counts)
    heights = [round(height * float(count) / highest, 1) for count in counts]
    steps = "".join(f"V{-one:g}H{(i + 1) * step:.4g}" for i, one in enumerate(heights))
    return f"M0 0{steps}V0z"
