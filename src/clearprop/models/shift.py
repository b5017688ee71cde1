"""Random shifts: the same digit a pixel to the left is the same digit, and a network that has seen both knows more."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from clearprop import random
from clearprop.arguments import whole
from clearprop.array import pad, reshape, take, take_along_axis
from clearprop.errors import ShapeError
from clearprop.nn import Module
from clearprop.random import Generator
from clearprop.tensor import Tensor


class RandomShift(Module):
    """While training, move each image by up to some pixels in both directions; what comes in at the edges is 0.

    Args:
        pixels: the farthest that an image is moved along each axis.
        generator: of the random numbers; by default the one that `clearprop.random.seed` seeds.

    >>> import clearprop as cp
    >>> shift = RandomShift(1, generator=cp.random.Generator(5))
    >>> image = cp.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    >>> shift(image).tolist(), shift.eval()(image).tolist()
    ([[[[0.0, 3.0], [0.0, 0.0]]]], [[[[1.0, 2.0], [3.0, 4.0]]]])
    """

    def __init__(self, pixels: int = 1, *, generator: Generator | None = None) -> None:
        self.pixels = whole("RandomShift", "pixels", pixels, 0)
        self.generator = generator

    def forward(self, x: Any) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        if x.ndim != 4:
            raise ShapeError(
                f"RandomShift: images have shape (N, C, H, W); these have {x.shape}",
                hint="images.reshape(-1, channels, height, width)",
            )
        if not self.training or not self.pixels:
            return x
        n, channels, height, width = x.shape
        margin = (self.pixels, self.pixels)
        padded = reshape(pad(x, ((0, 0), (0, 0), margin, margin)), (n, channels, -1))
        choice = random.randint(0, (2 * self.pixels + 1) ** 2, (n, 1), generator=self.generator)
        windows = take(_windows(height, width, self.pixels), choice, axis=0)  # (N, 1, H W)
        return reshape(take_along_axis(padded, windows, axis=2), x.shape)

    def extra_repr(self) -> str:
        """Its argument."""
        return f"{self.pixels}"


@cache
def _windows(height: int, width: int, pixels: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """For each shift, where in the padded image, laid out as one row, the pixels of the shifted one are."""
    positions = np.arange((height + 2 * pixels) * (width + 2 * pixels)).reshape(height + 2 * pixels, width + 2 * pixels)
    return sliding_window_view(positions, (height, width)).reshape(-1, height * width)
