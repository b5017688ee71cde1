"""The page of a player: one HTML file that needs nothing else, with its data, its look and its script inside.

A content security policy forbids every load from a network, and every script but the page's own, which is named by its
hash. What the user wrote gets into the page as JSON and from there as text, never as markup.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearprop.errors import FileError
from clearprop.lens import mathml, table
from clearprop.lens.player.nesting import nested
from clearprop.lens.player.scenes import Scenes, scenes

if TYPE_CHECKING:
    from clearprop.lens.tape import Tape

_SCRIPTS = ("values.js", "layout.js", "graph.js", "steps.js", "marks.js", "panel.js", "player.js")
_TABLE_WIDTH, _TABLE_ROWS = 100, 200
_FRAME_HEIGHT = 640


class Player:
    """A page on which a run can be played forward and backward; made by `Tape.player`.

    Args:
        tape: the run.
        title: what the page is called; by default after the node from which the gradients come.
        about: a few words more, beside the title.
        sources: say at which source line each node was made.

    Attributes:
        html: the page.
        scenes: what it shows, as data.
        title: what it is called.
        error: the error that ended the recording, in words; empty if none did.
    """

    def __init__(self, tape: Tape, title: str = "", about: str = "", *, sources: bool = True) -> None:
        self.scenes = scenes(tape, sources=sources)
        self.title = title or _title(self.scenes)
        self.error = tape.error
        text = _page(tape, self.scenes, self.title, about)
        self.html = text.encode("utf-8", errors="replace").decode()  # a file name may hold bytes that are no text

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page to a file.

        Raises:
            FileError: if that cannot be done.
        """
        try:
            Path(path).write_bytes(self.html.encode())
        except OSError as error:
            raise FileError(
                f"cannot write {path}: {error.strerror or error}", hint="a folder that exists and may be written to"
            ) from error

    def _repr_html_(self) -> str:
        return (
            f'<iframe title="{escape(self.title)}" sandbox="allow-scripts" srcdoc="{escape(self.html)}" '
            f'style="width: 100%; height: {_FRAME_HEIGHT}px; border: 0"></iframe>'
        )

    def __repr__(self) -> str:
        return f"<Player of {len(self.scenes.nodes)} nodes in {len(self.scenes.steps)} steps: .save('player.html')>"


def _title(play: Scenes) -> str:
    """What the backward pass differentiates; of a run without one, its last node."""
    node = play.nodes[play.roots[-1] if play.roots else -1]
    return f"Backpropagation from {node.label}" if play.roots else f"The computation of {node.label}"


def _page(tape: Tape, play: Scenes, title: str, about: str) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # some 30 ms, needed only here

    environment = Environment(
        loader=PackageLoader("clearprop.lens.player"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    style, script = _text("player.css"), _script()
    return environment.get_template("player.html").render(
        title=title,
        about=about,
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
        data=_json(_data(tape, play)),
        table=table.text(table.of_tape(tape, _TABLE_WIDTH, _TABLE_ROWS)),
        detailed=play.detailed,
    )


def _data(tape: Tape, play: Scenes) -> dict[str, Any]:
    return {
        "nodes": [vars(node) for node in play.nodes],
        "edges": [vars(edge) for edge in play.edges],
        "steps": [vars(step) for step in play.steps],
        "values": play.values,
        "roots": play.roots,
        "groups": nested([row.node for row in tape.rows], tape.calls),
        "error": tape.error,
        "mathAttributes": mathml.ATTRIBUTES,
    }


def _text(name: str) -> str:
    return files("clearprop.lens.player").joinpath("templates", name).read_text("utf-8")


def _script() -> str:
    """All scripts as one, so that their names are nobody else's."""
    parts = "\n".join(_text(name) for name in _SCRIPTS)
    data = 'const DATA = JSON.parse(document.getElementById("data").textContent);'
    return f'"use strict";\n(() => {{\n{data}\n{parts}\n}})();'


def _hash(text: str) -> str:
    """A text as a content security policy names it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _json(data: Any) -> str:
    r"""JSON that can stand inside a script element: none of its characters means anything to HTML.

    >>> _json(["</script>", "<!--"])
    '["\\u003c/script\\u003e","\\u003c!--"]'
    """
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
