"""Along an axis: running sums and products, and differences of neighbours."""

from __future__ import annotations

from typing import Any

from clearprop import primitives
from clearprop.array.promotion import ArrayLike, normalize_axis, only_axis, whole_number
from clearprop.array.reductions import widened
from clearprop.array.shapes import concat
from clearprop.errors import RangeError
from clearprop.primitive import filled, numpy_dtype
from clearprop.primitives.shaping import take_range
from clearprop.tensor import Tensor, as_tensor


def cumulative_sum(
    x: ArrayLike, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Tensor:
    """Running sums along an axis, which may be left out for a vector.

    Args:
        dtype: of the result, to which x is cast before; by default small integers are summed in int64 or uint64.
        include_initial: begin with the sum of nothing, 0.

    >>> import clearprop as cp
    >>> cp.cumulative_sum([1.0, 2.0, 3.0], include_initial=True)
    Tensor([0., 1., 3., 6.], dtype=float32)
    """
    tensor = widened(x, dtype)
    at = only_axis(axis, tensor, "cumulative_sum")
    sums = primitives.cumulative_sum(tensor, axis=at, reverse=False)
    return _after(0, sums, at) if include_initial else sums


def cumulative_prod(
    x: ArrayLike, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Tensor:
    """Running products along an axis, which may be left out for a vector; the gradient is right where factors are zero.

    Args:
        dtype: of the result, to which x is cast before; by default small integers are multiplied in int64 or uint64.
        include_initial: begin with the product of nothing, 1.

    >>> import clearprop as cp
    >>> cp.cumulative_prod([1.0, 2.0, 3.0])
    Tensor([1., 2., 6.], dtype=float32)
    """
    tensor = widened(x, dtype)
    at = only_axis(axis, tensor, "cumulative_prod")
    products = primitives.cumulative_prod(tensor, axis=at)
    return _after(1, products, at) if include_initial else products


def _after(initial: int, x: Tensor, axis: int) -> Tensor:
    """One number in front of x along an axis."""
    shape = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
    first = Tensor(filled(initial, shape, numpy_dtype(x)))
    return primitives.concat(first, x, axis=axis, lengths=(1, x.shape[axis]))


def diff(
    x: ArrayLike,
    /,
    *,
    axis: int = -1,
    n: int = 1,
    prepend: ArrayLike | None = None,
    append: ArrayLike | None = None,
) -> Tensor:
    """Differences of neighbours along an axis, x[i + 1] - x[i], taken n times.

    Args:
        prepend, append: put in front of x, and behind it, before differences are taken.

    Raises:
        RangeError: if n is negative.

    >>> import clearprop as cp
    >>> cp.diff([1.0, 4.0, 9.0, 16.0]), cp.diff([1.0, 4.0, 9.0, 16.0], n=2)
    (Tensor([3., 5., 7.], dtype=float32), Tensor([2., 2.], dtype=float32))
    """
    times = whole_number(n, "diff", "n")
    if times < 0:
        raise RangeError(f"diff: n={times}", hint="n >= 0")
    tensor = as_tensor(x)
    at = normalize_axis(axis, tensor.ndim, "diff")
    parts = [part for part in (prepend, tensor, append) if part is not None]
    whole = concat(parts, axis=at) if len(parts) > 1 else tensor
    for _ in range(times):
        length = whole.shape[at]
        later = take_range(whole, at, min(1, length), length)
        whole = primitives.subtract(later, take_range(whole, at, 0, max(length - 1, 0)))
    return whole
