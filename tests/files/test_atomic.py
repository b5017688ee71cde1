"""Writing whole files: whatever happens, the file is the old one or the new one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clearprop.errors import FileError
from clearprop.files import atomic_write


def write(path: Path, content: bytes) -> None:
    with atomic_write(path) as file:
        file.write(content)


def test_the_new_file_takes_the_place_of_the_old(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    write(path, b"old")
    write(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_seen_before_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    with atomic_write(path) as file:
        file.write(b"new")
        file.flush()
        assert not path.exists()
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("interruption", [ZeroDivisionError, KeyboardInterrupt])
def test_an_exception_leaves_the_old_file_and_no_temporary(tmp_path: Path, interruption: type[BaseException]) -> None:
    path = tmp_path / "weights"
    write(path, b"old")
    with pytest.raises(interruption), atomic_write(path) as file:
        file.write(b"half of the n")
        raise interruption
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


WRITE_WITHOUT_SPACE = """
import resource, sys
from clearprop.errors import FileError
from clearprop.files import atomic_write

resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # the system refuses to write more, as on a full disk
try:
    with atomic_write(sys.argv[1]) as file:
        file.write(b"n" * 100_000)
except FileError as error:
    print(error)
"""


def test_a_full_disk_leaves_the_old_file_and_no_temporary(tmp_path: Path) -> None:
    pytest.importorskip("resource", reason="the limit that stands for a full disk is Unix's")
    path = tmp_path / "weights"
    write(path, b"old")
    done = subprocess.run([sys.executable, "-c", WRITE_WITHOUT_SPACE, path], capture_output=True, text=True, check=True)
    assert f"cannot write {path}: File too large; nothing that was saved before has changed" in done.stdout
    assert "Try: free some space" in done.stdout
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


WRITE_SLOWLY = """
import sys, time
from clearprop.files import atomic_write

with atomic_write(sys.argv[1]) as file:
    file.write(b"n" * 100_000)
    print("half", flush=True)
    time.sleep(60)
"""


def test_a_kill_leaves_the_old_file_and_the_next_day_no_temporary(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    write(path, b"old")
    with subprocess.Popen([sys.executable, "-c", WRITE_SLOWLY, path], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    assert path.read_bytes() == b"old"

    (abandoned,) = set(tmp_path.iterdir()) - {path}
    write(path, b"new")
    assert abandoned.exists()  # it might be that of another process, still at work
    yesterday = time.time() - 24 * 3600
    os.utime(abandoned, (yesterday, yesterday))
    write(path, b"newer")
    assert list(tmp_path.iterdir()) == [path]


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    target, link = tmp_path / "runs" / "best", tmp_path / "latest"
    link.symlink_to(target)
    write(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    path, ordinary = tmp_path / "weights", tmp_path / "ordinary"
    write(path, b"new")
    ordinary.write_bytes(b"new")
    assert path.stat().st_mode == ordinary.stat().st_mode


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"runs/weights: its folder does not exist") as caught:
        write(tmp_path / "runs" / "weights", b"new")
    assert caught.value.hint == f"mkdir -p {tmp_path / 'runs'}"


def test_a_folder_or_a_device_is_not_replaced(tmp_path: Path) -> None:
    for path in (tmp_path, Path(os.devnull)):
        with pytest.raises(FileError, match="not a regular file"):
            write(path, b"new")
