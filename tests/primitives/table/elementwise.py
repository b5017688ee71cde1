"""Primitives that work element by element."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from tests.primitives.table.declaring import (
    ANY,
    POSITIVE,
    UNEQUAL,
    UNIT,
    Case,
    Wrong,
    away_from_integers,
    b,
    booleans,
    declare,
    each,
    elementwise_cases,
    f32,
    f64,
    i64,
    numbers,
    one,
    per_output,
    whole,
)

from clearprop.errors import DTypeError, ShapeError


def unary(name: str, draw: Any, function: Callable[[Any], Any], keeps: str, takes: str = "f", cost: int = 1) -> None:
    declare(
        name, elementwise_cases(draw), each(function), keeps=f"x: {keeps}", takes=takes, flops=per_output(cost)
    )  # fmt: skip


def binary(
    name: str, draws: Any, function: Callable[[Any, Any], Any], keeps: str, takes: str = "iuf", cost: int = 1
) -> None:
    cases = elementwise_cases(*draws)
    declare(name, cases, each(function), keeps=keeps, takes=takes, wrong=UNEQUAL, flops=per_output(cost))


def predicate(name: str, draws: Any, function: Callable[..., Any], takes: str = "biuf") -> None:
    wrong = UNEQUAL if len(draws) == 2 and takes != "b" else ()
    cases = elementwise_cases(*draws)
    declare(name, cases, each(function, np.bool_), takes=takes, wrong=wrong, flops=per_output(1))


def step(name: str, function: Callable[..., Any], draws: Any = (away_from_integers,)) -> None:
    wrong = UNEQUAL if len(draws) == 2 else ()
    declare(name, elementwise_cases(*draws), each(function), takes="iuf", wrong=wrong, flops=per_output(1))


def bitwise(name: str, draws: Any, function: Callable[..., Any]) -> None:
    unequal = (Wrong(ShapeError, (i64(2, 3), i64(3, 2))), Wrong(DTypeError, (i64(2), ((2,), "int32"))))
    wrong = unequal if len(draws) == 2 else ()
    cases = elementwise_cases(*draws)
    declare(name, cases, each(function, np.int64), takes="iu", wrong=wrong, flops=per_output(1))


def neighbours(x: Any, y: Any) -> Any:
    """Of numbers that are not 0: the next one has the next bits, and fewer bits are nearer to 0."""
    bits = x.view({4: np.int32, 8: np.int64}[x.itemsize])
    return np.where(x == y, bits, bits + np.where((y > x) == (x > 0), 1, -1).astype(bits.dtype)).view(x.dtype)


binary("add", (ANY, ANY), lambda x, y: x + y, "x:; y:")
binary("subtract", (ANY, ANY), lambda x, y: x - y, "x:; y:")
binary("multiply", (ANY, ANY), lambda x, y: x * y, "x: y; y: x")
binary("divide", (ANY, POSITIVE), lambda x, y: x / y, "x: y; y: y z", takes="f")
binary("power", (POSITIVE, ANY), lambda x, y: x**y, "x: x y; y: x y z")
binary("maximum", (ANY, ANY), max, "x: x y; y: x y")
binary("minimum", (ANY, ANY), min, "x: x y; y: x y")
binary("remainder", (ANY, numbers(2.5, 3.0)), lambda x, y: x % y, "x:; y: x y", cost=3)
binary("logaddexp", (ANY, ANY), lambda x, y: math.log(math.exp(x) + math.exp(y)), "x: x y; y: x y", "f", cost=4)
binary("atan2", (ANY, POSITIVE), math.atan2, "y: y x; x: y x", takes="f")
binary("hypot", (ANY, POSITIVE), math.hypot, "x: x z; y: y z", takes="f", cost=4)

unary("negative", ANY, lambda x: -x, "", takes="iuf")
unary("abs", POSITIVE, abs, "x", takes="iuf")
unary("relu", POSITIVE, lambda x: max(x, 0.0), "z", takes="iuf")
unary("exp", ANY, math.exp, "z")
unary("expm1", ANY, math.expm1, "z")
unary("log", POSITIVE, math.log, "x")
unary("log1p", UNIT, math.log1p, "x")
unary("log2", POSITIVE, math.log2, "x")
unary("log10", POSITIVE, math.log10, "x")
unary("sqrt", POSITIVE, math.sqrt, "z")
unary("sigmoid", ANY, lambda x: 1.0 / (1.0 + math.exp(-x)), "z", cost=4)
unary("erf", ANY, math.erf, "x", cost=20)
unary("sin", ANY, math.sin, "x")
unary("cos", ANY, math.cos, "x")
unary("tan", UNIT, math.tan, "z")
unary("asin", UNIT, math.asin, "x")
unary("acos", UNIT, math.acos, "x")
unary("atan", ANY, math.atan, "x")
unary("sinh", ANY, math.sinh, "x")
unary("cosh", ANY, math.cosh, "x")
unary("tanh", ANY, math.tanh, "z")
unary("asinh", ANY, math.asinh, "x")
unary("acosh", numbers(1.2, 3.0), math.acosh, "x")
unary("atanh", UNIT, math.atanh, "x")
unary("identity", ANY, lambda x: x, "", takes="biuf", cost=0)

predicate("equal", (ANY, ANY), lambda x, y: x == y)
predicate("not_equal", (ANY, ANY), lambda x, y: x != y)
predicate("less", (ANY, ANY), lambda x, y: x < y)
predicate("less_equal", (ANY, ANY), lambda x, y: x <= y)
predicate("greater", (ANY, ANY), lambda x, y: x > y)
predicate("greater_equal", (ANY, ANY), lambda x, y: x >= y)
predicate("logical_and", (booleans, booleans), lambda x, y: x and y, takes="b")
predicate("logical_or", (booleans, booleans), lambda x, y: x or y, takes="b")
predicate("logical_xor", (booleans, booleans), lambda x, y: x != y, takes="b")
predicate("logical_not", (booleans,), lambda x: not x, takes="b")
predicate("isnan", (ANY,), math.isnan)
predicate("isinf", (ANY,), math.isinf)
predicate("isfinite", (ANY,), math.isfinite)
predicate("signbit", (ANY,), lambda x: math.copysign(1.0, x) < 0.0, takes="f")

step("sign", lambda x: math.copysign(1.0, x))
step("floor", math.floor)
step("ceil", math.ceil)
step("trunc", math.trunc)
step("round", round)
step("floor_divide", lambda x, y: x // y, draws=(ANY, numbers(2.5, 3.0)))

bitwise("bitwise_and", (whole(-9, 9), whole(-9, 9)), lambda x, y: x & y)
bitwise("bitwise_or", (whole(-9, 9), whole(-9, 9)), lambda x, y: x | y)
bitwise("bitwise_xor", (whole(-9, 9), whole(-9, 9)), lambda x, y: x ^ y)
bitwise("bitwise_invert", (whole(-9, 9),), lambda x: ~x)
bitwise("bitwise_left_shift", (whole(-9, 9), whole(0, 5)), lambda x, y: x << y)
bitwise("bitwise_right_shift", (whole(-9, 9), whole(0, 5)), lambda x, y: x >> y)

declare(
    "nextafter",
    elementwise_cases(ANY, ANY),
    neighbours,
    takes="f",
    wrong=UNEQUAL,
    flops=per_output(1),
)

declare(
    "stop_gradient", elementwise_cases(ANY), lambda x: x,
)  # fmt: skip

declare(
    "finite",
    [replace(case, attributes={"what": "x", "hint": ""}) for case in elementwise_cases(ANY)],
    lambda x, **_: x,
    keeps="x: ",
    takes="f",
)

declare(
    "where",
    elementwise_cases(booleans, ANY, ANY),
    each(lambda c, x, y: x if c else y),
    keeps="x: c; y: c",
    flops=per_output(1),
    wrong=(
        Wrong(DTypeError, (f64(2), f64(2), f64(2))),
        Wrong(ShapeError, (b(2), f64(3), f64(3))),
        Wrong(ShapeError, (b(2), f64(2), f64(3))),
        Wrong(DTypeError, (b(2), f64(2), f32(2))),
    ),
)

declare(
    "clip",
    [
        *elementwise_cases(ANY, low=-1.0, high=1.0),
        one("below only", (4,), low=-0.5, high=None),
        one("above only", (4,), low=None, high=0.5),
    ],
    each(lambda x, low, high: min(max(x, -math.inf if low is None else low), math.inf if high is None else high)),
    keeps="x: x z",
    takes="iuf",
    flops=per_output(2),
)

declare(
    "cast",
    [
        *elementwise_cases(ANY, dtype=np.dtype(np.float64)),
        Case("bool to float", lambda random: [booleans(random, (3,))], {"dtype": np.dtype(np.float64)}),
        Case("float to int", lambda random: [ANY(random, (3,))], {"dtype": np.dtype(np.int64)}),
    ],
    lambda x, dtype: np.asarray(x).astype(dtype),
    keeps="x:",
)
