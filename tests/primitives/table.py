"""One declaration for every primitive: how to call it, what it must give, what it keeps, takes and costs.

`test_rows` runs the same tests over all of them. A primitive without a declaration fails `test_registry`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import numpy as np

from clearprop.errors import ClearpropError, DTypeError, RangeError, ShapeError

Array = Any
Random = np.random.Generator
Sample = Callable[[Random], Sequence[Array]]

SHAPES: tuple[tuple[int, ...], ...] = ((), (3,), (2, 3), (2, 0))
"""Every elementwise primitive is tested on these: without axes, a vector, a matrix, and empty."""


@dataclass(frozen=True)
class Case:
    """One way to call a primitive."""

    label: str
    sample: Sample
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Wrong:
    """Inputs that do not fit, as (shape, dtype), and the error that must say so."""

    error: type[ClearpropError]
    inputs: tuple[tuple[tuple[int, ...], str], ...]
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Declaration:
    """What must be true of a primitive.

    Attributes:
        reference: the value of one call, written with NumPy or math: ``reference(*inputs, **attributes)``.
        keeps: for each input that has a gradient, what a node keeps if a gradient flows to it alone.
        flops: floating-point operations from the shapes of output and inputs.
        takes: kinds of dtypes that it accepts, as NumPy's letters.
    """

    name: str
    cases: tuple[Case, ...]
    reference: Callable[..., Array]
    keeps: dict[str, tuple[str, ...]]
    flops: Callable[..., int]
    takes: str = "biuf"
    wrong: tuple[Wrong, ...] = ()
    batches: bool = True

    @property
    def differentiable(self) -> bool:
        return bool(self.keeps)


TABLE: dict[str, Declaration] = {}


def declare(name: str, cases: Sequence[Case], reference: Callable[..., Array], **facts: Any) -> None:
    """Enter a declaration; ``keeps`` is written as "x: y z; y: x"."""
    keeps = facts.pop("keeps", "")
    facts["keeps"] = {
        entry.split(":")[0].strip(): tuple(entry.split(":")[1].split()) for entry in keeps.split(";") if entry.strip()
    }
    facts.setdefault("flops", moves_only)
    TABLE[name] = Declaration(name, tuple(cases), reference, **facts)


# Costs ----------------------------------------------------------------------------------------------------------------


def moves_only(output: Array, *inputs: Array) -> int:
    return 0


def per_output(count: int) -> Callable[..., int]:
    return lambda output, *inputs: count * output.size


def per_input(count: int) -> Callable[..., int]:
    return lambda output, *inputs: count * inputs[0].size


# Samples --------------------------------------------------------------------------------------------------------------


def numbers(low: float, high: float) -> Callable[[Random, tuple[int, ...]], Array]:
    return lambda random, shape: np.asarray(random.uniform(low, high, shape))


def booleans(random: Random, shape: tuple[int, ...]) -> Array:
    return np.asarray(random.integers(0, 2, shape) == 1)


def away_from_integers(random: Random, shape: tuple[int, ...]) -> Array:
    """Between -3 and 3, at least 0.1 away from where floor, round and their kind jump."""
    whole = random.integers(-3, 3, shape)
    return np.asarray(whole + random.uniform(0.1, 0.4, shape) + 0.5 * random.integers(0, 2, shape))


def elementwise_cases(*draws: Callable[[Random, tuple[int, ...]], Array], **attributes: Any) -> list[Case]:
    def case(shape: tuple[int, ...]) -> Case:
        return Case(str(list(shape)), lambda random: [draw(random, shape) for draw in draws], attributes)

    return [case(shape) for shape in SHAPES]


def one(label: str, of_shape: tuple[int, ...], /, **attributes: Any) -> Case:
    """A case of one input of that shape."""
    return Case(label, lambda random: [np.asarray(random.uniform(-2.0, 2.0, of_shape))], attributes)


def f64(*shape: int) -> tuple[tuple[int, ...], str]:
    return shape, "float64"


def f32(*shape: int) -> tuple[tuple[int, ...], str]:
    return shape, "float32"


def i64(*shape: int) -> tuple[tuple[int, ...], str]:
    return shape, "int64"


def b(*shape: int) -> tuple[tuple[int, ...], str]:
    return shape, "bool"


# Element by element ---------------------------------------------------------------------------------------------------


def each(function: Callable[..., Any], dtype: Any = np.float64) -> Callable[..., Array]:
    """A function of Python numbers, applied to every element."""
    return lambda *arrays, **attributes: np.vectorize(function, otypes=[dtype])(*arrays, **attributes)


UNEQUAL = (
    Wrong(ShapeError, (f64(2, 3), f64(3, 2))),
    Wrong(ShapeError, (f64(3), f64())),
    Wrong(DTypeError, (f64(2), f32(2))),
)

ANY, POSITIVE, UNIT = numbers(-2.0, 2.0), numbers(0.2, 3.0), numbers(-0.9, 0.9)


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

step("sign", lambda x: math.copysign(1.0, x))
step("floor", math.floor)
step("ceil", math.ceil)
step("trunc", math.trunc)
step("round", round)
step("floor_divide", lambda x, y: x // y, draws=(ANY, numbers(2.5, 3.0)))

declare(
    "stop_gradient", elementwise_cases(ANY), lambda x: x,
)  # fmt: skip

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


# Shapes and places ----------------------------------------------------------------------------------------------------

declare(
    "reshape",
    [
        one("flatten", (2, 3), shape=(6,)),
        one("unflatten", (6,), shape=(3, 1, 2)),
        one("from 0-d", (), shape=(1, 1)),
        one("to 0-d", (1,), shape=()),
        one("empty", (0, 3), shape=(2, 0)),
    ],
    lambda x, shape: np.array(list(x.flat)).reshape(shape),
    keeps="x:",
    wrong=(Wrong(ShapeError, (f64(2, 3),), {"shape": (5,)}), Wrong(ShapeError, (f64(),), {"shape": (0,)})),
)

declare(
    "permute",
    [
        one("matrix", (2, 3), axes=(1, 0)),
        one("three axes", (2, 3, 4), axes=(1, 2, 0)),
        one("0-d", (), axes=()),
        one("empty", (2, 0, 3), axes=(2, 0, 1)),
    ],
    np.transpose,
    keeps="x:",
    wrong=(
        Wrong(ShapeError, (f64(2, 3),), {"axes": (0, 0)}),
        Wrong(ShapeError, (f64(2, 3),), {"axes": (0,)}),
        Wrong(ShapeError, (f64(2),), {"axes": (1,)}),
    ),
)

declare(
    "broadcast",
    [
        one("rows", (3,), shape=(2, 3), axes=(0,)),
        one("columns", (2,), shape=(2, 3), axes=(1,)),
        one("both sides", (2,), shape=(3, 2, 4), axes=(0, 2)),
        one("0-d", (), shape=(2, 3), axes=(0, 1)),
        one("to nothing", (3,), shape=(0, 3), axes=(0,)),
        one("of nothing", (0,), shape=(2, 0), axes=(0,)),
    ],
    lambda x, shape, axes: np.broadcast_to(np.expand_dims(x, axes), shape),
    keeps="x:",
    wrong=(Wrong(ShapeError, (f64(3),), {"shape": (2, 4), "axes": (0,)}),),
)

declare(
    "slice",
    [
        one("part", (5,), start=(1,), stop=(4,), step=(1,)),
        one("every second", (6,), start=(1,), stop=(6,), step=(2,)),
        one("every third, not to the end", (9,), start=(0,), stop=(8,), step=(3,)),
        one("matrix", (4, 5), start=(1, 0), stop=(3, 5), step=(1, 2)),
        one("nothing", (4,), start=(0,), stop=(0,), step=(2,)),
        one("0-d", (), start=(), stop=(), step=()),
    ],
    lambda x, start, stop, step: x[tuple(slice(*ends) for ends in zip(start, stop, step, strict=True))],
    keeps="x:",
    wrong=(
        Wrong(RangeError, (f64(2, 3),), {"start": (0,), "stop": (1,), "step": (1,)}),
        Wrong(RangeError, (f64(2),), {"start": (0,), "stop": (3,), "step": (1,)}),
    ),
)


def padded(x: Array, before: Any, after: Any, between: Any) -> Array:
    """x among zeros, one element after the other."""
    lengths = [
        low + (n + (n - 1) * gap if n else 0) + high
        for n, low, high, gap in zip(x.shape, before, after, between, strict=True)
    ]
    result = np.zeros(lengths)
    for index in np.ndindex(*x.shape):
        result[tuple(low + i * (gap + 1) for i, low, gap in zip(index, before, between, strict=True))] = x[index]
    return result


declare(
    "pad",
    [
        one("vector", (3,), before=(1,), after=(2,), between=(0,)),
        one("with gaps", (3,), before=(0,), after=(1,), between=(2,)),
        one("matrix", (2, 3), before=(1, 0), after=(0, 2), between=(0, 1)),
        one("nothing", (0,), before=(2,), after=(1,), between=(3,)),
        one("0-d", (), before=(), after=(), between=()),
    ],
    padded,
    keeps="x:",
    wrong=(
        Wrong(ShapeError, (f64(3),), {"before": (-1,), "after": (0,), "between": (0,)}),
        Wrong(ShapeError, (f64(3),), {"before": (1, 1), "after": (0, 0), "between": (0, 0)}),
        Wrong(ShapeError, (f64(3),), {"before": (0,), "after": (0,), "between": (-1,)}),
    ),
)

declare(
    "flip",
    [
        one("vector", (3,), axes=(0,)),
        one("one of two", (2, 3), axes=(1,)),
        one("all", (2, 3), axes=(0, 1)),
        one("none", (2, 3), axes=()),
        one("0-d", (), axes=()),
        one("empty", (0, 2), axes=(0,)),
    ],
    lambda x, axes: x[tuple(slice(None, None, -1 if i in axes else 1) for i in range(x.ndim))],
    keeps="x:",
    wrong=(Wrong(ShapeError, (f64(3),), {"axes": (1,)}),),
)


def several(label: str, shapes: Sequence[tuple[int, ...]], axis: int) -> Case:
    return Case(
        label,
        lambda random: [random.uniform(-2.0, 2.0, shape) for shape in shapes],
        {"axis": axis, "lengths": tuple(shape[axis] for shape in shapes)},
    )


declare(
    "concat",
    [
        several("vectors", [(2,), (3,)], 0),
        several("columns", [(2, 1), (2, 3), (2, 2)], 1),
        several("one alone", [(2, 2)], 0),
        several("one empty", [(0, 2), (3, 2)], 0),
    ],
    lambda *xs, axis, lengths: np.concatenate(xs, axis),
    keeps="xs:",
    wrong=(
        Wrong(ShapeError, (f64(2, 3), f64(2, 4)), {"axis": 0, "lengths": (2, 2)}),
        Wrong(ShapeError, (f64(2, 3), f64(2)), {"axis": 0, "lengths": (2, 2)}),
        Wrong(DTypeError, (f64(2), f32(2)), {"axis": 0, "lengths": (2, 2)}),
    ),
)


# Reductions -----------------------------------------------------------------------------------------------------------


def along(function: Callable[[Sequence[Any]], Any], dtype: Any = np.float64) -> Callable[..., Array]:
    """A function of a list of numbers, applied along axes."""

    def reference(x: Array, axes: tuple[int, ...]) -> Array:
        kept = [i for i in range(x.ndim) if i not in axes]
        shape = [x.shape[i] for i in kept]
        rows = x.transpose(*kept, *axes).reshape(math.prod(shape), math.prod(x.shape[i] for i in axes))
        return np.array([function(row.tolist()) for row in rows], dtype).reshape(shape)

    return reference


def reduction_cases(draw: Callable[..., Array] = ANY, *, of_nothing: bool = False) -> list[Case]:
    def case(label: str, shape: tuple[int, ...], axes: tuple[int, ...]) -> Case:
        return Case(label, lambda random: [draw(random, shape)], {"axes": axes})

    cases = [
        case("all", (2, 3), (0, 1)),
        case("first", (2, 3), (0,)),
        case("last", (2, 3), (1,)),
        case("outer two", (2, 3, 2), (0, 2)),
        case("none", (3,), ()),
        case("0-d", (), ()),
        case("one element", (2, 1), (1,)),
        case("empty beside", (0, 3), (1,)),
    ]
    return [*cases, case("of nothing", (0, 3), (0,))] if of_nothing else cases


NO_SUCH_AXIS = Wrong(ShapeError, (f64(2, 3),), {"axes": (2,)})
NOTHING = Wrong(ShapeError, (f64(0, 3),), {"axes": (0,)})

declare(
    "sum", reduction_cases(of_nothing=True), along(math.fsum),
    keeps="x:", takes="iuf", flops=per_input(1), wrong=(NO_SUCH_AXIS,),
)  # fmt: skip
declare(
    "prod", reduction_cases(of_nothing=True), along(math.prod),
    keeps="x: x", takes="iuf", flops=per_input(1), wrong=(NO_SUCH_AXIS,),
)  # fmt: skip
declare(
    "max", reduction_cases(), along(max), keeps="x: x z", takes="iuf", flops=per_input(1), wrong=(NO_SUCH_AXIS, NOTHING)
)
declare(
    "min", reduction_cases(), along(min), keeps="x: x z", takes="iuf", flops=per_input(1), wrong=(NO_SUCH_AXIS, NOTHING)
)
declare(
    "logsumexp", reduction_cases(), along(lambda row: math.log(math.fsum(map(math.exp, row)))),
    keeps="x: x z", takes="f", flops=per_input(4), wrong=(NO_SUCH_AXIS, NOTHING),
)  # fmt: skip
declare("all", reduction_cases(booleans, of_nothing=True), along(all, np.bool_), takes="b", flops=per_input(1))
declare("any", reduction_cases(booleans, of_nothing=True), along(any, np.bool_), takes="b", flops=per_input(1))

ONE_AXIS = [one("vector", (5,), axes=(0,)), one("first", (3, 2), axes=(0,)), one("empty beside", (0, 3), axes=(1,))]
declare(
    "argmax", ONE_AXIS, along(lambda row: row.index(max(row)), np.int64),
    takes="iuf", flops=per_input(1), wrong=(NO_SUCH_AXIS, NOTHING),
)  # fmt: skip
declare(
    "argmin", ONE_AXIS, along(lambda row: row.index(min(row)), np.int64),
    takes="iuf", flops=per_input(1), wrong=(NO_SUCH_AXIS, NOTHING),
)  # fmt: skip


def running_sums(x: Array, axis: int, reverse: bool) -> Array:
    def of_row(row: Array) -> Array:
        return np.array(list(accumulate(row[::-1] if reverse else row)))[:: -1 if reverse else 1]

    return np.apply_along_axis(of_row, axis, x) if x.size else x


declare(
    "cumulative_sum",
    [
        one("vector", (4,), axis=0, reverse=False),
        one("from the end", (4,), axis=0, reverse=True),
        one("last of two", (2, 3), axis=1, reverse=False),
        one("empty", (2, 0), axis=1, reverse=True),
    ],
    running_sums,
    keeps="x:",
    takes="iuf",
    flops=per_output(1),
    wrong=(Wrong(ShapeError, (f64(2),), {"axis": 1, "reverse": False}),),
)


# Contraction ----------------------------------------------------------------------------------------------------------


def product_case(label: str, x: tuple[int, ...], y: tuple[int, ...]) -> Case:
    return Case(label, lambda random: [random.uniform(-2.0, 2.0, x), random.uniform(-2.0, 2.0, y)])


declare(
    "matmul",
    [
        product_case("(2, 3) @ (3, 4)", (2, 3), (3, 4)),
        product_case("row @ column", (1, 3), (3, 1)),
        product_case("a batch", (2, 2, 3), (2, 3, 1)),
        product_case("inner axis empty", (2, 0), (0, 3)),
        product_case("no rows", (0, 2), (2, 3)),
        product_case("empty batch", (0, 2, 3), (0, 3, 2)),
    ],
    lambda x, y: np.einsum("...mk,...kn->...mn", x, y),
    keeps="x: y; y: x",
    takes="iuf",
    flops=lambda z, x, y: 2 * z.size * x.shape[-1],
    wrong=(
        Wrong(ShapeError, (f64(2, 3), f64(2, 3))),
        Wrong(ShapeError, (f64(3), f64(3, 2))),
        Wrong(ShapeError, (f64(2, 3), f64(3))),
        Wrong(ShapeError, (f64(2, 2, 3), f64(3, 3, 2))),
        Wrong(DTypeError, (f64(2, 2), f32(2, 2))),
    ),
)


# Reading and writing at positions -------------------------------------------------------------------------------------


def positions(random: Random, length: int, shape: tuple[int, ...]) -> Array:
    return np.asarray(random.integers(0, length, shape))


def gather_case(label: str, x: tuple[int, ...], index: tuple[int, ...], count: int = 1) -> Case:
    return Case(
        label,
        lambda random: [random.uniform(-2.0, 2.0, x), *(positions(random, x[i], index) for i in range(count))],
    )


declare(
    "gather",
    [
        gather_case("of a vector", (4,), (6,)),
        gather_case("rows", (4, 3), (2,)),
        gather_case("a table of rows", (4, 3), (2, 2)),
        gather_case("elements", (4, 3), (5,), count=2),
        gather_case("one row", (4, 3), ()),
        gather_case("nothing", (4, 3), (0,)),
    ],
    lambda x, *indices: x[indices],
    keeps="x: indices",
    wrong=(
        Wrong(DTypeError, (f64(4), f64(2))),
        Wrong(ShapeError, (f64(4, 3), i64(2), i64(3))),
        Wrong(RangeError, (f64(4), i64(2), i64(2))),
    ),
)


def scattered(x: Array, *indices: Array, shape: tuple[int, ...]) -> Array:
    """Added one after the other."""
    total = np.zeros(shape)
    for place in np.ndindex(*indices[0].shape):
        total[tuple(int(index[place]) for index in indices)] += x[place]
    return total


def scatter_case(label: str, shape: tuple[int, ...], index: tuple[int, ...], count: int = 1) -> Case:
    return Case(
        label,
        lambda random: [
            random.uniform(-2.0, 2.0, (*index, *shape[count:])),
            *(positions(random, shape[i], index) for i in range(count)),
        ],
        {"shape": shape},
    )


declare(
    "scatter_add",
    [
        scatter_case("into a vector", (3,), (6,)),
        scatter_case("rows", (4, 3), (5,)),
        scatter_case("elements", (4, 3), (2, 2), count=2),
        scatter_case("one row", (4, 3), ()),
        scatter_case("nothing", (4, 3), (0,)),
    ],
    scattered,
    keeps="x: indices",
    flops=per_input(1),
    wrong=(
        Wrong(ShapeError, (f64(2, 3), i64(3)), {"shape": (4, 3)}),
        Wrong(DTypeError, (f64(2), f64(2)), {"shape": (4,)}),
    ),
)


def overwritten(x: Array, y: Array, index: Array) -> Array:
    """Written one after the other."""
    result = x.copy()
    for value, at in zip(y, index, strict=True):
        result[at] = value
    return result


def set_case(label: str, length: int, count: int) -> Case:
    return Case(
        label,
        lambda random: [
            random.uniform(-2.0, 2.0, length), random.uniform(-2.0, 2.0, count), positions(random, max(length, 1),
            (count,))
        ],
    )  # fmt: skip


declare(
    "scatter_set",
    [set_case("some", 5, 3), set_case("some twice", 3, 7), set_case("nothing", 3, 0), set_case("into nothing", 0, 0)],
    overwritten,
    keeps="x: index; y: index",
    wrong=(
        Wrong(ShapeError, (f64(5), f64(3), i64(2))),
        Wrong(ShapeError, (f64(5, 2), f64(2), i64(2))),
        Wrong(DTypeError, (f64(5), f64(2), f64(2))),
        Wrong(DTypeError, (f64(5), f32(2), i64(2))),
    ),
)


def along_case(label: str, x: tuple[int, ...], index: tuple[int, ...], axis: int) -> Case:
    return Case(label, lambda random: [random.uniform(-2.0, 2.0, x), positions(random, x[axis], index)], {"axis": axis})


def taken_along(x: Array, index: Array, axis: int) -> Array:
    result = np.zeros(index.shape)
    for place in np.ndindex(*index.shape):
        result[place] = x[(*place[:axis], int(index[place]), *place[axis + 1 :])]
    return result


declare(
    "take_along_axis",
    [
        along_case("vector", (4,), (6,), 0),
        along_case("rows", (3, 2), (4, 2), 0),
        along_case("columns", (2, 3), (2, 1), 1),
        along_case("nothing", (2, 3), (2, 0), 1),
    ],
    taken_along,
    keeps="x: index",
    wrong=(
        Wrong(ShapeError, (f64(2, 3), i64(3, 1)), {"axis": 1}),
        Wrong(ShapeError, (f64(2, 3), i64(2)), {"axis": 1}),
        Wrong(DTypeError, (f64(2, 3), f64(2, 1)), {"axis": 1}),
        Wrong(ShapeError, (f64(2, 3), i64(2, 3)), {"axis": 2}),
    ),
)


def add_along_case(label: str, shape: tuple[int, ...], axis: int, length: int) -> Case:
    return Case(
        label,
        lambda random: [random.uniform(-2.0, 2.0, shape), positions(random, length, shape)],
        {"axis": axis, "length": length},
    )


def added_along(x: Array, index: Array, axis: int, length: int) -> Array:
    result = np.zeros((*x.shape[:axis], length, *x.shape[axis + 1 :]))
    for place in np.ndindex(*x.shape):
        result[(*place[:axis], int(index[place]), *place[axis + 1 :])] += x[place]
    return result


declare(
    "add_along_axis",
    [
        add_along_case("vector", (6,), 0, 4),
        add_along_case("rows", (4, 2), 0, 3),
        add_along_case("columns", (2, 3), 1, 2),
        add_along_case("nothing", (2, 0), 1, 3),
    ],
    added_along,
    keeps="x: index",
    flops=per_input(1),
    wrong=(
        Wrong(ShapeError, (f64(2, 3), i64(3, 3)), {"axis": 1, "length": 4}),
        Wrong(ShapeError, (f64(2, 3), i64(2, 4)), {"axis": 1, "length": 4}),
        Wrong(DTypeError, (f64(2, 3), f64(2, 3)), {"axis": 1, "length": 4}),
    ),
)


# Random bits ----------------------------------------------------------------------------------------------------------


def philox_words(key: Array, counter: Array, shape: tuple[int, ...]) -> Array:
    """Philox4x32-10 with Python's integers, block by block, as the paper writes it."""
    words: list[int] = []
    block = int(counter)
    while len(words) < math.prod(shape):
        c = [block & 0xFFFFFFFF, block >> 32, 0, 0]
        k = [int(key) & 0xFFFFFFFF, int(key) >> 32]
        for _ in range(10):
            high0, low0 = divmod(0xD2511F53 * c[0], 2**32)
            high1, low1 = divmod(0xCD9E8D57 * c[2], 2**32)
            c = [high1 ^ c[1] ^ k[0], low1, high0 ^ c[3] ^ k[1], low0]
            k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
        words += c
        block += 1
    return np.array(words[: math.prod(shape)], np.uint32).reshape(shape)


def bits_case(label: str, shape: tuple[int, ...]) -> Case:
    return Case(
        label,
        lambda random: [random.integers(0, 2**64, dtype=np.uint64), random.integers(0, 2**40, dtype=np.int64)],
        {"shape": shape},
    )


declare(
    "random_bits",
    [bits_case("0-d", ()), bits_case("part of a block", (3,)), bits_case("blocks", (3, 4)), bits_case("nothing", (0,))],
    philox_words,
    wrong=(Wrong(ShapeError, (((2,), "uint64"), i64()), {"shape": (4,)}),),
    batches=False,
)
