"""What the commands that read records of runs share: warnings as notes, and pages that may be written over."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from clearprop.cli import terminal
from clearprop.errors import UsageError

T = TypeVar("T")

_PAGE = b"<!doctype html>"


def noting(work: Callable[[], T]) -> T:
    """Do the work, and say on stderr what it warns of, without file names and line numbers of the library.

    >>> noting(lambda: 3)
    3
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        result = work()
    for one in caught:
        terminal.complain(f"note: {one.message}")
    return result


def check_page(path: str | Path) -> None:
    """Raise UsageError for a file that is there and no page: in ``-o a.jsonl b.jsonl`` a run would be written over."""
    if not Path(path).is_file():
        return
    with Path(path).open("rb") as file:
        if file.read(len(_PAGE)).lower() not in (b"", _PAGE):
            raise UsageError(f"{path} is no HTML page, and is not written over", hint="-o page.html")
