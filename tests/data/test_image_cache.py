"""The cache of decoded images: used when it can be, made again when it cannot, and never half written."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.data.pictures import PICTURES, STACKED, encoded, make_folder, make_zip, pixels

from clearprop.data import ImageFolder, decoding
from clearprop.errors import DataError, FileError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLEARPROP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the pictures that have been decoded."""
    names: list[str] = []
    decode = decoding.Decoder.decode

    def counted(self: decoding.Decoder, content: bytes, name: str) -> Any:
        names.append(name)
        return decode(self, content, name)

    monkeypatch.setattr(decoding.Decoder, "decode", counted)
    return names


@pytest.fixture(params=[make_folder, make_zip], ids=["folder", "zip"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return request.param(tmp_path / "pictures.zip", PICTURES)


def the_file(cache: Path, name: str) -> Path:
    (path,) = cache.rglob(name)
    return path


def test_pictures_are_decoded_once_and_then_mapped(place: Path, decoded: list[str]) -> None:
    ImageFolder(place)
    count = len(decoded)
    again = ImageFolder(place)
    np.testing.assert_array_equal(again.images, STACKED)
    assert again.files == ["cat/a.png", "cat/b.png", "dog/c.png"]
    assert len(decoded) == count >= 3
    assert isinstance(again.images.base, np.memmap)
    assert not again.images.flags.writeable


def test_the_progress_is_shown_on_stderr(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ImageFolder(place)
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "decoding pictures" in captured.err
    assert "3/3" in captured.err
    ImageFolder(place)
    assert capfd.readouterr().err == ""


def test_a_changed_place_is_decoded_again(place: Path) -> None:
    ImageFolder(place)
    make = make_folder if place.is_dir() else make_zip
    make(place, {**PICTURES, "dog/c.png": encoded(pixels(7, 4, 4)), "dog/d.png": encoded(pixels(8))})
    os.utime(place if place.is_file() else place / "dog" / "c.png", ns=(10**18, 10**18))
    dataset = ImageFolder(place)
    assert dataset.files[-1] == "dog/d.png"
    np.testing.assert_array_equal(dataset.images[2:], [pixels(7), pixels(8)])


def test_a_removed_picture_is_missed(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "pictures", PICTURES)
    ImageFolder(folder)
    (folder / "cat" / "a.png").unlink()
    assert ImageFolder(folder).files == ["cat/b.png", "dog/c.png"]


def test_every_way_to_decode_has_a_cache_of_its_own(place: Path) -> None:
    shapes = [ImageFolder(place, **how).images.shape for how in ({}, {"mode": "L"}, {"resize": 2}, {"resize": (2, 3)})]
    assert shapes == [(3, 3, 4, 4), (3, 1, 4, 4), (3, 3, 2, 2), (3, 3, 2, 3)]
    assert ImageFolder(place).images.shape == (3, 3, 4, 4)


def garbled(content: bytes, position: int) -> bytes:
    return content[:position] + bytes([content[position] ^ 255]) + content[position + 1 :]


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("images.npy", lambda content: content[:-1]),
        ("images.npy", lambda content: content + b"\0"),
        ("images.npy", lambda content: b""),
        ("images.npy", lambda content: bytes(len(content))),
        ("images.npy", lambda content: garbled(content, 20)),  # in its header
        ("images.npy", lambda content: garbled(content, len(content) - 1)),  # a pixel
        ("index.json", lambda content: content[:-5]),
        ("index.json", lambda content: b"\xff\xfe"),
        ("index.json", lambda content: b"[]"),
        ("index.json", lambda content: b"{}"),
        ("index.json", lambda content: json.dumps(json.loads(content) | {"shape": [3, 3, 16, 1]}).encode()),
    ],
)
def test_a_damaged_cache_is_made_again(place: Path, cache: Path, name: str, damage: Any) -> None:
    ImageFolder(place)
    path = the_file(cache, name)
    path.write_bytes(damage(path.read_bytes()))
    np.testing.assert_array_equal(ImageFolder(place).images, STACKED)
    np.testing.assert_array_equal(np.load(the_file(cache, "images.npy")), STACKED)


@pytest.mark.parametrize("name", ["images.npy", "index.json"])
def test_a_cache_that_lacks_a_file_is_made_again(place: Path, cache: Path, name: str) -> None:
    ImageFolder(place)
    the_file(cache, name).unlink()
    np.testing.assert_array_equal(ImageFolder(place).images, STACKED)


def test_a_cache_that_was_only_copied_is_good(place: Path, cache: Path, decoded: list[str]) -> None:
    ImageFolder(place)
    count, path = len(decoded), the_file(cache, "images.npy")
    os.utime(path, ns=(10**18, 10**18))
    ImageFolder(place)
    assert len(decoded) == count
    assert path.stat().st_mtime_ns != 10**18  # the checksum need not be computed the next time


def test_a_broken_picture_leaves_no_cache(tmp_path: Path, cache: Path) -> None:
    folder = make_folder(tmp_path / "pictures", {**PICTURES, "dog/d.png": b"broken"})
    with pytest.raises(DataError, match=r"dog/d.png"):
        ImageFolder(folder)
    assert list(cache.rglob("*")) == [cache / "images"]
    (folder / "dog" / "d.png").unlink()
    assert len(ImageFolder(folder)) == 3


def test_a_cache_that_cannot_be_written_is_an_error_before_anything_is_decoded(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoded: list[str]
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("CLEARPROP_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(FileError, match=r"the cache .*file/cache.* cannot be written: Not a directory") as caught:
        ImageFolder(place)
    assert "CLEARPROP_CACHE" in caught.value.hint
    assert "cache=False" in caught.value.hint
    assert decoded == []
    assert len(ImageFolder(place, cache=False)) == 3


def test_a_disk_that_is_full_is_an_error(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(file: Any, header: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array_header_1_0", no_space)
    with pytest.raises(FileError, match="No space left on device"):
        ImageFolder(place)
