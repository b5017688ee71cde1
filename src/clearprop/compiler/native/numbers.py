"""Values with operators, so that numerical code reads like its formula: ``x.fma(y, z) + 1.0``.

A `Number` is a value of LLVM together with the builder that it comes from and its dtype; an operator writes an
instruction. Like the kernels, it knows no difference between one number and a vector of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache, wraps
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir

from clearprop.compiler.native.code import Code, Value, constant, index, value_type

DType = np.dtype[Any]
BOOL = np.dtype(np.bool_)


class Format(NamedTuple):
    """How a floating-point type keeps its numbers.

    Attributes:
        unsigned: the integers of the same size.
        digits: bits of the significand that are stored.
        bias: what is added to the exponent.
    """

    dtype: DType
    unsigned: DType
    digits: int
    bias: int

    @property
    def shifter(self) -> float:
        """1.5 * 2 ** digits: what is added to it is rounded to an integer, which stands in the lowest bits."""
        return 1.5 * 2.0**self.digits

    @property
    def epsilon(self) -> float:
        """From 1 to the next number."""
        return 2.0**-self.digits

    @property
    def signed(self) -> DType:
        """The integers of the same size, with a sign."""
        return np.dtype(f"i{self.dtype.itemsize}")

    def bits_of(self, value: float) -> int:
        """A number as an integer."""
        return int(np.asarray(value, self.dtype).view(self.unsigned))

    @property
    def smallest(self) -> float:
        """The smallest number that is not denormal."""
        return 2.0 ** (1 - self.bias)


SINGLE = Format(np.dtype(np.float32), np.dtype(np.uint32), 23, 127)
DOUBLE = Format(np.dtype(np.float64), np.dtype(np.uint64), 52, 1023)


class Number:
    """One number in a register, or a vector of them.

    A Python number beside it is a constant of its dtype.

    Attributes:
        value: LLVM's.
        lanes: how many numbers.
    """

    __slots__ = ("code", "dtype", "lanes", "value")

    def __init__(self, code: Code, value: Value, dtype: DType, lanes: int) -> None:
        self.code = code
        self.value = value
        self.dtype = dtype
        self.lanes = lanes

    def constant(self, value: Any, dtype: DType | None = None) -> Number:
        """A number in all lanes."""
        kind = dtype or self.dtype
        return Number(self.code, constant(kind, value, self.lanes), kind, self.lanes)

    @property
    def format(self) -> Format:
        """Of a floating-point number."""
        return SINGLE if self.dtype == SINGLE.dtype else DOUBLE

    @property
    def is_float(self) -> bool:
        """Whether it is a floating-point number."""
        return self.dtype.kind == "f"

    @property
    def is_signed(self) -> bool:
        """Whether it is an integer with a sign."""
        return self.dtype.kind == "i"

    def made(self, value: Value, dtype: DType | None = None) -> Number:
        """A value of LLVM as a number, of the same dtype if nothing is said."""
        return Number(self.code, value, dtype or self.dtype, self.lanes)

    def _operand(self, other: Number | float) -> Value:
        return other.value if isinstance(other, Number) else constant(self.dtype, other, self.lanes)

    def _apply(self, of_floats: str, of_integers: str, x: Value, y: Value) -> Number:
        return self.made(getattr(self.code.builder, of_floats if self.is_float else of_integers)(x, y))

    # Arithmetic ---------------------------------------------------------------------------------------------------

    def __add__(self, other: Number | float) -> Number:
        return self._apply("fadd", "add", self.value, self._operand(other))

    def __sub__(self, other: Number | float) -> Number:
        return self._apply("fsub", "sub", self.value, self._operand(other))

    def __mul__(self, other: Number | float) -> Number:
        return self._apply("fmul", "mul", self.value, self._operand(other))

    def __truediv__(self, other: Number | float) -> Number:
        return self.made(self.code.builder.fdiv(self.value, self._operand(other)))

    def __radd__(self, other: float) -> Number:
        return self + other

    def __rmul__(self, other: float) -> Number:
        return self * other

    def __rsub__(self, other: float) -> Number:
        return self.constant(other) - self

    def __rtruediv__(self, other: float) -> Number:
        return self.constant(other) / self

    def __neg__(self) -> Number:
        b = self.code.builder
        return self.made(b.fneg(self.value) if self.is_float else b.neg(self.value))

    def fma(self, y: Number | float, z: Number | float) -> Number:
        """self * y + z, rounded once."""
        return self.made(self.code.fma(self.value, self._operand(y), self._operand(z)))

    def __abs__(self) -> Number:
        return self.made(self.code.intrinsic("fabs", self.value))

    def sqrt(self) -> Number:
        """The square root."""
        return self.made(self.code.intrinsic("sqrt", self.value))

    def rounded(self, how: str) -> Number:
        """An integer nearby, as a floating-point number: ``floor``, ``ceil``, ``trunc`` or ``roundeven``."""
        return self.made(self.code.intrinsic(how, self.value))

    def with_sign_of(self, other: Number) -> Number:
        """The same size, another sign."""
        return self.made(self.code.intrinsic("copysign", self.value, other.value))

    # Comparisons --------------------------------------------------------------------------------------------------

    def _compare(self, how: str, other: Number | float) -> Number:
        b, x, y = self.code.builder, self.value, self._operand(other)
        if self.is_float:
            return self.made(b.fcmp_unordered(how, x, y) if how == "!=" else b.fcmp_ordered(how, x, y), BOOL)
        return self.made((b.icmp_signed if self.is_signed else b.icmp_unsigned)(how, x, y), BOOL)

    def __lt__(self, other: Number | float) -> Number:
        return self._compare("<", other)

    def __le__(self, other: Number | float) -> Number:
        return self._compare("<=", other)

    def __gt__(self, other: Number | float) -> Number:
        return self._compare(">", other)

    def __ge__(self, other: Number | float) -> Number:
        return self._compare(">=", other)

    def equals(self, other: Number | float) -> Number:
        """Whether both are the same number; NaN is none."""
        return self._compare("==", other)

    def differs(self, other: Number | float) -> Number:
        """The opposite of `equals`."""
        return self._compare("!=", other)

    def sign_bit(self) -> Number:
        """Whether the sign of a floating-point number is negative: of -0 and of a NaN with that bit set, too."""
        return self.bits().to(self.format.signed) < 0

    def choose(self, x: Number, y: Number | float) -> Number:
        """For booleans: x where they are true, y elsewhere."""
        return x.made(self.code.builder.select(self.value, x.value, x._operand(y)))

    # Bits ---------------------------------------------------------------------------------------------------------

    def __and__(self, other: Number | int) -> Number:
        return self.made(self.code.builder.and_(self.value, self._operand(other)))

    def __or__(self, other: Number | int) -> Number:
        return self.made(self.code.builder.or_(self.value, self._operand(other)))

    def __xor__(self, other: Number | int) -> Number:
        return self.made(self.code.builder.xor(self.value, self._operand(other)))

    def __invert__(self) -> Number:
        return self.made(self.code.builder.not_(self.value))

    def __lshift__(self, other: Number | int) -> Number:
        return self.made(self.code.builder.shl(self.value, self._operand(other)))

    def __rshift__(self, other: Number | int) -> Number:
        b = self.code.builder
        return self.made((b.ashr if self.is_signed else b.lshr)(self.value, self._operand(other)))

    def bits(self) -> Number:
        """The bits of a floating-point number, as an integer without sign."""
        unsigned = self.format.unsigned
        return self.made(self.code.builder.bitcast(self.value, value_type(unsigned, self.lanes)), unsigned)

    def as_float(self) -> Number:
        """The floating-point number that has these bits."""
        kind = SINGLE.dtype if self.dtype.itemsize == 4 else DOUBLE.dtype
        return self.made(self.code.builder.bitcast(self.value, value_type(kind, self.lanes)), kind)

    # Types --------------------------------------------------------------------------------------------------------

    def to(self, dtype: DType) -> Number:
        """Converted, between numbers of one kind or from an integer to a floating-point number."""
        b, kind = self.code.builder, value_type(dtype, self.lanes)
        if dtype == self.dtype:
            return self
        if self.is_float:
            return self.made((b.fpext if dtype.itemsize > self.dtype.itemsize else b.fptrunc)(self.value, kind), dtype)
        if dtype.kind == "f":
            return self.made((b.sitofp if self.is_signed else b.uitofp)(self.value, kind), dtype)
        if dtype.itemsize == self.dtype.itemsize and self.dtype != BOOL:
            return self.made(self.value, dtype)
        if dtype.itemsize < self.dtype.itemsize:
            return self.made(b.trunc(self.value, kind), dtype)
        return self.made((b.sext if self.is_signed else b.zext)(self.value, kind), dtype)

    def truncated(self, dtype: DType) -> Number:
        """A floating-point number that fits as an integer: without its fraction. What does not fit has no meaning."""
        b, kind = self.code.builder, value_type(dtype, self.lanes)
        return self.made((b.fptosi if dtype.kind == "i" else b.fptoui)(self.value, kind), dtype)

    def any(self) -> Value:
        """For booleans: whether one of them is true; one bit."""
        b = self.code.builder
        if self.lanes == 1:
            return self.value
        together = ir.IntType(self.lanes)
        return b.icmp_unsigned("!=", b.bitcast(self.value, together), ir.Constant(together, 0))


class ByType(NamedTuple):
    """Coefficients of a polynomial, lowest power first, for either floating-point type."""

    single: Sequence[float]
    double: Sequence[float]

    def at(self, x: Number) -> Number:
        """The value of the polynomial."""
        return polynomial(x, self.single if x.format is SINGLE else self.double)


def polynomial(x: Number, coefficients: Sequence[float]) -> Number:
    """The value of a polynomial, lowest power first.

    By Estrin's scheme: neighbours are joined, and then neighbours of these, so that little waits for each other.
    """
    terms = [x.constant(coefficient) for coefficient in coefficients]
    power = x
    while True:
        pairs = [power.fma(high, low) for low, high in zip(terms[::2], terms[1::2], strict=False)]
        terms = pairs if len(terms) % 2 == 0 else [*pairs, terms[-1]]
        if len(terms) == 1:
            return terms[0]
        power = power * power


def format_of_bits(bits: Number) -> Format:
    """The floating-point format that has these bits."""
    return SINGLE if bits.dtype == SINGLE.unsigned else DOUBLE


def in_double(function: Callable[[Number], Number]) -> Callable[[Number], Number]:
    """A function of float32 computed in float64."""

    @wraps(function)
    def widened(x: Number) -> Number:
        return function(x.to(DOUBLE.dtype)).to(x.dtype)

    return widened


@cache
def parts(form: Format, value: Fraction, count: int) -> tuple[float, ...]:
    """A constant as a sum of so many numbers of a format, each the nearest to what is left."""
    found: list[float] = []
    for _ in range(count):
        found.append(float(np.asarray(float(value), form.dtype)))
        value -= Fraction(found[-1])
    return tuple(found)


def exactly(*doubles: float) -> Fraction:
    """A constant that one number is not enough for."""
    return sum(map(Fraction, doubles), Fraction(0))


def where_rare(condition: Number, value: Number, otherwise: Callable[[], Number]) -> Number:
    """``value`` where the condition is false, else what ``otherwise`` gives, which is computed only if it is needed.

    A jump, unlike `Number.choose`.
    """
    b = condition.code.builder
    before, rare, after = b.block, b.append_basic_block("rare"), b.append_basic_block("after")
    b.cbranch(condition.any(), rare, after).set_weights([1, 10_000])
    b.position_at_end(rare)
    chosen = condition.choose(otherwise(), value)
    b.branch(after)
    rare = b.block
    b.position_at_end(after)
    joined = b.phi(value.value.type)
    joined.add_incoming(value.value, before)
    joined.add_incoming(chosen.value, rare)
    return Number(value.code, joined, value.dtype, value.lanes)


def lane_by_lane(intrinsic: str, *operands: Number) -> Number:
    """A function of the C library, called for each lane: ``sin`` and the like, or ``frem``, which is ``fmod``."""
    first = operands[0]
    if first.lanes == 1:
        return first.made(_library(first.code, intrinsic, [x.value for x in operands]))
    module, kind = first.code.module, first.value.type
    name = f"{intrinsic}.{first.dtype}x{first.lanes}"
    if name not in module.globals:
        code = Code.function(module, name, [kind] * len(operands), kind)
        code.builder.function.linkage = "internal"
        vectors = code.builder.function.args

        def body(lane: Value, carried: list[Value]) -> list[Value]:
            numbers = [code.builder.extract_element(vector, lane) for vector in vectors]
            return [code.builder.insert_element(carried[0], _library(code, intrinsic, numbers), lane)]

        code.builder.ret(code.loop(index(0), index(first.lanes), 1, body, [vectors[0]])[0])
    return first.made(first.code.builder.call(module.globals[name], [x.value for x in operands]))


def _library(code: Code, intrinsic: str, operands: Sequence[Value]) -> Value:
    return code.builder.frem(*operands) if intrinsic == "frem" else code.intrinsic(intrinsic, *operands)


Function = Callable[..., Number]
"""Of numbers, which all have one dtype."""


def called(function: Function, dtype: DType, *operands: Number) -> Number:
    """What a function gives, whose results are of that dtype.

    For vectors it is written out here; for one number it is a call, so that a module has it once and the loops over
    what remains after whole vectors cost little to compile.
    """
    x = operands[0]
    if x.lanes > 1:
        return function(*operands)
    module, kind = x.code.module, value_type(dtype, 1)
    name = f"{function.__name__}.{x.dtype}"
    if name not in module.globals:
        code = Code.function(module, name, [operand.value.type for operand in operands], kind)
        inside = code.builder.function
        inside.linkage = "internal"
        result = function(*[Number(code, argument, x.dtype, 1) for argument in inside.args])
        code.builder.ret(result.value)
    return x.made(x.code.builder.call(module.globals[name], [operand.value for operand in operands]), dtype)
