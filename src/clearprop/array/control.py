"""Steering the flow of gradients, and watching it.

Transformations of whole functions are in `clearprop.autodiff`.
"""

from __future__ import annotations

from clearprop import primitives
from clearprop.array.promotion import ArrayLike, as_float
from clearprop.tensor import Tensor, as_tensor


def check_finite(x: ArrayLike, /, what: str = "x", *, hint: str = "") -> Tensor:
    """x itself, whose elements must all be finite; compiled, every run looks at them.

    A compiled function then stops before it changes anything.

    Args:
        what: its name, for the error.
        hint: what to try, for the error.

    Raises:
        NotFiniteError: if an element is NaN or infinite.

    >>> import clearprop as cp
    >>> cp.check_finite(cp.log([1.0, 0.0]), "the log")
    Traceback (most recent call last):
    clearprop.errors.NotFiniteError: the log is -inf at 1 of 2 places
      at ...
    """
    tensor = as_float(x)
    return primitives.finite(tensor, what=what, hint=hint)


def stop_gradient(x: ArrayLike, /) -> Tensor:
    """x as a constant: no gradient flows through it.

    >>> import clearprop as cp
    >>> cp.grad(lambda x: x * cp.stop_gradient(x))(cp.tensor(3.0))
    Tensor(3., dtype=float32)
    """
    return primitives.stop_gradient(as_tensor(x))
