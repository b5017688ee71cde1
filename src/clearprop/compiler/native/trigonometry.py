"""Sine, cosine, tangent and their inverses: vectors of them, see `functions`.

Multiples of π/2, as a sum of three numbers, are taken off by fused multiply-add (Cody and Waite's reduction), which is
exact enough up to 2^18 in float32 and 2^32 in float64. Arguments beyond are left to the C library, lane by lane.
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

# (sin(r) - r) / r^3 in r^2, where |r| <= 1.02 π / 4.
_SIN = ByType(
    (-0.16666653752326965, 0.008332093246281147, -0.00019505145610310137),
    (
        -0.1666666666666662, 0.008333333333319702, -0.0001984126982760779, 2.7557312921214088e-06,
        -2.5050636562488018e-08, 1.5889711739987172e-10,
    ),
)  # fmt: skip
# (cos(r) - 1 + r^2 / 2) / r^4 in r^2, where |r| <= 1.02 π / 4.
_COS = ByType(
    (0.04166664183139801, -0.0013887130189687014, 2.4412085622316226e-05),
    (
        0.041666666666666574, -0.0013888888888869719, 2.480158728672895e-05, -2.75573135579447e-07,
        2.0875615560369612e-09, -1.1354089330866584e-11,
    ),
)  # fmt: skip
# (tan(r) - r) / r^3 in r^2, where |r| <= 1.02 π / 4.
_TAN = ByType(
    (
        0.3333335518836975, 0.13332462310791016, 0.054083701223134995, 0.021155649796128273, 0.011171173304319382,
        -0.0003429609350860119, 0.004592529032379389,
    ),
    (
        0.33333333333332277, 0.1333333333348206, 0.053968253895095214, 0.021869490350499853, 0.008863208928864245,
        0.003592379579312763, 0.0014542189970111106, 0.000597288784840881, 0.0002159440189938847,
        0.0001495454418402201, -4.441897405619791e-05, 0.00010574277497308514, -5.352292146750281e-05,
        2.2908113216064123e-05,
    ),
)  # fmt: skip


def sin(x: Number) -> Number:
    """The sine. With x = k π/2 + r it is ± the sine of r if k is even, ± its cosine if k is odd."""
    return _or_library("sin", x, x.equals(0.0).choose(x, _wave(x, 0)))  # -0 would have become 0


def cos(x: Number) -> Number:
    """The cosine: the sine of x + π/2."""
    return _or_library("cos", x, _wave(x, 1))


def _wave(x: Number, quarters: int) -> Number:
    """sin(x + quarters * π/2)."""
    k, first, bits = _quadrant(x)
    _, middle, low = parts(x.format, -_PI / 2, 3)
    r = k.fma(low, k.fma(middle, first))
    z = r * r
    sine = (r * z).fma(_SIN.at(z), r)
    cosine = (z * z).fma(_COS.at(z), z.fma(-0.5, 1.0))
    turns = bits + quarters
    value = (turns & 1).equals(0).choose(sine, cosine)
    sign = (turns & 2) << (8 * x.dtype.itemsize - 2)
    return (value.bits() ^ sign).as_float()


def _quadrant(x: Number) -> tuple[Number, Number, Number]:
    """k, x - k π/2 with the first of the three parts of π/2, and the bits of a number in whose lowest bits k stands."""
    shifter = x.format.shifter
    shifted = x.fma(2.0 / math.pi, shifter)
    k = shifted - shifter
    return k, k.fma(parts(x.format, -_PI / 2, 3)[0], x), shifted.bits()


def tan(x: Number) -> Number:
    """The tangent. With x = k π/2 + r, where r is a sum of two numbers, it is that of r, or -1 / that if k is odd."""
    k, first, bits = _quadrant(x)
    _, middle, low = parts(x.format, -_PI / 2, 3)
    product = k * middle
    r = first + product
    kept = r - first
    lost = (first - (r - kept)) + (product - kept)  # Knuth's two-sum
    more = k.fma(low, lost + k.fma(middle, -product))
    z = r * r
    slope = z.fma(1.6, 1.0)  # 1 + tan(r)^2, as nearly as it matters
    beyond = (r * z).fma(_TAN.at(z), slope * more)
    tangent = r + beyond
    inverse = -1.0 / tangent
    inverse = inverse.fma(inverse * (beyond - (tangent - r)), inverse)  # of what was there before rounding
    value = (bits & 1).differs(0).choose(inverse, tangent)
    return _or_library("tan", x, x.equals(0.0).choose(x, value))


def _or_library(name: str, x: Number, value: Number) -> Number:
    """The value, but where x is huge, or no number."""
    end = 2.0**18 if x.format is SINGLE else 2.0**32
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
    high, low = parts(x.format, _PI / 2, 2)
    far = s.fma(-2.0, high)
    lost = s.fma(-2.0, high - far)
    far = far - (more.fma(2.0, -low) - lost)
    return is_large.choose(far, s + more).with_sign_of(x)


def acos(x: Number) -> Number:
    """The angle whose cosine is x: π/2 - asin(x)."""
    is_large, s, more = _half_angle(x)
    high, low = parts(x.format, _PI / 2, 2)
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
    right, right_low = parts(t.format, _PI / 2, 2)
    flat = t.constant(0.0)
    turned = is_steep
    if x is not None:
        is_negative = x.sign_bit()
        flat = is_negative.choose(t.constant(2.0 * right), flat)
        turned = is_steep ^ is_negative
    main = is_steep.choose(t.constant(right), flat)
    sign = turned.choose(t.constant(-1.0), 1.0)
    return sign.fma(t, main) + main.fma(right_low / right, sign * more)
