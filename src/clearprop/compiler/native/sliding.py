"""A window that slides over an image, and whose elements are combined at each place: in vectors of places.

Along the last axis, places at which all of the window is inside the image are walked in vectors, those at the edges one
by one. Along the other axes the window is cut off at the image's edges, so padding is never read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from llvmlite import ir

from clearprop.compiler.native.code import I32, I64, Code, Value, constant, index, scalar_type
from clearprop.compiler.native.counting import is_better
from clearprop.compiler.native.elements import Element, extreme
from clearprop.compiler.native.integers import Integer, Integers
from clearprop.compiler.native.machine import Machine
from clearprop.compiler.native.single import Array, at, joined, moved, spans

_MOST_TAPS = 16
"""Elements of a window that are written one after the other, without a loop."""

State = list[Value]
"""What is carried from one element of the window to the next; empty before the first."""

Bounds = tuple[Integer, Integer]
"""From one to the other."""


class Window:
    """One axis along which a window moves.

    Attributes:
        length, count: of the image, and of places.
        size, stride, dilation: of the window.
        low: how far before the image the window begins; if negative, behind its first element.
        first, last: at the places from one to the other, all of the window is inside the image.
    """

    def __init__(self, length: int, count: int, size: int, stride: int, dilation: int, low: int) -> None:
        self.length, self.count, self.size = length, count, size
        self.stride, self.dilation, self.low = stride, dilation, low
        first = max(0, -(-low // stride))
        last = min(count, (length - 1 - (size - 1) * dilation + low) // stride + 1)
        self.first, self.last = (first, last) if first < last else (0, 0)

    def parts(self) -> list[Bounds]:
        """The places in up to three parts, of which one has all of the window inside the image."""
        bounds = (0, self.first), (self.first, self.last), (self.last, self.count)
        return [part for part in bounds if part[0] < part[1]]

    def is_inside(self, places: Bounds) -> bool:
        """Whether all of the window is inside the image at these places."""
        return places == (self.first, self.last)

    def start(self, integers: Integers, place: Integer) -> Integer:
        """Where the window's first element is, at a place; it may be outside the image."""
        return integers.add(integers.times(place, self.stride), -self.low)

    def taps(self, integers: Integers, place: Integer) -> Bounds:
        """Which elements of the window are inside the image, at a place."""
        start = self.start(integers, place)
        first, last = (self._taps_before(integers, end, start) for end in (0, self.length))
        return first, integers.smaller(self.size, last)

    def _taps_before(self, integers: Integers, end: int, start: Integer) -> Integer:
        """How many elements of the window are before an end, if the window is long enough."""
        distance = integers.add(integers.sub(0, start), end + self.dilation - 1)
        return integers.quotient(integers.larger(distance, 0), self.dilation)

    def places(self, tap: int) -> tuple[int, int]:
        """At which places an element of the window is inside the image: from one to the other."""
        bounds = (-(-(end + self.low - tap * self.dilation) // self.stride) for end in (0, self.length))
        first, last = (min(max(0, bound), self.count) for bound in bounds)
        return first, max(first, last)

    @property
    def is_image(self) -> bool:
        """Whether there is one place, and the window there is the image."""
        return (self.first, self.last, self.count, self.size) == (0, 1, 1, self.length)

    def transposed(self) -> Window:
        """The window that collects, at each element of the image, what this one gives to it; for a stride of 1."""
        low = (self.size - 1) * self.dilation - self.low
        return Window(self.count, self.length, self.size, 1, self.dilation, low)


class Sliding:
    """What is computed at each place.

    Args:
        how: "max", "positions" (where the maximum is, counted through the image) or "sum".
        axes: one for each of the image's.
    """

    def __init__(self, code: Code, machine: Machine, how: str, dtype: np.dtype[Any], axes: Sequence[Window]) -> None:
        self.code, self.machine, self.how, self.dtype, self.axes = code, machine, how, dtype, axes
        self.integers = Integers(code)
        self.row_steps = [math.prod(axis.length for axis in axes[i + 1 :]) for i in range(len(axes))]
        is_large = math.prod(axis.length for axis in axes) >= 2**31
        self.kind = np.dtype(np.int64 if is_large or dtype.itemsize == 8 else np.int32)

    def image(self, x: Array, z: Array) -> None:
        """All places: an image without batch and channels, and where the results are written."""
        if self.how != "positions" and self._is_one_row(x):
            self.code.store(self._row(x), z.pointer, z.dtype)
            return
        *outer, _ = self.axes
        for parts in product(*(axis.parts() for axis in outer)):
            inside = [axis.is_inside(part) for axis, part in zip(outer, parts, strict=True)]
            self._places(parts, partial(self._last_axis, x, z, inside))

    def _places(self, parts: Sequence[Bounds], body: Callable[[list[Integer]], None]) -> None:
        def walk(place: list[Integer]) -> None:
            if len(place) == len(parts):
                body(place)
                return
            self.integers.each(*parts[len(place)], 1, lambda i: walk([*place, i]))

        walk([])

    def _last_axis(self, x: Array, z: Array, inside: Sequence[bool], place: list[Integer]) -> None:
        lanes = self.machine.lanes(self.dtype) if x.strides[-1] == 1 else 1
        if self.how == "positions":
            lanes = min(lanes, self.machine.lanes(self.kind))
        *outer, last = self.axes
        taps = [
            (0, axis.size) if is_inside else axis.taps(self.integers, i)
            for axis, i, is_inside in zip(outer, place, inside, strict=True)
        ]

        def edge(i: Integer) -> None:
            self._place(x, z, [*place, i], [*taps, last.taps(self.integers, i)], 1)

        def span(i: Integer, width: int) -> None:
            self._place(x, z, [*place, self.integers.add(i, last.first)], [*taps, (0, last.size)], width)

        for part in last.parts():
            if last.is_inside(part):
                spans(self.code, part[1] - part[0], lanes, span, may_repeat=True, unrolled=1)
            else:
                self.integers.each(*part, 1, edge)

    def _place(self, x: Array, z: Array, place: list[Integer], taps: list[Bounds], lanes: int) -> None:
        """The window at one place, and at those behind it, one in each lane."""
        code = self.code
        starts = [axis.start(self.integers, i) for axis, i in zip(self.axes, place, strict=True)]
        corner = x.moved(code, at(code, starts, x.strides))
        known = all(isinstance(bound, int) for pair in taps for bound in pair)
        unrolled = known and math.prod(axis.size for axis in self.axes) <= _MOST_TAPS
        state = [] if unrolled and all(a < b for a, b in taps) else self._before(taps, lanes)
        state = self._walk(corner, taps, [], state, lanes, unrolled)
        code.store(
            self._result(state, starts, lanes), moved(code, z.pointer, z.dtype, at(code, place, z.strides)), z.dtype
        )

    def _walk(
        self, corner: Array, taps: list[Bounds], at_taps: list[Integer], state: State, lanes: int, unrolled: bool
    ) -> State:
        """All elements of the window from this axis on."""
        if len(at_taps) == len(taps):
            return self._tap(corner, at_taps, state, lanes)

        def inner(k: Integer, before: State) -> State:
            return self._walk(corner, taps, [*at_taps, k], before, lanes, unrolled)

        first, last = taps[len(at_taps)]
        if not unrolled:
            return self.code.loop(self.integers.value(first), self.integers.value(last), 1, inner, state)
        for k in range(first, last):
            state = inner(k, state)
        return state

    # One element --------------------------------------------------------------------------------------------------

    def _tap(self, corner: Array, taps: list[Integer], state: State, lanes: int) -> State:
        """One element of the window."""
        code, b = self.code, self.code.builder
        steps = [stride * axis.dilation for stride, axis in zip(corner.strides, self.axes, strict=True)]
        pointer = moved(code, corner.pointer, self.dtype, at(code, taps, steps))
        value = load_every(code, pointer, self.dtype, corner.strides[-1] * self.axes[-1].stride, lanes)
        where = [self._splat(self._flat(taps), lanes)] if self.how == "positions" else []
        if not state:
            return [value, *where]
        if not where:
            return [self._combined(value, state[0], lanes)]
        better = is_better(self._element(lanes), ">", value, state[0])
        return [b.select(better, new, old) for new, old in zip((value, *where), state, strict=True)]

    def _combined(self, x: Value, y: Value, lanes: int) -> Value:
        b = self.code.builder
        if self.how == "sum":
            return (b.fadd if self.dtype.kind == "f" else b.add)(y, x)
        return extreme(self._element(lanes), ">", x, y)

    def _element(self, lanes: int) -> Element:
        return Element(self.code, [], [self.dtype], self.dtype, lanes, {})

    def _before(self, taps: list[Bounds], lanes: int) -> State:
        """What changes nothing: the smallest number, at the first element inside; or no number at all."""
        if self.how == "sum":
            return [constant(self.dtype, -0.0 if self.dtype.kind == "f" else 0, lanes)]
        lowest = -np.inf if self.dtype.kind == "f" else np.iinfo(self.dtype).min
        best = constant(self.dtype, lowest, lanes)
        return [best, self._splat(self._flat([tap for tap, _ in taps]), lanes)] if self.how == "positions" else [best]

    def _flat(self, taps: Sequence[Integer]) -> Integer:
        """How far from the window's first element another one is, counted through the image row by row."""
        return at(self.code, taps, [axis.dilation * step for axis, step in zip(self.axes, self.row_steps, strict=True)])

    def _splat(self, x: Integer, lanes: int) -> Value:
        value = self.integers.value(x)
        narrow = value if self.kind.itemsize == 8 else self.code.builder.trunc(value, scalar_type(self.kind))
        return self.code.splat(narrow, lanes)

    def _result(self, state: State, starts: list[Integer], lanes: int) -> Value:
        if self.how != "positions":
            return state[0]
        b, step = self.code.builder, self.axes[-1].stride
        corner = self.code.splat(self.integers.value(at(self.code, starts, self.row_steps)), lanes)
        if lanes > 1:
            counted = [lane * step for lane in range(lanes)]
            corner = b.add(corner, ir.Constant(ir.VectorType(I64, lanes), counted))
        where = state[1]
        if self.kind.itemsize < 8:
            where = b.sext(where, I64 if lanes == 1 else ir.VectorType(I64, lanes))
        return b.add(corner, where)

    # One place, the whole image -----------------------------------------------------------------------------------

    def _is_one_row(self, x: Array) -> bool:
        """Whether there is one place, the window is the image, and its elements are neighbours."""
        _, (steps,) = joined(x.shape, x.strides)
        return steps == (1,) and all(axis.is_image for axis in self.axes)

    def _row(self, x: Array) -> Value:
        code, count = self.code, x.size
        lanes = min(self.machine.lanes(self.dtype), 1 << (count.bit_length() - 1))
        whole = count - count % lanes

        def step(i: Integer, state: State) -> State:
            return [
                self._combined(code.load(moved(code, x.pointer, self.dtype, i), self.dtype, lanes), state[0], lanes)
            ]

        (total,) = code.loop(index(lanes), index(whole), lanes, step, [code.load(x.pointer, self.dtype, lanes)])
        result = code.across(total, lambda a, b: self._combined(b, a, _lanes_of(a)))
        for i in range(whole, count):
            result = self._combined(code.load(moved(code, x.pointer, self.dtype, i), self.dtype), result, 1)
        return result


def _lanes_of(value: Value) -> int:
    return value.type.count if isinstance(value.type, ir.VectorType) else 1


def load_every(code: Code, pointer: Value, dtype: Any, stride: int, lanes: int) -> Value:
    """Numbers a stride apart. Every second one: of two vectors, of which the other begins one number earlier."""
    if lanes == 1 or stride == 1:
        return code.load(pointer, dtype, lanes)
    if stride != 2:
        return code.load_apart(pointer, dtype, stride, lanes)
    low, high = code.load(pointer, dtype, lanes), code.load(moved(code, pointer, dtype, lanes - 1), dtype, lanes)
    order = [2 * lane if 2 * lane < lanes else 2 * lane + 1 for lane in range(lanes)]
    return code.builder.shuffle_vector(low, high, ir.Constant(ir.VectorType(I32, lanes), order))
