"""What the user calls a node: found in the source and in the variables around a recording, at no cost while it runs."""

from __future__ import annotations

import ast
import linecache
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import islice
from typing import Any, TypeAlias

from clearprop.cell import Cell
from clearprop.graph import Node
from clearprop.source import Position
from clearprop.tensor import Tensor

_Span: TypeAlias = tuple[int | None, int | None, int | None, int | None]


def assigned_name(position: Position | None) -> str:
    """The variable to which the source assigns the value of the very expression at this position; empty if to none.

    In ``h = cp.tanh(x @ w)`` the call is at the position of the tanh node, so that is ``h``; the product has no name.
    """
    if position is None:
        return ""
    code, instruction = position
    span = next(islice(code.co_positions(), instruction // 2, None), None)
    if span is None or span[0] is None:
        return ""
    start, end, column, end_column = span
    return _assignments(code.co_filename, _text(code.co_filename)).get((start, column, end, end_column), "")


def _text(filename: str) -> str:
    return "".join(linecache.getlines(filename))


@lru_cache(maxsize=32)
def _assignments(filename: str, text: str) -> Mapping[_Span, str]:
    """By place of the assigned expression, the names of all simple assignments of a file."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    return {
        (place.lineno, place.col_offset, place.end_lineno, place.end_col_offset): name
        for statement in ast.walk(tree)
        for place, name in _targets(statement)
    }


def _targets(statement: ast.AST) -> Iterator[tuple[Any, str]]:
    """Expressions that a statement assigns to a single name, each with that name."""
    match statement:
        case ast.Assign(targets=[*_, ast.Name(id=name)], value=value):
            yield value, name
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            yield value, name
        case ast.NamedExpr(target=ast.Name(id=name), value=value):
            yield value, name
        case ast.AugAssign(target=ast.Name(id=name)):
            yield statement, name


def variables(values: Mapping[str, Any]) -> dict[Node, str]:
    """Names of the nodes of all tensors and parameters among some variables; of two names for one node, the first."""
    found: dict[Node, str] = {}
    for name, value in list(values.items()):
        node = _node(value)
        if node is not None and not name.startswith("_"):
            found.setdefault(node, name)
    return found


def constants(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Names and arrays of the tensors among some variables to which no gradient flows."""
    for name, value in list(values.items()):
        if type(value) is Tensor and value.node is None and not name.startswith("_"):
            yield name, value.array


def _node(value: Any) -> Node | None:
    if isinstance(value, Cell):
        value = value.peek()
    return value.node if type(value) is Tensor else None
