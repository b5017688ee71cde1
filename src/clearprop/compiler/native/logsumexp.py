"""The logarithm of a sum of exponentials: the largest number first, then the sum of what is left without it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from llvmlite import ir

from clearprop.compiler.native.code import I1, Code, Value, constant, index
from clearprop.compiler.native.copying import load
from clearprop.compiler.native.elements import ELEMENTS, Element, extreme
from clearprop.compiler.native.integers import Integer
from clearprop.compiler.native.kernels import Fusion, Kernel
from clearprop.compiler.native.machine import Machine
from clearprop.compiler.native.single import Array, NodeWriter, at, fold, joined, moved, nest, spans

_OPERATIONS = 16
"""About so many for each number: most of them are those of exp."""

Combine = Callable[[Value, Value], Value]
"""What has been combined so far, and a vector more."""


class Logsumexp(NodeWriter):
    """As the primitive computes it: rows of -inf give -inf, rows with inf give inf, rows with NaN give NaN."""

    def __init__(self, fusion: Fusion, kernel: Kernel, machine: Machine) -> None:
        super().__init__(fusion, kernel, machine)
        self.shared = machine.shares(math.prod(self.views[0].shape) * _OPERATIONS)

    def body(self, code: Code, operands: Sequence[Array], output: Array) -> None:
        (x,), axes = operands, self.attributes["axes"]
        self.dtype = x.dtype
        lengths, steps = ([array[i] for i in axes] for array in (x.shape, x.strides))
        inner, (inner_steps,) = joined(lengths, steps)
        self.row = x._replace(shape=inner, strides=inner_steps)
        kept = [i for i in range(len(x.shape)) if i not in axes]
        shape, (kept_steps, to_steps) = joined([x.shape[i] for i in kept], [x.strides[i] for i in kept], output.strides)
        if inner and inner_steps[-1] == 1:

            def along(place: list[Integer]) -> None:
                row = self.row.moved(code, at(code, place, kept_steps))
                code.store(
                    self._along(code, row),
                    moved(code, output.pointer, self.dtype, at(code, place, to_steps)),
                    self.dtype,
                )

            nest(code, shape, along, self.team)
        else:
            self._columns(code, x._replace(shape=shape, strides=kept_steps), output._replace(strides=to_steps))

    def _columns(self, code: Code, x: Array, output: Array) -> None:
        """Vectors across: a result in each lane."""
        step = x.strides[-1] if x.shape else 0
        width = self.machine.lanes(self.dtype) if step == 1 else 1

        def row(place: list[Integer]) -> None:
            start, target = (a.moved(code, at(code, place, a.strides)).pointer for a in (x, output))

            def span(i: Integer, lanes: int) -> None:
                column = self.row._replace(pointer=moved(code, start, self.dtype, at(code, [i], [step])))

                def combined(combine: Combine, first: float) -> Value:
                    def body(position: list[Value], before: list[Value]) -> list[Value]:
                        place = moved(code, column.pointer, self.dtype, at(code, position, column.strides))
                        return [combine(before[0], load(code, place, self.dtype, step, lanes))]

                    return fold(code, column.shape, body, [constant(self.dtype, first, lanes)])[0]

                code.store(self._result(code, combined, lanes), moved(code, target, self.dtype, i), self.dtype)

            spans(code, x.shape[-1] if x.shape else 1, width, span, may_repeat=True, unrolled=1)

        nest(code, x.shape[:-1], row, self.team)

    def _along(self, code: Code, row: Array) -> Value:
        """Vectors along a row: one result, of all lanes. The last vector of a row may begin within the one before."""
        count = row.shape[-1]
        lanes = min(self.machine.lanes(self.dtype), 1 << (count.bit_length() - 1))
        whole, b = count - count % lanes, code.builder
        is_new = ir.Constant(ir.VectorType(I1, lanes), [lane >= whole - (count - lanes) for lane in range(lanes)])

        def walk(combine: Combine, first: float) -> Value:
            def line(position: list[Value], before: list[Value]) -> list[Value]:
                start = moved(code, row.pointer, self.dtype, at(code, position, row.strides))

                def several(i: Integer, state: list[Value]) -> list[Value]:
                    return [combine(state[0], code.load(moved(code, start, self.dtype, i), self.dtype, lanes))]

                state = code.loop(index(0), index(whole), lanes, several, before)
                if whole == count:
                    return state
                last = several(count - lanes, state)
                return [b.select(is_new, last[0], state[0])]

            return fold(code, row.shape[:-1], line, [constant(self.dtype, first, lanes)])[0]

        return self._result(code, walk, lanes, across=True)

    def _result(
        self, code: Code, combined: Callable[[Combine, float], Value], lanes: int, *, across: bool = False
    ) -> Value:
        """The result from all numbers of a row, which `combined` brings together, in each lane or of all lanes."""
        b, width = code.builder, 1 if across else lanes
        limit = float(np.finfo(self.dtype).max)

        def larger(x: Value, y: Value) -> Value:
            return extreme(self._element(code, [x, y]), ">", x, y)

        top = combined(larger, -np.inf)
        top = code.across(top, larger) if across else top
        top = larger(top, constant(self.dtype, -limit, width))
        bounded = extreme(self._element(code, [top, top]), "<", top, constant(self.dtype, limit, width))
        everywhere = code.splat(bounded, lanes) if across else bounded

        def added(total: Value, x: Value) -> Value:
            return b.fadd(total, ELEMENTS["exp"](self._element(code, [b.fsub(x, everywhere)])))

        total = combined(added, 0.0)
        total = code.across(total, b.fadd) if across else total
        return b.fadd(ELEMENTS["log"](self._element(code, [total])), bounded)

    def _element(self, code: Code, operands: Sequence[Value]) -> Element:
        kind = operands[0].type
        lanes = kind.count if isinstance(kind, ir.VectorType) else 1
        return Element(code, operands, [self.dtype] * len(operands), self.dtype, lanes, {})
