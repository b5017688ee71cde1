"""Datasets, loaders, transforms and tokenizers that get what they cannot use: one clear error that says what."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.data.pictures import PICTURES, make_folder

import clearprop as cp
from clearprop import data
from clearprop.errors import ClearpropError, DataError, RangeError, UsageError

TEXT = "to be, or not to be: that is the question. " * 20
EXAMPLES = data.ArrayDataset(np.arange(10.0), np.arange(10) % 3)
IMAGES = data.ArrayDataset(np.zeros((4, 3, 8, 8), np.float32), np.arange(4) % 2)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: EXAMPLES[10], RangeError, "ArrayDataset: there is no example 10; it has 10"),
        (lambda: EXAMPLES[1.5], RangeError, "there is no example 1.5"),
        (lambda: EXAMPLES["a"], RangeError, "there is no example 'a'"),
        (lambda: data.Subset(EXAMPLES, [3])[1], RangeError, "Subset: there is no example 1; it has 1"),
        (lambda: data.Subset(None, [3]), UsageError, "Subset: the dataset is a NoneType"),
        (lambda: data.ConcatDataset([EXAMPLES, EXAMPLES])[1.5], RangeError, "there is no example 1.5"),
        (lambda: data.ConcatDataset(EXAMPLES), UsageError, "ConcatDataset: datasets is a ArrayDataset"),
        (lambda: data.ConcatDataset([EXAMPLES, 3]), UsageError, "ConcatDataset: the dataset is a int"),
        (lambda: data.random_split(EXAMPLES, "ab"), UsageError, "lengths='ab'"),
        (lambda: data.random_split(EXAMPLES, [0.5, None]), UsageError, "a length=None"),
        (lambda: data.random_split(EXAMPLES, [5, 5], seed="a"), UsageError, "random_split: seed is 'a'"),
        (lambda: data.split(EXAMPLES, "half"), UsageError, "split: fraction='half'"),
        (lambda: data.split(EXAMPLES, math.nan), UsageError, "split: fraction=nan"),
        (lambda: data.split(None, 0.5), UsageError, "split: the dataset is a NoneType"),
        # the loader
        (lambda: data.DataLoader(EXAMPLES, shuffle="no"), UsageError, "DataLoader: shuffle='no'"),
        (lambda: data.DataLoader(EXAMPLES, drop_last=None), UsageError, "DataLoader: drop_last=None"),
        (lambda: data.DataLoader(EXAMPLES, batch_size=True), UsageError, "batch_size is True"),
        (lambda: data.DataLoader(EXAMPLES).load_state_dict(None), DataError, "the saved state is a NoneType"),
        (
            lambda: list(data.DataLoader(EXAMPLES, transform=lambda x, y: (x[:2], y))),
            DataError,
            r"returned columns of shapes \(2,\), \(10,\)",
        ),
        # sequences
        (lambda: data.pad_sequence(None), DataError, "the sequences are a NoneType"),
        (lambda: data.pad_sequence([[1], [1, 2]], padding_value="a"), UsageError, "padding_value='a'"),
        (lambda: data.padding_mask([3, 5], 4), DataError, "a length of 5 in a batch of length 4"),
        (lambda: data.padding_mask([3, -1]), DataError, "a length of -1"),
        # transforms
        (lambda: data.RandomCrop(4, padding=1.5), UsageError, "RandomCrop: padding=1.5"),
        (lambda: data.RandomCrop(4, fill="a"), UsageError, "RandomCrop: fill='a'"),
        (lambda: data.RandomHorizontalFlip("a"), UsageError, "p='a'"),
        (lambda: data.Normalize("a", "b"), UsageError, "Normalize: mean='a'"),
        (lambda: data.Normalize((0.0, math.nan), (1.0, 1.0)), UsageError, "Normalize: mean=nan"),
        (lambda: data.Normalize(None, 1.0), UsageError, "Normalize: mean=None"),
        (lambda: data.Cutout("a"), UsageError, "Cutout: size='a'"),
        (lambda: data.MixUp(classes="a"), UsageError, "MixUp: classes='a'"),
        (lambda: data.CutMix(classes=2, alpha="a"), UsageError, "CutMix: alpha='a'"),
        # text
        (lambda: data.BPETokenizer.train(TEXT, vocab_size="many"), UsageError, "vocab_size is 'many'"),
        (lambda: data.BPETokenizer.train(TEXT, vocab_size=10**9), UsageError, "vocab_size is 1000000000"),
        (lambda: data.WordPieceTokenizer.train(TEXT, vocab_size=None), UsageError, "vocab_size is None"),
        (lambda: data.BPETokenizer.train("", vocab_size=300), DataError, "BPETokenizer.train: there is no text"),
        (lambda: data.BPETokenizer.train([], vocab_size=300), DataError, "BPETokenizer.train: there is no text"),
        (lambda: data.CharTokenizer.train(TEXT, unk_token=3), UsageError, "3 is not a token for what is unknown"),
        (lambda: data.TextDataset(TEXT, None, 4), UsageError, "the tokenizer is a NoneType"),
        (lambda: data.TextDataset(TEXT, "char", 4), UsageError, "the tokenizer is a str"),
        (lambda: data.TextDataset(TEXT, data.CharTokenizer.train(TEXT), 2.5), UsageError, "block_size is 2.5"),
        (lambda: data.tiny_shakespeare("test"), UsageError, "part"),
        (lambda: data.text_file(__file__, validation="a"), UsageError, "validation='a'"),
        (lambda: data.CharTokenizer(3), UsageError, "characters is 3"),
        (lambda: data.Draws(2, seed=None), UsageError, "Draws: seed=None"),
        (lambda: data.ImageDataset(np.zeros((1, 1, 2, 2), np.uint8), [0], 3), UsageError, "classes is 3"),
        # paths
        (lambda: data.ImageFolder(None), UsageError, "None is no path"),
        (lambda: data.read_text(None), UsageError, "None is no path"),
        (lambda: data.read_idx(3), UsageError, "3 is no path"),
        (lambda: data.CharTokenizer.load(None), UsageError, "None is no path"),
        (lambda: data.CharTokenizer.train(TEXT).save(None), UsageError, "None is no path"),
        (lambda: cp.load(None), UsageError, "None is no path"),
        (lambda: cp.save(None, {}), UsageError, "None is no path"),
    ],
)
def test_one_clear_error(call: Callable[[], Any], error: type[ClearpropError], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        call()
    assert "\nTry: " in str(caught.value)


def test_what_is_saved_has_names(tmp_path: Path) -> None:
    place = tmp_path / "a.safetensors"
    with pytest.raises(UsageError, match=r"tensors is a Linear, not a mapping of names\nTry: model.state_dict\(\)"):
        cp.save(place, cp.nn.Linear(2, 2))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="tensors is a list"):
        cp.save(place, [cp.zeros(2)])  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="the name of a tensor is 1, not text"):
        cp.save(place, {1: cp.zeros(2)})  # type: ignore[dict-item]
    assert not place.exists()


def test_a_file_of_another_tokenizer_says_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(ClearpropError, match="it has no entry 'kind'"):
        data.CharTokenizer.load(tmp_path / "other.json")


def test_settings_of_a_folder_of_pictures(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "pictures", PICTURES)
    for settings, words in (
        ({"resize": "a"}, "resize='a'"),
        ({"resize": 8.5}, "resize=8.5"),
        ({"resize": (8, 8, 8)}, "resize="),
        ({"resize": 10**9}, "cannot be resized to"),
        ({"labels": 3}, "labels=3"),
        ({"labels": lambda file: None}, "has no class: the function for labels returned None"),
        ({"classes": ["cat", "cat", "dog"]}, "names one twice"),
    ):
        with pytest.raises(ClearpropError, match=words) as caught:
            data.ImageFolder(folder, cache=False, **settings)  # type: ignore[arg-type]
        assert "\nTry: " in str(caught.value)
    pictures = data.ImageFolder(folder, cache=False)
    with pytest.raises(RangeError, match="ImageFolder: there is no example 3; it has 3"):
        pictures[3]


def test_what_is_no_picture_is_not_told_by_an_address(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "pictures", PICTURES)
    (folder / "cat" / "zz.png").write_bytes(b"hello")
    with pytest.raises(DataError, match=r"cat/zz.png in .* is damaged, or not a picture: it begins like no kind of"):
        data.ImageFolder(folder, cache=False)


def test_going_through_a_dataset_ends_with_its_last_example() -> None:
    """Python asks for one example more than there is, and takes an IndexError for the end."""
    assert len(list(iter(EXAMPLES))) == 10
    assert len(list(iter(data.Subset(EXAMPLES, [1, 2])))) == 2
