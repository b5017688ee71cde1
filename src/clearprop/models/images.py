"""What networks for images share: a check of what comes in, and brightness made to have mean 0 and deviation 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clearprop.arguments import number
from clearprop.array import divide, subtract
from clearprop.array.promotion import whole_numbers
from clearprop.cell import Buffer
from clearprop.errors import ShapeError, UsageError
from clearprop.nn import Module
from clearprop.tensor import Tensor, as_tensor


def image_shape(name: str, image: Any) -> tuple[int, int, int]:
    """The shape of the images a network is built for; UsageError, naming the network, if it is not that of an image.

    >>> image_shape("cnn", [1, 28, 28])
    (1, 28, 28)
    """
    lengths = whole_numbers(image, name, "image")
    if len(lengths) != 3 or min(lengths) < 1:
        raise UsageError(f"{name}: image is {image!r}"[:200], hint="(channels, height, width), such as (3, 32, 32)")
    return lengths[0], lengths[1], lengths[2]


def check_images(name: str, x: Any, image: tuple[int, int, int]) -> Tensor:
    """The images as a tensor; ShapeError, naming the network, unless they have the shape (N, *image)."""
    x = as_tensor(x)
    if x.ndim != 4 or x.shape[1:] != image:
        channels, height, width = image
        raise ShapeError(
            f"{name}: the images have shape {x.shape}; the network takes (N, {channels}, {height}, {width})",
            hint=_how_to_fit(x.shape, image),
        )
    return x


def _how_to_fit(shape: tuple[int, ...], image: tuple[int, int, int]) -> str:
    if shape == image:
        return "images[None] for a single image"
    if len(shape) == 4 and shape[1] != image[0]:
        return f"images of {image[0]} channel{'s' if image[0] > 1 else ''}, or a network for {shape[1]}"
    if len(shape) == 4:
        return f"resize them to {image[1]}×{image[2]} pixels, or a network for {shape[2]}×{shape[3]}"
    return f"images.reshape((-1, {image[0]}, {image[1]}, {image[2]}))"


class Standardize(Module):
    """(x - mean) / std, for each channel: networks learn best from numbers around 0 (LeCun et al. 1998, section 4.3).

    Being a layer of the network, it goes wherever the weights go: who uses the network gives it brightness from 0 to 1.

    Args:
        mean, std: one number for each channel: what `data.ImageDataset.mean_and_std` measures.

    >>> import clearprop as cp
    >>> Standardize([0.5, 0.0], [0.25, 1.0])(cp.ones((1, 2, 1, 1))).tolist()
    [[[[2.0]], [[1.0]]]]
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        if len(mean) != len(std) or not len(mean):
            raise UsageError(
                f"Standardize: {len(mean)} means and {len(std)} deviations", hint="one of each for every channel"
            )
        for name, values in (("mean", mean), ("std", std)):
            for one in values:
                number("Standardize", name, one, positive=name == "std")
        self.mean = Buffer(np.asarray(mean, np.float32))
        self.std = Buffer(np.asarray(std, np.float32))

    def forward(self, x: Any) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        return divide(subtract(x, self.mean.reshape((-1, 1, 1))), self.std.reshape((-1, 1, 1)))

    def extra_repr(self) -> str:
        """How many channels."""
        return f"{self.mean.shape[0]}"
