"""Small pictures of images in the terminal: each character is a block of two pixels, one above the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clearprop.lens.layout import Line, Span

Array = np.ndarray[Any, np.dtype[Any]]

_WIDEST = 16  # characters; larger images are made smaller
_GAP = 3
_BLOCKS = " ▄▀█"  # by upper * 2 + lower
_THRESHOLD = 0.5  # of the brightest pixel


def picture(image: Array) -> list[str]:
    """One image, brightness of shape (H, W), as lines of text of equal width.

    >>> for line in picture(np.array([[0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 1, 0], [0, 1, 1, 1]])):
    ...     print("|" + line + "|")
    | ▀█ |
    | ▄█▄|
    """
    small = _shrunk(np.asarray(image, dtype=np.float64))
    on = small >= max(float(small.max(initial=0.0)) * _THRESHOLD, 1e-9)
    on = np.pad(on, ((0, len(on) % 2), (0, 0)))
    return ["".join(_BLOCKS[2 * upper + lower] for upper, lower in zip(*pair, strict=True)) for pair in _pairs(on)]


def gallery(images: Sequence[Array], captions: Sequence[str], width: int) -> list[str]:
    """Images side by side, each with its caption below, in rows that fit into a width.

    >>> one = np.array([[1, 1, 0], [0, 1, 0], [0, 1, 0], [1, 1, 1]])
    >>> for line in gallery([one, one], ["1", "also 1"], width=40):
    ...     print(line)
    ▀█       ▀█
    ▄█▄      ▄█▄
    1        also 1
    """
    pictures = [picture(image) for image in images]
    across, column = _columns([len(lines[0]) for lines in pictures if lines], captions, width)
    lines: list[str] = []
    for start in range(0, len(pictures), across):
        row = [[*drawn, text] for drawn, text in zip(pictures, captions, strict=True)][start : start + across]
        lines += [""] if lines else []
        lines += [(" " * _GAP).join(text.ljust(column) for text in level).rstrip() for level in zip(*row, strict=True)]
    return lines


def colour_picture(image: Array) -> list[Line]:
    """One image in colour, from 0 to 1 of shape (3, H, W), as styled lines: each character has two pixels' colours.

    >>> colour_picture(np.array([[[1.0], [0.0]], [[0.0], [0.0]], [[0.0], [1.0]]]))
    [[Span(text='▀', style='#ff0000 on #0000ff')]]
    """
    planes = [_shrunk(np.asarray(plane, dtype=np.float64)) for plane in image]
    pixels = np.rint(255 * np.clip(np.stack(planes, axis=2), 0, 1)).astype(int)  # (H, W, 3)
    pixels = np.pad(pixels, ((0, len(pixels) % 2), (0, 0), (0, 0)), mode="edge")
    codes = [["#" + "".join(f"{part:02x}" for part in pixel) for pixel in row] for row in pixels.tolist()]
    return [
        [Span("▀", f"{upper} on {lower}") for upper, lower in zip(*pair, strict=True)]
        for pair in zip(codes[::2], codes[1::2], strict=True)
    ]


def colour_gallery(images: Sequence[Array], captions: Sequence[str], width: int) -> list[Line]:
    """`gallery` of images in colour, (3, H, W) each, as styled lines."""
    pictures = [colour_picture(image) for image in images]
    across, column = _columns([len(lines[0]) for lines in pictures], captions, width)
    lines: list[Line] = []
    for start in range(0, len(pictures), across):
        row = [[*drawn, [Span(text)]] for drawn, text in zip(pictures, captions, strict=True)][start : start + across]
        lines += [[]] if lines else []
        for level in zip(*row, strict=True):
            spaced = [[*line, Span(" " * (column + _GAP - sum(len(span.text) for span in line)))] for line in level]
            lines.append([span for line in spaced for span in line])
    return lines


def _columns(widths: Sequence[int], captions: Sequence[str], width: int) -> tuple[int, int]:
    """How many pictures stand side by side, and how wide the column of each is."""
    column = max([*widths, *map(len, captions)], default=0)
    return max(1, (width + _GAP) // (column + _GAP)), column


def _pairs(on: Array) -> Array:
    return on.reshape(-1, 2, on.shape[1]).astype(int)


def _shrunk(image: Array) -> Array:
    """The image in at most so many columns: each pixel the mean of a square of whole pixels."""
    factor = -(-image.shape[1] // _WIDEST)
    if factor <= 1:
        return image
    margins = [(0, -length % factor) for length in image.shape]
    padded = np.pad(image, margins)
    height, width = padded.shape[0] // factor, padded.shape[1] // factor
    return np.asarray(padded.reshape(height, factor, width, factor).mean(axis=(1, 3)))
