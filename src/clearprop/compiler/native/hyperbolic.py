"""Hyperbolic functions and their inverses: vectors of them, see `functions`."""

from __future__ import annotations

import math

from clearprop.compiler.native.functions import log1p, log1p_inside, near_exp, scaled_exp
from clearprop.compiler.native.numbers import SINGLE, ByType, Number, in_double

# (tanh(x) - x) / x^3 in x^2, where |x| <= 0.55.
_TANH = ByType(
    (-0.33333316445350647, 0.13332544267177582, -0.0538475476205349, 0.02105071395635605, -0.00624284939840436),
    (
        -0.33333333333332316, 0.1333333333316871, -0.05396825387607953, 0.021869485974814758, -0.008863194504334863,
        0.003591719700015094, -0.0014532167714921475, 0.0005791370655721357, -0.00021030248963623197,
        5.102154607642983e-05,
    ),
)  # fmt: skip
# (sinh(x) - x) / x^3 in x^2, where |x| <= 1.
_SINH = ByType(
    (0.1666666716337204, 0.00833331048488617, 0.00019842895562760532, 2.7822131869470468e-06),
    (
        0.16666666666666669, 0.008333333333332912, 0.00019841269841593408, 2.755731910675844e-06,
        2.5052130998299975e-08, 1.6056659213289708e-10, 7.776598321675014e-13,
    ),
)  # fmt: skip


def tanh(x: Number) -> Number:
    """The hyperbolic tangent: 1 - 2 / (e^2|x| + 1), and a polynomial near 0."""
    size = abs(x)
    end = 9.1 if x.format is SINGLE else 19.1  # here it is 1
    limited = (size > end).choose(x.constant(end), size)
    power, p = near_exp(limited + limited)
    far = 1.0 - 2.0 / power.fma(p, power + 1.0)
    return (size < 0.55).choose(_odd(size, _TANH), far).with_sign_of(x)


def _odd(x: Number, coefficients: ByType) -> Number:
    """x + x^3 p(x^2)."""
    z = x * x
    return (x * z).fma(coefficients.at(z), x)


def sinh(x: Number) -> Number:
    """The hyperbolic sine: (e^x - e^-x) / 2, and a polynomial near 0."""
    size = abs(x)
    half = scaled_exp(size, 1)
    return (size < 1.0).choose(_odd(size, _SINH), half - 0.25 / half).with_sign_of(x)


def cosh(x: Number) -> Number:
    """The hyperbolic cosine: (e^x + e^-x) / 2."""
    half = scaled_exp(abs(x), 1)
    return half + 0.25 / half


@in_double
def asinh(x: Number) -> Number:
    """The inverse of sinh: log(|x| + sqrt(x^2 + 1)), written for log1p."""
    size = abs(x)
    near = size + size * size / (size.fma(size, 1.0).sqrt() + 1.0)
    return _log_of_sum(size, near).with_sign_of(x)


@in_double
def acosh(x: Number) -> Number:
    """The inverse of cosh: log(x + sqrt(x^2 - 1)), written for log1p; float64 within 2.5 ulp."""
    beyond = x - 1.0
    near = beyond + beyond.fma(beyond, beyond + beyond).sqrt()
    return (x >= 1.0).choose(_log_of_sum(x, near), math.nan)


def _log_of_sum(x: Number, near: Number) -> Number:
    """log(1 + near), or log(2 x) if x is so large that its square may overflow."""
    is_large = x > 2.0**28
    value = log1p_inside(is_large.choose(x - 1.0, near)) + is_large.choose(x.constant(math.log(2.0)), 0.0)
    return (x < math.inf).choose(value, x)


@in_double
def atanh(x: Number) -> Number:
    """The inverse of tanh: log((1 + x) / (1 - x)) / 2, written for log1p."""
    size = abs(x)
    twice = size + size
    value = 0.5 * log1p(twice.fma(size / (1.0 - size), twice))
    return (size <= 1.0).choose(value.with_sign_of(x), math.nan)
