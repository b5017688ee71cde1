"""A picture as SVG: plain elements, one style sheet, all text escaped, nothing from elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from html import escape

from clearprop.lens.coordinates import Point, path
from clearprop.lens.drawing.contents import LINE, MARGIN, Scale, Text, norm, shape_of, text_width
from clearprop.lens.drawing.frames import HEADER, LABEL, PAD, Box, Frame, Wire

EDGE = 16.0
"""Free space around the picture."""

_LEGEND = "width of a line: norm ‖g‖ of the gradient on it"

STYLE = """
.cp-drawing{--paper:#fcfcfa;--ink:#1d2126;--quiet:#565e68;--rule:#c9cac4;--edge:#80868e;--frame:#f3f3ef;--node:#fff;
--leaf:#e9f2ea;--group:#e6eef7;--first:#1a5a9c;--second:#a8440b;--bad:#b0253f;background:var(--paper);
font:11px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
@media (prefers-color-scheme:dark){.cp-drawing{--paper:#14171a;--ink:#e3e5e8;--quiet:#a2a9b2;--rule:#454c54;
--edge:#767e87;--frame:#1a1e22;--node:#22272c;--leaf:#1e2e23;--group:#1f2b3a;--first:#7fb6ee;--second:#f0a061;
--bad:#f58a9c}}
.cp-drawing text{fill:var(--ink)}
.cp-drawing rect.paper{fill:var(--paper)}
.cp-drawing .box{stroke:var(--rule);fill:var(--node)}
.cp-drawing .leaf{fill:var(--leaf)}
.cp-drawing .group{fill:var(--group);stroke:var(--quiet)}
.cp-drawing .frame{fill:var(--frame);stroke:var(--rule)}
.cp-drawing .title{font-weight:600}
.cp-drawing .about,.cp-drawing .shape,.cp-drawing .local{fill:var(--quiet)}
.cp-drawing .value{fill:var(--first)}
.cp-drawing .gradient{fill:var(--second)}
.cp-drawing .pattern{fill:var(--quiet);font-style:italic}
.cp-drawing .halo{paint-order:stroke;stroke:var(--frame);stroke-width:4px;stroke-linejoin:round}
.cp-drawing .halo.paper{stroke:var(--paper)}
.cp-drawing .wire{fill:none;stroke:var(--second);stroke-width:1.2}
.cp-drawing .g4{stroke-width:5}.cp-drawing .g3{stroke-width:3.5}.cp-drawing .g2{stroke-width:2.4}
.cp-drawing .g1{stroke-width:1.6}.cp-drawing .g0{stroke-width:.9}
.cp-drawing .gplain{stroke:var(--quiet)}
.cp-drawing .gnone{stroke:var(--edge);stroke-dasharray:2 3}
.cp-drawing .gzero{stroke-dasharray:6 4}
.cp-drawing .gbad{stroke:var(--bad);stroke-width:4;stroke-dasharray:1 3}
"""


def drawn(frame: Frame, title: str, description: str, *, has_gradients: bool) -> str:
    """The whole picture, with its legend."""
    norms = {id(wire): _norm(wire) for wire in _wires(frame)} if has_gradients else {}
    finite = [one for one in norms.values() if one is not None and 0 < one < float("inf")]
    scale = Scale(max(finite)) if finite else None
    looks = {key: f"g{scale.level(one) if scale else _without_scale(one)}" for key, one in norms.items()}
    body = list(_frame(frame, Point(EDGE, EDGE), looks))
    width, height = frame.size[0] + 2 * EDGE, frame.size[1] + 2 * EDGE
    if has_gradients:
        legend, size = _legend(scale, set(looks.values()), height, max(width, 360.0))
        body += legend
        width, height = max(width, size[0]), height + size[1]
    return _document(body, width, height, title, description)


def _norm(wire: Wire) -> float | None:
    """Of the gradient that comes back on a wire; None if none does."""
    return norm(edge.contribution for edge in wire.edges) if wire.edges else None


def _without_scale(one: float | None) -> str:
    return "none" if one is None else "zero" if one == 0 else "bad"


def _document(body: Sequence[str], width: float, height: float, title: str, description: str) -> str:
    inside = "\n".join(body)
    key = hashlib.sha256(f"{title}{description}{inside}".encode()).hexdigest()[:10]
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:g} {height:g}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="cp-drawing" {size} role="img"'
        f' aria-labelledby="cp-{key}-title cp-{key}-desc">\n'
        f'<title id="cp-{key}-title">{_text(title)}</title>\n<desc id="cp-{key}-desc">{_text(description)}</desc>\n'
        f'<style>{STYLE}</style>\n<rect class="paper" width="100%" height="100%"/>\n{inside}\n</svg>\n'
    )


def _wires(frame: Frame) -> Iterator[Wire]:
    yield from frame.wires
    for _, item in frame.items:
        if isinstance(item, Frame):
            yield from _wires(item)


def _frame(frame: Frame, at: Point, looks: dict[int, str]) -> Iterator[str]:
    """The border, then the wires, then what stands on them."""
    width, height = frame.size
    if frame.title:
        yield f'<rect class="frame" x="{at.x:g}" y="{at.y:g}" width="{width:g}" height="{height:g}" rx="8"/>'
    for wire in frame.wires:
        moved = [_plus(point, at) for point in wire.route]
        yield f'<path class="wire {looks.get(id(wire), "gplain")}" d="{path(moved)}"/>'
    for corner, item in frame.items:
        there = _plus(corner, at)
        yield from _frame(item, there, looks) if isinstance(item, Frame) else _box(item, there)
    for i, line in enumerate(frame.title):
        yield _line(line, Point(at.x + PAD, at.y + HEADER - 9 + i * LINE), "halo")
    yield from _labels(frame, at, "halo" if frame.title else "halo paper")


def _box(box: Box, at: Point) -> Iterator[str]:
    top, contents = at.y + box.above, box.contents
    middle = at.x + box.width / 2
    yield (
        f'<rect class="box {contents.kind}" x="{at.x:g}" y="{top:g}" width="{box.width:g}" '
        f'height="{contents.height:g}" rx="{3 if contents.kind == "group" else 6}"/>'
    )
    for i, line in enumerate(contents.lines):
        yield _line(line, Point(middle, top + MARGIN / 2 + 12 + i * LINE), "", 'text-anchor="middle" ')


def _labels(frame: Frame, at: Point, halo: str) -> Iterator[str]:
    """Numbers where wires enter boxes; where they leave them the shapes, each once, beside the rightmost."""
    rightmost: dict[int, Point] = {}
    shapes: dict[int, dict[str, None]] = {}
    for wire in frame.wires:
        start, end = wire.route[0], wire.route[-1]
        for i, label in enumerate(wire.labels):
            y = end.y - (len(wire.labels) - i) * LABEL + 9
            yield _line(label, _plus(Point(end.x + 5, y), at), halo)
        if wire.start < len(frame.items):
            rightmost[wire.start] = max(rightmost.get(wire.start, start), start)
            shapes.setdefault(wire.start, {})[shape_of(wire.source)] = None
    for item, start in rightmost.items():
        words = ", ".join(filter(None, shapes[item]))
        if words:
            yield _line(Text(words, "shape"), _plus(Point(start.x + 6, start.y + 11), at), halo)


def _legend(scale: Scale | None, used: set[str], top: float, width: float) -> tuple[list[str], tuple[float, float]]:
    """What the lines mean, as far as such lines are there, in as many columns as there is room for."""
    entries = [(f"g{level}", words) for level, words in (scale.legend() if scale else ()) if f"g{level}" in used]
    others = (("gzero", "exactly zero"), ("gbad", "NaN or infinite"), ("gnone", "no gradient"))
    entries += [(look, words) for look, words in others if look in used]
    lines = [f'<text class="about" x="{EDGE:g}" y="{top + 4:g}">{_LEGEND}</text>']
    column = max((text_width(len(words)) for _, words in entries), default=0.0) + 60
    columns = max(1, int((width - EDGE) // column))
    for i, (look, words) in enumerate(entries):
        x, y = EDGE + (i % columns) * column, top + 20 + (i // columns) * LINE
        lines.append(
            f'<path class="wire {look}" d="M{x:g} {y - 4:g}h34"/><text x="{x + 42:g}" y="{y:g}">{_text(words)}</text>'
        )
    rows = -(-len(entries) // columns)
    wide = max(text_width(len(_LEGEND)), min(columns, max(1, len(entries))) * column)
    return lines, (wide + 2 * EDGE, 20 + rows * LINE + EDGE / 2)


def _line(line: Text, at: Point, more: str, anchor: str = "") -> str:
    classes = f"{line.role} {more}".strip()
    return f'<text class="{classes}" {anchor}x="{at.x:g}" y="{at.y:g}">{_text(line.text)}</text>'


def _text(text: str) -> str:
    """Text for XML: escaped, and without the control characters that XML does not have."""
    return escape("".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text))


def _plus(a: Point, b: Point) -> Point:
    return Point(round(a.x + b.x, 1), round(a.y + b.y, 1))
