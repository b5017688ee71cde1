"""What an input of a network looks like: a picture if it is an image, else some numbers."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from clearprop.errors import ShapeError
from clearprop.files.png import png

Array = np.ndarray[Any, np.dtype[Any]]

_LARGEST = 128  # pixels; a report shows pictures about as large
_SMALLEST = 8  # of an array without channels: what is smaller is no image
_NUMBERS = 8


def is_image(value: Array) -> bool:
    """Whether an input is an image: one or three channels of height and width, or height and width alone.

    >>> is_image(np.zeros((3, 32, 32))), is_image(np.zeros(64)), is_image(np.zeros((5, 4)))
    (True, False, False)
    """
    if value.dtype.kind not in "uif" or not value.size:
        return False
    if value.ndim == 3:
        return value.shape[0] in (1, 3) and min(value.shape[1:]) > 1
    return value.ndim == 2 and min(value.shape) >= _SMALLEST


def picture(image: Array) -> str:
    """An image as PNG, in base64.

    Whole bytes are taken as they are, and numbers from 0 to 1 as brightness. Others, such as those of normalized
    images, are stretched from their own lowest to their highest. What is larger than a report shows is made smaller.

    Args:
        image: of shape (1, height, width), (3, height, width) or (height, width).

    Raises:
        ShapeError: another shape.

    >>> picture(np.zeros((1, 8, 8)))[:8]
    'iVBORw0K'
    """
    if not is_image(image):
        raise ShapeError(
            f"an array of shape {image.shape} is no image", hint="(1, height, width) or (3, height, width)"
        )
    planes = image if image.ndim == 3 else image[np.newaxis]
    bright = _smaller(_brightness(planes))
    pixels = np.clip(np.rint(bright * 255), 0, 255).astype(np.uint8)
    return base64.b64encode(png(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))).decode()


def in_numbers(value: Array) -> str:
    """The first numbers of an array, and how many there are.

    >>> in_numbers(np.array([0.5, 0.25])), in_numbers(np.arange(100))
    ('0.5, 0.25', '0, 1, 2, 3, 4, 5, 6, 7, … (100)')
    """
    flat = value.reshape(-1)
    text = ", ".join(f"{number:.4g}" if value.dtype.kind == "f" else str(number) for number in flat[:_NUMBERS].tolist())
    return text if flat.size <= _NUMBERS else f"{text}, … ({flat.size:,})"


def _brightness(planes: Array) -> Array:
    """From 0 to 1."""
    if planes.dtype == np.uint8:
        return planes / 255.0
    values = np.nan_to_num(planes.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    if low >= 0 and high <= 1:
        return values
    return (values - low) / (high - low) if high > low else np.zeros_like(values)


def _smaller(planes: Array) -> Array:
    """Means over squares of pixels, so many that neither side is too long."""
    channels, height, width = planes.shape
    size = -(-max(height, width) // _LARGEST)
    rows, columns = max(height // size, 1), max(width // size, 1)
    cut = planes[:, : rows * size, : columns * size]
    if size == 1:
        return cut
    squares = cut.reshape(channels, rows, cut.shape[1] // rows, columns, cut.shape[2] // columns)
    return np.asarray(squares.mean(axis=(2, 4)))
