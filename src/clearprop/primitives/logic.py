"""Comparisons, logic, rounding and casts: element by element, and, but for the cast, without gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from clearprop.graph import Node
from clearprop.primitive import Formula, Spec, Value, register
from clearprop.primitives.families import ANYTHING, BOOLEANS, FLOATS, Binary, Elementwise, Predicate, Unary
from clearprop.tensor import Tensor


class Equal(Predicate):
    """z = whether x and y are equal; NaN equals nothing."""

    formula = Formula(r"z = [x = y]")

    def compute(self, x: Value, y: Value) -> Value:
        return np.equal(x, y)


class NotEqual(Predicate):
    """z = whether x and y differ."""

    formula = Formula(r"z = [x \ne y]")

    def compute(self, x: Value, y: Value) -> Value:
        return np.not_equal(x, y)


class Less(Predicate):
    """z = whether x is smaller than y."""

    formula = Formula(r"z = [x < y]")

    def compute(self, x: Value, y: Value) -> Value:
        return np.less(x, y)


class LessEqual(Predicate):
    """z = whether x is at most y."""

    formula = Formula(r"z = [x \le y]")

    def compute(self, x: Value, y: Value) -> Value:
        return np.less_equal(x, y)


class Greater(Predicate):
    """z = whether x is larger than y."""

    formula = Formula(r"z = [x > y]")

    def compute(self, x: Value, y: Value) -> Value:
        return np.greater(x, y)


class GreaterEqual(Predicate):
    """z = whether x is at least y."""

    formula = Formula(r"z = [x \ge y]")

    def compute(self, x: Value, y: Value) -> Value:
        return np.greater_equal(x, y)


class LogicalAnd(Predicate):
    """z = x and y, of booleans."""

    formula = Formula(r"z = x \wedge y")
    accepts = BOOLEANS

    def compute(self, x: Value, y: Value) -> Value:
        return np.logical_and(x, y)


class LogicalOr(Predicate):
    """z = x or y, of booleans."""

    formula = Formula(r"z = x \vee y")
    accepts = BOOLEANS

    def compute(self, x: Value, y: Value) -> Value:
        return np.logical_or(x, y)


class LogicalXor(Predicate):
    """z = either x or y, of booleans."""

    formula = Formula(r"z = x \oplus y")
    accepts = BOOLEANS

    def compute(self, x: Value, y: Value) -> Value:
        return np.logical_xor(x, y)


class LogicalNot(Predicate):
    """z = not x, of booleans."""

    formula = Formula(r"z = \neg x")
    accepts = BOOLEANS

    def compute(self, x: Value) -> Value:
        return np.logical_not(x)


class Isnan(Predicate):
    """z = whether x is not a number."""

    formula = Formula(r"z = [x \text{ is NaN}]")

    def compute(self, x: Value) -> Value:
        return np.isnan(x)


class Isinf(Predicate):
    """z = whether x is infinite."""

    formula = Formula(r"z = [|x| = \infty]")

    def compute(self, x: Value) -> Value:
        return np.isinf(x)


class Isfinite(Predicate):
    """z = whether x is neither infinite nor NaN."""

    formula = Formula(r"z = [|x| < \infty]")

    def compute(self, x: Value) -> Value:
        return np.isfinite(x)


class Signbit(Predicate):
    """z = whether the sign of x is negative: of -0 and of a NaN with that bit set too, where x < 0 says no."""

    formula = Formula(r"z = [\operatorname{sign} x = -]")
    accepts = FLOATS

    def compute(self, x: Value) -> Value:
        return np.signbit(x)


class Floor(Unary):
    """z = the largest integer that is at most x."""

    formula = Formula(r"z = \lfloor x \rfloor")
    differentiable = False

    def compute(self, x: Value) -> Value:
        return np.floor(x)


class Ceil(Unary):
    """z = the smallest integer that is at least x."""

    formula = Formula(r"z = \lceil x \rceil")
    differentiable = False

    def compute(self, x: Value) -> Value:
        return np.ceil(x)


class Trunc(Unary):
    """z = x without its fraction."""

    formula = Formula(r"z = \operatorname{trunc} x")
    differentiable = False

    def compute(self, x: Value) -> Value:
        return np.trunc(x)


class Round(Unary):
    """z = the nearest integer, halves to the even one."""

    formula = Formula(r"z = \operatorname{round} x")
    differentiable = False

    def compute(self, x: Value) -> Value:
        return np.round(x)


class Nextafter(Binary):
    """z = the neighbour of x among the numbers of its type, in the direction of y; x itself if they are equal."""

    formula = Formula(r"z = \operatorname{nextafter}(x, y)")
    differentiable = False
    accepts = FLOATS

    def compute(self, x: Value, y: Value) -> Value:
        return np.nextafter(x, y)


class Cast(Elementwise):
    """z = x as another dtype. Between floating-point types the gradient is cast back; others have none."""

    formula = Formula(r"z = \operatorname{cast} x", (r"\bar x = \operatorname{cast} \bar z",))
    accepts = ANYTHING
    flops_per_element = 0

    def shape(self, *inputs: Spec, **attributes: Any) -> Spec:
        return Spec(inputs[0].shape, attributes["dtype"])

    def compute(self, x: Value, *, dtype: np.dtype[Any]) -> Value:
        return x.astype(dtype)

    def record(self, arrays: list[Any], parents: list[Node | None], attributes: dict[str, Any], tracked: int) -> Tensor:
        if attributes["dtype"].kind != "f":
            return Tensor(self.compute(*arrays, **attributes))
        return super().record(arrays, parents, attributes, tracked)

    def vjp_x(self, g: Value, x_dtype: np.dtype[Any]) -> Value:
        return cast(g, dtype=x_dtype)

    def jvp_x(self, dx: Value, dtype: np.dtype[Any]) -> Value:
        return cast(dx, dtype=dtype)


equal = register(Equal())
not_equal = register(NotEqual())
less = register(Less())
less_equal = register(LessEqual())
greater = register(Greater())
greater_equal = register(GreaterEqual())
logical_and = register(LogicalAnd())
logical_or = register(LogicalOr())
logical_xor = register(LogicalXor())
logical_not = register(LogicalNot())
isnan = register(Isnan())
isinf = register(Isinf())
isfinite = register(Isfinite())
signbit = register(Signbit())
floor = register(Floor())
ceil = register(Ceil())
trunc = register(Trunc())
round_half_even = register(Round())
nextafter = register(Nextafter())
cast = register(Cast())
