"""Trigonometric and hyperbolic functions and their inverses: element by element."""

from __future__ import annotations

import numpy as np

from clearprop.primitive import Formula, Value, register
from clearprop.primitives.arithmetic import add, divide, multiply, negative, subtract
from clearprop.primitives.exponential import sqrt
from clearprop.primitives.families import FLOATS, Binary, Unary


class Sin(Unary):
    """z = the sine of x, in radians."""

    formula = Formula(r"z = \sin x", (r"\bar x = \bar z \odot \cos x",))
    accepts = FLOATS

    def compute(self, x: Value) -> Value:
        return np.sin(x)

    def vjp_x(self, g: Value, x: Value) -> Value:
        return multiply(g, cos(x))


class Cos(Unary):
    """z = the cosine of x, in radians."""

    formula = Formula(r"z = \cos x", (r"\bar x = -\bar z \odot \sin x",))
    accepts = FLOATS

    def compute(self, x: Value) -> Value:
        return np.cos(x)

    def vjp_x(self, g: Value, x: Value) -> Value:
        return negative(multiply(g, sin(x)))


class Tan(Unary):
    """z = the tangent of x, in radians."""

    formula = Formula(r"z = \tan x", (r"\bar x = \bar z \odot (1 + z^2)",))
    accepts = FLOATS

    def compute(self, x: Value) -> Value:
        return np.tan(x)

    def vjp_x(self, g: Value, z: Value) -> Value:
        return multiply(g, add(multiply(z, z), 1.0))


class Asin(Unary):
    """z = the angle whose sine is x."""

    formula = Formula(r"z = \arcsin x", (r"\bar x = \bar z / \sqrt{1 - x^2}",))
    accepts = FLOATS

    def compute(self, x: Value) -> Value:
        return np.arcsin(x)

    def vjp_x(self, g: Value, x: Value) -> Value:
        return divide(g, sqrt(subtract(1.0, multiply(x, x))))


class Acos(Unary):
    """z = the angle whose cosine is x."""

    formula = Formula(r"z = \arccos x", (r"\bar x = -\bar z / \sqrt{1 - x^2}",))
    accepts = FLOATS

    def compute(self, x: Value) -> Value:
        return np.arccos(x)

    def vjp_x(self, g: Value, x: Value) -> Value:
        return negative(divide(g, sqrt(subtract(1.0, multiply(x, x)))))


class Atan(Unary):
    """z = the angle whose tangent is x."""

    formula = Formula(r"z = \arctan x", (r"\bar x = \bar z / (1 + x^2)",))
    accepts = FLOATS

    def compute(self, x: Value) -> Value:
        return np.arctan(x)

    def vjp_x(self, g: Value, x: Value) -> Value:
        return divide(g, add(multiply(x, x), 1.0))


class Atan2(Binary):
    """z = the angle of the point (y, x): the first argument is the ordinate."""

    formula = Formula(
        r"z = \operatorname{atan2}(y, x)",
        (r"\bar y = \bar z \odot x / (x^2 + y^2)", r"\bar x = -\bar z \odot y / (x^2 + y^2)"),
    )
    accepts = FLOATS

    def compute(self, y: Value, x: Value) -> Value:
        return np.arctan2(y, x)

    def vjp_y(self, g: Value, y: Value, x: Value) -> Value:
        return divide(multiply(g, x), add(multiply(x, x), multiply(y, y)))

    def vjp_x(self, g: Value, y: Value, x: Value) -> Value:
        return negative(divide(multiply(g, y), add(multiply(x, x), multiply(y, y))))


class Sinh(Unary):
    """z = the hyperbolic sine of x."""

    formula = Formula(r"z = \sinh x", (r"\bar x = \bar z \odot \cosh x",))
    accepts = FLOATS

    def compute(self, x: Value) -> Value:
        return np.sinh(x)

    def vjp_x(self, g: Value, x: Value) -> Value:
        return multiply(g, cosh(x))


class Cosh(Unary):
    """z = the hyperbolic cosine of x."""

    formula = Formula(r"z = \cosh x", (r"\bar x = \bar z \odot \sinh x",))
    accepts = FLOATS

    def compute(self, x: Value) -> Value:
        return np.cosh(x)

    def vjp_x(self, g: Value, x: Value) -> Value:
        return multiply(g, sinh(x))


class Tanh(Unary):
    """z = the hyperbolic tangent of x."""

    formula = Formula(r"z = \tanh x", (r"\bar x = \bar z \odot (1 - z^2)",))
    accepts = FLOATS

    def compute(self, x: Value) -> Value:
        return np.tanh(x)

    def vjp_x(self, g: Value, z: Value) -> Value:
        return multiply(g, subtract(1.0, multiply(z, z)))


class Asinh(Unary):
    """z = the number whose hyperbolic sine is x."""

    formula = Formula(r"z = \operatorname{arsinh} x", (r"\bar x = \bar z / \sqrt{x^2 + 1}",))
    accepts = FLOATS

    def compute(self, x: Value) -> Value:
        return np.arcsinh(x)

    def vjp_x(self, g: Value, x: Value) -> Value:
        return divide(g, sqrt(add(multiply(x, x), 1.0)))


class Acosh(Unary):
    """z = the non-negative number whose hyperbolic cosine is x."""

    formula = Formula(r"z = \operatorname{arcosh} x", (r"\bar x = \bar z / \sqrt{x^2 - 1}",))
    accepts = FLOATS

    def compute(self, x: Value) -> Value:
        return np.arccosh(x)

    def vjp_x(self, g: Value, x: Value) -> Value:
        return divide(g, sqrt(subtract(multiply(x, x), 1.0)))


class Atanh(Unary):
    """z = the number whose hyperbolic tangent is x."""

    formula = Formula(r"z = \operatorname{artanh} x", (r"\bar x = \bar z / (1 - x^2)",))
    accepts = FLOATS

    def compute(self, x: Value) -> Value:
        return np.arctanh(x)

    def vjp_x(self, g: Value, x: Value) -> Value:
        return divide(g, subtract(1.0, multiply(x, x)))


sin = register(Sin())
cos = register(Cos())
tan = register(Tan())
asin = register(Asin())
acos = register(Acos())
atan = register(Atan())
atan2 = register(Atan2())
sinh = register(Sinh())
cosh = register(Cosh())
tanh = register(Tanh())
asinh = register(Asinh())
acosh = register(Acosh())
atanh = register(Atanh())
