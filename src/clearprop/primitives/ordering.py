"""Order: sorting, the positions that sort, the k best of many, and places in what is sorted.

Sorting only moves numbers: z_k = x_{i_k}, where i is the permutation that sorts x. So the gradient of each output goes
back to where its number came from, as for any reading at positions. The positions themselves are whole numbers, and
have no gradient.

NaN is larger than every number: last in ascending order, as in NumPy, and so first in descending order. What compares
as equal keeps its order, in both directions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clearprop.errors import ShapeError
from clearprop.primitive import Formula, Primitive, Spec, Value, register
from clearprop.primitives.families import AlongAxis, OneInput, check_axes, check_dtypes, spread
from clearprop.primitives.indexing import add_along_axis, take_along_axis
from clearprop.primitives.shaping import reshape


def comparisons(x: Spec, axis: int) -> int:
    """How many comparisons it takes to sort along an axis: n log n for each row."""
    return x.size * (x.shape[axis] - 1).bit_length() if x.size else 0


class Sort(AlongAxis):
    """z = x in ascending order along ``axis``, or in descending order."""

    formula = Formula(
        r"z_k = x_{i_k},\ i = \operatorname{argsort} x", (r"\bar x = 0;\ \bar x_{i_k} \mathrel{+}= \bar z_k",)
    )

    def compute(self, x: Value, *, axis: int, descending: bool) -> Value:
        rows = np.moveaxis(x, axis, -1)
        ordered = np.sort(rows, -1)
        if descending:
            ordered = np.flip(ordered, -1)
        if x.dtype.kind == "f":
            ordered = _with_zeros_in_place(rows, ordered)
        return np.moveaxis(ordered, -1, axis)

    def vjp_x(self, g: Value, x: Value, x_shape: tuple[int, ...], axis: int, descending: bool) -> Value:
        order = argsort(x, axis=axis, descending=descending, stable=True)
        return add_along_axis(g, order, axis=axis, length=x_shape[axis])

    def jvp_x(self, dx: Value, x: Value, axis: int, descending: bool) -> Value:
        return take_along_axis(dx, argsort(x, axis=axis, descending=descending, stable=True), axis=axis)

    def flops(self, output: Spec, *inputs: Spec, **attributes: Any) -> int:
        return comparisons(inputs[0], attributes["axis"])


def _with_zeros_in_place(rows: Any, ordered: Any) -> Any:
    """The sorted rows, in which 0.0 and -0.0 follow each other as they did before.

    They are the only numbers that are equal and can be told apart. NumPy's stable sort would keep them in order too,
    but takes some fifteen times as long as the other.
    """
    zeros = rows[rows == 0]
    if np.signbit(zeros).any():
        ordered[ordered == 0] = zeros
    return ordered


class Argsort(AlongAxis):
    """z = the positions that sort x along ``axis``; if ``stable``, equal ones in the order in which they stand."""

    formula = Formula(r"z = \operatorname{argsort} x")
    differentiable = False
    gives = "int64"

    def compute(self, x: Value, *, axis: int, descending: bool, stable: bool) -> Value:
        rows = np.moveaxis(x, axis, -1)
        order = _descending_order(rows, stable) if descending else _ascending_order(rows, stable)
        return np.moveaxis(order, -1, axis)

    def flops(self, output: Spec, *inputs: Spec, **attributes: Any) -> int:
        return comparisons(inputs[0], attributes["axis"])


_LARGE, _LONG = 4096, 128
"""Elements of an array, and of a row, above which NumPy's quick sort and ordering the ties beats its stable one."""


def _ascending_order(rows: Any, stable: bool) -> Any:
    """Positions that sort each row. NumPy's stable algorithm takes several times as long as the other."""
    if not stable:
        return np.argsort(rows, -1)
    if rows.size < _LARGE or rows.shape[-1] < _LONG or rows.dtype.kind != "f":
        return np.argsort(rows, -1, kind="stable")
    order = np.argsort(rows, -1)
    return _with_ties_in_order(np.take_along_axis(rows, order, -1), order)


def _with_ties_in_order(ordered: Any, order: Any) -> Any:
    """The positions that sort, those of equal elements (and of NaN, at the end) in their own order."""
    later, sooner = ordered[..., 1:], ordered[..., :-1]
    starts = (later != sooner) & (sooner == sooner)  # where a new value begins
    tied = ~starts.all(-1)
    if tied.any():
        values = np.cumsum(starts[tied], -1) * order.shape[-1]
        some = order[tied]
        some[..., 1:] += values
        some.sort(-1)  # by value, and then by position
        some[..., 1:] -= values
        order[tied] = some
    return order


def _descending_order(rows: Any, stable: bool) -> Any:
    """The same, the largest first. A stable order of the reversed row, reversed, is stable again."""
    return rows.shape[-1] - 1 - np.flip(_ascending_order(np.flip(rows, -1), stable), -1)


class Argtopk(OneInput):
    """z = the positions of the ``k`` largest along ``axis``, the largest first, or of the smallest, the smallest first.

    Of equal ones the first are taken, in the order in which they stand.
    """

    name = "argtopk"
    formula = Formula(r"z = (\operatorname{argsort} x)_{1 \dots k}")
    differentiable = False

    def shape(self, *inputs: Spec, **attributes: Any) -> Spec:
        (x,), axis, k = inputs, attributes["axis"], attributes["k"]
        check_axes(self.name, x.shape, axis)
        if not 0 <= k <= x.shape[axis]:
            raise ShapeError(
                f"{self.name}: the {k} best of {x.shape[axis]}: x has shape {x.shape}, axis {axis}",
                hint=f"k from 0 to {x.shape[axis]}",
            )
        return Spec((*x.shape[:axis], k, *x.shape[axis + 1 :]), np.dtype(np.int64))

    def compute(self, x: Value, *, axis: int, k: int, largest: bool) -> Value:
        rows = np.moveaxis(x, axis, -1)
        length = rows.shape[-1]
        if not 0 <= k <= length:
            raise ValueError(f"k = {k}")  # the rule of the shape says it better
        candidates = _best(rows, k, largest) if 0 < 4 * k <= length and length >= 2 * _LONG else None
        if candidates is None:
            order = _descending_order(rows, True) if largest else _ascending_order(rows, True)
            return np.moveaxis(order[..., :k], -1, axis)
        values = np.take_along_axis(rows, candidates, -1)
        order = _descending_order(values, True) if largest else _ascending_order(values, True)
        return np.moveaxis(np.take_along_axis(candidates, order, -1), -1, axis)

    def shifted(self, size: int, **attributes: Any) -> dict[str, Any]:
        return {**attributes, "axis": attributes["axis"] + 1}

    def flops(self, output: Spec, *inputs: Spec, **attributes: Any) -> int:
        return inputs[0].size + comparisons(output, attributes["axis"])


def _best(rows: Any, k: int, largest: bool) -> Any:
    """Positions of the k best of each row, as they stand, without sorting the others; None if there are NaN."""
    if rows.dtype.kind == "f" and np.isnan(rows).any():
        return None
    place = rows.shape[-1] - k if largest else k - 1
    bound = np.partition(rows, place, -1)[..., place : place + 1]  # the worst of the best
    chosen = rows >= bound if largest else rows <= bound
    if np.count_nonzero(chosen) > chosen[..., 0].size * k:  # more are equal to it than there are places left
        better = rows > bound if largest else rows < bound
        places = k - np.count_nonzero(better, axis=-1, keepdims=True)
        ties = chosen & ~better
        chosen = better | (ties & (np.cumsum(ties, -1) <= places))
    return np.nonzero(chosen)[-1].reshape(*rows.shape[:-1], k)


class Searchsorted(Primitive):
    """z = where y would have to be put into the sorted x, so that it stays sorted: before its equals, or behind them.

    x and y have one batch B in front: (B, N) and (B, M) -> (B, M).
    """

    formula = Formula(r"z_j = \#\{i : x_i < y_j\}")
    differentiable = False

    def shape(self, *inputs: Spec, **attributes: Any) -> Spec:
        x, y = inputs
        if not x.shape or len(x.shape) != len(y.shape) or x.shape[:-1] != y.shape[:-1]:
            raise ShapeError(
                f"{self.name}: x has shape {x.shape}, y has shape {y.shape}; only the last axis may differ"
            )
        check_dtypes(self.name, x=x, y=y)
        return Spec(y.shape, np.dtype(np.int64))

    def compute(self, x: Value, y: Value, *, right: bool) -> Value:
        side: Any = "right" if right else "left"
        if x.ndim == 1:
            return np.searchsorted(x, y, side)
        places = np.empty(y.shape, np.int64)
        for row in np.ndindex(*x.shape[:-1]):
            places[row] = np.searchsorted(x[row], y[row], side)
        return places

    def batch(self, values: Sequence[Value], mapped: Sequence[bool], size: int, **attributes: Any) -> Value:
        x, y = values
        if mapped[0] or len(x.shape) > 1:
            return searchsorted(*spread(values, mapped, size), **attributes)
        flat = searchsorted(x, reshape(y, shape=(size * y.shape[1],)), **attributes)  # one x for all: one long search
        return reshape(flat, shape=y.shape)

    def flops(self, output: Spec, *inputs: Spec, **attributes: Any) -> int:
        return output.size * inputs[0].shape[-1].bit_length()


sort = register(Sort())
argsort = register(Argsort())
argtopk = register(Argtopk())
searchsorted = register(Searchsorted())
