"""Small tables of results, as text and as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

Rows = Sequence[Sequence[str]]


def as_text(head: Sequence[str], rows: Rows) -> str:
    """Columns under their names, which stand at the right of their columns, as numbers do.

    >>> print(as_text(["fold", "val_loss"], [["1", "0.25"], ["2", "0.125"]]))
    fold  val_loss
       1      0.25
       2     0.125
    """
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = ([cell.rjust(width) for cell, width in zip(row, widths, strict=True)] for row in (head, *rows))
    return "\n".join("  ".join(line).rstrip() for line in lines)


def as_html(caption: str, head: Sequence[str], rows: Rows) -> str:
    """The same for a notebook."""
    heads = "".join(f"<th scope='col'>{escape(name)}</th>" for name in head)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><caption>{escape(caption)}</caption><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
