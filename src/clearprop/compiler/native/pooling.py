"""Kernels of pooling, of its transpose, and of the gradient of a maximum."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from llvmlite import ir

from clearprop.compiler.native.along_axis import AddAlongAxis
from clearprop.compiler.native.code import I32, Code, Value, constant, value_type
from clearprop.compiler.native.copying import fill
from clearprop.compiler.native.integers import Integer, Integers
from clearprop.compiler.native.kernels import Fusion, Kernel
from clearprop.compiler.native.machine import Machine
from clearprop.compiler.native.single import Array, NodeWriter, at, joined, moved, nest, spans
from clearprop.compiler.native.sliding import Sliding, Window
from clearprop.compiler.native.views import View, row_strides
from clearprop.graph import Node

_HOW = {"max_pool": "max", "max_pool_positions": "positions", "sum_pool": "sum"}


class _Images(NodeWriter):
    """What pooling and its transpose share: images, and places of a window in them."""

    def __init__(self, fusion: Fusion, kernel: Kernel, machine: Machine) -> None:
        super().__init__(fusion, kernel, machine)
        self.shared = machine.shares(math.prod(max(self.node.shape, self.views[0].shape, key=math.prod)))

    def windows(self, lengths: Sequence[int], counts: Sequence[int]) -> list[Window]:
        """One for each axis."""
        sizes, moves = self.attributes["window"], self.attributes["moves"]
        low = [first for first, _ in moves.padding]
        settings = zip(lengths, counts, sizes, moves.stride, moves.dilation, low, strict=True)
        return [Window(*setting) for setting in settings]

    def each_image(self, code: Code, x: Array, z: Array, body: Callable[[Array, Array], None]) -> None:
        """Call the body with one channel of one image, of either array; threads share them."""
        shape, (steps, to_steps) = joined(x.shape[:2], x.strides[:2], z.strides[:2])

        def one(place: list[Integer]) -> None:
            body(*(a.part(2).moved(code, at(code, place, s)) for a, s in ((x, steps), (z, to_steps))))

        nest(code, shape, one, self.team)


class Pool(_Images):
    """max_pool, max_pool_positions and sum_pool."""

    def body(self, code: Code, operands: Sequence[Array], output: Array) -> None:
        (x,) = operands
        axes = self.windows(x.shape[2:], output.shape[2:])
        self.each_image(code, x, output, Sliding(code, self.machine, _HOW[self.node.name], x.dtype, axes).image)


class SpreadPool(_Images):
    """Zeros, and then the number of each place added to all elements of the window there.

    A window that moves by one element: each element of the image collects from the places whose window it is in, which
    is a window, too. Else elements of the window that stand side by side, as many as the window moves by, fill the
    image without gaps: they are added in vectors in which each number is repeated.
    """

    def body(self, code: Code, operands: Sequence[Array], output: Array) -> None:
        (x,) = operands
        self.dtype = x.dtype
        self.axes = self.windows(output.shape[2:], x.shape[2:])
        if all(axis.stride == 1 for axis in self.axes):
            turned = [axis.transposed() for axis in self.axes]
            self.each_image(code, x, output, Sliding(code, self.machine, "sum", x.dtype, turned).image)
            return
        one_place = all(axis.is_image for axis in self.axes)
        self.each_image(
            code, x, output, lambda places, image: (self._whole if one_place else self._image)(code, places, image)
        )

    def _whole(self, code: Code, x: Array, z: Array) -> None:
        """One place, with all of the image in it."""
        number = code.load(x.pointer, self.dtype)

        def span(i: Integer, lanes: int) -> None:
            code.store(code.splat(number, lanes), moved(code, z.pointer, self.dtype, i), self.dtype)

        spans(code, z.size, self.machine.lanes(self.dtype), span, may_repeat=True)

    def _image(self, code: Code, x: Array, z: Array) -> None:
        fill(code, self.machine, z)
        *outer, _ = self.axes
        integers = Integers(code)

        def row(place: list[Integer]) -> None:
            read = x.moved(code, at(code, place, x.strides))
            taps = [axis.taps(integers, i) for axis, i in zip(outer, place, strict=True)]
            starts = [axis.start(integers, i) for axis, i in zip(outer, place, strict=True)]

            def one(at_taps: list[Integer]) -> None:
                if len(at_taps) < len(outer):
                    first, last = taps[len(at_taps)]
                    integers.each(first, last, 1, lambda k: one([*at_taps, k]))
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
            first = max(low for low, _ in bounds)
            last = max(first, min(high for _, high in bounds))
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
            start = integers.add(axis.start(integers, place), tap * axis.dilation)
            for part in range(group):
                offset = integers.add(start, part * lanes)
                add(moved(code, z.pointer, self.dtype, offset), _repeated(code, values, group, part, lanes), lanes)

        spans(code, last - first, self.machine.lanes(self.dtype) if can_be_wide else 1, span)


class SpreadMaxima(NodeWriter):
    """The gradient of max_pool where windows cover the image without gaps, and do not overlap.

    An element of the image receives the number of the place whose window it is in if that place has chosen it, else 0.
    So each is written once, in vectors, in order of memory.
    """

    def __init__(self, fusion: Fusion, kernel: Kernel, machine: Machine) -> None:
        super().__init__(fusion, kernel, machine)
        self.shared = machine.shares(math.prod(self.node.shape))
        positions = self.views[1].source
        self.counts, self.window = positions.shape[2:], positions.attributes["window"]
        self.key = (*self.key, "pool", self.counts, self.window)

    @staticmethod
    def is_possible(fusion: Fusion, node: Node) -> bool:
        """Whether that is what a node of add_along_axis computes."""
        x, positions = fusion.reads(node)
        pool = positions.source
        if pool.name != "max_pool_positions" or math.prod(node.shape) >= 2**31 or node.dtype.kind not in "fiu":
            return False
        n, c, *counts = pool.shape
        window, moves = pool.attributes["window"], pool.attributes["moves"]
        plain = moves._replace(stride=window, padding=((0, 0),) * len(window), dilation=(1,) * len(window))
        lengths = tuple(count * size for count, size in zip(counts, window, strict=True))
        places = (n, c, math.prod(counts))
        lies_right = positions == View(pool, places, row_strides(places)) and x.shape == places
        is_image = pool.parents[0] is not None and pool.parents[0].shape[2:] == lengths
        is_along = node.attributes["axis"] == 2 and node.attributes["length"] == math.prod(lengths)
        return moves == plain and lies_right and is_image and is_along and (x.strides[2] == 1 or places[2] == 1)

    def body(self, code: Code, operands: Sequence[Array], output: Array) -> None:
        lengths = tuple(count * size for count, size in zip(self.counts, self.window, strict=True))
        inner, to_inner = row_strides(self.counts), row_strides(lengths)
        arrays = [*operands, output]
        shape, steps = joined(self.node.shape[:2], *(array.strides[:2] for array in arrays))
        *leading, width = self.counts
        integers = Integers(code)

        def image(place: list[Integer]) -> None:
            x, positions, z = (
                array.moved(code, at(code, place, step)) for array, step in zip(arrays, steps, strict=True)
            )

            def row(within: list[Integer]) -> None:
                at_place, at_tap = within[: len(leading)], within[len(leading) :]
                start = at(code, at_place, inner)
                line = [
                    integers.add(integers.times(i, size), tap)
                    for i, size, tap in zip(at_place, self.window, at_tap, strict=False)
                ]
                first = at(code, line, to_inner)
                self._row(code, x.moved(code, start), positions.moved(code, start), z, first, width)

            nest(code, (*leading, *self.window[:-1]), row)

        nest(code, shape, image, self.team)

    def _row(self, code: Code, x: Array, positions: Array, z: Array, first: Integer, width: int) -> None:
        """All places along the last axis, and the row of the image, beginning at its first element, that they see."""
        b, integers, times = code.builder, Integers(code), self.window[-1]

        def span(i: Integer, lanes: int) -> None:
            numbers = code.load(moved(code, x.pointer, x.dtype, i), x.dtype, lanes)
            wide = code.load(moved(code, positions.pointer, positions.dtype, i), positions.dtype, lanes)
            chosen = b.trunc(wide, value_type(np.int32, lanes))
            begin = integers.add(first, integers.times(i, times))
            for part in range(times):
                place = integers.add(begin, part * lanes)
                here = code.splat(b.trunc(integers.value(place), I32), lanes)
                if lanes > 1:
                    here = b.add(here, ir.Constant(ir.VectorType(I32, lanes), list(range(lanes))))
                is_here = b.icmp_signed("==", _repeated(code, chosen, times, part, lanes), here)
                number = _repeated(code, numbers, times, part, lanes)
                zero = constant(x.dtype, 0, lanes)
                value = b.select(is_here, number, zero)
                value = b.fadd(value, zero) if x.dtype.kind == "f" else value  # what is added to 0 is never -0
                code.store(value, moved(code, z.pointer, z.dtype, place), z.dtype)

        spans(code, width, self.machine.lanes(x.dtype), span, may_repeat=True, unrolled=1)


def add_along_axis_writer(fusion: Fusion, kernel: Kernel, machine: Machine) -> NodeWriter | None:
    """Who writes an add_along_axis; None if nobody can."""
    if SpreadMaxima.is_possible(fusion, kernel.node):
        return SpreadMaxima.of(fusion, kernel, machine)
    return AddAlongAxis.of(fusion, kernel, machine)


def _repeated(code: Code, values: Value, times: int, part: int, lanes: int) -> Value:
    """Each number so many times, one after the other: a part of that, as long as the vector."""
    if lanes == 1 or times == 1:
        return values
    order = [(part * lanes + lane) // times for lane in range(lanes)]
    return code.builder.shuffle_vector(values, values, ir.Constant(ir.VectorType(I32, lanes), order))
