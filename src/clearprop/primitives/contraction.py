"""The matrix product: the one contraction that all linear layers are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clearprop.errors import ShapeError
from clearprop.primitive import Formula, Primitive, Spec, Value, register
from clearprop.primitives.families import NUMBERS, check_dtypes, check_kind, spread
from clearprop.primitives.shaping import transpose


class Matmul(Primitive):
    """z = x @ y over the last two axes; the axes before them, the batch B, are equal.

    (B, M, K) @ (B, K, N) -> (B, M, N).
    """

    formula = Formula(r"Z = X Y", (r"\bar X = \bar Z Y^\top", r"\bar Y = X^\top \bar Z"))

    def shape(self, *inputs: Spec, **attributes: Any) -> Spec:
        x, y = inputs
        check_kind(self.name, NUMBERS, x=x, y=y)
        if len(x.shape) < 2 or len(y.shape) < 2 or x.shape[:-2] != y.shape[:-2] or x.shape[-1] != y.shape[-2]:
            raise matmul_error(x.shape, y.shape)
        check_dtypes(self.name, x=x, y=y)
        return Spec((*x.shape[:-1], y.shape[-1]), x.dtype)

    def compute(self, x: Value, y: Value) -> Value:
        return x.dot(y) if x.ndim == 2 else np.matmul(x, y)  # the same for matrices, in half the time for small ones

    def vjp_x(self, g: Value, y: Value) -> Value:
        return matmul(g, transpose(y))  # (B, M, N) @ (B, N, K) -> (B, M, K)

    def vjp_y(self, g: Value, x: Value) -> Value:
        return matmul(transpose(x), g)  # (B, K, M) @ (B, M, N) -> (B, K, N)

    def jvp_x(self, dx: Value, y: Value) -> Value:
        return matmul(dx, y)  # (B, M, K) @ (B, K, N) -> (B, M, N)

    def jvp_y(self, dy: Value, x: Value) -> Value:
        return matmul(x, dy)  # (B, M, K) @ (B, K, N) -> (B, M, N)

    def batch(self, values: Sequence[Value], mapped: Sequence[bool], size: int, **attributes: Any) -> Value:
        return matmul(*spread(values, mapped, size))

    def flops(self, output: Spec, *inputs: Spec, **attributes: Any) -> int:
        return 2 * output.size * inputs[0].shape[-1]


def matmul_error(x: tuple[int, ...], y: tuple[int, ...]) -> ShapeError:
    """What to say when two shapes cannot be multiplied, and which transpose would make them fit."""
    hint = "reshape one of them so that the inner axes agree"
    if len(x) >= 2 and len(y) >= 2:
        if x[-1] == y[-1]:
            hint = "x @ y.mT"
        elif x[-2] == y[-2]:
            hint = "x.mT @ y"
        inner = f"the last axis of x ({x[-1]}) must equal the second-to-last of y ({y[-2]})"
        if x[-1] == y[-2]:
            inner, hint = "the axes before the last two must be equal or broadcast", "check the batch axes"
    else:
        inner = "the last axis of x must equal the second-to-last of y (the last, if y is a vector)"
    return ShapeError(f"matmul: x has shape {x}, y has shape {y}: {inner}", hint=hint)


matmul = register(Matmul())
