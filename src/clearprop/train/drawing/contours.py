"""Contour maps: where the bands of colour and the lines between them go on the paper. `picture.svg` draws them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from clearprop.errors import ShapeError
from clearprop.train.drawing.charts import Floats, Scale, Tick, nice_ticks

_SIDE, _LEFT, _TOP, _BOTTOM = 280, 40, 6, 24
_FINE = 140  # squares a side, of which bands are made: of two pixels, so that there are no seams
_LEGEND = 112
_PALE, _STRONG = 0.04, 0.72


@dataclass(frozen=True)
class Band:
    """All places whose values lie between two levels: an area, the strength of its colour, the values as text."""

    path: str
    strength: float
    text: str


@dataclass(frozen=True)
class Contours:
    """A contour map, ready to draw; `origin` is where both axes are 0, and what is there."""

    bands: list[Band]
    lines: list[tuple[str, str]]  # a level as text, its path
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    legend: list[tuple[str, float]]
    origin: tuple[float, float, str] | None
    width: float = _LEFT + _SIDE + 16 + _LEGEND
    height: float = _TOP + _SIDE + _BOTTOM
    frame: tuple[float, float, float] = (_LEFT, _TOP, _SIDE)


def contours(
    x: Floats,
    y: Floats,
    values: Floats,
    levels: Sequence[float] | None,
    text: Callable[[float], str],
    origin: str = "",
) -> Contours:
    """Lay out values over a plane.

    Args:
        x, y: increasing.
        values: of shape (len(y), len(x)).
        levels: increasing; by default round numbers between the lowest and the highest value.
        text: writes a value.
        origin: what is at (0, 0), to be marked with a cross.

    Raises:
        ShapeError: values of another shape, or fewer than two of x or y.

    >>> axis = np.linspace(-1, 1, 3)
    >>> map = contours(axis, axis, axis + 0 * axis[:, None], [0.5], str)  # a slope: one line from top to bottom
    >>> map.lines
    [('0.5', 'M250 286L250 146M250 146L250 6')]
    """
    if values.shape != (len(y), len(x)) or min(values.shape) < 2:
        raise ShapeError(
            f"contours: values of shape {values.shape} over {len(x)} x and {len(y)} y", hint="(len(y), len(x))"
        )
    finite = values[np.isfinite(values)]
    if levels is None:
        levels = nice_ticks(float(finite.min()), float(finite.max()))[1:-1] if finite.size else []
    to_x, to_y = _scale(x, _LEFT, _LEFT + _SIDE), _scale(y, _TOP + _SIDE, _TOP)
    names = _names(levels, text)
    strengths = np.linspace(_PALE, _STRONG, len(names)).round(3).tolist()
    paths = _bands(x, y, values, levels)
    has_origin = origin and x[0] <= 0 <= x[-1] and y[0] <= 0 <= y[-1]
    return Contours(
        [Band(*one) for one in zip(paths, strengths, names, strict=True) if one[0]],
        [(text(level), path) for level in levels if (path := _line(x, y, values, level, to_x, to_y))],
        [(to_x(tick), f"{tick:g}") for tick in nice_ticks(x[0], x[-1]) if x[0] <= tick <= x[-1]],
        [(to_y(tick), f"{tick:g}") for tick in nice_ticks(y[0], y[-1]) if y[0] <= tick <= y[-1]],
        list(zip(names, strengths, strict=True)),
        (to_x(0.0), to_y(0.0), origin) if has_origin else None,
    )


def _names(levels: Sequence[float], text: Callable[[float], str]) -> list[str]:
    if not levels:
        return ["everywhere"]
    between = [f"{text(low)} to {text(high)}" for low, high in pairwise(levels)]
    return [f"below {text(levels[0])}", *between, f"above {text(levels[-1])}"]


def _scale(axis: Floats, start: float, end: float) -> Scale:
    low, size = float(axis[0]), float(axis[-1] - axis[0])
    return lambda value: round(start + (value - low) / size * (end - start), 1)


def _bands(x: Floats, y: Floats, values: Floats, levels: Sequence[float]) -> list[str]:
    """For each band an area of small squares, those side by side in a row as one."""
    middles = (np.arange(_FINE) + 0.5) / _FINE
    rows = _interpolated(values, y, y[0] + middles * (y[-1] - y[0]))
    fine = _interpolated(rows.T, x, x[0] + middles * (x[-1] - x[0])).T[::-1]  # [from the top, from the left]
    places = np.where(np.isfinite(fine), np.searchsorted(levels, fine), -1)
    size = _SIDE // _FINE
    paths = [""] * (len(levels) + 1)
    for row, bands in enumerate(places):
        starts = np.flatnonzero(np.diff(bands, prepend=-2))
        for start, end in zip(starts.tolist(), [*starts[1:].tolist(), _FINE], strict=True):
            if bands[start] >= 0:
                left, top = _LEFT + start * size, _TOP + row * size
                paths[bands[start]] += f"M{left} {top}h{(end - start) * size}v{size}H{left}z"
    return paths


def _interpolated(values: Floats, axis: Floats, at: Floats) -> Floats:
    """Rows between rows: linear in the first axis."""
    right = np.clip(np.searchsorted(axis, at), 1, len(axis) - 1)
    share = ((at - axis[right - 1]) / (axis[right] - axis[right - 1]))[:, None]
    with np.errstate(invalid="ignore"):  # infinity - infinity is nowhere
        between: Floats = values[right - 1] * (1 - share) + values[right] * share
    return between


def _line(x: Floats, y: Floats, values: Floats, level: float, to_x: Scale, to_y: Scale) -> str:
    """One level in all squares of four values (marching squares: Lorensen and Cline 1987, in the plane)."""
    pieces = []
    for i in range(len(y) - 1):
        for j in range(len(x) - 1):
            corners = [
                (float(x[b]), float(y[a]), float(values[a, b]))
                for a, b in ((i, j), (i, j + 1), (i + 1, j + 1), (i + 1, j))
            ]
            crossings = list(_crossings(corners, level))
            for (ax, ay), (bx, by) in zip(crossings[::2], crossings[1::2], strict=True):
                pieces.append(f"M{to_x(ax):g} {to_y(ay):g}L{to_x(bx):g} {to_y(by):g}")
    return "".join(pieces)


def _crossings(corners: Sequence[tuple[float, float, float]], level: float) -> Iterator[tuple[float, float]]:
    """Where the border of a square crosses the level: nowhere, or at two or four places, in order."""
    if not all(np.isfinite(value) for _, _, value in corners):
        return
    for (ax, ay, a), (bx, by, b) in zip(corners, [*corners[1:], corners[0]], strict=True):
        if (a < level) != (b < level):
            share = (level - a) / (b - a)
            yield ax + share * (bx - ax), ay + share * (by - ay)
