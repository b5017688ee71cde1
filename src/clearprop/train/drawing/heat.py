"""Heat maps of a training run: one row for each layer, one column for each epoch. `templates/health.html` draws them.

A value is said twice, by the height of a bar and by the strength of its colour, so that it can be read without colour;
the numbers of the first and the last column stand beside each row.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH = 380
ROW, TOP, BOTTOM = 18, 18, 46
NUMBERS = 124
MOST_ROWS, MOST_COLUMNS = 40, 30
_LETTERS, _LETTER = 21, 6.7  # of a name: how many fit beside the map, and how wide one is
_SMALLEST = 0.15  # height of a bar, as a share of the highest
_WIDEST = 22  # cell
_LEGEND = 4


@dataclass(frozen=True)
class Cell:
    """One value: where its middle is, how wide and high its bar is, the strength of its colour.

    A value that is 0 has a height of 0, and is drawn as a ring; one that is not finite has one of -1, and is a cross.
    """

    x: float
    y: float
    width: float
    height: float
    strength: float
    text: str


@dataclass(frozen=True)
class HeatRow:
    """One layer: its whole name, the part that fits, the values at both ends as text."""

    name: str
    short: str
    y: float
    cells: list[Cell]
    ends: str


@dataclass(frozen=True)
class HeatMap:
    """A heat map, ready to draw; `names` is where the names of the rows end."""

    names: float
    rows: list[HeatRow]
    columns: list[tuple[float, str]]
    legend: list[Cell]
    height: float
    left_out: int


def heat_map(epochs: Sequence[int], values: Sequence[Mapping[str, float]]) -> HeatMap | None:
    """Lay out values on a logarithmic scale; None if there are none above 0.

    Args:
        epochs: of the columns; thinned if there are too many.
        values: for each epoch the value of each row, by name.

    >>> heat = heat_map([1, 2], [{"fc1": 0.5, "fc2": 0.01}, {"fc1": 1.0, "fc2": 0.0}])
    >>> [(row.name, row.ends) for row in heat.rows]
    [('fc1', '0.5 to 1'), ('fc2', '0.01 to 0')]
    """
    columns = _spread(len(epochs), MOST_COLUMNS)
    names = list(dict.fromkeys(name for row in values for name in row))
    positive = [x for row in values for x in row.values() if math.isfinite(x) and x > 0]
    if not positive:
        return None
    low, high = math.log10(min(positive)), math.log10(max(positive))
    if high - low < 1.0:
        low, high = (low + high - 1.0) / 2, (low + high + 1.0) / 2
    shown = [names[place] for place in _spread(len(names), MOST_ROWS)]
    short = shortened(shown)
    edge = max(40.0, max(map(len, short.values())) * _LETTER)
    size = min(_WIDEST, (WIDTH - edge - 8 - NUMBERS) / len(columns))
    places = [edge + 8 + (i + 0.5) * size for i in range(len(columns))]
    rows = []
    for index, name in enumerate(shown):
        y = TOP + (index + 0.5) * ROW
        cells = [
            _cell(x, y, values[column][name], size, low, high, f"{name}, epoch {epochs[column]:,}: ")
            for x, column in zip(places, columns, strict=True)
            if name in values[column]
        ]
        known = [row[name] for row in values if name in row]
        rows.append(HeatRow(name, short[name], y, cells, _ends(known)))
    bottom = TOP + len(rows) * ROW
    return HeatMap(
        round(edge, 1),
        rows,
        _column_labels([epochs[column] for column in columns], places),
        _legend(low, high, bottom),
        bottom + BOTTOM,
        len(names) - len(rows),
    )


def number(value: float) -> str:
    """A value as short as a map wants it.

    >>> number(0.012345), number(3.2e-9), number(float("nan")), number(0.0)
    ('0.012', '3.2e-9', 'NaN', '0')
    """
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "infinite"
    text = f"{value:.2g}" if abs(value) >= 0.001 or not value else f"{value:.1e}"
    return text.replace("e-0", "e-").replace("e+0", "e")


def _cell(x: float, y: float, value: float, size: float, low: float, high: float, name: str) -> Cell:
    where, text = (round(x, 1), round(y, 1), round(size * 0.9, 1)), name + number(value)
    if not math.isfinite(value):
        return Cell(*where, -1.0, 1.0, text)
    if value <= 0:
        return Cell(*where, 0.0, 1.0, text)
    level = min(1.0, max(0.0, (math.log10(value) - low) / (high - low)))
    height = (ROW - 2) * (_SMALLEST + (1 - _SMALLEST) * level)
    return Cell(*where, round(height, 1), round(0.35 + 0.65 * level, 2), text)


def _legend(low: float, high: float, bottom: float) -> list[Cell]:
    steps = [low + (high - low) * i / (_LEGEND - 1) for i in range(_LEGEND)]
    width = WIDTH / _LEGEND
    return [_cell(10 + i * width, bottom + 34, 10.0**step, ROW, low, high, "") for i, step in enumerate(steps)]


def _column_labels(epochs: Sequence[int], places: Sequence[float]) -> list[tuple[float, str]]:
    """The first and the last column, and the one in the middle if there is room."""
    shown = {0, len(epochs) - 1} | ({len(epochs) // 2} if len(epochs) >= 9 else set())
    if places[-1] - places[0] < 24:
        shown = {0}
    return [(round(places[i], 1), f"{epochs[i]:,}") for i in sorted(shown)]


def _ends(values: Sequence[float]) -> str:
    first, last = number(values[0]), number(values[-1])
    return first if first == last else f"{first} to {last}"


def shortened(names: Sequence[str]) -> dict[str, str]:
    """Names that are too long without what they have in common; what is still too long, without its middle.

    >>> list(shortened(["encoder.layers.0.attention.out", "encoder.layers.1.attention.out", "head"]).values())
    ['…0.attention.out', '…1.attention.out', 'head']
    """
    long = [name.split(".") for name in names if len(name) > _LETTERS]
    common = 0
    while long and all(len(parts) > common + 1 and parts[common] == long[0][common] for parts in long):
        common += 1
    found = {}
    for name in names:
        short = "…" + ".".join(name.split(".")[common:]) if len(name) > _LETTERS and common else name
        if len(short) > _LETTERS:
            short = f"{short[: _LETTERS // 3]}…{short[1 + _LETTERS // 3 - _LETTERS :]}"
        found[name] = short
    return found


def _spread(count: int, most: int) -> list[int]:
    """At most so many of the numbers from 0, evenly spread, with both ends."""
    if count <= most:
        return list(range(count))
    return sorted({round(i * (count - 1) / (most - 1)) for i in range(most)})
