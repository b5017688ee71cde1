"""Functions with exact results, which are NumPy's to the bit: division with a floor, shifts, powers of integers, casts.

Of what NumPy leaves to C, namely a float that does not fit the integer it is cast to, the result is what it is on x86.
"""

from __future__ import annotations

import math

import numpy as np

from clearprop.compiler.native.code import I1, index
from clearprop.compiler.native.numbers import SINGLE, DType, Number, lane_by_lane, where_rare

_INT32, _INT64, _UINT64 = np.dtype(np.int32), np.dtype(np.int64), np.dtype(np.uint64)


# Division -------------------------------------------------------------------------------------------------------------


def floor_divide(x: Number, y: Number) -> Number:
    """The largest integer that is at most x / y; of integers 0 where y is 0, and -x where it is -1, which may overflow.

    Of floating-point numbers it is (x - remainder) / y, which is an integer but for rounding; where x or y is infinite,
    or y is 0, it is the floor of x / y.
    """
    if not x.is_float:
        return _divided(x, y)[0]
    rest = _fmod(x, y)
    steps = (x - rest) / y
    steps = _is_moved(rest, y).choose(steps - 1.0, steps)
    below = steps.rounded("floor")
    below = (steps - below > 0.5).choose(below + 1.0, below)
    ratio = x / y
    result = steps.equals(0.0).choose(steps.constant(0.0).with_sign_of(ratio), below)
    is_plain = (abs(x) < math.inf) & (abs(y) < math.inf) & y.differs(0.0)
    return is_plain.choose(result, ratio.rounded("floor"))


def remainder(x: Number, y: Number) -> Number:
    """x - floor(x / y) * y, with the sign of y; of integers 0 where y is 0."""
    if not x.is_float:
        return _divided(x, y)[1]
    rest = _fmod(x, y)
    moved = _is_moved(rest, y).choose(rest + y, rest)
    return rest.equals(0.0).choose(rest.with_sign_of(y), moved)


def _divided(x: Number, y: Number) -> tuple[Number, Number]:
    """Quotient and remainder of integers."""
    is_zero = y.equals(0)
    one = is_zero | y.equals(-1) if x.is_signed else is_zero
    divisor = one.choose(y.constant(1), y)
    quotient = _quotient(x, divisor)
    rest = one.choose(x.constant(0), x - quotient * divisor)
    quotient = y.equals(-1).choose(-x, quotient) if x.is_signed else quotient
    return is_zero.choose(x.constant(0), quotient), rest


def _quotient(x: Number, y: Number) -> Number:
    """The floor of x / y for integers, where y is neither 0 nor -1.

    Up to 32 bits it is divided in a floating-point type with more than twice the digits that are needed to tell x / y
    from the next integer; there processors divide whole vectors.
    """
    if x.dtype.itemsize < 8:
        kind = SINGLE.dtype if x.dtype.itemsize < 4 else np.dtype(np.float64)
        return (x.to(kind) / y.to(kind)).rounded("floor").truncated(x.dtype)
    b = x.code.builder
    if not x.is_signed:
        return x.made(b.udiv(x.value, y.value))
    quotient = x.made(b.sdiv(x.value, y.value))
    rest = x - quotient * y
    is_above = rest.differs(0) & ((rest ^ y) < 0)  # rounded towards 0 and not down
    return is_above.choose(quotient - 1, quotient)


def _is_moved(rest: Number, y: Number) -> Number:
    """Whether the remainder with the sign of x, which is given, is not that with the sign of y."""
    return rest.differs(0.0) & ((y < 0.0) ^ (rest < 0.0))


def _fmod(x: Number, y: Number) -> Number:
    """x - n y, where n is x / y rounded towards 0; exact.

    Fused multiply-add makes it so as long as n has no more digits than fit; n may be 1 too large then. Quotients that
    are larger, and operands that have none, are left to the C library.
    """
    ratio = x / y
    n = ratio.rounded("trunc")
    rest = n.equals(0.0).choose(x, n.fma(-y, x))
    is_beyond = rest.differs(0.0) & ((rest < 0.0) ^ (x < 0.0))
    rest = is_beyond.choose(rest + y.with_sign_of(x), rest).with_sign_of(x)
    is_large = ~(abs(ratio) < 2.0**x.format.digits)
    return where_rare(is_large, rest, lambda: lane_by_lane("frem", x, y))


# Bits -----------------------------------------------------------------------------------------------------------------


def left_shift(x: Number, y: Number) -> Number:
    """The bits of x moved y places up; 0 where y is negative or leaves no bit."""
    places, is_inside = _places(x, y)
    return is_inside.choose(x << places, 0)


def right_shift(x: Number, y: Number) -> Number:
    """The bits of x moved y places down, with the sign; only the sign is left where y is negative or leaves no bit."""
    places, is_inside = _places(x, y)
    if not x.is_signed:
        return is_inside.choose(x >> places, 0)
    return x >> is_inside.choose(places, 8 * x.dtype.itemsize - 1)


def _places(x: Number, y: Number) -> tuple[Number, Number]:
    """y where it is a number of places to shift, else 0; and whether it is."""
    bits = 8 * x.dtype.itemsize
    is_inside = (y >= 0) & (y < bits) if x.is_signed else y < bits
    return is_inside.choose(y, 0), is_inside


def signbit(x: Number) -> Number:
    """Whether the sign is negative."""
    return x.sign_bit()


def nextafter(x: Number, y: Number) -> Number:
    """The neighbour of x in the direction of y."""
    is_away = (x < y) ^ (x < 0.0)  # from 0
    bits = x.bits()
    neighbour = is_away.choose(bits + 1, bits - 1).as_float()
    smallest = bits.constant(1).as_float().with_sign_of(y)
    moved = x.equals(0.0).choose(smallest, neighbour)
    is_number = (x < y) | (x > y)
    return is_number.choose(moved, x.equals(y).choose(y, x + y))


def integer_power(x: Number, y: Number) -> Number:
    """x^y for integers without sign, by squaring; what does not fit is cut off."""
    code, b = x.code, x.code.builder
    largest = code.across(y.value, lambda one, other: b.select(b.icmp_unsigned(">", one, other), one, other))
    unused = code.intrinsic("ctlz", largest, I1(0))
    count = b.sub(index(largest.type.width), b.zext(unused, index(0).type) if largest.type.width < 64 else unused)

    def square(_: object, carried: list[object]) -> list[object]:
        result, base, exponent = (x.made(value) for value in carried)
        product = (exponent & 1).differs(0).choose(result * base, result)
        return [product.value, (base * base).value, (exponent >> 1).value]

    return x.made(code.loop(index(0), count, 1, square, [x.constant(1).value, x.value, y.value])[0])


# Casts ----------------------------------------------------------------------------------------------------------------


def to_integer(x: Number, dtype: DType) -> Number:
    """A floating-point number without its fraction."""
    if dtype == _UINT64:
        is_large = x >= 2.0**63
        bits = to_integer(is_large.choose(x - 2.0**63, x), _INT64).to(dtype)
        return is_large.choose(bits ^ (1 << 63), bits)
    wide = _INT64 if dtype.itemsize == 8 or dtype == np.uint32 else _INT32
    fits = abs(x) < 2.0 ** (8 * wide.itemsize - 1)
    whole = fits.choose(x, 0.0).truncated(wide)
    return fits.choose(whole, np.iinfo(wide).min).to(dtype)
