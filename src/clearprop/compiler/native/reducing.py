"""What reductions begin with, and how they take one more element."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir

from clearprop.compiler.native.code import Code, Value, constant
from clearprop.compiler.native.elements import Element, extreme
from clearprop.graph import Node

_IDENTITIES: dict[str, Callable[[np.dtype[Any]], Any]] = {
    "sum": lambda dtype: 0,
    "prod": lambda dtype: 1,
    "max": lambda dtype: -np.inf if dtype.kind == "f" else False if dtype.kind == "b" else np.iinfo(dtype).min,
    "min": lambda dtype: np.inf if dtype.kind == "f" else True if dtype.kind == "b" else np.iinfo(dtype).max,
    "all": lambda dtype: True,
    "any": lambda dtype: False,
}


def identity(node: Node, lanes: int = 1) -> Value:
    """What a reduction is before the first element."""
    return constant(node.dtype, _IDENTITIES[node.name](node.dtype), lanes)


def combiner(code: Code, node: Node) -> Callable[[Value, Value], Value]:
    """Writes how two parts of a reduction become one."""
    b, is_float = code.builder, node.dtype.kind == "f"
    if node.name in ("sum", "prod"):
        names = {"sum": ("fadd", "add"), "prod": ("fmul", "mul")}[node.name]
        combine: Callable[[Value, Value], Value] = getattr(b, names[0] if is_float else names[1])
        return combine
    if node.name in ("all", "any") or node.dtype.kind == "b":
        either: Callable[[Value, Value], Value] = b.and_ if node.name in ("all", "min") else b.or_
        return either

    def larger_or_smaller(x: Value, y: Value) -> Value:
        lanes = x.type.count if isinstance(x.type, ir.VectorType) else 1
        element = Element(code, [x, y], [node.dtype] * 2, node.dtype, lanes, {})
        return extreme(element, ">" if node.name == "max" else "<", x, y)

    return larger_or_smaller
