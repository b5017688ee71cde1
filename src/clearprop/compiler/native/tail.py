"""What follows a matrix product element by element, as its epilogue.

A kernel of a product may hold elementwise nodes behind it: they are computed from the sums while these are in registers
or in the first-level cache, so that the product need not be written, read again and written once more. Their operands
are views of buffers, which are read at the place of each element.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from clearprop.compiler.native.code import Code, Value
from clearprop.compiler.native.elements import computed, structure
from clearprop.compiler.native.gemm_place import Epilogue, Place
from clearprop.compiler.native.kernels import Fusion, Kernel
from clearprop.compiler.native.views import row_strides
from clearprop.graph import Node

_SHORT = 2
_PLAIN = frozenset({"add", "subtract", "multiply", "divide"})
"""So few operations, none of which needs registers for constants, are written for each register of a tile; more as a
function that is called for a tile in memory."""


class Access(NamedTuple):
    """A buffer that is read or written at the place of each element.

    Attributes:
        offset: where its first element stands.
        strides: by axis of the product, as the epilogue walks it.
    """

    source: Node
    dtype: np.dtype[Any]
    offset: int
    strides: tuple[int, ...]


class Tail:
    """The nodes behind a product.

    Attributes:
        shape: as what they walk over: the product's, or another with as many columns, whose other axes are its rows.
        target: the node that is written where the sums are.
        reads, writes: the additional buffers.
    """

    def __init__(self, fusion: Fusion, kernel: Kernel) -> None:
        self.product, *self.nodes = kernel.nodes
        self.shape = self.nodes[0].shape if self.nodes else self.product.shape
        inside = set(self.nodes)
        self._sums = {self.product}
        self._loads: dict[Node, Access] = {}
        for node in self.nodes:
            for parent in node.parents:
                assert parent is not None
                view = fusion.views[parent]
                if view.source is self.product:
                    self._sums.add(parent)
                elif parent not in inside:
                    self._loads[parent] = Access(view.source, parent.dtype, view.offset, view.strides)
        fit = [node for node in kernel.stored if node.dtype == self.product.dtype]
        self.target = self.product if self.product in fit or not fit else fit[0]
        rows = row_strides(self.shape)
        self._stores = {node: Access(node, node.dtype, 0, rows) for node in kernel.stored if node is not self.target}
        self.reads, self.writes = list(dict.fromkeys(self._loads.values())), list(self._stores.values())

    def replaceable(self, new: Node) -> list[Node]:
        """The buffers that are read at the places of the product's elements, and no others, in whose place is room."""
        rows, found = row_strides(self.shape), []
        for old in dict.fromkeys(access.source for access in self.reads):
            fits = old.dtype.itemsize == new.dtype.itemsize and math.prod(old.shape) == math.prod(self.shape)
            if fits and all((a.strides, a.offset) == (rows, 0) for a in self.reads if a.source is old):
                found.append(old)
        return found

    @property
    def epilogue(self) -> Epilogue | None:
        """None if there is nothing behind the product."""
        if not self.nodes:
            return None
        pointers = len(self.reads) + len(self.writes)
        is_plain = all(node.name in _PLAIN for node in self.nodes)
        is_short = len(self.nodes) <= _SHORT and is_plain and pointers <= 1
        return Epilogue(self._key(), self._write, pointers, is_long=not is_short)

    def _key(self) -> tuple[Any, ...]:
        numbers = dict.fromkeys(self._sums, 0)
        for node in (*self._loads, *self.nodes):
            numbers.setdefault(node, len(numbers))
        loads = tuple((numbers[n], self.reads.index(a), a.dtype, a.strides) for n, a in self._loads.items())
        return (
            structure(self.nodes, numbers),
            loads,
            tuple(numbers[node] for node in self._stores),
            numbers[self.target],
        )

    def _write(self, code: Code, sums: Value, place: Place) -> Value:
        """What is to be stored where the sums are."""
        pointers = dict(zip((*self.reads, *self.writes), place.pointers, strict=True))
        values = dict.fromkeys(self._sums, sums)
        loaded = {access: place.load(pointers[access], access.dtype, *_steps(access.strides)) for access in self.reads}
        values.update((node, loaded[access]) for node, access in self._loads.items())
        computed(code, self.nodes, values, place.lanes)
        for node, access in self._stores.items():
            place.store(values[node], pointers[access], access.dtype, *_steps(access.strides))
        return values[self.target]


def _steps(strides: Sequence[int]) -> tuple[int, int, tuple[int, ...]]:
    """Along rows, columns and the axes of the batch."""
    *batch, rows, columns = strides
    return rows, columns, tuple(batch)
