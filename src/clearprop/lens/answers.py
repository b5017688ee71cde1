"""What the answers of a tape have in common: one layout, as text, in a notebook, and on a rich console."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from clearprop import markup
from clearprop.lens import notebook
from clearprop.lens.layout import Line, plain_text

_WIDTH = 100


class Answer:
    """Something that can say itself in styled lines.

    A subclass fills in `lines`, and what its card in a notebook is called.
    """

    title: ClassVar[str]

    def lines(self, width: int = 80) -> list[Line]:
        """The answer in styled lines that fit the width."""
        raise NotImplementedError

    def __str__(self) -> str:
        return plain_text(self.lines())

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return markup.card(self.title, [], f"<pre>{notebook.spans(self.lines(_WIDTH))}</pre>")

    def __rich_console__(self, console: Any, options: Any) -> Iterable[Any]:
        """What ``rich.print`` shows."""
        return notebook.on_console(self.lines(options.max_width))
