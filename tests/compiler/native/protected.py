"""Native programs run on memory that ends, or begins, where the operating system allows no access.

Code that reads or writes one byte beyond a buffer is stopped there and then, and the process with it: the traceback
names the test. Nothing else finds a read that does no harm today.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from tests.compiler.native.test_native import same

from clearprop.compiler.native.lowerings import scratch_bytes
from clearprop.compiler.native.memory import SCRATCH
from clearprop.compiler.native.program import NativeProgram
from clearprop.graph import Node

PAGE = 1 << 14
"""Bytes; the pages of all systems are parts of that."""

READ_AND_WRITE, PRIVATE_AND_EMPTY = 3, 0x1002 if sys.platform == "darwin" else 0x22


@cache
def system() -> ctypes.CDLL:
    library = ctypes.CDLL(None)
    library.mmap.restype = ctypes.c_void_p
    library.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    library.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    library.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    return library


class Memory:
    """So many bytes between two pages without access, at the end or at the beginning of what is between them."""

    def __init__(self, nbytes: int, at_end: bool) -> None:
        inner = -(-max(nbytes, 1) // PAGE) * PAGE
        self.size = inner + 2 * PAGE
        self.start = system().mmap(None, self.size, READ_AND_WRITE, PRIVATE_AND_EMPTY, -1, 0)
        for page in (self.start, self.start + PAGE + inner):
            assert system().mprotect(page, PAGE, 0) == 0
        self.address = self.start + PAGE + (inner - nbytes if at_end else 0)
        self.bytes = np.frombuffer((ctypes.c_uint8 * nbytes).from_address(self.address), np.uint8)

    def free(self) -> None:
        del self.bytes
        system().munmap(self.start, self.size)


def run_protected(compiled: NativeProgram, values: Sequence[Any], at_end: bool) -> list[Any]:
    """The outputs, every buffer of the program being in protected memory."""
    given = dict(zip(compiled.program.inputs, values, strict=True)) | compiled.program.constants
    memory: dict[Node, Memory] = {}
    table = (ctypes.c_void_p * len(compiled._memory.table))(*compiled._memory.table)
    for node, slot in compiled._memory.slots.items():
        memory[node] = Memory(int(np.prod(node.shape)) * node.dtype.itemsize, at_end)
        value = np.ascontiguousarray(given[node]).reshape(-1).view(np.uint8) if node in given else 0xA5
        memory[node].bytes[...] = value
        table[slot] = memory[node].address
    needed = [scratch_bytes(made, compiled.threads) for made in compiled._writers.values()]
    scratch = Memory(max(needed, default=0), at_end)
    scratch.bytes[...] = 0xFF  # NaN, and of integers the largest or -1: nobody may read what nobody has written
    table[SCRATCH] = scratch.address
    for function in compiled._functions:
        assert function(ctypes.addressof(table)) == 0
    outputs = []
    for node in compiled.program.outputs:
        view = compiled.fusion.views[node]
        source = (
            memory[view.source].bytes.view(view.source.dtype)[view.offset :] if 0 not in view.shape else np.empty(0)
        )
        strides = [stride * source.itemsize for stride in view.strides]
        outputs.append(np.lib.stride_tricks.as_strided(source, view.shape, strides).copy())
    for block in (*memory.values(), scratch):
        block.free()
    return outputs


def check(f: Callable[..., Any], *arrays: Any, rtol: float = 0.0) -> NativeProgram:
    """Natively the same as by NumPy, without NumPy, and without a byte beyond a buffer."""
    compiled = same(f, *arrays, rtol=rtol)
    assert compiled.by_numpy() == []
    if sys.platform == "win32":
        return compiled
    expected = [np.array(y) for y in compiled(arrays)]
    for at_end in (True, False):
        for one, other in zip(run_protected(compiled, arrays, at_end), expected, strict=True):
            np.testing.assert_array_equal(one, other)
    return compiled
