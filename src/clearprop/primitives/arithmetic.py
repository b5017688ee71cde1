"""Arithmetic, element by element, and choosing between values.

Here are the three patterns of gradient flow of the lecture notes: addition distributes the upstream gradient,
multiplication switches (each input receives g times the *other* input), maximum selects.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from clearprop.primitive import Formula, Spec, Value, register
from clearprop.primitives.families import BOOLEANS, FLOATS, Binary, Elementwise, Unary, check_equal, check_kind
from clearprop.primitives.logic import equal, greater, less
from clearprop.primitives.selection import select


class Add(Binary):
    """z = x + y. Addition distributes: both inputs receive the upstream gradient unchanged."""

    formula = Formula(r"z = x + y", (r"\bar x = \bar z", r"\bar y = \bar z"))

    def compute(self, x: Value, y: Value) -> Value:
        return np.add(x, y)

    def vjp_x(self, g: Value) -> Value:
        return g

    def vjp_y(self, g: Value) -> Value:
        return g


class Negative(Unary):
    """z = -x."""

    formula = Formula(r"z = -x", (r"\bar x = -\bar z",))

    def compute(self, x: Value) -> Value:
        return np.negative(x)

    def vjp_x(self, g: Value) -> Value:
        return negative(g)


class Subtract(Binary):
    """z = x - y."""

    formula = Formula(r"z = x - y", (r"\bar x = \bar z", r"\bar y = -\bar z"))

    def compute(self, x: Value, y: Value) -> Value:
        return np.subtract(x, y)

    def vjp_x(self, g: Value) -> Value:
        return g

    def vjp_y(self, g: Value) -> Value:
        return negative(g)


class Multiply(Binary):
    """z = x ⊙ y. Multiplication switches: each input receives the upstream gradient times the other input."""

    formula = Formula(r"z = x \odot y", (r"\bar x = \bar z \odot y", r"\bar y = \bar z \odot x"))

    def compute(self, x: Value, y: Value) -> Value:
        return np.multiply(x, y)

    def vjp_x(self, g: Value, y: Value) -> Value:
        return multiply(g, y)

    def vjp_y(self, g: Value, x: Value) -> Value:
        return multiply(g, x)


class Divide(Binary):
    """z = x / y, of floating-point numbers."""

    formula = Formula(r"z = x / y", (r"\bar x = \bar z / y", r"\bar y = -\bar z \odot z / y"))
    accepts = FLOATS

    def compute(self, x: Value, y: Value) -> Value:
        return np.divide(x, y)

    def vjp_x(self, g: Value, y: Value) -> Value:
        return divide(g, y)

    def vjp_y(self, g: Value, y: Value, z: Value) -> Value:
        return negative(divide(multiply(g, z), y))


class Sign(Unary):
    """z = -1, 0 or 1; constant almost everywhere."""

    formula = Formula(r"z = \operatorname{sign} x")
    differentiable = False

    def compute(self, x: Value) -> Value:
        return np.sign(x)


class Absolute(Unary):
    """z = |x|; the derivative at the kink is 0."""

    name = "abs"
    formula = Formula(r"z = |x|", (r"\bar x = \bar z \odot \operatorname{sign} x",))

    def compute(self, x: Value) -> Value:
        return np.abs(x)

    def vjp_x(self, g: Value, x: Value) -> Value:
        return multiply(g, sign(x))


class Where(Elementwise):
    """z = x where c is true, y elsewhere. Each input receives the gradient where it was taken, and a zero elsewhere.

    The gradient is chosen, not multiplied by a mask: an infinite gradient on the side not taken stays out.
    """

    formula = Formula(
        r"z = c \mathbin{?} x : y",
        (r"\bar x = c \mathbin{?} \bar z : 0", r"\bar y = c \mathbin{?} 0 : \bar z"),
    )

    def shape(self, *inputs: Spec, **attributes: Any) -> Spec:
        c, x, y = inputs
        check_kind(self.name, BOOLEANS, c=c)
        check_equal(self.name, x=x, y=y, c=Spec(c.shape, x.dtype))
        return x

    def compute(self, c: Value, x: Value, y: Value) -> Value:
        return select(c, x, y)

    def vjp_x(self, g: Value, c: Value) -> Value:
        return where(c, g, 0.0)

    def vjp_y(self, g: Value, c: Value) -> Value:
        return where(c, 0.0, g)


def _share(g: Value, taken: Value, tie: Value) -> Value:
    """The gradient of a chosen input: all where it was taken, half where both were equal, else nothing."""
    return where(taken, g, where(tie, multiply(g, 0.5), 0.0))


class Maximum(Binary):
    """z = the larger of x and y. Maximum selects: the larger input receives the gradient; at a tie each gets half."""

    formula = Formula(r"z = \max(x, y)", (r"\bar x = \bar z \odot [x > y]", r"\bar y = \bar z \odot [y > x]"))

    def compute(self, x: Value, y: Value) -> Value:
        return np.maximum(x, y)

    def vjp_x(self, g: Value, x: Value, y: Value) -> Value:
        return _share(g, greater(x, y), equal(x, y))

    def vjp_y(self, g: Value, x: Value, y: Value) -> Value:
        return _share(g, greater(y, x), equal(x, y))


class Minimum(Binary):
    """z = the smaller of x and y; at a tie each gets half of the gradient."""

    formula = Formula(r"z = \min(x, y)", (r"\bar x = \bar z \odot [x < y]", r"\bar y = \bar z \odot [y < x]"))

    def compute(self, x: Value, y: Value) -> Value:
        return np.minimum(x, y)

    def vjp_x(self, g: Value, x: Value, y: Value) -> Value:
        return _share(g, less(x, y), equal(x, y))

    def vjp_y(self, g: Value, x: Value, y: Value) -> Value:
        return _share(g, less(y, x), equal(x, y))


class Clip(Unary):
    """z = x, but not below ``low`` nor above ``high`` (attributes; None for no bound).

    Inside, and on the bounds, the gradient passes.
    """

    formula = Formula(
        r"z = \min(\max(x, \mathit{low}), \mathit{high})",
        (r"\bar x = \bar z \odot [\mathit{low} \le x \le \mathit{high}]",),
    )
    flops_per_element = 2

    def compute(self, x: Value, *, low: float | None, high: float | None) -> Value:
        return np.clip(x, low, high)

    def vjp_x(self, g: Value, x: Value, z: Value) -> Value:
        return where(equal(x, z), g, 0.0)


class Relu(Unary):
    """z = max(0, x); the derivative at 0 is 0. Maximum selects, and here it selects against a constant."""

    formula = Formula(r"z = \max(0, x)", (r"\bar x = \bar z \odot [z > 0]",))

    def compute(self, x: Value) -> Value:
        return np.maximum(x, 0)

    def vjp_x(self, g: Value, z: Value) -> Value:
        return where(greater(z, 0.0), g, 0.0)


class FloorDivide(Binary):
    """z = the largest integer that is at most x / y; constant almost everywhere.

    Where x or y is infinite, z is the floor of what IEEE division gives (array API standard): NumPy answers NaN for an
    infinite x, and -1 where the quotient is -0.
    """

    formula = Formula(r"z = \lfloor x / y \rfloor")
    differentiable = False

    def compute(self, x: Value, y: Value) -> Value:
        z = np.floor_divide(x, y)
        if z.dtype.kind != "f":
            return z
        infinite = np.isinf(x) | np.isinf(y)
        return np.where(infinite, np.floor(np.divide(x, y)), z) if infinite.any() else z


class Remainder(Binary):
    """z = x - floor(x / y) * y, with the sign of y."""

    formula = Formula(
        r"z = x - \lfloor x / y \rfloor \odot y", (r"\bar x = \bar z", r"\bar y = -\bar z \odot \lfloor x / y \rfloor")
    )
    flops_per_element = 3

    def compute(self, x: Value, y: Value) -> Value:
        return np.remainder(x, y)

    def vjp_x(self, g: Value) -> Value:
        return g

    def vjp_y(self, g: Value, x: Value, y: Value) -> Value:
        return negative(multiply(g, floor_divide(x, y)))


add = register(Add())
negative = register(Negative())
subtract = register(Subtract())
multiply = register(Multiply())
divide = register(Divide())
sign = register(Sign())
absolute = register(Absolute())
where = register(Where())
maximum = register(Maximum())
minimum = register(Minimum())
clip = register(Clip())
relu = register(Relu())
floor_divide = register(FloorDivide())
remainder = register(Remainder())
