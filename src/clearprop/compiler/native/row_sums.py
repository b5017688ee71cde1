"""Sums of rows at positions that are data, row by row: the gradient of a table, or the table after a step.

First the positions are sorted: by counting how often each is there, and each row's places are listed in their order.
Then every row is summed in registers and written once. What a summand is made of, such as a gradient times a row of
another table, is computed on the way; and what follows, such as the step of gradient descent, too. All threads sort, so
that none of them waits; then each has rows of its own, with about as many places.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir

from clearprop.compiler.native.access import Access
from clearprop.compiler.native.arena import aligned
from clearprop.compiler.native.code import I64, POINTER, Code, Value, constant, index
from clearprop.compiler.native.copying import copy, fill
from clearprop.compiler.native.elements import computed, structure
from clearprop.compiler.native.integers import Integer, Integers
from clearprop.compiler.native.kernels import Fusion, Kernel
from clearprop.compiler.native.machine import Machine
from clearprop.compiler.native.single import Array, at, joined, nest
from clearprop.compiler.native.team import SHARED_ARGUMENTS, Team
from clearprop.compiler.native.views import row_strides
from clearprop.graph import Node

_COUNT = np.dtype(np.int32)
_TAKEN = 3
"""Registers for what is added to sums."""
Piece = tuple[int, int]
"""Neighbouring columns of a block: the first one, and how many there are."""


class RowSums:
    """Writes a kernel that begins with a ``scatter_add``.

    Attributes:
        buffers: the nodes whose buffers the function takes, in order.
        key, shared, scratch_bytes: see `clearprop.compiler.native.lowerings.Writer`.
    """

    def __init__(self, fusion: Fusion, kernel: Kernel, machine: Machine) -> None:
        self.machine, scatter = machine, kernel.node
        rows, positions = (parent for parent in scatter.parents if parent is not None)
        self._scatter, self._rows, self._places = scatter, rows, rows.shape[:-1]
        self._table, self._columns = scatter.shape
        self._heads = [node for node in kernel.nodes if node.number < scatter.number]
        self._tail = [node for node in kernel.nodes if node.number > scatter.number]
        buffers: dict[Node, int] = {}
        self._positions = Access.of(fusion.views[positions], buffers)
        needed = (parent for node in self._heads for parent in node.parents if parent) if self._heads else iter([rows])
        self._loads = self._accesses(fusion, needed, self._heads, buffers)
        behind = (parent for node in self._tail for parent in node.parents if parent)
        self._tail_loads = self._accesses(fusion, behind, [scatter, *self._tail], buffers)
        (self._output,) = kernel.stored
        self._target = buffers.setdefault(self._output, len(buffers))
        self.buffers = list(buffers)
        dtypes = [node.dtype for node in (*self._heads, *self._tail, scatter)]
        dtypes += [access.dtype for access in (*self._loads.values(), *self._tail_loads.values())]
        self._lanes = min(machine.lanes(dtype) for dtype in dtypes if dtype.kind != "b")
        self._counts = aligned(_COUNT.itemsize * (self._table + 2))
        self.scratch_bytes = self._counts + aligned(_COUNT.itemsize * math.prod(self._places))
        self.shared = machine.shares(math.prod(rows.shape))
        self.key: tuple[Any, ...] = (
            "row_sums", scatter.shape, scatter.dtype, self._places, self._positions, self._target,
            _structure(self._loads, self._heads), tuple(self._loads.values()),
            _structure((scatter, *self._tail_loads), self._tail), tuple(self._tail_loads.values()),
        )  # fmt: skip

    @staticmethod
    def _accesses(
        fusion: Fusion, nodes: Iterable[Node], inside: Sequence[Node], buffers: dict[Node, int]
    ) -> dict[Node, Access]:
        known = set(inside)
        return {node: Access.of(fusion.views[node], buffers) for node in nodes if node not in known}

    def replaceable(self, new: Node) -> list[Node]:
        """The table that is updated: each row is read just before it is written, and nobody else reads it here."""
        others = [self._positions, *self._loads.values()]
        slots = {access.slot for access in others}
        slots.update(access.lookup.slot for access in others if access.lookup is not None)
        return [
            self.buffers[access.slot]
            for access in self._tail_loads.values()
            if access.moves and access.slot not in slots
        ]

    # Writing it -------------------------------------------------------------------------------------------------------

    def write(self, module: ir.Module, name: str) -> None:
        """Write the function: it takes a pointer for each of the buffers, to scratch memory, and who is there."""
        among = SHARED_ARGUMENTS if self.shared else ()
        code = Code.function(module, name, [*[POINTER] * (len(self.buffers) + 1), *among], may_overlap=True)
        *pointers, scratch = code.builder.function.args[: len(self.buffers) + 1]
        team = Team(code, *code.builder.function.args[-3:]) if self.shared else Team.alone(code)
        integers = Integers(code)
        mine = integers.times(team.thread, self.scratch_bytes)
        self._pointers = pointers
        self._starts = code.at(scratch, np.uint8, integers.value(mine))
        self._order = code.at(scratch, np.uint8, integers.value(integers.add(mine, self._counts)))
        self._sort(code)
        first, last = (self._fair(code, team, integers.add(team.thread, i)) for i in (0, 1))
        integers.each(first, last, 1, lambda row: self._row(code, row))
        code.builder.ret_void()

    def _sort(self, code: Code) -> None:
        """List the places of each row; ``starts[row]`` to ``starts[row + 1]`` are then its part of the list."""
        fill(code, self.machine, Array(self._starts, _COUNT, (self._table + 2,), (1,)))
        shape, (steps, flat) = joined(self._places, self._positions.strides, row_strides(self._places))

        def count(place: list[Integer]) -> None:
            row = self._position(code, place, steps)
            self._raise(code, Integers(code).add(row, 2))

        def put(place: list[Integer]) -> None:
            row = self._position(code, place, steps)
            following = self._raise(code, Integers(code).add(row, 1))
            number = code.builder.trunc(Integers(code).value(at(code, place, flat)), ir.IntType(32))
            code.store(number, code.at(self._order, _COUNT, following), _COUNT)

        def add(row: Value, before: list[Value]) -> list[Value]:
            total = code.builder.add(self._number(code, self._starts, row), before[0])
            self._set(code, row, total)
            return [total]

        nest(code, shape, count)
        code.loop(index(2), index(self._table + 2), 1, add, [index(0)])
        nest(code, shape, put)

    def _position(self, code: Code, place: list[Integer], steps: Sequence[int]) -> Value:
        return self._positions._replace(strides=tuple(steps)).number(code, self._pointers, place)

    def _number(self, code: Code, numbers: Value, i: Integer) -> Value:
        """One of the numbers of 32 bits."""
        return code.builder.zext(code.load(code.at(numbers, _COUNT, Integers(code).value(i)), _COUNT), I64)

    def _set(self, code: Code, i: Integer, number: Value) -> None:
        place = code.at(self._starts, _COUNT, Integers(code).value(i))
        code.store(code.builder.trunc(number, ir.IntType(32)), place, _COUNT)

    def _raise(self, code: Code, i: Integer) -> Value:
        """Count one of `starts` up by one; returns what it was."""
        before = self._number(code, self._starts, i)
        self._set(code, i, code.builder.add(before, index(1)))
        return before

    def _fair(self, code: Code, team: Team, part: Integer) -> Integer:
        """The row at which a thread's part begins: rows and places before it are as many as for the others."""
        if team.threads == 1:
            return self._table if part else 0
        b, integers = code.builder, Integers(code)
        total = math.prod(self._places) + self._table
        wanted = integers.value(integers.quotient(integers.times(part, total), team.threads))

        def halve(_: Value, bounds: list[Value]) -> list[Value]:
            low, high = bounds
            middle = b.lshr(b.add(low, high), index(1))
            is_enough = b.icmp_unsigned(">=", b.add(self._number(code, self._starts, middle), middle), wanted)
            return [b.select(is_enough, low, b.add(middle, index(1))), b.select(is_enough, middle, high)]

        bounds = [index(0), index(self._table)]
        return code.loop(index(0), index(self._table.bit_length() + 1), 1, halve, bounds)[0]

    # One row ----------------------------------------------------------------------------------------------------------

    def _row(self, code: Code, row: Value) -> None:
        first, last = (self._number(code, self._starts, Integers(code).add(row, i)) for i in (0, 1))
        if not self._tail:
            self._all_columns(code, row, first, last)
            return
        with code.builder.if_else(code.builder.icmp_unsigned("<", first, last)) as (then, otherwise):
            with then:
                self._all_columns(code, row, first, last)
            with otherwise:
                self._keep(code, row)

    def _keep(self, code: Code, row: Value) -> None:
        """A row without a gradient is as it was."""
        (table,) = (access for access in self._tail_loads.values() if access.moves)
        was, is_now = (
            Array(self._of_table(code, slot, row, 0), table.dtype, (self._columns,), (1,))
            for slot in (table.slot, self._target)
        )
        with code.builder.if_then(code.builder.icmp_unsigned("!=", was.pointer, is_now.pointer)):
            copy(code, self.machine, was, is_now)

    def _of_table(self, code: Code, slot: int, row: Value, column: Integer) -> Value:
        integers = Integers(code)
        place = integers.add(integers.times(row, self._columns), column)
        return code.at(self._pointers[slot], self._scatter.dtype, integers.value(place))

    def _all_columns(self, code: Code, row: Value, first: Value, last: Value) -> None:
        """In blocks of as many columns as there are registers for their sums, and for what is added."""
        width = self.machine.registers // 2 * self._lanes
        if self._columns <= (self.machine.registers - _TAKEN) * self._lanes:
            width = self._columns + 1  # all at once: the places are looked up once
        whole = self._columns // width * width
        block = [(i, self._lanes) for i in range(0, width, self._lanes)]
        Integers(code).each(0, whole, width, lambda column: self._block(code, row, first, last, column, block))
        rest, at_column, lanes = list[Piece](), 0, self._lanes
        while at_column < self._columns - whole:
            while lanes > self._columns - whole - at_column:
                lanes //= 2
            rest.append((at_column, lanes))
            at_column += lanes
        if rest:
            self._block(code, row, first, last, whole, rest)

    def _block(
        self, code: Code, row: Value, first: Value, last: Value, column: Integer, pieces: Sequence[Piece]
    ) -> None:
        dtype, integers = self._scatter.dtype, Integers(code)
        columns = [integers.value(integers.add(column, i)) for i, _ in pieces]

        def add(i: Value, sums: list[Value]) -> list[Value]:
            summands = self._summands(code, self._number(code, self._order, i), columns, [lanes for _, lanes in pieces])
            return [code.builder.fadd(total, one) for total, one in zip(sums, summands, strict=True)]

        sums = code.loop(first, last, 1, add, [constant(dtype, 0, lanes) for _, lanes in pieces])
        numbers = {
            node: code.load(access.row(code, self._pointers, []), access.dtype)
            for node, access in self._tail_loads.items()
            if not access.moves
        }
        for total, (_, lanes), i in zip(sums, pieces, columns, strict=True):
            values = {self._scatter: total, **{node: code.splat(one, lanes) for node, one in numbers.items()}}
            for node, access in self._tail_loads.items():
                if access.moves:
                    values[node] = code.load(self._of_table(code, access.slot, row, i), access.dtype, lanes)
            computed(code, self._tail, values, lanes)
            code.store(values[self._output], self._of_table(code, self._target, row, i), dtype)

    def _summands(self, code: Code, place: Value, columns: Sequence[Value], widths: Sequence[int]) -> list[Value]:
        """What is added at one place, of each piece of a block."""
        position, known = self._digits(code, place), dict[Any, Integer]()
        starts = {access: access.row(code, self._pointers, position, known) for access in self._loads.values()}
        numbers = {access: code.load(start, access.dtype) for access, start in starts.items() if not access.moves}
        found = []
        for i, lanes in zip(columns, widths, strict=True):
            values = {
                node: code.splat(numbers[access], lanes)
                if access in numbers
                else access.get(code, access.place(code, starts[access], i), lanes)
                for node, access in self._loads.items()
            }
            computed(code, self._heads, values, lanes)
            found.append(values[self._rows])
        return found

    def _digits(self, code: Code, place: Integer) -> list[Integer]:
        """The place along each axis of the positions."""
        integers, digits = Integers(code), list[Integer]()
        for length in reversed(self._places[1:]):
            digits.append(integers.remainder(place, length))
            place = integers.quotient(place, length)
        return [place, *reversed(digits)]


def _structure(given: Iterable[Node], nodes: Sequence[Node]) -> tuple[Any, ...]:
    return structure(nodes, {node: number for number, node in enumerate((*given, *nodes))})
