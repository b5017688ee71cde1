"""Matrix products, one thread: the function that clearprop writes beside NumPy's (OpenBLAS) and PyTorch's.

Contestants take turns, each turn long enough to be timed, and the median of the turns counts. Time is the processor's,
so that another process on the machine does less harm. A ratio is the best peer's time divided by ours: above 1, we are
ahead. Calls from Python are part of every time. PyTorch takes part where it is installed.

    python benchmarks/native/gemm.py [words that a product's name has ...] [--rounds 15]
"""

from __future__ import annotations

import os

os.environ.update(dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

import argparse
import ctypes
import importlib.util
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from llvmlite import ir

sys.path.insert(0, str(Path(__file__).parents[2] / "src"))

from clearprop.compiler.native.gemm import Gemm
from clearprop.compiler.native.library import Library
from clearprop.compiler.native.product import Axis, Product

_TURN = 2e-3  # seconds, at least


@dataclass(frozen=True)
class Case:
    """(m, k) @ (k, n), all contiguous; a letter "t" says that a, or b, is stored transposed."""

    m: int
    k: int
    n: int
    order: str = "nn"
    batch: int = 1
    dtype: str = "float32"

    def __str__(self) -> str:
        a, b = ("ᵀ" if letter == "t" else "" for letter in self.order)
        batch = f"{self.batch} × " if self.batch > 1 else ""
        dtype = "" if self.dtype == "float32" else f" {self.dtype}"
        return f"{batch}({self.m}, {self.k}){a} ({self.k}, {self.n}){b}{dtype}"

    @property
    def operations(self) -> int:
        """Multiplications and additions."""
        return 2 * self.batch * self.m * self.k * self.n

    def product(self) -> Product:
        """As clearprop has it."""
        m, k, n = self.m, self.k, self.n
        (am, ak), (bk, bn) = (1, m) if self.order[0] == "t" else (k, 1), (1, k) if self.order[1] == "t" else (n, 1)
        batch = (Axis(self.batch, a=m * k, b=k * n, c=m * n),) if self.batch > 1 else ()
        return Product(self.dtype, Axis(m, a=am, c=n), Axis(n, b=bn, c=1), Axis(k, a=ak, b=bk), batch=batch)

    def operands(self) -> tuple[Any, Any]:
        """Views of the shapes (m, k) and (k, n)."""
        rng, lead = np.random.default_rng(0), (self.batch,) if self.batch > 1 else ()
        found = []
        for letter, (rows, columns) in zip(self.order, ((self.m, self.k), (self.k, self.n)), strict=True):
            shape = (*lead, columns, rows) if letter == "t" else (*lead, rows, columns)
            array = rng.standard_normal(shape).astype(self.dtype)
            found.append(array.swapaxes(-1, -2) if letter == "t" else array)
        return found[0], found[1]


CASES = [
    Case(32, 2, 16),
    Case(32, 16, 16),
    Case(32, 16, 2),
    Case(16, 32, 16, "tn"),
    Case(7, 13, 11),
    Case(31, 41, 37),
    Case(64, 784, 256),
    Case(64, 256, 256),
    Case(64, 256, 10),
    Case(784, 64, 256, "tn"),
    Case(256, 64, 256, "tn"),
    Case(256, 64, 10, "tn"),
    Case(64, 10, 256, "nt"),
    Case(64, 256, 784, "nt"),
    Case(128, 128, 128),
    Case(127, 137, 131),
    Case(199, 499, 211, "tn"),
    Case(256, 256, 256),
    Case(512, 512, 512),
    Case(128, 32, 128, batch=64),
    Case(128, 32, 128, "nt", batch=64),
    Case(128, 128, 32, batch=64),
    Case(32, 128, 128, "tn", batch=64),
    Case(1, 784, 256),
    Case(256, 784, 1),
    Case(1, 1024, 1024),
    Case(1, 1024, 1024, "nt"),
    Case(4, 1024, 1024),
    Case(8, 1024, 1024, "nt"),
    Case(1024, 1024, 10),
    Case(1000, 1, 1000),
    Case(1024, 256, 1024),
    Case(1024, 1024, 1024),
    Case(1024, 1024, 1024, "tn"),
    Case(1024, 1024, 1024, "nt"),
    Case(1021, 1033, 1031),
    Case(4096, 256, 256),
    Case(256, 4096, 1024, "tn"),
    Case(2048, 2048, 2048),
    Case(64, 784, 256, dtype="float64"),
    Case(784, 64, 256, "tn", dtype="float64"),
    Case(512, 512, 512, dtype="float64"),
    Case(1000, 1000, 1000, dtype="float64"),
]


def clearprop(case: Case, c: Any) -> tuple[Callable[[], Any], float]:
    """What is timed, and the seconds that compiling took."""
    start = time.thread_time()
    gemm, module = Gemm(case.product()), ir.Module("gemm")
    name = gemm.write(module).name
    library = Library(module)
    function = library.function(name, [ctypes.c_void_p] * 4 + [ctypes.c_int64] * 2)
    seconds = time.thread_time() - start
    a, b = case.operands()
    memory = np.empty(gemm.scratch_bytes + 64, np.uint8)
    scratch = memory[-memory.ctypes.data % 64 :]
    arguments = [array.ctypes.data for array in (a, b, c, scratch)]

    def run(alive: Any = (a, b, memory, library)) -> None:
        function(*arguments, 0, 1)

    return run, seconds


def numpy(case: Case, c: Any) -> Callable[[], Any]:
    """What is timed."""
    a, b = case.operands()
    return lambda: np.matmul(a, b, out=c)


def torch(case: Case, c: Any) -> Callable[[], Any]:
    """What is timed."""
    library: Any = __import__("torch")
    library.set_num_threads(1)
    a, b, out = (library.from_numpy(array) for array in (*case.operands(), c))
    return lambda: library.matmul(a, b, out=out)


def times(contestants: dict[str, Callable[[], Any]], operations: int, rounds: int) -> dict[str, float]:
    """Seconds of one call, the median of the turns."""
    calls = max(1, math.ceil(_TURN / (operations / 1e11 + 1e-6)))
    found: dict[str, list[float]] = {name: [] for name in contestants}
    for run in contestants.values():
        run()
    for _ in range(rounds):
        for name, run in contestants.items():
            start = time.thread_time()
            for _ in range(calls):
                run()
            found[name].append((time.thread_time() - start) / calls)
    return {name: median(seconds) for name, seconds in found.items()}


def row(case: Case, rounds: int) -> tuple[list[str], float]:
    """A row of the table, and the ratio in it."""
    shape = (case.batch, case.m, case.n) if case.batch > 1 else (case.m, case.n)
    results = {name: np.full(shape, np.nan, case.dtype) for name in ("clearprop", "NumPy", "PyTorch")}
    ours, compiling = clearprop(case, results["clearprop"])
    contestants = {"clearprop": ours, "NumPy": numpy(case, results["NumPy"])}
    if importlib.util.find_spec("torch"):
        contestants["PyTorch"] = torch(case, results["PyTorch"])
    seconds = times(contestants, case.operations, rounds)
    for name in contestants:
        scale = float(np.abs(results["NumPy"]).max())
        np.testing.assert_allclose(results[name], results["NumPy"], rtol=0, atol=1e-5 * scale)
    ratio = min(seconds[name] for name in contestants if name != "clearprop") / seconds["clearprop"]
    speeds = [f"{case.operations / seconds[name] / 1e9:.1f}" if name in seconds else "–" for name in results]
    cells = [str(case), f"{seconds['clearprop'] * 1e6:,.1f}", *speeds, f"{ratio:.2f}", f"{compiling * 1e3:.0f}"]
    return cells, ratio


def main() -> None:
    """Parse the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="only products with one of these in their names")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each contestant (default: 15)")
    options = parser.parse_args()
    print("| product | µs | clearprop GFLOP/s | NumPy | PyTorch | ratio | compiled in ms |")
    print("|---|---|---|---|---|---|---|")
    ratios = []
    for case in CASES:
        if options.words and not any(word in str(case) for word in options.words):
            continue
        cells, ratio = row(case, options.rounds)
        print(f"| {' | '.join(cells)} |", flush=True)
        ratios.append(ratio)
    if ratios:
        mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
        print(f"\nratio: least {min(ratios):.2f}, geometric mean {mean:.2f}")


if __name__ == "__main__":
    main()
