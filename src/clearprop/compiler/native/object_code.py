"""From intermediate code to machine code, of several functions at once.

Emitting machine code is most of the work. LLVM does it in several threads, if each has a context of its own, but
llvmlite lets one thread at a time into LLVM: that one call goes round its lock, where llvmlite is built as we know it.

Passes over the intermediate code are left out: they took longer than all the rest, and the code, written with vectors
and unrolled loops, did not get faster. So are, on x86, most passes of the code generator: at its lowest level, but with
registers allocated as at the highest, it makes code as fast in less than half of the time. What it then leaves as it is
has to be written well: loops with their condition at the end, constants in registers ahead of them (`Code.loop`).
"""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from threading import Thread
from typing import Any, NamedTuple

import llvmlite.binding as llvm

from clearprop.compiler.native.machine import Machine

_MOST_THREADS = 8
"""More would wait for Python, which prepares what each compiles."""
_EMIT: Any = getattr(llvm.ffi.lib.LLVMPY_TargetMachineEmitToMemory, "_cfn", None)
"""LLVM's function behind llvmlite's lock; None where llvmlite is built in another way."""


class Source(NamedTuple):
    """What is to be compiled by itself.

    Attributes:
        text: intermediate code.
        level: how hard LLVM's code generator tries, 0 to 3; None for the best that is known.
    """

    text: str
    level: int | None = None


@cache
def best_level() -> int:
    """How hard LLVM's code generator shall try, 0 to 3."""
    if not llvm.get_default_triple().startswith("x86_64"):
        return 1  # where the lowest level has not been measured
    for option in ("-optimize-regalloc=1", "-regalloc=greedy"):  # the default at all other levels
        llvm.set_option("clearprop", option)
    return 0


def new_target(machine: Machine, level: int | None = None) -> Any:
    """What makes code for a machine."""
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=machine.cpu, features=machine.features, opt=best_level() if level is None else level, jit=True
    )


def object_codes(sources: Sequence[Source], machine: Machine) -> list[bytes]:
    """Machine code, relocatable, of each source. As many threads compile as work on a step of the machine."""
    best_level()  # sets options for all of them
    found, problems = [b""] * len(sources), list[BaseException]()
    waiting = deque(sorted(range(len(sources)), key=lambda i: -len(sources[i].text)))  # so that all end together

    def compile_some() -> None:
        try:
            compiler = _Compiler(machine)
            while waiting and not problems:
                try:
                    i = waiting.popleft()
                except IndexError:  # another thread was faster
                    break
                found[i] = compiler(sources[i])
        except BaseException as error:  # Ctrl-C, too, shall stop the others
            problems.append(error)

    helpers = []
    with suppress(RuntimeError):  # the system gives no more threads
        for _ in range(min(machine.threads, len(sources), _MOST_THREADS) - 1):
            helper = Thread(target=compile_some, daemon=True)
            helper.start()
            helpers.append(helper)
    compile_some()
    for helper in helpers:
        helper.join()
    if problems:
        raise problems[0]
    return found


class _Compiler:
    """Makes machine code in a context of its own."""

    def __init__(self, machine: Machine) -> None:
        self._machine, self._context = machine, llvm.create_context()
        self._targets: dict[int | None, Any] = {}

    def __call__(self, source: Source) -> bytes:
        if source.level not in self._targets:
            target = new_target(self._machine, source.level)
            head = f'target triple = "{target.triple}"\ntarget datalayout = "{target.target_data}"\n'
            self._targets[source.level] = target, head
        target, head = self._targets[source.level]
        with llvm.parse_assembly(head + source.text, self._context) as module:
            module.verify()
            return _emitted(target, module)


def _emitted(target: Any, module: Any) -> bytes:
    """What ``target.emit_object(module)`` gives, without keeping other threads from doing the same."""
    if _EMIT is None:
        code: bytes = target.emit_object(module)
        return code
    with llvm.ffi.OutputString() as problem:
        memory = _EMIT(target, module, 1, problem)
        if not memory:
            raise RuntimeError(str(problem))
    library = llvm.ffi.lib
    try:
        return ctypes.string_at(library.LLVMPY_GetBufferStart(memory), library.LLVMPY_GetBufferSize(memory))
    finally:
        library.LLVMPY_DisposeMemoryBuffer(memory)
