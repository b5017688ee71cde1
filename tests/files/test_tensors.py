"""Tensors in files: what is loaded is what was saved, or an error says why not."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from clearprop.errors import ClearpropError, FileError, UsageError
from clearprop.files import load, load_metadata, save

DTYPES = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32"]
DTYPES += ["float64", ">f4", ">i8"]


@given(
    arrays=st.dictionaries(
        st.text(st.characters(codec="utf-8"), max_size=8).filter(lambda name: name != "__metadata__"),
        st.sampled_from(DTYPES).flatmap(
            lambda dtype: npst.arrays(dtype, npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
        ),
        max_size=4,
    ),
    metadata=st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=8), st.text(st.characters(codec="utf-8"))),
)
def test_what_is_loaded_is_what_was_saved(
    tmp_path_factory: pytest.TempPathFactory, arrays: dict[str, Any], metadata: dict[str, str]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    save(path, arrays, metadata)
    loaded = load(path)
    assert loaded.keys() == arrays.keys()
    for name, array in arrays.items():
        assert loaded[name].dtype == array.dtype.newbyteorder("=")
        np.testing.assert_array_equal(loaded[name], array, strict=False)
        assert loaded[name].shape == array.shape
    assert load_metadata(path) == metadata


@pytest.mark.parametrize(
    "value", [np.arange(12.0).reshape(3, 4).T, np.arange(12.0)[::-2], np.asfortranarray(np.eye(3))]
)
def test_arrays_that_do_not_lie_in_one_piece(tmp_path: Path, value: Any) -> None:
    save(tmp_path / "x", {"x": value})
    np.testing.assert_array_equal(load(tmp_path / "x")["x"], value)


def test_nan_and_infinity_keep_their_bits(tmp_path: Path) -> None:
    values = np.array([math.nan, math.inf, -math.inf, -0.0, 5e-324])
    save(tmp_path / "x", {"x": values})
    assert load(tmp_path / "x")["x"].tobytes() == values.tobytes()


def test_numbers_and_whatever_has_a_numpy_method(tmp_path: Path) -> None:
    class Wrapped:
        def numpy(self) -> Any:
            return np.ones(2)

    save(tmp_path / "x", {"count": 3, "rate": 0.5, "wrapped": Wrapped()})
    loaded = load(tmp_path / "x")
    assert loaded["count"] == 3
    assert loaded["count"].shape == ()
    assert loaded["rate"] == 0.5
    np.testing.assert_array_equal(loaded["wrapped"], np.ones(2))


def test_equal_tensors_give_equal_files(tmp_path: Path) -> None:
    tensors = {"b": np.ones(3), "a": np.eye(2)}
    metadata = {"step": "1", "epoch": "2", "model": "tiny", "rate": "0.1"}
    save(tmp_path / "first", tensors, metadata)
    save(tmp_path / "second", dict(reversed(tensors.items())), dict(reversed(metadata.items())))
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_other_programs_read_our_files_and_we_read_theirs(tmp_path: Path) -> None:
    weights = {"weight": np.eye(3, dtype=np.float32)}
    save(tmp_path / "ours", weights, {"format": "np"})
    np.testing.assert_array_equal(safetensors.numpy.load_file(tmp_path / "ours")["weight"], np.eye(3))

    safetensors.numpy.save_file(weights, tmp_path / "theirs", metadata={"format": "pt"})
    np.testing.assert_array_equal(load(tmp_path / "theirs")["weight"], np.eye(3))
    assert load_metadata(tmp_path / "theirs") == {"format": "pt"}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "weights.safetensors"
    save(path, {"w": np.arange(3.0), "b": np.float32(1)}, {"epoch": "7"})
    return path


@pytest.mark.parametrize("read", [load, load_metadata])
def test_a_file_truncated_anywhere_is_an_error_that_names_it(saved: Path, read: Any) -> None:
    content = saved.read_bytes()
    for length in range(len(content)):
        saved.write_bytes(content[:length])
        with pytest.raises(FileError, match=r"weights\.safetensors is damaged") as caught:
            read(saved)
        assert caught.value.hint


def test_bytes_left_over_are_an_error(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes() + b"\0")
    with pytest.raises(FileError, match=r"weights\.safetensors is damaged"):
        load(saved)


def test_every_changed_byte_is_found(saved: Path) -> None:
    content = saved.read_bytes()
    label = content.index(b"clearprop.sha256")  # with another name, it is a file of a program that knows no checksum
    for position in set(range(len(content))) - set(range(label, label + 16)):
        changed = bytearray(content)
        changed[position] ^= 1
        saved.write_bytes(changed)
        with pytest.raises(FileError, match=r"weights\.safetensors is damaged"):
            load(saved)


def test_a_dtype_that_numpy_lacks(tmp_path: Path) -> None:
    header = b'{"w": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}}'
    (tmp_path / "x").write_bytes(struct.pack("<Q", len(header)) + header + b"\0\0")
    with pytest.raises(FileError, match="x holds a tensor of dtype BF16"):
        load(tmp_path / "x")


@pytest.mark.parametrize("value", [np.array(["text"]), np.array([{}], dtype=object), np.array(["2024"], dtype="M8[s]")])
def test_what_is_no_number_cannot_be_saved(saved: Path, value: Any) -> None:
    content = saved.read_bytes()
    with pytest.raises(UsageError, match="a tensor cannot be written"):
        save(saved, {"w": value})
    assert saved.read_bytes() == content


def test_metadata_must_be_text(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="metadata 'epoch' is 7, not text"):
        save(tmp_path / "x", {}, {"epoch": 7})


def test_a_missing_file_is_an_error_that_suggests_a_similar_one(saved: Path) -> None:
    with pytest.raises(FileError, match=r"weight\.safetensors: No such file") as caught:
        load(saved.with_name("weight.safetensors"))
    assert caught.value.hint == str(saved)


def test_errors_are_caught_as_oserror_and_as_ours(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Is a directory"):
        load(tmp_path)
    with pytest.raises(ClearpropError):
        load_metadata(tmp_path)
