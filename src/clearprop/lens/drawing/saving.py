"""A picture as SVG that stands alone: a notebook shows it, and it can be saved."""

from __future__ import annotations

from html import escape
from pathlib import Path

from clearprop.errors import UsageError
from clearprop.files.atomic import atomic_write

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark"><title>{}</title><body style="margin:0">{}</body></html>
"""


class Svg:
    """A picture. A notebook shows it by itself.

    Attributes:
        svg: the picture as text; it needs nothing else, and is light or dark as the reader has chosen.
        title: of a page with it.
    """

    def __init__(self, svg: str, title: str) -> None:
        self.svg = svg
        self.title = title

    def _repr_svg_(self) -> str:
        return self.svg

    def _repr_html_(self) -> str:
        """The picture at its own size, in a box that scrolls where there is no room."""
        return f'<div style="overflow-x:auto">{self.svg}</div>'

    def save(self, path: str | Path) -> Path:
        """Write the picture into a file, ``.svg`` or ``.html``.

        Raises:
            UsageError: for a file of another kind.
            FileError: the file cannot be written; an older one in its place is then unharmed.
        """
        path = Path(path)
        check_suffix(path)
        page = self.svg if path.suffix == ".svg" else _PAGE.format(escape(self.title), self._repr_html_())
        with atomic_write(path) as file:
            file.write(page.encode("utf-8"))
        return path

    def __repr__(self) -> str:
        return f'<{type(self).__name__} "{self.title}": .svg, .save("picture.svg")>'


def check_suffix(path: Path) -> None:
    """Raise UsageError for a file that is neither ``.svg`` nor ``.html``."""
    if path.suffix not in (".svg", ".html"):
        raise UsageError(f"draw writes .svg and .html, not {path.name!r}", hint=f"{path.stem or 'graph'}.svg")
