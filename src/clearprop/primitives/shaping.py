"""Other shapes of the same numbers, and other places for them. All are linear, and most come in pairs of transposes.

    reshape  and reshape back          permute and the inverse permutation       flip and flip
    slice (takes a part out)           and pad (puts it back among zeros)
    concat (joins parts)               and slices (take them apart again)

``broadcast`` and its transpose, the sum, are in `clearprop.primitives.reduction`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from clearprop.errors import DTypeError, RangeError, ShapeError
from clearprop.graph import Node
from clearprop.primitive import Formula, Primitive, Spec, Value, filled, register
from clearprop.primitives.families import OneInput, check_axes, next_axes, spread


class Reshape(OneInput):
    """z = the elements of x in the same (row-major) order, in another shape."""

    formula = Formula(r"z = \operatorname{reshape} x", (r"\bar x = \operatorname{reshape} \bar z",))
    linear = True

    def shape(self, *inputs: Spec, **attributes: Any) -> Spec:
        (x,), shape = inputs, attributes["shape"]
        if x.size != np.prod(shape, dtype=np.int64):
            raise ShapeError(
                f"reshape: x has shape {x.shape} ({x.size} elements), which does not fit into {shape}",
                hint="a shape with as many elements; one length may be -1",
            )
        return Spec(shape, x.dtype)

    def compute(self, x: Value, *, shape: tuple[int, ...]) -> Value:
        return x.reshape(shape)

    def vjp_x(self, g: Value, x_shape: tuple[int, ...]) -> Value:
        return reshape(g, shape=x_shape)

    def shifted(self, size: int, **attributes: Any) -> dict[str, Any]:
        return {"shape": (size, *attributes["shape"])}


def inverse_permutation(axes: Sequence[int]) -> tuple[int, ...]:
    """The order of axes that undoes this one."""
    inverse = [0] * len(axes)
    for i, axis in enumerate(axes):
        inverse[axis] = i
    return tuple(inverse)


class Permute(OneInput):
    """z = x with its axes in another order: axis i of z is axis ``axes[i]`` of x."""

    formula = Formula(r"z = \operatorname{permute}_\pi x", (r"\bar x = \operatorname{permute}_{\pi^{-1}} \bar z",))
    linear = True

    def shape(self, *inputs: Spec, **attributes: Any) -> Spec:
        (x,), axes = inputs, attributes["axes"]
        if sorted(axes) != list(range(len(x.shape))):
            raise ShapeError(f"permute: {axes} is not an order of the {len(x.shape)} axes of x, of shape {x.shape}")
        return Spec(tuple(x.shape[axis] for axis in axes), x.dtype)

    def compute(self, x: Value, *, axes: tuple[int, ...]) -> Value:
        return x.transpose(axes)

    def vjp_x(self, g: Value, axes: tuple[int, ...]) -> Value:
        return permute(g, axes=inverse_permutation(axes))

    def shifted(self, size: int, **attributes: Any) -> dict[str, Any]:
        return {"axes": (0, *next_axes(attributes["axes"]))}


def transpose(x: Value) -> Value:
    """The last two axes swapped: the transpose of a matrix, or of each matrix of a batch."""
    return permute(x, axes=_last_two_swapped(len(x.shape)))


@cache
def _last_two_swapped(ndim: int) -> tuple[int, ...]:
    return (*range(ndim - 2), ndim - 1, ndim - 2)


def _padded(
    shape: Sequence[int], before: Sequence[int], after: Sequence[int], between: Sequence[int]
) -> tuple[int, ...]:
    """The shape after padding."""
    return tuple(
        low + length + max(0, length - 1) * gap + high
        for length, low, high, gap in zip(shape, before, after, between, strict=True)
    )


class Slice(OneInput):
    """z = x[start : stop : step] along every axis, with step > 0."""

    formula = Formula(r"z = x[\mathit{slice}]", (r"\bar x = \operatorname{pad} \bar z",))
    linear = True

    def shape(self, *inputs: Spec, **attributes: Any) -> Spec:
        (x,), bounds = inputs, list(zip(attributes["start"], attributes["stop"], attributes["step"], strict=True))
        if len(bounds) != len(x.shape):
            raise RangeError(f"slice: {len(bounds)} ranges for x of shape {x.shape}")
        if any(not 0 <= start <= stop <= length for (start, stop, _), length in zip(bounds, x.shape, strict=True)):
            raise RangeError(f"slice: ranges {attributes} are not inside x, of shape {x.shape}")
        return Spec(tuple(len(range(*ends)) for ends in bounds), x.dtype)

    def compute(self, x: Value, *, start: tuple[int, ...], stop: tuple[int, ...], step: tuple[int, ...]) -> Value:
        return x[tuple(map(slice, start, stop, step))]

    def vjp_x(
        self, g: Value, x_shape: tuple[int, ...], start: tuple[int, ...], stop: tuple[int, ...], step: tuple[int, ...]
    ) -> Value:
        between = tuple(by - 1 for by in step)
        ends = _padded(g.shape, start, (0,) * len(start), between)  # just behind the last element that was taken
        after = tuple(length - end for length, end in zip(x_shape, ends, strict=True))
        return pad(g, before=start, after=after, between=between)

    def shifted(self, size: int, **attributes: Any) -> dict[str, Any]:
        first = {"start": 0, "stop": size, "step": 1}
        return {name: (first[name], *value) for name, value in attributes.items()}


def _places(
    lengths: Sequence[int], before: Sequence[int], after: Sequence[int], between: Sequence[int]
) -> tuple[slice, ...]:
    """Where in the padded array, of those lengths, the elements stand."""
    return tuple(
        slice(low, length - high, gap + 1)
        for length, low, high, gap in zip(lengths, before, after, between, strict=True)
    )


class Pad(OneInput):
    """z = x among zeros: so many ``before``, ``after``, and ``between`` its elements, along every axis."""

    formula = Formula(r"z = \operatorname{pad} x", (r"\bar x = \bar z[\mathit{slice}]",))
    linear = True

    def shape(self, *inputs: Spec, **attributes: Any) -> Spec:
        (x,), widths = inputs, (attributes["before"], attributes["after"], attributes["between"])
        if any(len(width) != len(x.shape) or min(width, default=0) < 0 for width in widths):
            raise ShapeError(f"pad: x has shape {x.shape}; widths {attributes} must be >= 0, one for each axis")
        return Spec(_padded(x.shape, *widths), x.dtype)

    def compute(self, x: Value, *, before: tuple[int, ...], after: tuple[int, ...], between: tuple[int, ...]) -> Value:
        lengths = _padded(x.shape, before, after, between)
        padded = np.zeros(lengths, x.dtype)
        padded[_places(lengths, before, after, between)] = x
        return padded

    def vjp_x(self, g: Value, before: tuple[int, ...], after: tuple[int, ...], between: tuple[int, ...]) -> Value:
        stop = tuple(length - behind for length, behind in zip(g.shape, after, strict=True))
        return slice_(g, start=before, stop=stop, step=tuple(gap + 1 for gap in between))

    def shifted(self, size: int, **attributes: Any) -> dict[str, Any]:
        return {name: (0, *value) for name, value in attributes.items()}


class Flip(OneInput):
    """z = x with the order of elements reversed along some axes."""

    formula = Formula(r"z = \operatorname{flip} x", (r"\bar x = \operatorname{flip} \bar z",))
    linear = True

    def shape(self, *inputs: Spec, **attributes: Any) -> Spec:
        (x,), axes = inputs, attributes["axes"]
        check_axes(self.name, x.shape, *axes)
        return x

    def compute(self, x: Value, *, axes: tuple[int, ...]) -> Value:
        return np.flip(x, axes)

    def vjp_x(self, g: Value, axes: tuple[int, ...]) -> Value:
        return flip(g, axes=axes)

    def shifted(self, size: int, **attributes: Any) -> dict[str, Any]:
        return {"axes": next_axes(attributes["axes"])}


def _without(shape: Sequence[int], axis: int) -> tuple[int, ...]:
    """The lengths of the other axes."""
    return (*shape[:axis], *shape[axis + 1 :])


def take_range(x: Value, axis: int, start: int, stop: int) -> Value:
    """x[..., start:stop, ...] along one axis, all of the others."""
    ends = [(start, stop) if i == axis else (0, length) for i, length in enumerate(x.shape)]
    return slice_(x, start=tuple(a for a, _ in ends), stop=tuple(b for _, b in ends), step=(1,) * len(ends))


class Concat(Primitive):
    """z = the inputs one after the other along ``axis``; ``lengths`` are theirs along it.

    It takes any number of inputs, so its rules are written for all of them at once.
    """

    formula = Formula(r"z = [x_1, x_2, \dots]", (r"\bar x_i = \bar z[\text{part } i]",))

    def shape(self, *inputs: Spec, **attributes: Any) -> Spec:
        first, axis = inputs[0], attributes["axis"]
        for i, spec in enumerate(inputs):
            if len(spec.shape) != len(first.shape) or _without(spec.shape, axis) != _without(first.shape, axis):
                raise ShapeError(
                    f"concat: input {i} has shape {spec.shape}, input 0 has {first.shape}; only axis {axis} may differ",
                    hint="pad or cut the other axes to one length",
                )
            if spec.dtype != first.dtype:
                raise DTypeError(f"concat: input {i} is {spec.dtype}, input 0 is {first.dtype}")
        total = sum(spec.shape[axis] for spec in inputs)
        return Spec((*first.shape[:axis], total, *first.shape[axis + 1 :]), first.dtype)

    def compute(self, *xs: Value, axis: int, lengths: tuple[int, ...]) -> Value:
        return np.concatenate(xs, axis)

    def vjp(
        self, node: Node, g: Value, residuals: dict[str, Value], parents: Sequence[Node | None]
    ) -> Sequence[Value | None]:
        parts, axis, end = [], node.attributes["axis"], 0
        for parent, length in zip(parents, node.attributes["lengths"], strict=True):
            start, end = end, end + length
            parts.append(None if parent is None else take_range(g, axis, start, end))
        return parts

    def jvp(self, node: Node, tangents: Sequence[Value | None], residuals: dict[str, Value]) -> Value | None:
        before, after = node.shape[: node.attributes["axis"]], node.shape[node.attributes["axis"] + 1 :]
        parts = [
            filled(0, (*before, length, *after), node.dtype) if tangent is None else tangent
            for tangent, length in zip(tangents, node.attributes["lengths"], strict=True)
        ]
        return concat(*parts, **node.attributes)

    def batch(self, values: Sequence[Value], mapped: Sequence[bool], size: int, **attributes: Any) -> Value:
        return concat(*spread(values, mapped, size), axis=attributes["axis"] + 1, lengths=attributes["lengths"])


reshape = register(Reshape())
permute = register(Permute())
slice_ = register(Slice())
pad = register(Pad())
flip = register(Flip())
concat = register(Concat())
