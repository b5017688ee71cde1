"""Elementwise functions as native code: how exact they are, special values, any number of lanes, results to the bit."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from llvmlite import ir
from tests.compiler.native.test_native import native

import clearprop as cp
from clearprop.compiler.native.code import POINTER, Code, Value, index
from clearprop.compiler.native.elements import ELEMENTS, Element
from clearprop.compiler.native.library import Library
from clearprop.compiler.native.machine import host
from clearprop.primitive import PRIMITIVES
from clearprop.primitives.families import Elementwise
from clearprop.primitives.special import erf_array

LONG = np.longdouble
INTEGERS = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
FLOATS = ["float32", "float64"]

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


class Loop:
    """A primitive as a loop over arrays: so many lanes at once, and one by one what is left."""

    def __init__(self, name: str, dtypes: list[str], result: Any = None, lanes: int | None = None) -> None:
        self.name, self.dtypes = name, [np.dtype(kind) for kind in dtypes]
        self.result = np.dtype(result or self.dtypes[0])
        self.lanes = lanes or host().lanes(self.dtypes[0])
        self.library = Library(self._module())
        arguments = [ctypes.c_void_p] * (len(dtypes) + 1) + [ctypes.c_int64]
        self._function = self.library.function("loop", arguments)

    def _module(self) -> ir.Module:
        module, count = ir.Module("loop"), len(self.dtypes)
        code = Code.function(module, "loop", [POINTER] * (count + 1) + [index(0).type])
        *pointers, size = code.builder.function.args
        whole: Value = index(0)
        if self.lanes > 1:
            whole = code.builder.and_(size, index(-self.lanes))
            code.loop(index(0), whole, self.lanes, self._body(code, pointers, self.lanes))
        code.loop(whole, size, 1, self._body(code, pointers, 1))
        code.builder.ret_void()
        return module

    def _body(self, code: Code, pointers: list[Value], lanes: int) -> Callable[[Value, list[Value]], None]:
        def write(i: Value, _: list[Value]) -> None:
            places = zip(pointers, self.dtypes, strict=False)
            values = [code.load(code.at(pointer, kind, i), kind, lanes) for pointer, kind in places]
            element = Element(code, values, self.dtypes, self.result, lanes, {})
            code.store(ELEMENTS[self.name](element), code.at(pointers[-1], self.result, i), self.result)

        return write

    def __call__(self, *arrays: Any) -> Any:
        arrays = tuple(np.ascontiguousarray(x, kind) for x, kind in zip(arrays, self.dtypes, strict=True))
        out = np.empty(arrays[0].shape, self.result)
        self._function(*[x.ctypes.data for x in arrays], out.ctypes.data, out.size)
        return out


# How exact ------------------------------------------------------------------------------------------------------------


def ulps(found: Any, true: Any, scale: Any = None) -> Any:
    """Errors in units of the last place of the result; infinite where it is not what IEEE arithmetic gives.

    Args:
        true: in a wider type.
        scale: numbers whose last place counts, where they are larger than the result.
    """
    info = np.finfo(found.dtype)
    size = np.abs(true) if scale is None else np.maximum(np.abs(true), np.where(np.isfinite(true), scale, 0))
    exponents = np.maximum(np.frexp(np.where(np.isfinite(size), size, 0))[1] - 1, info.minexp)
    unit = np.ldexp(np.ones_like(size), exponents - info.nmant)
    error = np.abs(found.astype(true.dtype) - true) / unit
    rounded = true.astype(found.dtype)
    error = np.where((found == rounded) & ~np.isfinite(rounded) | np.isnan(found) & np.isnan(true), 0, error)
    overflows = np.isinf(found) & (true * np.sign(found) > info.max * (1 - 2 * info.eps))
    error = np.where(overflows & (found != rounded), 1, error)
    other_zero = (found == 0) & (true == 0) & (np.signbit(found) != np.signbit(true))
    return np.where(np.isnan(error) | other_zero, np.inf, error)


def true_erf(x: Any) -> Any:
    """The error function in extended precision: a series of positive terms (Abramowitz and Stegun, 7.1.6)."""
    size = np.minimum(np.abs(x), 7)
    term = total = size
    for n in range(1, 250):
        term = term * (2 * size * size / (2 * n + 1))
        total = total + term
    value = total * np.exp(-size * size) * 2 / np.sqrt(4 * np.arctan(LONG(1)))
    return np.copysign(np.where(size == 7, 1, value), x)


def true_sigmoid(x: Any) -> Any:
    """The logistic function, without overflow."""
    small = np.exp(-np.abs(x))
    return np.where(x < 0, small, 1) / (1 + small)


TRUE: dict[str, Callable[..., Any]] = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "log2": np.log2,
    "log10": np.log10,
    "sigmoid": true_sigmoid,
    "tanh": np.tanh,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "erf": true_erf,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
}
TRUE_OF_TWO: dict[str, Callable[..., Any]] = {
    "power": np.power,
    "hypot": np.hypot,
    "atan2": np.arctan2,
    "logaddexp": np.logaddexp,
}

SPECIAL = [
    0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 7.5, 1e5, 2.0**31, np.inf, np.nan,
    5e-324, 1e-310, 2.2250738585072014e-308, 1e-45, 1e-40, 1.1754943508222875e-38, 3.4028234663852886e38, 1.7e308,
    0.9999999, 1.0000001,
]  # fmt: skip
SPECIAL += [-x for x in SPECIAL]

extended = pytest.mark.skipif(np.finfo(LONG).nmant <= 52, reason="no type here that is longer than float64")


def sweep(dtype: str, each: int) -> Any:
    """So many numbers of each sign and exponent, special values, and many where functions bend."""
    rng, info = np.random.default_rng(0), np.finfo(dtype)
    unsigned = np.dtype(f"u{info.bits // 8}")
    above = np.arange(1 << (info.bits - info.nmant), dtype=unsigned) << unsigned.type(info.nmant)
    below = rng.integers(0, 1 << info.nmant, (each, above.size), dtype=unsigned)
    common = rng.choice([-1, 1], (6, 20 * each)) * np.exp(rng.uniform(-20, 1, (6, 20 * each)))
    common[1] *= 10
    common[2] *= 100 if dtype == "float32" else 700
    common[3] += 1
    common[4] += rng.integers(-1000, 1000, 20 * each) * (np.pi / 2)
    parts = [(above | below).view(dtype).ravel(), common.ravel(), rng.uniform(-1, 1, 20 * each), SPECIAL]
    return np.concatenate([np.asarray(part, dtype) for part in parts])


def wider(dtype: str) -> Any:
    return np.float64 if dtype == "float32" else LONG


@pytest.mark.parametrize("name", TRUE)
@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=extended)])
def test_errors_over_the_whole_range(name: str, dtype: str) -> None:
    x = sweep(dtype, 100 if dtype == "float32" else 10)
    errors = ulps(Loop(name, [dtype])(x), TRUE[name](x.astype(wider(dtype))))
    worst = errors.argmax()
    limit = 2.5 if (name, dtype) == ("acosh", "float64") else 2.0
    assert errors[worst] <= limit, f"at {x[worst]!r}"


def pairs(dtype: str, each: int) -> tuple[Any, Any]:
    """Numbers of any exponents, numbers of one size, special values with each other."""
    rng, x = np.random.default_rng(1), sweep(dtype, each)
    special = np.asarray(SPECIAL, dtype)
    first, second = (grid.ravel() for grid in np.meshgrid(special, special))
    alike, near_1 = rng.standard_normal((2, 100 * each)), 1 + 1e-3 * rng.standard_normal(100 * each)
    whole = rng.integers(-9, 10, (2, 100 * each))
    xs = [x, first, alike[0], np.abs(alike[0]), near_1, whole[0]]
    ys = [rng.permutation(x), second, alike[1], 100 * alike[1], 1e4 * alike[1], whole[1]]
    return tuple(np.concatenate(parts).astype(dtype) for parts in (xs, ys))


@pytest.mark.parametrize("name", TRUE_OF_TWO)
@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=extended)])
def test_errors_of_functions_of_two_numbers(name: str, dtype: str) -> None:
    x, y = pairs(dtype, 50 if dtype == "float32" else 10)
    true = TRUE_OF_TWO[name](x.astype(LONG), y.astype(LONG))
    scale = None
    if name == "logaddexp":  # its terms may cancel
        scale = np.maximum(np.abs(np.maximum(x, y)), np.log1p(np.exp(-np.abs(x - y)))).astype(LONG)
    errors = ulps(Loop(name, [dtype] * 2)(x, y), true, scale)
    worst = errors.argmax()
    assert errors[worst] <= (2.0 if scale is None else 3.0), f"at {x[worst]!r}, {y[worst]!r}"


@pytest.mark.slow
@pytest.mark.parametrize("name", TRUE)
def test_a_pass_over_the_bit_patterns_of_float32(name: str) -> None:
    """Every 41st; the true value of erf is that of W. Cody's float64 approximation."""
    f = erf_array if name == "erf" else TRUE[name]
    loop = Loop(name, ["float32"])
    for start in range(0, 2**32, 2**27):
        x = np.arange(start + 5, start + 2**27, 41, dtype=np.uint64).astype(np.uint32).view(np.float32)
        errors = ulps(loop(x), f(x.astype(np.float64)))
        worst = errors.argmax()
        assert errors[worst] <= 2.0, f"at {x[worst]!r}"


@pytest.mark.parametrize("dtype", FLOATS)
def test_softplus_is_exact_far_below_0(dtype: str) -> None:
    x = sweep(dtype, 20)
    errors = ulps(Loop("logaddexp", [dtype] * 2)(x, np.zeros_like(x)), np.logaddexp(x.astype(LONG), LONG(0)))
    assert errors.max() <= 2.0 if np.finfo(LONG).nmant > 52 else 3.0


def test_what_is_exact_by_nature_is_exact() -> None:
    """Values that people compare with ``==``."""
    powers = np.arange(-1074.0, 1024.0)
    np.testing.assert_array_equal(Loop("log2", ["float64"])(2.0**powers), powers)
    for dtype in FLOATS:
        whole = np.arange(-20, 21).astype(dtype)
        np.testing.assert_array_equal(Loop("power", [dtype] * 2)(whole, np.full_like(whole, 3)), whole**3)
        for name, at, value in (("exp", 0, 1), ("cos", 0, 1), ("cosh", 0, 1), ("sigmoid", 0, 0.5), ("log", 1, 0)):
            assert Loop(name, [dtype])(np.full(9, at, dtype)).tolist() == [value] * 9
        thousand = np.asarray([1, 10, 100, 1000, 10000], dtype)
        np.testing.assert_array_equal(Loop("log10", [dtype])(thousand), np.arange(5))


@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_arguments_that_are_huge_in_one_lane_only(name: str) -> None:
    x = np.array([0.5, 1e22, -0.25, 3e300, -np.inf, 2.0**40, -0.0, np.nan, 1e5] * 3)
    found, true = Loop(name, ["float64"])(x), TRUE[name](x)
    assert np.array_equal(np.isnan(found), np.isnan(x) | np.isinf(x))
    np.testing.assert_allclose(found, true, rtol=1e-15)


@pytest.mark.parametrize("dtype", FLOATS)
def test_jumps_inside_of_a_reduction(dtype: str) -> None:
    """Functions that jump to the C library and back, several times in a loop that carries sums."""
    x = np.random.default_rng(0).standard_normal((6, 37)).astype(dtype)
    x[2, 5], x[3, 36], x[4] = 1e15, -1e25, 1e30
    f = lambda x: [cp.sum(cp.sin(x) * cp.cos(cp.sin(x)), axis=1), cp.max(cp.remainder(x, 0.75), axis=1)]  # noqa: E731
    compiled = native(f, x)
    assert compiled.by_numpy() == []
    sums, largest = compiled([x])
    wide = np.sin(x.astype(np.float64))
    np.testing.assert_allclose(sums, np.sum(wide * np.cos(wide), axis=1), rtol=0, atol=1e-5)
    np.testing.assert_array_equal(largest, np.remainder(x, x.dtype.type(0.75)).max(axis=1))


# Exact results --------------------------------------------------------------------------------------------------------


def assert_same_bits(found: Any, expected: Any) -> None:
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)
    if found.dtype.kind == "f":
        np.testing.assert_array_equal(
            np.signbit(found) & (found == found), np.signbit(expected) & (expected == expected)
        )


def integers(dtype: str) -> tuple[Any, Any]:
    """Limits and small numbers with each other, and any numbers with any and with small ones."""
    rng, limits = np.random.default_rng(0), np.iinfo(dtype)
    chosen = [
        limits.min,
        limits.min + 1,
        limits.max,
        limits.max - 1,
        0,
        1,
        2,
        3,
        7,
        8,
        15,
        16,
        31,
        32,
        63,
        64,
        -1,
        -2,
        -7,
    ]
    chosen = np.array([n for n in chosen if limits.min <= n <= limits.max], dtype)
    first, second = (grid.ravel() for grid in np.meshgrid(chosen, chosen))
    any_number = rng.integers(limits.min, limits.max, (2, 2000), dtype=dtype, endpoint=True)
    small = rng.integers(0, 70, 1000).astype(dtype)
    return np.concatenate([first, any_number[0]]), np.concatenate([second, any_number[1][:1000], small])


OF_INTEGERS = ["floor_divide", "remainder", "bitwise_left_shift", "bitwise_right_shift", "power"]


@pytest.mark.parametrize(
    ("name", "dtype"),
    [(name, dtype) for name in OF_INTEGERS for dtype in INTEGERS if name != "power" or dtype.startswith("u")],
)
def test_integers_to_the_bit(name: str, dtype: str) -> None:
    x, y = integers(dtype)
    expected = PRIMITIVES[name].compute(x, y)
    for lanes in (None, 2):
        assert_same_bits(Loop(name, [dtype] * 2, lanes=lanes)(x, y), expected)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ["floor_divide", "remainder", "nextafter"])
def test_floats_to_the_bit(name: str, dtype: str) -> None:
    x, y = pairs(dtype, 20)
    tenths = np.random.default_rng(0).integers(-99, 100, (2, 5000)).astype(dtype) * np.dtype(dtype).type(0.1)
    x, y = np.concatenate([x, tenths[0]]), np.concatenate([y, tenths[1]])
    assert_same_bits(Loop(name, [dtype] * 2)(x, y), PRIMITIVES[name].compute(x, y))


@pytest.mark.parametrize("dtype", FLOATS)
def test_signs(dtype: str) -> None:
    x = np.concatenate([np.asarray(SPECIAL, dtype), -np.asarray([np.nan], dtype)])
    np.testing.assert_array_equal(Loop("signbit", [dtype], result="bool")(x), np.signbit(x))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("target", INTEGERS)
def test_casts_to_integers(dtype: str, target: str) -> None:
    """NumPy's, where the number fits; elsewhere some number, and no harm done."""
    rng, limits = np.random.default_rng(0), np.iinfo(target)
    near = [limits.min, limits.min - 0.5, limits.max, limits.max + 0.5, -0.75, 2.0**62, 2.0**63, 2.0**64 - 2.0**41]
    random = [rng.uniform(limits.min, limits.max, 2000), rng.uniform(-300, 300, 2000)]
    x = np.concatenate([np.asarray(part, dtype) for part in (sweep(dtype, 5), near, *random)])
    found = Loop("cast", [dtype], result=target)(x)
    fits = (np.trunc(x) >= float(limits.min)) & (np.trunc(x) < float(limits.max) + 1)
    np.testing.assert_array_equal(found[fits], x[fits].astype(target))


# Any number of lanes, and all primitives ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*TRUE, *TRUE_OF_TWO, "floor_divide", "remainder", "nextafter"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_the_bits_do_not_depend_on_the_number_of_lanes(name: str, dtype: str) -> None:
    count = 1 if name in TRUE else 2
    x, y = (part[:: 101 if dtype == "float32" else 1009] for part in pairs(dtype, 10))
    special = np.meshgrid(SPECIAL, SPECIAL)
    x, y = np.concatenate([x, special[0].ravel()]), np.concatenate([y, special[1].ravel()])
    operands = [x, y][:count]
    one = Loop(name, [dtype] * count, lanes=1)(*operands)
    for lanes in (2, 4, 8, 16):
        assert_same_bits(Loop(name, [dtype] * count, lanes=lanes)(*operands), one)


KINDS = [
    (name, dtype)
    for name, primitive in PRIMITIVES.items()
    if isinstance(primitive, Elementwise)
    for dtype in [*FLOATS, *INTEGERS, "bool"]
    if np.dtype(dtype).kind in primitive.accepts and (name, np.dtype(dtype).kind) != ("power", "i")
]
ATTRIBUTES: dict[str, dict[str, Any]] = {
    "cast": {"dtype": np.dtype(np.int16)},
    "clip": {"low": 1, "high": 2},
    "finite": {"what": "x", "hint": "numbers"},
}


@pytest.mark.parametrize(("name", "dtype"), KINDS)
def test_nothing_elementwise_is_left_to_numpy(name: str, dtype: str) -> None:
    primitive = PRIMITIVES[name]
    operands = [np.ones((3, 7), dtype) for _ in primitive.inputs]
    if name == "where":
        operands[0] = operands[0].astype(bool)
    compiled = native(lambda *xs: primitive(*xs, **ATTRIBUTES.get(name, {})), *operands)
    assert compiled.by_numpy() == []
    np.testing.assert_allclose(compiled(operands)[0], primitive.compute(*operands, **ATTRIBUTES.get(name, {})))


def test_one_number_is_computed_by_one_function() -> None:
    """However often a module takes a logarithm, the code for what remains after whole vectors is there once."""
    twice = native(lambda x: [PRIMITIVES["log"](x), PRIMITIVES["log"](PRIMITIVES["exp"](x))], np.ones((5, 11)))
    assert twice.text().count('define internal double @"log.float64"') == 1
