"""Convolutional layers and their transposes, for one, two and three spatial axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from clearprop import functional
from clearprop.arguments import one_of
from clearprop.cell import Parameter
from clearprop.dtypes import to_numpy
from clearprop.errors import UsageError
from clearprop.functional.convolution import transposed_lengths
from clearprop.functional.windows import Setting, both_sides, one_per_axis, same_padding
from clearprop.nn import init
from clearprop.nn.linear import check_sizes
from clearprop.nn.module import Module
from clearprop.primitives.windows import Moves
from clearprop.random import Generator
from clearprop.tensor import Tensor, as_tensor

_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}


class _Windowed(Module):
    """What convolutions and their transposes have in common: settings, parameters, and their first values."""

    axes: ClassVar[int]
    function: ClassVar[Callable[..., Tensor]]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Setting,
        stride: Setting,
        padding: Setting | str,
        dilation: Setting,
        groups: int,
        padding_mode: str,
    ) -> None:
        name = type(self).__name__
        check_sizes(name, in_channels=in_channels, out_channels=out_channels, groups=groups)
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise UsageError(
                f"{name}: groups={groups} must divide in_channels={in_channels} and out_channels={out_channels}",
                hint="groups=1, or as many groups as in_channels",
            )
        one_of(name, "padding_mode", padding_mode, *_MODES)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = one_per_axis(name, "kernel_size", kernel_size, self.axes)
        self.stride = one_per_axis(name, "stride", stride, self.axes)
        self.dilation = one_per_axis(name, "dilation", dilation, self.axes)
        self.padding: Any = padding
        if not isinstance(padding, str):
            self.padding = one_per_axis(name, "padding", padding, self.axes, least=0)
        self.groups = groups
        self.padding_mode = padding_mode

    def _make_parameters(self, shape: tuple[int, ...], bias: bool, dtype: Any, generator: Generator | None) -> None:
        kind = np.dtype(np.float32) if dtype is None else to_numpy(dtype)
        self.weight = Parameter(np.empty(shape, kind))
        self.bias = Parameter(np.empty(self.out_channels, kind)) if bias else None
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw the first values again: uniform in ±1/√fan_in, as PyTorch's are."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5.0), generator=generator)
        if self.bias is not None:
            fan_in, _ = init.fans(self.weight)
            bound = 1.0 / math.sqrt(fan_in) if fan_in else 0.0
            init.uniform_(self.bias, -bound, bound, generator)

    def extra_repr(self) -> str:
        """Its arguments, as far as they are not the usual ones."""
        usual = {"padding": 0, "output_padding": 0, "dilation": 1}
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        for label, value in usual.items():
            setting = getattr(self, label, (value,) * self.axes)
            if setting != (value,) * self.axes:
                parts.append(f"{label}={setting!r}")
        parts += [f"groups={self.groups}"] if self.groups != 1 else []
        parts += ["bias=False"] if self.bias is None else []
        parts += [f"padding_mode={self.padding_mode!r}"] if self.padding_mode != "zeros" else []
        return ", ".join(parts)


class _Convolution(_Windowed):
    """The weights move over the image; see `functional.conv2d`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Setting,
        stride: Setting = 1,
        padding: Setting | str = 0,
        dilation: Setting = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        dtype: Any = None,
        generator: Generator | None = None,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, padding_mode)
        self._check_padding()
        self._make_parameters((out_channels, in_channels // groups, *self.kernel_size), bias, dtype, generator)

    def _check_padding(self) -> None:
        name = type(self).__name__
        if isinstance(self.padding, str) and self.padding not in ("same", "valid"):
            raise UsageError(f"{name}: padding={self.padding!r}", hint='a whole number, "same" or "valid"')
        if self.padding == "same" and max(self.stride) > 1:
            raise UsageError(f'{name}: padding="same" with stride {self.stride}', hint="padding as a number")

    def forward(self, x: Any) -> Tensor:
        """(N, in_channels, *lengths) -> (N, out_channels, *places), or without the batch axis."""
        padding = self.padding
        if self.padding_mode != "zeros":
            x, padding = functional.pad(x, self._widths(), mode=_MODES[self.padding_mode]), 0
        return self.function(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def _widths(self) -> list[int]:
        """What the padding adds at both ends of each axis, from the last to the first."""
        if self.padding == "same":
            pairs = same_padding(self.kernel_size, self.dilation)
        else:
            pairs = both_sides((0,) * self.axes if self.padding == "valid" else self.padding)
        return [width for pair in reversed(pairs) for width in pair]


class Conv1d(_Convolution):
    """A convolution along one axis, such as time: (N, in_channels, L) -> (N, out_channels, places).

    Arguments and attributes are those of `Conv2d`; weight is (out_channels, in_channels / groups, K).

    >>> import clearprop as cp
    >>> cp.nn.Conv1d(2, 3, 3, padding="same")(cp.ones((5, 2, 9))).shape
    (5, 3, 9)
    """

    axes = 1
    function = staticmethod(functional.conv1d)


class Conv2d(_Convolution):
    """A convolution of images: (N, in_channels, H, W) -> (N, out_channels, places, places); see `functional.conv2d`.

    Args:
        in_channels, out_channels: how many channels the images have before and after.
        kernel_size: of the window; one number for both axes, or one for each, as for the next three.
        stride: by how much the window moves.
        padding: so many elements on both sides of each axis, or "same", or "valid" for none.
        dilation: how far apart the elements of the window lie.
        groups: cuts the channels into so many parts, each with windows of its own.
        bias: False for none.
        padding_mode: what the padding consists of: "zeros", or "reflect", "replicate", "circular" (`functional.pad`).
        dtype: of the parameters; float32 by default.
        generator: of their first values, which are uniform in ±1/√(in_channels / groups * elements of the window).

    Attributes:
        weight: (out_channels, in_channels / groups, K, L), as PyTorch's.
        bias: (out_channels,), or None.

    >>> import clearprop as cp
    >>> layer = cp.nn.Conv2d(3, 8, kernel_size=5, stride=2, padding=2)
    >>> layer(cp.ones((10, 3, 28, 28))).shape
    (10, 8, 14, 14)
    >>> print(layer)
    Conv2d(3, 8, kernel_size=(5, 5), stride=(2, 2), padding=(2, 2))  weight (8, 3, 5, 5)  bias (8,)  608 parameters
    """

    axes = 2
    function = staticmethod(functional.conv2d)


class Conv3d(_Convolution):
    """A convolution along three axes: (N, in_channels, D, H, W) -> (N, out_channels, places, places, places).

    Arguments and attributes are those of `Conv2d`; weight is (out_channels, in_channels / groups, J, K, L).

    >>> import clearprop as cp
    >>> cp.nn.Conv3d(1, 2, 3)(cp.ones((1, 1, 5, 6, 7))).shape
    (1, 2, 3, 4, 5)
    """

    axes = 3
    function = staticmethod(functional.conv3d)


class _Transposed(_Windowed):
    """Each number of the image lays the weights over the output; see `functional.conv_transpose2d`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Setting,
        stride: Setting = 1,
        padding: Setting = 0,
        output_padding: Setting = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Setting = 1,
        padding_mode: str = "zeros",
        *,
        dtype: Any = None,
        generator: Generator | None = None,
    ) -> None:
        name = type(self).__name__
        if padding_mode != "zeros":
            raise UsageError(f"{name}: padding_mode={padding_mode!r}", hint='only "zeros": its padding cuts off')
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, padding_mode)
        self.output_padding = one_per_axis(name, "output_padding", output_padding, self.axes, least=0)
        self._make_parameters((in_channels, out_channels // groups, *self.kernel_size), bias, dtype, generator)

    def forward(self, x: Any, output_size: Sequence[int] | None = None) -> Tensor:
        """(N, in_channels, *lengths) -> (N, out_channels, *output lengths), or without the batch axis.

        Args:
            output_size: the output's lengths (or its whole shape), where the stride allows several.

        Raises:
            UsageError: if the stride does not allow it.
        """
        more = self.output_padding if output_size is None else self._output_padding(x, output_size)
        settings = self.stride, self.padding, more, self.groups, self.dilation
        return self.function(x, self.weight, self.bias, *settings)

    def _output_padding(self, x: Any, output_size: Sequence[int]) -> tuple[int, ...]:
        """What must be added to get the output size."""
        wanted, given = list(output_size)[-self.axes :], as_tensor(x).shape[-self.axes :]
        moves = Moves(self.stride, both_sides(self.padding), self.dilation)
        smallest = transposed_lengths(given, self.kernel_size, moves, (0,) * self.axes)
        largest = [least + stride - 1 for least, stride in zip(smallest, self.stride, strict=True)]
        if len(wanted) != self.axes or not all(
            a <= size <= b for a, size, b in zip(smallest, wanted, largest, strict=True)
        ):
            raise UsageError(
                f"{type(self).__name__}: output_size={tuple(output_size)} for x of shape {as_tensor(x).shape}",
                hint=f"lengths from {smallest} to {tuple(largest)}",
            )
        return tuple(size - least for size, least in zip(wanted, smallest, strict=True))


class ConvTranspose1d(_Transposed):
    """The transpose of a convolution along one axis: (N, in_channels, L) -> (N, out_channels, length).

    Arguments and attributes are those of `ConvTranspose2d`; weight is (in_channels, out_channels / groups, K).

    >>> import clearprop as cp
    >>> cp.nn.ConvTranspose1d(2, 3, 4, stride=2, padding=1)(cp.ones((5, 2, 9))).shape
    (5, 3, 18)
    """

    axes = 1
    function = staticmethod(functional.conv_transpose1d)


class ConvTranspose2d(_Transposed):
    """The transpose of `Conv2d`, which makes small images large; see `functional.conv_transpose2d`.

    Args:
        in_channels, out_channels: how many channels the images have before and after.
        kernel_size: of the window; one number for both axes, or one for each, as for the settings below.
        stride: by how much the window moves in the output.
        padding: so much is cut off from both sides of the output.
        output_padding: so much is added to its end, less than the stride or the dilation.
        groups, bias, dilation, dtype: as of `Conv2d`.
        generator: of the first values, which are uniform in ±1/√(out_channels / groups * elements of the window).

    Attributes:
        weight: (in_channels, out_channels / groups, K, L), as PyTorch's.
        bias: (out_channels,), or None.

    >>> import clearprop as cp
    >>> layer = cp.nn.ConvTranspose2d(8, 3, kernel_size=4, stride=2, padding=1)
    >>> layer(cp.ones((10, 8, 7, 7))).shape
    (10, 3, 14, 14)
    """

    axes = 2
    function = staticmethod(functional.conv_transpose2d)


class ConvTranspose3d(_Transposed):
    """The transpose of a convolution along three axes: (N, in_channels, D, H, W) -> (N, out_channels, lengths).

    Arguments and attributes are those of `ConvTranspose2d`; weight is (in_channels, out_channels / groups, J, K, L).

    >>> import clearprop as cp
    >>> cp.nn.ConvTranspose3d(1, 2, 2, stride=2)(cp.ones((1, 1, 2, 3, 4))).shape
    (1, 2, 4, 6, 8)
    """

    axes = 3
    function = staticmethod(functional.conv_transpose3d)
