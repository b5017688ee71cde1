"""Exponentials, logarithms, powers and the error function: vectors of them, without a library.

An argument is reduced to a small interval, where a polynomial serves; how, is said at each function. The coefficients
are minimax polynomials by Remez' algorithm, for the interval named beside them, those for float32 rounded one after the
other. The reductions are the classical ones: W. Cody and W. Waite, "Software Manual for the Elementary Functions"
(1980); J.-M. Muller, "Elementary Functions" (3rd edition, 2016); K. C. Ng's logarithm and power in fdlibm (1993).

Everything is computed as IEEE says: denormals in and out, infinities, NaN, signs of zeros. Errors are in
tests/compiler/native/test_functions.py, which measures them: at most 2 ulp, where nothing else is said.
"""

from __future__ import annotations

import math
from fractions import Fraction

from clearprop.compiler.native.numbers import (
    DOUBLE,
    SINGLE,
    ByType,
    Number,
    exactly,
    format_of_bits,
    parts,
    polynomial,
)

_LN2 = exactly(0.6931471805599453, 2.3190468138462996e-17, 5.707708438415949e-34)
_LOG2_E = exactly(1.4426950408889634, 2.0355273740931033e-17, -1.0614659956117817e-33)
_LOG10_E = exactly(0.4342944819032518, 1.098319650216765e-17, 3.7171812331109513e-34)
_LOG10_2 = exactly(0.3010299956639812, -2.8037281277851704e-18, 5.471948402316648e-35)

# (e^r - 1 - r) / r^2 where |r| <= log(2) / 2.
_EXP = ByType(
    (0.4999999403953552, 0.1666652113199234, 0.04166826233267784, 0.00836867094039917, 0.001382089452818036),
    (
        0.5000000000000011, 0.1666666666666641, 0.04166666666652973, 0.00833333333349498, 0.001388888894375879,
        0.0001984126950576047, 2.480149295080446e-05, 2.755758681881435e-06, 2.7630305859655486e-07,
        2.50000138317822e-08,
    ),
)  # fmt: skip
# The same with an error relative to e^r - 1.
_EXPM1 = ByType(
    (0.5, 0.1666666567325592, 0.04166649281978607, 0.008333546109497547, 0.0013932324945926666, 0.00019761805015150458),
    (
        0.5, 0.16666666666666666, 0.04166666666666708, 0.008333333333332261, 0.0013888888888532315,
        0.0001984126985682896, 2.480158822939636e-05, 2.7557275169870018e-06, 2.7556370483789754e-07,
        2.509795167811679e-08, 2.1222937172608143e-09,
    ),
)  # fmt: skip


# Exponentials ---------------------------------------------------------------------------------------------------------


def _reduced(x: Number) -> tuple[Number, Number]:
    """x = k log(2) + r: the bits of a number in whose lowest bits k stands, and r."""
    shifter = x.format.shifter
    shifted = x.fma(1.0 / math.log(2.0), shifter)
    k = shifted - shifter
    high, low = parts(x.format, _LN2, 2)
    return shifted.bits(), k.fma(-low, k.fma(-high, x))


def _power_of_two(bits: Number) -> Number:
    """2^k; of the bits, only the lowest count."""
    form = format_of_bits(bits)
    return ((bits + form.bias) << form.digits).as_float()


def exp(x: Number) -> Number:
    """e^x."""
    return scaled_exp(x, 0)


def scaled_exp(x: Number, halvings: int, more: Number | None = None) -> Number:
    """e^(x + more) / 2^halvings, where ``more`` is small.

    2^k is multiplied in two steps, since it may overflow, or the result be denormal.
    """
    form = x.format
    low, high = (-104.0, 90.0) if form is SINGLE else (-746.0, 712.0)
    bits, r = _reduced(within(x, low, high))
    r = r + more if more is not None else r
    near = 1.0 + (r * r).fma(_EXP.at(r), r)
    twice_biased = bits - (form.bits_of(form.shifter) - 2 * form.bias + halvings)
    half = twice_biased >> 1
    scaled = near * (half << form.digits).as_float()
    scaled = (x < low).choose(x.constant(0.0), scaled)  # of what is masked: processors are slow where numbers vanish
    return scaled * ((twice_biased - half) << form.digits).as_float()


def near_exp(x: Number) -> tuple[Number, Number]:
    """2^k and p, where e^x = 2^k (1 + p), if 2^k is neither denormal nor overflows."""
    bits, r = _reduced(x)
    return _power_of_two(bits), (r * r).fma(_EXP.at(r), r)


def within(x: Number, low: float, high: float) -> Number:
    """x, but not below ``low`` nor above ``high``; NaN stays."""
    x = (x < low).choose(x.constant(low), x)
    return (x > high).choose(x.constant(high), x)


def expm1(x: Number) -> Number:
    """e^x - 1 = 2^k (e^r - 1) + (2^k - 1), where what is lost in the sum of the larger terms is added again."""
    form = x.format
    low, high = (-18.0, 89.0) if form is SINGLE else (-40.0, 710.0)
    limited = within(x, low, high)
    shifted = limited.fma(1.0 / math.log(2.0), form.shifter)
    k = shifted - form.shifter
    first, second = parts(x.format, _LN2, 2)
    r, more = _sum(k.fma(-first, limited), k * -second)
    rest = (r * r).fma(_EXPM1.at(r), more)
    half = _power_of_two(shifted.bits() - 1)  # 2^k may be too large for the type
    total, lost = _sum(half - 0.5, half * r)
    result = half.fma(rest, lost) + total
    tiny = abs(x) < 0.5 * x.format.epsilon
    return tiny.choose(x, result + result)


def _sum(x: Number, y: Number) -> tuple[Number, Number]:
    """x + y and what is lost by rounding, where x is 0 or larger than y (Dekker's fast two-sum)."""
    total = x + y
    return total, y - (total - x)


def sigmoid(x: Number) -> Number:
    """1 / (1 + e^-x), where e^-x = 2^k (1 + p), and so 1 + e^-x = (1 + 2^k) + 2^k p.

    Far below 0 this is multiplied by a small number, since it may overflow where the result is but denormal.
    """
    form = x.format
    low, high, far, factor = (-104.0, 80.0, -60.0, 2.0**-64) if form is SINGLE else (-746.0, 700.0, -600.0, 2.0**-512)
    bits, r = _reduced(-within(x, low, high))
    is_far = x < far
    one = is_far.choose(x.constant(factor), 1.0)
    biased = bits + is_far.choose(bits.constant(form.bias + round(math.log2(factor))), form.bias)
    power = (biased << form.digits).as_float()
    total = one + power
    lost = one - (total - power)
    return one / (power.fma((r * r).fma(_EXP.at(r), r), lost) + total)


# Logarithms -----------------------------------------------------------------------------------------------------------

# (log(1 + f) - f + f^2 / 2) / f^3 where |f| <= 1/3.
_LOG_SINGLE = (
    0.3333321511745453, -0.2499980628490448, 0.2001042664051056, -0.16680197417736053, 0.14005734026432037,
    -0.12187448889017105, 0.13984593749046326, -0.12880195677280426,
)  # fmt: skip
# (log((1 + s) / (1 - s)) - 2 s) / s^3 in s^2, where |s| <= (sqrt(2) - 1) / (sqrt(2) + 1).
_LOG_DOUBLE = (
    0.6666666666666734, 0.3999999999941653, 0.28571428742069843, 0.2222219859942338, 0.18183563203011402,
    0.15314074518120196, 0.1479574859398235,
)  # fmt: skip


def _exponent(x: Number) -> tuple[Number, Number]:
    """x = 2^k m with m from 2/3 (float64: sqrt(1/2)) to twice that; k + bias as an integer, and m.

    Not for zeros, denormal and negative numbers, infinities, NaN: what comes out then means nothing.
    """
    form = x.format
    start = form.bits_of(2.0 / 3.0 if form is SINGLE else math.sqrt(0.5))
    bits = x.bits() + (form.bits_of(1.0) - start)
    return bits >> form.digits, ((bits & ((1 << form.digits) - 1)) + start).as_float()


def _as_number(integer: Number, less: float | Number) -> Number:
    """An integer below 2^digits as a floating-point number, minus ``less``."""
    form = format_of_bits(integer)
    power = 2.0**form.digits
    return (integer | form.bits_of(power)).as_float() - (less + power)


def _split(x: Number) -> tuple[Number, Number]:
    """x = 2^k (1 + f), for denormal numbers too."""
    form = x.format
    is_denormal = x < form.smallest
    exponent, m = _exponent(is_denormal.choose(x * 2.0**form.digits, x))
    bias = is_denormal.choose(x.constant(form.bias + form.digits), form.bias)
    return _as_number(exponent, bias), m - 1.0


def _log_beyond(f: Number) -> Number:
    """log(1 + f) - f."""
    if f.format is SINGLE:
        return (f * f) * f.fma(polynomial(f, _LOG_SINGLE), -0.5)
    s = f / (f + 2.0)
    half = 0.5 * f * f
    z = s * s
    return s.fma(z.fma(polynomial(z, _LOG_DOUBLE), half), -half)


def _times_log2(k: Number, rest: Number, main: Number) -> Number:
    """k log(2) + rest + main."""
    high, low = parts(k.format, _LN2, 2)
    return k.fma(high, k.fma(low, rest) + main)


def _with_ends(result: Number, x: Number, zero: float | Number = 0.0) -> Number:
    """A logarithm with its values at the ends: -inf at ``zero``, NaN below, infinity at infinity."""
    below = x.equals(zero).choose(x.constant(-math.inf), math.nan)
    return (x > zero).choose((x < math.inf).choose(result, x), below)


def log(x: Number) -> Number:
    """The natural logarithm."""
    k, f = _split(x)
    return _with_ends(_times_log2(k, _log_beyond(f), f), x)


def log2(x: Number) -> Number:
    """The logarithm to base 2."""
    k, f = _split(x)
    return _with_ends(_times(f, _log_beyond(f), _LOG2_E) + k, x)


def log10(x: Number) -> Number:
    """The logarithm to base 10."""
    k, f = _split(x)
    high, low = parts(x.format, _LOG10_2, 2)
    return _with_ends(k.fma(high, k.fma(low, _times(f, _log_beyond(f), _LOG10_E))), x)


def _times(main: Number, rest: Number, factor: Fraction) -> Number:
    """(main + rest) * factor, where the rest is much smaller."""
    high, low = parts(main.format, factor, 2)
    return main.fma(high, main.fma(low, rest * high))


def log1p(x: Number) -> Number:
    """log(1 + x)."""
    return _with_ends(log1p_inside(x).with_sign_of(x), x, -1.0)


def log1p_inside(x: Number) -> Number:
    """log(1 + x) for a finite x above -1: 1 + f = (1 + x) / 2^k, with the k of the rounded 1 + x."""
    form = x.format
    exponent, _ = _exponent(x + 1.0)
    scale = ((x.constant(2 * form.bias + 2, form.unsigned) - exponent) << form.digits).as_float() * 0.25
    f = x.fma(scale, scale - 1.0)
    return _times_log2(_as_number(exponent, form.bias), _log_beyond(f), f)


def logaddexp(x: Number, y: Number) -> Number:
    """log(e^x + e^y) = the larger + log(1 + e^-|x - y|).

    Where the two terms cancel, the error is 3 ulp of the larger of them, not of the result.
    """
    swapped = x > y
    smaller, larger = swapped.choose(y, x), swapped.choose(x, y)
    apart = smaller - larger
    lost = (apart > -200.0).choose((smaller - apart) - larger, 0.0)  # by rounding, where it matters
    ratio = exp(x.equals(y).choose(x.constant(0.0), apart))  # infinities may be equal, too
    return larger + log1p_inside(ratio.fma(lost, ratio))


# The error function ---------------------------------------------------------------------------------------------------

# erf(x) / x - 1 in x^2, where |x| <= 0.925 (float64: 1).
_ERF_NEAR = ByType(
    (
        0.12837916612625122, -0.3761262893676758, 0.11283625662326813, -0.026855729520320892, 0.005192392505705357,
        -0.0008049514726735651, 7.99504850874655e-05,
    ),
    (
        0.12837916709551256, -0.3761263890318341, 0.11283791670942123, -0.02686617064308731, 0.005223977607710563,
        -0.0008548326064689375, 0.000120552988190394, -1.492482828425014e-05, 1.6448685892613514e-06,
        -1.6218815153259437e-07, 1.3766596887031402e-08, -7.884799097155072e-10,
    ),
)  # fmt: skip
# log(1 - erf(x)) beyond that, up to where erf is 1. (N. Juffa's form.)
_ERF_FAR = ByType(
    (
        -0.00020342129573691636, -1.1276437044143677, -0.6372358798980713, -0.10388460755348206, 0.022204289212822914,
        -0.0030375386122614145, 0.00019535742467269301,
    ),
    (
        -5.027096378104568e-07, -1.1283740908018214, -0.6366436222636381, -0.10270345529648124, 0.01899020835400245,
        0.00041058754583950604, -0.001915901552640566, 0.000770609781668355, -0.00013502944889783662,
        -2.027696973756997e-05, 2.2826506139692032e-05, -8.668382680767973e-06, 2.1359643439959273e-06,
        -3.733539893127087e-07, 4.6429539459307316e-08, -3.934856908875766e-09, 2.045293307389329e-10,
        -4.92947271443543e-12,
    ),
)  # fmt: skip


def erf(x: Number) -> Number:
    """The error function: 1 - e^p(|x|), and a polynomial near 0."""
    size = abs(x)
    middle, end = (0.925, 3.93) if x.format is SINGLE else (1.0, 5.95)
    limited = (size > end).choose(x.constant(end), size)
    power, p = near_exp(_ERF_FAR.at(limited))
    far = (1.0 - power) - power * p
    near = size.fma(_ERF_NEAR.at(x * x), size)
    return (size < middle).choose(near, far).with_sign_of(x)


# Powers ---------------------------------------------------------------------------------------------------------------

# (log((1 + s) / (1 - s)) - 2 s - 2/3 s^3) / s^5 in s^2, where |s| <= (sqrt(2) - 1) / (sqrt(2) + 1).
_LOG_TAIL = (
    0.40000000000002256, 0.2857142857009954, 0.2222222251993682, 0.1818178436543457, 0.1538675742591122,
    0.1325681521630124, 0.13196354789338038,
)  # fmt: skip


def power(x: Number, y: Number) -> Number:
    """x^y = e^(y log|x|), with its sign. In float64 the logarithm has some 65 bits; float32 is computed in float64."""
    a, b = abs(x).to(DOUBLE.dtype), y.to(DOUBLE.dtype)
    size = (exp(b * log(a)) if x.format is SINGLE else _power(a, b)).to(x.dtype)
    half = 0.5 * y
    is_whole = y.rounded("trunc").equals(y)
    is_odd = is_whole & half.rounded("trunc").differs(half)
    signed = is_odd.choose(size.with_sign_of(x), size)
    invalid = (x < 0.0) & (x > -math.inf) & ~is_whole
    one = y.equals(0.0) | x.equals(1.0) | (x.equals(-1.0) & abs(y).equals(math.inf))
    return one.choose(x.constant(1.0), invalid.choose(x.constant(math.nan), signed))


def _power(x: Number, y: Number) -> Number:
    """x^y for x >= 0."""
    high, low = _long_log(x)
    product = y * high
    rest = y.fma(low, y.fma(high, -product))
    return scaled_exp(product, 0, (abs(product) < 2000.0).choose(rest, 0.0))


def _long_log(x: Number) -> tuple[Number, Number]:
    """log(x) as a sum of two numbers: 2 s + 2/3 s^3 + ..., where s = f / (f + 2); the cube is in two numbers, too."""
    k, f = _split(x)
    d = f + 2.0
    inverse = 1.0 / d
    s = f * inverse
    s_low = inverse * s.fma(-d, f) - inverse * s * (f - (d - 2.0))
    z = s * s
    z_low = s.fma(s, -z) + 2.0 * s * s_low
    cube = s * z
    cube_low = s.fma(z, -cube) + s * z_low + s_low * z
    two_thirds, rest = parts(x.format, Fraction(2, 3), 2)
    term = cube * two_thirds
    term_low = cube.fma(two_thirds, -term) + (cube * rest + cube_low * two_thirds)
    first, second = parts(x.format, _LN2, 2)
    main = k * first
    main_low = k.fma(first, -main) + k * second
    sum_1, lost_1 = _sum(s + s, term)
    sum_2, lost_2 = _sum(main, sum_1)
    low = lost_2 + (lost_1 + (main_low + (term_low + (2.0 * s_low + cube * z * polynomial(z, _LOG_TAIL)))))
    high, low = _sum(sum_2, low)
    return _with_ends(high, x), low


def hypot(x: Number, y: Number) -> Number:
    """The square root of x^2 + y^2."""
    if x.format is SINGLE:
        a, b = x.to(DOUBLE.dtype), y.to(DOUBLE.dtype)
        length = a.fma(a, b * b).sqrt().to(SINGLE.dtype)
    else:
        length = _hypot(abs(x), abs(y))
    is_infinite = abs(x).equals(math.inf) | abs(y).equals(math.inf)
    return is_infinite.choose(x.constant(math.inf), length)


def _hypot(x: Number, y: Number) -> Number:
    """The same in float64, for sizes: scaled, where squares would overflow or be denormal."""
    larger = (x > y).choose(x, y)
    scale = (larger > 2.0**500).choose(x.constant(2.0**-600), 1.0)
    scale = (larger < 2.0**-450).choose(x.constant(2.0**600), scale)
    x, y = x * scale, y * scale
    return x.fma(x, y * y).sqrt() / scale
