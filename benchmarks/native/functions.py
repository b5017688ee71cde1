"""Elementwise functions, one thread: the loop that clearprop writes beside NumPy's and PyTorch's.

Contestants take turns and the median of the turns counts, see `gemm`. A ratio is the best peer's time divided by ours:
more than 1 means that we are ahead. What compiling costs is told as the difference to a loop that only copies.

    python benchmarks/native/functions.py [names of primitives ...] [--dtype float64] [--rounds 15]
"""

from __future__ import annotations

import os

os.environ.update(dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

import argparse
import ctypes
import importlib.util
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from llvmlite import ir

sys.path.insert(0, str(Path(__file__).parents[2] / "src"))

from clearprop.compiler.native.code import POINTER, Code, Value, index
from clearprop.compiler.native.elements import ELEMENTS, Element
from clearprop.compiler.native.library import Library
from clearprop.compiler.native.machine import host
from clearprop.primitive import PRIMITIVES

_SIZES = (4096, 1_000_000)
_TURN = 2e-3  # seconds, at least
_UNARY = [
    "exp", "expm1", "log", "log1p", "log2", "log10", "sigmoid", "tanh", "erf", "sinh", "cosh", "asinh", "acosh",
    "atanh", "sin", "cos", "tan", "asin", "acos", "atan", "sqrt", "signbit",
]  # fmt: skip
_BINARY = ["power", "atan2", "hypot", "logaddexp", "nextafter", "floor_divide", "remainder"]
_NUMPY = {
    "asin": "arcsin", "acos": "arccos", "atan": "arctan", "atan2": "arctan2",
    "asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh",
}  # fmt: skip
_PYTORCH = {"power": "pow"}


class Case:
    """A primitive on operands between 0.1 and 0.9 (acosh: 1.1 and 1.9)."""

    def __init__(self, name: str, dtype: str, size: int) -> None:
        self.name, self.dtype = name, np.dtype(dtype)
        rng = np.random.default_rng(0)
        low = 1.1 if name == "acosh" else 0.1
        self.operands = [rng.uniform(low, low + 0.8, size).astype(dtype) for _ in range(2 if name in _BINARY else 1)]
        primitive = PRIMITIVES[name]
        self.result = np.asarray(primitive.compute(*self.operands))

    def clearprop(self) -> tuple[Callable[[], Any], float]:
        """What is timed, and the seconds that compiling took."""
        start = time.thread_time()
        library = Library(self._module())
        kinds = [ctypes.c_void_p] * (len(self.operands) + 1) + [ctypes.c_int64]
        function = library.function("kernel", kinds)
        seconds = time.thread_time() - start
        out = np.empty_like(self.result)
        arguments = [array.ctypes.data for array in (*self.operands, out)]
        function(*arguments, out.size)
        np.testing.assert_allclose(out, self.result, rtol=1e-5)

        def run(alive: Any = (self, out, library)) -> None:
            function(*arguments, out.size)

        return run, seconds

    def _module(self) -> ir.Module:
        module, count = ir.Module("kernel"), len(self.operands)
        code = Code.function(module, "kernel", [POINTER] * (count + 1) + [index(0).type])
        *pointers, size = code.builder.function.args

        def body(lanes: int) -> Callable[[Value, list[Value]], None]:
            def write(i: Value, _: list[Value]) -> None:
                values = [code.load(code.at(p, self.dtype, i), self.dtype, lanes) for p in pointers[:-1]]
                element = Element(code, values, [self.dtype] * count, self.result.dtype, lanes, {})
                result = ELEMENTS[self.name](element)
                code.store(result, code.at(pointers[-1], self.result.dtype, i), self.result.dtype)

            return write

        lanes = host().lanes(self.dtype)
        whole = code.builder.and_(size, index(-lanes))
        code.loop(index(0), whole, lanes, body(lanes))
        code.loop(whole, size, 1, body(1))
        code.builder.ret_void()
        return module

    def numpy(self) -> Callable[[], Any]:
        """What is timed: NumPy's function, or what stands for it in our primitive."""
        function = getattr(np, _NUMPY.get(self.name, self.name), None)
        if function is None:
            return lambda: PRIMITIVES[self.name].compute(*self.operands)
        out = np.empty_like(self.result)
        return lambda: function(*self.operands, out=out)

    def torch(self) -> Callable[[], Any]:
        """What is timed."""
        library: Any = __import__("torch")
        library.set_num_threads(1)
        operands = [library.from_numpy(array) for array in self.operands]
        out = library.from_numpy(np.empty_like(self.result))
        function = getattr(library, _PYTORCH.get(self.name, self.name))
        return lambda: function(*operands, out=out)


def times(contestants: dict[str, Callable[[], Any]], size: int, rounds: int) -> dict[str, float]:
    """Seconds of one call, the median of the turns."""
    calls = max(1, round(_TURN * 5e8 / size))
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


def row(name: str, dtype: str, rounds: int) -> list[str]:
    """A row of the table."""
    cells = [name]
    for size in _SIZES:
        case = Case(name, dtype, size)
        ours, _ = case.clearprop()
        contestants = {"clearprop": ours, "NumPy": case.numpy()}
        if importlib.util.find_spec("torch"):
            contestants["PyTorch"] = case.torch()
        seconds = times(contestants, size, rounds)
        ratio = min(seconds[peer] for peer in contestants if peer != "clearprop") / seconds["clearprop"]
        speeds = [
            f"{size / seconds[who] / 1e9:.2f}" if who in seconds else "–" for who in ("clearprop", "NumPy", "PyTorch")
        ]
        cells += [*speeds, f"{ratio:.2f}"]
    compiling, copying = (min(Case(which, dtype, 8).clearprop()[1] for _ in range(5)) for which in (name, "identity"))
    return [*cells, f"{(compiling - copying) * 1e3:.1f}"]


def main() -> None:
    """Parse the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="only these primitives")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each contestant (default: 15)")
    options = parser.parse_args()
    sizes = " | ".join(f"{size:,}: clearprop | NumPy | PyTorch | ratio" for size in _SIZES)
    print(f"{options.dtype}, elements per nanosecond\n\n| function | {sizes} | compiled in ms |")
    print(f"|---{'|---' * (4 * len(_SIZES))}|---|")
    for name in options.names or (*_UNARY, *_BINARY):
        print(f"| {' | '.join(row(name, options.dtype, options.rounds))} |", flush=True)


if __name__ == "__main__":
    main()
