"""Styled lines on stdout: with colours where a terminal shows them, as plain text everywhere else."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterable

from clearprop.lens.layout import Line, plain_text

_ASCII = {
    "∂": "d", "·": "*", "→": "->", "×": "x", "–": "-", "…": "...", "σ": "sigmoid", "√": "sqrt", "π": "pi", "ᵀ": "^T",
    "∑": "sum", "∏": "prod", "≤": "<=", "≥": ">=", "≠": "!=", "⌊": "floor(", "⌋": ")", "\u0304": "'",
    "✓": "+", "✗": "x",
}  # fmt: skip
_NARROWEST, _WIDEST = 40, 120


def width() -> int:
    """Columns to fit into: of the terminal, or of ``COLUMNS``, or 80."""
    return max(_NARROWEST, min(_WIDEST, shutil.get_terminal_size((80, 24)).columns))


def show(lines_for: Callable[[int], Iterable[Line]], columns: int | None = None) -> None:
    """Print lines that were made for a width."""
    lines = lines_for(columns or width())
    if not sys.stdout.isatty():
        print_plain(plain_text(lines))
        return
    from rich.console import Console  # takes a while to import, and a pipe has no use for it
    from rich.text import Text

    console = Console(file=sys.stdout, highlight=False)
    for line in lines:
        styled = [(printable(span.text), span.style) for span in line]
        console.print(Text.assemble(*styled), soft_wrap=True)


def print_plain(text: str) -> None:
    """Print text as it is, or what comes closest to it in the encoding of stdout."""
    sys.stdout.write(printable(text) + "\n")


def complain(message: str) -> None:
    """Print a message on stderr, in whatever encoding it has."""
    encoding = sys.stderr.encoding or "utf-8"
    sys.stderr.write(message.encode(encoding, "backslashreplace").decode(encoding) + "\n")


def printable(text: str) -> str:
    """The text with characters that stdout cannot encode spelled in ASCII, without control characters."""
    text = "".join(character if character == "\n" or character.isprintable() else "?" for character in text)
    encoding = sys.stdout.encoding or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = "".join(_ASCII.get(character, character) for character in text)
        return text.encode(encoding, "replace").decode(encoding)
    return text
