"""Pooling as modules: see `functional.max_pool2d`, `functional.avg_pool2d` and the adaptive ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from clearprop import functional
from clearprop.functional.windows import Setting
from clearprop.nn.module import Module
from clearprop.tensor import Tensor


class _MaxPool(Module):
    """The largest element in each place of a window."""

    function: ClassVar[Callable[..., Any]]

    def __init__(
        self,
        kernel_size: Setting,
        stride: Setting | None = None,
        padding: Setting = 0,
        dilation: Setting = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def forward(self, x: Any) -> Any:
        """(N, C, *lengths) -> (N, C, *places); with ``return_indices`` a pair of that and the positions."""
        window = self.kernel_size, self.stride, self.padding, self.dilation
        return self.function(x, *window, self.ceil_mode, self.return_indices)

    def extra_repr(self) -> str:
        """Its arguments."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, dilation={self.dilation}, "
            f"ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """`MaxPool2d` along one axis: (N, C, L) -> (N, C, places).

    >>> import clearprop as cp
    >>> cp.nn.MaxPool1d(2)(cp.tensor([[[1.0, 3.0, 2.0, 0.0]]]))
    Tensor([[[3., 2.]]], dtype=float32)
    """

    function = staticmethod(functional.max_pool1d)


class MaxPool2d(_MaxPool):
    """The largest element in each place of a window; arguments as of `functional.max_pool2d`.

    >>> import clearprop as cp
    >>> cp.nn.MaxPool2d(2)(cp.ones((10, 3, 28, 28))).shape
    (10, 3, 14, 14)
    """

    function = staticmethod(functional.max_pool2d)


class MaxPool3d(_MaxPool):
    """`MaxPool2d` along three axes: (N, C, D, H, W) -> (N, C, places, places, places).

    >>> import clearprop as cp
    >>> cp.nn.MaxPool3d(2)(cp.ones((1, 2, 4, 4, 4))).shape
    (1, 2, 2, 2, 2)
    """

    function = staticmethod(functional.max_pool3d)


class AvgPool1d(Module):
    """`AvgPool2d` along one axis: (N, C, L) -> (N, C, places).

    >>> import clearprop as cp
    >>> cp.nn.AvgPool1d(2)(cp.tensor([[[1.0, 3.0, 2.0, 0.0]]]))
    Tensor([[[2., 1.]]], dtype=float32)
    """

    function: ClassVar[Callable[..., Tensor]] = staticmethod(functional.avg_pool1d)

    def __init__(
        self,
        kernel_size: Setting,
        stride: Setting | None = None,
        padding: Setting = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, x: Any) -> Tensor:
        """(N, C, *lengths) -> (N, C, *places)."""
        window = self.kernel_size, self.stride, self.padding
        return self.function(x, *window, self.ceil_mode, self.count_include_pad)

    def extra_repr(self) -> str:
        """Its arguments."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(AvgPool1d):
    """The mean of the elements in each place of a window; arguments as of `functional.avg_pool2d`.

    >>> import clearprop as cp
    >>> cp.nn.AvgPool2d(2)(cp.ones((10, 3, 28, 28))).shape
    (10, 3, 14, 14)
    """

    function = staticmethod(functional.avg_pool2d)

    def __init__(
        self,
        kernel_size: Setting,
        stride: Setting | None = None,
        padding: Setting = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)
        self.divisor_override = divisor_override

    def forward(self, x: Any) -> Tensor:
        """(N, C, *lengths) -> (N, C, *places)."""
        window = self.kernel_size, self.stride, self.padding
        return self.function(x, *window, self.ceil_mode, self.count_include_pad, self.divisor_override)


class AvgPool3d(AvgPool2d):
    """`AvgPool2d` along three axes: (N, C, D, H, W) -> (N, C, places, places, places).

    >>> import clearprop as cp
    >>> cp.nn.AvgPool3d(2)(cp.ones((1, 2, 4, 4, 4))).shape
    (1, 2, 2, 2, 2)
    """

    function = staticmethod(functional.avg_pool3d)


class _AdaptiveAvgPool(Module):
    """The mean in each of so many places."""

    function: ClassVar[Callable[..., Tensor]]

    def __init__(self, output_size: Any) -> None:
        self.output_size = output_size

    def forward(self, x: Any) -> Tensor:
        """(N, C, *lengths) -> (N, C, *output_size)."""
        return self.function(x, self.output_size)

    def extra_repr(self) -> str:
        """Its argument."""
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """`AdaptiveAvgPool2d` along one axis: (N, C, L) -> (N, C, output_size).

    >>> import clearprop as cp
    >>> cp.nn.AdaptiveAvgPool1d(2)(cp.tensor([[[1.0, 3.0, 2.0, 0.0]]]))
    Tensor([[[2., 1.]]], dtype=float32)
    """

    function = staticmethod(functional.adaptive_avg_pool1d)


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """The mean in each of so many places, whatever the lengths of the images; see `functional.adaptive_avg_pool2d`.

    >>> import clearprop as cp
    >>> cp.nn.AdaptiveAvgPool2d((1, None))(cp.ones((10, 3, 7, 5))).shape
    (10, 3, 1, 5)
    """

    function = staticmethod(functional.adaptive_avg_pool2d)


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """`AdaptiveAvgPool2d` along three axes: (N, C, D, H, W) -> (N, C, *output_size).

    >>> import clearprop as cp
    >>> cp.nn.AdaptiveAvgPool3d(1)(cp.ones((1, 2, 4, 4, 4))).shape
    (1, 2, 1, 1, 1)
    """

    function = staticmethod(functional.adaptive_avg_pool3d)


class _AdaptiveMaxPool(Module):
    """The largest element in each of so many places."""

    function: ClassVar[Callable[..., Any]]

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        self.output_size = output_size
        self.return_indices = return_indices

    def forward(self, x: Any) -> Any:
        """(N, C, *lengths) -> (N, C, *output_size); with ``return_indices`` a pair of that and the positions."""
        return self.function(x, self.output_size, self.return_indices)

    def extra_repr(self) -> str:
        """Its argument."""
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """`AdaptiveMaxPool2d` along one axis: (N, C, L) -> (N, C, output_size).

    >>> import clearprop as cp
    >>> cp.nn.AdaptiveMaxPool1d(2)(cp.tensor([[[1.0, 3.0, 2.0, 0.0]]]))
    Tensor([[[3., 2.]]], dtype=float32)
    """

    function = staticmethod(functional.adaptive_max_pool1d)


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """The largest element in each of so many places, whatever the lengths of the images.

    >>> import clearprop as cp
    >>> cp.nn.AdaptiveMaxPool2d(2)(cp.ones((10, 3, 7, 5))).shape
    (10, 3, 2, 2)
    """

    function = staticmethod(functional.adaptive_max_pool2d)


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """`AdaptiveMaxPool2d` along three axes: (N, C, D, H, W) -> (N, C, *output_size).

    >>> import clearprop as cp
    >>> cp.nn.AdaptiveMaxPool3d(1)(cp.ones((1, 2, 4, 4, 4))).shape
    (1, 2, 1, 1, 1)
    """

    function = staticmethod(functional.adaptive_max_pool3d)
