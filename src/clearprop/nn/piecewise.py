"""The piecewise linear functions of `clearprop.functional` as modules; names, arguments and defaults are PyTorch's."""

from __future__ import annotations

from typing import Any

from clearprop import functional
from clearprop.nn.module import Module
from clearprop.tensor import Tensor


class Hardtanh(Module):
    """See `functional.hardtanh`.

    >>> import clearprop as cp
    >>> cp.nn.Hardtanh()(cp.tensor([-2.0, 0.5]))
    Tensor([-1. ,  0.5], dtype=float32)
    """

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0) -> None:
        self.min_val = min_val
        self.max_val = max_val

    def forward(self, x: Any) -> Tensor:
        """Element by element."""
        return functional.hardtanh(x, self.min_val, self.max_val)

    def extra_repr(self) -> str:
        """Its arguments."""
        return f"min_val={self.min_val}, max_val={self.max_val}"


class ReLU6(Module):
    """See `functional.relu6`.

    >>> import clearprop as cp
    >>> cp.nn.ReLU6()(cp.tensor([-2.0, 0.5, 8.0]))
    Tensor([0. , 0.5, 6. ], dtype=float32)
    """

    def forward(self, x: Any) -> Tensor:
        """Element by element."""
        return functional.relu6(x)


class Hardsigmoid(Module):
    """See `functional.hardsigmoid`.

    >>> import clearprop as cp
    >>> cp.nn.Hardsigmoid()(cp.tensor([-2.0, 0.5]))
    Tensor([0.16667, 0.58333], dtype=float32)
    """

    def forward(self, x: Any) -> Tensor:
        """Element by element."""
        return functional.hardsigmoid(x)


class Hardswish(Module):
    """See `functional.hardswish`.

    >>> import clearprop as cp
    >>> cp.nn.Hardswish()(cp.tensor([-2.0, 0.5]))
    Tensor([-0.33333,  0.29167], dtype=float32)
    """

    def forward(self, x: Any) -> Tensor:
        """Element by element."""
        return functional.hardswish(x)


class Hardshrink(Module):
    """See `functional.hardshrink`.

    >>> import clearprop as cp
    >>> cp.nn.Hardshrink()(cp.tensor([-2.0, 0.5]))
    Tensor([-2.,  0.], dtype=float32)
    """

    def __init__(self, lambd: float = 0.5) -> None:
        self.lambd = lambd

    def forward(self, x: Any) -> Tensor:
        """Element by element."""
        return functional.hardshrink(x, self.lambd)

    def extra_repr(self) -> str:
        """Its argument."""
        return f"lambd={self.lambd}"


class Softshrink(Module):
    """See `functional.softshrink`.

    >>> import clearprop as cp
    >>> cp.nn.Softshrink()(cp.tensor([-2.0, 0.5]))
    Tensor([-1.5,  0. ], dtype=float32)
    """

    def __init__(self, lambd: float = 0.5) -> None:
        self.lambd = lambd

    def forward(self, x: Any) -> Tensor:
        """Element by element."""
        return functional.softshrink(x, self.lambd)

    def extra_repr(self) -> str:
        """Its argument."""
        return f"lambd={self.lambd}"


class Threshold(Module):
    """See `functional.threshold`.

    >>> import clearprop as cp
    >>> cp.nn.Threshold(0.0, -1.0)(cp.tensor([-2.0, 0.5]))
    Tensor([-1. ,  0.5], dtype=float32)
    """

    def __init__(self, threshold: float, value: float) -> None:
        self.threshold = threshold
        self.value = value

    def forward(self, x: Any) -> Tensor:
        """Element by element."""
        return functional.threshold(x, self.threshold, self.value)

    def extra_repr(self) -> str:
        """Its arguments."""
        return f"threshold={self.threshold}, value={self.value}"
