"""From what users write to what primitives take: conversion, type promotion, broadcasting.

Primitives are strict: the inputs of a binary one have equal shapes and dtypes. Here unequal ones are made equal, by
primitives (``cast``, ``broadcast``), so that the graph shows it and the gradient undoes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Any, TypeAlias

import numpy as np

from clearprop import dtypes, primitives
from clearprop.errors import AxisError, DTypeError, ShapeError
from clearprop.graph import state
from clearprop.primitive import Primitive, numpy_dtype, spec_of
from clearprop.primitives.families import Elementwise, check_kind
from clearprop.tensor import Tensor, as_tensor, to_array

ArrayLike: TypeAlias = Any
"""A tensor, a parameter or buffer, a NumPy array, a number, or nested lists of numbers."""

DEFAULT_FLOAT = dtypes.DEFAULT_FLOAT.dtype
DEFAULT_INT = dtypes.DEFAULT_INT.dtype


def as_float(x: ArrayLike) -> Tensor:
    """The same, integers and booleans cast to float32."""
    tensor = as_tensor(x)
    return tensor if numpy_dtype(tensor).kind == "f" else cast_to(tensor, DEFAULT_FLOAT)


def cast_to(x: Tensor, dtype: np.dtype[Any]) -> Tensor:
    """The tensor as another dtype; itself if it has it."""
    return x if numpy_dtype(x) == dtype else primitives.cast(x, dtype=dtype)


def promoted(a: np.dtype[Any], b: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype that holds both. Of a floating-point and an integer type, the floating-point one, as it is."""
    if (a.kind == "f") != (b.kind == "f"):
        return a if a.kind == "f" else b
    result = np.result_type(a, b)
    if result.kind == "f" and a.kind != "f":  # uint64 with a signed integer
        raise DTypeError(f"{a} and {b} have no common integer type", hint="astype one of them")
    return result


def same_dtype(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Both as the dtype that holds both."""
    first, second = numpy_dtype(a), numpy_dtype(b)
    if first is second or first == second:
        return a, b
    common = promoted(first, second)
    return cast_to(a, common), cast_to(b, common)


def unary(primitive: Elementwise, x: ArrayLike) -> Tensor:
    """Apply to a tensor of any dtype that the operation takes."""
    return primitive(_accepted(primitive, as_tensor(x)))


def _accepted(primitive: Elementwise, x: Tensor) -> Tensor:
    """The tensor, if the operation takes its dtype. NumPy is less strict: it adds booleans as if they were sets."""
    if numpy_dtype(x).kind not in primitive.accepts:
        check_kind(primitive.name, primitive.accepts, x=spec_of(x))
    return x


def unary_float(primitive: Primitive, x: ArrayLike) -> Tensor:
    """Apply to a floating-point tensor; integers are cast to float32 before."""
    return primitive(as_float(x))


def binary(primitive: Elementwise, x: ArrayLike, y: ArrayLike) -> Tensor:
    """Apply to two tensors after promotion and broadcasting; a Python number takes the other's dtype."""
    if type(x) is not Tensor or type(y) is not Tensor:
        if isinstance(y, (int, float)) and not isinstance(x, (int, float)):
            return primitive(_accepted(primitive, _fit_number(as_tensor(x), y)), python_number(y))
        if isinstance(x, (int, float)) and not isinstance(y, (int, float)):
            return primitive(python_number(x), _accepted(primitive, _fit_number(as_tensor(y), x)))
        x, y = as_tensor(x), as_tensor(y)
    if numpy_dtype(x) != numpy_dtype(y):
        x, y = same_dtype(x, y)
    _accepted(primitive, x)
    first, second = x.shape, y.shape
    if first != second and not _are_constants(x, y):
        missing = len(first) - len(second)
        if first[missing:] == second:  # most often: a bias, the same for each row of a batch
            return primitive(x, primitives.broadcast(y, shape=first, axes=tuple(range(missing))))
        shape = common_shape(primitive.name, x, y)
        x, y = expand(x, shape), expand(y, shape)
    return primitive(x, y)


def _are_constants(a: Tensor, b: Tensor) -> bool:
    """Whether NumPy may broadcast them itself: nothing is recorded or traced, and neither has a hidden batch axis."""
    return type(a) is type(b) is Tensor and a.node is b.node is None and state.tracer is None


def python_number(number: Any) -> Any:
    """A Python number also of NumPy's float64, which is a `float` too, but not weak in NumPy's own arithmetic."""
    return number.item() if isinstance(number, np.generic) else number


def binary_float(primitive: Elementwise, x: ArrayLike, y: ArrayLike) -> Tensor:
    """The same, integers cast to float32 before."""
    if not isinstance(x, (int, float)):
        x = as_float(x)
    if not isinstance(y, (int, float)):
        y = as_float(y)
    return binary(primitive, x, y)


def _fit_number(x: Tensor, number: int | float) -> Tensor:
    """The tensor, cast if its type cannot hold numbers of this kind at all: a fraction needs a floating-point type."""
    dtype = numpy_dtype(x)
    return x if dtype.kind == "f" else cast_to(x, promoted_with_number(dtype, number))


def promoted_with_number(dtype: np.dtype[Any], number: int | float) -> np.dtype[Any]:
    """The dtype of an operation on a tensor and a Python number, which is weak: mostly the tensor's own."""
    if dtype.kind == "f" or isinstance(number, bool):
        return dtype
    if isinstance(number, float):
        return DEFAULT_FLOAT
    return DEFAULT_INT if dtype.kind == "b" else dtype


def as_pair(x: ArrayLike, y: ArrayLike) -> tuple[Tensor, Tensor]:
    """Two tensors of one dtype, for operations that need tensors; of a tensor and a Python number, the tensor's."""
    if isinstance(x, (int, float)) and not isinstance(y, (int, float)):
        other = _fit_number(as_tensor(y), x)
        return Tensor(to_array(x, numpy_dtype(other))), other
    if isinstance(y, (int, float)) and not isinstance(x, (int, float)):
        second, first = as_pair(y, x)
        return first, second
    return same_dtype(as_tensor(x), as_tensor(y))


def common_shape(name: str, *xs: Tensor) -> tuple[int, ...]:
    """The shape to which all broadcast; ShapeError with the operation's name if there is none."""
    shapes = [x.shape for x in xs]
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise ShapeError(
            f"{name}: shapes {' and '.join(map(str, shapes))} do not broadcast: from the last axis on, lengths must be "
            "equal, or one of them 1",
            hint="reshape one of them, e.g. x.reshape(-1, 1) to make it a column",
        ) from None


def expand(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Broadcast to a shape: new axes in front, axes of length 1 stretched."""
    have = x.shape
    if have == shape:
        return x
    missing = len(shape) - len(have)
    axes = tuple(range(missing))
    if have != shape[missing:]:
        axes += tuple(i for i in range(missing, len(shape)) if have[i - missing] != shape[i])
        x = primitives.reshape(x, shape=tuple(length for i, length in enumerate(shape) if i not in axes))
    return primitives.broadcast(x, shape=shape, axes=axes)


def normalize_axis(axis: int, ndim: int, name: str) -> int:
    """An axis counted from the front; AxisError if there is none such."""
    try:
        at = index(axis)
    except TypeError:
        raise DTypeError(f"{name}: {axis!r} is no axis", hint="a whole number such as 0 or -1") from None
    if not -ndim <= at < ndim:
        raise AxisError(f"{name}: axis {at} of a tensor with {ndim} axes", hint=f"an axis from {-ndim} to {ndim - 1}")
    return at % ndim


def only_axis(axis: int | None, x: Tensor, name: str) -> int:
    """The axis counted from the front; for None that of a vector."""
    if axis is None and x.ndim != 1:
        raise ShapeError(f"{name}: name the axis of a tensor of shape {x.shape}", hint=f"{name}(x, axis=-1)")
    return normalize_axis(0 if axis is None else axis, x.ndim, name)


def whole_number(value: Any, name: str, argument: str) -> int:
    """The value of an argument that must be a whole number; DTypeError if it is not."""
    try:
        return index(value)
    except TypeError:
        raise DTypeError(f"{name}: {argument}={value!r} is not a whole number", hint=f"{argument}=1") from None


def whole_numbers(values: Any, name: str, argument: str) -> tuple[int, ...]:
    """The same, of an argument that is one whole number or several."""
    try:
        return (index(values),) if not hasattr(values, "__iter__") else tuple(map(index, values))
    except TypeError:
        raise DTypeError(f"{name}: {argument}={values!r} are no whole numbers", hint=f"{argument}=(1, 2)") from None


def normalize_axes(axis: int | Sequence[int] | None, ndim: int, name: str) -> tuple[int, ...]:
    """Sorted axes counted from the front; all of them for None."""
    if axis is None:
        return tuple(range(ndim))
    if isinstance(axis, (int, np.integer)):
        return (normalize_axis(axis, ndim, name),)
    try:
        numbers = list(map(index, axis))
    except TypeError:
        raise DTypeError(f"{name}: {axis!r} is no axis", hint="a whole number such as 0 or -1, or some") from None
    axes = tuple(sorted(normalize_axis(one, ndim, name) for one in numbers))
    if len(set(axes)) != len(axes):
        raise ShapeError(
            f"{name}: axis {tuple(axis)} names an axis twice",
            hint="each axis once",
        )
    return axes
