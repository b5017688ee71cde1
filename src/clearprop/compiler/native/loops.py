"""A kernel of elementwise nodes and reductions as a loop nest.

All its nodes walk over one space. Axes that every value walks through alike are joined, the last is walked in vectors,
and what is left of it one by one. A value is loaded once, each node becomes a value in a register, and only what others
need is stored. A reduction over the last axis is carried in a register through the loop over it; over other axes it is
gathered in its buffer, row by row. Threads divide one of the axes, see `clearprop.compiler.native.division`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir

from clearprop.compiler.native.access import Access
from clearprop.compiler.native.arena import aligned
from clearprop.compiler.native.code import POINTER, Code, Value, index
from clearprop.compiler.native.division import Division, divide
from clearprop.compiler.native.elements import ELEMENTS, Element, is_costly, structure
from clearprop.compiler.native.integers import Integer, Integers
from clearprop.compiler.native.kernels import Fusion, Kernel
from clearprop.compiler.native.kinds import is_reduction
from clearprop.compiler.native.machine import Machine
from clearprop.compiler.native.reducing import combiner, identity
from clearprop.compiler.native.team import SHARED_ARGUMENTS, Team
from clearprop.compiler.native.views import row_strides
from clearprop.graph import Node

_SHORT, _LONG = 8, 32
"""An axis so short has no whole vectors; one so long has several."""


class LoopNest:
    """Writes one kernel.

    Args:
        fusion: which the kernel is part of.
        machine: for the width of vectors.

    Attributes:
        buffers: the nodes whose buffers are the arguments, in order: first those read, then those written.
        key: kernels with equal keys are the same function.
        shared: whether threads divide it.
        scratch_bytes: for the sums of parts.
    """

    def __init__(self, fusion: Fusion, kernel: Kernel, machine: Machine) -> None:
        assert kernel.space is not None
        self.kernel, self.machine = kernel, machine
        inside = {node for node in kernel.nodes if not is_reduction(node)}
        self._loads: dict[Node, Access] = {}
        buffers: dict[Node, int] = {}
        for node in kernel.nodes:
            for parent in node.parents:
                assert parent is not None
                if parent not in inside and parent not in self._loads:
                    self._loads[parent] = Access.of(fusion.views[parent], buffers)
        self._stores = {node: self._store(node, buffers.setdefault(node, len(buffers))) for node in kernel.stored}
        self._reduced = {node: node.attributes["axes"] for node in kernel.nodes if is_reduction(node)}
        self.buffers = list(buffers)
        self._join_axes(kernel.space)
        self.lanes = min((machine.lanes(node.dtype) for node in kernel.nodes if node.dtype.kind != "b"), default=1)
        widest = [machine.lanes(access.dtype) for access in self._loads.values() if access.dtype.kind != "b"]
        self.lanes = max(1, min([self.lanes, *widest])) if self.lanes > 1 or widest else 1
        self.shared = machine.shares(math.prod(self.space) * len(kernel.nodes)) and bool(self.space)
        self._division = divide(self.space, list(self._axes.values())) if self.shared else Division(-1, 1, None)
        self._place_parts()
        self.key = self._key()

    def _store(self, node: Node, slot: int) -> Access:
        assert self.kernel.space is not None
        strides = row_strides(node.shape)
        if is_reduction(node):
            following = iter(strides)
            axes = node.attributes["axes"]
            strides = tuple(0 if i in axes else next(following) for i in range(len(self.kernel.space)))
        return Access(slot, node.dtype, strides, 0)

    def _join_axes(self, space: tuple[int, ...]) -> None:
        """Drop axes of length 1, and join neighbours that all accesses, and all reductions, treat as one."""
        every = [*self._loads.values(), *self._stores.values()]
        kept: list[list[int]] = []  # groups of axes
        for axis, length in enumerate(space):
            if length == 1:
                continue
            if kept:
                before = kept[-1][-1]
                alike = all(access.goes_on(before, axis, length) for access in every)
                if alike and all((before in axes) == (axis in axes) for axes in self._reduced.values()):
                    kept[-1].append(axis)
                    continue
            kept.append([axis])
        self.space = tuple(math.prod(space[axis] for axis in group) for group in kept)
        last = [group[-1] for group in kept]
        self._loads = {node: access.of_axes(last) for node, access in self._loads.items()}
        self._stores = {node: access.of_axes(last) for node, access in self._stores.items()}
        self._axes = {node: tuple(last[i] in axes for i in range(len(last))) for node, axes in self._reduced.items()}
        self._turn()

    def _turn(self) -> None:
        """Walk along the longest axis last, where the last one is too short for vectors and much is to be computed."""
        last, longest = len(self.space) - 1, max(range(len(self.space)), key=self.space.__getitem__, default=0)
        is_short = last > 0 and self.space[last] < _SHORT and self.space[longest] >= _LONG
        is_looked_up = any(access.lookup is not None for access in self._loads.values())
        if not is_short or is_looked_up or not any(is_costly(node) for node in self.kernel.nodes):
            return
        order = list(range(len(self.space)))
        order[last], order[longest] = longest, last
        self.space = tuple(self.space[i] for i in order)
        for accesses in (self._loads, self._stores):
            for node, access in accesses.items():
                accesses[node] = access.of_axes(order)
        self._axes = {node: tuple(axes[i] for i in order) for node, axes in self._axes.items()}

    def _place_parts(self) -> None:
        """Where, in scratch memory, the sums of each part begin: those of reductions along the divided axis."""
        axis, _, parts = self._division
        self._parts: dict[Node, int] = {}
        self.scratch_bytes = 0
        for node, axes in self._axes.items():
            if parts and axes[axis]:
                self._parts[node] = self.scratch_bytes
                self.scratch_bytes += aligned(parts * math.prod(node.shape) * node.dtype.itemsize)

    def _key(self) -> tuple[Any, ...]:
        numbers: dict[Node, int] = {}
        for node in (*self._loads, *self.kernel.nodes):
            numbers.setdefault(node, len(numbers))
        accesses = tuple((numbers[n], *a) for n, a in self._loads.items())
        stores = tuple((numbers[n], a.slot, a.dtype, a.strides) for n, a in self._stores.items())
        return (
            "loops",
            self.space,
            structure(self.kernel.nodes, numbers),
            accesses,
            stores,
            tuple(self._axes.values()),
        )

    def replaceable(self, new: Node) -> list[Node]:
        """The buffers in whose place a value may be written: what is read there is read at the same place, just before.

        The operands of a kernel that is written otherwise than from one place to the next have none such.
        """
        written = self._stores[new]
        if new in self._reduced:
            return []
        found = []
        for old in self.buffers:
            if any(a.lookup is not None and old in self._read_through(a) for a in self._loads.values()):
                continue
            accesses = [access for node, access in self._loads.items() if self.buffers[access.slot] is old]
            fits = old.dtype.itemsize == new.dtype.itemsize and math.prod(old.shape) == math.prod(new.shape)
            if accesses and fits and all((a.strides, a.offset) == (written.strides, 0) for a in accesses):
                found.append(old)
        return found

    def _read_through(self, access: Access) -> list[Node]:
        """The buffers of rows that are looked up, and of their positions."""
        assert access.lookup is not None
        return [self.buffers[access.slot], self.buffers[access.lookup.slot]]

    # Writing it ---------------------------------------------------------------------------------------------------

    def write(self, module: ir.Module, name: str) -> None:
        """Write the function: it takes a pointer for each of the buffers."""
        scratch = [POINTER] if self.scratch_bytes else []
        shared = SHARED_ARGUMENTS if self.shared else ()
        types = [*[POINTER] * len(self.buffers), *scratch, *shared]
        code = Code.function(module, name, types, may_overlap=True)  # see `replaceable`
        arguments = list(code.builder.function.args)
        self._pointers = arguments[: len(self.buffers)]
        self._gathered = [node for node, axes in self._axes.items() if any(axes[:-1])]
        team = Team(code, *arguments[-3:]) if self.shared else Team.alone(code)
        if self._parts:
            self._in_parts(code, team, arguments[len(self.buffers)])
        else:
            axis, multiple, _ = self._division
            self._nest(code, team.share(self.space[axis], multiple) if self.shared else None)
        code.builder.ret_void()

    def _in_parts(self, code: Code, team: Team, scratch: Value) -> None:
        """Each part of the sums by itself, and then all parts together."""
        axis, multiple, parts = self._division
        assert parts is not None
        integers, length, units = Integers(code), self.space[axis], -(-self.space[axis] // multiple)
        own = dict(self._stores)
        starts = {
            node: code.at(scratch, np.uint8, index(offset)) for node, offset in self._parts.items()
        }  # fmt: skip
        outputs = list(self._pointers)

        def part(number: Integer) -> None:
            first, last = (
                integers.times(integers.quotient(integers.times(integers.add(number, i), units), parts), multiple)
                for i in (0, 1)
            )
            for node, start in starts.items():
                size = math.prod(node.shape)
                self._stores[node] = own[node]._replace(slot=len(self._pointers))
                self._pointers.append(code.at(start, node.dtype, integers.value(integers.times(number, size))))
            self._nest(code, (first, integers.smaller(last, length)))

        integers.each(*team.share(parts), 1, part)
        self._stores, self._pointers = own, outputs
        team.wait()
        for node, start in starts.items():
            self._add_parts(code, team, node, start, parts)

    def _add_parts(self, code: Code, team: Team, node: Node, start: Value, parts: int) -> None:
        size, target = math.prod(node.shape), self._pointers[self._stores[node].slot]
        combine = combiner(code, node)

        def element(i: Value, _: list[Value]) -> None:
            def add(part: Value, total: list[Value]) -> list[Value]:
                place = code.builder.add(code.builder.mul(part, index(size)), i)
                return [combine(total[0], code.load(code.at(start, node.dtype, place), node.dtype))]

            first = code.load(code.at(start, node.dtype, i), node.dtype)
            (total,) = code.loop(index(1), index(parts), 1, add, [first])
            code.store(total, code.at(target, node.dtype, i), node.dtype)

        first, last = (Integers(code).value(i) for i in team.share(size, 16))
        code.loop(first, last, 1, element)

    def _nest(self, code: Code, part: tuple[Integer, Integer] | None) -> None:
        """The loops, along the divided axis over a part of it."""
        for node in self._gathered:
            self._fill(code, node, part)
        self._walk(code, [], part)

    def _bounds(self, axis: int, part: tuple[Integer, Integer] | None) -> tuple[Integer, Integer]:
        """From where to where a loop goes."""
        return part if part is not None and axis == self._division.axis else (0, self.space[axis])

    def _fill(self, code: Code, node: Node, part: tuple[Integer, Integer] | None) -> None:
        """The buffer of a reduction before the first row: what this thread will add to."""
        access, axes = self._stores[node], self._axes[node]
        first = identity(node)
        kept = [axis for axis in range(len(self.space)) if not axes[axis]]

        def walk(place: Integer, following: list[int]) -> None:
            integers = Integers(code)
            if not following:
                code.store(first, code.at(self._pointers[access.slot], node.dtype, integers.value(place)), node.dtype)
                return
            axis, *others = following
            integers.each(
                *self._bounds(axis, part),
                1,
                lambda i: walk(integers.add(place, integers.times(i, access.strides[axis])), others),
            )

        walk(0, kept)

    def _walk(self, code: Code, position: list[Value], part: tuple[Integer, Integer] | None) -> None:
        """The loops over the axes from this one on."""
        axis, integers = len(position), Integers(code)
        if axis + 1 < len(self.space):
            start, stop = map(integers.value, self._bounds(axis, part))
            code.loop(start, stop, 1, lambda i, _: self._walk(code, [*position, i], part))
        else:
            self._last_axis(code, position, self._bounds(axis, part) if self.space else (0, 1))

    def _last_axis(self, code: Code, position: list[Value], bounds: tuple[Integer, Integer]) -> None:
        integers, length = Integers(code), self.space[-1] if self.space else 1
        accesses = dict.fromkeys([*self._loads.values(), *self._stores.values()])
        offsets: dict[Any, Integer] = {}
        rows = {access: access.row(code, self._pointers, position, offsets) for access in accesses}
        fixed = {a: code.load(rows[a], a.dtype) for a in dict.fromkeys(self._loads.values()) if not a.moves}
        carried = [node for node, axes in self._axes.items() if axes and axes[-1]]
        whole = length - length % self.lanes if self.lanes > 1 else 0
        start, stop = bounds
        first = [identity(node, self.lanes) for node in carried]

        def body(lanes: int) -> Callable[[Value, list[Value]], list[Value]]:
            repeated = {access: code.splat(number, lanes) for access, number in fixed.items()}

            def write(i: Value, sums: list[Value]) -> list[Value]:
                return self._body(code, rows, repeated, i, lanes, dict(zip(carried, sums, strict=True)))

            return write

        totals = [identity(node, 1) for node in carried]
        if whole:
            end = integers.value(integers.smaller(stop, whole))
            vectors = code.loop(integers.value(start), end, self.lanes, body(self.lanes), first)
            totals = [
                code.across(vector, combiner(code, node)) if self.lanes > 1 else vector
                for node, vector in zip(carried, vectors, strict=True)
            ]
        if whole < length:
            rest = integers.value(integers.larger(start, whole))
            totals = code.loop(rest, integers.value(stop), 1, body(1), totals)
        for node, total in zip(carried, totals, strict=True):
            self._end(code, node, rows[self._stores[node]], total)

    def _body(
        self,
        code: Code,
        rows: dict[Access, Value],
        repeated: dict[Access, Value],
        i: Value,
        lanes: int,
        sums: dict[Node, Value],
    ) -> list[Value]:
        """One vector of the last axis: load, compute, store; returns what is carried on."""
        values: dict[Node, Value] = {}
        loaded = dict(repeated)
        for node, access in self._loads.items():
            if access not in loaded:
                loaded[access] = access.get(code, access.place(code, rows[access], i), lanes)
            values[node] = loaded[access]
        for node in self.kernel.nodes:
            operands = [values[parent] for parent in node.parents if parent is not None]
            if node in self._axes:
                self._reduce(code, node, operands[0], rows, i, lanes, sums)
                continue
            dtypes = [parent.dtype for parent in node.parents if parent is not None]
            element = Element(code, operands, dtypes, node.dtype, lanes, node.attributes)
            values[node] = ELEMENTS[node.name](element)
            if node in self._stores:
                access = self._stores[node]
                access.put(code, values[node], access.place(code, rows[access], i), lanes)
        return list(sums.values())

    # Reductions ---------------------------------------------------------------------------------------------------

    def _reduce(
        self,
        code: Code,
        node: Node,
        value: Value,
        rows: dict[Access, Value],
        i: Value,
        lanes: int,
        sums: dict[Node, Value],
    ) -> None:
        combine = combiner(code, node)
        if node in sums:
            sums[node] = combine(sums[node], value)
            return
        access = self._stores[node]  # the last axis stays: gather in the buffer
        place = access.place(code, rows[access], i)
        if node in self._gathered:
            value = combine(access.get(code, place, lanes), value)
        access.put(code, value, place, lanes)

    def _end(self, code: Code, node: Node, place: Value, total: Value) -> None:
        """After the last axis: the total of this row."""
        if node in self._gathered:
            total = combiner(code, node)(code.load(place, node.dtype), total)
        code.store(total, place, node.dtype)
