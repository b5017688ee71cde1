"""The processor that code is made for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache

import llvmlite.binding as llvm
import numpy as np

from clearprop.compiler.native.processors import thread_count
from clearprop.errors import UsageError

_VECTOR_BYTES = {"avx512": 64, "avx2": 32, "neon": 16, "none": 16}
_REGISTERS = {"avx512": 32, "avx2": 16, "neon": 32, "none": 16}


@dataclass(frozen=True)
class Machine:
    """What code generation asks of a processor.

    Attributes:
        cpu: LLVM's name of it.
        features: as LLVM writes them, such as ``"+avx2,+fma"``.
        vectors: "avx512", "avx2", "neon" or "none".
        threads: how many work on one step.
        grain: so many elementary operations, some microseconds' worth, are worth dividing between them.
    """

    cpu: str
    features: str
    vectors: str
    threads: int = 1
    grain: int = 1 << 15

    def shares(self, operations: int) -> bool:
        """Whether so many elementary operations are divided between threads.

        A single thread divides sums as several would: so their bits do not depend on the number of threads.
        """
        return operations >= self.grain

    @property
    def registers(self) -> int:
        """How many vector registers there are."""
        return _REGISTERS[self.vectors]

    def lanes(self, dtype: np.dtype[np.generic] | type) -> int:
        """How many numbers of that type a vector register holds."""
        return _VECTOR_BYTES[self.vectors] // np.dtype(dtype).itemsize


@cache
def host() -> Machine:
    """The machine that this runs on; ``CLEARPROP_VECTORS=avx2`` (or avx512, neon, none) hides vectors wider than that.

    Raises:
        UsageError: for another word there, or vectors that this machine does not have.
    """
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    has = dict(llvm.get_host_cpu_features())
    widest = "avx512" if has.get("avx512f") and has.get("avx512vl") and has.get("avx512dq") else "none"
    if widest == "none":
        widest = "avx2" if has.get("avx2") and has.get("fma") else "neon" if has.get("neon") else "none"
    wanted = os.environ.get("CLEARPROP_VECTORS", widest)
    if wanted not in _VECTOR_BYTES or _VECTOR_BYTES[wanted] > _VECTOR_BYTES[widest]:
        raise UsageError(
            f"CLEARPROP_VECTORS={wanted!r}: this machine has {widest}", hint=f"one of {', '.join(_VECTOR_BYTES)}"
        )
    if wanted != "avx512":
        has = {name: is_there and not name.startswith("avx512") for name, is_there in has.items()}
    if wanted == "none":
        has = {name: is_there and not name.startswith(("avx", "fma")) for name, is_there in has.items()}
    features = ",".join(("+" if is_there else "-") + name for name, is_there in sorted(has.items()))
    return Machine(llvm.get_host_cpu_name(), features, wanted, thread_count())
