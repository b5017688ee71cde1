"""Images to be classified, from the kinds of files that people have: IDX, NumPy's .npy, and PNG, JPEG and the like."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clearprop.data import check_finite, check_labels, read_idx
from clearprop.errors import DataError, FileError, UsageError
from clearprop.files.atomic import read_bytes

Array = np.ndarray[Any, np.dtype[Any]]

_PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".pgm")


@dataclass(frozen=True)
class Image:
    """One image, brightness from 0 to 1 of shape (H, W), and where it comes from."""

    source: str
    pixels: Array
    truth: int | None = None


def read_images(paths: Sequence[str], white: float, *, invert: bool = False) -> list[Image]:
    """All images in some files.

    Args:
        white: the brightest value of whole numbers in IDX and .npy files.
        invert: dark on bright becomes bright on dark.

    Raises:
        FileError: a file cannot be read.
        DataError: it holds no images.
    """
    images = [image for path in paths for image in _read(path, white)]
    return [Image(one.source, 1 - one.pixels) for one in images] if invert else images


def read_labels(path: str, images: Sequence[Image], classes: int) -> list[Image]:
    """The same images with what they are, read from an IDX or .npy file; DataError if they do not fit."""
    labels = np.asarray(_read_npy(path) if path.endswith(".npy") else read_idx(path))
    if labels.shape != (len(images),):
        raise DataError(f"{path} has labels of shape {labels.shape}, and there are {len(images)} images",
                        hint="the file of labels that belongs to the file of images")  # fmt: skip
    check_labels(labels, classes)
    return [Image(one.source, one.pixels, int(label)) for one, label in zip(images, labels, strict=True)]


def _read(path: str, white: float) -> list[Image]:
    suffix = Path(path).suffix.lower()
    if suffix in _PICTURES:
        return [Image(path, _read_picture(path))]
    array = _read_npy(path) if suffix == ".npy" else read_idx(path)
    brightness = _brightness(array, path, white)
    if len(brightness) == 1:
        return [Image(path, brightness[0])]
    return [Image(f"{path}[{index}]", pixels) for index, pixels in enumerate(brightness)]


def _brightness(array: Array, path: str, white: float) -> Array:
    """The images in an array, (N, H, W), from 0 to 1."""
    if array.ndim == 2:
        array = array[np.newaxis]
    if array.ndim == 4 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 3 or array.dtype.kind not in "uifb":
        raise DataError(
            f"{path} holds {array.dtype} of shape {array.shape}, not images",
            hint="numbers of shape (height, width) or (count, height, width)",
        )
    if len(array) == 0:
        raise DataError(f"{path} holds no images", hint="check how it was written")
    check_finite(array, path)
    pixels = array.astype(np.float32) / (white if array.dtype.kind in "ui" else 1.0)
    low, high = float(pixels.min()), float(pixels.max())
    if low < 0 or high > 1:
        limits = f"0 to {white:g}" if array.dtype.kind in "ui" else "0 to 1"
        raise DataError(
            f"{path}: the brightness of its pixels goes from {array.min():g} to {array.max():g}, not from {limits}",
            hint=f"whole numbers from 0 to {white:g}, or fractions from 0 to 1",
        )
    return pixels


def _read_npy(path: str) -> Array:
    try:
        return np.asarray(np.load(io.BytesIO(read_bytes(path)), allow_pickle=False))
    except (ValueError, EOFError, OSError) as error:
        if isinstance(error, FileError):
            raise
        raise DataError(  # without NumPy's own words, which recommend pickle
            f"{path} is damaged, or not an array of numbers", hint="write it with np.save(path, array)"
        ) from error


def _read_picture(path: str) -> Array:
    try:
        from PIL import Image as Pillow
    except ImportError:
        raise UsageError(
            f"{path}: reading pictures needs Pillow, which is not installed",
            hint="pip install pillow; or an IDX or .npy file",
        ) from None
    content = read_bytes(path)
    try:
        with Pillow.open(io.BytesIO(content)) as picture:
            return np.asarray(picture.convert("L"), dtype=np.float32) / 255
    except (OSError, ValueError, SyntaxError, Pillow.DecompressionBombError) as error:
        raise DataError(f"{path} is damaged, or not a picture", hint="open it in another program") from error
