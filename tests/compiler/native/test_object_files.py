"""Machine code on the disk: it is found again, and nothing that happens to the files harms anybody."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.compiler.native.test_native import native

import clearprop as cp
from clearprop.compiler.native import kernel_code, object_files
from clearprop.compiler.native.object_files import ObjectFiles

X = np.linspace(-2, 2, 35, dtype=np.float32).reshape(5, 7)


def network(x: Any) -> Any:
    """A loop nest, a product, a reduction, a loop, and positions that are data."""
    h = cp.tanh(x @ cp.permute_dims(x, (1, 0)))
    last, _ = cp.scan(lambda carry, row: (cp.sin(carry) + row, carry), h[0], h)
    return [last, cp.sum(h, axis=0), h[cp.asarray([3, 1])]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, which no function of another test has left loaded."""
    monkeypatch.setenv("CLEARPROP_CACHE", str(tmp_path))
    monkeypatch.delenv("CLEARPROP_CODE_CACHE", raising=False)
    monkeypatch.setattr(kernel_code, "_KNOWN", {})
    return tmp_path / "code"


def compiled(monkeypatch: pytest.MonkeyPatch) -> int:
    """Run the network as a new process would; returns how many functions had to be compiled."""
    monkeypatch.setattr(kernel_code, "_KNOWN", {})
    program = native(network, X)
    for found, expected in zip(program([X]), network(cp.asarray(X)), strict=True):
        np.testing.assert_allclose(found, np.asarray(expected), rtol=1e-5, atol=1e-6)
    return program.code.effort.compiled


def test_what_has_been_compiled_is_found_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = compiled(monkeypatch)
    assert len(list(folder.iterdir())) >= first > 5
    assert compiled(monkeypatch) == 0


def test_another_process_finds_it(folder: Path) -> None:
    script = (
        "import numpy as np, clearprop as cp, sys; sys.path.insert(0, '.')\n"
        "from tests.compiler.native.test_object_files import X, network\n"
        "from tests.compiler.native.test_native import native\n"
        "program = native(network, X)\n"
        "print(program.code.effort.compiled, float(np.sum(program([X])[0])))"
    )
    runs = [
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
        for _ in range(2)
    ]
    assert int(runs[0][0]) > 5
    assert int(runs[1][0]) == 0
    assert runs[0][1] == runs[1][1]


def test_programs_share_what_is_loaded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEARPROP_CODE_CACHE", "0")
    first, second = native(network, X), native(network, X)
    assert (first.code.effort.compiled > 5, second.code.effort.compiled) == (True, 0)
    assert not folder.exists(), "it is turned off"


@pytest.mark.parametrize("damage", [b"", b"not code at all", None], ids=["empty", "foreign", "cut off"])
def test_damaged_files_are_replaced(damage: bytes | None, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = compiled(monkeypatch)
    contents = {path: path.read_bytes() for path in folder.iterdir()}
    for path, content in contents.items():
        path.write_bytes(content[:-1] if damage is None else damage)
    assert compiled(monkeypatch) == count
    assert {path: path.read_bytes() for path in folder.iterdir()} == contents


def test_what_calls_a_function_that_is_gone_is_compiled_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled(monkeypatch)
    shared = list(folder.glob("shared_*"))
    assert shared, "the product and others are functions that kernels call"
    for path in shared:
        path.unlink()
    assert compiled(monkeypatch) > 0
    assert compiled(monkeypatch) == 0


def test_the_folder_is_the_owners_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled(monkeypatch)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_a_folder_that_others_can_write_to_is_not_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    count = compiled(monkeypatch)
    assert compiled(monkeypatch) == count > 0
    assert list(folder.iterdir()) == []


def test_no_place_to_write_is_no_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.write_text("a file is where the folder should be")
    assert compiled(monkeypatch) > 0


def test_no_home_is_no_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEARPROP_CACHE", "~nobody-of-that-name/cache")
    assert compiled(monkeypatch) > 0


def test_a_full_disk_is_no_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> int:
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert compiled(monkeypatch) > 0
    assert list(folder.iterdir()) == [], "nothing half written is left"


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    files = ObjectFiles(tmp_path / "code", most_bytes=10_000)
    for i in range(30):
        files.store(f"kernel_{i}", bytes(1000))
        os.utime(tmp_path / "code" / f"kernel_{i}.code", (i, i))
        assert files.load("kernel_0") is not None, "it is used all the time"
    assert sum(path.stat().st_size for path in (tmp_path / "code").iterdir()) <= 12_000
    assert files.load("kernel_29") == bytes(1000)
    assert files.load("kernel_1") is None


def test_what_killed_writers_left_is_removed(tmp_path: Path) -> None:
    files = ObjectFiles(tmp_path, most_bytes=1000)
    old, new = tmp_path / "kernel.code.1.tmp", tmp_path / "kernel.code.2.tmp"
    old.touch()
    new.touch()
    os.utime(old, (0, 0))
    files.store("kernel", bytes(100))
    assert (old.exists(), new.exists()) == (False, True)


def test_code_of_another_version_is_not_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = compiled(monkeypatch)
    monkeypatch.setattr(kernel_code, "version", lambda: "another")
    assert compiled(monkeypatch) == count
    assert object_files.version() == object_files.version()


def test_memory_is_given_back(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import weakref

    known: Any = weakref.WeakValueDictionary()
    monkeypatch.setattr(kernel_code, "_KNOWN", known)
    program = native(network, X)
    assert len(known) > 5
    del program
    assert len(known) == 0
