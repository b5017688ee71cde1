"""The memory of a native program, and the table of addresses through which its code finds it."""

from __future__ import annotations

import ctypes
from collections.abc import Container, Iterable, Sequence
from typing import Any

import numpy as np

from clearprop.compiler.native.arena import ALIGNMENT
from clearprop.compiler.native.placing import Placement
from clearprop.compiler.native.results import Results, address
from clearprop.compiler.native.views import View
from clearprop.compiler.native.workers import meeting_address
from clearprop.graph import Node
from clearprop.trace import Program

SCRATCH, MEETING, FAILED, FIRST_BUFFER = 0, 1, 2, 3
"""What stands in the table of addresses before the buffers: memory that kernels need for themselves, where threads
meet, and, no address, the number of the kernel that has failed."""


class Memory:
    """Where the values of a program lie.

    Args:
        results: the buffers that leave the program.
        by_numpy: those that NumPy writes.
        scratch: bytes that kernels need for themselves.

    Attributes:
        slots: where in the table the address of each buffer stands.
        results: the arrays of the buffers that leave the program.
    """

    def __init__(
        self, program: Program, placement: Placement, results: Iterable[Node], by_numpy: Iterable[Node], scratch: int
    ) -> None:
        self._inputs, self._updates, self._offsets = program.inputs, placement.updates, placement.offsets
        self._constants = {node: contiguous(array) for node, array in program.constants.items()}
        self.results = {node: Results(node) for node in results}
        block = np.zeros(placement.nbytes + scratch + ALIGNMENT, np.uint8)
        self._arena = block[-address(block) % ALIGNMENT :][: placement.nbytes + scratch]
        start = address(self._arena)
        buffers = [*program.inputs, *self._constants, *self._offsets, *self.results, *by_numpy]
        self.slots = {node: i for i, node in enumerate(dict.fromkeys(buffers), FIRST_BUFFER)}
        self.table = (ctypes.c_void_p * (FIRST_BUFFER + len(self.slots)))()
        self.address = ctypes.addressof(self.table)
        self.table[SCRATCH] = start + placement.nbytes
        self.table[MEETING] = meeting_address()
        for node, array in self._constants.items():
            self.table[self.slots[node]] = address(array)
        for node, offset in self._offsets.items():
            self.table[self.slots[node]] = start + offset

    @property
    def nbytes(self) -> int:
        """Of the arena, with what kernels need for themselves."""
        return self._arena.nbytes

    def take(self, values: Sequence[Any], over: Container[Node]) -> Buffers:
        """Note where inputs and results lie; returns the arrays of all buffers.

        Args:
            values: of the inputs.
            over: the results that are written over the input that they are an update of.
        """
        buffers = Buffers(self)
        for node, value in zip(self._inputs, values, strict=True):
            buffers.put(node, value)
        for node, results in self.results.items():
            buffers.put(node, buffers[self._updates[node]] if node in over else results.take())
        return buffers

    def fixed(self, node: Node) -> Any:
        """The array of a buffer that lies where it lay: a constant, or part of the arena."""
        if node in self._constants:
            return self._constants[node]
        return np.ndarray(node.shape, node.dtype, self._arena, self._offsets[node])

    def result(self, view: View, buffers: Buffers) -> Any:
        """What a view of a result shows; a copy of it, where the next call writes to the same place."""
        shown, results = buffers.read(view), self.results.get(view.source)
        is_fixed = results is not None and results.is_small and buffers[view.source] is results.take()
        return shown.copy() if is_fixed else shown


class Buffers(dict[Node, Any]):
    """The arrays of all buffers in one call."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def __missing__(self, node: Node) -> Any:
        return self._memory.fixed(node)

    def put(self, node: Node, array: Any) -> None:
        """A buffer that is where this array is."""
        array = self[node] = contiguous(array)
        self._memory.table[self._memory.slots[node]] = address(array)

    def read(self, view: View) -> Any:
        """The array that a view shows."""
        if 0 in view.shape:
            return np.empty(view.shape, view.source.dtype)
        source = self[view.source]
        if view.is_whole:
            return source
        strides = tuple(stride * source.itemsize for stride in view.strides)
        return np.ndarray(view.shape, source.dtype, source, view.offset * source.itemsize, strides)


def contiguous(array: Any) -> Any:
    """The array in order of rows; itself if it is."""
    array = np.asarray(array)
    return array if array.flags.c_contiguous else array.copy("C")
