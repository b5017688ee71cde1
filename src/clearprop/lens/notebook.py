"""A tape in a notebook and on a rich console: its table, and its picture beside it in a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from clearprop import markup
from clearprop.lens import table
from clearprop.lens.drawing import IN_FULL, draw
from clearprop.lens.layout import Line

if TYPE_CHECKING:
    from clearprop.lens.tape import Tape

_WIDTH = 100
_ROWS = 50
_CLASSES = {"bold": "strong", "dim": "quiet", "cyan": "name", "magenta": "pattern", "yellow": "remark"}


def html(tape: Tape) -> str:
    """A tape as HTML: the picture, and the table, which is folded up where there are many rows."""
    if not len(tape):
        return markup.card("Tape", ["empty"], *_error(tape))
    picture = draw(tape)._repr_html_()
    is_small = len(tape) <= IN_FULL
    lines = table.of_tape(tape, _WIDTH, _ROWS)
    body = f"<details{' open' if is_small else ''}><summary>Table</summary><pre>{spans(lines)}</pre></details>"
    about = [f"{len(tape):,} nodes", f"{len(tape.visits):,} visits of the backward pass"]
    return markup.card("Tape", about, *_error(tape), f"<details open><summary>Graph</summary>{picture}</details>", body)


def _error(tape: Tape) -> list[str]:
    return [f'<div class="warning">ended with {markup.text(tape.error)}</div>'] if tape.error else []


def spans(lines: Iterable[Line]) -> str:
    """Styled lines as HTML, to stand in a ``<pre>``."""
    return "\n".join("".join(_span(text, style) for text, style in line) for line in lines)


def _span(text: str, style: str) -> str:
    look = _CLASSES.get(style, "")
    return f'<span class="{look}">{markup.text(text)}</span>' if look else markup.text(text)


def on_console(lines: Iterable[Line]) -> Iterator[Any]:
    """Styled lines for a rich console."""
    from rich.text import Text  # only when a console of rich asks

    return (Text.assemble(*((span.text, span.style) for span in line)) for line in lines)
