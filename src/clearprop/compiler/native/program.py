"""A program as machine code: kernels, the memory between them, and a function to call.

Kernels that follow one another are one native function, a segment. Between segments NumPy computes what has no native
code; the report names it.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any, NamedTuple, NoReturn

import numpy as np
from llvmlite import ir

from clearprop.compiler.native.arena import ALIGNMENT, Lifetime, plan
from clearprop.compiler.native.code import I64, POINTER, Code, Value, index
from clearprop.compiler.native.kernels import Fusion, Kernel
from clearprop.compiler.native.library import Library
from clearprop.compiler.native.lowerings import Writer, is_shared, may_fail, scratch_bytes, writer
from clearprop.compiler.native.machine import Machine, host
from clearprop.compiler.native.results import Results
from clearprop.compiler.native.team import Team
from clearprop.compiler.native.views import View
from clearprop.compiler.native.workers import meeting_address, workers
from clearprop.errors import ComputationError, RangeError
from clearprop.graph import Node
from clearprop.primitive import Spec
from clearprop.trace import Program


class Segment(NamedTuple):
    """Kernels that follow one another: one native function."""

    kernels: list[Kernel]
    name: str


SCRATCH, MEETING, FAILED, FIRST_BUFFER = 0, 1, 2, 3
"""What stands in the table of addresses before the buffers: memory that kernels need for themselves, where threads
meet, and, no address, the number of the kernel that has failed."""


class NativeProgram:
    """A program, compiled; call it like `Program.run` with arrays.

    Attributes:
        fusion: its kernels.
        steps: segments, and nodes that NumPy computes.
        arena_bytes: memory for values that do not leave the program.
    """

    def __init__(self, program: Program, machine: Machine | None = None) -> None:
        self.machine = machine or host()
        self.program, self.fusion = program, Fusion(program)
        self._writers: dict[Kernel, Writer] = {}
        self.steps = self._segments()
        self._lock = threading.Lock()
        self._known: dict[int, int] = {}  # addresses of the results of the last call, whose arrays `_fresh` keeps
        self._place_buffers()
        module = ir.Module("program")
        self._write(module)
        self.library = Library(module, self.machine)
        self._functions = [self._function(step) if isinstance(step, Segment) else None for step in self.steps]

    # Laying it out ------------------------------------------------------------------------------------------------

    def _segments(self) -> list[Segment | Kernel]:
        steps: list[Segment | Kernel] = []
        for kernel in self.fusion.kernels:
            if any(0 in node.shape for node in kernel.stored):
                continue  # nothing to compute
            made = writer(self.fusion, kernel, self.machine)
            if made is None:
                steps.append(kernel)
                continue
            self._writers[kernel] = made
            if not steps or not isinstance(steps[-1], Segment):
                steps.append(Segment([], f"segment_{len(steps)}"))
            last = steps[-1]
            assert isinstance(last, Segment)
            last.kernels.append(kernel)
        return steps

    def _place_buffers(self) -> None:
        """Who lies where: inputs and results in arrays of their own, what NumPy computes where NumPy puts it."""
        leaving = {self.fusion.views[node].source for node in self.program.outputs}
        stored = [
            (node, number)
            for number, step in enumerate(self.steps)
            if isinstance(step, Segment)
            for kernel in step.kernels
            for node in kernel.stored
        ]
        self._fresh = {node: Results(node) for node, _ in stored if node in leaving}
        inner = [(node, number) for node, number in stored if node not in leaving]
        last = self._last_uses()
        lifetimes = [
            Lifetime(Spec(node.shape, node.dtype).nbytes, number, last.get(node, number)) for node, number in inner
        ]
        arena = plan(lifetimes)
        self.arena_bytes = arena.nbytes
        self.threads = self.machine.threads if any(map(is_shared, self._writers.values())) else 1
        self.arena_bytes += max((scratch_bytes(made, self.threads) for made in self._writers.values()), default=0)
        memory = np.zeros(self.arena_bytes + ALIGNMENT, np.uint8)
        start = -memory.ctypes.data % ALIGNMENT
        self._static: dict[Node, Any] = {}
        for (node, _), offset, lifetime in zip(inner, arena.offsets, lifetimes, strict=True):
            part = memory[start + offset : start + offset + lifetime.nbytes]
            self._static[node] = part.view(node.dtype).reshape(node.shape)
        for node, array in self.program.constants.items():
            self._static[node] = _contiguous(array)
        slots = [*self.program.inputs, *self._static, *self._fresh]
        slots += [node for step in self.steps if isinstance(step, Kernel) for node in step.stored]
        self._slots = {node: i for i, node in enumerate(dict.fromkeys(slots), FIRST_BUFFER)}
        self._table = (ctypes.c_void_p * (FIRST_BUFFER + len(self._slots)))()
        self._table_address = ctypes.addressof(self._table)
        self._memory = memory
        self._table[SCRATCH] = memory.ctypes.data + start + arena.nbytes
        self._table[MEETING] = meeting_address()
        for node, array in self._static.items():
            self._table[self._slots[node]] = array.ctypes.data

    def _last_uses(self) -> dict[Node, int]:
        """For each buffer, the last step that reads it."""
        last: dict[Node, int] = {}
        for number, step in enumerate(self.steps):
            kernels = step.kernels if isinstance(step, Segment) else [step]
            for node in (node for kernel in kernels for node in kernel.nodes):
                for view in self.fusion.reads(node):
                    last[view.source] = number
        return last

    def _write(self, module: ir.Module) -> None:
        names: dict[Any, str] = {}
        for step in self.steps:
            if not isinstance(step, Segment):
                continue
            calls: list[tuple[str, Writer]] = []
            for kernel in step.kernels:
                made = self._writers[kernel]
                if made.key not in names:
                    names[made.key] = f"kernel_{len(names)}"
                    made.write(module, names[made.key])
                calls.append((names[made.key], made))
            self._write_segment(module, step.name, calls)
        self.functions = len(names)

    def _write_segment(self, module: ir.Module, name: str, calls: Sequence[tuple[str, Writer]]) -> None:
        """A function of the table and of who is there; returns which kernel failed, counted from 1, or 0.

        The threads meet behind each shared kernel, and where others have followed one another in the first thread alone.
        """
        code = Code.function(module, name, [POINTER, I64, I64], I64)
        table, thread, threads = code.builder.function.args
        segment = _SegmentCode(code, table, self._slots)
        team = Team(code, thread, threads, segment.word(MEETING)) if self.threads > 1 else Team.alone(code)
        groups = [list(group) for _, group in groupby(enumerate(calls, 1), key=lambda call: _alone(*call))]
        for group in groups:
            segment.write(team, group, is_last=group is groups[-1])
        code.builder.ret(index(0))

    def _function(self, step: Segment) -> Callable[[int], int]:
        """What runs a segment, given the address of the table."""
        arguments = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64]
        function: Callable[[int, int, int], int] = self.library.function(step.name, arguments, ctypes.c_int64)
        if not any(is_shared(self._writers[kernel]) for kernel in step.kernels):
            return lambda table: function(table, 0, 1)
        address = self.library.address(step.name)
        return lambda table: workers(self.threads).run(function, address, table)

    # Running it ---------------------------------------------------------------------------------------------------

    def __call__(self, values: Sequence[Any]) -> list[Any]:
        """The outputs for these inputs."""
        with self._lock:
            arrays: dict[Node, Any] = dict(self._static)
            self._take(values, arrays)
            self._make_fresh(arrays)
            for step, function in zip(self.steps, self._functions, strict=True):
                if function is None:
                    assert isinstance(step, Kernel)
                    self._with_numpy(step, arrays)
                elif failed := function(self._table_address):
                    assert isinstance(step, Segment)
                    self._table[FAILED] = 0
                    self._explain(step.kernels[failed - 1], arrays)
            return [_read(self.fusion.views[node], arrays) for node in self.program.outputs]

    def _take(self, values: Sequence[Any], arrays: dict[Node, Any]) -> None:
        """Note where the inputs lie. Most of them are results of the call before, whose addresses are known."""
        known = self._known
        for node, value in zip(self.program.inputs, values, strict=True):
            address = known.get(id(value))
            if address is None:
                value = _contiguous(value)
                address = value.ctypes.data
            arrays[node] = value
            self._table[self._slots[node]] = address

    def _make_fresh(self, arrays: dict[Node, Any]) -> None:
        """Arrays for the results; those of earlier calls that nobody has any more come first."""
        self._known = {}
        for node, results in self._fresh.items():
            array, address = results.take()
            arrays[node] = array
            self._known[id(array)] = address
            self._table[self._slots[node]] = address

    def _computed(self, node: Node, arrays: dict[Node, Any]) -> Any:
        """What NumPy makes of a node; errors name the line that made it."""
        assert node.primitive is not None
        operands = [_read(view, arrays) for view in self.fusion.reads(node)]
        try:
            return node.primitive(*operands, **node.attributes)
        except ComputationError as error:
            error.where = node.where or error.where
            raise

    def _explain(self, kernel: Kernel, arrays: dict[Node, Any]) -> NoReturn:
        """Raise the error for which a kernel has stopped the program. Its operands are still there: NumPy says it."""
        self._computed(kernel.node, arrays)
        raise RangeError(f"{kernel.node.name}: an index is out of range", position=kernel.node.position)

    def _with_numpy(self, kernel: Kernel, arrays: dict[Node, Any]) -> None:
        result = self._computed(kernel.node, arrays)
        for stored in kernel.stored:
            value = result[stored.attributes["index"]] if isinstance(result, tuple) else result
            array = arrays[stored] = _contiguous(value)
            self._table[self._slots[stored]] = array.ctypes.data

    # Looking at it ------------------------------------------------------------------------------------------------

    def by_numpy(self) -> list[str]:
        """The names of what NumPy computes."""
        return [step.node.name for step in self.steps if isinstance(step, Kernel)]

    def report(self) -> str:
        """Kernels and what is in each, and what NumPy computes."""
        lines = [f"{self.functions} kernels compiled, arena {self.arena_bytes:,} bytes"]
        for step in self.steps:
            if isinstance(step, Kernel):
                shapes = ", ".join(f"{node.dtype}{list(node.shape)}" for node in step.stored)
                lines.append(f"  by NumPy: {step.node.name} -> {shapes}")
                continue
            for kernel in step.kernels:
                names = " ".join(node.name for node in kernel.nodes)
                lines.append(f"  {list(kernel.space or ())}: {names} -> {len(kernel.stored)} written")
        return "\n".join(lines)


class _SegmentCode:
    """Writes the calls of a segment; an address is loaded from the table once."""

    def __init__(self, code: Code, table: Value, slots: dict[Node, int]) -> None:
        self._code, self._table, self._slots = code, table, slots
        self._known: dict[int, Value] = {}

    def word(self, slot: int) -> Value:
        """An address from the table."""
        if slot not in self._known:
            self._known[slot] = self._code.builder.load(self._place(slot), typ=POINTER)
        return self._known[slot]

    def _place(self, slot: int) -> Value:
        return self._code.builder.gep(self._table, [index(slot)], source_etype=POINTER)

    def write(self, team: Team, calls: Sequence[tuple[int, tuple[str, Writer]]], *, is_last: bool) -> None:
        """One shared kernel, or others that follow one another; and a meeting, if anything follows."""
        arguments = [self._arguments(made) for _, (_, made) in calls]
        if is_shared(calls[0][1][1]):
            self._call(team, calls, arguments)
        else:
            team.first(lambda: self._call(team, calls, arguments))
        if may_fail(calls[0][1][1]):
            team.wait()
            self._leave_if_failed(team)
        elif not is_last:
            team.wait()

    def _arguments(self, made: Writer) -> list[Value]:
        slots = [self._slots[node] for node in made.buffers]
        return [self.word(slot) for slot in (*slots, *([SCRATCH] if getattr(made, "scratch_bytes", 0) else []))]

    def _call(
        self, team: Team, calls: Sequence[tuple[int, tuple[str, Writer]]], arguments: Sequence[list[Value]]
    ) -> None:
        b = self._code.builder
        for (number, (name, made)), taken in zip(calls, arguments, strict=True):
            failed = team.call(self._code.module.globals[name], taken, is_shared=is_shared(made))
            if may_fail(made):
                with b.if_then(failed, likely=False):
                    b.store(index(number), self._place(FAILED))

    def _leave_if_failed(self, team: Team) -> None:
        """Return the number of the kernel that failed, once all have seen it."""
        b = self._code.builder
        failed = b.load(self._place(FAILED), typ=I64)
        with b.if_then(b.icmp_unsigned("!=", failed, index(0)), likely=False):
            team.wait()
            b.ret(failed)


def _alone(number: int, call: tuple[str, Writer]) -> int:
    """Different for neighbours that must not be one group: a shared kernel, or one that may fail, is by itself."""
    return number if is_shared(call[1]) or may_fail(call[1]) else 0


def _contiguous(array: Any) -> Any:
    """The array in order of rows; itself if it is."""
    array = np.asarray(array)
    return array if array.flags.c_contiguous else array.copy("C")


def _read(view: View, arrays: dict[Node, Any]) -> Any:
    """The array that a view shows."""
    if 0 in view.shape:
        return np.empty(view.shape, view.source.dtype)
    source = arrays[view.source]
    if view.is_whole:
        return source
    flat = source.reshape(-1)[view.offset :]
    strides = tuple(stride * source.itemsize for stride in view.strides)
    return np.lib.stride_tricks.as_strided(flat, view.shape, strides)
