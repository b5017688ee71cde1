"""Small pictures for tests, in folders and archives."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Array = np.ndarray[Any, np.dtype[Any]]


def pixels(seed: int, height: int = 4, width: int = 4, channels: int = 3) -> Array:
    """Random bytes of shape (C, H, W)."""
    return np.random.default_rng(seed).integers(0, 256, (channels, height, width), dtype=np.uint8)


def encoded(image: Array, form: str = "PNG", **options: Any) -> bytes:
    """The bytes of a picture file; PNG keeps every pixel."""
    file = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0).squeeze()).save(file, form, **options)
    return file.getvalue()


PICTURES: Mapping[str, bytes] = {
    "cat/b.png": encoded(pixels(1)),
    "cat/a.png": encoded(pixels(0)),
    "dog/c.png": encoded(pixels(2)),
}
"""Files of two classes; sorted by name, their pixels are those of the seeds 0, 1, 2."""

STACKED = np.stack([pixels(seed) for seed in range(3)])


def make_folder(path: Path, files: Mapping[str, bytes]) -> Path:
    """A folder with these files in it."""
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def make_zip(path: Path, files: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    """A zip archive with these members, whatever their names are."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return path
