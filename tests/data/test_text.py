"""Windows of text: where they begin, what follows, and texts that make none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import clearprop.files.download
from clearprop.data import CharTokenizer, DataLoader, TextDataset, read_text, text_file, tiny_shakespeare
from clearprop.errors import DataError, FileError, RangeError, UsageError

TEXT = "the quick brown fox jumps over the lazy dog\n" * 5
TOKENIZER = CharTokenizer.train(TEXT)


@given(length=st.integers(2, 60), block_size=st.integers(1, 20), stride=st.integers(1, 25))
def test_windows_and_the_tokens_that_follow(length: int, block_size: int, stride: int) -> None:
    if length <= block_size:
        return
    dataset = TextDataset(TEXT[:length], TOKENIZER, block_size, stride)
    text = TEXT[:length]
    starts = [start for start in range(0, length, stride) if start + block_size + 1 <= length]
    windows = [tuple(TOKENIZER.decode(tokens) for tokens in dataset[index]) for index in range(len(dataset))]
    expected = [(text[start : start + block_size], text[start + 1 : start + block_size + 1]) for start in starts]
    assert windows == expected
    inputs, targets = dataset.examples_at(np.arange(len(dataset)))
    assert [tuple(map(TOKENIZER.decode, pair)) for pair in zip(inputs, targets, strict=True)] == expected


def test_by_default_each_token_is_predicted_once() -> None:
    dataset = TextDataset(TEXT, TOKENIZER, block_size=8)
    ((_, targets),) = DataLoader(dataset, batch_size=len(dataset))
    assert TOKENIZER.decode(targets.numpy().ravel()) == TEXT[1 : 1 + 8 * len(dataset)]
    assert len(TEXT) - 1 - targets.size < 8


def test_batches_of_windows_are_whole_numbers() -> None:
    inputs, targets = next(iter(DataLoader(TextDataset(TEXT, TOKENIZER, 8), batch_size=4, shuffle=True)))
    assert (inputs.shape, targets.shape) == ((4, 8), (4, 8))
    assert inputs.numpy().dtype == targets.numpy().dtype == np.int64


def test_the_parts_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(TEXT.encode())
    train, validation, whole = (
        text_file(path, part, block_size=4, validation=0.2) for part in ("train", "validation", "all")
    )
    assert train.text + validation.text == whole.text == TEXT
    assert len(train.text) == 176
    assert train.tokenizer.encode(TEXT).tolist() == validation.tokenizer.encode(TEXT).tolist()  # of the whole file


def test_the_line_ends_of_the_file_are_kept_and_its_mark_is_not(tmp_path: Path) -> None:
    (tmp_path / "windows.txt").write_bytes("\ufeffé\r\n".encode())
    assert read_text(tmp_path / "windows.txt") == "é\r\n"
    (tmp_path / "old.txt").write_bytes("é".encode("latin-1"))
    assert read_text(tmp_path / "old.txt", encoding="latin-1") == "é"


# Tiny Shakespeare -------------------------------------------------------------------------------------------


def test_tiny_shakespeare_is_the_published_text(data_folder: Path) -> None:
    train, validation = (tiny_shakespeare(part, block_size=64, folder=data_folder) for part in ("train", "validation"))
    assert (len(train.tokens), len(validation.tokens)) == (1_003_854, 111_540)  # as nanoGPT splits it
    assert train.tokenizer.vocab_size == 65
    assert train.text.startswith("First Citizen:\nBefore we proceed any further, hear me speak.")


def test_it_is_downloaded_once_if_it_is_nowhere(
    data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLEARPROP_DATA", str(tmp_path))
    monkeypatch.setenv("CLEARPROP_CACHE", str(tmp_path / "cache"))
    asked = []

    def download(urls: list[str], path: Path, *, sha256: str) -> Path:
        asked.append(sha256)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(data_folder / "tinyshakespeare.txt")
        return path

    monkeypatch.setattr(clearprop.files.download, "download", download)
    assert len(tiny_shakespeare().text) == len(tiny_shakespeare().text) == 1_003_854
    assert len(asked) == 1


def test_another_text_is_not_taken_for_it(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"holds no tinyshakespeare.txt"):
        tiny_shakespeare(folder=tmp_path)
    (tmp_path / "tinyshakespeare.txt").write_text("To be, or not to be.")
    with pytest.raises(DataError, match=r"tinyshakespeare.txt is not the published text"):
        tiny_shakespeare(folder=tmp_path)


# Bad input --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "block_size", "hint"), [("abc", 3, "block_size=2"), ("abc", 10, "block_size=2"), ("a", 1, "a longer text")]
)
def test_a_text_shorter_than_a_window(text: str, block_size: int, hint: str) -> None:
    with pytest.raises(DataError, match=f"a text of {len(text)} tokens makes no window of {block_size}") as caught:
        TextDataset(text, CharTokenizer.train("abc"), block_size)
    assert caught.value.hint == hint


def test_a_validation_part_shorter_than_a_window(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(TEXT)
    with pytest.raises(DataError, match="a text of 22 tokens makes no window of 32"):
        text_file(tmp_path / "text.txt", "validation", block_size=32)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"block_size": 0}, "block_size is 0"),
        ({"stride": -1}, "stride is -1"),
        ({"part": "test"}, "part='test'"),
        ({"validation": 1.0}, "validation=1.0"),
        ({"encoding": "klingon"}, "there is no encoding 'klingon'"),
    ],
)
def test_settings_that_there_are_not(tmp_path: Path, settings: Any, message: str) -> None:
    (tmp_path / "text.txt").write_text(TEXT)
    with pytest.raises(UsageError, match=message) as caught:
        text_file(tmp_path / "text.txt", **settings)
    assert caught.value.hint


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "image.png").write_bytes(b"abc\x89PNG")
    with pytest.raises(DataError, match=r"image.png is not text in utf-8: byte 3 is 0x89"):
        text_file(tmp_path / "image.png")
    with pytest.raises(FileError, match=r"cannot read .*missing.txt"):
        text_file(tmp_path / "missing.txt")


def test_a_window_that_is_none() -> None:
    with pytest.raises(RangeError, match="no example 27; it has 27"):
        TextDataset(TEXT, TOKENIZER, 8)[27]
