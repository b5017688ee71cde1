"""Kernels of one node that need memory for themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clearprop.compiler.native.code import Code
from clearprop.compiler.native.integers import Integers
from clearprop.compiler.native.kernels import Fusion, Kernel
from clearprop.compiler.native.machine import Machine
from clearprop.compiler.native.single import Array, NodeWriter, moved

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
    def scratch_bytes(self) -> int:  # type: ignore[override]
        """What has been reserved."""
        return self.scratch.nbytes

    def part(
        self, code: Code, start: int, shape: Sequence[int] = (), strides: Sequence[int] = (), *, common: bool = False
    ) -> Array:
        """A part of the scratch memory, as an array of the node's dtype.

        Args:
            common: of the memory that all threads see; else of this thread's own.
        """
        integers = Integers(code)
        mine = 0 if common else integers.times(self.team.thread, self.scratch_bytes)
        pointer = moved(code, self.memory, np.dtype(np.uint8), integers.add(mine, start))
        return Array(pointer, self.node.dtype, tuple(shape), tuple(strides))
