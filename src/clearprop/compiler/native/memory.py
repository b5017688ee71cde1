"""The memory of a native program, and the table of addresses through which its code finds it."""

from __future__ import annotations

import ctypes
from collections.abc import Container, Iterable, Sequence
from typing import Any

import numpy as np

from clearprop.alignment import ALIGNMENT, address, aligned_empty
from clearprop.compiler.native.placing import Placement
from clearprop.compiler.native.results import Results
from clearprop.compiler.native.views import View
from clearprop.errors import OutOfMemoryError
from clearprop.graph import Node
from clearprop.heap import give_back
from clearprop.primitive import spec_of
from clearprop.trace import Program

SCRATCH, MEETING, FAILED, FIRST_BUFFER = 0, 1, 2, 3
"""What stands in the table of addresses before the buffers: memory that kernels need for themselves, where threads
meet, and, no address, the number of the kernel that has failed."""


class Memory:
    """Where the values of a program lie.

    Args:
        outputs: how the outputs of the program are read.
        native: the buffers that native code writes.
        by_numpy: those that NumPy writes.
        scratch: bytes that kernels need for themselves.
        margin: bytes around everything that is written which nobody uses.

    Attributes:
        slots: where in the table the address of each buffer stands.
        results: the arrays of what leaves the program, if native code writes it and it is no update.
        scratch_end: the address behind what kernels have for themselves.
    """

    def __init__(
        self,
        program: Program,
        placement: Placement,
        outputs: Sequence[View],
        native: Iterable[Node],
        by_numpy: Iterable[Node],
        scratch: int,
        margin: int = 0,
    ) -> None:
        self._inputs, self._updates, self._offsets = program.inputs, placement.updates, placement.offsets
        self._copies: list[Any] = []  # of inputs that did not lie in order of rows
        self._outputs = [(view, view.is_whole and 0 not in view.shape) for view in outputs]
        self._constants = {node: contiguous(array) for node, array in program.constants.items()}
        own = {*self._offsets, *self._updates}
        self.results = {node: Results(node, margin) for node in native if node not in own}
        block = _block(placement.nbytes + scratch + margin + ALIGNMENT)
        self._arena = block[-address(block) % ALIGNMENT :][: placement.nbytes + scratch]
        start = address(self._arena)
        buffers = [*program.inputs, *self._constants, *self._offsets, *self._updates, *self.results, *by_numpy]
        self.slots = {node: i for i, node in enumerate(dict.fromkeys(buffers), FIRST_BUFFER)}
        self.table = (ctypes.c_void_p * (FIRST_BUFFER + len(self.slots)))()
        self.address = ctypes.addressof(self.table)
        self.table[SCRATCH] = start + placement.nbytes
        self.scratch_end = start + placement.nbytes + scratch
        for node, array in self._constants.items():
            self.table[self.slots[node]] = address(array)
        for node, offset in self._offsets.items():
            self.table[self.slots[node]] = start + offset

    def place(self, node: Node) -> tuple[int, int]:
        """Where a buffer begins, and how many bytes it has."""
        return self.table[self.slots[node]] or 0, spec_of(node).nbytes

    @property
    def nbytes(self) -> int:
        """Of the arena, with what kernels need for themselves."""
        return self._arena.nbytes

    def take(self, values: Sequence[Any], over: Container[Node]) -> Buffers:
        """Note where inputs and results lie; returns the arrays of all buffers.

        Args:
            values: of the inputs.
            over: inputs that are written over with their updates.
        """
        buffers = Buffers(self)
        copies = []
        for node, value in zip(self._inputs, values, strict=True):
            array = contiguous(value)
            if array is not value:
                copies.append(array)  # whose address stays in the table
            buffers.put(node, array)
        self._copies = copies
        for node, old in self._updates.items():
            buffers.put(node, buffers[old] if old in over else aligned_empty(node.shape, node.dtype))
        for node, results in self.results.items():
            buffers.put(node, results.take())
        return buffers

    def fixed(self, node: Node) -> Any:
        """The array of a buffer that lies where it lay: a constant, or part of the arena."""
        if node in self._constants:
            return self._constants[node]
        return np.ndarray(node.shape, node.dtype, self._arena, self._offsets[node])

    def returned(self, buffers: Buffers) -> list[Any]:
        """The outputs of the program."""
        return [
            self.kept(view.source, buffers[view.source] if is_whole else buffers.read(view))
            for view, is_whole in self._outputs
        ]

    def kept(self, source: Node, shown: Any) -> Any:
        """An output, or a copy of it where the next call writes to the same place."""
        results = self.results.get(source)
        return shown.copy() if results is not None and results.is_small else shown


class Buffers(dict[Node, Any]):
    """The arrays of all buffers in one call."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def __missing__(self, node: Node) -> Any:
        return self._memory.fixed(node)

    def put(self, node: Node, array: Any) -> None:
        """A buffer that is where this array is, in order of rows."""
        self[node] = array
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


def _block(nbytes: int) -> Any:
    """Memory for the arena.

    Raises:
        OutOfMemoryError: if there is not so much.
    """
    give_back()
    try:
        return np.zeros(nbytes, np.uint8)
    except MemoryError:
        raise OutOfMemoryError(
            f"the values of a compiled function need {nbytes:,} bytes at a time, and the system does not give as many",
            hint="a smaller batch; cp.checkpoint around parts of the network computes instead of keeping",
        ) from None


def contiguous(array: Any) -> Any:
    """The array in order of rows; itself if it is."""
    array = np.asarray(array)
    return array if array.flags.c_contiguous else array.copy("C")
