"""Line charts of a training run: where everything goes on the paper. `templates/chart.html` draws it as SVG.

Of the plotting libraries, matplotlib and plotly weigh 10 MB each, and pygal cannot be made good here: its logarithmic
scale bends both axes, its labels overlap, it has no text alternative, and it adds 28 kB of style to each chart. What a
chart of two curves needs is little: nice ticks, paths that break where a value is missing, labels that do not collide.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

WIDTH, HEIGHT = 380, 250
LEFT, RIGHT, TOP, BOTTOM = 48, 80, 22, 38  # margins: tick labels, names of the curves, the best epoch, the axis
LABEL_HEIGHT, LABEL_WIDTH = 15, 40
DOTS_UP_TO = 40  # points; more of them would hide the curve
LARGEST = 1e300  # what is beyond counts as infinite: the layout needs room to calculate

Floats = npt.NDArray[np.float64]
Scale = Callable[[float], float]
Tick = tuple[float, str]  # a position on an axis, and what stands there


@dataclass(frozen=True)
class Curve:
    """One curve, ready to draw: an SVG path, its points with their values as text, its name at its end.

    Its style is its place among the curves that were given: of each style, colour, dashes and points differ.
    """

    name: str
    style: int
    path: str
    dots: list[tuple[float, float, str]]
    ends_at: float
    label_at: float


@dataclass(frozen=True)
class Chart:
    """A chart, ready to draw."""

    curves: list[Curve]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    marked: float | None  # the position of the epoch to mark
    logarithmic: bool


def line_chart(
    x: Floats,
    curves: dict[str, Floats],
    *,
    text: Callable[[float], str],
    from_zero: bool = False,
    may_be_logarithmic: bool = False,
    mark: float | None = None,
    x_text: Callable[[float], str] | None = None,
    x_logarithmic: bool = False,
) -> Chart | None:
    """Lay out curves over a common x; None if not one of their values is finite.

    Args:
        x: increasing numbers; whole ones, such as epochs, unless `x_text` is given.
        curves: by name, as long as x; a curve breaks where it is not finite, and one that is nowhere is left out.
        text: writes a value, for ticks and points.
        from_zero: let the y axis begin at 0, if it is linear.
        may_be_logarithmic: use a logarithmic y axis if the values are positive and span two decades.
        mark: an x to mark with a line.
        x_text: writes an x that need not be a whole number.
        x_logarithmic: use a logarithmic x axis; all x are positive.

    >>> loss = np.array([2.0, 0.5, np.nan, 0.25])
    >>> chart = line_chart(np.arange(1.0, 5.0), {"train": loss}, text=str, from_zero=True)
    >>> [text for _, text in chart.y_ticks], chart.curves[0].path.count("M")
    (['0.0', '0.5', '1.0', '1.5', '2.0'], 2)
    """
    curves = {name: np.where(np.abs(y) < LARGEST, y, np.nan) for name, y in curves.items()}
    values = np.concatenate([curve[np.isfinite(curve)] for curve in curves.values()])
    if not values.size:
        return None
    low, high = float(values.min()), float(values.max())
    logarithmic = may_be_logarithmic and low > 0 and high / low >= 100
    if logarithmic:
        low, high = low / 1.25, high * 1.25
        y_ticks = decades(low, high)
    else:
        y_ticks = nice_ticks(min(low, 0.0) if from_zero else low, high)
        low, high = y_ticks[0], y_ticks[-1]
    y_scale = _scale(low, high, HEIGHT - BOTTOM, TOP, logarithmic)
    first, last = (float(x[0]), float(x[-1])) if len(x) > 1 else (x[0] - 0.5, x[0] + 0.5)
    x_scale = _scale(first, last, LEFT, WIDTH - RIGHT, x_logarithmic)
    ticks = decades(first, last) if x_logarithmic else nice_ticks(float(x[0]), float(x[-1]), whole=x_text is None)
    write_x = x_text or _whole
    drawn = [
        _curve(name, style, x, y, x_scale, y_scale, lambda at, value: f"{write_x(at)}: {text(value)}")
        for style, (name, y) in enumerate(curves.items())
        if np.isfinite(y).any()
    ]
    return Chart(
        _with_labels_apart(drawn),
        [(x_scale(tick), write_x(tick)) for tick in ticks if first <= tick <= last],
        [(y_scale(tick), text(tick)) for tick in y_ticks],
        None if mark is None else x_scale(mark),
        logarithmic,
    )


def nice_ticks(low: float, high: float, whole: bool = False) -> list[float]:
    """A few round numbers that enclose the interval, whole ones if asked for.

    >>> nice_ticks(0.0, 2.3), nice_ticks(1.0, 20.0, whole=True), nice_ticks(5.0, 5.0)
    ([0.0, 0.5, 1.0, 1.5, 2.0, 2.5], [0.0, 5.0, 10.0, 15.0, 20.0], [4.6, 4.8, 5.0, 5.2, 5.4])
    """
    if high - low <= 1e-9 * max(abs(low), abs(high)):  # one value, up to round-off
        low, high = low - (abs(low) / 20 or 0.5), high + (abs(high) / 20 or 0.5)
    step = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(step))
    step = next(size for size in (1, 2, 2.5, 5, 10) if size * power >= step * 0.85) * power
    step = max(1.0, float(round(step))) if whole else step
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{index * step:.12g}") for index in range(first, last + 1)]


def decades(low: float, high: float) -> list[float]:
    """Powers of ten inside the interval; every second, third, … one where there are many.

    >>> decades(0.02, 3.0), decades(1e-12, 2.0)
    ([0.1, 1.0], [1e-12, 1e-10, 1e-08, 1e-06, 0.0001, 0.01, 1.0])
    """
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    return [10.0**power for power in range(first, last + 1, math.ceil((last - first) / 6) or 1)]


def _scale(low: float, high: float, start: float, end: float, logarithmic: bool = False) -> Scale:
    if logarithmic:
        linear = _scale(math.log(low), math.log(high), start, end)
        return lambda value: linear(math.log(value))
    return lambda value: round(start + (value - low) / (high - low) * (end - start), 1)


def _whole(x: float) -> str:
    return f"{x:,.0f}"


def _curve(
    name: str, style: int, x: Floats, y: Floats, x_scale: Scale, y_scale: Scale, text: Callable[[float, float], str]
) -> Curve:
    path, dots, pen = [], [], "M"
    for at, value in zip(x.tolist(), y.tolist(), strict=True):
        if not math.isfinite(value):
            pen = "M"
            continue
        dots.append((x_scale(at), y_scale(value), text(at, value)))
        path.append(f"{pen}{dots[-1][0]:g} {dots[-1][1]:g}")
        pen = "L"
    # A point between two missing ones has no line: it is seen only as a dot.
    shown = dots if len(dots) <= DOTS_UP_TO else dots[-1:]
    return Curve(name, style, "".join(path), shown, ends_at=dots[-1][0], label_at=dots[-1][1])


def _with_labels_apart(curves: Sequence[Curve]) -> list[Curve]:
    """The curves with the labels of those that end side by side pushed apart."""
    heights: dict[int, float] = {}
    columns: list[list[int]] = []
    for index in sorted(range(len(curves)), key=lambda index: curves[index].ends_at):
        if columns and curves[index].ends_at - curves[columns[-1][0]].ends_at < LABEL_WIDTH:
            columns[-1].append(index)
        else:
            columns.append([index])
    for column in columns:
        heights |= dict(zip(column, on_paper(apart([curves[index].label_at for index in column])), strict=True))
    return [replace(curve, label_at=heights[index]) for index, curve in enumerate(curves)]


def apart(heights: Sequence[float]) -> list[float]:
    """Heights of labels, moved as little as it takes for none to cover another.

    Labels that touch become a block, whose middle is the mean of where its labels belong; blocks that touch become one.

    >>> apart([100.0, 100.0, 102.0, 200.0])
    [85.7, 100.7, 115.7, 200.0]
    """
    order = sorted(range(len(heights)), key=heights.__getitem__)
    blocks: list[list[int]] = []
    for index in order:
        blocks.append([index])
        while len(blocks) > 1 and _top(blocks[-1], heights) < _bottom(blocks[-2], heights):
            last = blocks.pop()
            blocks[-1] += last
    placed = {
        index: _top(block, heights) + LABEL_HEIGHT * (place + 0.5)
        for block in blocks
        for place, index in enumerate(block)
    }
    return [round(placed[index], 1) for index in range(len(heights))]


def on_paper(heights: Sequence[float]) -> list[float]:
    """Heights of labels that lie apart, moved to where the curves are; closer together if they are too many for that.

    >>> on_paper([10.0, 25.0, 60.0])
    [22.0, 37.0, 60.0]
    """
    order = sorted(range(len(heights)), key=heights.__getitem__)
    step = min(float(LABEL_HEIGHT), (HEIGHT - BOTTOM - TOP) / max(len(heights) - 1, 1))
    placed = list(heights)
    for place, index in enumerate(order):
        placed[index] = max(placed[index], TOP + step * place)
    for place, index in enumerate(reversed(order)):
        placed[index] = round(min(placed[index], HEIGHT - BOTTOM - step * place), 1)
    return placed


def _bottom(block: Sequence[int], heights: Sequence[float]) -> float:
    return _top(block, heights) + LABEL_HEIGHT * len(block)


def _top(block: Sequence[int], heights: Sequence[float]) -> float:
    return sum(heights[index] for index in block) / len(block) - LABEL_HEIGHT * len(block) / 2
