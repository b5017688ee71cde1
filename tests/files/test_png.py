"""PNG files that other programs read."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest

from clearprop.errors import DTypeError, ShapeError
from clearprop.files.png import png

rng = np.random.default_rng(0)
PICTURES = {
    "grey": rng.integers(0, 256, (5, 7)),
    "colour": rng.integers(0, 256, (4, 9, 3)),
    "one pixel": np.array([[255]]),
    "from left to right": np.tile(np.arange(256), (20, 1)),  # packs best as differences
    "from top to bottom": np.tile(np.arange(200)[:, np.newaxis, np.newaxis], (1, 30, 3)),
}


def read(content: bytes) -> np.ndarray[Any, Any]:
    """A reader of its own: chunks with their checksums, lines with their filters."""
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        kind, body = content[at + 4 : at + 8], content[at + 8 : at + 8 + length]
        assert struct.unpack(">I", content[at + 8 + length : at + 12 + length]) == (zlib.crc32(kind + body),)
        chunks[kind] = body
        at += 12 + length
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    width, height, depth, colour, *rest = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert (depth, rest) == (8, [0, 0, 0])
    channels = {0: 1, 2: 3}[colour]
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, 1 + width * channels)
    pixels = lines[:, 1:].reshape(height, width, channels)
    (number,) = set(lines[:, 0].tolist())
    if number:
        pixels = np.cumsum(pixels, axis={1: 1, 2: 0}[number], dtype=np.uint8)
    return pixels[:, :, 0] if channels == 1 else pixels


@pytest.mark.parametrize("name", PICTURES)
def test_the_pixels_come_back(name: str) -> None:
    pixels = PICTURES[name].astype(np.uint8)
    np.testing.assert_array_equal(read(png(pixels)), pixels)


@pytest.mark.parametrize("name", PICTURES)
def test_other_programs_read_it(name: str) -> None:
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    pixels = PICTURES[name].astype(np.uint8)
    np.testing.assert_array_equal(np.asarray(image.open(io.BytesIO(png(pixels)))), pixels)


def test_smooth_pictures_are_packed_as_differences() -> None:
    smooth = (np.add.outer(np.arange(64) ** 2, np.arange(64)) % 256).astype(np.uint8)
    plain = zlib.compress(np.insert(smooth, 0, 0, axis=1).tobytes(), 9)
    assert len(png(smooth)) < 0.5 * len(plain)


@pytest.mark.parametrize(
    ("pixels", "error"),
    [
        (np.zeros((2, 2)), DTypeError),
        (np.zeros((2, 2, 4), np.uint8), ShapeError),
        (np.zeros(4, np.uint8), ShapeError),
        (np.zeros((0, 3), np.uint8), ShapeError),
    ],
)
def test_what_is_no_picture(pixels: np.ndarray[Any, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        png(pixels)
