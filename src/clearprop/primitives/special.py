"""The error function and the quantiles of the normal distribution, which NumPy itself does not have: arrays in and out.

Rational approximations in three ranges each, in float64, with a relative error of some 1e-16:

W. J. Cody, "Rational Chebyshev approximations for the error function", Mathematics of Computation 23 (1969);
M. J. Wichura, "Algorithm AS 241: the percentage points of the normal distribution", Applied Statistics 37 (1988).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

# Coefficients of the paper, highest power first. Range 1: |x| <= 0.5, in x**2.
_SMALL_P = (
    1.85777706184603153e-1,
    3.16112374387056560,
    1.13864154151050156e2,
    3.77485237685302021e2,
    3.20937758913846947e3,
)
_SMALL_Q = (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3)
# Range 2: 0.5 < |x| <= 4, erfc in |x|.
_MIDDLE_P = (
    2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594, 6.61191906371416295e1, 2.98635138197400131e2,
    8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3, 1.23033935479799725e3,
)  # fmt: skip
_MIDDLE_Q = (
    1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
    3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3,
)  # fmt: skip
# Range 3: |x| > 4, erfc in 1 / x**2.
_LARGE_P = (
    1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1, 1.25781726111229246e-1,
    1.60837851487422766e-2, 6.58749161529837803e-4,
)  # fmt: skip
_LARGE_Q = (
    1.0, 2.56852019228982242, 1.87295284992346725, 5.27905102951428412e-1, 6.05183413124413191e-2,
    2.33520497626869185e-3,
)  # fmt: skip

_ERF_IS_ONE = 6.0
"""From here on erf is 1 to the last bit of float64."""


_BLOCK = 8192
"""Elements that are computed together: what lies between stays in the cache."""


def erf_array(x: Any) -> Any:
    """erf of each element, in the dtype of x."""
    given = np.asarray(x)
    values = given.reshape(-1)
    result = np.empty(values.shape, given.dtype)
    for start in range(0, values.size, _BLOCK):
        block = slice(start, start + _BLOCK)
        result[block] = _erf(values[block].astype(np.float64))
    return result.reshape(given.shape)[()]


def _erf(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The same of a vector of float64; ranges 2 and 3 only where they are needed."""
    size = np.minimum(np.abs(values), _ERF_IS_ONE)
    result = np.asarray(values * _ratio(_SMALL_P, _SMALL_Q, np.minimum(size, 0.5) ** 2))
    beyond = ~(size <= 0.5)  # NaN too
    if beyond.any():
        result[beyond] = np.copysign(_erf_beyond(size[beyond]), values[beyond])
    return result


def _erf_beyond(size: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The same of numbers above a half."""
    decay = np.exp(-size * size)
    result = np.asarray(1.0 - decay * _ratio(_MIDDLE_P, _MIDDLE_Q, np.minimum(size, 4.0)))
    far = ~(size <= 4.0)
    if far.any():
        inverse = 1.0 / size[far] ** 2
        tail = (1.0 / math.sqrt(math.pi) - inverse * _ratio(_LARGE_P, _LARGE_Q, inverse)) / size[far]
        result[far] = 1.0 - decay[far] * tail
    return result


# Coefficients of PPND16 in the second paper, highest power first. Range 1: p within 0.425 of a half, in 0.425² - q².
_CENTRE_P = (
    2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4, 4.5921953931549871457e4,
    1.3731693765509461125e4, 1.9715909503065514427e3, 1.3314166789178437745e2, 3.3871328727963666080e0,
)  # fmt: skip
_CENTRE_Q = (
    5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4, 2.1213794301586595867e4,
    5.3941960214247511077e3, 6.8718700749205790830e2, 4.2313330701600911252e1, 1.0,
)  # fmt: skip
# Range 2: the smaller of p and 1 - p is at least exp(-25); in r - 1.6, where r = √-log of it.
_SIDE_P = (
    7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1, 1.27045825245236838258e0,
    3.64784832476320460504e0, 5.76949722146069140550e0, 4.63033784615654529590e0, 1.42343711074968357734e0,
)  # fmt: skip
_SIDE_Q = (
    1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2, 1.48103976427480074590e-1,
    6.89767334985100004550e-1, 1.67638483018380384940e0, 2.05319162663775882187e0, 1.0,
)  # fmt: skip
# Range 3: it is less; in r - 5.
_END_P = (
    2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3, 2.65321895265761230930e-2,
    2.96560571828504891230e-1, 1.78482653991729133580e0, 5.46378491116411436990e0, 6.65790464350110377720e0,
)  # fmt: skip
_END_Q = (
    2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5, 7.86869131145613259100e-4,
    1.48753612908506148525e-2, 1.36929880922735805310e-1, 5.99832206555887937690e-1, 1.0,
)  # fmt: skip
_CENTRE, _SIDE = 0.425, 5.0


def normal_quantile_array(p: Any) -> np.ndarray[Any, Any]:
    """Below which x a normally distributed number lies with probability p, for each element; float64.

    Exact far into the lower tail, where p itself is; -inf at 0, inf at 1, NaN outside.
    """
    values = np.asarray(p, np.float64)
    q = values - 0.5
    centre = q * _ratio(_CENTRE_P, _CENTRE_Q, np.maximum(_CENTRE**2 - q * q, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        r = np.sqrt(-np.log(np.minimum(values, 1.0 - values)))
    side = _ratio(_SIDE_P, _SIDE_Q, np.clip(r, 0.0, _SIDE) - 1.6)
    end = _ratio(_END_P, _END_Q, np.clip(r, _SIDE, 40.0) - _SIDE)
    outside = np.where(np.isinf(r), r, np.where(r <= _SIDE, side, end))
    return np.where(np.abs(q) <= _CENTRE, centre, np.copysign(np.where(np.isnan(r), np.nan, outside), q))


def _ratio(numerator: Sequence[float], denominator: Sequence[float], x: Any) -> Any:
    return np.polyval(numerator, x) / np.polyval(denominator, x)
