"""What stands in a box and at its edges: names, formulas and numbers, and how much space they take."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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
        shape: of the value that leaves it below; empty for a number.
    """

    kind: str
    lines: Sequence[Text]
    shape: str = ""

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


def of_row(row: Row) -> Contents:
    """A node with its formula, value, gradient and pattern."""
    formula = f"{row.name} = {row.formula}" if row.name and row.formula else row.formula or row.label
    lines = [Text(cut(formula, _LONGEST), "title")]
    if row.value is not None:
        lines.append(Text(cut(figure(row.value), _LONGEST), "value"))
    if row.gradient is not None:
        lines.append(Text(cut(f"gradient {figure(row.gradient)}", _LONGEST), "gradient"))
    patterns = [row.pattern, *(visit.pattern for visit in row.visits)]
    lines += [Text(cut(one, _LONGEST), "pattern") for one in dict.fromkeys(patterns) if one]
    return Contents("leaf" if row.is_leaf else "node", lines, shape_of(row.node))


def of_row_in_brief(row: Row) -> Contents:
    """A node by what it computes, and its name if it has one."""
    if row.is_leaf:
        return Contents("leaf", [Text(cut(row.label, _LONGEST), "title")], shape_of(row.node))
    title = f"{row.name} = {row.primitive}" if row.name else row.primitive
    return Contents("node", [Text(cut(title, _LONGEST), "title")], shape_of(row.node))


def of_group(group: Group) -> Contents:
    """A folded group: what it is called, what it is, and how much is inside."""
    lines = [Text(cut(title_of(group), _LONGEST), "title")]
    if group.about:
        lines.append(Text(cut(group.about, _LONGEST), "about"))
    nodes = list(group.nodes())
    operations = sum(not node.is_leaf for node in nodes)
    parameters = sum(math.prod(node.shape) for node in nodes if node.is_leaf)
    inside = _counted(operations, "operation") + (f", {_counted(parameters, 'parameter')}" if parameters else "")
    return Contents("group", [*lines, Text(inside, "about")])


def title_of(group: Group) -> str:
    """Its label; of a module called before, which call it is."""
    return f"{group.label} (call {group.call})" if group.call > 1 else group.label


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
    lines = [Text(cut(figure(edge.contribution), _LONGEST_AT_EDGE), "gradient")]
    return [*lines, Text(cut(f"× {local}", _LONGEST_AT_EDGE), "local")] if local else lines


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).lstrip("-").isdigit()


# How much gradient ---------------------------------------------------------------------------------------------------


def norm(contributions: Iterable[Any]) -> float | None:
    """The Euclidean norm of a sum of contributions; None if there are none."""
    totals: dict[Any, Any] = {}
    for contribution in contributions:
        parts = contribution if isinstance(contribution, dict) else {None: contribution}
        for key, part in parts.items():
            totals[key] = totals[key] + part if key in totals else part
    if not totals:
        return None
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
        return str(max(0, LEVELS - 1 + math.ceil(math.log10(norm / self.largest) - 1e-9)) if norm < self.largest else 4)

    def legend(self) -> list[tuple[str, str]]:
        """The levels from the strongest on, each with its range in words."""
        bounds = [self.largest * 10.0**-i for i in range(LEVELS)]
        words = [f"{number(float(f'{a:.2g}'))} … {number(float(f'{b:.2g}'))}" for b, a in zip(bounds, bounds[1:], strict=False)]
        return [*((str(LEVELS - 1 - i), text) for i, text in enumerate(words)), ("0", "less")]
