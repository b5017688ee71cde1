"""Steering the flow of gradients.

Transformations of whole functions are in `clearprop.autodiff`.
"""

from __future__ import annotations

from clearprop import primitives
from clearprop.array.promotion import ArrayLike
from clearprop.tensor import Tensor, as_tensor


def stop_gradient(x: ArrayLike, /) -> Tensor:
    """x as a constant: no gradient flows through it.

    >>> import clearprop as cp
    >>> cp.grad(lambda x: x * cp.stop_gradient(x))(cp.tensor(3.0))
    Tensor(3., dtype=float32)
    """
    return primitives.stop_gradient(as_tensor(x))
