"""The check that all elements of an array are finite."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from llvmlite import ir

from clearprop.compiler.native.code import I1, Code, Value, constant
from clearprop.compiler.native.copying import copy
from clearprop.compiler.native.single import Array, NodeWriter, at, fail_if, fold, joined, moved


class Finite(NodeWriter):
    """The array itself; the function fails if one of its elements is NaN or infinite."""

    may_fail = True

    def body(self, code: Code, operands: Sequence[Array], output: Array) -> None:
        """Look at all elements, then copy them."""
        (x,) = operands
        shape, (steps,) = joined(x.shape, x.strides)

        def look(place: list[Value], found: list[Value]) -> list[Value]:
            value = code.load(moved(code, x.pointer, x.dtype, at(code, place, steps)), x.dtype)
            return [code.builder.or_(found[0], _is_not_finite(code, value, x.dtype))]

        fail_if(code, fold(code, shape, look, [ir.Constant(I1, 0)])[0])
        copy(code, self.machine, x, output)


def _is_not_finite(code: Code, value: Value, dtype: np.dtype[np.generic]) -> Value:
    """NaN is not smaller than infinity."""
    size = code.intrinsic("fabs", value)
    return code.builder.not_(code.builder.fcmp_ordered("<", size, constant(dtype, np.inf)))
