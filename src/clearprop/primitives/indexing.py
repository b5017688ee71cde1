"""Reading and writing at positions that are themselves data. Reading and adding-to are each other's transpose.

    gather            z = x[i, j, …]                   and scatter_add        z = zeros; z[i, j, …] += x
    take_along_axis   z[…, k, …] = x[…, i[k], …]       and add_along_axis     z = zeros; z[…, i[k], …] += x[…, k, …]

A position that is read several times is fan-out, and its gradients add up: that is why the transpose adds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from clearprop.errors import RangeError, ShapeError
from clearprop.graph import Node
from clearprop.primitive import Formula, Primitive, Spec, Value, numpy_dtype, register
from clearprop.primitives.arithmetic import add, where
from clearprop.primitives.families import INTEGERS, OneInput, check_axes, check_dtypes, check_kind, spread
from clearprop.primitives.logic import equal
from clearprop.primitives.shaping import inverse_permutation, reshape


def check_indices(name: str, indices: Sequence[Spec]) -> tuple[int, ...]:
    """The common shape of the index arrays; they must be integers, all of one shape."""
    for i, index in enumerate(indices):
        check_kind(name, INTEGERS, **{f"index {i}": index})
        if index.shape != indices[0].shape:
            raise ShapeError(f"{name}: index arrays have shapes {indices[0].shape} and {index.shape}")
    return indices[0].shape


def batch_positions(shape: tuple[int, ...]) -> Any:
    """For index arrays of that shape, whose first axis is the batch: which example each entry belongs to."""
    positions = np.arange(shape[0]).reshape(-1, *(1,) * (len(shape) - 1))
    return np.broadcast_to(positions, shape)


class InRange(OneInput):
    """z = x, positions from 0 to ``count`` - 1; an error if one of them is not, a negative one either.

    Where a function is traced the positions are not known yet: this looks at them in every run.

    Attributes of the operation:
        message: what the error says; ``{wrong}`` is the first such position, ``{more}`` how many others there are.
        hint: what to try.
    """

    formula = Formula(r"z = x,\ 0 \le x < \mathit{count}")
    differentiable = False

    def shape(self, *inputs: Spec, **attributes: Any) -> Spec:
        check_kind(self.name, INTEGERS, x=inputs[0])
        return inputs[0]

    def compute(self, x: Value, *, count: int, message: str, hint: str) -> Value:
        wrong = x[(x < 0) | (x >= count)]
        if wrong.size:
            more = f" (and {wrong.size - 1} more such)" if wrong.size > 1 else ""
            raise RangeError(message.format(wrong=int(wrong.flat[0]), more=more), hint=hint)
        return x

    def shifted(self, size: int, **attributes: Any) -> dict[str, Any]:
        return attributes


class Gather(Primitive):
    """z = x[i, j, …]: integer arrays of one shape for the first axes of x; the other axes are taken whole."""

    formula = Formula(r"z = x[i, j, \dots]", (r"\bar x = 0;\ \bar x[i, j, \dots] \mathrel{+}= \bar z",))

    def shape(self, *inputs: Spec, **attributes: Any) -> Spec:
        x, *indices = inputs
        if len(indices) > len(x.shape):
            raise RangeError(f"gather: {len(indices)} indices for x of shape {x.shape}")
        return Spec((*check_indices(self.name, indices), *x.shape[len(indices) :]), x.dtype)

    def compute(self, x: Value, *indices: Value) -> Value:
        try:
            return x[indices]
        except IndexError as error:
            raise RangeError(f"gather from shape {x.shape}: {error}") from None

    def vjp_x(self, g: Value, indices: tuple[Value, ...], x_shape: tuple[int, ...]) -> Value:
        return scatter_add(g, *indices, shape=x_shape)

    def jvp_x(self, dx: Value, indices: tuple[Value, ...]) -> Value:
        return gather(dx, *indices)

    def batch(self, values: Sequence[Value], mapped: Sequence[bool], size: int, **attributes: Any) -> Value:
        x, indices = values[0], spread(values[1:], mapped[1:], size)
        if not mapped[0]:
            return gather(x, *indices)
        return gather(x, batch_positions(indices[0].shape), *indices)


_AT_ONCE = 1 << 16
"""So many elements `_add_rows` adds in one call: what it needs for that stays in the processor's cache."""


def _flat_rows(indices: Sequence[Any], shape: Sequence[int]) -> Any:
    """Which rows the index arrays name, if all their axes were one; None if they name single elements, or none such."""
    lengths, inner = shape[: len(indices)], math.prod(shape[len(indices) :])
    if inner < 2 or not indices[0].size:
        return None
    rows = np.zeros(indices[0].size, np.int64)
    for index, length in zip(indices, lengths, strict=True):
        if not -length <= index.min() <= index.max() < length:
            return None
        flat = index.reshape(-1).astype(np.int64, copy=False)
        rows = rows * length + np.where(flat < 0, flat + length, flat)
    return rows


def _add_rows(total: Any, rows: Any, x: Any) -> None:
    """Add the rows of the matrix x to those rows of a matrix that is given as one long array.

    In one long array `np.add.at` is several times quicker than along an axis, and adds in the same order.
    """
    width = x.shape[1]
    columns, step = np.arange(width), max(1, _AT_ONCE // width)
    for start in range(0, rows.size, step):
        places = rows[start : start + step, None] * width + columns
        np.add.at(total, places.reshape(-1), x[start : start + step].reshape(-1))


class ScatterAdd(Primitive):
    """z = zeros of ``shape``, and then z[i, j, …] += x."""

    formula = Formula(r"z = 0;\ z[i, j, \dots] \mathrel{+}= x", (r"\bar x = \bar z[i, j, \dots]",))

    def shape(self, *inputs: Spec, **attributes: Any) -> Spec:
        x, *indices = inputs
        shape = attributes["shape"]
        if (*check_indices(self.name, indices), *shape[len(indices) :]) != x.shape:
            raise ShapeError(f"scatter_add: x has shape {x.shape}; indices {indices[0].shape} into {shape} do not fit")
        return Spec(shape, x.dtype)

    def compute(self, x: Value, *indices: Value, shape: tuple[int, ...]) -> Value:
        total = np.zeros(shape, x.dtype)
        rows = _flat_rows(indices, shape)
        if rows is not None:
            _add_rows(total.reshape(-1), rows, x.reshape(rows.size, -1))
            return total
        try:
            np.add.at(total, indices, x)
        except IndexError as error:
            raise RangeError(f"scatter_add into shape {shape}: {error}") from None
        return total

    def vjp_x(self, g: Value, indices: tuple[Value, ...]) -> Value:
        return gather(g, *indices)

    def jvp_x(self, dx: Value, indices: tuple[Value, ...], shape: tuple[int, ...]) -> Value:
        return scatter_add(dx, *indices, shape=shape)

    def batch(self, values: Sequence[Value], mapped: Sequence[bool], size: int, **attributes: Any) -> Value:
        x, *indices = spread(values, mapped, size)
        return scatter_add(x, batch_positions(indices[0].shape), *indices, shape=(size, *attributes["shape"]))

    def flops(self, output: Spec, *inputs: Spec, **attributes: Any) -> int:
        return inputs[0].size


class ScatterSet(Primitive):
    """z = x with z[i] = y, for a vector x and positions i >= 0.

    Of several values for one place the last one counts, and gets the gradient.
    """

    formula = Formula(r"z = x;\ z[i] = y", (r"\bar x = \bar z;\ \bar x[i] = 0", r"\bar y = \bar z[i]"))

    def shape(self, *inputs: Spec, **attributes: Any) -> Spec:
        x, y, index = inputs
        if check_indices(self.name, [index]) != y.shape or len(x.shape) != 1 or len(y.shape) != 1:
            raise ShapeError(f"scatter_set: x has shape {x.shape}, y {y.shape}, index {index.shape}")
        check_dtypes(self.name, x=x, y=y)
        return x

    def compute(self, x: Value, y: Value, index: Value) -> Value:
        changed = x.copy()
        changed[index] = y
        return changed

    def vjp_x(self, g: Value, index: Value) -> Value:
        return scatter_set(g, np.zeros(index.shape, numpy_dtype(g)), index)

    def vjp_y(self, g: Value, index: Value) -> Value:
        return where(last_writers(index, g.shape[0]), gather(g, index), 0.0)

    def jvp(self, node: Node, tangents: Sequence[Value | None], residuals: dict[str, Value]) -> Value | None:
        dx, dy, _ = tangents
        index, known = residuals["index"], dy if dx is None else dx
        zeros = [np.zeros(shape, numpy_dtype(known)) for shape in (node.shape, index.shape)]
        return scatter_set(zeros[0] if dx is None else dx, zeros[1] if dy is None else dy, index)

    def batch(self, values: Sequence[Value], mapped: Sequence[bool], size: int, **attributes: Any) -> Value:
        x, y, index = spread(values, mapped, size)
        offsets = batch_positions(index.shape) * x.shape[1]  # the examples one after the other, as one long vector
        flat = scatter_set(
            reshape(x, shape=(x.shape[0] * x.shape[1],)),
            reshape(y, shape=(y.shape[0] * y.shape[1],)),
            reshape(add(index, offsets), shape=(index.shape[0] * index.shape[1],)),
        )
        return reshape(flat, shape=x.shape)


def last_writers(index: Value, size: int) -> Value:
    """Which entries of an index vector are the last with their value."""
    order = np.arange(index.shape[0])
    return equal(gather(scatter_set(np.zeros(size, np.int64), order, index), index), order)


def check_along(name: str, shape: tuple[int, ...], index: Spec, axis: int) -> None:
    """Raise unless an index array fits an array along an axis."""
    check_kind(name, INTEGERS, index=index)
    check_axes(name, shape, axis)
    others = [(a, b) for i, (a, b) in enumerate(zip(shape, index.shape, strict=False)) if i != axis]
    if len(shape) != len(index.shape) or any(a != b for a, b in others):
        raise ShapeError(f"{name}: x has shape {shape}, index has shape {index.shape}; only axis {axis} may differ")


class TakeAlongAxis(Primitive):
    """z[…, k, …] = x[…, i[…, k, …], …] along ``axis``; i has as many axes as x, equal to its but along ``axis``."""

    formula = Formula(r"z_k = x_{i_k}", (r"\bar x = 0;\ \bar x_{i_k} \mathrel{+}= \bar z_k",))

    def shape(self, *inputs: Spec, **attributes: Any) -> Spec:
        x, index = inputs
        check_along(self.name, x.shape, index, attributes["axis"])
        return Spec(index.shape, x.dtype)

    def compute(self, x: Value, index: Value, *, axis: int) -> Value:
        return np.take_along_axis(x, index, axis)

    def vjp_x(self, g: Value, index: Value, x_shape: tuple[int, ...], axis: int) -> Value:
        return add_along_axis(g, index, axis=axis, length=x_shape[axis])

    def jvp_x(self, dx: Value, index: Value, axis: int) -> Value:
        return take_along_axis(dx, index, axis=axis)

    def batch(self, values: Sequence[Value], mapped: Sequence[bool], size: int, **attributes: Any) -> Value:
        return take_along_axis(*spread(values, mapped, size), axis=attributes["axis"] + 1)


def memory_order(x: Any) -> tuple[int, ...]:
    """The axes of an array from the one with the longest steps in memory to the one with the shortest."""
    return tuple(sorted(range(x.ndim), key=lambda axis: -x.strides[axis]))


def _flat_places(index: Any, axis: int, length: int) -> Any:
    """Where in the flattened array, ``length`` long along the axis, the entries of an index array point."""
    if index.size and not -length <= index.min() <= index.max() < length:
        wrong = index.min() if index.min() < -length else index.max()
        raise RangeError(f"add_along_axis: index {wrong} is out of bounds for axis {axis} with size {length}")
    outer, inner = math.prod(index.shape[:axis]), math.prod(index.shape[axis + 1 :])
    along = index.astype(np.int64, copy=False).reshape(outer, -1 if index.size else 0, inner)
    if index.size and index.min() < 0:
        along = np.where(along < 0, along + length, along)
    others = np.arange(outer).reshape(-1, 1, 1) * (length * inner) + np.arange(inner)
    return (along * inner + others).reshape(-1)


class AddAlongAxis(Primitive):
    """z = zeros, ``length`` long along ``axis``, and then z[…, i[…, k, …], …] += x[…, k, …]."""

    formula = Formula(r"z = 0;\ z_{i_k} \mathrel{+}= x_k", (r"\bar x_k = \bar z_{i_k}",))

    def shape(self, *inputs: Spec, **attributes: Any) -> Spec:
        x, index = inputs
        axis = attributes["axis"]
        check_along(self.name, x.shape, index, axis)
        if x.shape != index.shape:
            raise ShapeError(
                f"add_along_axis: x has shape {x.shape}, index has shape {index.shape}; they must be equal"
            )
        return Spec((*x.shape[:axis], attributes["length"], *x.shape[axis + 1 :]), x.dtype)

    def compute(self, x: Value, index: Value, *, axis: int, length: int) -> Value:
        order = memory_order(index)
        if order != tuple(range(index.ndim)):  # axes in that order need no copy, and the result has it too
            turned = self.compute(x.transpose(order), index.transpose(order), axis=order.index(axis), length=length)
            return turned.transpose(inverse_permutation(order))
        shape = (*x.shape[:axis], length, *x.shape[axis + 1 :])
        total = np.zeros(math.prod(shape), x.dtype)
        # In one long array `np.add.at` is several times quicker than along an axis.
        np.add.at(total, _flat_places(index, axis, length), x.reshape(-1))
        return total.reshape(shape)

    def vjp_x(self, g: Value, index: Value, axis: int) -> Value:
        return take_along_axis(g, index, axis=axis)

    def jvp_x(self, dx: Value, index: Value, axis: int, length: int) -> Value:
        return add_along_axis(dx, index, axis=axis, length=length)

    def batch(self, values: Sequence[Value], mapped: Sequence[bool], size: int, **attributes: Any) -> Value:
        return add_along_axis(*spread(values, mapped, size), axis=attributes["axis"] + 1, length=attributes["length"])

    def flops(self, output: Spec, *inputs: Spec, **attributes: Any) -> int:
        return inputs[0].size


in_range = register(InRange())
gather = register(Gather())
scatter_add = register(ScatterAdd())
scatter_set = register(ScatterSet())
take_along_axis = register(TakeAlongAxis())
add_along_axis = register(AddAlongAxis())
