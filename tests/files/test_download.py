"""Downloads, from a server on this machine that can be made to behave badly."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from clearprop.caches import cache_folder
from clearprop.errors import FileError
from clearprop.files import download as module
from clearprop.files.download import download

CONTENT = np.random.default_rng(0).bytes(1_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves `content` at every path, and can break off, ignore ranges, or answer with an error status."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.break_off_after: list[int] = []  # for each of the next requests, after how many bytes it is cut
        self.knows_ranges = True
        self.status: int | None = None
        self.requests: list[tuple[str, str | None]] = []

    def url(self, name: str = "file") -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{name}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers["Range"]
        self.server.requests.append((self.path, asked))
        if self.server.status is not None:
            self.send_error(self.server.status)
            return
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.server.knows_ranges else 0
        if start and start >= len(self.server.content):
            self.send_error(416)
            return
        rest = self.server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        cut = self.server.break_off_after.pop(0) if self.server.break_off_after else len(rest)
        self.wfile.write(rest[:cut])

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSE_SECONDS", 0.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "file"


def parts(path: Path) -> list[Path]:
    return list(path.parent.glob("*.part"))


def test_the_file_arrives_whole_with_progress_on_stderr(
    server: Server, path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert download([server.url()], path, sha256=SHA256) == path
    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "file" in captured.err
    assert "1.0/1.0 MB" in captured.err


def test_a_file_that_is_there_is_not_asked_for(server: Server, path: Path) -> None:
    download([server.url()], path, sha256=SHA256)
    download([server.url()], path, sha256=SHA256)
    assert len(server.requests) == 1


def test_what_breaks_off_is_resumed_as_long_as_more_arrives(server: Server, path: Path) -> None:
    server.break_off_after = [300_000, 200_000, 100_000]
    download([server.url()], path, sha256=SHA256)
    assert path.read_bytes() == CONTENT
    assert [asked for _, asked in server.requests] == [None, "bytes=300000-", "bytes=500000-", "bytes=600000-"]


def test_the_next_call_goes_on_where_the_last_gave_up(server: Server, path: Path) -> None:
    server.break_off_after = [300_000] + [0] * 10
    with pytest.raises(FileError, match="broke off after 300,000 of 1,000,000 bytes"):
        download([server.url()], path, sha256=SHA256)
    assert not path.exists()
    assert len(parts(path)) == 1

    server.break_off_after = []
    server.requests.clear()
    download([server.url()], path, sha256=SHA256)
    assert path.read_bytes() == CONTENT
    assert server.requests == [("/file", "bytes=300000-")]
    assert parts(path) == []


def test_a_server_without_ranges_sends_all_again(server: Server, path: Path) -> None:
    server.knows_ranges = False
    server.break_off_after = [300_000]
    download([server.url()], path, sha256=SHA256)
    assert path.read_bytes() == CONTENT


def test_a_part_that_was_whole_already_is_used(server: Server, path: Path) -> None:
    server.break_off_after = [300_000] + [0] * 10
    with pytest.raises(FileError):
        download([server.url()], path, sha256=SHA256)
    parts(path)[0].write_bytes(CONTENT)  # as if the process had been killed just before the rename
    download([server.url()], path, sha256=SHA256)
    assert path.read_bytes() == CONTENT


def test_a_damaged_part_is_thrown_away(server: Server, path: Path) -> None:
    server.break_off_after = [300_000] + [0] * 10
    with pytest.raises(FileError):
        download([server.url()], path, sha256=SHA256)
    parts(path)[0].write_bytes(b"?" * 300_000)
    server.break_off_after = []
    download([server.url()], path, sha256=SHA256)
    assert path.read_bytes() == CONTENT


def test_the_wrong_content_never_gets_the_name(server: Server, path: Path) -> None:
    server.content = b"<html>please log in</html>"
    with pytest.raises(FileError, match="what it sends has the SHA-256") as caught:
        download([server.url()], path, sha256=SHA256)
    assert server.url() in str(caught.value)
    assert list(path.parent.iterdir()) == []


def test_the_checksum_of_a_compressed_file_is_that_of_its_content(server: Server, path: Path) -> None:
    path = path.with_name("file.gz")
    for level in (1, 9):  # mirrors compress differently
        server.content = gzip.compress(CONTENT, compresslevel=level)
        download([server.url()], path, sha256=SHA256)
        assert gzip.decompress(path.read_bytes()) == CONTENT
        path.unlink()


def test_the_checksum_may_be_that_of_the_compressed_file_itself(server: Server, path: Path) -> None:
    server.content = gzip.compress(CONTENT)
    path, found = path.with_name("archive.tar.gz"), hashlib.sha256(server.content).hexdigest()
    with pytest.raises(FileError, match=f"what it sends has the SHA-256 {found}"):
        download([server.url()], path, sha256=SHA256, compressed=False)
    download([server.url()], path, sha256=found, compressed=False)
    assert path.read_bytes() == server.content


def test_a_damaged_compressed_file_is_refused(server: Server, path: Path) -> None:
    server.content = gzip.compress(CONTENT)[:-10]
    with pytest.raises(FileError, match="what it sends is damaged"):
        download([server.url()], path.with_name("file.gz"), sha256=SHA256)
    assert list(path.parent.iterdir()) == []


def test_the_next_mirror_is_asked_if_one_fails(server: Server, path: Path) -> None:
    server.break_off_after = [0]
    download([server.url("first"), server.url("second")], path, sha256=SHA256)
    assert path.read_bytes() == CONTENT
    assert [name for name, _ in server.requests] == ["/first", "/second"]


def test_without_a_network_the_error_names_every_mirror_and_a_way_out(server: Server, path: Path) -> None:
    url = server.url()
    server.server_close()  # nothing listens there any more
    with pytest.raises(FileError) as caught:
        download([url, "http://nowhere.invalid/file"], path, sha256=SHA256)
    assert f"{url}: Connection refused" in str(caught.value)
    assert "http://nowhere.invalid/file: " in str(caught.value)
    assert f"put the file at {path} yourself" in caught.value.hint


def test_an_error_status_is_shown(server: Server, path: Path) -> None:
    server.status = 403
    with pytest.raises(FileError, match="the server answers 403 Forbidden"):
        download([server.url()], path, sha256=SHA256)


def test_a_folder_that_cannot_be_made(server: Server, tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"a file")
    with pytest.raises(FileError, match="cannot write"):
        download([server.url()], tmp_path / "cache" / "file", sha256=SHA256)


DOWNLOAD = """
import sys
from clearprop.files.download import download

download([sys.argv[1]], sys.argv[2], sha256=sys.argv[3])
"""


def test_processes_that_want_the_same_file_get_it_once(server: Server, path: Path) -> None:
    command = [sys.executable, "-c", DOWNLOAD, server.url(), str(path), SHA256]
    processes = [subprocess.Popen(command, stderr=subprocess.DEVNULL) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert path.read_bytes() == CONTENT
    assert len(server.requests) == 1


def test_a_full_disk_keeps_what_has_arrived(server: Server, path: Path) -> None:
    pytest.importorskip("resource", reason="the limit that stands for a full disk is Unix's")
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))" + DOWNLOAD
    command = [sys.executable, "-c", limited, server.url(), str(path), SHA256]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    assert "File too large" in done.stderr
    assert "Try: free some space" in done.stderr
    download([server.url()], path, sha256=SHA256)
    assert path.read_bytes() == CONTENT
    assert server.requests[-1] == ("/file", "bytes=300000-")


def test_the_cache_is_where_the_system_or_the_user_wants_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CLEARPROP_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("CLEARPROP_CACHE")
    if sys.platform == "linux":
        monkeypatch.setenv("XDG_CACHE_HOME", os.fspath(tmp_path / "xdg"))
        assert cache_folder() == tmp_path / "xdg" / "clearprop"
