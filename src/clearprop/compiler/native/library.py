"""From LLVM's intermediate code to functions that can be called."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir

from clearprop.compiler.native.machine import Machine, host
from clearprop.compiler.native.team import BARRIER
from clearprop.compiler.native.workers import provide_barrier

_LOCK = threading.Lock()
"""LLVM is asked by one thread at a time."""


class Library:
    """Compiled functions, which live as long as this object.

    Args:
        module: what to compile.
        machine: for which processor; it must be this one to be called.
        level: how hard LLVM's code generator tries, 0 to 3. Passes over the intermediate code are left out: they took
            longer than all the rest, and the code, written with vectors and unrolled loops, did not get faster.
    """

    def __init__(self, module: ir.Module, machine: Machine | None = None, level: int = 1) -> None:
        machine = machine or host()
        if BARRIER in module.globals:
            provide_barrier()
        self._functions: dict[str, Any] = {}
        with _LOCK:
            target = llvm.Target.from_default_triple().create_target_machine(
                cpu=machine.cpu, features=machine.features, opt=level, jit=True
            )
            module.triple = target.triple
            module.data_layout = str(target.target_data)
            self.code = str(module)
            parsed = llvm.parse_assembly(self.code)
            parsed.verify()
            self._target = target
            self._engine = llvm.create_mcjit_compiler(parsed, target)
            self._engine.finalize_object()

    def address(self, name: str) -> int:
        """Where a function begins."""
        found: int = self._engine.get_function_address(name)
        if not found:
            raise KeyError(name)
        return found

    def function(self, name: str, arguments: Sequence[Any], result: Any = None) -> Any:
        """A function to be called from Python, with ``ctypes`` types of its arguments and of its result."""
        if name not in self._functions:
            self._functions[name] = ctypes.CFUNCTYPE(result, *arguments)(self.address(name))
        return self._functions[name]

    def assembly(self) -> str:
        """The machine code as text."""
        with _LOCK:
            text: str = self._target.emit_assembly(llvm.parse_assembly(self.code))
        return text
