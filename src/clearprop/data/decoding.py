"""Pictures, decoded: the bytes of a JPEG, PNG or similar file as an array. Pillow does it, an optional dependency."""

from __future__ import annotations

import importlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clearprop.data.ahead import computed_ahead
from clearprop.data.batches import Array
from clearprop.data.sources import Reader
from clearprop.errors import DataError, UsageError

MODES = {"L": 1, "RGB": 3, "RGBA": 4}
"""The kinds of pictures that make arrays, by Pillow's names, with their channels."""

_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM")  # not EPS, for which Pillow runs another program
_DEEP_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")  # converting these to 8 bits would clip them
_MOST_PIXELS = 1 << 28  # of a picture that is made larger: what nobody means
_BYTES_FOR_THREADS = 1 << 12  # of smaller files most of the work is Python's, where threads only take turns
_THREADS = 8  # the reading itself is done by one


@dataclass(frozen=True)
class Decoder:
    """How pictures become arrays.

    Args:
        mode: "L" for brightness, "RGB" or "RGBA" to convert all pictures to; None to take them as they are.
        size: (height, width) to bring all pictures to, scaled so that they cover it, the middle cut out; None for the
            pixels that they have.

    Raises:
        UsageError: a mode or size that there is not.
    """

    mode: str | None = None
    size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.mode is not None and self.mode not in MODES:
            raise UsageError(f"there is no mode {self.mode!r}", hint='"L" for brightness, "RGB" or "RGBA"')
        if self.size is not None and (min(self.size) < 1 or self.size[0] * self.size[1] > _MOST_PIXELS):
            raise UsageError(
                f"pictures cannot be resized to {self.size}",
                hint="height and width, from 1 on, such as resize=(224, 224)",
            )

    def decode(self, content: bytes, name: str) -> Array:
        """A picture as uint8 of shape (C, H, W).

        Raises:
            DataError: it is damaged, or of a kind that is not one of `MODES`; `name` says which it is.
            UsageError: Pillow is not installed.
        """
        pillow, ops = _pillow("Image"), _pillow("ImageOps")
        try:
            with pillow.open(io.BytesIO(content), formats=_FORMATS) as picture:
                if self.size is not None:  # a photograph need not be decoded whole to be made small: ten times faster
                    picture.draft(None, (2 * max(self.size), 2 * max(self.size)))
                ops.exif_transpose(picture, in_place=True)  # as people see it: cameras only note how they were held
                if picture.mode in _DEEP_MODES:
                    raise DataError(f"{name} has more than 8 bits for a channel", hint="convert it, or leave it out")
                if picture.mode == "P" and "transparency" in picture.info and self.mode is not None:
                    picture = picture.convert("RGBA")  # Pillow warns of the direct way to "RGB"
                if self.mode is not None and picture.mode != self.mode:
                    picture = picture.convert(self.mode)
                if self.size is not None and picture.size != self.size[::-1]:
                    picture = ops.fit(picture, self.size[::-1], method=pillow.Resampling.BICUBIC)
                if picture.mode not in MODES:
                    raise DataError(f"{name} is a picture of mode {picture.mode}", hint='mode="RGB", or mode="L"')
                pixels = np.asarray(picture)
        except DataError:
            raise
        except (OSError, ValueError, SyntaxError, EOFError, pillow.DecompressionBombError) as error:
            raise DataError(f"{name} is damaged, or not a picture: {_first_line(error)}",
                            hint="open it in another program; leave it out") from error  # fmt: skip
        return pixels[np.newaxis] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def decode_all(reader: Reader, files: Sequence[str], decoder: Decoder, where: str, threads: int) -> Iterator[Array]:
    """The pictures of these files one after the other, each uint8 of the same shape (C, H, W).

    Args:
        where: the place that holds the files, for errors.
        threads: how many to decode large pictures with.

    Raises:
        DataError: one is damaged, or has another size or other channels than the first; both are named.
        FileError: a file cannot be read.
    """

    def decode(item: tuple[str, bytes]) -> Array:
        return decoder.decode(item[1], f"{item[0]} in {where}")

    first = reader.read(files[0])
    shape = decode((files[0], first)).shape
    workers = min(threads, _THREADS) if len(first) >= _BYTES_FOR_THREADS else 1
    contents = ((name, reader.read(name)) for name in files)
    images = computed_ahead(decode, contents, 4 * workers if workers > 1 else 0, workers=workers)
    for name, image in zip(files, images, strict=True):
        if image.shape != shape:
            raise _uneven(where, (files[0], shape), (name, image.shape))
        yield image


def _uneven(where: str, first: tuple[str, tuple[int, ...]], other: tuple[str, tuple[int, ...]]) -> DataError:
    """The error of two pictures that do not fit together."""
    (channels, height, width), (others, *_) = first[1], other[1]
    names = {count: mode for mode, count in MODES.items()}
    told = [f"{name} is {shape[1]}×{shape[2]} {names[shape[0]]}" for name, shape in (other, first)]
    hints = [f'mode="{names[max(channels, others)]}"'] if channels != others else []
    hints += [f"resize=({height}, {width})"] if first[1][1:] != other[1][1:] else []
    return DataError(f"the pictures in {where} differ: {told[0]}, {told[1]}", hint=", ".join(hints))


def _pillow(module: str) -> Any:
    """A module of Pillow; UsageError if it is not installed."""
    try:
        return importlib.import_module(f"PIL.{module}")
    except ImportError:
        raise UsageError(
            "reading pictures needs Pillow, which is not installed", hint="pip install 'clearprop[pictures]'"
        ) from None


def _first_line(error: Exception) -> str:
    if type(error).__name__ == "UnidentifiedImageError":  # whose text is the address of an object
        return "it begins like no kind of picture that is known"
    return (str(error) or type(error).__name__).splitlines()[0]
