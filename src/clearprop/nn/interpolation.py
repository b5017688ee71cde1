"""Images made larger: by resampling, and by what is put around them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from clearprop import functional
from clearprop.arguments import is_whole
from clearprop.errors import UsageError
from clearprop.nn.module import Module
from clearprop.tensor import Tensor


class Upsample(Module):
    """Images of other lengths; arguments as of `functional.interpolate`.

    >>> import clearprop as cp
    >>> cp.nn.Upsample(scale_factor=2, mode="bilinear")(cp.ones((10, 3, 7, 7))).shape
    (10, 3, 14, 14)
    """

    def __init__(
        self,
        size: int | Sequence[int] | None = None,
        scale_factor: float | Sequence[float] | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
    ) -> None:
        self.size = size
        self.scale_factor = scale_factor
        self.mode = mode
        self.align_corners = align_corners

    def forward(self, x: Any) -> Tensor:
        """(N, C, *lengths) -> (N, C, *other lengths)."""
        return functional.interpolate(x, self.size, self.scale_factor, self.mode, self.align_corners)

    def extra_repr(self) -> str:
        """Its arguments."""
        by = f"size={self.size}" if self.scale_factor is None else f"scale_factor={self.scale_factor}"
        return f"{by}, mode={self.mode!r}"


class _Pad2d(Module):
    """More around the last two axes; a width for all sides, or (left, right, top, bottom). Negative ones cut off."""

    mode: ClassVar[str]

    def __init__(self, padding: int | Sequence[int]) -> None:
        self.padding: Any = tuple(padding) if isinstance(padding, Sequence) else (padding,) * 4
        if len(self.padding) != 4 or not all(map(is_whole, self.padding)):
            raise UsageError(
                f"{type(self).__name__}: padding={padding!r}", hint="one width, or four: (left, right, top, bottom)"
            )

    def forward(self, x: Any) -> Tensor:
        """(…, H, W) -> (…, H + top + bottom, W + left + right)."""
        return functional.pad(x, self.padding, self.mode)

    def extra_repr(self) -> str:
        """Its argument."""
        return str(self.padding)


class ZeroPad2d(_Pad2d):
    """Zeros around the last two axes: one width for all sides, or (left, right, top, bottom).

    >>> import clearprop as cp
    >>> cp.nn.ZeroPad2d((1, 1, 2, 0))(cp.ones((10, 3, 4, 4))).shape
    (10, 3, 6, 6)
    """

    mode = "constant"


class ReflectionPad2d(_Pad2d):
    """The image mirrored at its edges, which are not repeated; arguments as of `ZeroPad2d`.

    >>> import clearprop as cp
    >>> cp.nn.ReflectionPad2d((1, 0, 0, 0))(cp.tensor([[[1.0, 2.0, 3.0]]]))
    Tensor([[[2., 1., 2., 3.]]], dtype=float32)
    """

    mode = "reflect"


class ReplicationPad2d(_Pad2d):
    """The edges of the image repeated; arguments as of `ZeroPad2d`.

    >>> import clearprop as cp
    >>> cp.nn.ReplicationPad2d((1, 0, 0, 0))(cp.tensor([[[1.0, 2.0, 3.0]]]))
    Tensor([[[1., 1., 2., 3.]]], dtype=float32)
    """

    mode = "replicate"


class CircularPad2d(_Pad2d):
    """The image continued from its other side; arguments as of `ZeroPad2d`.

    >>> import clearprop as cp
    >>> cp.nn.CircularPad2d((1, 0, 0, 0))(cp.tensor([[[1.0, 2.0, 3.0]]]))
    Tensor([[[3., 1., 2., 3.]]], dtype=float32)
    """

    mode = "circular"
