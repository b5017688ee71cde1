"""HTML pages that need nothing else: one file each, no script, nothing loaded; for screens, paper and screen readers.

How they look stands in `templates/`. Jinja escapes all text, and a content security policy in each page forbids every
load from a network.
"""

from __future__ import annotations

import os
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from clearprop.files.atomic import atomic_write
from clearprop.train import figures
from clearprop.train.drawing import heat
from clearprop.train.drawing.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH
from clearprop.train.figures import figure, label

COLOURS, SHAPES = 8, 4  # in report.css: curves beyond these have the colours again, with other dashes and points
_POINTS = (
    "m-2.6 0a2.6 2.6 0 1 0 5.2 0a2.6 2.6 0 1 0-5.2 0",
    "m-2.5-2.5h5v5h-5z",
    "m0-3.6 3.3 5.8h-6.6z",
    "m0-3.7 3.5 3.7-3.5 3.7-3.5-3.7z",
)


def write_page(template: str, path: str | os.PathLike[str], **values: Any) -> Path:
    """Fill a template and write it to a file; FileError if that cannot be done, and then an older file is unharmed."""
    text = render_page(template, **values)
    with atomic_write(path) as file:
        file.write(text.encode("utf-8", errors="replace"))  # a file name may hold bytes that are no text
    return Path(path)


def render_page(template: str, **values: Any) -> str:
    """A page as HTML text."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # some 30 ms, needed once, at the end of a run

    environment = Environment(
        loader=PackageLoader("clearprop.train.drawing"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        figure=figure,
        label=label,
        shape=figures.shape,
        percent=percent,
        unbroken=unbroken,
        look=look,
        point=point,
        paper=(WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM),
        heat_width=heat.WIDTH,
    )
    return environment.get_template(template).render(**values)


def look(style: int) -> str:
    """The classes of a curve: its colour and its dashes.

    >>> look(1), look(9)
    ('colour1 dash1', 'colour1 dash2')
    """
    return f"colour{style % COLOURS} dash{_shape(style)}"


def point(style: int) -> str:
    """The shape of a curve's points, as an SVG path that begins at the middle of the point."""
    return _POINTS[_shape(style)]


def _shape(style: int) -> int:
    return (style + style // COLOURS) % SHAPES


def tick(name: str, value: float) -> str:
    """A figure as short as an axis wants it."""
    return f"{100 * value:.4g} %" if figures.is_fraction(name) else f"{value:.4g}"


def ticks(name: str) -> partial[str]:
    """What writes the ticks of a figure of this name."""
    return partial(tick, name)


def unbroken(text: str) -> str:
    """Text whose percent signs stay with their numbers at the end of a line."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%")


def percent(share: float) -> str:
    """A share of 1."""
    return unbroken(figure("accuracy", share))


def date(started: str) -> str:
    """The time of a record as people write it."""
    try:
        return datetime.fromisoformat(started).strftime("%d %B %Y, %H:%M %Z").strip().lstrip("0")
    except ValueError:
        return started
