"""IDX files: read strictly, so that a damaged one is never taken for data."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from clearprop.data import read_idx, write_idx
from clearprop.errors import DataError, FileError

# The example of the format's description, byte by byte: two images of 2 x 3 pixels.
CONTENT = bytes.fromhex("00000803 00000002 00000002 00000003 000102030405 060708090a0b")
ARRAY = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "images-idx3-ubyte"


@pytest.mark.parametrize("content", [CONTENT, gzip.compress(CONTENT)], ids=["plain", "gzip"])
def test_the_array_is_what_the_bytes_say(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    found = read_idx(path)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, ARRAY)
    found[0] = 0  # it is the caller's own


def test_writing_gives_the_bytes_of_the_format(path: Path) -> None:
    write_idx(path, ARRAY)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "float32", "float64"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 4), (2, 3, 4, 5)])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_what_is_read_is_what_was_written(tmp_path: Path, dtype: str, shape: tuple[int, ...], suffix: str) -> None:
    array = np.random.default_rng(0).normal(scale=50, size=shape).astype(dtype)
    write_idx(tmp_path / f"any{suffix}", array)
    found = read_idx(tmp_path / f"any{suffix}")
    assert found.dtype == dtype
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, array)
    assert found.shape == shape


def test_other_dtypes_cannot_be_written(path: Path) -> None:
    with pytest.raises(DataError, match="cannot hold dtype int64"):
        write_idx(path, np.arange(3))


def test_a_file_truncated_anywhere_is_an_error_that_names_it(path: Path) -> None:
    for length in range(len(CONTENT)):
        path.write_bytes(CONTENT[:length])
        with pytest.raises(DataError, match=r"images-idx3-ubyte is (truncated|not an IDX file)") as caught:
            read_idx(path)
        assert caught.value.hint


def test_a_compressed_file_truncated_anywhere_is_an_error_that_names_it(path: Path) -> None:
    content = gzip.compress(CONTENT)
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(DataError, match=r"images-idx3-ubyte is (damaged|not an IDX file)"):
            read_idx(path)


def test_a_changed_pixel_in_a_compressed_file_is_found(path: Path) -> None:
    content = bytearray(gzip.compress(CONTENT, compresslevel=0))
    content[content.index(b"\x07\x08")] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="is damaged: CRC check failed"):
        read_idx(path)


def test_bytes_left_over_are_an_error(path: Path) -> None:
    path.write_bytes(CONTENT + b"\0")
    with pytest.raises(DataError, match=r"bytes left over: its header promises shape \(2, 2, 3\) .* 12 bytes, and 13"):
        read_idx(path)


def test_a_header_that_promises_more_than_any_memory_holds(path: Path) -> None:
    path.write_bytes(bytes.fromhex("00000e04" + "ffffffff" * 4))
    with pytest.raises(DataError, match="is truncated"):
        read_idx(path)


@pytest.mark.parametrize("begin", ["00000703", "01000803", "89504e47"], ids=["type", "magic", "a picture"])
def test_another_kind_of_file_is_an_error(path: Path, begin: str) -> None:
    path.write_bytes(bytes.fromhex(begin) + CONTENT[4:])
    with pytest.raises(DataError, match=f"not an IDX file: it begins with {bytes.fromhex(begin).hex(' ')}"):
        read_idx(path)


def test_a_missing_file_is_an_error(path: Path) -> None:
    with pytest.raises(FileError, match="No such file"):
        read_idx(path)
