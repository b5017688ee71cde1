"""What kind of kernel a node can be part of."""

from __future__ import annotations

from clearprop.compiler.native.code import has_type
from clearprop.compiler.native.elements import is_native
from clearprop.graph import Node
from clearprop.primitives.families import Elementwise

REDUCTIONS = frozenset({"sum", "prod", "max", "min", "all", "any"})


def is_product(node: Node) -> bool:
    """Whether a node is a matrix product behind which others may be computed."""
    return node.name == "matmul" and node.dtype.char in "fd"


def is_elementwise(node: Node) -> bool:
    """Whether a node can be part of a loop nest."""
    return isinstance(node.primitive, Elementwise) and is_native(node)


def is_reduction(node: Node) -> bool:
    """Whether a node can end a loop nest."""
    if node.name not in REDUCTIONS:
        return False
    (operand,) = node.parents
    assert operand is not None
    return has_type(operand.dtype) and has_type(node.dtype) and 0 not in operand.shape
