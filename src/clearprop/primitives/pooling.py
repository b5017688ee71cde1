"""Pooling: the maximum, and the sum, of each place of a window that moves over an image.

    max_pool             gives, at each place of the window, its largest element
    max_pool_positions   which element that is; the gradient goes there (`take_along_axis` and `add_along_axis`)
    sum_pool             gives the sum at each place, and
    spread_pool          its transpose, gives a number to all elements of the window at its place

Images are (N, C, *lengths); each channel is pooled alone. Padding counts as -inf for the maximum, and as 0 for the sum.
Both are computed axis after axis: the maximum of a row of maxima is the maximum of the window.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from clearprop.errors import ShapeError
from clearprop.primitive import Formula, Primitive, Spec, Value, register, spec_of
from clearprop.primitives.families import NUMBERS, check_kind
from clearprop.primitives.indexing import add_along_axis, take_along_axis
from clearprop.primitives.shaping import reshape
from clearprop.primitives.windows import (
    Array,
    Lengths,
    Moves,
    channels_first,
    channels_last,
    checked_lengths,
    output_lengths,
    padded,
)


class _Pool(Primitive):
    """What is common to operations of one image whose attributes are a window and how it moves."""

    def shape(self, *inputs: Spec, **attributes: Any) -> Spec:
        (x,) = inputs
        check_kind(self.name, NUMBERS, x=x)
        lengths = checked_lengths(self.name, x.shape, attributes["window"], attributes["moves"])
        return Spec((*x.shape[:2], *lengths), x.dtype)

    def batch(self, values: Sequence[Value], mapped: Sequence[bool], size: int, **attributes: Any) -> Value:
        """Images of a batch are more images."""
        x = values[0]
        pooled = self(reshape(x, shape=(size * x.shape[1], *x.shape[2:])), **attributes)
        return reshape(pooled, shape=(size, x.shape[1], *pooled.shape[1:]))


# The maximum ----------------------------------------------------------------------------------------------------------


def _in_one_axis(x: Value) -> Value:
    """(N, C, *lengths) -> (N, C, all places), in row-major order."""
    return reshape(x, shape=(*x.shape[:2], math.prod(x.shape[2:])))


class MaxPool(_Pool):
    """z = the largest element of x in each place of the window, NaN if there is one.

    The first of several largest elements, in row-major order, receives the gradient.
    """

    formula = Formula(
        r"z = \max_{\mathit{window}} x", (r"\bar x = \bar z \text{ at the first maximum of each window}",)
    )

    def shape(self, *inputs: Spec, **attributes: Any) -> Spec:
        spec = super().shape(*inputs, **attributes)
        _check_inside(self.name, inputs[0].shape, attributes["window"], attributes["moves"])
        return spec

    def compute(self, x: Value, *, window: Lengths, moves: Moves) -> Value:
        self.shape(spec_of(x), window=window, moves=moves)
        return _combined(x, window, moves, np.maximum, _lowest(x.dtype))

    def vjp_x(self, g: Value, x: Value, x_shape: Lengths, window: Lengths, moves: Moves) -> Value:
        positions = _in_one_axis(max_pool_positions(x, window=window, moves=moves))
        spread = add_along_axis(_in_one_axis(g), positions, axis=2, length=math.prod(x_shape[2:]))
        return reshape(spread, shape=x_shape)

    def jvp_x(self, dx: Value, x: Value, window: Lengths, moves: Moves) -> Value:
        positions = max_pool_positions(x, window=window, moves=moves)
        taken = take_along_axis(_in_one_axis(dx), _in_one_axis(positions), axis=2)
        return reshape(taken, shape=positions.shape)

    def flops(self, output: Spec, *inputs: Spec, **attributes: Any) -> int:
        return output.size * math.prod(attributes["window"])


class MaxPoolPositions(_Pool):
    """z = the position of the largest element in each place of the window, counted through the image row by row.

    Of several largest elements the first; of elements of which some are NaN, the first NaN.
    """

    formula = Formula(r"z = \operatorname{arg\,max}_{\mathit{window}} x")
    differentiable = False

    def shape(self, *inputs: Spec, **attributes: Any) -> Spec:
        spec = super().shape(*inputs, **attributes)
        _check_inside(self.name, inputs[0].shape, attributes["window"], attributes["moves"])
        return Spec(spec.shape, np.dtype(np.int64))

    def compute(self, x: Value, *, window: Lengths, moves: Moves) -> Value:
        self.shape(spec_of(x), window=window, moves=moves)
        chosen = _first_maxima(x, window, moves)
        first = [
            np.arange(count) * stride - low
            for count, stride, (low, _) in zip(chosen.shape[1:-1], moves.stride, moves.padding, strict=True)
        ]
        taps = [np.arange(size) * dilation for size, dilation in zip(window, moves.dilation, strict=True)]
        of_place, of_tap = (_row_major(offsets, x.shape[2:]) for offsets in (first, taps))
        return channels_first(np.take(of_tap, chosen) + of_place[..., None])

    def flops(self, output: Spec, *inputs: Spec, **attributes: Any) -> int:
        return output.size * math.prod(attributes["window"])


@lru_cache(maxsize=1024)
def _check_inside(name: str, shape: Lengths, window: Lengths, moves: Moves) -> None:
    """Raise ShapeError if some place of the window has no element of the image in it, but padding alone."""
    lengths = output_lengths(shape[2:], window, moves)
    for axis, (length, size, count) in enumerate(zip(shape[2:], window, lengths, strict=True)):
        low, stride, dilation = moves.padding[axis][0], moves.stride[axis], moves.dilation[axis]
        for place in range(count):
            if not any(0 <= place * stride + k * dilation - low < length for k in range(size)):
                raise ShapeError(
                    f"{name}: x has shape {shape}; the window {window} has places in the padding {moves.padding} alone",
                    hint="a padding of at most half the window",
                )


def _lowest(dtype: np.dtype[Any]) -> Any:
    """What is no larger than any number of the dtype."""
    return -np.inf if dtype.kind == "f" else np.iinfo(dtype).min


def _row_major(offsets: Sequence[Array], lengths: Lengths) -> Array:
    """Positions in an image, counted in row-major order, for offsets along each of its axes."""
    total = np.zeros((1,) * len(lengths), np.int64)
    for axis, along in enumerate(offsets):
        total = total + (along * math.prod(lengths[axis + 1 :])).reshape(-1, *[1] * (len(lengths) - axis - 1))
    return total


def _first_maxima(x: Array, window: Lengths, moves: Moves) -> Array:
    """Which element of the window is the first maximum, counted through the window; channels last.

    Axis after axis, from the last to the first, so that what counts within a row has been decided before the rows are
    compared. A number of the window is larger than those of all elements before it: no choosing, but a maximum.
    """
    best = padded(channels_last(x), moves.padding, 1, _lowest(x.dtype)) if _pads(moves) else channels_last(x)
    kind = np.min_scalar_type(math.prod(window) - 1)
    chosen: Array = np.zeros(1, kind)
    elements = 1
    for axis in reversed(range(len(window))):
        parts = [np.ascontiguousarray(part) for part in _parts(best, axis, window, moves)]  # each is read several times
        before = _parts(np.broadcast_to(chosen, best.shape), axis, window, moves)
        best, chosen = parts[0], before[0]
        first_inside = _first_inside(parts[0].shape[axis + 1], axis, moves).reshape(-1, *[1] * (len(window) - axis))
        for k in range(1, window[axis]):
            better = ~(parts[k] <= best)
            better &= best == best  # nothing is better than NaN
            if first_inside.any():
                better |= first_inside == k  # all before were padding, which even -inf must win against
            chosen = np.maximum(chosen, better * (before[k] + kind.type(k * elements)))
            best = np.maximum(best, parts[k])
        elements *= window[axis]
    return chosen


def _first_inside(count: int, axis: int, moves: Moves) -> Array:
    """For each place of the window along an axis, its first element that is not in the padding before the image."""
    missing = moves.padding[axis][0] - np.arange(count) * moves.stride[axis]
    return np.maximum(0, -(-missing // moves.dilation[axis]))


# The sum --------------------------------------------------------------------------------------------------------------


class SumPool(_Pool):
    """z = the sum of the elements of x in each place of the window."""

    formula = Formula(r"z = \sum_{\mathit{window}} x", (r"\bar x = \operatorname{spread} \bar z",))
    linear = True

    def compute(self, x: Value, *, window: Lengths, moves: Moves) -> Value:
        self.shape(spec_of(x), window=window, moves=moves)
        return _combined(x, window, moves, np.add, 0)

    def vjp_x(self, g: Value, x_shape: Lengths, window: Lengths, moves: Moves) -> Value:
        return spread_pool(g, lengths=x_shape[2:], window=window, moves=moves)

    def flops(self, output: Spec, *inputs: Spec, **attributes: Any) -> int:
        return output.size * math.prod(attributes["window"])


class SpreadPool(_Pool):
    """z = zeros, and then each number of x added to all elements of the window at its place.

    (N, C, *places) -> (N, C, *lengths).
    """

    formula = Formula(r"z = \operatorname{spread} x", (r"\bar x = \sum_{\mathit{window}} \bar z",))
    linear = True

    def shape(self, *inputs: Spec, **attributes: Any) -> Spec:
        (x,), lengths = inputs, attributes["lengths"]
        check_kind(self.name, NUMBERS, x=x)
        expected = checked_lengths(self.name, (*x.shape[:2], *lengths), attributes["window"], attributes["moves"])
        if x.shape[2:] != expected:
            raise ShapeError(f"{self.name}: x has shape {x.shape}; for images {lengths} there are {expected} places")
        return Spec((*x.shape[:2], *lengths), x.dtype)

    def compute(self, x: Value, *, lengths: Lengths, window: Lengths, moves: Moves) -> Value:
        self.shape(spec_of(x), lengths=lengths, window=window, moves=moves)
        z = channels_last(x)
        for axis in range(len(window)):
            low, high = moves.padding[axis]
            spread = np.zeros((*z.shape[: axis + 1], low + lengths[axis] + high, *z.shape[axis + 2 :]), x.dtype)
            for part in _parts(spread, axis, window, moves):
                part += z
            z = spread[(slice(None),) * (axis + 1) + (slice(low, low + lengths[axis]),)]
        return channels_first(z)

    def vjp_x(self, g: Value, window: Lengths, moves: Moves) -> Value:
        return sum_pool(g, window=window, moves=moves)

    def flops(self, output: Spec, *inputs: Spec, **attributes: Any) -> int:
        return inputs[0].size * math.prod(attributes["window"])


def _pads(moves: Moves) -> bool:
    return any(map(any, moves.padding))


def _parts(x: Array, axis: int, window: Lengths, moves: Moves) -> list[Array]:
    """For each element of the window along a spatial axis, what stands there at each place; channels last."""
    size, stride, dilation = window[axis], moves.stride[axis], moves.dilation[axis]
    count = (x.shape[axis + 1] - dilation * (size - 1) - 1) // stride + 1
    starts = [k * dilation for k in range(size)]
    before = (slice(None),) * (axis + 1)
    return [x[(*before, slice(start, start + stride * (count - 1) + 1, stride))] for start in starts]


def _combined(x: Array, window: Lengths, moves: Moves, combine: Callable[..., Array], outside: Any) -> Array:
    """The elements of each place of the window combined by a ufunc, axis after axis; ``outside`` is the padding."""
    z = padded(channels_last(x), moves.padding, 1, outside) if _pads(moves) else channels_last(x)
    for axis in range(len(window)):
        first, *others = _parts(z, axis, window, moves)
        z = first
        for part in others:
            z = combine(z, part, out=None if z is first else z)
    return channels_first(z)


max_pool = register(MaxPool())
max_pool_positions = register(MaxPoolPositions())
sum_pool = register(SumPool())
spread_pool = register(SpreadPool())
