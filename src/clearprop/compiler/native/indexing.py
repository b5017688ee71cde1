"""Kernels that read or write at positions that are themselves data.

All positions are looked at before anything is written: if one of them is out of range the kernel says so, and the
program stops. What cannot be out of range (`bound`) is not looked at again. A negative position counts from the end.
What is added to one place is added in the order of the positions, always: of threads each has columns, or places, of
its own. All of them look at all positions, so that they agree on whether to go on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from llvmlite import ir

from clearprop.compiler.native.code import I1, I64, Code, Value, constant, index
from clearprop.compiler.native.copying import copy, fill, load, part_size
from clearprop.compiler.native.integers import Integer, Integers
from clearprop.compiler.native.kernels import Fusion, Kernel
from clearprop.compiler.native.lookup import is_in_range
from clearprop.compiler.native.machine import Machine
from clearprop.compiler.native.single import (
    Array,
    NodeWriter,
    at,
    fail_if,
    fold,
    in_parts,
    joined,
    moved,
    nest,
    spans,
)
from clearprop.compiler.native.team import Team

_NEIGHBOURS = 16
"""So many elements of a row at least are one thread's: a cache line."""


class AtPositions(NodeWriter):
    """Operands from `first_index` on are positions along axes of these `lengths`.

    Attributes:
        known: for each of them, whether it is known to be from 0 to length - 1.
        can_share: whether threads can share the work.
    """

    first_index = 1
    can_share = False

    def __init__(self, fusion: Fusion, kernel: Kernel, machine: Machine) -> None:
        super().__init__(fusion, kernel, machine)
        self.known = [
            is_in_range(view.source, length, fusion.program.constants)
            for view, length in zip(self.views[self.first_index :], self.lengths(), strict=True)
        ]
        self.may_fail = not all(self.known)
        self.shared = self.can_share and machine.shares(self.operations())
        self.key = (*self.key, *self.known)

    def lengths(self) -> Sequence[int]:
        """Of the axes that the positions point into."""
        raise NotImplementedError

    def operations(self) -> int:
        """How many numbers are written."""
        return math.prod(self.node.shape)

    def is_native(self) -> bool:
        """Sums of booleans are left to NumPy."""
        return super().is_native() and self.node.dtype.kind != "b"

    def body(self, code: Code, operands: Sequence[Array], output: Array) -> None:
        """Look at the positions, then move the numbers."""
        for positions, length, known in zip(operands[self.first_index :], self.lengths(), self.known, strict=True):
            if not known:
                fail_if(code, self.any_outside(code, positions, length))
        self.move(code, operands, output)

    def move(self, code: Code, operands: Sequence[Array], output: Array) -> None:
        """Write the code that reads and writes, all positions being in range."""
        raise NotImplementedError

    def any_outside(self, code: Code, positions: Array, length: int, *, may_be_negative: bool = True) -> Value:
        """A bit: whether a position is not one of -length (or 0) to length - 1."""
        once = tuple(min(n, 1) if step == 0 else n for n, step in zip(positions.shape, positions.strides, strict=True))
        shape, (steps,) = joined(once, positions.strides)
        count, step = (shape[-1], steps[-1]) if shape else (1, 1)
        b, dtype = code.builder, positions.dtype
        low = length if dtype.kind == "i" and may_be_negative else 0
        lanes = min(self.machine.lanes(np.int64), 1 << (max(1, count).bit_length() - 1)) if step == 1 else 1

        def row(place: list[Value], found: list[Value]) -> list[Value]:
            start = moved(code, positions.pointer, dtype, at(code, place, steps))

            def several(i: Integer, before: list[Value]) -> list[Value]:
                values = code.load(moved(code, start, dtype, at(code, [i], [step])), dtype, lanes)
                shifted = b.add(_widened(code, values, dtype, lanes), constant(np.int64, low, lanes))
                outside = b.icmp_unsigned(">=", shifted, constant(np.int64, low + length, lanes))
                return [b.or_(before[0], _any_lane(code, outside))]

            whole = count - count % lanes
            found = code.loop(index(0), index(whole), lanes, several, found)
            return found if whole == count else several(count - lanes, found)  # some of them once more

        return fold(code, shape[:-1], row, [ir.Constant(I1, 0)])[0]

    def position(self, code: Code, positions: Array, offset: Integer, which: int) -> Value:
        """One position, counted from 0."""
        b, dtype = code.builder, positions.dtype
        value = _widened(code, code.load(moved(code, positions.pointer, dtype, offset), dtype), dtype, 1)
        if self.known[which] or dtype.kind == "u":
            return value
        from_the_end = b.add(value, index(self.lengths()[which]))
        return b.select(b.icmp_signed("<", value, index(0)), from_the_end, value)


def _is_between(code: Code, value: Value, first: Integer, last: Integer) -> Value:
    """Whether it is one of first to last - 1."""
    integers = Integers(code)
    return code.builder.icmp_unsigned(
        "<", code.builder.sub(value, integers.value(first)), integers.value(integers.sub(last, first))
    )


def _widened(code: Code, value: Value, dtype: np.dtype[Any], lanes: int) -> Value:
    """As integers of 64 bits."""
    if dtype.itemsize == 8:
        return value
    kind = I64 if lanes == 1 else ir.VectorType(I64, lanes)
    return code.builder.sext(value, kind) if dtype.kind == "i" else code.builder.zext(value, kind)


def _any_lane(code: Code, bits: Value) -> Value:
    """Whether a bit is set in any lane."""
    if not isinstance(bits.type, ir.VectorType):
        return bits
    together = ir.IntType(bits.type.count)
    return code.builder.icmp_unsigned("!=", code.builder.bitcast(bits, together), ir.Constant(together, 0))


class InRange(AtPositions):
    """The positions themselves, none of them negative."""

    first_index = 0

    def lengths(self) -> Sequence[int]:
        return [self.attributes["count"]]

    def settings(self) -> tuple[Any, ...]:
        return (self.attributes["count"],)

    def body(self, code: Code, operands: Sequence[Array], output: Array) -> None:
        (x,) = operands
        if not self.known[0]:
            fail_if(code, self.any_outside(code, x, self.attributes["count"], may_be_negative=False))
        copy(code, self.machine, x, output)


# Whole rows -----------------------------------------------------------------------------------------------------------


class _Rows(AtPositions):
    """Positions for the first axes of an array whose other axes are taken whole: a row for each."""

    def each_row(
        self,
        code: Code,
        indices: Sequence[Array],
        table: Array,
        rows: Array,
        count: int,
        body: Callable[[Array, Array], None],
        *,
        divided: Literal["positions", "places", "not"],
    ) -> None:
        """Call the body with a row of the table and the row that belongs to it, one position after the other.

        Args:
            table: the array that the positions point into.
            rows: those that stand one after the other.
            count: how many of its axes are those of the positions.
            divided: what threads divide: the positions, the places in the table, or nothing here.
        """
        shape, steps = joined(indices[0].shape, rows.strides[:count], *(one.strides for one in indices))
        integers = Integers(code)
        mine = self.team.share(table.shape[0]) if divided == "places" and self.shared else None

        def row(place: list[Integer]) -> None:
            pairs = zip(indices, steps[1:], strict=True)
            values = [self.position(code, one, at(code, place, by), i) for i, (one, by) in enumerate(pairs)]

            def move() -> None:
                offset = integers.add(
                    *(integers.times(value, step) for value, step in zip(values, table.strides, strict=False))
                )
                body(
                    table.part(len(indices)).moved(code, offset),
                    rows.part(count).moved(code, at(code, place, steps[0])),
                )

            if mine is None:
                move()
                return
            with code.builder.if_then(_is_between(code, values[0], *mine)):
                move()

        def several(place: list[Integer], start: Integer, count: int) -> None:
            spans(code, count, 1, lambda i, _: row([*place, integers.add(start, i)]))

        team = self.team if divided == "positions" else Team.alone(code)
        if not shape or math.prod(rows.shape[count:]) != 1:
            nest(code, shape, row, team)
        elif len(shape) == 1 and team.threads != 1:
            size = part_size(shape[0], of_neighbours=True)
            in_parts(code, team, shape[0], size, lambda start: several([], start, size))
        else:
            nest(code, shape[:-1], lambda place: several(place, 0, shape[-1]), team)


class Gather(_Rows):
    """Rows of x, copied one after the other."""

    can_share = True

    def lengths(self) -> Sequence[int]:
        return self.views[0].shape[: len(self.views) - 1]

    def is_native(self) -> bool:
        return NodeWriter.is_native(self)

    def move(self, code: Code, operands: Sequence[Array], output: Array) -> None:
        x, *indices = operands
        axes = len(indices[0].shape)
        self.each_row(
            code,
            indices,
            x,
            output,
            axes,
            lambda read, write: copy(code, self.machine, read, write),
            divided="positions",
        )


class ScatterAdd(_Rows):
    """Zeros, to which rows are added one after the other."""

    can_share = True

    def operations(self) -> int:
        return max(math.prod(self.node.shape), math.prod(self.views[0].shape))

    def lengths(self) -> Sequence[int]:
        return self.attributes["shape"][: len(self.views) - 1]

    def move(self, code: Code, operands: Sequence[Array], output: Array) -> None:
        x, *indices = operands
        fill(code, self.machine, output, team=self.team)
        self.team.wait()
        if not x.size:
            return
        parts = self._parts(output.shape[len(indices) :])
        if parts == 1:
            self._add(code, operands, output, lambda row: row, "places")
            return

        def part(number: Integer) -> None:
            self._add(code, operands, output, lambda row: _piece(code, row, number, parts), "not")

        Integers(code).each(*self.team.share(parts), 1, part)

    def _parts(self, row: tuple[int, ...]) -> int:
        """In how many parts threads divide each row: then all have as much to do, however often a row is meant."""
        if not self.shared or len(row) != 1:
            return 1
        return max(n for n in range(1, self.machine.threads + 1) if row[0] % (n * _NEIGHBOURS) == 0 or n == 1)

    def _add(
        self,
        code: Code,
        operands: Sequence[Array],
        output: Array,
        piece: Callable[[Array], Array],
        divided: Literal["places", "not"],
    ) -> None:
        x, *indices = operands

        def body(total: Array, row: Array) -> None:
            add(code, self.machine, piece(row), piece(total))

        self.each_row(code, indices, output, x, len(indices[0].shape), body, divided=divided)


def _piece(code: Code, row: Array, number: Integer, parts: int) -> Array:
    """One of so many equal parts of a row."""
    (length,), (stride,) = row.shape, row.strides
    start = Integers(code).times(number, length // parts * stride)
    return row._replace(shape=(length // parts,)).moved(code, start)


def add(code: Code, machine: Machine, x: Array, total: Array) -> None:
    """Add an array to another one, element by element."""
    dtype, b = x.dtype, code.builder
    shape, (steps, total_steps) = joined(x.shape, x.strides, total.strides)
    step, total_step = (steps[-1], total_steps[-1]) if shape else (1, 1)
    width = machine.lanes(dtype) if total_step == 1 and step in (0, 1) else 1

    def row(place: list[Integer]) -> None:
        read = moved(code, x.pointer, dtype, at(code, place, steps))
        written = moved(code, total.pointer, dtype, at(code, place, total_steps))

        def body(i: Integer, lanes: int) -> None:
            value = load(code, moved(code, read, dtype, at(code, [i], [step])), dtype, step, lanes)
            target = moved(code, written, dtype, at(code, [i], [total_step]))
            before = code.load(target, dtype, lanes)
            code.store(b.fadd(before, value) if dtype.kind == "f" else b.add(before, value), target, dtype)

        spans(code, shape[-1] if shape else 1, width, body)

    nest(code, shape[:-1], row)


class ScatterSet(AtPositions):
    """A copy of x, in which y is put in place, one number after the other."""

    first_index = 2

    def lengths(self) -> Sequence[int]:
        return self.views[0].shape

    def is_native(self) -> bool:
        return NodeWriter.is_native(self)

    def move(self, code: Code, operands: Sequence[Array], output: Array) -> None:
        x, y, positions = (operands[0], operands[1].as_bits(), operands[2])
        output = output.as_bits()
        copy(code, self.machine, x, output)

        def one(i: Integer, _: int) -> None:
            place = self.position(code, positions, at(code, [i], positions.strides), 0)
            value = code.load(moved(code, y.pointer, y.dtype, at(code, [i], y.strides)), y.dtype)
            code.store(value, moved(code, output.pointer, output.dtype, place), output.dtype)

        spans(code, y.size, 1, one)
