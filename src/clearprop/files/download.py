"""Downloads: from several mirrors, resumed where they broke off, checked, and in place only when whole.

What has arrived is kept beside the target in ``<name>.<mirror>.part``, one per mirror because their compressed bytes
may differ. The checksum of the content decides whether a file is good, so a part never needs to be trusted.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import io
import os
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from clearprop.errors import FileError
from clearprop.files.atomic import sync_folder, write_error

_ROUNDS = 2  # how often all mirrors are asked
_PAUSE_SECONDS = 1.0  # between the rounds, for a network that stumbles
_TIMEOUT_SECONDS = 30.0
_CHUNK_BYTES = 1 << 16


class _UnavailableError(Exception):
    """A mirror did not give the file; the message says why."""


def download(urls: Sequence[str], path: str | os.PathLike[str], *, sha256: str, compressed: bool | None = None) -> Path:
    """Get a file from the first mirror that has it, with a progress bar on stderr; nothing to do if it is there.

    Args:
        urls: mirrors, the preferred one first.
        path: where the file goes; missing folders are made.
        sha256: checksum, in hexadecimal, of the content; of the decompressed content if the file is `compressed`.
        compressed: whether it is the content behind gzip that counts, which mirrors may have compressed differently; by
            default if `path` ends in ``.gz``.

    Returns:
        the path.

    Raises:
        FileError: no mirror gave the right content (the message names each with the reason), or it cannot be written.
            What has arrived is kept, and the next call goes on from there.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone_in(target.parent):
            if not target.exists():  # else another process got it while this one waited
                _download(urls, target, sha256, target.suffix == ".gz" if compressed is None else compressed)
    except FileError:
        raise
    except OSError as error:  # those of the network have become _UnavailableError
        raise write_error(target, error) from error
    return target


def _download(urls: Sequence[str], target: Path, sha256: str, compressed: bool) -> None:
    failures: dict[str, str] = {}
    for attempt in range(_ROUNDS):
        time.sleep(_PAUSE_SECONDS if attempt else 0.0)
        for url in urls:
            part = _part_of(target, url)
            try:
                _complete(url, part, target.name)
                _check_content(part, sha256, compressed=compressed)
            except _UnavailableError as reason:
                failures[url] = str(reason)
                continue
            part.replace(target)
            sync_folder(target.parent)
            for other in urls:
                _part_of(target, other).unlink(missing_ok=True)
            return
    reasons = "".join(f"\n  {url}: {reason}" for url, reason in failures.items())
    raise FileError(
        f"could not download {target.name}:{reasons}",
        hint=f"check the network and run it again, or put the file at {target} yourself",
    )


def _part_of(target: Path, url: str) -> Path:
    return target.with_name(f"{target.name}.{hashlib.sha256(url.encode()).hexdigest()[:8]}.part")


def _complete(url: str, part: Path, name: str) -> None:
    """Fetch what `part` still lacks, again and again as long as each try brings some of it."""
    while True:
        before = _size(part)
        try:
            return _fetch_rest(url, part, name)
        except _UnavailableError:
            if _size(part) <= before:
                raise


def _fetch_rest(url: str, part: Path, name: str) -> None:
    """Append to `part` what follows its bytes; start over if the server sends the whole file."""
    have = _size(part)
    response = _request(url, have)
    if response is None:
        return
    with response:
        if response.status != http.client.PARTIAL_CONTENT:
            have = 0
        total = None if response.length is None else have + response.length
        with _progress(name, have, total) as progress, part.open("ab" if have else "wb") as file:
            for chunk in _chunks(response):
                file.write(chunk)
                progress.advance(progress.task_ids[0], len(chunk))
            file.flush()
            os.fsync(file.fileno())
    if total is not None and _size(part) < total:
        raise _UnavailableError(f"the connection broke off after {_size(part):,} of {total:,} bytes")


def _request(url: str, have: int) -> http.client.HTTPResponse | None:
    """The answer to a request for what follows the first `have` bytes; None if nothing does."""
    headers = {"User-Agent": "clearprop"} | ({"Range": f"bytes={have}-"} if have else {})
    request = urllib.request.Request(url, headers=headers)
    try:
        response: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        error.close()
        if have and error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            return None  # it was whole already; if it was not, the checksum will tell
        raise _UnavailableError(f"the server answers {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        raise _UnavailableError(_in_words(error)) from error
    return response


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """What arrives, as it arrives; only errors of the network become _UnavailableError, not those of the disk."""
    while True:
        try:
            chunk = response.read1(_CHUNK_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise _UnavailableError(_in_words(error)) from error
        if not chunk:
            return
        yield chunk


def _in_words(error: Exception) -> str:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__


def _check_content(part: Path, sha256: str, *, compressed: bool) -> None:
    """Remove `part` and raise _UnavailableError if its content is not the expected."""
    try:
        with _open_content(part, compressed) as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        reason = f"what it sends is damaged: {error}"
    else:
        if found == sha256:
            return
        reason = f"what it sends has the SHA-256 {found}, not {sha256}"
    part.unlink()
    raise _UnavailableError(reason)


def _open_content(part: Path, compressed: bool) -> gzip.GzipFile | io.BufferedReader:
    return gzip.open(part) if compressed else part.open("rb")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _progress(name: str, have: int, total: int | None) -> Progress:
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    progress.add_task(name, total=total, completed=have)
    return progress


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """One process at a time downloads into a folder; where the system cannot lock it, the checksum still guards."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems do not lock folders
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
