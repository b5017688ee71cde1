"""Folders and archives of pictures: which pictures, which classes, and what is wrong with them."""

from __future__ import annotations

import struct
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.data.pictures import PICTURES, STACKED, encoded, make_folder, make_zip, pixels

from clearprop.data import DataLoader, ImageDataset, ImageFolder, Normalize
from clearprop.errors import ClearpropError, DataError, FileError, UsageError

FOLDER_AND_ZIP = pytest.mark.parametrize("make", [make_folder, make_zip], ids=["folder", "zip"])


@pytest.fixture(autouse=True)
def _cache_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEARPROP_CACHE", str(tmp_path / "cache"))


def reading(place: Path, files: Mapping[str, bytes], make: Any = make_folder, **settings: Any) -> ImageFolder:
    return ImageFolder(make(place / "pictures.zip", files), cache=False, **settings)


# Which pictures, and what they become -----------------------------------------------------------------------


@FOLDER_AND_ZIP
@pytest.mark.parametrize("cache", [True, False], ids=["cache", "memory"])
def test_pictures_and_classes_are_those_of_the_files(tmp_path: Path, make: Any, cache: bool) -> None:
    dataset = ImageFolder(make(tmp_path / "pictures.zip", PICTURES), cache=cache)
    np.testing.assert_array_equal(dataset.images, STACKED)
    assert dataset.labels.tolist() == [0, 0, 1]
    assert dataset.classes == ("cat", "dog")
    assert dataset.files == ["cat/a.png", "cat/b.png", "dog/c.png"]
    image, label = dataset[2]
    np.testing.assert_array_equal(image, STACKED[2] / np.float32(255))
    assert (image.dtype, label.dtype) == (np.float32, np.int64)


def test_batches_are_numbers_from_0_to_1(tmp_path: Path) -> None:
    ((images, labels),) = DataLoader(reading(tmp_path, PICTURES))
    np.testing.assert_array_equal(images.numpy(), STACKED / np.float32(255))
    assert images.numpy().dtype == np.float32
    assert labels.tolist() == [0, 0, 1]


@FOLDER_AND_ZIP
def test_only_the_subfolder_is_looked_at(tmp_path: Path, make: Any) -> None:
    files = {f"animals/{part}/{name}": content for part in ("train", "test") for name, content in PICTURES.items()}
    files["animals/test/bird/x.png"] = encoded(pixels(9))
    dataset = reading(tmp_path, files, make, subfolder="animals/train/")
    assert dataset.files == ["cat/a.png", "cat/b.png", "dog/c.png"]
    assert reading(tmp_path, files, make, subfolder="animals/test").classes == ("bird", "cat", "dog")


@FOLDER_AND_ZIP
def test_what_is_no_picture_is_passed_over(tmp_path: Path, make: Any) -> None:
    others = ["cat/notes.txt", "cat/.hidden.png", ".trash/d.png", "labels.csv"]
    dataset = reading(tmp_path, {**PICTURES, **dict.fromkeys(others, b"?")}, make)
    assert dataset.files == ["cat/a.png", "cat/b.png", "dog/c.png"]


def test_what_macos_adds_to_an_archive_is_passed_over(tmp_path: Path) -> None:
    dataset = reading(tmp_path, {**PICTURES, "__MACOSX/cat/._a.png": b"?"}, make_zip)
    assert dataset.classes == ("cat", "dog")


def test_an_archive_of_windows_with_other_slashes(tmp_path: Path) -> None:
    dataset = reading(tmp_path, {name.replace("/", "\\"): content for name, content in PICTURES.items()}, make_zip)
    assert dataset.files == ["cat/a.png", "cat/b.png", "dog/c.png"]
    np.testing.assert_array_equal(dataset.images, STACKED)


def test_linked_folders_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "pictures", {"cat/a.png": PICTURES["cat/a.png"]})
    (folder / "dog").symlink_to(make_folder(tmp_path / "elsewhere", {"c.png": PICTURES["dog/c.png"]}))
    (folder / "cat" / "round").symlink_to(folder)
    assert ImageFolder(folder, cache=False).files == ["cat/a.png", "dog/c.png"]


@pytest.mark.parametrize(
    ("channels", "form", "options", "mode"),
    [(1, "PNG", {}, "L"), (4, "PNG", {}, "RGBA"), (3, "BMP", {}, "RGB"), (3, "TIFF", {}, "RGB"), (3, "PPM", {}, "RGB")],
)
def test_pictures_stay_what_they_are(tmp_path: Path, channels: int, form: str, options: Any, mode: str) -> None:
    image = pixels(0, 3, 5, channels)
    dataset = reading(tmp_path, {f"any/1.{form.lower()}": encoded(image, form, **options)})
    np.testing.assert_array_equal(dataset.images[0], image)


def test_pictures_are_converted_where_asked_for(tmp_path: Path) -> None:
    palette = Image.fromarray(np.full((4, 4, 3), (200, 0, 0), np.uint8)).convert("P")
    palette.save(tmp_path / "red.gif")
    palette.save(tmp_path / "red.png", transparency=bytes([0, 255]))
    files = {"any/1.gif": (tmp_path / "red.gif").read_bytes(), "any/2.png": encoded(pixels(1, channels=1)),
             "any/3.png": (tmp_path / "red.png").read_bytes()}  # fmt: skip
    colour, brightness = reading(tmp_path, files, mode="RGB"), reading(tmp_path, files, mode="L")
    assert colour.images.shape == (3, 3, 4, 4)
    np.testing.assert_array_equal(colour.images[0], colour.images[2])
    np.testing.assert_allclose(colour.images[0, :, 0, 0], [200, 0, 0], atol=8)  # the palette of the web
    np.testing.assert_array_equal(colour.images[1], np.repeat(pixels(1, channels=1), 3, axis=0))
    assert brightness.images.shape == (3, 1, 4, 4)


def test_resizing_covers_the_size_and_cuts_the_middle_out(tmp_path: Path) -> None:
    wide = np.zeros((3, 8, 24), np.uint8)
    wide[:, :, 8:16] = 255  # what is to stay
    files = {"any/1.png": encoded(wide), "any/2.png": encoded(wide.transpose(0, 2, 1).copy())}
    dataset = reading(tmp_path, files, resize=4)
    assert dataset.images.shape == (2, 3, 4, 4)
    assert dataset.images.min() > 200
    assert reading(tmp_path, files, resize=(2, 6)).images.shape == (2, 3, 2, 6)


def test_a_photograph_made_small_is_that_of_all_its_pixels(tmp_path: Path) -> None:
    coarse = Image.fromarray(pixels(0, 8, 12).transpose(1, 2, 0)).resize((384, 256), Image.Resampling.BICUBIC)
    photograph = np.asarray(coarse).transpose(2, 0, 1)
    files = {"any/1.jpg": encoded(photograph, "JPEG", quality=95), "any/2.png": encoded(photograph)}
    small = reading(tmp_path, files, resize=(16, 24)).images.astype(int)
    assert np.abs(small[0] - small[1]).mean() < 3
    assert small.std() > 20


def test_a_camera_that_was_held_upright_is_respected(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # "rotate by 90 degrees clockwise to see it"
    image = np.zeros((3, 8, 16), np.uint8)
    image[:, :, :8] = 255  # the left half is white: seen upright, the upper one
    dataset = reading(tmp_path, {"any/1.png": encoded(image, "PNG", exif=exif)})
    assert dataset.images.shape == (1, 3, 16, 8)
    assert dataset.images[0, :, :8].min() == 255
    assert dataset.images[0, :, 8:].max() == 0


def test_large_pictures_decoded_by_threads_stay_in_order(tmp_path: Path) -> None:
    images = [pixels(number, 64, 64) for number in range(40)]
    files = {f"any/{number:02}.png": encoded(image) for number, image in enumerate(images)}
    np.testing.assert_array_equal(reading(tmp_path, files).images, images)


# Classes ----------------------------------------------------------------------------------------------------


def test_classes_that_are_numbers_are_sorted_by_their_size(tmp_path: Path) -> None:
    dataset = reading(tmp_path, {f"{number}/1.png": encoded(pixels(number)) for number in (0, 2, 9, 10, 11)})
    assert dataset.classes == ("0", "2", "9", "10", "11")


def test_a_test_set_takes_the_classes_of_the_training(tmp_path: Path) -> None:
    dataset = reading(tmp_path, {"dog/1.png": encoded(pixels(0))}, classes=["cat", "dog"])
    assert dataset.labels.tolist() == [1]
    assert dataset.classes == ("cat", "dog")


FLAT = {f"{name}.png": encoded(pixels(number)) for number, name in enumerate(["cat.0", "cat.1", "dog.0"])}


def test_a_function_tells_the_class_from_the_name(tmp_path: Path) -> None:
    dataset = reading(tmp_path, FLAT, labels=lambda file: file.split(".")[0])
    assert dataset.labels.tolist() == [0, 0, 1]


@pytest.mark.parametrize("names", [["cat.0.png", "cat.1.png", "dog.0.png"], ["cat.0", "cat.1", "dog.0"]])
def test_a_mapping_or_a_table_tells_the_class(tmp_path: Path, names: list[str]) -> None:
    classes = ["small", "large", "small"]
    table = tmp_path / "labels.csv"
    table.write_text("id,label\n" + "".join(f"{name}, {label}\n" for name, label in zip(names, classes, strict=True)))
    for labels in (table, str(table), dict(zip(names, classes, strict=True))):
        dataset = reading(tmp_path, FLAT, labels=labels)
        assert dataset.classes == ("large", "small")
        assert dataset.labels.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("files", "settings", "message", "hint"),
    [
        (FLAT, {}, "cat.0.png in .* lies in no folder", "labels="),
        ({"a/b/1.png": FLAT["cat.0.png"]}, {}, "a/b/1.png in .* lies 2 folders deep", "subfolder='a'"),
        (PICTURES, {"classes": ["cat"]}, "dog/c.png is of class 'dog', which is none of the 1 classes", "classes="),
        (FLAT, {"labels": {"cat.0": "cat"}}, "cat.1.png has no class in labels", "a row"),
    ],
)
def test_pictures_without_a_class_are_named(
    tmp_path: Path, files: Mapping[str, bytes], settings: Any, message: str, hint: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        reading(tmp_path, files, **settings)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (b"one column\n", DataError, "labels.csv, line 1: one column only"),
        (b"\xff\xfe\xff", DataError, "labels.csv is not a CSV file"),
        (b"cat.0,cat\n", DataError, "cat.1.png has no class in .*labels.csv"),
        (None, FileError, "cannot read .*labels.csv"),
    ],
)
def test_a_table_of_classes_that_is_none(tmp_path: Path, content: bytes | None, error: Any, message: str) -> None:
    if content is not None:
        (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(error, match=message):
        reading(tmp_path, FLAT, labels=tmp_path / "labels.csv")


# Pictures that are damaged or do not fit together -----------------------------------------------------------


@FOLDER_AND_ZIP
@pytest.mark.parametrize("cache", [True, False], ids=["cache", "memory"])
@pytest.mark.parametrize("content", [PICTURES["dog/c.png"][:60], b"", b"no picture", encoded(pixels(0), "JPEG")[:250]])
def test_a_broken_picture_in_the_middle_is_named(tmp_path: Path, make: Any, cache: bool, content: bytes) -> None:
    path = make(tmp_path / "pictures.zip", {**PICTURES, "cat/broken.jpg": content})
    with pytest.raises(DataError, match=r"cat/broken.jpg in .*pictures.zip is damaged, or not a picture") as caught:
        ImageFolder(path, cache=cache)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("other", "settings", "message", "hint"),
    [
        (pixels(0, 5, 3), {}, "dog/other.png is 5×3 RGB, cat/a.png is 4×4 RGB", "resize=(4, 4)"),
        (pixels(0, channels=1), {}, "dog/other.png is 4×4 L, cat/a.png is 4×4 RGB", 'mode="RGB"'),
        (pixels(0, 2, 2, 1), {}, "dog/other.png is 2×2 L, cat/a.png is 4×4 RGB", 'mode="RGB", resize=(4, 4)'),
        (pixels(0, 5, 3), {"mode": "L"}, "dog/other.png is 5×3 L, cat/a.png is 4×4 L", "resize=(4, 4)"),
    ],
)
def test_pictures_of_different_sizes_or_channels_are_named(
    tmp_path: Path, other: Any, settings: Any, message: str, hint: str
) -> None:
    files = {**PICTURES, "dog/other.png": encoded(other)}
    with pytest.raises(DataError) as caught:
        reading(tmp_path, files, **settings)
    assert message in caught.value.message
    assert caught.value.hint == hint
    fitting = eval(f"dict({hint})")  # what the hint says helps
    assert len(reading(tmp_path, files, **(settings | fitting))) == 4


@pytest.mark.parametrize(("mode", "word"), [("P", "mode P"), ("1", "mode 1"), ("I;16", "more than 8 bits")])
def test_pictures_of_another_kind_are_named(tmp_path: Path, mode: str, word: str) -> None:
    image = Image.new(mode, (4, 4))
    image.save(tmp_path / "any.png")
    with pytest.raises(DataError, match=f"any/1.png in .* {word}") as caught:
        reading(tmp_path, {"any/1.png": (tmp_path / "any.png").read_bytes()})
    assert caught.value.hint


# Places that are none ---------------------------------------------------------------------------------------


@FOLDER_AND_ZIP
def test_an_empty_place_is_an_error(tmp_path: Path, make: Any) -> None:
    (tmp_path / "pictures.zip").mkdir() if make is make_folder else None
    with pytest.raises(DataError, match=r"pictures.zip holds no pictures") as caught:
        reading(tmp_path, {}, make)
    assert caught.value.hint


@FOLDER_AND_ZIP
def test_a_subfolder_that_is_not_there_is_an_error_that_names_a_similar_one(tmp_path: Path, make: Any) -> None:
    files = {f"animals/train/{name}": content for name, content in PICTURES.items()}
    with pytest.raises(DataError, match="has no folder animals/training") as caught:
        reading(tmp_path, files, make, subfolder="animals/training")
    assert caught.value.hint == "subfolder='animals/train'"


def test_a_path_that_leads_nowhere(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"there is no folder or zip archive .*/missing"):
        ImageFolder(tmp_path / "missing")


@pytest.mark.parametrize(
    "name", ["../cat/evil.png", "cat/../../evil.png", "/cat/evil.png", "C:\\cat\\evil.png", "..\\e.png"]
)
def test_an_archive_with_a_name_that_leads_out_of_it_is_refused(tmp_path: Path, name: str) -> None:
    before = sorted(tmp_path.parent.rglob("*evil*"))
    with pytest.raises(DataError, match="which leads out of it: nothing is read from such an archive") as caught:
        reading(tmp_path, {**PICTURES, name: PICTURES["cat/a.png"]}, make_zip)
    assert "pictures.zip" in caught.value.message
    assert sorted(tmp_path.parent.rglob("*evil*")) == before


def test_an_archive_with_a_link_is_refused(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "pictures.zip", PICTURES)
    link = zipfile.ZipInfo("cat/link.png")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match=r'"cat/link\.png", which is a link'):
        ImageFolder(path)


@pytest.mark.parametrize("length", [0, 10, 300, -1, -22, -30])
def test_a_truncated_archive_is_an_error_that_names_it(tmp_path: Path, length: int) -> None:
    path = make_zip(tmp_path / "pictures.zip", PICTURES)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DataError, match=r"pictures.zip is not a zip archive, or it is truncated"):
        ImageFolder(path)


def test_a_damaged_member_is_named(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "pictures.zip", PICTURES, zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    content[content.index(PICTURES["dog/c.png"]) + 50] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"dog/c.png in .*pictures.zip is damaged: Bad CRC-32"):
        ImageFolder(path)


def patched(path: Path, signature: bytes, offset: int, value: bytes) -> Path:
    """A zip archive whose last record with this signature is changed."""
    content = bytearray(path.read_bytes())
    start = content.rindex(signature) + offset
    content[start : start + len(value)] = value
    path.write_bytes(content)
    return path


def test_a_protected_archive_is_an_error(tmp_path: Path) -> None:
    path = patched(make_zip(tmp_path / "pictures.zip", PICTURES), b"PK\x01\x02", 8, struct.pack("<H", 1))
    with pytest.raises(DataError, match=r"dog/c.png in .*pictures.zip is protected by a password") as caught:
        ImageFolder(path)
    assert "unpack it" in caught.value.hint


def test_a_member_that_claims_to_be_larger_than_memory_is_not_read(tmp_path: Path) -> None:
    path = patched(make_zip(tmp_path / "pictures.zip", PICTURES), b"PK\x01\x02", 24, struct.pack("<I", 1 << 31))
    with pytest.raises(DataError, match=r"dog/c.png in .* claims 2,147,483,648 bytes"):
        ImageFolder(path)


def test_an_unknown_compression_is_an_error(tmp_path: Path) -> None:
    path = patched(make_zip(tmp_path / "pictures.zip", PICTURES), b"PK\x01\x02", 10, struct.pack("<H", 99))
    with pytest.raises(DataError, match=r"dog/c.png in .* cannot be read"):
        ImageFolder(path)


@pytest.mark.parametrize("settings", [{"mode": "HSV"}, {"resize": 0}, {"resize": (4, 0)}, {"classes": "cat"}])
def test_settings_that_there_are_not(tmp_path: Path, settings: Any) -> None:
    with pytest.raises(UsageError) as caught:
        reading(tmp_path, PICTURES, **settings)
    assert caught.value.hint


def test_without_pillow_the_error_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(UsageError, match="needs Pillow") as caught:
        reading(tmp_path, PICTURES)
    assert caught.value.hint == "pip install 'clearprop[pictures]'"


# Images that are there already ------------------------------------------------------------------------------


def test_mean_and_std_are_those_of_all_pixels() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5000, 3, 2, 2), dtype=np.uint8)
    dataset = ImageDataset(images, np.zeros(5000, int), ["any"])
    mean, std = dataset.mean_and_std()
    np.testing.assert_allclose(mean, (images / 255).mean(axis=(0, 2, 3)))
    np.testing.assert_allclose(std, (images / 255).std(axis=(0, 2, 3)))
    normal = Normalize(mean, std)(dataset[:][0])
    assert abs(float(normal.mean(dtype=np.float64))) < 1e-6


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((2, 3, 4, 4)), [0, 1], "images of dtype float64"),
        (np.zeros((2, 4, 4), np.uint8), [0, 1], r"shape \(2, 4, 4\)"),
        (np.zeros((2, 3, 4, 4), np.uint8), [0], r"2 images, and labels of shape \(1,\)"),
        (np.zeros((2, 3, 4, 4), np.uint8), [0, 2], "the label at index 1 is 2"),
        (np.zeros((2, 3, 4, 4), np.uint8), [0.0, 1.0], "these have dtype float64"),
    ],
)
def test_arrays_that_make_no_dataset_of_images(images: Any, labels: Any, message: str) -> None:
    with pytest.raises(ClearpropError, match=message):
        ImageDataset(images, labels, ["cat", "dog"])
