"""What stands in a box and at its edges: names, formulas and numbers, and how much space they take."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from clearprop.graph import Node
from clearprop.lens.figures import figure, number
from clearprop.lens.layout import cells, cut
from clearprop.lens.modules import Group
from clearprop.lens.rows import Edge, Row

CHARACTER, LINE, MARGIN = 6.7, 16.0, 8.0
"""In pixels: the width of a character, the height of a line, and the space around the text of a box."""

_LONGEST = 30  # characters in a line of a box
_LONGEST_AT_EDGE = 20
_IN_FULL = 2  # elements


class Text(NamedTuple):
    """A line of text and what it is: ``"title"``, ``"about"``, ``"value"``, ``"gradient"`` or ``"pattern"``."""

    text: str
    role: str


@dataclass(frozen=True)
class Contents:
    """The lines of a box.

    Attributes:
        kind: ``"leaf"``, ``"node"``, ``"group"``.
        lines: from above to below.
    """

    kind: str
    lines: Sequence[Text]

    @property
    def width(self) -> float:
        """What the longest line takes, with margins."""
        return text_width(max((cells(line.text) for line in self.lines), default=0)) + 2 * MARGIN

    @property
    def height(self) -> float:
        """What all lines take, with margins."""
        return len(self.lines) * LINE + MARGIN


def text_width(characters: int) -> float:
    """How wide a text of so many columns is, in pixels."""
    return characters * CHARACTER


def of_row(row: Row, around: Group) -> Contents:
    """A node with its formula, value, gradient and pattern."""
    title = f"{row.label} = {row.formula}" if row.formula else _inside(row.label, around)
    lines = [Text(cut(title, _LONGEST), "title")]
    if row.value is not None:
        lines.append(Text(cut(_range(row.value), _LONGEST), "value"))
    if row.gradient is not None:
        lines.append(Text(cut(f"gradient {_size(row.gradient)}", _LONGEST), "gradient"))
    patterns = [row.pattern, *(visit.pattern for visit in row.visits)]
    lines += [Text(cut(one, _LONGEST), "pattern") for one in dict.fromkeys(patterns) if one]
    return Contents("leaf" if row.is_leaf else "node", lines)


def of_row_in_brief(row: Row, around: Group) -> Contents:
    """A node by what it computes, and its name if it has one."""
    if row.is_leaf:
        return Contents("leaf", [Text(cut(_inside(row.label, around), _LONGEST), "title")])
    title = f"{row.name} = {row.primitive}" if row.name else row.primitive
    return Contents("node", [Text(cut(title, _LONGEST), "title")])


def _inside(name: str, around: Group) -> str:
    """A parameter's name inside the box of its module."""
    return name.removeprefix(f"{around.path}.") if around.path else name


def of_group(group: Group, rows: Mapping[Node, Row]) -> Contents:
    """A folded group: what it is called, what it is, how much is inside, and the gradient of its parameters."""
    lines = [Text(cut(title_of(group), _LONGEST), "title")]
    if about_of(group):
        lines.append(Text(cut(group.about, _LONGEST), "about"))
    nodes = list(group.nodes())
    operations = sum(not node.is_leaf for node in nodes)
    parameters = sum(math.prod(node.shape) for node in nodes if node.is_leaf)
    inside = _counted(operations, "operation") + (f", {_counted(parameters, 'parameter')}" if parameters else "")
    lines.append(Text(inside, "about"))
    gradients = [rows[node].gradient for node in nodes if node.is_leaf]
    norms = [norm([one]) for one in gradients if one is not None]
    if norms:
        lines.append(Text(f"gradient ‖{math.hypot(*norms):.3g}‖", "gradient"))
    return Contents("group", lines)


def title_of(group: Group) -> str:
    """Its label, or what says more than that; of a module called before, which call it is."""
    title = group.label if about_of(group) else group.about or group.label
    return f"{title} (call {group.call})" if group.call > 1 else title


def about_of(group: Group) -> str:
    """The class and settings, unless they begin with the label, as of a module that is no part of another."""
    return "" if group.about.startswith(group.label) else group.about


def _counted(count: int, thing: str) -> str:
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def shape_of(node: Node) -> str:
    """``"64×784"``; empty for a number."""
    return "×".join(map(str, node.shape))


def at_edge(edge: Edge) -> list[Text]:
    """The contribution, and below it what the upstream gradient was multiplied by."""
    local = edge.formula
    if edge.local_derivative is not None and np.ndim(edge.local_derivative) == 0:
        value = figure(edge.local_derivative)
        local = value if local in ("", value) or _is_number(local) else f"{local} = {value}"
    lines = [Text(cut(_size(edge.contribution), _LONGEST_AT_EDGE), "gradient")]
    return [*lines, Text(cut(f"× {local}", _LONGEST_AT_EDGE), "local")] if local else lines


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).lstrip("-").isdigit()


def _range(value: Any) -> str:
    """A value: small ones in full, of others the smallest and the largest element. The shape stands at the wire."""
    if isinstance(value, (dict, list)):
        return figure(value)
    array = np.asarray(value)
    if (
        array.ndim == 0
        or (array.ndim == 1 and array.size <= _IN_FULL)
        or not array.size
        or array.dtype.kind not in "biuf"
    ):
        return figure(value)
    low, high = f"{float(array.min()):.3g}", f"{float(array.max()):.3g}"
    return f"all {low}" if low == high else f"{low} … {high}"


def _size(gradient: Any) -> str:
    """A gradient: a number in full, of an array the norm."""
    if not isinstance(gradient, dict) and np.ndim(gradient) == 0:
        return figure(gradient)
    return f"‖{norm([gradient]):.3g}‖"


# How much gradient ---------------------------------------------------------------------------------------------------


def norm(contributions: Iterable[Any]) -> float:
    """The Euclidean norm of a sum of contributions."""
    totals: dict[Any, Any] = {}
    for contribution in contributions:
        parts = contribution if isinstance(contribution, dict) else {None: contribution}
        for key, part in parts.items():
            totals[key] = totals[key] + part if key in totals else part
    with np.errstate(all="ignore"):
        return math.sqrt(sum(float(np.sum(np.square(part, dtype=np.float64))) for part in totals.values()))


LEVELS = 5


@dataclass(frozen=True)
class Scale:
    """Widths for norms: each level down is a tenth."""

    largest: float

    def level(self, norm: float | None) -> str:
        """``"4"`` for the largest norms, ``"0"`` for those below a thousandth; ``"none"`` and ``"bad"`` (NaN) too."""
        if norm is None:
            return "none"
        if not math.isfinite(norm):
            return "bad"
        if norm == 0:
            return "zero"
        return str(max(0, LEVELS - 1 + math.ceil(math.log10(norm / self.largest) - 1e-9)))

    def legend(self) -> list[tuple[str, str]]:
        """The levels from the strongest on, each with its range in words."""
        bounds = [number(float(f"{self.largest * 10.0**-i:.2g}")) for i in range(LEVELS)]
        ranges = [f"{low} … {high}" for high, low in pairwise(bounds)]
        return [(str(LEVELS - 1 - i), words) for i, words in enumerate([*ranges, "less"])]
