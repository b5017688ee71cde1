"""JSON lines: a file of records that grows line by line, and can be read at any moment, also while it is written.

Each line is a JSON object. A line is appended with one write and handed to the system at once, so that a program that
is killed loses nothing; what a failed write has left of it is taken away again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

from clearprop.arguments import as_path
from clearprop.errors import DataError
from clearprop.files.atomic import atomic_write, write_error

Record = dict[str, Any]


class LineFile:
    r"""A file of JSON lines to which this process appends.

    >>> import tempfile
    >>> from pathlib import Path
    >>> file = LineFile(Path(tempfile.mkdtemp()) / "notes.jsonl")
    >>> file.replace([{"epoch": 1}])
    >>> file.append([{"epoch": 2}])
    True
    >>> file.path.read_text()
    '{"epoch": 1}\n{"epoch": 2}\n'
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = as_path(path)
        self._size = -1  # after this process's last write

    def replace(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Write a new file in place of what is there; FileError if that cannot be done, and then nothing is changed."""
        content = _encode(records)
        with atomic_write(self.path) as file:
            file.write(content)
        self._size = len(content)

    def append(self, records: Iterable[Mapping[str, Any]]) -> bool:
        """Append lines; False, with nothing done, if the file is not as this process has left it.

        Raises:
            FileError: it cannot be written; it is then as it was before.
        """
        content = _encode(records)
        try:
            if self._size < 0 or self.path.stat().st_size != self._size:
                return False
            with self.path.open("ab", buffering=0) as file:
                self._write(file.fileno(), content)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise write_error(self.path, error) from error
        self._size += len(content)
        return True

    def _write(self, descriptor: int, content: bytes) -> None:
        rest = memoryview(content)
        try:
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        except OSError:
            os.truncate(self.path, self._size)  # half a line, and more after it, could not be read again
            raise


def parse_lines(text: str) -> tuple[list[Record], bool]:
    r"""The objects of JSON lines, and whether the last line was torn and left out.

    Raises:
        DataError: a line before the last is no JSON object; it is named.

    >>> parse_lines('{"epoch": 1}\n{"epo')
    ([{'epoch': 1}], True)
    """
    lines = text.split("\n")
    ends = bool(lines) and not lines[-1]
    lines = lines[:-1] if ends else lines
    records: list[Record] = []
    for index, line in enumerate(lines):
        try:
            record = json.loads(line)
            if not isinstance(record, dict):
                raise ValueError(f"it is a {type(record).__name__}, not an object")
        except (ValueError, RecursionError) as error:
            if index == len(lines) - 1:
                return records, True
            raise DataError(f"line {index + 1} is no JSON object: {error}", hint="use a copy that is whole") from error
        records.append(record)
    return records, False


def dump_lines(records: Iterable[Mapping[str, Any]]) -> str:
    """Records as text, a line for each."""
    return "".join(json.dumps(record, allow_nan=False) + "\n" for record in records)


def _encode(records: Iterable[Mapping[str, Any]]) -> bytes:
    return dump_lines(records).encode()
