"""The gradient by weights of convolutions whose groups have one channel, or one output.

Vectors run along the last spatial axis. For each channel and output, sums for some elements of the window are kept in
registers, a vector of partial sums each, while images and upstream gradients pass; the lanes are added up in the end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from llvmlite import ir

from clearprop.compiler.native.code import I1, I32, Code, Value, constant, index, value_type
from clearprop.compiler.native.depthwise import nested
from clearprop.compiler.native.integers import Integer, Integers
from clearprop.compiler.native.kernels import Fusion, Kernel
from clearprop.compiler.native.lanes import parts_of
from clearprop.compiler.native.machine import Machine
from clearprop.compiler.native.single import Array, DType, at, moved, nest
from clearprop.compiler.native.sliding import load_every
from clearprop.compiler.native.summing import Blocking, Summing

_MOST = 12
"""Sums that are kept in registers."""


class DepthwiseWeights(Summing):
    """Writes one."""

    def __init__(self, fusion: Fusion, kernel: Kernel, machine: Machine) -> None:
        super().__init__(fusion, kernel, machine)
        width, lanes = self.places[-1], machine.lanes(self.node.dtype)
        self.lanes = lanes if width >= lanes else 1 << (width - 1).bit_length()
        beyond = max(0, self.lanes - width) * self.moves.stride[-1]
        copies = self.is_padded or self.views[0].strides[-1] != 1 or beyond > 0
        runs = self.runs_for(copies_x=copies, copies_y=False)
        source = tuple(self.surrounded(run, last=False, more=beyond) for run in runs) if copies else ()
        self.blocking = Blocking(runs, source)
        self.reserve_blocks(math.prod(self.node.shape) * self.lanes)
        self.held = 1  # so many axes of the window, the last ones, have all their sums in registers
        while self.held < len(self.window) and math.prod(self.window[-self.held - 1 :]) <= _MOST:
            self.held += 1

    def begin(self, code: Code, result: Array) -> Array:
        """A vector for each."""
        shape = (*result.shape, self.lanes)
        strides = tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
        sums = self.sums(code, shape, strides)
        self.clear(code, sums)
        return sums

    def end(self, code: Code, sums: Array, result: Array) -> None:
        """Add up the sets, and then the lanes."""

        def one(place: list[Integer]) -> None:
            total = code.across(self.total(code, sums, at(code, place, sums.strides), self.lanes), code.builder.fadd)
            code.store(total, result.moved(code, at(code, place, result.strides)).pointer, result.dtype)

        nest(code, result.shape, one, self.team)

    def add(self, code: Code, number: int, x: Array, y: Array, sums: Array) -> None:
        """Channel after channel; of the window, those elements at once that are kept in registers."""
        integers = Integers(code)
        looped = len(self.window) - self.held
        shape = (self.groups, self.outputs, self.channels, *self.window[:looped])

        def one(place: list[Integer]) -> None:
            group, output, channel, *taps = place
            of_x = integers.times(integers.add(integers.times(group, self.channels), channel), x.strides[1])
            of_y = integers.times(integers.add(integers.times(group, self.outputs), output), y.strides[1])
            steps = [step * dilation for step, dilation in zip(x.strides[2:], self.moves.dilation, strict=True)]
            here = x.moved(code, integers.add(of_x, at(code, taps, steps)))
            target = sums.moved(code, at(code, place, sums.strides))
            self._taps(code, number, here, y.moved(code, of_y), target.part(3 + looped), steps[looped:])

        nest(code, shape, one, self.inside)

    def _taps(self, code: Code, number: int, x: Array, y: Array, sums: Array, steps: Sequence[int]) -> None:
        """The sums of some elements of the window, over all images of a block."""
        run, dtype = self.blocking.runs[number], self.node.dtype
        taps = [
            sum(i * step for i, step in zip(place, steps, strict=True))
            for place in np.ndindex(*self.window[-self.held :])
        ]
        sets = max(1, min(4, _MOST // len(taps)))  # sums that do not wait for one another
        zero = [constant(dtype, 0, self.lanes)] * (len(taps) * sets)
        places = (run.images, run.rows, *self.places[1:])
        x_steps = [x.strides[0], *(step * by for step, by in zip(x.strides[2:], self.moves.stride, strict=True))]
        y_steps = [y.strides[0], *y.strides[2:]]
        loops = list(zip(places, x_steps, y_steps, strict=True))[:-1]

        def row(of_x: Integer, of_y: Integer, values: list[Value]) -> list[Value]:
            return self._row(code, x.moved(code, of_x), y.moved(code, of_y), taps, values)

        values = nested(code, loops, row, zero)
        for i in range(len(taps)):
            total = values[i]
            for other in values[i + len(taps) :: len(taps)]:
                total = code.builder.fadd(total, other)
            place = moved(code, sums.pointer, dtype, i * self.lanes)
            code.store(code.builder.fadd(code.load(place, dtype, self.lanes), total), place, dtype)

    def _row(self, code: Code, x: Array, y: Array, taps: Sequence[int], values: list[Value]) -> list[Value]:
        """Along the last axis; in the end a vector that begins earlier, or ends in zeros."""
        lanes, width, sets, integers = self.lanes, self.places[-1], len(values) // len(taps), Integers(code)
        whole = width // (lanes * sets) * (lanes * sets)

        def several(i: Integer, values: Sequence[Value]) -> list[Value]:
            values = list(values)
            for number in range(sets):
                values = self._vector(code, x, y, integers.add(i, number * lanes), taps, values, number)
            return values

        if whole:
            values = code.loop(index(0), index(whole), lanes * sets, several, values)
        for number, start in enumerate(range(whole, width, lanes)):
            known = min(lanes, width - start)
            if known < lanes <= width:
                start = width - lanes
            values = self._vector(code, x, y, start, taps, values, number, known)
        return values

    def _vector(
        self,
        code: Code,
        x: Array,
        y: Array,
        i: Integer,
        taps: Sequence[int],
        values: Sequence[Value],
        number: int,
        known: int | None = None,
    ) -> list[Value]:
        """Products of a vector of upstream gradients; only those ``known`` count, the last ones of a row."""
        dtype, lanes, integers, values = self.node.dtype, self.lanes, Integers(code), list(values)
        known = lanes if known is None else known
        y_step, x_step = y.strides[-1], x.strides[-1] * self.moves.stride[-1]
        place = moved(code, y.pointer, dtype, integers.times(i, y_step))
        is_moved_back = self.places[-1] >= lanes
        if is_moved_back:
            upstream = self._counted(code, load_every(code, place, dtype, y_step, lanes), known)
        else:
            upstream = load_first(code, place, dtype, y_step, lanes, known)
        for t, tap in enumerate(taps):
            from_x = moved(code, x.pointer, dtype, integers.add(integers.times(i, x_step), tap))
            element = load_every(code, from_x, dtype, x_step, lanes)
            element = self._counted(code, element, known)
            at_value = number * len(taps) + t
            values[at_value] = code.intrinsic("fmuladd", element, upstream, values[at_value])
        return values

    def _counted(self, code: Code, vector: Value, known: int) -> Value:
        """The vector with zeros where elements do not count."""
        lanes = self.lanes
        if known == lanes:
            return vector
        is_moved_back = self.places[-1] >= lanes
        counts = [lane >= lanes - known if is_moved_back else lane < known for lane in range(lanes)]
        mask = ir.Constant(ir.VectorType(I1, lanes), counts)
        return code.builder.select(mask, vector, constant(self.node.dtype, 0, lanes))


def load_first(code: Code, pointer: Value, dtype: DType, stride: int, lanes: int, some: int) -> Value:
    """A vector of which only the first lanes are loaded; the others are 0."""
    vector = constant(dtype, 0, lanes)
    if stride != 1:
        for lane in range(some):
            number = code.load(moved(code, pointer, dtype, lane * stride), dtype)
            vector = code.builder.insert_element(vector, number, ir.Constant(I32, lane))
        return vector
    for first, length in parts_of(lanes, some):
        loaded = code.load(moved(code, pointer, dtype, first), dtype, length)
        if length == 1:
            vector = code.builder.insert_element(vector, loaded, ir.Constant(I32, first))
            continue
        undefined = ir.Constant(value_type(dtype, length), ir.Undefined)
        order = [min(max(0, lane - first), length - 1) for lane in range(lanes)]
        wide = code.builder.shuffle_vector(loaded, undefined, ir.Constant(ir.VectorType(I32, lanes), order))
        chosen = [lane + lanes if first <= lane < first + length else lane for lane in range(lanes)]
        vector = code.builder.shuffle_vector(vector, wide, ir.Constant(ir.VectorType(I32, lanes), chosen))
    return vector
