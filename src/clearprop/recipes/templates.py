"""A picture of templates: the weights of each class as an image, in two colours, for what speaks for it and against.

It is one SVG file that needs nothing else, light or dark as the reader has chosen.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from clearprop.errors import ShapeError
from clearprop.files.atomic import atomic_write
from clearprop.files.png import png

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

_ACROSS, _SIDE, _GAP, _EDGE, _HEADER, _CAPTION = 5, 132, 18, 20, 62, 54

_STYLE = """
.templates{--paper:#fcfcfa;--ink:#1d2126;--quiet:#565e68;--rule:#c9cac4;--for:#1a5a9c;--against:#b8500f;
font:12px system-ui,"Segoe UI","Liberation Sans",sans-serif}
@media (prefers-color-scheme:dark){.templates{--paper:#14171a;--ink:#e3e5e8;--quiet:#a2a9b2;--rule:#454c54;
--for:#7fb6ee;--against:#f0a061}}
.templates .paper{fill:var(--paper)}
.templates text{fill:var(--ink)}
.templates .title{font-size:17px;font-weight:600}
.templates .name{font-weight:600}
.templates .quiet{fill:var(--quiet)}
.templates .for{fill:var(--for)}
.templates .against{fill:var(--against)}
.templates .frame{fill:none;stroke:var(--rule)}
.templates image{image-rendering:pixelated}
"""


def draw_templates(path: Path, templates: Array, names: Sequence[str], title: str, whose: str = "class") -> None:
    """Write the picture; FileError if that cannot be done.

    Colours mean the same in all templates: the strongest is the weight that is farthest from 0 in any of them.

    Args:
        templates: (classes, height, width).
        names: of the classes.
        title: what stands above.
        whose: what each template belongs to, for the legend.

    Raises:
        ShapeError: another shape.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "templates.svg"
    >>> draw_templates(path, np.array([[[0.5, -1.0]], [[0.0, 0.25]]]), ["left", "right"], "Two templates")
    >>> path.read_text().count('<g role="img"')
    2
    """
    if templates.ndim != 3 or len(templates) != len(names) or not templates.size:
        raise ShapeError(
            f"draw_templates: templates of shape {templates.shape} for {len(names)} classes",
            hint="(classes, height, width)",
        )
    largest = float(np.abs(templates).max()) or 1.0
    height = round(_SIDE * templates.shape[1] / templates.shape[2])
    rows = -(-len(templates) // _ACROSS)
    across = min(len(templates), _ACROSS)
    width = max(2 * _EDGE + across * (_SIDE + _GAP) - _GAP, 500)
    bottom = _HEADER + rows * (height + _CAPTION) + _EDGE
    body = [line for place, name in enumerate(names) for line in _template(place, name, templates[place], largest)]
    document = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="templates" viewBox="0 0 {width} {bottom}" width="{width}" '
        f'height="{bottom}" role="img" aria-labelledby="title"><title id="title">{escape(title)}</title>'
        f"<style>{_STYLE}</style>",
        f'<rect class="paper" width="{width}" height="{bottom}"/>',
        f'<text class="title" x="{_EDGE}" y="30">{escape(title)}</text>',
        *_legend(largest, whose),
        *body,
        "</svg>",
    ]
    with atomic_write(path) as file:
        file.write("\n".join(document).encode())


def _legend(largest: float, whose: str) -> list[str]:
    return [
        f'<rect class="for" x="{_EDGE}" y="40" width="11" height="11"/>',
        f'<text class="quiet" x="{_EDGE + 17}" y="50">ink here speaks for the {escape(whose)}</text>',
        f'<rect class="against" x="{_EDGE + 220}" y="40" width="11" height="11"/>',
        f'<text class="quiet" x="{_EDGE + 237}" y="50">and here against it; full colour: ±{largest:.3g}</text>',
    ]


def _template(place: int, name: str, weights: Array, largest: float) -> Iterator[str]:
    """One template: each colour is a square that is seen as strongly as the weights say."""
    height = round(_SIDE * weights.shape[0] / weights.shape[1])
    x = _EDGE + (place % _ACROSS) * (_SIDE + _GAP)
    y = _HEADER + (place // _ACROSS) * (height + _CAPTION)
    words = f"{weights.min():.2g} to {weights.max():.2g}"
    yield f'<g role="img" aria-label="{escape(name)}: weights from {words}">'
    for kind, part in (("for", weights), ("against", -weights)):
        grey = np.rint(255 * np.clip(part / largest, 0.0, 1.0)).astype(np.uint8)
        content = base64.b64encode(png(grey)).decode()
        box = f'x="{x}" y="{y}" width="{_SIDE}" height="{height}"'
        yield (
            f'<mask id="{kind}{place}" maskUnits="userSpaceOnUse" {box}>'
            f'<image {box} preserveAspectRatio="none" href="data:image/png;base64,{content}"/></mask>'
            f'<rect class="{kind}" {box} mask="url(#{kind}{place})"/>'
        )
    yield f'<rect class="frame" x="{x - 0.5}" y="{y - 0.5}" width="{_SIDE + 1}" height="{height + 1}"/>'
    yield (
        f'<text class="name" x="{x}" y="{y + height + 17}">{escape(name)}</text>'
        f'<text class="quiet" x="{x}" y="{y + height + 33}">{words}</text></g>'
    )
