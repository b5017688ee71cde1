"""A program as machine code: kernels, the memory between them, and a function to call.

Kernels that follow one another are one native function, a segment. Between segments NumPy computes what has no native
code; the report names it.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

import numpy as np
from llvmlite import ir

from clearprop.compiler.native.arena import ALIGNMENT, Lifetime, plan
from clearprop.compiler.native.code import I64, POINTER, Code, index
from clearprop.compiler.native.kernels import Fusion, Kernel
from clearprop.compiler.native.library import Library
from clearprop.compiler.native.lowerings import Writer, writer
from clearprop.compiler.native.machine import Machine, host
from clearprop.compiler.native.results import Results
from clearprop.compiler.native.views import View
from clearprop.errors import ComputationError, RangeError
from clearprop.graph import Node
from clearprop.primitive import Spec
from clearprop.trace import Program


class Segment(NamedTuple):
    """Kernels that follow one another: one native function."""

    kernels: list[Kernel]
    name: str


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
        self._functions = [
            self.library.function(step.name, [ctypes.c_void_p], ctypes.c_int64) if isinstance(step, Segment) else None
            for step in self.steps
        ]

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
        scratch = max((getattr(made, "scratch_bytes", 0) for made in self._writers.values()), default=0)
        self.arena_bytes += scratch
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
        self._slots = {node: i + 1 for i, node in enumerate(dict.fromkeys(slots))}
        self._table = (ctypes.c_void_p * (1 + len(self._slots)))()
        self._memory = memory
        self._table[0] = memory.ctypes.data + start + arena.nbytes  # what kernels need for themselves
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
        """A function of the table, which returns the number of the kernel that failed, counted from 1, or 0."""
        code = Code.function(module, name, [POINTER], I64)
        (table,) = code.builder.function.args
        b = code.builder
        known: dict[Node, Any] = {}
        for number, (kernel, made) in enumerate(calls, 1):
            for node in made.buffers:
                if node not in known:
                    place = b.gep(table, [index(self._slots[node])], source_etype=POINTER)
                    known[node] = b.load(place, typ=POINTER)
            scratch = [b.load(table, typ=POINTER)] if getattr(made, "scratch_bytes", 0) else []
            failed = b.call(module.globals[kernel], [*(known[node] for node in made.buffers), *scratch])
            if getattr(made, "may_fail", False):
                with b.if_then(failed, likely=False):
                    b.ret(index(number))
        b.ret(index(0))

    # Running it ---------------------------------------------------------------------------------------------------

    def __call__(self, values: Sequence[Any]) -> list[Any]:
        """The outputs for these inputs."""
        with self._lock:
            arrays: dict[Node, Any] = dict(self._static)
            self._take(values, arrays)
            self._make_fresh(arrays)
            table = self._table
            for step, function in zip(self.steps, self._functions, strict=True):
                if function is None:
                    assert isinstance(step, Kernel)
                    self._with_numpy(step, arrays)
                elif failed := function(table):
                    assert isinstance(step, Segment)
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
