"""One element of an elementwise primitive as native code, for one number or a whole vector of them.

Each function takes an `Element`, which knows the operands and their dtypes, and returns the value. What is not in the
table is computed by NumPy. The results are those of the primitives' `compute`, NaN and infinities included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir

from clearprop.compiler.native import exact, functions, hyperbolic, trigonometry
from clearprop.compiler.native.code import Code, Value, constant, has_type, value_type
from clearprop.compiler.native.numbers import Function, Number, called
from clearprop.graph import Node

DType = np.dtype[Any]


@dataclass
class Element:
    """The application of a primitive to one element.

    Attributes:
        operands: values, one for each input.
        dtypes: theirs.
        dtype: of the output.
        lanes: how many elements at once.
    """

    code: Code
    operands: Sequence[Value]
    dtypes: Sequence[DType]
    dtype: DType
    lanes: int
    attributes: dict[str, Any]

    def constant(self, value: Any, dtype: DType | None = None) -> ir.Constant:
        """A number of the operands' dtype."""
        return constant(self.dtypes[0] if dtype is None else dtype, value, self.lanes)

    @property
    def is_float(self) -> bool:
        """Whether the operands are floating-point numbers."""
        return self.dtypes[0].kind == "f"

    @property
    def is_signed(self) -> bool:
        """Whether the operands are integers with a sign."""
        return self.dtypes[0].kind == "i"

    def compare(self, how: str, x: Value, y: Value) -> Value:
        """A comparison, false where there is a NaN; "!=" is true there."""
        b = self.code.builder
        if self.is_float:
            return b.fcmp_unordered(how, x, y) if how == "!=" else b.fcmp_ordered(how, x, y)
        return b.icmp_signed(how, x, y) if self.is_signed else b.icmp_unsigned(how, x, y)

    def is_nan(self, x: Value) -> Value:
        """Whether x is no number."""
        return self.code.builder.fcmp_unordered("uno", x, x)


Emit = Callable[[Element], Value]


def _arithmetic(of_floats: str, of_integers: str) -> Emit:
    def emit(e: Element) -> Value:
        return getattr(e.code.builder, of_floats if e.is_float else of_integers)(*e.operands)

    return emit


def _divide(e: Element) -> Value:
    return e.code.builder.fdiv(*e.operands)


def _negative(e: Element) -> Value:
    return e.code.builder.fneg(e.operands[0]) if e.is_float else e.code.builder.neg(e.operands[0])


def _absolute(e: Element) -> Value:
    (x,) = e.operands
    if e.is_float:
        return e.code.intrinsic("fabs", x)
    if not e.is_signed:
        return x
    b = e.code.builder
    return b.select(e.compare("<", x, e.constant(0)), b.neg(x), x)


def _sign(e: Element) -> Value:
    """1, -1 or 0; NaN for NaN."""
    (x,), b = e.operands, e.code.builder
    zero = e.constant(0)
    other = b.select(e.is_nan(x), x, zero) if e.is_float else zero
    if e.is_float or e.is_signed:
        other = b.select(e.compare("<", x, zero), e.constant(-1), other)
    return b.select(e.compare(">", x, zero), e.constant(1), other)


def _extreme(how: str) -> Emit:
    def emit(e: Element) -> Value:
        return extreme(e, how, *e.operands)

    return emit


def extreme(e: Element, how: str, x: Value, y: Value) -> Value:
    """The larger (">") or smaller ("<") of two numbers; NaN if one of them is."""
    b = e.code.builder
    chosen = b.select(e.compare(how, x, y), x, y)  # y if either is NaN
    return b.select(e.is_nan(x), x, chosen) if e.is_float else chosen


def _clip(e: Element) -> Value:
    value = e.operands[0]
    for name, how in (("low", ">"), ("high", "<")):
        if e.attributes[name] is not None:
            value = extreme(e, how, value, e.constant(e.attributes[name]))
    return value


def _relu(e: Element) -> Value:
    (x,), zero = e.operands, e.constant(0)
    if not e.is_float and not e.is_signed:
        return x
    return e.code.builder.select(e.compare(">", zero, x), zero, x)  # NaN is not below 0 and stays


def _where(e: Element) -> Value:
    return e.code.builder.select(*e.operands)


def _comparison(how: str) -> Emit:
    def emit(e: Element) -> Value:
        return e.compare(how, *e.operands)

    return emit


def _logical_not(e: Element) -> Value:
    return e.code.builder.not_(e.operands[0])


def _logical(name: str) -> Emit:
    def emit(e: Element) -> Value:
        return getattr(e.code.builder, name)(*e.operands)

    return emit


def _isnan(e: Element) -> Value:
    return e.is_nan(e.operands[0]) if e.is_float else e.constant(False, np.dtype(np.bool_))


def _isinf(e: Element) -> Value:
    if not e.is_float:
        return e.constant(False, np.dtype(np.bool_))
    return e.compare("==", _absolute(e), e.constant(np.inf))


def _isfinite(e: Element) -> Value:
    if not e.is_float:
        return e.constant(True, np.dtype(np.bool_))
    return e.compare("<", _absolute(e), e.constant(np.inf))


def _rounding(intrinsic: str) -> Emit:
    def emit(e: Element) -> Value:
        return e.code.intrinsic(intrinsic, e.operands[0]) if e.is_float else e.operands[0]

    return emit


def _sqrt(e: Element) -> Value:
    return e.code.intrinsic("sqrt", e.operands[0])


def _same(e: Element) -> Value:
    return e.operands[0]


def _cast(e: Element) -> Value:
    (x,), b = e.operands, e.code.builder
    have, want = e.dtypes[0], e.dtype
    kind = value_type(want, e.lanes)
    if have == want:
        return x
    if want.kind == "b":
        return e.compare("!=", x, e.constant(0))
    if have.kind == "f" and want.kind == "f":
        return b.fpext(x, kind) if want.itemsize > have.itemsize else b.fptrunc(x, kind)
    if want.kind == "f":
        return b.sitofp(x, kind) if have.kind == "i" else b.uitofp(x, kind)
    if have.kind == "f":
        return exact.to_integer(Number(e.code, x, have, e.lanes), want).value
    if have.kind == "b" or have.itemsize < want.itemsize:
        return b.sext(x, kind) if have.kind == "i" else b.zext(x, kind)
    return b.trunc(x, kind) if have.itemsize > want.itemsize else x


def _function(function: Function) -> Emit:
    def emit(e: Element) -> Value:
        operands = [Number(e.code, value, kind, e.lanes) for value, kind in zip(e.operands, e.dtypes, strict=True)]
        return called(function, e.dtype, *operands).value

    return emit


def _power(e: Element) -> Value:
    return _function(functions.power if e.is_float else exact.integer_power)(e)


_FUNCTIONS: dict[str, Function] = {
    "exp": functions.exp,
    "expm1": functions.expm1,
    "log": functions.log,
    "log1p": functions.log1p,
    "log2": functions.log2,
    "log10": functions.log10,
    "logaddexp": functions.logaddexp,
    "sigmoid": functions.sigmoid,
    "tanh": hyperbolic.tanh,
    "sinh": hyperbolic.sinh,
    "cosh": hyperbolic.cosh,
    "asinh": hyperbolic.asinh,
    "acosh": hyperbolic.acosh,
    "atanh": hyperbolic.atanh,
    "erf": functions.erf,
    "hypot": functions.hypot,
    "sin": trigonometry.sin,
    "cos": trigonometry.cos,
    "tan": trigonometry.tan,
    "asin": trigonometry.asin,
    "acos": trigonometry.acos,
    "atan": trigonometry.atan,
    "atan2": trigonometry.atan2,
    "floor_divide": exact.floor_divide,
    "remainder": exact.remainder,
    "bitwise_left_shift": exact.left_shift,
    "bitwise_right_shift": exact.right_shift,
    "signbit": exact.signbit,
    "nextafter": exact.nextafter,
}

ELEMENTS: dict[str, Emit] = {
    "add": _arithmetic("fadd", "add"),
    "subtract": _arithmetic("fsub", "sub"),
    "multiply": _arithmetic("fmul", "mul"),
    "divide": _divide,
    "negative": _negative,
    "abs": _absolute,
    "sign": _sign,
    "maximum": _extreme(">"),
    "minimum": _extreme("<"),
    "clip": _clip,
    "relu": _relu,
    "where": _where,
    "equal": _comparison("=="),
    "not_equal": _comparison("!="),
    "less": _comparison("<"),
    "less_equal": _comparison("<="),
    "greater": _comparison(">"),
    "greater_equal": _comparison(">="),
    "logical_and": _logical("and_"),
    "logical_or": _logical("or_"),
    "logical_xor": _logical("xor"),
    "logical_not": _logical_not,
    "bitwise_and": _logical("and_"),
    "bitwise_or": _logical("or_"),
    "bitwise_xor": _logical("xor"),
    "bitwise_invert": _logical_not,
    "isnan": _isnan,
    "isinf": _isinf,
    "isfinite": _isfinite,
    "floor": _rounding("floor"),
    "ceil": _rounding("ceil"),
    "trunc": _rounding("trunc"),
    "round": _rounding("roundeven"),
    "sqrt": _sqrt,
    "identity": _same,
    "stop_gradient": _same,
    "cast": _cast,
    "power": _power,
    **{name: _function(function) for name, function in _FUNCTIONS.items()},
}
"""By the name of the primitive."""


def computed(code: Code, nodes: Iterable[Node], values: dict[Node, Value], lanes: int) -> None:
    """Add the values of these nodes, one after the other."""
    for node in nodes:
        parents = [parent for parent in node.parents if parent is not None]
        operands, dtypes = [values[parent] for parent in parents], [parent.dtype for parent in parents]
        values[node] = ELEMENTS[node.name](Element(code, operands, dtypes, node.dtype, lanes, node.attributes))


def structure(nodes: Iterable[Node], numbers: Mapping[Node, int]) -> tuple[Any, ...]:
    """What code for these nodes depends on: equal where they compute the same. They and their parents are numbered."""
    return tuple(
        (
            node.name,
            tuple(numbers[parent] for parent in node.parents if parent is not None),
            node.dtype,
            tuple((name, str(value)) for name, value in node.attributes.items()),
        )
        for node in nodes
    )


def is_costly(node: Node) -> bool:
    """Whether a node takes dozens of operations for each element."""
    return node.name in _FUNCTIONS or node.name == "power"


def is_native(node: Node) -> bool:
    """Whether this application of an elementwise primitive can be native code."""
    if node.primitive is None or node.primitive.name not in ELEMENTS:
        return False
    if node.primitive.name == "power" and node.dtype.kind == "i":
        return False  # a negative exponent is an error
    return has_type(node.dtype) and all(map(has_type, [one.dtype for one in node.parents if one is not None]))
