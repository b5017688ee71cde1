"""A kernel of elementwise nodes and reductions as a loop nest.

All its nodes walk over one space. Axes that every value walks through alike are joined, the last is walked in vectors,
and what is left of it one by one. A value is loaded once, each node becomes a value in a register, and only what others
need is stored. A reduction over the last axis is carried in a register through the loop over it; over other axes it is
gathered in its buffer, row by row.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir

from clearprop.compiler.native.code import POINTER, Code, Value, constant, index
from clearprop.compiler.native.elements import ELEMENTS, Element, extreme
from clearprop.compiler.native.kernels import Fusion, Kernel, is_reduction
from clearprop.compiler.native.machine import Machine
from clearprop.compiler.native.views import row_strides
from clearprop.graph import Node


class Access(NamedTuple):
    """How a kernel walks through a buffer.

    Attributes:
        slot: which of the kernel's pointers.
        strides: one for each axis of the kernel's space.
    """

    slot: int
    dtype: np.dtype[Any]
    strides: tuple[int, ...]
    offset: int


_IDENTITIES: dict[str, Callable[[np.dtype[Any]], Any]] = {
    "sum": lambda dtype: 0,
    "prod": lambda dtype: 1,
    "max": lambda dtype: -np.inf if dtype.kind == "f" else False if dtype.kind == "b" else np.iinfo(dtype).min,
    "min": lambda dtype: np.inf if dtype.kind == "f" else True if dtype.kind == "b" else np.iinfo(dtype).max,
    "all": lambda dtype: True,
    "any": lambda dtype: False,
}


class LoopNest:
    """Writes one kernel.

    Args:
        fusion: which the kernel is part of.
        machine: for the width of vectors.

    Attributes:
        buffers: the nodes whose buffers are the arguments, in order: first those read, then those written.
        key: kernels with equal keys are the same function.
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
                    view = fusion.views[parent]
                    slot = buffers.setdefault(view.source, len(buffers))
                    self._loads[parent] = Access(slot, parent.dtype, view.strides, view.offset)
        self._stores = {node: self._store(node, buffers.setdefault(node, len(buffers))) for node in kernel.stored}
        self._reduced = {node: node.attributes["axes"] for node in kernel.nodes if is_reduction(node)}
        self.buffers = list(buffers)
        self._join_axes(kernel.space)
        self.lanes = min((machine.lanes(node.dtype) for node in kernel.nodes if node.dtype.kind != "b"), default=1)
        widest = [machine.lanes(access.dtype) for access in self._loads.values() if access.dtype.kind != "b"]
        self.lanes = max(1, min([self.lanes, *widest])) if self.lanes > 1 or widest else 1
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
                alike = all(a.strides[before] == a.strides[axis] * length for a in every)
                if alike and all((before in axes) == (axis in axes) for axes in self._reduced.values()):
                    kept[-1].append(axis)
                    continue
            kept.append([axis])
        self.space = tuple(math.prod(space[axis] for axis in group) for group in kept)
        last = [group[-1] for group in kept]
        self._loads = {n: a._replace(strides=tuple(a.strides[i] for i in last)) for n, a in self._loads.items()}
        self._stores = {n: a._replace(strides=tuple(a.strides[i] for i in last)) for n, a in self._stores.items()}
        self._axes = {node: tuple(last[i] in axes for i in range(len(last))) for node, axes in self._reduced.items()}

    def _key(self) -> tuple[Any, ...]:
        numbers: dict[Node, int] = {}
        for node in (*self._loads, *self.kernel.nodes):
            numbers.setdefault(node, len(numbers))
        lines = tuple(
            (node.name, tuple(numbers[p] for p in node.parents if p), str(node.dtype), _plain(node.attributes))
            for node in self.kernel.nodes
        )
        accesses = tuple((numbers[n], a.slot, str(a.dtype), a.strides, a.offset) for n, a in self._loads.items())
        stores = tuple((numbers[n], a.slot, str(a.dtype), a.strides) for n, a in self._stores.items())
        return ("loops", self.space, lines, accesses, stores, tuple(self._axes.values()))

    # Writing it ---------------------------------------------------------------------------------------------------

    def write(self, module: ir.Module, name: str) -> None:
        """Write the function: it takes a pointer for each of the buffers."""
        code = Code.function(module, name, [POINTER] * len(self.buffers))
        self._pointers = list(code.builder.function.args)
        self._gathered = {node for node, axes in self._axes.items() if any(axes[:-1])}
        for node in self._gathered:
            self._fill(code, node)
        self._walk(code, [])
        code.builder.ret_void()

    def _fill(self, code: Code, node: Node) -> None:
        """The buffer of a reduction before the first row."""
        access = self._stores[node]
        first = constant(node.dtype, _IDENTITIES[node.name](node.dtype))

        def body(i: Value, _: list[Value]) -> None:
            code.store(first, code.at(self._pointers[access.slot], node.dtype, i), node.dtype)

        code.loop(index(0), index(math.prod(node.shape)), 1, body)

    def _walk(self, code: Code, position: list[Value]) -> None:
        """The loops over the axes from this one on."""
        if len(position) + 1 < len(self.space):
            axis = len(position)
            code.loop(index(0), index(self.space[axis]), 1, lambda i, _: self._walk(code, [*position, i]))
        else:
            self._last_axis(code, position)

    def _last_axis(self, code: Code, position: list[Value]) -> None:
        length = self.space[-1] if self.space else 1
        rows = {a: self._row(code, a, position) for a in {*self._loads.values(), *self._stores.values()}}
        carried = [node for node, axes in self._axes.items() if axes and axes[-1]]
        whole = length - length % self.lanes if self.lanes > 1 else 0
        first = [self._identity(node, self.lanes) for node in carried]

        def body(lanes: int) -> Callable[[Value, list[Value]], list[Value]]:
            def write(i: Value, sums: list[Value]) -> list[Value]:
                return self._body(code, rows, i, lanes, dict(zip(carried, sums, strict=True)))

            return write

        totals = [self._identity(node, 1) for node in carried]
        if whole:
            vectors = code.loop(index(0), index(whole), self.lanes, body(self.lanes), first)
            totals = [
                code.across(vector, self._combiner(code, node)) if self.lanes > 1 else vector
                for node, vector in zip(carried, vectors, strict=True)
            ]
        if whole < length:
            totals = code.loop(index(whole), index(length), 1, body(1), totals)
        for node, total in zip(carried, totals, strict=True):
            self._end(code, node, rows[self._stores[node]], total)

    def _row(self, code: Code, access: Access, position: list[Value]) -> Value:
        """Where the last axis of an access begins."""
        offset: Value = index(access.offset)
        for i, stride in zip(position, access.strides, strict=False):
            if stride:
                offset = code.builder.add(offset, code.builder.mul(i, index(stride)))
        return code.at(self._pointers[access.slot], access.dtype, offset)

    def _body(
        self, code: Code, rows: dict[Access, Value], i: Value, lanes: int, sums: dict[Node, Value]
    ) -> list[Value]:
        """One vector of the last axis: load, compute, store; returns what is carried on."""
        values: dict[Node, Value] = {}
        loaded: dict[Access, Value] = {}
        for node, access in self._loads.items():
            if access not in loaded:
                loaded[access] = self._load(code, rows[access], access, i, lanes)
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
                stride = access.strides[-1] if access.strides else 0
                place = code.at(rows[access], node.dtype, i) if stride else rows[access]
                code.store(values[node], place, node.dtype)
        return list(sums.values())

    def _load(self, code: Code, row: Value, access: Access, i: Value, lanes: int) -> Value:
        stride = access.strides[-1] if access.strides else 0
        if stride == 0:
            return code.splat(code.load(row, access.dtype), lanes)
        place = code.at(row, access.dtype, i if stride == 1 else code.builder.mul(i, index(stride)))
        if stride == 1 or lanes == 1:
            return code.load(place, access.dtype, lanes)
        return code.load_apart(place, access.dtype, stride, lanes)

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
        combine = self._combiner(code, node)
        if node in sums:
            sums[node] = combine(sums[node], value)
            return
        access = self._stores[node]  # the last axis stays: gather in the buffer
        place = code.at(rows[access], node.dtype, i) if access.strides and access.strides[-1] else rows[access]
        if node in self._gathered:
            value = combine(code.load(place, node.dtype, lanes), value)
        code.store(value, place, node.dtype)

    def _end(self, code: Code, node: Node, place: Value, total: Value) -> None:
        """After the last axis: the total of this row."""
        if node in self._gathered:
            total = self._combiner(code, node)(code.load(place, node.dtype), total)
        code.store(total, place, node.dtype)

    def _identity(self, node: Node, lanes: int) -> Value:
        return constant(node.dtype, _IDENTITIES[node.name](node.dtype), lanes)

    def _combiner(self, code: Code, node: Node) -> Callable[[Value, Value], Value]:
        b, is_float = code.builder, node.dtype.kind == "f"
        if node.name in ("sum", "prod"):
            names = {"sum": ("fadd", "add"), "prod": ("fmul", "mul")}[node.name]
            return getattr(b, names[0] if is_float else names[1])
        if node.name in ("all", "any") or node.dtype.kind == "b":
            return b.and_ if node.name in ("all", "min") else b.or_

        def larger_or_smaller(x: Value, y: Value) -> Value:
            lanes = x.type.count if isinstance(x.type, ir.VectorType) else 1
            element = Element(code, [x, y], [node.dtype] * 2, node.dtype, lanes, {})
            return extreme(element, ">" if node.name == "max" else "<", x, y)

        return larger_or_smaller


def _plain(attributes: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((name, str(value)) for name, value in attributes.items())
