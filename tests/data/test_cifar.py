"""CIFAR-10 in both of its forms: the authors' binary release, here a small imitation, and the archive of pictures."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.data.pictures import encoded, make_zip, pixels

import clearprop.files.download
from clearprop.data import cifar, cifar10
from clearprop.errors import DataError, FileError, UsageError

IMAGES = 4  # in a file of the imitation
NAMES = [f"cifar-10-batches-bin/{name}.bin" for name in (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch")]


def records(seed: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Records of one file: a label and the pixels."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 10, (IMAGES, 1), dtype=np.uint8)
    return np.hstack([labels, generator.integers(0, 256, (IMAGES, 3072), dtype=np.uint8)])


def release(path: Path, **changed: bytes) -> Path:
    """An archive like the authors', whose members may be replaced by others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for seed, name in enumerate(NAMES):
            content = changed.get(Path(name).stem, records(seed).tobytes())
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for data, empty, and small files taken for the real ones."""
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("CLEARPROP_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("CLEARPROP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cifar, "_IMAGES", IMAGES)
    return tmp_path / "data"


def trust(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take this file for the published one."""
    monkeypatch.setattr(cifar, "_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())


def test_the_binary_release_is_read_in_its_order(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trust(release(folder / "cifar-10-binary.tar.gz"), monkeypatch)
    train, test = cifar10("train"), cifar10("test")
    assert (len(train), len(test)) == (5 * IMAGES, IMAGES)
    assert train.classes[0] == "airplane"
    whole = np.concatenate([records(seed) for seed in range(5)])
    np.testing.assert_array_equal(train.images.reshape(-1, 3072), whole[:, 1:])
    np.testing.assert_array_equal(train.labels, whole[:, 0])
    np.testing.assert_array_equal(test.images.reshape(-1, 3072), records(5)[:, 1:])
    assert train.images.shape[1:] == (3, 32, 32)


def test_the_release_is_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = release(folder / "cifar-10-binary.tar.gz")
    trust(path, monkeypatch)
    first = cifar10("test")
    monkeypatch.setattr(cifar, "_SHA256", "of something else")  # it would be refused, were it read again
    again = cifar10("test")
    np.testing.assert_array_equal(again.images, first.images)
    np.testing.assert_array_equal(again.labels, first.labels)


def test_it_is_downloaded_once_if_it_is_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = release(tmp_path / "original.tar.gz")
    trust(original, monkeypatch)
    asked = []

    def download(urls: list[str], path: Path, *, sha256: str, compressed: bool) -> Path:
        asked.append((urls, sha256, compressed))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(original.read_bytes())
        return path

    monkeypatch.setattr(clearprop.files.download, "download", download)
    assert len(cifar10("test")) == len(cifar10("test")) == IMAGES
    assert asked == [(["https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"], cifar._SHA256, False)]


def test_another_archive_is_refused(folder: Path) -> None:
    release(folder / "cifar-10-binary.tar.gz")
    with pytest.raises(DataError, match=r"cifar-10-binary.tar.gz is not the published release of CIFAR-10"):
        cifar10()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"test_batch": b"short"}, "test_batch.bin does not hold 4 images"),
        ({"test_batch": records(0).tobytes() + b"more"}, "test_batch.bin does not hold 4 images"),
    ],
)
def test_a_damaged_release_is_an_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, bytes], message: str
) -> None:
    trust(release(folder / "cifar-10-binary.tar.gz", **changed), monkeypatch)
    with pytest.raises(DataError, match=message):
        cifar10("test")


def test_a_truncated_release_is_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = release(folder / "cifar-10-binary.tar.gz")
    path.write_bytes(path.read_bytes()[:-2000])
    trust(path, monkeypatch)
    with pytest.raises(DataError, match="is damaged"):
        cifar10("test")


def test_names_in_the_release_lead_nowhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "cifar-10-binary.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in ("../evil", "/tmp/clearprop-evil"):
            info = tarfile.TarInfo(name)
            info.size = 1
            archive.addfile(info, io.BytesIO(b"x"))
        link = tarfile.TarInfo(NAMES[-1])
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    trust(path, monkeypatch)
    with pytest.raises(DataError, match="is damaged"):
        cifar10("test")
    assert [found.name for found in folder.parent.rglob("*") if found.is_file()] == [path.name]


def test_the_archive_of_pictures_comes_first(folder: Path) -> None:
    release(folder / "cifar-10-binary.tar.gz")
    files = {f"cifar10/train/{name}/0.png": encoded(pixels(seed, 32, 32)) for seed, name in enumerate(cifar.CLASSES)}
    make_zip(folder / "cifar10-images.zip", files)
    train = cifar10("train")
    assert train.classes == cifar.CLASSES
    np.testing.assert_array_equal(train.images, [pixels(seed, 32, 32) for seed in range(10)])
    assert train.labels.tolist() == list(range(10))
    with pytest.raises(DataError, match="has no folder cifar10/test"):
        cifar10("test")


def test_a_folder_without_it_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"holds neither cifar10-images.zip nor cifar-10-binary.tar.gz"):
        cifar10(folder=tmp_path)
    with pytest.raises(UsageError, match="split='validation'"):
        cifar10("validation")  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_real_pictures(data_folder: Path) -> None:
    test = cifar10("test", folder=data_folder)
    assert len(test) == 10_000
    assert np.bincount(test.labels).tolist() == [1000] * 10
    mean, std = test.mean_and_std()  # of the release: 0.494, 0.485, 0.450 and 0.247, 0.243, 0.262
    np.testing.assert_allclose(mean, [0.494, 0.485, 0.450], atol=2e-3)
    np.testing.assert_allclose(std, [0.247, 0.243, 0.262], atol=4e-3)
    again = cifar10("test", folder=data_folder)
    assert isinstance(again.images.base, np.memmap)
