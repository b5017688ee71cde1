"""Recurrences: running products, and the linear recurrence that their gradient is.

In a running product z_i = x_1 … x_i each factor is used by all outputs that come after it. The gradient of x_j is

    Σ_{i ≥ j} g_i ∏_{l ≤ i, l ≠ j} x_l  =  z_{j-1} s_j      with   s_j = g_j + x_{j+1} s_{j+1}

so what arrives from behind is collected in one pass from the end, and nothing is divided by x_j: it is right where
factors are zero, to any order. The linear recurrence s is a primitive of its own, whose gradient is one again, from the
other end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clearprop.primitive import Formula, Primitive, Spec, Value, filled, numpy_dtype, register
from clearprop.primitives.arithmetic import multiply
from clearprop.primitives.families import FLOATS, NUMBERS, AlongAxis, check_axes, check_equal, check_kind, spread
from clearprop.primitives.shaping import concat, pad, take_range


class CumulativeProd(AlongAxis):
    """z = running products along ``axis``."""

    formula = Formula(r"z_i = \prod_{j \le i} x_j", (r"\bar x_j = z_{j-1} s_j,\ s_j = \bar z_j + x_{j+1} s_{j+1}",))
    accepts = NUMBERS

    def compute(self, x: Value, *, axis: int) -> Value:
        return np.cumprod(x, axis, x.dtype)

    def vjp_x(self, g: Value, x: Value, z: Value, axis: int) -> Value:
        from_behind = linear_recurrence(g, following(x, axis, False), axis=axis, reverse=True)
        return multiply(_products_before(z, axis), from_behind)

    def jvp_x(self, dx: Value, x: Value, z: Value, axis: int) -> Value:
        return linear_recurrence(multiply(dx, _products_before(z, axis)), x, axis=axis, reverse=False)

    def flops(self, output: Spec, *inputs: Spec, **attributes: Any) -> int:
        return output.size


def _products_before(z: Value, axis: int) -> Value:
    """For each factor the product of those before it, from the running products; 1 for the first."""
    length = z.shape[axis]
    if length == 0:
        return z
    one = filled(1, tuple(1 if i == axis else n for i, n in enumerate(z.shape)), numpy_dtype(z))
    return concat(one, take_range(z, axis, 0, length - 1), axis=axis, lengths=(1, length - 1))


def following(x: Value, axis: int, reverse: bool) -> Value:
    """For each element of x the one behind it along the axis (before it if ``reverse``); zero for the last."""
    length = x.shape[axis]
    rest = take_range(x, axis, 0, length - 1) if reverse else take_range(x, axis, min(1, length), length)
    return _with_zero(rest, axis, first=reverse) if length else x


def _with_zero(x: Value, axis: int, first: bool) -> Value:
    """One zero put in front of x along an axis, or behind it."""
    one, none = tuple(int(i == axis) for i in range(len(x.shape))), (0,) * len(x.shape)
    return pad(x, before=one if first else none, after=none if first else one, between=none)


class LinearRecurrence(Primitive):
    """z_i = x_i + a_i z_{i-1} along ``axis``, beginning with z_1 = x_1; from the end if ``reverse``."""

    formula = Formula(
        r"z_i = x_i + a_i z_{i-1}",
        (r"\bar x_i = \bar z_i + a_{i+1} \bar x_{i+1}", r"\bar a_i = \bar x_i z_{i-1}"),
    )

    def shape(self, *inputs: Spec, **attributes: Any) -> Spec:
        x, a = inputs
        check_kind(self.name, FLOATS, x=x, a=a)
        check_equal(self.name, x=x, a=a)
        check_axes(self.name, x.shape, attributes["axis"])
        return x

    def compute(self, x: Value, a: Value, *, axis: int, reverse: bool) -> Value:
        steps = [np.moveaxis(value, axis, 0)[:: -1 if reverse else 1] for value in (x, a)]
        xs, factors = (step.reshape(len(step), step[:1].size) for step in steps)
        result = (_few_rows(xs, factors) if xs.shape[1] < _FEW else _many_rows(xs, factors)).reshape(steps[0].shape)
        return np.moveaxis(result[:: -1 if reverse else 1], 0, axis)

    def vjp_x(self, g: Value, a: Value, axis: int, reverse: bool) -> Value:
        return linear_recurrence(g, following(a, axis, reverse), axis=axis, reverse=not reverse)

    def vjp_a(self, g: Value, a: Value, z: Value, axis: int, reverse: bool) -> Value:
        return _times_preceding(self.vjp_x(g, a, axis, reverse), z, axis, reverse)

    def jvp_x(self, dx: Value, a: Value, axis: int, reverse: bool) -> Value:
        return linear_recurrence(dx, a, axis=axis, reverse=reverse)

    def jvp_a(self, da: Value, a: Value, z: Value, axis: int, reverse: bool) -> Value:
        return linear_recurrence(_times_preceding(da, z, axis, reverse), a, axis=axis, reverse=reverse)

    def batch(self, values: Sequence[Value], mapped: Sequence[bool], size: int, **attributes: Any) -> Value:
        axis, reverse = attributes["axis"] + 1, attributes["reverse"]
        return linear_recurrence(*spread(values, mapped, size), axis=axis, reverse=reverse)

    def flops(self, output: Spec, *inputs: Spec, **attributes: Any) -> int:
        return 2 * output.size


def _times_preceding(s: Value, z: Value, axis: int, reverse: bool) -> Value:
    """s_i z_{i-1}, and zero at the beginning, where nothing precedes."""
    length = s.shape[axis]
    if length == 0:
        return s
    behind, before = (0, length - 1), (1, length)
    mine, preceding = (behind, before) if reverse else (before, behind)
    product = multiply(take_range(s, axis, *mine), take_range(z, axis, *preceding))
    return _with_zero(product, axis, first=not reverse)


_FEW = 16
"""Rows below which Python's own numbers are quicker than calling NumPy for each step."""


def _many_rows(x: Any, a: Any) -> Any:
    """The recurrence down the columns, (N, rows) -> (N, rows): a step for all rows at once."""
    z = np.empty(x.shape, x.dtype)
    z[:1] = x[:1]
    for i in range(1, len(x)):
        current = np.multiply(a[i], z[i - 1], z[i])
        np.add(current, x[i], current)
    return z


def _few_rows(x: Any, a: Any) -> Any:
    """The same, row after row."""
    z = np.empty(x.shape, x.dtype)
    for row in range(x.shape[1]):
        values, current = [], 0.0
        for i, (summand, factor) in enumerate(zip(x[:, row].tolist(), a[:, row].tolist(), strict=True)):
            current = summand + factor * current if i else summand
            values.append(current)
        z[:, row] = values
    return z


cumulative_prod = register(CumulativeProd())
linear_recurrence = register(LinearRecurrence())
