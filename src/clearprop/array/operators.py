"""Gives tensors and cells their operators and methods. A cell's operators read its current value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clearprop.array import elementwise, indexing, linear_algebra, reductions, shapes
from clearprop.errors import ShapeError
from clearprop.tensor import Operators, Tensor, as_tensor

_BINARY = {
    "add": elementwise.add,
    "sub": elementwise.subtract,
    "mul": elementwise.multiply,
    "truediv": elementwise.divide,
    "floordiv": elementwise.floor_divide,
    "mod": elementwise.remainder,
    "pow": elementwise.pow,
    "matmul": linear_algebra.matmul,
    "and": elementwise.logical_and,
    "or": elementwise.logical_or,
    "xor": elementwise.logical_xor,
}
_COMPARISON = {
    "lt": elementwise.less,
    "le": elementwise.less_equal,
    "gt": elementwise.greater,
    "ge": elementwise.greater_equal,
    "eq": elementwise.equal,
    "ne": elementwise.not_equal,
}
_UNARY = {"neg": elementwise.negative, "abs": elementwise.abs, "invert": elementwise.logical_not}
_METHODS = [
    *(reductions.sum, reductions.mean, reductions.prod, reductions.max, reductions.min, reductions.any, reductions.all),
    *(reductions.argmax, reductions.argmin, shapes.astype, shapes.squeeze, shapes.flatten),
    *(elementwise.exp, elementwise.log, elementwise.sqrt, elementwise.tanh, elementwise.clip),
]


def _reflected(function: Callable[[Any, Any], Tensor]) -> Callable[[Any, Any], Tensor]:
    def operator(self: Any, other: Any) -> Tensor:
        return function(other, self)

    return operator


def _reshape(self: Any, *shape: Any) -> Tensor:
    """The same elements in another shape: ``x.reshape(2, -1)`` or ``x.reshape((2, -1))``."""
    return shapes.reshape(self, shape[0] if len(shape) == 1 else shape)


def _transposed(self: Any) -> Tensor:
    """The transpose of a matrix."""
    tensor = as_tensor(self)
    if tensor.ndim != 2:
        raise ShapeError(f".T needs a matrix; this tensor has shape {tensor.shape}", hint="x.mT, or cp.permute_dims")
    return shapes.matrix_transpose(tensor)


def _getitem(self: Any, index: Any) -> Tensor:
    return indexing.getitem(as_tensor(self), index)


def _at(self: Any) -> indexing.At:
    """``x.at[index].set(value)`` and ``x.at[index].add(value)``: changed copies."""
    return indexing.At(as_tensor(self))


def _install() -> None:
    for name, function in _BINARY.items():
        setattr(Operators, f"__{name}__", function)
        setattr(Operators, f"__r{name}__", _reflected(function))
    for name, comparison in _COMPARISON.items():
        setattr(Operators, f"__{name}__", comparison)
    for name, operation in _UNARY.items():
        setattr(Operators, f"__{name}__", operation)
    for method in _METHODS:
        setattr(Operators, method.__name__, method)
    attributes: dict[str, Any] = {
        "__getitem__": _getitem,
        "reshape": _reshape,
        "T": property(_transposed),
        "mT": property(shapes.matrix_transpose, doc="The last two axes exchanged."),
        "at": property(_at),
    }
    for name, attribute in attributes.items():
        setattr(Operators, name, attribute)


_install()
