"""Shapes and places: the manipulation functions of the array API standard."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from operator import index
from typing import Any

import numpy as np

from clearprop import primitives
from clearprop.array.promotion import (
    ArrayLike,
    cast_to,
    common_shape,
    expand,
    normalize_axes,
    normalize_axis,
    promoted,
    whole_numbers,
)
from clearprop.errors import DTypeError, ShapeError, UsageError
from clearprop.primitive import numpy_dtype
from clearprop.primitives.shaping import take_range
from clearprop.tensor import Tensor, as_tensor


def reshape(x: ArrayLike, /, shape: int | Sequence[int], *, copy: bool | None = None) -> Tensor:
    """The same elements in row-major order in another shape; one length may be -1 and follows from the others.

    Args:
        x: the elements.
        shape: the lengths of the axes.
        copy: False forbids to copy them, as is needed after some transpositions. Otherwise it makes no difference:
            nobody can write to a tensor, so two may well share their memory.

    Raises:
        ShapeError: if the number of elements differs.
        UsageError: if they would have to be copied, and ``copy`` is False.

    >>> import clearprop as cp
    >>> cp.reshape(cp.arange(6), (2, -1)).shape
    (2, 3)
    """
    tensor = as_tensor(x)
    try:
        wanted = (shape,) if isinstance(shape, int) else tuple(map(index, shape))
    except TypeError:
        raise DTypeError(f"reshape: {shape!r} is not a shape", hint="whole numbers, such as x.reshape(2, -1)") from None
    if -1 in wanted:
        known = 1
        for length in wanted:
            known *= length if length != -1 else 1
        if wanted.count(-1) > 1 or known == 0 or tensor.size % known:
            raise ShapeError(
                f"reshape: shape {tensor.shape} ({tensor.size} elements) does not fit into {wanted}",
                hint="at most one length may be -1, and the others must divide the number of elements",
            )
        wanted = tuple(tensor.size // known if length == -1 else length for length in wanted)
    if wanted == tensor.shape:
        return tensor
    reshaped: Tensor = primitives.reshape(tensor, shape=wanted)
    if copy is False and tensor.size and not np.may_share_memory(tensor.array, reshaped.array):
        raise UsageError(f"reshape: shape {tensor.shape} cannot become {wanted} without a copy", hint="copy=None")
    return reshaped


def permute_dims(x: ArrayLike, /, axes: Sequence[int]) -> Tensor:
    """The axes in another order: axis i of the result is axis ``axes[i]`` of x.

    >>> import clearprop as cp
    >>> cp.permute_dims(cp.zeros((2, 3, 4)), (2, 0, 1)).shape
    (4, 2, 3)
    """
    tensor = as_tensor(x)
    order = tuple(
        normalize_axis(axis, tensor.ndim, "permute_dims") for axis in whole_numbers(axes, "permute_dims", "axes")
    )
    if sorted(order) != list(range(tensor.ndim)):
        raise ShapeError(
            f"permute_dims: {axes} is not an order of the axes of shape {tensor.shape}",
            hint=f"each of 0 to {tensor.ndim - 1} once",
        )
    return primitives.permute(tensor, axes=order)


def matrix_transpose(x: ArrayLike, /) -> Tensor:
    """The last two axes exchanged; also ``x.mT``.

    >>> import clearprop as cp
    >>> cp.matrix_transpose(cp.zeros((5, 2, 3))).shape
    (5, 3, 2)
    """
    tensor = as_tensor(x)
    if tensor.ndim < 2:
        raise ShapeError(f"matrix_transpose: a tensor of shape {tensor.shape} is no matrix", hint="x.reshape(1, -1)")
    return primitives.transpose(tensor)


def moveaxis(x: ArrayLike, source: int | Sequence[int], destination: int | Sequence[int], /) -> Tensor:
    """One axis, or several, moved to other places, the others in their order.

    >>> import clearprop as cp
    >>> cp.moveaxis(cp.zeros((2, 3, 4)), 0, -1).shape, cp.moveaxis(cp.zeros((2, 3, 4)), (0, 1), (1, 2)).shape
    ((3, 4, 2), (4, 2, 3))
    """
    tensor = as_tensor(x)
    sources, targets = _axes_in_order(source, tensor.ndim), _axes_in_order(destination, tensor.ndim)
    if len(sources) != len(targets):
        raise ShapeError(
            f"moveaxis: {len(sources)} axes {source} cannot go to {len(targets)} places {destination}",
            hint="as many places as axes",
        )
    order = [axis for axis in range(tensor.ndim) if axis not in sources]
    for target, axis in sorted(zip(targets, sources, strict=True)):
        order.insert(target, axis)
    return permute_dims(tensor, order)


def _axes_in_order(axes: int | Sequence[int], ndim: int) -> list[int]:
    """The axes as they were given, counted from the front; each once."""
    normalize_axes(axes, ndim, "moveaxis")
    return [normalize_axis(axis, ndim, "moveaxis") for axis in whole_numbers(axes, "moveaxis", "axis")]


def expand_dims(x: ArrayLike, /, axis: int = 0) -> Tensor:
    """A new axis of length 1.

    >>> import clearprop as cp
    >>> cp.expand_dims(cp.zeros(3), 1).shape
    (3, 1)
    """
    tensor = as_tensor(x)
    at = normalize_axis(axis, tensor.ndim + 1, "expand_dims")
    return reshape(tensor, (*tensor.shape[:at], 1, *tensor.shape[at:]))


def squeeze(x: ArrayLike, /, axis: int | Sequence[int] | None = None) -> Tensor:
    """Without the axes named, which must have length 1; by default without all such.

    >>> import clearprop as cp
    >>> cp.squeeze(cp.zeros((1, 3, 1)), 0).shape
    (3, 1)
    """
    tensor = as_tensor(x)
    ones = tuple(i for i, length in enumerate(tensor.shape) if length == 1)
    axes = ones if axis is None else normalize_axes(axis, tensor.ndim, "squeeze")
    if any(tensor.shape[one] != 1 for one in axes):
        raise ShapeError(
            f"squeeze: axes {axes} of shape {tensor.shape} do not all have length 1",
            hint="reshape or flatten joins axes that are longer",
        )
    return reshape(tensor, tuple(length for i, length in enumerate(tensor.shape) if i not in axes))


def flatten(x: ArrayLike, /, start: int = 0) -> Tensor:
    """All axes from ``start`` on joined into one.

    >>> import clearprop as cp
    >>> cp.flatten(cp.zeros((2, 3, 4)), 1).shape
    (2, 12)
    """
    tensor = as_tensor(x)
    first = normalize_axis(start, tensor.ndim, "flatten") if tensor.ndim else 0
    return reshape(tensor, (*tensor.shape[:first], math.prod(tensor.shape[first:])))


def broadcast_to(x: ArrayLike, /, shape: Sequence[int]) -> Tensor:
    """x repeated to a shape: new axes in front, axes of length 1 stretched. No memory is used for it.

    >>> import clearprop as cp
    >>> cp.broadcast_to([1.0, 2.0], (3, 2)).shape
    (3, 2)
    """
    tensor, wanted = as_tensor(x), whole_numbers(shape, "broadcast_to", "shape")
    fits = len(tensor.shape) <= len(wanted) and all(
        have in (1, want) for have, want in zip(reversed(tensor.shape), reversed(wanted), strict=False)
    )
    if not fits:
        raise ShapeError(
            f"broadcast_to: shape {tensor.shape} does not broadcast to {wanted}",
            hint="from the last axis on, lengths of x must be 1 or those wanted",
        )
    return expand(tensor, wanted)


def _tensors(name: str, xs: Any) -> list[Tensor]:
    """Several tensors, which were given as a list or a tuple of them."""
    if not isinstance(xs, Iterable):
        raise DTypeError(f"{name}: {xs!r} are no tensors"[:200], hint=f"a list: {name}([x, y])")
    return [as_tensor(x) for x in xs]


def broadcast_arrays(*xs: ArrayLike) -> list[Tensor]:
    """All of them repeated to their common shape.

    >>> import clearprop as cp
    >>> [x.shape for x in cp.broadcast_arrays(cp.zeros((3, 1)), cp.zeros(2))]
    [(3, 2), (3, 2)]
    """
    tensors = [as_tensor(x) for x in xs]
    shape = common_shape("broadcast_arrays", *tensors)
    return [expand(tensor, shape) for tensor in tensors]


def concat(xs: Sequence[ArrayLike], /, axis: int | None = 0) -> Tensor:
    """One after the other along an axis; flattened first for ``axis=None``. Dtypes are promoted.

    Raises:
        ShapeError: if there are none, or their other axes differ.

    >>> import clearprop as cp
    >>> cp.concat([[1.0, 2.0], [3.0]])
    Tensor([1., 2., 3.], dtype=float32)
    """
    tensors = _tensors("concat", xs)
    if not tensors:
        raise ShapeError("concat: no tensors given", hint="a list with at least one tensor")
    if axis is None:
        tensors, axis = [flatten(tensor) for tensor in tensors], 0
    at = normalize_axis(axis, tensors[0].ndim, "concat")
    common = numpy_dtype(tensors[0])
    for tensor in tensors[1:]:
        common = promoted(common, numpy_dtype(tensor))
        if tensor.ndim != tensors[0].ndim:
            raise ShapeError(
                f"concat: shapes {[t.shape for t in tensors]} have different numbers of axes",
                hint="stack joins along a new axis; expand_dims gives a tensor another one",
            )
    tensors = [cast_to(tensor, common) for tensor in tensors]
    return primitives.concat(*tensors, axis=at, lengths=tuple(t.shape[at] for t in tensors))


def stack(xs: Sequence[ArrayLike], /, axis: int = 0) -> Tensor:
    """Joined along a new axis; all have one shape.

    >>> import clearprop as cp
    >>> cp.stack([[1.0, 2.0], [3.0, 4.0]], 1)
    Tensor([[1., 3.],
            [2., 4.]], dtype=float32)
    """
    tensors = _tensors("stack", xs)
    if len({tensor.shape for tensor in tensors}) != 1:
        raise ShapeError(
            f"stack: shapes {[tensor.shape for tensor in tensors]}; there must be some, all equal",
            hint="cp.concat joins tensors of different lengths along an axis that they have",
        )
    return concat([expand_dims(tensor, axis) for tensor in tensors], axis=axis)


def split(x: ArrayLike, /, sections: int | Sequence[int], axis: int = 0) -> list[Tensor]:
    """Cut into so many equal parts, or into parts of the lengths given, along an axis.

    >>> import clearprop as cp
    >>> [part.shape for part in cp.split(cp.zeros((4, 6)), [1, 2, 3], axis=1)]
    [(4, 1), (4, 2), (4, 3)]
    """
    tensor = as_tensor(x)
    at = normalize_axis(axis, tensor.ndim, "split")
    length = tensor.shape[at]
    parts = whole_numbers(sections, "split", "sections")
    equal = not isinstance(sections, Iterable)
    lengths = [length // parts[0]] * parts[0] if equal and parts[0] > 0 else [] if equal else list(parts)
    if sum(lengths) != length or min(lengths, default=0) < 0:
        raise ShapeError(
            f"split: axis {axis} of shape {tensor.shape} cannot be cut into {sections}",
            hint=f"lengths whose sum is {length}, or a number that divides it",
        )
    ends = [sum(lengths[: i + 1]) for i in range(len(lengths))]
    return [take_range(tensor, at, end - part, end) for part, end in zip(lengths, ends, strict=True)]


def flip(x: ArrayLike, /, axis: int | Sequence[int] | None = None) -> Tensor:
    """The order of elements reversed along some axes; by default along all.

    >>> import clearprop as cp
    >>> cp.flip([1.0, 2.0, 3.0])
    Tensor([3., 2., 1.], dtype=float32)
    """
    tensor = as_tensor(x)
    return primitives.flip(tensor, axes=normalize_axes(axis, tensor.ndim, "flip"))


def pad(x: ArrayLike, /, widths: int | Sequence[tuple[int, int]]) -> Tensor:
    """Zeros around: so many before and after along each axis.

    >>> import clearprop as cp
    >>> cp.pad([1.0, 2.0], [(1, 2)])
    Tensor([0., 1., 2., 0., 0.], dtype=float32)
    """
    tensor = as_tensor(x)
    given: Any = [(widths, widths)] * tensor.ndim if isinstance(widths, int) else widths
    pairs = [whole_numbers(pair, "pad", "widths") for pair in given] if isinstance(given, Iterable) else []
    if len(pairs) != tensor.ndim or any(len(pair) != 2 or min(pair) < 0 for pair in pairs):
        raise ShapeError(
            f"pad: widths {widths} for a tensor of shape {tensor.shape}: a pair >= 0 for each axis",
            hint=f"[(0, 1)] * {tensor.ndim}",
        )
    before, after = tuple(a for a, _ in pairs), tuple(b for _, b in pairs)
    return primitives.pad(tensor, before=before, after=after, between=(0,) * tensor.ndim)
