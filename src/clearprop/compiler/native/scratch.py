"""Kernels of one node that need memory for themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir

from clearprop.compiler.native.code import POINTER, Code
from clearprop.compiler.native.kernels import Fusion, Kernel
from clearprop.compiler.native.machine import Machine
from clearprop.compiler.native.single import Array, NodeWriter, moved
from clearprop.compiler.native.views import row_strides

_LINE = 64


class Scratch:
    """Memory that is handed out in parts, each of whole cache lines.

    Attributes:
        nbytes: how much is needed in all.
    """

    def __init__(self) -> None:
        self.nbytes = 0

    def reserve(self, elements: int, dtype: np.dtype[Any]) -> int:
        """Where the next part begins, in bytes."""
        start = self.nbytes
        self.nbytes += -(-elements * dtype.itemsize // _LINE) * _LINE
        return start


class ScratchWriter(NodeWriter):
    """Writes the kernel of one node, for floats, with memory for itself.

    Attributes:
        scratch_bytes: how much.
    """

    def __init__(self, fusion: Fusion, kernel: Kernel, machine: Machine) -> None:
        super().__init__(fusion, kernel, machine)
        self.scratch = Scratch()

    @classmethod
    def of(cls, fusion: Fusion, kernel: Kernel, machine: Machine) -> NodeWriter | None:
        """The writer of a kernel, or None if these are no floats, or none at all."""
        node = kernel.node
        arrays = [node, *(parent for parent in node.parents if parent is not None)]
        is_float = node.dtype.name in ("float32", "float64")
        return cls(fusion, kernel, machine) if is_float and not any(0 in array.shape for array in arrays) else None

    @property
    def scratch_bytes(self) -> int:
        """What has been reserved."""
        return self.scratch.nbytes

    def write(self, module: ir.Module, name: str) -> None:
        """Write the function: it takes a pointer for each of the buffers, and one to scratch memory if there is any."""
        code = Code.function(module, name, [POINTER] * (len(self.buffers) + bool(self.scratch_bytes)))
        pointers = code.builder.function.args
        self._memory = pointers[-1] if self.scratch_bytes else ir.Constant(POINTER, None)
        operands = [
            Array(
                moved(code, pointers[self.slots[v.source]], v.source.dtype, v.offset),
                v.source.dtype,
                v.shape,
                v.strides,
            )
            for v in self.views
        ]
        target = pointers[self.slots[self.node]]
        self.body(code, operands, Array(target, self.node.dtype, self.node.shape, row_strides(self.node.shape)))
        code.builder.ret_void()

    def part(self, code: Code, start: int, shape: Sequence[int] = (), strides: Sequence[int] = ()) -> Array:
        """A part of the scratch memory, as an array of the node's dtype."""
        pointer = moved(code, self._memory, np.dtype(np.uint8), start)
        return Array(pointer, self.node.dtype, tuple(shape), tuple(strides))
