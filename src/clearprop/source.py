"""Where in the user's own program something happened.

Every node of the graph and every error can say which line of the user's code made it. Looking that up must cost next to
nothing while the program runs, so a position is kept as (code object, instruction) and only turned into text when
somebody asks.
"""

from __future__ import annotations

import linecache
import os
import sys
from itertools import islice
from pathlib import Path
from types import CodeType
from typing import TypeAlias

Position: TypeAlias = tuple[CodeType, int]

_PACKAGE = str(Path(__file__).parent) + os.sep


_LONGEST_TEXT = 100


class _OwnFiles(dict[str, bool]):
    """Remembers for each file name whether it belongs to clearprop."""

    def __missing__(self, filename: str) -> bool:
        own = self[filename] = filename.startswith(_PACKAGE)
        return own


_is_own = _OwnFiles()


def caller(skip: int = 1) -> Position | None:
    """The innermost place on the call stack that is not inside clearprop, or None if there is none.

    Args:
        skip: how many frames are known to be ours. It saves time: every frame that is looked at must be made an object.
    """
    frame = sys._getframe(skip)
    while _is_own[frame.f_code.co_filename]:
        if frame.f_back is None:
            return None
        frame = frame.f_back
    return frame.f_code, frame.f_lasti


def line_number(position: Position) -> int:
    """The line of a position in its file."""
    code, instruction = position
    start = next(islice(code.co_positions(), instruction // 2, None), (None,))[0]
    return start if start is not None else code.co_firstlineno


def describe(position: Position | None) -> str:
    """A position in words, e.g. ``train.py:31 in MLP.forward: h = x @ self.weight``; empty for None."""
    if position is None:
        return ""
    code, line = position[0], line_number(position)
    text = linecache.getline(code.co_filename, line).strip()
    place = f"{Path(code.co_filename).name}:{line}"
    if code.co_name != "<module>":
        place += f" in {code.co_qualname.replace('<locals>.', '')}"
    if len(text) > _LONGEST_TEXT:
        text = text[: _LONGEST_TEXT - 1] + "…"
    return f"{place}: {text}" if text else place
