"""Pooling: a window moves over images, and its elements are combined, or get a number added, in vectors of places.

Along the last axis, places at which all of the window is inside the image are walked in vectors, those at the edges one
by one. Along the other axes the window is cut off at the image's edges, so padding is never read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir

from clearprop.compiler.native.code import I32, I64, Code, Value, constant, index, scalar_type
from clearprop.compiler.native.copying import fill
from clearprop.compiler.native.counting import is_better
from clearprop.compiler.native.elements import Element, extreme
from clearprop.compiler.native.integers import Integer, Integers
from clearprop.compiler.native.single import Array, NodeWriter, at, joined, moved, nest, spans
from clearprop.primitives.windows import Moves

_MOST_TAPS = 16
"""Elements of a window that are written one after the other, without a loop."""

State = list[Value]
"""What is carried from one element of the window to the next; empty before the first."""


class Window:
    """One axis along which a window moves.

    Attributes:
        length, count: of the image, and of places.
        size, stride, dilation, low: of the window, and how it moves; ``low`` is the padding before the image.
        first, last: at the places from one to the other, all of the window is inside the image.
    """

    def __init__(self, code: Code, length: int, count: int, size: int, moves: Moves, axis: int) -> None:
        self.integers, self.length, self.count, self.size = Integers(code), length, count, size
        self.stride, self.dilation, self.low = moves.stride[axis], moves.dilation[axis], moves.padding[axis][0]
        first = -(-self.low // self.stride)
        last = (length - 1 - (size - 1) * self.dilation + self.low) // self.stride + 1
        self.first, self.last = (first, min(count, last)) if first < min(count, last) else (0, 0)

    @property
    def is_inside(self) -> bool:
        """Whether all of the window is inside the image at all places."""
        return (self.first, self.last) == (0, self.count)

    def start(self, place: Integer) -> Integer:
        """Where the window's first element is, at a place; it may be outside the image."""
        return self.integers.add(self.integers.times(place, self.stride), -self.low)

    def taps(self, place: Integer) -> tuple[Integer, Integer]:
        """Which elements of the window are inside the image, at a place: from one to the other."""
        if self.is_inside:
            return 0, self.size
        start = self.start(place)
        return self._taps_before(0, start), self.integers.smaller(self.size, self._taps_before(self.length, start))

    def _taps_before(self, end: int, start: Integer) -> Integer:
        """How many elements of the window are before an end, if the window is long enough."""
        integers = self.integers
        distance = integers.add(integers.sub(0, start), end + self.dilation - 1)
        return integers.quotient(integers.larger(distance, 0), self.dilation)

    def places(self, tap: int) -> tuple[int, int]:
        """At which places an element of the window is inside the image: from one to the other."""
        bounds = (-(-(end + self.low - tap * self.dilation) // self.stride) for end in (0, self.length))
        first, last = (min(max(0, bound), self.count) for bound in bounds)
        return first, max(first, last)


class _Images(NodeWriter):
    """What pooling and its transpose share: images, and places of a window in them."""

    def windows(self, code: Code, lengths: Sequence[int], counts: Sequence[int]) -> list[Window]:
        """One for each axis."""
        sizes, moves = self.attributes["window"], self.attributes["moves"]
        each = enumerate(zip(lengths, counts, sizes, strict=True))
        return [Window(code, length, count, size, moves, axis) for axis, (length, count, size) in each]

    def each_image(self, code: Code, x: Array, z: Array, body: Callable[[Array, Array], None]) -> None:
        """Call the body with one channel of one image, of either array."""
        shape, (steps, to_steps) = joined(x.shape[:2], x.strides[:2], z.strides[:2])

        def one(place: list[Integer]) -> None:
            body(*(a.part(2).moved(code, at(code, place, s)) for a, s in ((x, steps), (z, to_steps))))

        nest(code, shape, one)


class Pool(_Images):
    """max_pool, max_pool_positions and sum_pool."""

    def body(self, code: Code, operands: Sequence[Array], output: Array) -> None:
        (x,) = operands
        self.dtype, self.positions = x.dtype, self.node.name == "max_pool_positions"
        wide = self.dtype.itemsize == 8 or math.prod(x.shape[2:]) >= 2**31
        self.kind = np.dtype(np.int64 if wide else np.int32)
        self.axes = self.windows(code, x.shape[2:], output.shape[2:])
        self.each_image(code, x, output, lambda image, places: self._image(code, image, places))

    def _image(self, code: Code, x: Array, z: Array) -> None:
        lanes = self.machine.lanes(self.dtype) if x.strides[-1] == 1 else 1
        if self.positions:
            lanes = min(lanes, self.machine.lanes(self.kind))
        *outer, last = self.axes
        integers = Integers(code)

        def row(place: list[Integer]) -> None:
            taps = [axis.taps(at_place) for axis, at_place in zip(outer, place, strict=True)]

            def span(i: Integer, width: int, inside: bool) -> None:
                bounds = [*taps, (0, last.size) if inside else last.taps(i)]
                self._place(code, x, z, [*place, i], bounds, width)

            for first, end in ((0, last.first), (last.last, last.count)):
                integers.each(first, end, 1, lambda i: span(i, 1, False))
            if last.first < last.last:
                spans(
                    code, last.last - last.first, lanes, lambda i, n: span(integers.add(i, last.first), n, True),
                    may_repeat=True, unrolled=1,
                )  # fmt: skip

        nest(code, z.shape[:-1], row)

    def _place(
        self, code: Code, x: Array, z: Array, place: list[Integer], taps: list[tuple[Integer, Integer]], lanes: int
    ) -> None:
        """The window at one place, and at those behind it, one in each lane."""
        starts = [axis.start(i) for axis, i in zip(self.axes, place, strict=True)]
        corner = x.moved(code, at(code, starts, x.strides))
        known = all(isinstance(bound, int) for pair in taps for bound in pair)
        unrolled = known and math.prod(axis.size for axis in self.axes) <= _MOST_TAPS
        state = [] if unrolled and all(a < b for a, b in taps) else self._before(code, taps, lanes)
        state = self._walk(code, corner, taps, [], state, lanes, unrolled)
        target = moved(code, z.pointer, z.dtype, at(code, place, z.strides))
        code.store(self._result(code, state, starts, lanes), target, z.dtype)

    def _walk(
        self, code: Code, corner: Array, taps: list[tuple[Integer, Integer]], at_taps: list[Integer], state: State,
        lanes: int, unrolled: bool,
    ) -> State:  # fmt: skip
        """All elements of the window from this axis on."""
        axis = len(at_taps)
        if axis == len(taps):
            return self._tap(code, corner, at_taps, state, lanes)
        first, last = taps[axis]
        if unrolled:
            for k in range(first, last):
                state = self._walk(code, corner, taps, [*at_taps, k], state, lanes, True)
            return state
        ends = [self.axes[0].integers.value(bound) for bound in (first, last)]
        return code.loop(
            *ends, 1, lambda k, before: self._walk(code, corner, taps, [*at_taps, k], before, lanes, False), state
        )

    def _tap(self, code: Code, corner: Array, taps: list[Integer], state: State, lanes: int) -> State:
        """One element of the window."""
        steps = [stride * axis.dilation for stride, axis in zip(corner.strides, self.axes, strict=True)]
        pointer = moved(code, corner.pointer, self.dtype, at(code, taps, steps))
        value = _load_every(code, pointer, self.dtype, corner.strides[-1] * self.axes[-1].stride, lanes)
        where = [code.splat(self._narrow(code, self._flat(code, taps)), lanes)] if self.positions else []
        if not state:
            return [value, *where]
        b, element = code.builder, Element(code, [], [self.dtype], self.dtype, lanes, {})
        if self.node.name == "sum_pool":
            return [(b.fadd if self.dtype.kind == "f" else b.add)(state[0], value)]
        if not self.positions:
            return [extreme(element, ">", value, state[0])]
        better = is_better(element, ">", value, state[0])
        return [b.select(better, new, old) for new, old in zip((value, *where), state, strict=True)]

    def _before(self, code: Code, taps: list[tuple[Integer, Integer]], lanes: int) -> State:
        """What changes nothing: the smallest number, at the first element inside; or no number at all."""
        if self.node.name == "sum_pool":
            return [constant(self.dtype, -0.0 if self.dtype.kind == "f" else 0, lanes)]
        lowest = -np.inf if self.dtype.kind == "f" else np.iinfo(self.dtype).min
        best = constant(self.dtype, lowest, lanes)
        if not self.positions:
            return [best]
        first = self._flat(code, [tap for tap, _ in taps])
        return [best, code.splat(self._narrow(code, first), lanes)]

    def _flat(self, code: Code, taps: Sequence[Integer]) -> Integer:
        """How far from the window's first element another one is, counted through the image row by row."""
        return at(code, taps, [axis.dilation * step for axis, step in zip(self.axes, self._row_steps(), strict=True)])

    def _row_steps(self) -> list[int]:
        return [math.prod(axis.length for axis in self.axes[i + 1 :]) for i in range(len(self.axes))]

    def _result(self, code: Code, state: State, starts: list[Integer], lanes: int) -> Value:
        if not self.positions:
            return state[0]
        b, step = code.builder, self.axes[-1].stride
        corner = code.splat(Integers(code).value(at(code, starts, self._row_steps())), lanes)
        if lanes > 1:
            counted = [lane * step for lane in range(lanes)]
            corner = b.add(corner, ir.Constant(ir.VectorType(I64, lanes), counted))
        where = state[1]
        if self.kind.itemsize < 8:
            where = b.sext(where, I64 if lanes == 1 else ir.VectorType(I64, lanes))
        return b.add(corner, where)

    def _narrow(self, code: Code, x: Integer) -> Value:
        value = Integers(code).value(x)
        return value if self.kind.itemsize == 8 else code.builder.trunc(value, scalar_type(self.kind))


def _load_every(code: Code, pointer: Value, dtype: Any, stride: int, lanes: int) -> Value:
    """Numbers a stride apart. Every second one: of two vectors, of which the other begins one number earlier."""
    if lanes == 1 or stride == 1:
        return code.load(pointer, dtype, lanes)
    if stride != 2:
        return code.load_apart(pointer, dtype, stride, lanes)
    low, high = code.load(pointer, dtype, lanes), code.load(moved(code, pointer, dtype, lanes - 1), dtype, lanes)
    order = [2 * lane if 2 * lane < lanes else 2 * lane + 1 for lane in range(lanes)]
    return code.builder.shuffle_vector(low, high, ir.Constant(ir.VectorType(I32, lanes), order))


# The transpose of the sum ---------------------------------------------------------------------------------------------


class SpreadPool(_Images):
    """Zeros, and then the number of each place added to all elements of the window there.

    Elements of the window that stand side by side, as many as the window moves by, fill the image without gaps: they
    are added in vectors in which each number is repeated.
    """

    def body(self, code: Code, operands: Sequence[Array], output: Array) -> None:
        (x,) = operands
        self.dtype = x.dtype
        self.axes = self.windows(code, output.shape[2:], x.shape[2:])
        self.each_image(code, x, output, lambda places, image: self._image(code, places, image))

    def _image(self, code: Code, x: Array, z: Array) -> None:
        fill(code, self.machine, z)
        *outer, _ = self.axes

        def row(place: list[Integer]) -> None:
            read = x.moved(code, at(code, place, x.strides))
            taps = [axis.taps(i) for axis, i in zip(outer, place, strict=True)]
            starts = [axis.start(i) for axis, i in zip(outer, place, strict=True)]

            def one(at_taps: list[Integer]) -> None:
                if len(at_taps) < len(outer):
                    first, last = taps[len(at_taps)]
                    outer[0].integers.each(first, last, 1, lambda k: one([*at_taps, k]))
                    return
                steps = [stride * axis.dilation for stride, axis in zip(z.strides, outer, strict=False)]
                offset = at(code, starts, z.strides, at(code, at_taps, steps))
                self._row(code, read, z.moved(code, offset))

            one([])

        nest(code, x.shape[:-1], row)

    def _row(self, code: Code, x: Array, z: Array) -> None:
        """All places along the last axis."""
        axis, tap = self.axes[-1], 0
        while tap < axis.size:
            group = axis.stride if axis.dilation == 1 and tap + axis.stride <= axis.size else 1
            taps = range(tap, tap + group)
            bounds = [axis.places(k) for k in taps]
            first, last = max(low for low, _ in bounds), min(high for _, high in bounds)
            self._add(code, x, z, tap, group, first, last)
            for k, (low, high) in zip(taps, bounds, strict=True):
                self._add(code, x, z, k, 1, low, min(first, high))
                self._add(code, x, z, k, 1, max(last, low), high)
            tap += group

    def _add(self, code: Code, x: Array, z: Array, tap: int, group: int, first: int, last: int) -> None:
        """The numbers of some places, to so many elements of the window, from one on."""
        if first >= last:
            return
        axis, b, integers = self.axes[-1], code.builder, Integers(code)
        can_be_wide = group == axis.stride and x.strides[-1] == 1
        combine = b.fadd if self.dtype.kind == "f" else b.add

        def add(target: Value, value: Value, lanes: int) -> None:
            code.store(combine(code.load(target, self.dtype, lanes), value), target, self.dtype)

        def span(i: Integer, lanes: int) -> None:
            place = integers.add(i, first)
            values = code.load(moved(code, x.pointer, self.dtype, at(code, [place], x.strides[-1:])), self.dtype, lanes)
            start = integers.add(axis.start(place), tap * axis.dilation)
            for part in range(group):
                offset = integers.add(start, part * lanes)
                add(moved(code, z.pointer, self.dtype, offset), _repeated(code, values, group, part, lanes), lanes)

        spans(code, last - first, self.machine.lanes(self.dtype) if can_be_wide else 1, span)


def _repeated(code: Code, values: Value, times: int, part: int, lanes: int) -> Value:
    """Each number so many times, one after the other: a part of that, as long as the vector."""
    if lanes == 1 or times == 1:
        return values
    order = [(part * lanes + lane) // times for lane in range(lanes)]
    return code.builder.shuffle_vector(values, values, ir.Constant(ir.VectorType(I32, lanes), order))
