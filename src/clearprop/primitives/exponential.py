"""Exponentials, logarithms, powers, roots, and the sigmoid: element by element."""

from __future__ import annotations

import math

import numpy as np

from clearprop.primitive import Formula, Value, register
from clearprop.primitives.arithmetic import add, divide, multiply, negative, subtract, where
from clearprop.primitives.families import FLOATS, Binary, Unary
from clearprop.primitives.logic import equal, greater_equal, logical_and
from clearprop.primitives.special import erf_array


class Exp(Unary):
    """z = e ** x, its own derivative."""

    formula = Formula(r"z = e^x", (r"\bar x = \bar z \odot z",))
    accepts = FLOATS

    def compute(self, x: Value) -> Value:
        return np.exp(x)

    def vjp_x(self, g: Value, z: Value) -> Value:
        return multiply(g, z)


class Expm1(Unary):
    """z = e ** x - 1, exact for small x too."""

    formula = Formula(r"z = e^x - 1", (r"\bar x = \bar z \odot (z + 1)",))
    accepts = FLOATS

    def compute(self, x: Value) -> Value:
        return np.expm1(x)

    def vjp_x(self, g: Value, z: Value) -> Value:
        return multiply(g, add(z, 1.0))


class Log(Unary):
    """z = the natural logarithm of x."""

    formula = Formula(r"z = \log x", (r"\bar x = \bar z / x",))
    accepts = FLOATS

    def compute(self, x: Value) -> Value:
        return np.log(x)

    def vjp_x(self, g: Value, x: Value) -> Value:
        return divide(g, x)


class Log1p(Unary):
    """z = log(1 + x), exact for small x too."""

    formula = Formula(r"z = \log(1 + x)", (r"\bar x = \bar z / (1 + x)",))
    accepts = FLOATS

    def compute(self, x: Value) -> Value:
        return np.log1p(x)

    def vjp_x(self, g: Value, x: Value) -> Value:
        return divide(g, add(x, 1.0))


class Log2(Unary):
    """z = the logarithm of x to base 2."""

    formula = Formula(r"z = \log_2 x", (r"\bar x = \bar z / (x \log 2)",))
    accepts = FLOATS

    def compute(self, x: Value) -> Value:
        return np.log2(x)

    def vjp_x(self, g: Value, x: Value) -> Value:
        return divide(g, multiply(x, math.log(2.0)))


class Log10(Unary):
    """z = the logarithm of x to base 10."""

    formula = Formula(r"z = \log_{10} x", (r"\bar x = \bar z / (x \log 10)",))
    accepts = FLOATS

    def compute(self, x: Value) -> Value:
        return np.log10(x)

    def vjp_x(self, g: Value, x: Value) -> Value:
        return divide(g, multiply(x, math.log(10.0)))


class Sigmoid(Unary):
    """z = 1 / (1 + e ** -x), the logistic function."""

    formula = Formula(r"z = \sigma(x) = \frac{1}{1 + e^{-x}}", (r"\bar x = \bar z \odot z \odot (1 - z)",))
    accepts = FLOATS
    flops_per_element = 4

    def compute(self, x: Value) -> Value:
        return 1 / (1 + np.exp(-x))  # far below 0 the exponential overflows to infinity, and z is 0, as it should be

    def vjp_x(self, g: Value, z: Value) -> Value:
        return multiply(multiply(g, z), subtract(1.0, z))


class Logaddexp(Binary):
    """z = log(e ** x + e ** y), without overflow."""

    formula = Formula(
        r"z = \log(e^x + e^y)", (r"\bar x = \bar z \odot \sigma(x - y)", r"\bar y = \bar z \odot \sigma(y - x)")
    )
    accepts = FLOATS
    flops_per_element = 4

    def compute(self, x: Value, y: Value) -> Value:
        return np.logaddexp(x, y)

    def vjp_x(self, g: Value, x: Value, y: Value) -> Value:
        return multiply(g, sigmoid(subtract(x, y)))

    def vjp_y(self, g: Value, x: Value, y: Value) -> Value:
        return multiply(g, sigmoid(subtract(y, x)))


class Power(Binary):
    """z = x ** y. At x = 0, y >= 0, where log x has no value, the gradient by the exponent is 0."""

    formula = Formula(r"z = x^y", (r"\bar x = \bar z \odot y \odot x^{y-1}", r"\bar y = \bar z \odot z \odot \log x"))

    def compute(self, x: Value, y: Value) -> Value:
        return np.power(x, y)

    def vjp_x(self, g: Value, x: Value, y: Value) -> Value:
        flat = logical_and(equal(x, 0.0), equal(y, 0.0))  # x**0 is constant, also at x = 0
        return multiply(g, multiply(y, power(where(flat, 1.0, x), subtract(y, 1.0))))

    def vjp_y(self, g: Value, x: Value, y: Value, z: Value) -> Value:
        flat = logical_and(equal(x, 0.0), greater_equal(y, 0.0))  # there log x is -infinity
        return where(flat, 0.0, multiply(g, multiply(z, log(where(flat, 1.0, x)))))


class Sqrt(Unary):
    """z = the square root of x."""

    formula = Formula(r"z = \sqrt x", (r"\bar x = \bar z / (2 z)",))
    accepts = FLOATS

    def compute(self, x: Value) -> Value:
        return np.sqrt(x)

    def vjp_x(self, g: Value, z: Value) -> Value:
        return divide(multiply(g, 0.5), z)


def _slope_of_hypot(x: Value, z: Value) -> Value:
    """x / z, and 0 at the origin, where the cone has its tip."""
    tip = equal(z, 0.0)
    return where(tip, 0.0, divide(x, where(tip, 1.0, z)))


class Hypot(Binary):
    """z = the length of the vector (x, y), without overflow of the squares; the derivative at the origin is 0."""

    formula = Formula(r"z = \sqrt{x^2 + y^2}", (r"\bar x = \bar z \odot x / z", r"\bar y = \bar z \odot y / z"))
    accepts = FLOATS
    flops_per_element = 4

    def compute(self, x: Value, y: Value) -> Value:
        return np.hypot(x, y)

    def vjp_x(self, g: Value, x: Value, z: Value) -> Value:
        return multiply(g, _slope_of_hypot(x, z))

    def vjp_y(self, g: Value, y: Value, z: Value) -> Value:
        return multiply(g, _slope_of_hypot(y, z))


class Erf(Unary):
    """z = the error function of x."""

    formula = Formula(
        r"z = \operatorname{erf} x = \frac{2}{\sqrt\pi} \int_0^x e^{-t^2} dt",
        (r"\bar x = \bar z \odot \frac{2}{\sqrt\pi} e^{-x^2}",),
    )
    accepts = FLOATS
    flops_per_element = 20

    def compute(self, x: Value) -> Value:
        return erf_array(x)

    def vjp_x(self, g: Value, x: Value) -> Value:
        return multiply(g, multiply(exp(negative(multiply(x, x))), 2.0 / math.sqrt(math.pi)))


exp = register(Exp())
expm1 = register(Expm1())
log = register(Log())
log1p = register(Log1p())
log2 = register(Log2())
log10 = register(Log10())
sigmoid = register(Sigmoid())
logaddexp = register(Logaddexp())
power = register(Power())
sqrt = register(Sqrt())
hypot = register(Hypot())
erf = register(Erf())
