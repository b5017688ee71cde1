"""The activation functions of `clearprop.functional` as modules; names, arguments and defaults are PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np

from clearprop import functional
from clearprop.arguments import number
from clearprop.cell import Parameter
from clearprop.errors import ShapeError
from clearprop.nn.linear import check_sizes
from clearprop.nn.module import Module
from clearprop.tensor import Tensor, as_tensor


class Sigmoid(Module):
    """See `functional.sigmoid`.

    >>> import clearprop as cp
    >>> cp.nn.Sigmoid()(cp.tensor([-2.0, 0.5]))
    Tensor([0.1192 , 0.62246], dtype=float32)
    """

    def forward(self, x: Any) -> Tensor:
        """Element by element."""
        return functional.sigmoid(x)


class Tanh(Module):
    """See `functional.tanh`.

    >>> import clearprop as cp
    >>> cp.nn.Tanh()(cp.tensor([-2.0, 0.5]))
    Tensor([-0.96403,  0.46212], dtype=float32)
    """

    def forward(self, x: Any) -> Tensor:
        """Element by element."""
        return functional.tanh(x)


class ReLU(Module):
    """See `functional.relu`.

    >>> import clearprop as cp
    >>> cp.nn.ReLU()(cp.tensor([-2.0, 0.5]))
    Tensor([0. , 0.5], dtype=float32)
    """

    def forward(self, x: Any) -> Tensor:
        """Element by element."""
        return functional.relu(x)


class SiLU(Module):
    """See `functional.silu`.

    >>> import clearprop as cp
    >>> cp.nn.SiLU()(cp.tensor([-2.0, 0.5]))
    Tensor([-0.23841,  0.31123], dtype=float32)
    """

    def forward(self, x: Any) -> Tensor:
        """Element by element."""
        return functional.silu(x)


class Mish(Module):
    """See `functional.mish`.

    >>> import clearprop as cp
    >>> cp.nn.Mish()(cp.tensor([-2.0, 0.5]))
    Tensor([-0.2525 ,  0.37525], dtype=float32)
    """

    def forward(self, x: Any) -> Tensor:
        """Element by element."""
        return functional.mish(x)


class SELU(Module):
    """See `functional.selu`.

    >>> import clearprop as cp
    >>> cp.nn.SELU()(cp.tensor([-2.0, 0.5]))
    Tensor([-1.52017,  0.52535], dtype=float32)
    """

    def forward(self, x: Any) -> Tensor:
        """Element by element."""
        return functional.selu(x)


class LogSigmoid(Module):
    """See `functional.logsigmoid`.

    >>> import clearprop as cp
    >>> cp.nn.LogSigmoid()(cp.tensor([-2.0, 0.5]))
    Tensor([-2.12693, -0.47408], dtype=float32)
    """

    def forward(self, x: Any) -> Tensor:
        """Element by element."""
        return functional.logsigmoid(x)


class Softsign(Module):
    """See `functional.softsign`.

    >>> import clearprop as cp
    >>> cp.nn.Softsign()(cp.tensor([-2.0, 0.5]))
    Tensor([-0.66667,  0.33333], dtype=float32)
    """

    def forward(self, x: Any) -> Tensor:
        """Element by element."""
        return functional.softsign(x)


class Tanhshrink(Module):
    """See `functional.tanhshrink`.

    >>> import clearprop as cp
    >>> cp.nn.Tanhshrink()(cp.tensor([-2.0, 0.5]))
    Tensor([-1.03597,  0.03788], dtype=float32)
    """

    def forward(self, x: Any) -> Tensor:
        """Element by element."""
        return functional.tanhshrink(x)


class LeakyReLU(Module):
    """See `functional.leaky_relu`.

    >>> import clearprop as cp
    >>> cp.nn.LeakyReLU(0.1)(cp.tensor([-2.0, 0.5]))
    Tensor([-0.2,  0.5], dtype=float32)
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = negative_slope

    def forward(self, x: Any) -> Tensor:
        """Element by element."""
        return functional.leaky_relu(x, self.negative_slope)

    def extra_repr(self) -> str:
        """Its argument."""
        return f"negative_slope={self.negative_slope}"


class PReLU(Module):
    """See `functional.prelu`.

    Args:
        num_parameters: 1 slope for all, or one for each channel.
        init: their first value.

    >>> import clearprop as cp
    >>> cp.nn.PReLU()(cp.tensor([-2.0, 0.5]))
    Tensor([-0.5,  0.5], dtype=float32, node=where)
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25) -> None:
        check_sizes("PReLU", num_parameters=num_parameters)
        self.weight = Parameter(np.full(num_parameters, number("PReLU", "init", init), np.float32))

    def forward(self, x: Any) -> Tensor:
        """Element by element."""
        return functional.prelu(x, self.weight)

    def extra_repr(self) -> str:
        """Its argument."""
        return f"num_parameters={self.weight.size}"


class ELU(Module):
    """See `functional.elu`.

    >>> import clearprop as cp
    >>> cp.nn.ELU()(cp.tensor([-2.0, 0.5]))
    Tensor([-0.86466,  0.5    ], dtype=float32)
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def forward(self, x: Any) -> Tensor:
        """Element by element."""
        return functional.elu(x, self.alpha)

    def extra_repr(self) -> str:
        """Its argument."""
        return f"alpha={self.alpha}"


class CELU(Module):
    """See `functional.celu`.

    >>> import clearprop as cp
    >>> cp.nn.CELU()(cp.tensor([-2.0, 0.5]))
    Tensor([-0.86466,  0.5    ], dtype=float32)
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def forward(self, x: Any) -> Tensor:
        """Element by element."""
        return functional.celu(x, self.alpha)

    def extra_repr(self) -> str:
        """Its argument."""
        return f"alpha={self.alpha}"


class GLU(Module):
    """See `functional.glu`: half as long along one axis.

    >>> import clearprop as cp
    >>> cp.nn.GLU()(cp.tensor([-2.0, 0.5]))
    Tensor([-1.24492], dtype=float32)
    """

    def __init__(self, dim: int = -1) -> None:
        self.dim = dim

    def forward(self, x: Any) -> Tensor:
        """(…, 2 K, …) -> (…, K, …)."""
        return functional.glu(x, self.dim)

    def extra_repr(self) -> str:
        """Its argument."""
        return f"dim={self.dim}"


class GELU(Module):
    """See `functional.gelu`.

    >>> import clearprop as cp
    >>> cp.nn.GELU()(cp.tensor([-2.0, 0.5]))
    Tensor([-0.0455 ,  0.34573], dtype=float32)
    """

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = approximate

    def forward(self, x: Any) -> Tensor:
        """Element by element."""
        return functional.gelu(x, self.approximate)

    def extra_repr(self) -> str:
        """Its argument, if it is not the usual one."""
        return "" if self.approximate == "none" else f"approximate={self.approximate!r}"


class Softplus(Module):
    """See `functional.softplus`.

    >>> import clearprop as cp
    >>> cp.nn.Softplus()(cp.tensor([-2.0, 0.5]))
    Tensor([0.12693, 0.97408], dtype=float32)
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        self.beta = beta
        self.threshold = threshold

    def forward(self, x: Any) -> Tensor:
        """Element by element."""
        return functional.softplus(x, self.beta, self.threshold)

    def extra_repr(self) -> str:
        """Its arguments."""
        return f"beta={self.beta}, threshold={self.threshold}"


class Softmax(Module):
    """See `functional.softmax`; along the last axis by default. `CrossEntropyLoss` wants no softmax in front.

    >>> import clearprop as cp
    >>> cp.nn.Softmax(dim=1)(cp.tensor([[0.0, 0.0], [0.0, 100.0]]))
    Tensor([[5.0e-01, 5.0e-01],
            [3.8e-44, 1.0e+00]], dtype=float32)
    """

    def __init__(self, dim: int = -1) -> None:
        self.dim = dim

    def forward(self, x: Any) -> Tensor:
        """Along one axis."""
        return functional.softmax(x, self.dim)

    def extra_repr(self) -> str:
        """Its argument."""
        return f"dim={self.dim}"


class Softmin(Softmax):
    """See `functional.softmin`; along the last axis by default.

    >>> import clearprop as cp
    >>> cp.nn.Softmin(dim=1)(cp.tensor([[0.0, 0.0], [0.0, 100.0]]))
    Tensor([[5.0e-01, 5.0e-01],
            [1.0e+00, 3.8e-44]], dtype=float32)
    """

    def forward(self, x: Any) -> Tensor:
        """Along one axis."""
        return functional.softmin(x, self.dim)


class Softmax2d(Module):
    """`Softmax` of the channels of images, (N, C, H, W) or (C, H, W).

    Raises:
        ShapeError: if x has another number of axes.

    >>> import clearprop as cp
    >>> cp.nn.Softmax2d()(cp.zeros((1, 2, 1, 1))).flatten()
    Tensor([0.5, 0.5], dtype=float32)
    """

    def forward(self, x: Any) -> Tensor:
        """The same shape."""
        x = as_tensor(x)
        if x.ndim not in (3, 4):
            raise ShapeError(
                f"Softmax2d: x has shape {x.shape}; it must be (N, C, H, W) or (C, H, W)",
                hint="nn.Softmax(dim=…) for any shape",
            )
        return functional.softmax(x, -3)


class LogSoftmax(Module):
    """See `functional.log_softmax`; along the last axis by default.

    >>> import clearprop as cp
    >>> cp.nn.LogSoftmax(dim=1)(cp.tensor([[0.0, 0.0]]))
    Tensor([[-0.69315, -0.69315]], dtype=float32)
    """

    def __init__(self, dim: int = -1) -> None:
        self.dim = dim

    def forward(self, x: Any) -> Tensor:
        """Along one axis."""
        return functional.log_softmax(x, self.dim)

    def extra_repr(self) -> str:
        """Its argument."""
        return f"dim={self.dim}"
