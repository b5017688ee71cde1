"""Products that sum over shared axes: of two tensors, over any axes, by matrix products.

`Named` is a tensor whose axes have names; axes of one name belong together. `contract` multiplies two of them and sums
over the axes that nobody needs any more. All of it is permutation, reshaping and one matrix product, so the gradients,
of every order, are matrix products too. `clearprop.array.subscripts` does the same for any number of tensors.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from clearprop import primitives
from clearprop.array.promotion import ArrayLike, common_shape, expand, normalize_axes, normalize_axis, same_dtype
from clearprop.errors import DTypeError, ShapeError
from clearprop.primitive import spec_of
from clearprop.primitives.families import NUMBERS, check_kind
from clearprop.tensor import Tensor, as_tensor

Names = tuple[str, ...]


class Named(NamedTuple):
    """A tensor, and a name for each of its axes, all different."""

    tensor: Tensor
    names: Names

    def length(self, name: str) -> int:
        """Of the axis of that name."""
        return self.tensor.shape[self.names.index(name)]

    def grouped(self, *groups: Names) -> Tensor:
        """With one axis for each group of names: the axes of the group joined."""
        shape = tuple(math.prod(self.length(name) for name in group) for group in groups)
        return _reshaped(self.ordered(tuple(name for group in groups for name in group)).tensor, shape)

    def ordered(self, names: Names) -> Named:
        """With its axes in that order."""
        if names == self.names:
            return self
        return Named(primitives.permute(self.tensor, axes=tuple(map(self.names.index, names))), names)

    def summed(self, names: Collection[str]) -> Named:
        """Without the axes of these names, summed over."""
        if not names:
            return self
        axes = tuple(i for i, name in enumerate(self.names) if name in names)
        return Named(primitives.sum_(self.tensor, axes=axes), tuple(name for name in self.names if name not in names))


def _reshaped(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    return x if x.shape == shape else primitives.reshape(x, shape=shape)


def contract(a: Named, b: Named, needed: Collection[str]) -> Named:
    """The product, summed over all names but those that are needed.

    Its axes are those of both (the batch), of a alone, of b alone.
    """
    a = a.summed([name for name in a.names if name not in b.names and name not in needed])
    b = b.summed([name for name in b.names if name not in a.names and name not in needed])
    batch = tuple(name for name in a.names if name in b.names and name in needed)
    inner = tuple(name for name in a.names if name in b.names and name not in needed)
    rows = tuple(name for name in a.names if name not in b.names)
    columns = tuple(name for name in b.names if name not in a.names)
    if (rows or columns) and (inner or (rows and columns)):
        return _by_matrices(a, b, batch, inner, rows, columns)
    return _by_elements(a, b, (*batch, *rows, *columns, *inner)).summed(inner)


def _by_matrices(a: Named, b: Named, batch: Names, inner: Names, rows: Names, columns: Names) -> Named:
    """(B, M, K) @ (B, K, N) -> (B, M, N), and then each axis by itself again."""
    each = [(name,) for name in batch]
    product = primitives.matmul(a.grouped(*each, rows, inner), b.grouped(*each, inner, columns))
    lengths = (*map(a.length, batch), *map(a.length, rows), *map(b.length, columns))
    return Named(_reshaped(product, lengths), (*batch, *rows, *columns))


def _by_elements(a: Named, b: Named, names: Names) -> Named:
    """The product of each element of one with its partner in the other."""
    lengths = {name: one.length(name) for one in (a, b) for name in one.names}
    shape = tuple(lengths[name] for name in names)
    return Named(primitives.multiply(_spread(a, names, shape), _spread(b, names, shape)), names)


def _spread(x: Named, names: Names, shape: tuple[int, ...]) -> Tensor:
    """The tensor with all these axes; it is repeated along those that it does not have."""
    own = x.ordered(tuple(name for name in names if name in x.names)).tensor
    missing = tuple(i for i, name in enumerate(names) if name not in x.names)
    return primitives.broadcast(own, shape=shape, axes=missing) if missing else own


def numbers(name: str, x: ArrayLike, y: ArrayLike) -> tuple[Tensor, Tensor]:
    """Two tensors of one dtype, which must be numbers."""
    a, b = same_dtype(as_tensor(x), as_tensor(y))
    check_kind(name, NUMBERS, x1=spec_of(a), x2=spec_of(b))
    return a, b


def tensordot(x1: ArrayLike, x2: ArrayLike, /, *, axes: int | tuple[Sequence[int], Sequence[int]] = 2) -> Tensor:
    """Products of elements, summed over pairs of axes; the result has the other axes of x1, then those of x2.

    Args:
        axes: the last so many axes of x1 with the first of x2; or two sequences, which axes of x1 with which of x2.

    Raises:
        ShapeError: if paired axes have different lengths.

    >>> import clearprop as cp
    >>> cp.tensordot(cp.ones((2, 3, 4)), cp.ones((4, 3, 5)), axes=((1, 2), (1, 0))).shape
    (2, 5)
    """
    a, b = numbers("tensordot", x1, x2)
    pairs = _paired_axes(a, b, axes)
    first = [f"a{i}" for i in range(a.ndim)]
    second = [f"b{i}" for i in range(b.ndim)]
    for one, other in pairs:
        if a.shape[one] != b.shape[other]:
            raise ShapeError(
                f"tensordot: x1 has shape {a.shape}, x2 has shape {b.shape}; axis {one} of x1 ({a.shape[one]}) and "
                f"axis {other} of x2 ({b.shape[other]}) must have one length",
                hint=f"axes={axes}: which axes of x1 go with which of x2",
            )
        second[other] = first[one]
    kept = {*first} ^ {*second}
    product = contract(Named(a, tuple(first)), Named(b, tuple(second)), kept)
    return product.ordered(tuple(name for name in (*first, *second) if name in kept)).tensor


def _paired_axes(a: Tensor, b: Tensor, axes: int | tuple[Sequence[int], Sequence[int]]) -> list[tuple[int, int]]:
    if isinstance(axes, (int, np.integer)):
        if not 0 <= axes <= min(a.ndim, b.ndim):
            raise ShapeError(
                f"tensordot: axes={axes}, but x1 has shape {a.shape} and x2 has shape {b.shape}",
                hint=f"a number of axes from 0 to {min(a.ndim, b.ndim)}",
            )
        return [(a.ndim - axes + i, i) for i in range(axes)]
    try:
        of_a, of_b = map(list, axes)
    except (TypeError, ValueError):
        raise DTypeError(
            f"tensordot: axes={axes!r}: a whole number, or two sequences of them", hint="axes=((0, 1), (1, 0))"
        ) from None
    for one, tensor in ((of_a, a), (of_b, b)):
        normalize_axes(one, tensor.ndim, "tensordot")  # each axis once
    if len(of_a) != len(of_b):
        raise ShapeError(f"tensordot: {len(of_a)} axes of x1 and {len(of_b)} of x2", hint=f"axes={axes}: as many")
    return [
        (normalize_axis(one, a.ndim, "tensordot"), normalize_axis(other, b.ndim, "tensordot"))
        for one, other in zip(of_a, of_b, strict=True)
    ]


def vecdot(x1: ArrayLike, x2: ArrayLike, /, *, axis: int = -1) -> Tensor:
    """The dot products of the vectors along an axis; the other axes broadcast.

    Raises:
        ShapeError: if the vectors have different lengths.

    >>> import clearprop as cp
    >>> cp.vecdot([[1.0, 2.0], [3.0, 4.0]], [1.0, 10.0])
    Tensor([21., 43.], dtype=float32)
    """
    a, b = numbers("vecdot", x1, x2)
    places = [normalize_axis(axis, x.ndim, "vecdot") - x.ndim for x in (a, b)]
    if places[0] != places[1] or a.shape[places[0]] != b.shape[places[0]]:
        raise ShapeError(
            f"vecdot: x1 has shape {a.shape}, x2 has shape {b.shape}: axis {axis} must be the same axis, counted from "
            "the last, and have one length",
            hint="axis=-1",
        )
    shape = common_shape("vecdot", a, b)
    product = primitives.multiply(expand(a, shape), expand(b, shape))
    return primitives.sum_(product, axes=(len(shape) + places[0],))
