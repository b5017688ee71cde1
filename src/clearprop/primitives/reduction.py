"""Reductions, and the broadcast, whose transpose is the sum.

Broadcasting an array means using each of its elements several times: fan-out. At fan-out gradients add up. So the VJP
of ``broadcast`` is ``sum``, and the VJP of ``sum`` hands the upstream gradient to every summand: ``broadcast``.

A reduction drops the axes it runs over; ``axes`` are sorted and not negative.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from clearprop.errors import ShapeError
from clearprop.primitive import Formula, Spec, Value, filled, numpy_dtype, register
from clearprop.primitives.arithmetic import divide, maximum, multiply, subtract, where
from clearprop.primitives.exponential import exp
from clearprop.primitives.families import (
    BOOLEANS,
    FLOATS,
    NUMBERS,
    AlongAxis,
    OneInput,
    check_axes,
    check_kind,
    next_axes,
)
from clearprop.primitives.logic import cast, equal
from clearprop.primitives.shaping import concat, inverse_permutation, permute, reshape, take_range


class Broadcast(OneInput):
    """z = x repeated along new axes: ``axes`` are those of ``shape`` that x does not have. No memory is used for it."""

    formula = Formula(r"z = \operatorname{broadcast} x", (r"\bar x = \sum_{\mathit{axes}} \bar z",))
    linear = True

    def shape(self, *inputs: Spec, **attributes: Any) -> Spec:
        (x,), shape, axes = inputs, attributes["shape"], attributes["axes"]
        if x.shape != tuple(length for i, length in enumerate(shape) if i not in axes):
            raise ShapeError(f"broadcast: x has shape {x.shape}, which {shape} without axes {axes} is not")
        return Spec(shape, x.dtype)

    def compute(self, x: Value, *, shape: tuple[int, ...], axes: tuple[int, ...]) -> Value:
        if x.size and not any(x.strides):  # one number in all places, most often the gradient of a mean
            return filled(x[(0,) * x.ndim], shape, x.dtype)
        if x.size and x.flags.c_contiguous:  # as np.broadcast_to, in a tenth of its time
            strides = list(x.strides)
            for axis in axes:
                strides.insert(axis, 0)
            return np.ndarray(shape, x.dtype, x, 0, strides)
        return np.broadcast_to(np.expand_dims(x, axes), shape)

    def vjp_x(self, g: Value, axes: tuple[int, ...]) -> Value:
        return sum_(g, axes=axes)

    def shifted(self, size: int, **attributes: Any) -> dict[str, Any]:
        return {"shape": (size, *attributes["shape"]), "axes": next_axes(attributes["axes"])}


class Reduction(OneInput):
    """An operation that drops ``axes``."""

    accepts: ClassVar[str] = NUMBERS
    gives: ClassVar[str | None] = None
    needs_elements: ClassVar[bool] = False

    def shape(self, *inputs: Spec, **attributes: Any) -> Spec:
        (x,), axes = inputs, attributes["axes"]
        check_kind(self.name, self.accepts, x=x)
        check_axes(self.name, x.shape, *axes)
        if self.needs_elements and any(x.shape[axis] == 0 for axis in axes):
            raise ShapeError(
                f"{self.name}: x has shape {x.shape}; there is nothing to choose from along axes {axes}",
                hint="an x with elements along these axes",
            )
        kept = tuple(length for i, length in enumerate(x.shape) if i not in axes)
        return Spec(kept, np.dtype(self.gives) if self.gives else x.dtype)

    def shifted(self, size: int, **attributes: Any) -> dict[str, Any]:
        return {"axes": next_axes(attributes["axes"])}

    def flops(self, output: Spec, *inputs: Spec, **attributes: Any) -> int:
        return inputs[0].size


class Sum(Reduction):
    """z = the sum over ``axes``: every summand receives the upstream gradient."""

    formula = Formula(r"z = \sum_{\mathit{axes}} x", (r"\bar x = \operatorname{broadcast} \bar z",))
    linear = True

    def compute(self, x: Value, *, axes: tuple[int, ...]) -> Value:
        return np.add.reduce(x, axes, x.dtype)

    def vjp_x(self, g: Value, x_shape: tuple[int, ...], axes: tuple[int, ...]) -> Value:
        return broadcast(g, shape=x_shape, axes=axes)


def _others_of_row(x: Value) -> Value:
    """For each element of x, the product of all others along the last axis, in O(n) multiplications.

    Elements are paired, left with right. What lies outside a pair is the same question for the products of the pairs.
    """
    axis, n = len(x.shape) - 1, x.shape[-1]
    if n == 0:
        return x
    if n == 1:
        return filled(1, x.shape, numpy_dtype(x))
    half = n // 2
    left, right = take_range(x, axis, 0, half), take_range(x, axis, half, 2 * half)
    odd = take_range(x, axis, 2 * half, n)  # the one without a partner, if n is odd
    outside = _others_of_row(concat(multiply(left, right), odd, axis=axis, lengths=(half, n - 2 * half)))
    of_pairs, of_odd = take_range(outside, axis, 0, half), take_range(outside, axis, half, n - half)
    parts = multiply(of_pairs, right), multiply(of_pairs, left), of_odd
    return concat(*parts, axis=axis, lengths=(half, half, n - 2 * half))


def products_of_others(x: Value, axes: tuple[int, ...]) -> Value:
    """For each element of x, the product of all others over ``axes``."""
    kept = tuple(i for i in range(len(x.shape)) if i not in axes)
    order = (*kept, *axes)
    rows = permute(x, axes=order)
    factors = math.prod(x.shape[i] for i in axes)
    others = _others_of_row(reshape(rows, shape=(*(x.shape[i] for i in kept), factors)))
    return permute(reshape(others, shape=rows.shape), axes=inverse_permutation(order))


class Prod(Reduction):
    """z = the product over ``axes``: each factor receives the upstream gradient times the product of all the others.

    That product is built without dividing by the factor, so it is right where factors are zero, to any order.
    """

    formula = Formula(r"z = \prod_i x_i", (r"\bar x_i = \bar z \odot \prod_{j \ne i} x_j",))

    def compute(self, x: Value, *, axes: tuple[int, ...]) -> Value:
        return np.multiply.reduce(x, axes, x.dtype)

    def vjp_x(self, g: Value, x: Value, x_shape: tuple[int, ...], axes: tuple[int, ...]) -> Value:
        return multiply(broadcast(g, shape=x_shape, axes=axes), products_of_others(x, axes))

    def jvp_x(self, dx: Value, x: Value, axes: tuple[int, ...]) -> Value:
        return sum_(multiply(dx, products_of_others(x, axes)), axes=axes)


def _winners(x: Value, z: Value, shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[Value, Value]:
    """Which elements of x are equal to the extreme one, z, and how many they are."""
    chosen = equal(x, broadcast(z, shape=shape, axes=axes))
    return chosen, sum_(cast(chosen, dtype=numpy_dtype(x)), axes=axes)


class _Extreme(Reduction):
    """Largest or smallest element. The gradient goes to it; several equal ones share it equally."""

    needs_elements = True

    def vjp_x(self, g: Value, x: Value, z: Value, x_shape: tuple[int, ...], axes: tuple[int, ...]) -> Value:
        chosen, count = _winners(x, z, x_shape, axes)
        return where(chosen, broadcast(divide(g, count), shape=x_shape, axes=axes), 0.0)

    def jvp_x(self, dx: Value, x: Value, z: Value, x_shape: tuple[int, ...], axes: tuple[int, ...]) -> Value:
        chosen, count = _winners(x, z, x_shape, axes)
        return divide(sum_(where(chosen, dx, 0.0), axes=axes), count)


class Max(_Extreme):
    """z = the largest element over ``axes``; NaN if there is one."""

    formula = Formula(r"z = \max_i x_i", (r"\bar x_i = \bar z \odot [x_i = z] / \#\{j : x_j = z\}",))

    def compute(self, x: Value, *, axes: tuple[int, ...]) -> Value:
        return np.maximum.reduce(x, axes)


class Min(_Extreme):
    """z = the smallest element over ``axes``; NaN if there is one."""

    formula = Formula(r"z = \min_i x_i", (r"\bar x_i = \bar z \odot [x_i = z] / \#\{j : x_j = z\}",))

    def compute(self, x: Value, *, axes: tuple[int, ...]) -> Value:
        return np.minimum.reduce(x, axes)


def _softmax(x: Value, z: Value, shape: tuple[int, ...], axes: tuple[int, ...]) -> Value:
    """e ** (x - z); where all of x is -infinity, and so z too, this is 0 and not NaN."""
    finite = maximum(z, float(np.finfo(numpy_dtype(z)).min))
    return exp(subtract(x, broadcast(finite, shape=shape, axes=axes)))


class Logsumexp(Reduction):
    """z = log of the sum of e ** x over ``axes``, without overflow. Its gradient is the softmax of x."""

    formula = Formula(r"z = \log \sum_i e^{x_i}", (r"\bar x_i = \bar z \odot e^{x_i - z}",))
    accepts = FLOATS
    needs_elements = True

    def compute(self, x: Value, *, axes: tuple[int, ...]) -> Value:
        limit = np.finfo(x.dtype).max  # where all of x is -inf, or some of it +inf, a finite shift avoids inf - inf
        top = np.minimum(np.maximum(np.maximum.reduce(x, axes, keepdims=True), -limit), limit)
        total = np.add.reduce(np.exp(x - top), axes, x.dtype)
        return np.log(total) + top.reshape(total.shape)

    def vjp_x(self, g: Value, x: Value, z: Value, x_shape: tuple[int, ...], axes: tuple[int, ...]) -> Value:
        return multiply(broadcast(g, shape=x_shape, axes=axes), _softmax(x, z, x_shape, axes))

    def jvp_x(self, dx: Value, x: Value, z: Value, x_shape: tuple[int, ...], axes: tuple[int, ...]) -> Value:
        return sum_(multiply(dx, _softmax(x, z, x_shape, axes)), axes=axes)

    def flops(self, output: Spec, *inputs: Spec, **attributes: Any) -> int:
        return 4 * inputs[0].size


class CumulativeSum(AlongAxis):
    """z = running sums along ``axis``, from its end if ``reverse``. Each element is used by all that come after it."""

    formula = Formula(r"z_i = \sum_{j \le i} x_j", (r"\bar x_j = \sum_{i \ge j} \bar z_i",))
    linear = True
    accepts = NUMBERS

    def compute(self, x: Value, *, axis: int, reverse: bool) -> Value:
        if reverse:
            return np.flip(np.cumsum(np.flip(x, axis), axis, x.dtype), axis)
        return np.cumsum(x, axis, x.dtype)

    def vjp_x(self, g: Value, axis: int, reverse: bool) -> Value:
        return cumulative_sum(g, axis=axis, reverse=not reverse)

    def flops(self, output: Spec, *inputs: Spec, **attributes: Any) -> int:
        return output.size


class _ArgExtreme(Reduction):
    """Position of an extreme element along one axis (``axes`` has one entry); the first of several."""

    differentiable = False
    gives = "int64"
    needs_elements = True


class Argmax(_ArgExtreme):
    """z = the position of the largest element along an axis."""

    formula = Formula(r"z = \operatorname{arg\,max}_i x_i")

    def compute(self, x: Value, *, axes: tuple[int, ...]) -> Value:
        return np.argmax(x, axes[0])


class Argmin(_ArgExtreme):
    """z = the position of the smallest element along an axis."""

    formula = Formula(r"z = \operatorname{arg\,min}_i x_i")

    def compute(self, x: Value, *, axes: tuple[int, ...]) -> Value:
        return np.argmin(x, axes[0])


class All(Reduction):
    """z = whether all are true over ``axes``."""

    formula = Formula(r"z = \bigwedge_i x_i")
    differentiable = False
    accepts = BOOLEANS

    def compute(self, x: Value, *, axes: tuple[int, ...]) -> Value:
        return np.logical_and.reduce(x, axes)


class Any_(Reduction):
    """z = whether any is true over ``axes``."""

    name = "any"
    formula = Formula(r"z = \bigvee_i x_i")
    differentiable = False
    accepts = BOOLEANS

    def compute(self, x: Value, *, axes: tuple[int, ...]) -> Value:
        return np.logical_or.reduce(x, axes)


broadcast = register(Broadcast())
sum_ = register(Sum())
prod = register(Prod())
max_ = register(Max())
min_ = register(Min())
logsumexp = register(Logsumexp())
cumulative_sum = register(CumulativeSum())
argmax = register(Argmax())
argmin = register(Argmin())
all_ = register(All())
any_ = register(Any_())
