"""What the commands that read runs share: where weights are, warnings as notes, pages that may be written over."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from clearprop.cli import terminal
from clearprop.errors import FileError, UsageError
from clearprop.recipes.running import CHECKPOINT, WEIGHTS

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


def weights_of(run: Path) -> Path:
    """The file with the weights of a run: of a folder the one in it; FileError if there is none."""
    if not run.is_dir():
        return run
    if not (run / WEIGHTS).exists():
        unfinished = (run / CHECKPOINT).exists()
        raise FileError(
            f"{run} holds no {WEIGHTS}" + (": its training has not come to its end" if unfinished else ""),
            hint=f"clearprop train --resume {run}" if unfinished else "the folder of a run, such as runs/digits-…",
        )
    return run / WEIGHTS
