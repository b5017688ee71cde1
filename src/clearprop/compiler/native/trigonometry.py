"""Sine, cosine, tangent and their inverses: vectors of them, see `functions`.

Multiples of π are taken off with π as a sum of three numbers and fused multiply-add (Cody and Waite's reduction), which
is exact enough up to some 2^20 in float32 and 2^32 in float64. Arguments beyond are left to the C library, lane by lane.
"""

from __future__ import annotations

import math

from clearprop.compiler.native.numbers import (
    SINGLE,
    ByType,
    Number,
    exactly,
    lane_by_lane,
    parts,
    where_rare,
)

_PI = exactly(3.141592653589793, 1.2246467991473532e-16, -2.994769809718363e-33)

# (sin(r) - r) / r^3 in r^2, where |r| <= 1.02 π / 2.
_SIN = ByType(
    (-0.16666658222675323, 0.00833303015679121, -0.00019806849013548344, 2.5995018404501025e-06),
    (
        -0.16666666666666666, 0.00833333333333322, -0.00019841269841222505, 2.7557319214339e-06,
        -2.5052107293342203e-08, 1.6058971520544575e-10, -7.644374657474862e-13, 2.7532608172777506e-15,
        -3.0755395560834897e-18,
    ),
)  # fmt: skip
# The same where |r| <= 1.02 π / 4.
_SHORT_SIN = ByType(
    (-0.16666653752326965, 0.008332093246281147, -0.00019505145610310137),
    (
        -0.1666666666666662, 0.008333333333319702, -0.0001984126982760779, 2.7557312921214088e-06,
        -2.5050636562488018e-08, 1.5889711739987172e-10,
    ),
)  # fmt: skip
# (cos(r) - 1 + r^2 / 2) / r^4 in r^2, where |r| <= 1.02 π / 4.
_SHORT_COS = ByType(
    (0.04166664183139801, -0.0013887130189687014, 2.4412085622316226e-05),
    (
        0.041666666666666574, -0.0013888888888869719, 2.480158728672895e-05, -2.75573135579447e-07,
        2.0875615560369612e-09, -1.1354089330866584e-11,
    ),
)  # fmt: skip


def sin(x: Number) -> Number:
    """sin(k π + r) = ± sin(r)."""
    shifted = x.fma(1.0 / math.pi, x.format.shifter)
    value = _signed_sin(x, shifted - x.format.shifter, shifted.bits(), 1)
    return _or_library("sin", x, x.equals(0.0).choose(x, value))


def cos(x: Number) -> Number:
    """cos((k + 1/2) π + r) = ± sin(r)."""
    shifted = x.fma(1.0 / math.pi, -0.5) + x.format.shifter
    k = shifted - x.format.shifter
    return _or_library("cos", x, _signed_sin(x, k.fma(2.0, 1.0), ~shifted.bits(), 2))


def _signed_sin(x: Number, k: Number, bits: Number, of: int) -> Number:
    """sin(x - k π / of), with the sign turned if ``bits`` are odd."""
    high, middle, low = parts(x, -_PI / of, 3)
    r = k.fma(low, k.fma(middle, k.fma(high, x)))
    z = r * r
    value = (r * z).fma(_SIN.at(z), r)
    return (value.bits() ^ (bits << (8 * x.dtype.itemsize - 1))).as_float()


def tan(x: Number) -> Number:
    """tan(k π/2 + r) = sin(r) / cos(r), or -cos(r) / sin(r) if k is odd; r is a sum of two numbers."""
    shifter = x.format.shifter
    shifted = x.fma(2.0 / math.pi, shifter)
    k = shifted - shifter
    high, middle, low = parts(x, -_PI / 2, 3)
    first = k.fma(high, x)
    r = k.fma(middle, first)
    more = k.fma(low, k.fma(middle, first - r))
    z = r * r
    sine = r + (r * z).fma(_SHORT_SIN.at(z), more)
    half = 0.5 * z
    near = 1.0 - half
    cosine = near + (((1.0 - near) - half) + (z * z).fma(_SHORT_COS.at(z), -r * more))
    is_odd = (shifted.bits() & 1).differs(0)
    value = is_odd.choose(-cosine, sine) / is_odd.choose(sine, cosine)
    return _or_library("tan", x, x.equals(0.0).choose(x, value))


def _or_library(name: str, x: Number, value: Number) -> Number:
    """The value, but where x is huge, or no number."""
    end = 2.0**20 if x.format is SINGLE else 2.0**32
    return where_rare(abs(x) > end, value, lambda: lane_by_lane(name, x))


# Inverses -------------------------------------------------------------------------------------------------------------

# (asin(s) - s) / s^3 in s^2, where |s| <= 1/2.
_ASIN = ByType(
    (
        0.16666659712791443, 0.07500521838665009, 0.04451338201761246, 0.031838830560445786, 0.014317182824015617,
        0.03769070282578468,
    ),
    (
        0.16666666666665408, 0.07500000000337145, 0.04464285682821009, 0.030381959142183484, 0.02237175791888695,
        0.017359706825543955, 0.01388521445657073, 0.012169353192495715, 0.006527349053418908, 0.01953001464153477,
        -0.01622705126088964, 0.03191422311576993,
    ),
)  # fmt: skip
# (atan(t) - t) / t^3 in t^2, where |t| <= 1.
_ATAN = ByType(
    (
        -0.33333298563957214, 0.1999852955341339, -0.14264015853405, 0.10950881242752075, -0.08399313688278198,
        0.057881664484739304, -0.031097467988729477, 0.01086909044533968, -0.0017829524585977197,
    ),
    (
        -0.3333333333333307, 0.19999999999951748, -0.14285714282587975, 0.11111111007338095, -0.09090907007722239,
        0.07692279887972792, -0.066664044155228, 0.05880529762344862, -0.05253526587059456, 0.04722347752664912,
        -0.04219242144119486, 0.03664313453758901, -0.02990571325205841, 0.02198704297671062, -0.01390255038843199,
        0.007197868183312022, -0.00288560122516031, 0.0008315567824763862, -0.0001522105620820715,
        1.3229945819234737e-05,
    ),
)  # fmt: skip


def _half_angle(x: Number) -> tuple[Number, Number, Number]:
    """Whether |x| > 1/2, s, and asin(s) - s: there asin|x| = π/2 - 2 asin(s) with s^2 = (1 - |x|) / 2, else s = |x|."""
    size = abs(x)
    is_large = size > 0.5
    z = is_large.choose(size.fma(-0.5, 0.5), x * x)
    s = is_large.choose(z.sqrt(), size)
    return is_large, s, s * z * _ASIN.at(z)


def asin(x: Number) -> Number:
    """The angle whose sine is x."""
    is_large, s, more = _half_angle(x)
    high, low = parts(x, _PI / 2, 2)
    far = s.fma(-2.0, high) - more.fma(2.0, -low)
    return is_large.choose(far, s + more).with_sign_of(x)


def acos(x: Number) -> Number:
    """The angle whose cosine is x: π/2 - asin(x)."""
    is_large, s, more = _half_angle(x)
    high, low = parts(x, _PI / 2, 2)
    is_negative = x < 0.0
    from_right = (high - s) - (more - low)  # what is left to a right angle
    from_left = (high + s) + (more + low)
    near = is_negative.choose(from_left, from_right)
    far = is_negative.choose(from_right + from_right, (s + more) * 2.0)
    return is_large.choose(far, near)


def atan(x: Number) -> Number:
    """The angle whose tangent is x."""
    size = abs(x)
    is_steep = size > 1.0
    t = is_steep.choose(1.0 / size, size)
    return _angle(t, is_steep, None).with_sign_of(x)


def atan2(y: Number, x: Number) -> Number:
    """The angle of the point (x, y)."""
    width, height = abs(x), abs(y)
    is_steep = height > width
    larger = is_steep.choose(height, width)
    diagonal = (larger > 0.0).choose(x.constant(1.0), larger)  # infinities may be equal, or zeros
    t = width.equals(height).choose(diagonal, is_steep.choose(width, height) / larger)
    return _angle(t, is_steep, x).with_sign_of(y)


def _angle(t: Number, is_steep: Number, x: Number | None) -> Number:
    """atan(t), or π/2 - atan(t) if steep; and π minus that if x is negative. All with 0 <= t <= 1."""
    z = t * t
    more = t * z * _ATAN.at(z)
    right, right_low = parts(t, _PI / 2, 2)
    flat = t.constant(0.0)
    turned = is_steep
    if x is not None:
        is_negative = x.sign_bit()
        flat = is_negative.choose(t.constant(2.0 * right), flat)
        turned = is_steep ^ is_negative
    main = is_steep.choose(t.constant(right), flat)
    sign = turned.choose(t.constant(-1.0), 1.0)
    return sign.fma(t, main) + main.fma(right_low / right, sign * more)
