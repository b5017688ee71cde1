"""What whole families of primitives have in common, so that each row says only what is its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from clearprop.errors import DTypeError, ShapeError
from clearprop.primitive import Primitive, Spec, Value, lookup
from clearprop.rule import Rule

NUMBERS, FLOATS, BOOLEANS, ANYTHING, INTEGERS = "iuf", "f", "b", "biuf", "iu"

_KIND_NAMES = {
    NUMBERS: "numbers",
    FLOATS: "floating-point numbers",
    BOOLEANS: "booleans",
    ANYTHING: "any dtype",
    INTEGERS: "integers",
}


def check_kind(name: str, kinds: str, **inputs: Spec) -> None:
    """Raise DTypeError unless all inputs are of the kinds that the primitive takes."""
    for label, spec in inputs.items():
        if spec.dtype.kind not in kinds:
            wanted = "cp.bool" if kinds == BOOLEANS else "cp.int64" if kinds == INTEGERS else "cp.float32"
            raise DTypeError(
                f"{name}: {label} is {spec}; it takes {_KIND_NAMES[kinds]}", hint=f"{label}.astype({wanted})"
            )


class Elementwise(Primitive):
    """One output element from the input elements at the same place; all inputs have one shape and one dtype.

    The Jacobian is diagonal, hence its own transpose: the JVP is the same rule as the VJP. Its diagonal, the local
    derivative that the lecture notes multiply by, is the VJP of ones.
    """

    accepts: ClassVar[str] = NUMBERS
    gives: ClassVar[str | None] = None
    """The output's dtype if it is not that of the inputs."""
    flops_per_element: ClassVar[int] = 1

    def _rules(self, kind: str) -> list[Rule | None]:
        own, diagonal = super()._rules(kind), super()._rules("vjp")
        return [rule or same for rule, same in zip(own, diagonal, strict=True)]

    def shape(self, *inputs: Spec, **attributes: Any) -> Spec:
        named = dict(zip(self.inputs, inputs, strict=True))
        check_kind(self.name, self.accepts, **named)
        check_equal(self.name, **named)
        return Spec(inputs[0].shape, np.dtype(self.gives) if self.gives else inputs[0].dtype)

    def batch(self, values: Sequence[Value], mapped: Sequence[bool], size: int, **attributes: Any) -> Value:
        return self(*spread(values, mapped, size), **attributes)

    def flops(self, output: Spec, *inputs: Spec, **attributes: Any) -> int:
        return self.flops_per_element * output.size


def check_equal(name: str, **inputs: Spec) -> None:
    """Raise unless all inputs have one shape and one dtype."""
    (first, one), *others = inputs.items()
    for label, spec in others:
        if spec.shape != one.shape:
            raise ShapeError(
                f"{name}: {first} has shape {one.shape}, {label} has shape {spec.shape}; they must be equal",
                hint="reshape one of them, e.g. x.reshape(-1, 1): from the last axis on, lengths are equal or one is 1",
            )
    check_dtypes(name, **inputs)


def check_dtypes(name: str, **inputs: Spec) -> None:
    """Raise DTypeError unless all inputs have one dtype."""
    (first, one), *others = inputs.items()
    for label, spec in others:
        if spec.dtype != one.dtype:
            raise DTypeError(
                f"{name}: {first} is {one.dtype}, {label} is {spec.dtype}", hint=f"{label}.astype(cp.{one.dtype})"
            )


def check_axes(name: str, shape: Sequence[int], *axes: int) -> None:
    """Raise ShapeError unless an array of that shape has these axes, counted from the front."""
    for axis in axes:
        if axis not in range(len(shape)):
            raise ShapeError(f"{name}: x has shape {tuple(shape)}, there is no axis {axis}")


def spread(values: Sequence[Value], mapped: Sequence[bool], size: int) -> list[Value]:
    """Give the inputs that are the same for the whole batch a batch axis too. Python numbers stay as they are."""
    return [
        value if is_mapped or isinstance(value, (int, float)) else with_batch(value, size)
        for value, is_mapped in zip(values, mapped, strict=True)
    ]


def with_batch(value: Value, size: int) -> Value:
    """The value repeated along a new first axis."""
    return lookup("broadcast")(value, shape=(size, *value.shape), axes=(0,))


class Unary(Elementwise):
    """Elementwise, of one input."""


class Binary(Elementwise):
    """Elementwise, of two inputs."""


class Predicate(Elementwise):
    """Elementwise, with a boolean output; not differentiable."""

    differentiable = False
    gives = "bool"
    accepts = ANYTHING


class OneInput(Primitive):
    """An operation on one whole array whose attributes speak of axes.

    A subclass says in `shifted` how its attributes read when a batch axis stands in front.
    """

    def shifted(self, size: int, **attributes: Any) -> dict[str, Any]:
        """The attributes for an input with one more axis, of that size, in front."""
        raise NotImplementedError

    def batch(self, values: Sequence[Value], mapped: Sequence[bool], size: int, **attributes: Any) -> Value:
        return self(values[0], **self.shifted(size, **attributes))


class AlongAxis(OneInput):
    """An operation along one ``axis`` of an array, of that array's shape."""

    accepts: ClassVar[str] = ANYTHING
    gives: ClassVar[str | None] = None

    def shape(self, *inputs: Spec, **attributes: Any) -> Spec:
        (x,) = inputs
        check_kind(self.name, self.accepts, x=x)
        check_axes(self.name, x.shape, attributes["axis"])
        return Spec(x.shape, np.dtype(self.gives) if self.gives else x.dtype)

    def shifted(self, size: int, **attributes: Any) -> dict[str, Any]:
        return {**attributes, "axis": attributes["axis"] + 1}


def next_axes(axes: Sequence[int]) -> tuple[int, ...]:
    """The same axes when one more stands in front."""
    return tuple(axis + 1 for axis in axes)
