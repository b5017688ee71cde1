"""Logic on the bits of integers, element by element; nothing here has gradients.

Booleans have no bits to speak of: on them ``&``, ``|``, ``^`` and ``~`` are the primitives of `logic`.
"""

from __future__ import annotations

import numpy as np

from clearprop.primitive import Formula, Value, register
from clearprop.primitives.families import INTEGERS, Binary, Unary


class BitwiseAnd(Binary):
    """z = the bits that are set in both x and y."""

    formula = Formula(r"z = x \wedge y")
    differentiable = False
    accepts = INTEGERS

    def compute(self, x: Value, y: Value) -> Value:
        return np.bitwise_and(x, y)


class BitwiseOr(Binary):
    """z = the bits that are set in x or y."""

    formula = Formula(r"z = x \vee y")
    differentiable = False
    accepts = INTEGERS

    def compute(self, x: Value, y: Value) -> Value:
        return np.bitwise_or(x, y)


class BitwiseXor(Binary):
    """z = the bits that are set in one of x and y, and not in the other."""

    formula = Formula(r"z = x \oplus y")
    differentiable = False
    accepts = INTEGERS

    def compute(self, x: Value, y: Value) -> Value:
        return np.bitwise_xor(x, y)


class BitwiseInvert(Unary):
    """z = x with every bit turned over: -x - 1 for a signed x."""

    formula = Formula(r"z = \neg x")
    differentiable = False
    accepts = INTEGERS

    def compute(self, x: Value) -> Value:
        return np.invert(x)


class BitwiseLeftShift(Binary):
    """z = the bits of x moved y places up: x * 2 ** y, without what leaves the type. y is not negative."""

    formula = Formula(r"z = x \cdot 2^y")
    differentiable = False
    accepts = INTEGERS

    def compute(self, x: Value, y: Value) -> Value:
        return np.left_shift(x, y)


class BitwiseRightShift(Binary):
    """z = the bits of x moved y places down: x // 2 ** y, the sign kept. y is not negative."""

    formula = Formula(r"z = \lfloor x / 2^y \rfloor")
    differentiable = False
    accepts = INTEGERS

    def compute(self, x: Value, y: Value) -> Value:
        return np.right_shift(x, y)


bitwise_and = register(BitwiseAnd())
bitwise_or = register(BitwiseOr())
bitwise_xor = register(BitwiseXor())
bitwise_invert = register(BitwiseInvert())
bitwise_left_shift = register(BitwiseLeftShift())
bitwise_right_shift = register(BitwiseRightShift())
