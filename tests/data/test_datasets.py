"""Datasets: the digits that come with the package, MNIST where it lies, arrays of one's own."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

import clearprop.files.download
from clearprop.data import ArrayDataset, digits, mnist, split
from clearprop.errors import DataError, FileError, UsageError

MNIST_TEST = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


# Arrays ----------------------------------------------------------------------------------------------------


def test_an_example_is_one_entry_of_each_array() -> None:
    dataset = ArrayDataset(np.arange(6).reshape(3, 2), ["a", "b", "c"])
    assert len(dataset) == 3
    x, name = dataset[1]
    assert x.tolist() == [2, 3]
    assert name == "b"


def test_arrays_are_not_copied() -> None:
    x = np.zeros((2, 2))
    assert ArrayDataset(x).arrays[0] is x


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ((np.zeros((3, 2)), np.zeros(4)), r"equal length; these have the shapes \(3, 2\), \(4,\)"),
        ((), "needs arrays"),
        ((3.0,), "array 0 of the dataset is a single value"),
        (([[1, 2], [3]],), "array 0 of the dataset has entries of different shapes"),
    ],
)
def test_arrays_that_do_not_make_a_dataset(arrays: tuple[object, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        ArrayDataset(*arrays)


def test_split_gives_each_example_to_one_part() -> None:
    dataset = ArrayDataset(np.arange(100), np.arange(100) * 2)
    first, second = split(dataset, 0.8, seed=3)
    assert (len(first), len(second)) == (80, 20)
    assert sorted([*first.arrays[0], *second.arrays[0]]) == list(range(100))
    np.testing.assert_array_equal(first.arrays[1], first.arrays[0] * 2)


def test_split_depends_on_the_seed_alone() -> None:
    dataset = ArrayDataset(np.arange(100))
    chosen = [split(dataset, 0.5, seed=seed)[0].arrays[0].tolist() for seed in (0, 0, 1)]
    assert chosen[0] == chosen[1] != chosen[2]


@pytest.mark.parametrize("fraction", [0.0, 1.0, 0.01, -1.0, 1.5])
def test_split_refuses_an_empty_part(fraction: float) -> None:
    with pytest.raises(DataError, match="empty"):
        split(ArrayDataset(np.arange(10)), fraction)


# Digits ----------------------------------------------------------------------------------------------------


def test_the_digits_are_those_of_the_source() -> None:
    train, test = digits("train"), digits("test")
    # What scikit-learn's copy says: 1,797 images; 178, 182, 177, 183, 181, 182, 181, 179, 174, 180 of each class.
    counts = np.bincount(np.concatenate([train.arrays[1], test.arrays[1]]))
    assert counts.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    first_image = train.arrays[0][0, 0] * 16
    assert first_image[0].tolist() == [0, 0, 5, 13, 9, 1, 0, 0]
    assert first_image[7].tolist() == [0, 0, 6, 13, 10, 0, 0, 0]
    total = sum(float(part.arrays[0].sum(dtype=np.float64)) for part in (train, test))
    assert total * 16 == 561718


def test_every_fifth_digit_of_each_class_is_for_testing() -> None:
    train, test = (digits(part).arrays[1] for part in ("train", "test"))
    for digit in range(10):
        tested, trained = (test == digit).sum(), (train == digit).sum()
        assert tested == (tested + trained) // 5


@pytest.mark.parametrize("part", ["train", "test"])
def test_digits_are_float_images_and_integer_labels(part: str) -> None:
    images, labels = digits(part).arrays
    assert (images.dtype, labels.dtype) == (np.float32, np.int64)
    assert (images.min(), images.max()) == (0, 1)
    assert images.shape[1:] == (1, 8, 8)
    np.testing.assert_array_equal(digits(part, flatten=True).arrays[0], images.reshape(-1, 64))


def test_no_image_is_in_both_parts() -> None:
    train, test = ({image.tobytes() for image in digits(part).arrays[0]} for part in ("train", "test"))
    assert not train & test


def test_an_unknown_split_is_an_error() -> None:
    for dataset in (digits, mnist):
        with pytest.raises(UsageError, match="split='validation'"):
            dataset("validation")


# MNIST ----------------------------------------------------------------------------------------------------


def test_mnist_is_in_the_order_of_the_published_files(data_folder: Path) -> None:
    train, test = mnist("train"), mnist("test", flatten=True)
    assert [array.shape for array in train.arrays] == [(60_000, 1, 28, 28), (60_000,)]
    assert [array.shape for array in test.arrays] == [(10_000, 784), (10_000,)]
    assert train.arrays[1][:5].tolist() == [5, 0, 4, 1, 9]
    assert test.arrays[1][:5].tolist() == [7, 2, 1, 0, 4]
    for images, labels in (train.arrays, test.arrays):
        assert (images.dtype, labels.dtype) == (np.float32, np.int64)
        assert (images.min(), images.max()) == (0, 1)


@pytest.fixture
def elsewhere(data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own for data, and an empty cache; the test part of MNIST lies in ``original``."""
    (tmp_path / "original").symlink_to((data_folder / "mnist").resolve())
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("CLEARPROP_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("CLEARPROP_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_mnist_is_found_directly_in_the_folder_and_decompressed(elsewhere: Path) -> None:
    for name in MNIST_TEST:
        content = gzip.decompress((elsewhere / "original" / f"{name}.gz").read_bytes())
        (elsewhere / "data" / name).write_bytes(content)
    assert len(mnist("test")) == 10_000


def test_a_file_that_is_not_mnist_is_refused(elsewhere: Path) -> None:
    for name in MNIST_TEST:
        content = bytearray(gzip.decompress((elsewhere / "original" / f"{name}.gz").read_bytes()))
        content[5000] ^= 1  # one pixel, and one label
        (elsewhere / "data" / f"{name}.gz").write_bytes(gzip.compress(content, compresslevel=1))
    with pytest.raises(DataError, match=r"t10k-images-idx3-ubyte\.gz is not the published MNIST file"):
        mnist("test")


def test_mnist_is_downloaded_once_into_the_cache(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def download(urls: list[str], path: Path, *, sha256: str) -> Path:
        asked.append(path.name)
        assert all(url.endswith(f"/{path.name}") for url in urls)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(elsewhere / "original" / path.name)
        return path

    monkeypatch.setattr(clearprop.files.download, "download", download)
    for _ in range(2):
        assert len(mnist("test")) == 10_000
    assert asked == [f"{name}.gz" for name in MNIST_TEST]
    assert (elsewhere / "cache" / "mnist" / asked[0]).exists()


def test_without_files_and_network_the_error_says_where_to_put_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLEARPROP_DATA", "")
    monkeypatch.setenv("CLEARPROP_CACHE", str(tmp_path))
    monkeypatch.setattr(clearprop.data.datasets, "_MNIST_MIRRORS", ("http://127.0.0.1:1/",))
    with pytest.raises(FileError, match=r"could not download train-images-idx3-ubyte\.gz") as caught:
        mnist("train")
    assert str(tmp_path / "mnist" / "train-images-idx3-ubyte.gz") in caught.value.hint
