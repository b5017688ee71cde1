"""What this machine can do at most: multiply and add in registers, and stream through memory.

Both loops are written with the means of our compiler, for the widest vectors of the machine, and run on all threads at
once. They are measured in turn with the contestants, so that whatever slows the machine down slows both.
"""

from __future__ import annotations

import ctypes
import math
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from llvmlite import ir

from clearprop.compiler.native.code import I64, POINTER, Code, constant, index
from clearprop.compiler.native.library import Library
from clearprop.compiler.native.machine import host

_CHAINS = 12  # sums that do not wait for one another: latency times units, and no more than there are registers
_STREAM = 32 << 20  # numbers, over all threads: too many for any cache
_SECONDS = 0.02  # that a measurement takes


class Limit:
    """Measures the machine from time to time; the median counts."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads)
        self._library = Library(_module(), level=2)  # the registers of the loops are all that counts here
        arguments = [ctypes.c_void_p, ctypes.c_int64]
        self._multiply: Any = self._library.function("multiply", arguments)
        self._stream: Any = self._library.function("stream", arguments)
        self._numbers = np.ones((threads, _STREAM // threads), np.float32)
        self._turns = 1000
        self._flops: list[float] = []
        self._bytes: list[float] = []
        while (taken := self._on_all(self._multiply, self._turns)) < _SECONDS:
            self._turns = int(self._turns * max(1.2 * _SECONDS / taken, 1.5))

    def measure(self, warm_up: float = 0.0) -> None:
        """Take one measurement of both, behind so many seconds of work that are not timed."""
        for _ in range(math.ceil(warm_up / _SECONDS)):
            self._on_all(self._multiply, self._turns)
        taken = self._on_all(self._multiply, self._turns)
        lanes = host().lanes(np.float32)
        self._flops.append(2 * lanes * _CHAINS * self._turns * self._threads / taken)
        taken = self._on_all(self._stream, self._numbers.shape[1])
        self._bytes.append(2 * self._numbers.nbytes / taken)

    def _on_all(self, function: Any, count: int) -> float:
        addresses = [row.ctypes.data for row in self._numbers]
        start = perf_counter()
        for running in [self._pool.submit(function, address, count) for address in addresses]:
            running.result()
        return perf_counter() - start

    @property
    def flops_per_second(self) -> float:
        """Of all threads together."""
        return median(self._flops)

    @property
    def bytes_per_second(self) -> float:
        """Read and written, of all threads together."""
        return median(self._bytes)

    def seconds(self, flops: int, optimizer_bytes: int) -> float:
        """No step with so much to do can be faster."""
        return flops / self.flops_per_second + optimizer_bytes / self.bytes_per_second

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()


def _module() -> ir.Module:
    module, lanes = ir.Module("limit"), host().lanes(np.float32)
    a, b = (constant("float32", value, lanes) for value in (0.999, 0.001))

    code = Code.function(module, "multiply", [POINTER, I64])
    pointer, count = code.builder.function.args
    start = [code.load(code.at(pointer, "float32", index(i * lanes)), "float32", lanes) for i in range(_CHAINS)]
    sums = code.loop(index(0), count, 1, lambda _, xs: [code.fma(x, a, b) for x in xs], start)
    for i, x in enumerate(sums):
        code.store(x, code.at(pointer, "float32", index(i * lanes)), "float32")
    code.builder.ret_void()

    code = Code.function(module, "stream", [POINTER, I64])
    pointer, count = code.builder.function.args

    def body(i: Any, _: Any) -> None:
        places = [code.at(pointer, "float32", code.builder.add(i, index(k * lanes))) for k in range(4)]
        for place in places:
            code.store(code.fma(code.load(place, "float32", lanes), a, b), place, "float32")

    code.loop(index(0), count, 4 * lanes, body)
    code.builder.ret_void()
    return module
