"""Kernels that put numbers into other places: joining arrays, padding, and reshaping where it takes a copy."""

from __future__ import annotations

import math
from collections.abc import Sequence

from clearprop.compiler.native.code import Code
from clearprop.compiler.native.copying import copy, fill
from clearprop.compiler.native.integers import Integer, Integers
from clearprop.compiler.native.kernels import Fusion, Kernel
from clearprop.compiler.native.machine import Machine
from clearprop.compiler.native.single import Array, NodeWriter
from clearprop.compiler.native.team import Team
from clearprop.compiler.native.views import row_strides

_DIVIDED = 16
"""An axis of such a length is divided among threads; along a shorter one they go together."""


class _Moving(NodeWriter):
    """Threads share what is to be moved."""

    def __init__(self, fusion: Fusion, kernel: Kernel, machine: Machine) -> None:
        super().__init__(fusion, kernel, machine)
        self.shared = machine.shares(math.prod(self.node.shape))


class Reshape(_Moving):
    """The elements in order of rows: of a view that no strides can show in the new shape."""

    def body(self, code: Code, operands: Sequence[Array], output: Array) -> None:
        (x,) = operands
        copy(code, self.machine, x, output._replace(shape=x.shape, strides=row_strides(x.shape)), self.team)


class Concat(_Moving):
    """One operand after the other, each into its part."""

    def body(self, code: Code, operands: Sequence[Array], output: Array) -> None:
        axis, start = self.attributes["axis"], 0
        for x in operands:
            part = output.moved(code, start * math.prod(output.shape[axis + 1 :]))
            copy(code, self.machine, x, part._replace(shape=x.shape, strides=output.strides), self.team)
            start += x.shape[axis]


class Pad(_Moving):
    """Zeros around the elements, and between them. Each number is written once, but where there are some between."""

    def body(self, code: Code, operands: Sequence[Array], output: Array) -> None:
        (x,) = operands
        self._axis(code, 0, x, output, self.team)

    def _axis(self, code: Code, axis: int, x: Array, output: Array, team: Team) -> None:
        """The axes from this one on, at one place along those before."""
        before, after, between = (self.attributes[name][axis:] for name in ("before", "after", "between"))
        if not any((*before, *after, *between)):
            copy(code, self.machine, x, output, team)
            return
        if any(between):
            fill(code, self.machine, output, team=team)
            team.wait()
            start = sum(low * _step(output.shape, i) for i, low in enumerate(before))
            strides = tuple(_step(output.shape, i) * (gap + 1) for i, gap in enumerate(between))
            copy(code, self.machine, x, output.moved(code, start)._replace(shape=x.shape, strides=strides), team)
            return
        integers, inner, length = Integers(code), _step(output.shape, 0), x.shape[0]
        self._zeros(code, output, before[0] * inner, team)
        if any((*before[1:], *after[1:])):
            divides = length >= _DIVIDED
            within = Team.alone(code) if divides else team

            def one(i: Integer) -> None:
                part = output.moved(code, integers.times(integers.add(i, before[0]), inner))
                self._axis(code, axis + 1, x.part(1).moved(code, integers.times(i, x.strides[0])), part.part(1), within)

            first, last = team.share(length) if divides else (0, length)
            integers.each(first, last, 1, one)
        else:  # what is between is one block
            copy(code, self.machine, x, output.moved(code, before[0] * inner)._replace(shape=x.shape), team)
        self._zeros(code, output.moved(code, (before[0] + length) * inner), after[0] * inner, team)

    def _zeros(self, code: Code, output: Array, count: int, team: Team) -> None:
        fill(code, self.machine, output._replace(shape=(count,), strides=(1,)), team=team)


def _step(shape: Sequence[int], axis: int) -> int:
    """From one element to the next along an axis, of an array in order of rows."""
    return math.prod(shape[axis + 1 :])
