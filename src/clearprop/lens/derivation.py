"""How a gradient came about: factor by factor along the path that dominates, and the share of every other path."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from clearprop.errors import UsageError
from clearprop.lens.answers import Answer
from clearprop.lens.factors import Detour, detours, dominating, gain
from clearprop.lens.figures import count, figure, json_count, json_number, number, percent
from clearprop.lens.layout import (
    DIM,
    HEAD,
    HEADING,
    NAME,
    REMARK,
    VALUE,
    Line,
    Span,
    cells,
    cut,
    in_columns,
    wrapped,
)
from clearprop.lens.pushing import Between, norm, remarks_on
from clearprop.lens.rows import Row
from clearprop.lens.table import edge_name, local_text

if TYPE_CHECKING:
    from clearprop.lens.tape import Tape

_EDGES_SHOWN = 40


class Derivation(Answer):
    """How the gradient of an input came about.

    Attributes:
        output, input: from where the gradient comes, and where it arrives.
        gradient: all of it.
        count: the number of paths over which it came.
        edges: those of the path with the largest share, from the output down. Their upstream gradients and
            contributions are those of this path alone, so each contribution is the next upstream gradient.
        gains: by what each of these edges multiplies the norm of the gradient.
        contribution, share: of that path; see `clearprop.lens.pushing.share`.
        detours: the other paths, by where they meet this one, the smallest put together if there are many; their shares
            and this one's add up to 1.
        remarks: what to know about the numbers.
    """

    title = "How the gradient came about"

    def __init__(self, between: Between) -> None:
        found = dominating(between)
        self.output, self.input = between.output, between.input
        self.gradient, self.count = found.total, found.paths
        self.edges, self.gains = list(found.edges), [gain(edge) for edge in found.edges]
        self.contribution, self.share = found.contribution, found.share
        self.detours: list[Detour] = detours(between, found)
        parts = [self.contribution, *(detour.contribution for detour in self.detours)]
        self.remarks = remarks_on(between, parts, self.gradient)

    def lines(self, width: int = 80) -> list[Line]:
        """The derivation in styled lines that fit the width."""
        name = f"∂{self.output.label}/∂{self.input.label}"
        title = [Span(name, HEADING), Span(" = "), Span(figure(self.gradient), VALUE)]
        if not _is_number(self.gradient):
            title.append(Span(f"   norm {number(norm(self.gradient))}", DIM))
        lines: list[Line] = [title, [], *self._path(width)]
        if self.detours:
            lines += [[], *self._others()]
        lines += [[Span("  "), Span(remark, REMARK)] for remark in self.remarks]
        return [piece for line in lines for piece in wrapped(line, width)]

    def _path(self, width: int) -> list[Line]:
        head = "The only path"
        if self.count > 1:
            head = f"The path that contributes most: {percent(self.share)} of it, one of {count(self.count)}"
        shown = self._shown()
        table = self._in_numbers(shown) if self._are_numbers else self._in_norms(shown, width)
        if len(shown) < len(self.edges):
            middle = math.prod(gain for i, gain in enumerate(self.gains) if i not in shown)
            more = f"  … {len(self.edges) - len(shown):,} more edges: × {middle:.3g}"
            table.insert(1 + _EDGES_SHOWN // 2, [Span(more, DIM)])
        return [[Span(head, HEADING)], *table]

    @property
    def _are_numbers(self) -> bool:
        return all(_is_number(edge.contribution) and edge.local_derivative is not None for edge in self.edges)

    def _in_numbers(self, shown: Sequence[int]) -> list[Line]:
        rows = [
            [
                Span(edge_name(self.edges[i]), NAME),
                Span(figure(self.edges[i].upstream)),
                Span(local_text(self.edges[i], in_full=False)),
                Span(figure(self.edges[i].contribution), VALUE),
            ]
            for i in shown
        ]
        return in_columns([_heads("edge", "upstream ×", "local derivative =", "contribution"), *rows], "<><>")

    def _in_norms(self, shown: Sequence[int], width: int) -> list[Line]:
        rows = [
            [
                Span(edge_name(self.edges[i]), NAME),
                Span(f"× {self.gains[i]:.3g}"),
                Span(number(norm(self.edges[i].contribution)), VALUE),
                Span(local_text(self.edges[i], in_full=False), DIM),
            ]
            for i in shown
        ]
        heads = _heads("edge", "gain =", "norm", "local derivative")
        room = width - sum(max(cells(row[i].text) for row in [heads, *rows]) for i in range(3)) - 11
        rows = [[*row[:3], Span(cut(row[3].text, max(room, 16)), DIM)] for row in rows]
        return in_columns([heads, *rows], "<>><")

    def _shown(self) -> list[int]:
        """Of a long path, its two ends."""
        last, half = len(self.edges), _EDGES_SHOWN // 2
        return list(range(last)) if last <= _EDGES_SHOWN else [*range(half), *range(last - half, last)]

    def _others(self) -> list[Line]:
        rows = [
            [Span(percent(detour.share), VALUE), Span(count(detour.paths)), Span(_meeting(detour), NAME)]
            for detour in sorted(self.detours, key=_size, reverse=True)
        ]
        lines = in_columns([_heads("share", "paths", "they meet it"), *rows], ">><")
        return [[Span("All others", HEADING)], *lines]

    def as_dict(self) -> dict[str, Any]:
        """The same for machines: strings, numbers, lists and dicts."""
        return {
            "output": self.output.label,
            "input": self.input.label,
            "norm": json_number(norm(self.gradient)),
            "paths": json_count(self.count),
            "share": json_number(self.share),
            "edges": [
                {"edge": edge_name(edge), "local_derivative": local_text(edge), "gain": json_number(factor)}
                for edge, factor in zip(self.edges, self.gains, strict=True)
            ],
            "others": [
                {
                    "at": "" if detour.row is None else detour.row.label,
                    "from": [user.label for user in detour.users],
                    "paths": json_count(detour.paths),
                    "share": json_number(detour.share),
                }
                for detour in self.detours
            ],
            "remarks": self.remarks,
        }

    def __repr__(self) -> str:
        return f"<Derivation of ∂{self.output.label}/∂{self.input.label} over {count(self.count)} paths>"


def _heads(*names: str) -> list[Span]:
    return [Span(name, HEAD) for name in names]


def _meeting(detour: Detour) -> str:
    """``to h from #3, #4``."""
    return "elsewhere" if detour.row is None else f"to {detour.row.label} from {_named(detour.users)}"


def _named(rows: Sequence[Row]) -> str:
    labels = list(dict.fromkeys(row.label for row in rows))
    return ", ".join(labels[:3]) + (f" and {len(labels) - 3:,} more" if len(labels) > 3 else "")


def _size(detour: Detour) -> float:
    return abs(detour.share) if math.isfinite(detour.share) else norm(detour.contribution)


def _is_number(value: Any) -> bool:
    return not isinstance(value, dict) and np.ndim(value) == 0


def explain(tape: Tape, w: Any) -> Derivation:
    """See `Tape.explain`."""
    row = tape[w]
    if not row.visits:
        raise UsageError(
            f"no recorded backward pass brought a gradient to {row.label}", hint=f"why: tape.why({row.label!r})"
        )
    between = Between(tape, row.visits[-1].root, row)
    return Derivation(between)
