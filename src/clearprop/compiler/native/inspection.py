"""Looking at a native program kernel by kernel, while it runs: how long each takes, whether it keeps to its buffers.

A program with an inspector runs its kernels one by one, and tells the inspector before and after each.
"""

from __future__ import annotations

import ctypes
from collections import defaultdict
from time import perf_counter
from typing import TYPE_CHECKING, Protocol

from clearprop.alignment import ALIGNMENT
from clearprop.compiler.native.kernels import Kernel
from clearprop.errors import ComputationError

if TYPE_CHECKING:
    from clearprop.compiler.native.memory import Memory


class Inspector(Protocol):
    """Is told of each kernel, and in which memory it works: None if NumPy runs it.

    Attributes:
        margin: bytes around each buffer that nobody else uses, a multiple of `ALIGNMENT`.
    """

    margin: int

    def before(self, kernel: Kernel, memory: Memory | None) -> None:
        """Called when a kernel is about to run."""

    def after(self, kernel: Kernel, memory: Memory | None) -> None:
        """Called when it has run."""


class Timer:
    """Adds up the seconds of each kernel.

    Attributes:
        seconds: by kernel. They hold what it takes Python to call a kernel, some microseconds.
    """

    margin = 0

    def __init__(self) -> None:
        self.seconds: dict[Kernel, float] = defaultdict(float)

    def before(self, kernel: Kernel, memory: Memory | None) -> None:
        """Look at the clock."""
        self._started = perf_counter()

    def after(self, kernel: Kernel, memory: Memory | None) -> None:
        """Look at it again."""
        self.seconds[kernel] += perf_counter() - self._started


class Guards:
    """Bytes of a known value on both sides of what a kernel writes, and behind scratch memory.

    They find who writes beyond a buffer, at once and by name. Whoever reads there reads NaN, or numbers far too large.
    """

    margin = ALIGNMENT
    _BYTES = b"\xff" * ALIGNMENT

    def before(self, kernel: Kernel, memory: Memory | None) -> None:
        """Fill the zones of the kernel's buffers."""
        for address in self._zones(kernel, memory):
            ctypes.memmove(address, self._BYTES, ALIGNMENT)

    def after(self, kernel: Kernel, memory: Memory | None) -> None:
        """Look at them.

        Raises:
            GuardError: if something else stands there.
        """
        for address in self._zones(kernel, memory):
            if ctypes.string_at(address, ALIGNMENT) != self._BYTES:
                names = " ".join(node.name for node in kernel.nodes)
                shapes = ", ".join(f"{node.dtype}{list(node.shape)}" for node in kernel.stored)
                raise GuardError(
                    f"native code of {names} has written outside of its buffers ({shapes})",
                    hint="compile(executor='reference'), and please report the program",
                    position=kernel.nodes[0].position,
                )

    def _zones(self, kernel: Kernel, memory: Memory | None) -> list[int]:
        """The addresses of all zones that native code might write to."""
        if memory is None:
            return []
        zones = [memory.scratch_end]
        for node in kernel.stored:
            start, nbytes = memory.place(node)
            zones += [start - ALIGNMENT, start + nbytes]
        return zones


class GuardError(ComputationError, RuntimeError):
    """Native code that does not keep to its buffers: a defect of the compiler."""
