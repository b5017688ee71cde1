"""Gives tensors and cells their operators and methods. A cell's operators read its current value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clearprop.array import (
    arithmetic,
    bitwise,
    data_types,
    exponential,
    indexing,
    interchange,
    linear_algebra,
    logic,
    reductions,
    shapes,
    trigonometric,
)
from clearprop.errors import ShapeError
from clearprop.operators import Operators
from clearprop.tensor import Tensor, as_tensor

_BINARY = {
    "add": arithmetic.add,
    "sub": arithmetic.subtract,
    "mul": arithmetic.multiply,
    "truediv": arithmetic.divide,
    "floordiv": arithmetic.floor_divide,
    "mod": arithmetic.remainder,
    "pow": exponential.pow,
    "matmul": linear_algebra.matmul,
    "and": bitwise.bitwise_and,
    "or": bitwise.bitwise_or,
    "xor": bitwise.bitwise_xor,
    "lshift": bitwise.bitwise_left_shift,
    "rshift": bitwise.bitwise_right_shift,
}
_COMPARISON = {
    "lt": logic.less,
    "le": logic.less_equal,
    "gt": logic.greater,
    "ge": logic.greater_equal,
    "eq": logic.equal,
    "ne": logic.not_equal,
}
_UNARY = {
    "neg": arithmetic.negative,
    "pos": arithmetic.positive,
    "abs": arithmetic.abs,
    "invert": bitwise.bitwise_invert,
}
_METHODS = [
    *(reductions.sum, reductions.mean, reductions.prod, reductions.max, reductions.min, reductions.any, reductions.all),
    *(reductions.argmax, reductions.argmin, data_types.astype, shapes.squeeze, shapes.flatten),
    *(exponential.exp, exponential.log, exponential.sqrt, trigonometric.tanh, arithmetic.clip),
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
        "__array_namespace__": interchange.namespace,
        "__dlpack__": interchange.export,
        "__dlpack_device__": interchange.dlpack_device,
        "__getitem__": _getitem,
        "reshape": _reshape,
        "T": property(_transposed),
        "mT": property(shapes.matrix_transpose, doc="The last two axes exchanged."),
        "at": property(_at),
        "to_device": interchange.to_device,
    }
    for name, attribute in attributes.items():
        setattr(Operators, name, attribute)


_install()
