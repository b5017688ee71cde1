"""Where the largest, or the smallest, element along an axis stands."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from llvmlite import ir

from clearprop.compiler.native.code import I64, Code, Value, constant, index, scalar_type
from clearprop.compiler.native.copying import load
from clearprop.compiler.native.elements import Element
from clearprop.compiler.native.integers import Integer
from clearprop.compiler.native.kernels import Fusion, Kernel
from clearprop.compiler.native.lanes import part
from clearprop.compiler.native.machine import Machine
from clearprop.compiler.native.single import Array, NodeWriter, at, joined, moved, nest, spans

_AT_ONCE = 4
"""So many vectors are compared at once: none of them waits for another."""


def is_better(element: Element, how: str, x: Value, y: Value) -> Value:
    """Whether x is larger (">") or smaller ("<") than y, or is NaN and y is not."""
    b = element.code.builder
    if not element.is_float:
        return element.compare(how, x, y)
    return b.and_(b.fcmp_unordered(how, x, y), b.fcmp_ordered("ord", y, y))


class Best(NamedTuple):
    """The best elements so far, one for each lane, and where they stand."""

    values: Value
    places: Value


class ArgExtreme(NodeWriter):
    """argmax and argmin: the first of several equal elements; the first NaN if there is one."""

    def __init__(self, fusion: Fusion, kernel: Kernel, machine: Machine) -> None:
        super().__init__(fusion, kernel, machine)
        self.shared = machine.shares(math.prod(self.views[0].shape))

    def body(self, code: Code, operands: Sequence[Array], output: Array) -> None:
        (x,), (axis,) = operands, self.attributes["axes"]
        self.how = ">" if self.node.name == "argmax" else "<"
        self.dtype, self.length, self.step = x.dtype, x.shape[axis], x.strides[axis]
        self.kind = np.dtype(np.int32 if self.length < 2**31 and x.dtype.itemsize < 8 else np.int64)
        lanes = min(self.machine.lanes(x.dtype), self.machine.lanes(self.kind))
        others = [array[:axis] + array[axis + 1 :] for array in (x.shape, x.strides)]
        shape, (steps, to_steps) = joined(others[0], others[1], output.strides)
        if self.step == 1 and self.length >= lanes:
            nest(
                code,
                shape,
                lambda place: self._row(code, x, output, at(code, place, steps), at(code, place, to_steps)),
                self.team,
            )
        else:
            self._columns(code, x._replace(shape=shape, strides=steps), output._replace(strides=to_steps), lanes)

    def _columns(self, code: Code, x: Array, output: Array, lanes: int) -> None:
        """Vectors across the axis: a result for each lane."""
        step = x.strides[-1] if x.shape else 0
        wide = lanes * _AT_ONCE if step == 1 else 1

        def row(place: list[Integer]) -> None:
            start = moved(code, x.pointer, x.dtype, at(code, place, x.strides))
            target = moved(code, output.pointer, output.dtype, at(code, place, output.strides))

            def span(i: Integer, count: int) -> None:
                first = moved(code, start, x.dtype, at(code, [i], [step]))

                def turn(k: Value, best: list[Value]) -> list[Value]:
                    values = load(code, moved(code, first, x.dtype, at(code, [k], [self.step])), x.dtype, step, count)
                    return [*self._better_of(code, Best(*best), values, self._same_place(code, k, count), count)]

                found = [load(code, first, x.dtype, step, count), constant(self.kind, 0, count)]
                _, places = code.loop(index(1), index(self.length), 1, turn, found)
                code.store(self._widened(code, places), moved(code, target, output.dtype, i), output.dtype)

            spans(code, x.shape[-1] if x.shape else 1, wide, span, may_repeat=True, unrolled=1)

        nest(code, x.shape[:-1], row, self.team)

    def _row(self, code: Code, x: Array, output: Array, start: Integer, target: Integer) -> None:
        """Vectors along the axis: one result, of all lanes."""
        lanes = min(self.machine.lanes(x.dtype), self.machine.lanes(self.kind))
        if self.length >= 2 * _AT_ONCE * lanes:
            lanes *= _AT_ONCE
        first = moved(code, x.pointer, x.dtype, start)
        counting = ir.Constant(ir.VectorType(scalar_type(self.kind), lanes), list(range(lanes)))

        def step(i: Value, best: list[Value]) -> list[Value]:
            places = code.builder.add(self._same_place(code, i, lanes), counting)
            values = code.load(moved(code, first, x.dtype, i), x.dtype, lanes)
            return [*self._better_of(code, Best(*best), values, places, lanes)]

        whole = self.length - self.length % lanes
        found = code.loop(index(lanes), index(whole), lanes, step, [code.load(first, x.dtype, lanes), counting])
        if whole < self.length:  # the last vector begins earlier: no lane meets an element before another
            found = step(index(self.length - lanes), found)
        best = self._across(code, Best(*found), lanes)
        code.store(self._widened(code, best.places), moved(code, output.pointer, output.dtype, target), output.dtype)

    def _across(self, code: Code, best: Best, lanes: int) -> Best:
        """Of all lanes the best; of equal ones that which stands first."""
        b = code.builder
        while lanes > 1:
            lanes //= 2
            low, high = (Best(*(part(code, v, first, lanes) for v in best)) for first in (0, lanes))
            element = self._element(code, lanes)
            ahead = is_better(element, self.how, high.values, low.values)
            behind = is_better(element, self.how, low.values, high.values)
            sooner = b.icmp_signed("<", high.places, low.places)
            chosen = b.or_(ahead, b.and_(b.not_(behind), sooner))
            best = Best(*(b.select(chosen, x, y) for x, y in zip(high, low, strict=True)))
        return best

    def _better_of(self, code: Code, best: Best, values: Value, places: Value, lanes: int) -> Best:
        better = is_better(self._element(code, lanes), self.how, values, best.values)
        return Best(*(code.builder.select(better, x, y) for x, y in ((values, best.values), (places, best.places))))

    def _element(self, code: Code, lanes: int) -> Element:
        return Element(code, [], [self.dtype], self.dtype, lanes, {})

    def _same_place(self, code: Code, k: Value, lanes: int) -> Value:
        """A position in all lanes."""
        narrow = code.builder.trunc(k, scalar_type(self.kind)) if self.kind.itemsize < 8 else k
        return code.splat(narrow, lanes)

    def _widened(self, code: Code, places: Value) -> Value:
        if self.kind.itemsize == 8:
            return places
        lanes = places.type.count if isinstance(places.type, ir.VectorType) else 1
        return code.builder.sext(places, I64 if lanes == 1 else ir.VectorType(I64, lanes))
