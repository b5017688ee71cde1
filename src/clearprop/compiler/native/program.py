"""A program as machine code: kernels, the memory between them, and a function to call.

Kernels that follow one another are one native function, a segment. Between segments NumPy computes what has no native
code; the report names it.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Container, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple, NoReturn

from llvmlite import ir

from clearprop.compiler.native.code import I64, POINTER, Code, Value, index
from clearprop.compiler.native.kernels import Fusion, Kernel
from clearprop.compiler.native.library import Library
from clearprop.compiler.native.lowerings import Writer, is_shared, may_fail, scratch_bytes, writer
from clearprop.compiler.native.machine import Machine, host
from clearprop.compiler.native.memory import FAILED, MEETING, SCRATCH, Buffers, Memory
from clearprop.compiler.native.placing import Placement
from clearprop.compiler.native.team import Team
from clearprop.compiler.native.workers import workers
from clearprop.errors import ComputationError, RangeError
from clearprop.graph import Node
from clearprop.trace import Program


class Segment(NamedTuple):
    """Kernels that follow one another: one native function."""

    kernels: list[Kernel]
    name: str


class NativeProgram:
    """A program, compiled; call it like `Program.run` with arrays.

    Args:
        updates: outputs, each with the input in whose place it is to be written if that can be.

    Attributes:
        fusion: its kernels.
        steps: segments, and nodes that NumPy computes.
        updates: the buffers of outputs, each with the input in whose place it may be written.
    """

    def __init__(
        self, program: Program, machine: Machine | None = None, updates: Mapping[Node, Node] | None = None
    ) -> None:
        self.machine = machine or host()
        self.program, self.fusion = program, Fusion(program)
        made = {kernel: writer(self.fusion, kernel, self.machine) for kernel in self.fusion.kernels if _has_work(kernel)}
        self._writers = {kernel: one for kernel, one in made.items() if one is not None}
        placement = Placement(self.fusion, self._writers, updates or {})
        self.updates = placement.updates
        self.steps = self._segments(placement.order)
        self.threads = self.machine.threads if any(map(is_shared, self._writers.values())) else 1
        self._memory = self._find_memory(placement)
        self._lock = threading.Lock()
        module = ir.Module("program")
        self._write(module)
        self.library = Library(module, self.machine)
        self._functions = [self._function(step) if isinstance(step, Segment) else None for step in self.steps]

    # Laying it out ------------------------------------------------------------------------------------------------

    def _segments(self, kernels: Sequence[Kernel]) -> list[Segment | Kernel]:
        steps: list[Segment | Kernel] = []
        for kernel in kernels:
            if kernel not in self._writers:
                steps.append(kernel)
                continue
            if not steps or not isinstance(steps[-1], Segment):
                steps.append(Segment([], f"segment_{len(steps)}"))
            last = steps[-1]
            assert isinstance(last, Segment)
            last.kernels.append(kernel)
        return steps

    def _find_memory(self, placement: Placement) -> Memory:
        native = [node for kernel in self._writers for node in kernel.stored]
        by_numpy = [node for step in self.steps if isinstance(step, Kernel) for node in step.stored]
        scratch = max((scratch_bytes(made, self.threads) for made in self._writers.values()), default=0)
        leaving = [node for node in native if node not in placement.offsets]
        return Memory(self.program, placement, leaving, by_numpy, scratch)

    @property
    def arena_bytes(self) -> int:
        """Memory for values that do not leave the program, and for what kernels need for themselves."""
        return self._memory.nbytes

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
        segment = _SegmentCode(code, table, self._memory.slots)
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

    def __call__(self, values: Sequence[Any], over: Container[Node] = ()) -> list[Any]:
        """The outputs for these inputs.

        Args:
            over: of the `updates`, those that are written over the input that they are an update of.
        """
        with self._lock:
            buffers = self._memory.take(values, over)
            for step, function in zip(self.steps, self._functions, strict=True):
                if function is None:
                    assert isinstance(step, Kernel)
                    self._with_numpy(step, buffers)
                elif failed := function(self._memory.address):
                    assert isinstance(step, Segment)
                    self._memory.table[FAILED] = 0
                    self._explain(step.kernels[failed - 1], buffers)
            return [self._memory.result(self.fusion.views[node], buffers) for node in self.program.outputs]

    def _computed(self, node: Node, buffers: Buffers) -> Any:
        """What NumPy makes of a node; errors name the line that made it."""
        assert node.primitive is not None
        operands = [buffers.read(view) for view in self.fusion.reads(node)]
        try:
            return node.primitive(*operands, **node.attributes)
        except ComputationError as error:
            error.where = node.where or error.where
            raise

    def _explain(self, kernel: Kernel, buffers: Buffers) -> NoReturn:
        """Raise the error for which a kernel has stopped the program. Its operands are still there: NumPy says it."""
        self._computed(kernel.node, buffers)
        raise RangeError(f"{kernel.node.name}: an index is out of range", position=kernel.node.position)

    def _with_numpy(self, kernel: Kernel, buffers: Buffers) -> None:
        result = self._computed(kernel.node, buffers)
        for stored in kernel.stored:
            buffers.put(stored, result[stored.attributes["index"]] if isinstance(result, tuple) else result)

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


def _has_work(kernel: Kernel) -> bool:
    return not any(0 in node.shape for node in kernel.stored)
