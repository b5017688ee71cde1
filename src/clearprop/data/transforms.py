"""Transforms of images, a whole batch at a time: scaling, and the augmentation that a network is trained with.

A transform is called with the columns of a batch, ``transform(images, labels)``, and gives them back changed. Those of
this file change the first column, images of shape (N, C, H, W), and pass the others on; alone, ``transform(images)``
gives the images. A `DataLoader` with ``transform=`` also hands over its random numbers, see `Draws`: they depend on the
seed, the epoch and the position of each example, so that a resumed run sees the same images.

Any function of the columns that returns them is a transform too; if it has an argument ``draws``, it gets them.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from clearprop.arguments import number, whole
from clearprop.data.draws import Array, Draws
from clearprop.errors import DataError, UsageError
from clearprop.tensor import as_array

Transform: TypeAlias = Callable[..., Any]


class Compose:
    """Several transforms, one after the other.

    Args:
        transforms: they are called in this order, each with what the one before has returned.

    Raises:
        UsageError: one of them cannot be called.

    >>> augment = Compose([RandomCrop(2, padding=1), RandomHorizontalFlip(), Normalize(0.5, 0.25)])
    >>> images, labels = augment(np.ones((8, 3, 2, 2), np.float32), np.arange(8), draws=Draws(8, seed=1))
    >>> images.shape, float(images.min()), float(images.max())
    ((8, 3, 2, 2), -2.0, 2.0)
    """

    def __init__(self, transforms: Iterable[Transform]) -> None:
        if not isinstance(transforms, Iterable):
            raise UsageError(f"Compose: {transforms!r} is not a list", hint=f"Compose([{transforms!r}])")
        self.transforms = tuple(transforms)
        self._steps = [applied(transform, "Compose: a transform") for transform in self.transforms]

    def __call__(self, *columns: Any, draws: Draws | None = None) -> Any:
        """The columns, changed by all transforms; a single one by itself."""
        source = draws if draws is not None else Draws(len(columns[0]))
        for step in self._steps:
            columns = step(columns, source)
        return columns if len(columns) != 1 else columns[0]

    def __repr__(self) -> str:
        return f"Compose([{', '.join(transform_name(transform) for transform in self.transforms)}])"


def applied(transform: Any, what: str) -> Callable[[tuple[Any, ...], Draws], tuple[Any, ...]]:
    """A transform as a function from columns and random numbers to columns, whether it wants random numbers or not.

    Args:
        what: to call it in errors.

    Raises:
        UsageError: it cannot be called.
    """
    check_callable(what, transform)
    wants_draws = _takes_draws(transform)

    def apply(columns: tuple[Any, ...], draws: Draws) -> tuple[Any, ...]:
        return as_columns(transform(*columns, draws=draws) if wants_draws else transform(*columns), transform)

    return apply


def as_columns(result: Any, function: Any) -> tuple[Any, ...]:
    """What a transform or a collating function has returned, as a tuple of columns; DataError if it is nothing."""
    columns = tuple(result) if isinstance(result, tuple | list) else (result,)
    if any(column is None for column in columns) or not columns:
        raise DataError(
            f"DataLoader: {transform_name(function)} returned {result}", hint="return the columns of a batch"
        )
    return columns


def check_callable(what: str, function: Any) -> None:
    """Raise UsageError for what cannot be called, and for a class where an object of it is meant."""
    if callable(function) and not isinstance(function, type):
        return
    name = getattr(function, "__name__", repr(function))
    hint = f"an object of it: {name}(…)" if isinstance(function, type) else "a function, or what can be called"
    raise UsageError(f"{what} is {name}", hint=hint)


def _takes_draws(transform: Any) -> bool:
    try:
        parameters = inspect.signature(transform).parameters.values()
    except (TypeError, ValueError):  # what is written in C has no signature
        return False
    return any(one.name == "draws" or one.kind is one.VAR_KEYWORD for one in parameters)


def transform_name(transform: Any) -> str:
    """What a transform is, in words that are the same in every run: a checkpoint keeps them."""
    name = getattr(transform, "__qualname__", None)  # of a function; its repr holds an address
    if name is not None:
        return str(name)
    shown = repr(transform)
    return type(transform).__qualname__ if shown == object.__repr__(transform) else shown


class ImageTransform(ABC):
    """What transforms of images share: they change the first column of a batch, and need no loader to be tried."""

    def __call__(self, images: Any, *others: Any, draws: Draws | None = None) -> Any:
        """The images changed, and the other columns as they were; the images alone if there are no others.

        Args:
            images: (N, C, H, W), any dtype.
            others: further columns of the batch.
            draws: random numbers for each image; by default those of seed 0, the same at every call.

        Raises:
            DataError: what is to be changed are no images, or not such ones.
        """
        batch = check_images(type(self).__name__, images)
        changed = self.apply(batch, draws if draws is not None else Draws(len(batch)))
        return (changed, *others) if others else changed

    @abstractmethod
    def apply(self, images: Array, draws: Draws) -> Array:
        """The images, changed; those given stay as they are."""


def check_images(name: str, images: Any) -> Array:
    """The images as an array of shape (N, C, H, W); DataError, naming the transform, if they are none."""
    batch = as_array(images)
    if batch.ndim != 4:
        hint = "images[np.newaxis] for a single image" if batch.ndim == 3 else "a dataset of images, not flattened"
        raise DataError(f"{name}: images have the shape (N, C, H, W); these have {batch.shape}", hint=hint)
    return batch


@dataclass(frozen=True)
class ToFloat(ImageTransform):
    """Bytes from 0 to 255 become float32 from 0 to 1; floating-point images stay as they are.

    The image datasets of this package are such floats already. This is for arrays of your own.

    >>> ToFloat()(np.array([[[[0, 51, 255]]]], np.uint8))
    array([[[[0. , 0.2, 1. ]]]], dtype=float32)
    """

    def apply(self, images: Array, draws: Draws) -> Array:
        """(N, C, H, W) uint8 -> float32."""
        if images.dtype.kind == "f":
            return images
        if images.dtype != np.uint8:
            raise DataError(f"ToFloat: images of dtype {images.dtype}", hint="uint8, or divide by the brightest value")
        return np.divide(images, 255, dtype=np.float32)


@dataclass(frozen=True)
class Normalize(ImageTransform):
    """(x - mean) / std, for each channel.

    Args:
        mean, std: one number for each channel, or one for all. `ImageDataset.mean_and_std` measures them.

    Raises:
        UsageError: a std that is not positive.

    >>> Normalize(mean=(0.5, 0.0), std=(0.5, 1.0))(np.ones((1, 2, 1, 1), np.float32)).tolist()
    [[[[1.0]], [[1.0]]]]
    """

    mean: float | Sequence[float]
    std: float | Sequence[float]

    def __post_init__(self) -> None:
        for name, value in (("mean", self.mean), ("std", self.std)):
            for one in value if isinstance(value, Sequence | np.ndarray) else (value,):
                number("Normalize", name, one, positive=name == "std")

    def apply(self, images: Array, draws: Draws) -> Array:
        """(N, C, H, W), floating point, -> the same dtype."""
        if images.dtype.kind != "f":
            raise DataError(f"Normalize: images of dtype {images.dtype}", hint="ToFloat() in front of it")
        mean, std = (self._for_channels(value, images) for value in (self.mean, self.std))
        return (images - mean) / std

    def _for_channels(self, value: float | Sequence[float], images: Array) -> Array:
        numbers = np.asarray(value, images.dtype)
        channels = images.shape[1]
        if numbers.shape not in ((), (1,), (channels,)):
            raise DataError(
                f"Normalize: mean and std of shape {numbers.shape} for images of shape {images.shape}",
                hint=f"{channels} numbers, one for each channel",
            )
        return numbers.reshape(-1, 1, 1)


@dataclass(frozen=True)
class RandomCrop(ImageTransform):
    """A part of each image, of a given size, from a random place.

    Args:
        size: of the part, height and width; one number for a square.
        padding: pixels added on every side before.
        fill: what they are filled with.

    >>> image = np.arange(9.0).reshape(1, 1, 3, 3)
    >>> RandomCrop(2)(image, draws=Draws(1, seed=1))[0, 0]
    array([[0., 1.],
           [3., 4.]])
    """

    size: int | tuple[int, int]
    padding: int = 0
    fill: float = 0.0

    def __post_init__(self) -> None:
        number("RandomCrop", "fill", self.fill)
        if min(_pair(self.size)) < 1 or whole("RandomCrop", "padding", self.padding, 0) < 0:
            raise UsageError(f"{self}: it gives no image", hint="a size from 1 on, and padding from 0 on")

    def apply(self, images: Array, draws: Draws) -> Array:
        """(N, C, H, W) -> (N, C, *size)."""
        height, width = _pair(self.size)
        images = self._padded(images)
        rows, columns = images.shape[2] - height + 1, images.shape[3] - width + 1
        if rows < 1 or columns < 1:
            raise DataError(
                f"{self}: images of {images.shape[2]}×{images.shape[3]} pixels, padding included, are too small",
                hint="a smaller size, or more padding",
            )
        windows = sliding_window_view(images, (height, width), axis=(2, 3))  # (N, C, rows, columns, *size)
        return windows[np.arange(len(images)), :, draws.integers(0, rows), draws.integers(0, columns)]

    def _padded(self, images: Array) -> Array:
        if not self.padding:
            return images
        (count, channels, height, width), margin = images.shape, self.padding
        padded = np.full((count, channels, height + 2 * margin, width + 2 * margin), self.fill, images.dtype)
        padded[:, :, margin : margin + height, margin : margin + width] = images
        return padded


@dataclass(frozen=True)
class RandomHorizontalFlip(ImageTransform):
    """Left and right exchanged, in a share `p` of the images.

    >>> RandomHorizontalFlip(p=1.0)(np.arange(3.0).reshape(1, 1, 1, 3))
    array([[[[2., 1., 0.]]]])
    """

    p: float = 0.5

    def __post_init__(self) -> None:
        number("RandomHorizontalFlip", "p", self.p, 0.0, 1.0)

    def apply(self, images: Array, draws: Draws) -> Array:
        """(N, C, H, W) -> the same shape."""
        flipped, result = draws.uniform() < self.p, images.copy()
        result[flipped] = images[flipped, ..., ::-1]
        return result


@dataclass(frozen=True)
class Cutout(ImageTransform):
    """A square of each image is blanked out (DeVries, Taylor 2017, https://arxiv.org/abs/1708.04552).

    Its centre is a random pixel, so that it may lie partly outside of the image, as in the paper. Put it after
    `Normalize`: there 0 is the mean colour.

    Args:
        size: the length of a side in pixels; the paper takes 16 for CIFAR-10.
        fill: what the square is filled with.

    >>> Cutout(1)(np.ones((1, 1, 2, 2)), draws=Draws(1, seed=1))[0, 0]
    array([[0., 1.],
           [1., 1.]])
    """

    size: int
    fill: float = 0.0

    def __post_init__(self) -> None:
        whole("Cutout", "size", self.size)
        number("Cutout", "fill", self.fill)

    def apply(self, images: Array, draws: Draws) -> Array:
        """(N, C, H, W) -> the same shape."""
        result, height, width = images.copy(), images.shape[2], images.shape[3]
        top = draws.integers(0, height) - self.size // 2
        left = draws.integers(0, width) - self.size // 2
        for image, row, column in zip(result, top, left, strict=True):
            image[:, max(row, 0) : row + self.size, max(column, 0) : column + self.size] = self.fill
        return result


def _pair(size: Any) -> tuple[int, int]:
    pair = (size, size) if isinstance(size, int) else size
    if not isinstance(pair, tuple | list) or len(pair) != 2 or not all(isinstance(one, int) for one in pair):
        raise UsageError(f"a size of {size!r}", hint="pixels of a side, or (height, width)")
    return pair[0], pair[1]
