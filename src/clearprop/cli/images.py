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

_IN_WORDS = {1: "1 channel, brightness", 3: "3 channels: red, green and blue"}
_PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".pgm")


@dataclass(frozen=True)
class Image:
    """One image, brightness from 0 to 1 of shape (channels, H, W), and where it comes from."""

    source: str
    pixels: Array
    truth: int | None = None


def read_images(paths: Sequence[str], white: float, channels: int = 1, *, invert: bool = False) -> list[Image]:
    """All images in some files.

    Args:
        white: the brightest value of whole numbers in IDX and .npy files.
        channels: that the images are to have: 1 for brightness, 3 for red, green and blue. Pictures are converted.
        invert: dark on bright becomes bright on dark.

    Raises:
        FileError: a file cannot be read.
        DataError: it holds no images, or images of other channels.
    """
    images = [image for path in paths for image in _read(path, white, channels)]
    return [Image(one.source, 1 - one.pixels) for one in images] if invert else images


def read_labels(path: str, images: Sequence[Image], classes: int) -> list[Image]:
    """The same images with what they are, read from an IDX or .npy file; DataError if they do not fit."""
    labels = np.asarray(_read_npy(path) if path.endswith(".npy") else read_idx(path))
    if labels.shape != (len(images),):
        raise DataError(f"{path} has labels of shape {labels.shape}, and there are {len(images)} images",
                        hint="the file of labels that belongs to the file of images")  # fmt: skip
    check_labels(labels, classes)
    return [Image(one.source, one.pixels, int(label)) for one, label in zip(images, labels, strict=True)]


def _read(path: str, white: float, channels: int) -> list[Image]:
    suffix = Path(path).suffix.lower()
    if suffix in _PICTURES:
        return [Image(path, _read_picture(path, channels))]
    array = _read_npy(path) if suffix == ".npy" else read_idx(path)
    brightness = _brightness(_as_images(array, path, channels), path, white)
    if len(brightness) == 1:
        return [Image(path, brightness[0])]
    return [Image(f"{path}[{index}]", pixels) for index, pixels in enumerate(brightness)]


def _as_images(array: Array, path: str, channels: int) -> Array:
    """The same numbers as (N, channels, H, W); DataError if they are no images, or images of other channels."""
    if array.dtype.kind not in "uifb" or array.ndim not in (2, 3, 4):
        raise DataError(
            f"{path} holds {array.dtype} of shape {array.shape}, not images",
            hint="numbers of shape (height, width) or (count, height, width)"
            if channels == 1
            else f"numbers of shape ({channels}, height, width) or (count, {channels}, height, width)",
        )
    if array.size == 0:
        raise DataError(f"{path} holds no images", hint="check how it was written")
    if channels == 1 and array.ndim < 4:
        return array.reshape(-1, 1, *array.shape[-2:])
    images = array[np.newaxis] if array.ndim == 3 else array
    if images.ndim == 4 and images.shape[1] == channels:
        return images
    if images.ndim == 4 and images.shape[3] == channels:  # as imaging libraries have them
        return images.transpose(0, 3, 1, 2)
    raise DataError(
        f"{path} holds images of shape {array.shape}; the network takes {_IN_WORDS.get(channels, channels)}",
        hint=f"an array of shape (count, {channels}, height, width), or pictures, which are converted",
    )


def _brightness(array: Array, path: str, white: float) -> Array:
    """The images in an array, (N, channels, H, W), from 0 to 1."""
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


def _read_picture(path: str, channels: int) -> Array:
    """(channels, H, W)."""
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
            pixels = np.asarray(picture.convert("L" if channels == 1 else "RGB"), dtype=np.float32) / 255
            return pixels[np.newaxis] if channels == 1 else pixels.transpose(2, 0, 1)
    except (OSError, ValueError, SyntaxError, Pillow.DecompressionBombError) as error:
        raise DataError(f"{path} is damaged, or not a picture", hint="open it in another program") from error
