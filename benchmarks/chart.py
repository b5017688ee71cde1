"""The chart of a run: for each workload how many times our time each peer takes, on a logarithmic scale, as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from textwrap import wrap

from contestants import CONTESTANTS, OURS, OURS_EAGER
from summary_table import Row

_LEFT, _WIDTH, _RIGHT = 190, 560, 30
_TOP, _LINE = 84, 30
_CAPTION = 100  # characters in a line below the chart
_COLOURS = ("#c0392b", "#e07b39", "#e6b422", "#2f6f9f", "#4f9d69", "#8e5ea2", "#7a7a7a")
_SHAPES = ("M-6-6H6V6H-6Z", "M0-8L8 0L0 8L-8 0Z", "M0-7L7 6H-7Z", "M0-6A6 6 0 1 1-.01-6Z")  # colours are not enough
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#222}.quiet{fill:#666}.grid{stroke:#ddd}.one{stroke:#222;stroke-width:2}"
    "rect{fill:#fff}path{stroke:#fff;stroke-width:.7}.title{font-weight:600}@media(prefers-color-scheme:dark){text{fill:#eee}.quiet{fill:#aaa}.grid{stroke:#444}"
    ".one{stroke:#eee}rect{fill:#181818}}"
)


def draw(rows: Sequence[Row], caption: str) -> str:
    """The chart of those rows that have our figure and a peer's."""
    shown = [row for row in rows if not math.isnan(row.ratio)]
    ratios = {row.workload.name: _ratios(row) for row in shown}
    values = [1.0, *(value for of_row in ratios.values() for value in of_row.values())]
    low, high = math.floor(math.log2(min(values))), max(math.ceil(math.log2(max(values))), 1)
    peers = [name for name in CONTESTANTS if any(name in of_row for of_row in ratios.values())]
    marks = {name: _mark(i) for i, name in enumerate(peers)}

    def x(ratio: float) -> float:
        return round(_LEFT + (math.log2(ratio) - low) / (high - low) * _WIDTH, 1)

    bottom = _TOP + _LINE * len(shown)
    parts = [*_legend(marks), *_grid(low, high, x(1.0), bottom)]
    for i, row in enumerate(shown):
        y = _TOP + _LINE * (i + 0.5)
        parts.append(f'<text x="{_LEFT - 12}" y="{y + 4}" text-anchor="end">{escape(row.workload.title)}</text>')
        for name, ratio in sorted(ratios[row.workload.name].items(), key=lambda item: -item[1]):
            label = f"{row.workload.title}: {CONTESTANTS[name].title} takes {ratio:.2f} times as long"
            parts.append(f'<g transform="translate({x(ratio)} {y})"><title>{escape(label)}</title>{marks[name]}</g>')
    lines = wrap(caption, _CAPTION)
    for i, line in enumerate(lines):
        parts.append(f'<text class="quiet" x="12" y="{bottom + 46 + 18 * i}">{escape(line)}</text>')
    width, height = _LEFT + _WIDTH + _RIGHT, bottom + 46 + 18 * len(lines)
    title = "Time of a training step, in multiples of clearprop's"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="{title}">'
        f'<style>{_STYLE}</style><rect width="100%" height="100%"/><text class="title" x="12" y="24">{title}</text>'
        + "".join(parts)
        + "</svg>\n"
    )


def _ratios(row: Row) -> dict[str, float]:
    """By peer: its time divided by ours."""
    own = row.ours
    peers = (name for name in CONTESTANTS if name not in (OURS, OURS_EAGER))
    return {name: found.seconds / own.seconds for name in peers if own and (found := row.of(name))}


def _mark(place: int) -> str:
    """What stands for a peer: no two have the same shape and colour."""
    return f'<path d="{_SHAPES[place % len(_SHAPES)]}" fill="{_COLOURS[place % len(_COLOURS)]}"/>'


def _legend(marks: dict[str, str]) -> list[str]:
    parts, at = [], 20
    for name, mark in marks.items():
        title = CONTESTANTS[name].title
        parts.append(f'<g transform="translate({at} 48)">{mark}<text x="13" y="4">{title}</text></g>')
        at += 36 + 7 * len(title)
    return parts


def _grid(low: int, high: int, one: float, bottom: float) -> list[str]:
    parts = []
    for power in range(low, high + 1):
        at = round(_LEFT + (power - low) / (high - low) * _WIDTH, 1)
        label = f"{2**power}×" if power >= 0 else f"1/{2**-power}×"
        parts.append(f'<line class="grid" x1="{at}" x2="{at}" y1="{_TOP}" y2="{bottom}"/>')
        parts.append(f'<text class="quiet" x="{at}" y="{bottom + 20}" text-anchor="middle">{label}</text>')
    parts.append(f'<line class="one" x1="{one}" x2="{one}" y1="{_TOP - 8}" y2="{bottom}"/>')
    return parts
