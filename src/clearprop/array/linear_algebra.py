"""Products of matrices and vectors."""

from __future__ import annotations

import numpy as np

from clearprop import primitives
from clearprop.array.promotion import ArrayLike, expand, same_dtype
from clearprop.errors import ShapeError
from clearprop.primitive import numpy_dtype, spec_of
from clearprop.primitives.contraction import matmul_error
from clearprop.primitives.families import NUMBERS, check_kind
from clearprop.tensor import Tensor, as_tensor


def matmul(x: ArrayLike, y: ArrayLike, /) -> Tensor:
    """The matrix product over the last two axes; also ``x @ y``.

    The axes before the last two are a batch, and broadcast: (…, M, K) @ (…, K, N) -> (…, M, N). A vector as x is taken
    as a row, as y as a column, and the axis added for it is dropped again.

    Raises:
        ShapeError: if the inner axes differ; it names the transpose that would fit.

    >>> import clearprop as cp
    >>> cp.matmul([[1.0, 2.0], [3.0, 4.0]], [1.0, 1.0])
    Tensor([3., 7.], dtype=float32)
    """
    a, b = same_dtype(as_tensor(x), as_tensor(y))
    if numpy_dtype(a).kind == "b":
        check_kind("matmul", NUMBERS, x=spec_of(a), y=spec_of(b))
    if len(a.shape) == 2 and len(b.shape) == 2:
        return primitives.matmul(a, b)
    return _general(a, b)


def _general(a: Tensor, b: Tensor) -> Tensor:
    """Vectors, batches, and matrices that are the same for a whole batch."""
    if not a.shape or not b.shape or a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
        raise matmul_error(a.shape, b.shape)
    row, column = a.ndim == 1, b.ndim == 1
    if row:
        a = primitives.reshape(a, shape=(1, *a.shape))
    if column:
        b = primitives.reshape(b, shape=(*b.shape, 1))
    shape = (*_batch(a, b), a.shape[-2], b.shape[-1])
    if b.ndim == 2:  # one matrix for all: the batch joins the rows, (…, M, K) -> (… M, K)
        rows = primitives.reshape(a, shape=(int(np.prod(a.shape[:-1])), a.shape[-1]))
        product = primitives.matmul(rows, b)
    else:
        a, b = expand(a, (*shape[:-2], *a.shape[-2:])), expand(b, (*shape[:-2], *b.shape[-2:]))
        product = primitives.matmul(a, b)
    if row:
        shape = (*shape[:-2], shape[-1])
    if column:
        shape = shape[:-1]
    return product if product.shape == shape else primitives.reshape(product, shape=shape)


def _batch(a: Tensor, b: Tensor) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise ShapeError(
            f"matmul: x has shape {a.shape}, y has shape {b.shape}: the batch axes do not broadcast",
            hint="equal lengths before the last two axes, or 1",
        ) from None
