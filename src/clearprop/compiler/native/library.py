"""From LLVM's intermediate code to functions that can be called.

Passes over the intermediate code are left out: they took longer than all the rest, and the code, written with vectors
and unrolled loops, did not get faster. So are, on x86, most passes of the code generator: at its lowest level, but with
registers allocated as at the highest, it makes code as fast in less than half of the time. What it then leaves as it is
has to be written well: loops with their condition at the end, constants in registers ahead of them (`Code.loop`).
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir

from clearprop.compiler.native.machine import Machine, host
from clearprop.compiler.native.team import BARRIER
from clearprop.compiler.native.workers import provide_barrier

_LOCK = threading.RLock()
"""LLVM is asked by one thread at a time."""


@cache
def best_level() -> int:
    """How hard LLVM's code generator shall try, 0 to 3."""
    if not llvm.get_default_triple().startswith("x86_64"):
        return 1  # where the lowest level has not been measured
    for option in ("-optimize-regalloc=1", "-regalloc=greedy"):  # the default at all other levels
        llvm.set_option("clearprop", option)
    return 0


def _new_target(machine: Machine, level: int | None) -> Any:
    level = best_level() if level is None else level
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=machine.cpu, features=machine.features, opt=level, jit=True
    )


_target = cache(_new_target)


def object_code(text: str, machine: Machine, level: int | None = None) -> bytes:
    """Machine code, relocatable, of intermediate code."""
    with _LOCK:
        target = _target(machine, level)
        parsed = _parsed(text)
        parsed.triple, parsed.data_layout = target.triple, str(target.target_data)
        code: bytes = target.emit_object(parsed)
    return code


def _parsed(text: str) -> Any:
    parsed = llvm.parse_assembly(text)
    parsed.verify()
    return parsed


class Loaded:
    """Object code that can be called, as long as this object lives.

    Args:
        objects: as `object_code` makes it.
    """

    def __init__(self, objects: Iterable[bytes], machine: Machine) -> None:
        provide_barrier()
        with _LOCK:
            self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _new_target(machine, None))
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
            target = _new_target(machine, level)
            module.triple = target.triple
            module.data_layout = str(target.target_data)
            self.code = str(module)
            self._target = target
            self._engine = llvm.create_mcjit_compiler(_parsed(self.code), target)
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
