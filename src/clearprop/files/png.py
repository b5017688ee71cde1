"""PNG images, written: what a report needs to show pictures, without an imaging library (PNG, ISO/IEC 15948:2004)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from clearprop.errors import DTypeError, ShapeError

_GREY, _COLOUR = 0, 2  # colour types


def png(pixels: np.ndarray[Any, Any]) -> bytes:
    r"""A picture as the bytes of a PNG file.

    Args:
        pixels: uint8, of shape (height, width) for grey values, (height, width, 3) for red, green and blue.

    Raises:
        ShapeError: another shape, or no pixels.
        DTypeError: another dtype.

    >>> png(np.zeros((8, 8), np.uint8))[:8]
    b'\x89PNG\r\n\x1a\n'
    """
    if pixels.dtype != np.uint8:
        raise DTypeError(f"png: the pixels have dtype {pixels.dtype}", hint="uint8, from 0 to 255")
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3) or not pixels.size:
        raise ShapeError(f"png: the pixels have shape {pixels.shape}", hint="(height, width) or (height, width, 3)")
    height, width = pixels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 8, _GREY if pixels.ndim == 2 else _COLOUR, 0, 0, 0)
    content = min((zlib.compress(lines, level=9) for lines in _filtered(pixels)), key=len)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", content) + _chunk(b"IEND", b"")


def _filtered(pixels: np.ndarray[Any, Any]) -> Iterator[bytes]:
    """The lines of the picture, each after the number of its filter, in three ways: one of them packs best.

    The pixels as they are (0), as differences from their left neighbours (1), from those above (2); modulo 256.
    """
    spread = pixels.reshape(*pixels.shape[:2], -1)
    left = np.pad(spread, ((0, 0), (1, 0), (0, 0)))[:, :-1]
    above = np.pad(spread, ((1, 0), (0, 0), (0, 0)))[:-1]
    for number, neighbours in enumerate((np.zeros_like(spread), left, above)):
        lines = (spread - neighbours).reshape(len(spread), -1)
        yield np.insert(lines, 0, number, axis=1).tobytes()


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
