"""Functions that can be called: of machine code that is there, or of a module of intermediate code."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterable, Sequence
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir

from clearprop.compiler.native.machine import Machine, host
from clearprop.compiler.native.object_code import new_target
from clearprop.compiler.native.team import BARRIER
from clearprop.compiler.native.workers import provide_barrier

_LOCK = threading.RLock()
"""Code is loaded by one thread at a time."""


class Loaded:
    """Object code that can be called, as long as this object lives.

    Args:
        objects: as `object_codes` makes them.
    """

    def __init__(self, objects: Iterable[bytes], machine: Machine) -> None:
        provide_barrier()
        with _LOCK:
            self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), new_target(machine))
            for code in objects:
                self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
            self._engine.finalize_object()

    def address(self, name: str) -> int:
        """Where a function begins."""
        with _LOCK:
            found: int = self._engine.get_function_address(name)
        if not found:
            raise KeyError(name)
        return found


class Library:
    """The functions of a module, which live as long as this object.

    Args:
        module: what to compile.
        machine: for which processor; it must be this one to be called.
        level: how hard LLVM's code generator tries, 0 to 3.
    """

    def __init__(self, module: ir.Module, machine: Machine | None = None, level: int | None = None) -> None:
        machine = machine or host()
        if BARRIER in module.globals:
            provide_barrier()
        self._functions: dict[str, Any] = {}
        with _LOCK:
            target = new_target(machine, level)
            module.triple = target.triple
            module.data_layout = str(target.target_data)
            self.code = str(module)
            self._target = target
            parsed = llvm.parse_assembly(self.code)
            parsed.verify()
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
