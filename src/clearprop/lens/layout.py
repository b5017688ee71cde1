"""Lines of styled text that fit a width: what the tables of the lens are made of, without a terminal library.

A line is a list of spans, a span a text and a style. The command line hands the styles to rich; all others drop them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias


class Span(NamedTuple):
    """A piece of text in one style (a style of rich; empty for none)."""

    text: str
    style: str = ""


NO_BREAK = "\u00a0"
"""A space at which no line is cut."""

Line: TypeAlias = list[Span]

HEADING, HEAD, DIM, NAME, VALUE, PATTERN, REMARK = "bold", "dim", "dim", "cyan", "bold", "magenta", "yellow"


def cells(text: str) -> int:
    """How many columns of a terminal a text takes.

    >>> cells("∂f/∂x"), cells("z\u0304"), cells("重み")
    (5, 1, 4)
    """
    return sum(_width(character) for character in text)


def _width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def cut(text: str, width: int) -> str:
    """A text that takes at most so many columns; a longer one ends in an ellipsis.

    >>> cut("gradient", 5), cut("gradient", 8)
    ('grad…', 'gradient')
    """
    if cells(text) <= width:
        return text
    while cells(text) >= width:
        text = text[:-1]
    return f"{text}…"


def length(line: Line) -> int:
    """How many columns a line takes."""
    return sum(cells(span.text) for span in line)


def plain_text(lines: Iterable[Line]) -> str:
    """The lines without their styles."""
    return "\n".join("".join(span.text for span in line).rstrip() for line in lines)


def in_columns(rows: Sequence[Sequence[Span] | Line | None], align: str, indent: int = 2, gap: int = 3) -> list[Line]:
    """Rows of cells as lines whose columns are flush; columns that are empty in all rows but the first are left out.

    Args:
        rows: the first is the head.
        align: one ``<`` or ``>`` for each column.
    """
    used = [i for i in range(len(align)) if any(row[i].text for row in rows[1:] if row)]
    widths = {i: max(cells(row[i].text) for row in rows if row) for i in used}
    return [_flush([(row[i], widths[i], align[i]) for i in used], indent, gap) for row in rows if row]


def _flush(row: Sequence[tuple[Span, int, str]], indent: int, gap: int) -> Line:
    line = [Span(" " * indent)]
    for i, (span, width, side) in enumerate(row):
        space = Span(" " * (width - cells(span.text)))
        line += [Span(" " * gap)] if i else []
        line += [space, span] if side == ">" else [span, space]
    return line


def fits(lines: Iterable[Line], width: int) -> bool:
    """Whether no line is longer than that."""
    return all(length(_stripped(line)) <= width for line in lines)


def _stripped(line: Line) -> Line:
    end = len(line)
    while end and not line[end - 1].text.strip():
        end -= 1
    return line[:end]


def wrapped(line: Line, width: int, hang: int = 4) -> list[Line]:
    """A line cut at its spaces into lines that fit; all but the first are indented."""
    if length(_stripped(line)) <= width:
        return [[Span(span.text.replace(NO_BREAK, " "), span.style) for span in _stripped(line)]]
    lines: list[Line] = [[]]
    for span in line:
        for word in re.findall(" *[^ ]+| +$", span.text):
            for piece in _pieces(word, max(8, width - hang)):
                if length(lines[-1]) + cells(piece) > width and lines[-1]:
                    lines.append([Span(" " * hang)])
                    piece = piece.lstrip()
                lines[-1].append(Span(piece.replace(NO_BREAK, " "), span.style))
    return lines


def _pieces(word: str, width: int) -> list[str]:
    return [word[i : i + width] for i in range(0, len(word), width)]
