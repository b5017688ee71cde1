"""A program as machine code: kernels, the memory between them, and a function to call.

Kernels that follow one another are called together, as a segment. Between segments NumPy computes what has no native
code; the report names it.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Container, Mapping, Sequence
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple, NoReturn

from clearprop.compiler.description import Description
from clearprop.compiler.native.alike import Coded, coded
from clearprop.compiler.native.calls import Call, Run, call_list
from clearprop.compiler.native.description import describe
from clearprop.compiler.native.inspection import Inspector, Timer
from clearprop.compiler.native.kernel_code import KernelCode, code_text
from clearprop.compiler.native.kernels import Fusion, Kernel
from clearprop.compiler.native.lowerings import is_shared, scratch_bytes
from clearprop.compiler.native.machine import Machine, host
from clearprop.compiler.native.memory import FAILED, MEETING, Buffers, Memory, contiguous
from clearprop.compiler.native.pace import Pace
from clearprop.compiler.native.placing import Placement
from clearprop.compiler.native.shortcut import Shortcut
from clearprop.compiler.native.workers import meeting_address, workers
from clearprop.errors import ComputationError, RangeError
from clearprop.graph import Node
from clearprop.trace import Program


class Segment(NamedTuple):
    """Kernels that follow one another: one call of native code."""

    kernels: list[Kernel]


class NativeProgram:
    """A program, compiled; call it like `Program.run` with arrays.

    Args:
        updates: outputs, each with the input in whose place it is to be written if that can be.
        inspector: is told of each kernel, before and after it runs; nothing is then written over.

    Attributes:
        fusion: its kernels.
        steps: segments, and nodes that NumPy computes.
        updates: the inputs that may be written over.
        shows_inputs: whether an output is an input, or a view of one.
    """

    def __init__(
        self,
        program: Program,
        machine: Machine | None = None,
        updates: Mapping[Node, Node] | None = None,
        inspector: Inspector | None = None,
    ) -> None:
        self.machine = machine or host()
        self.program, self.fusion = program, Fusion(program)
        made = coded(self.fusion, self.machine)
        self._writers = {kernel: one.writer for kernel, one in made.items()}
        writers = list(dict.fromkeys(self._writers.values()))
        self._inspector, margin = inspector, 0 if inspector is None else inspector.margin
        placement = Placement(self.fusion, made, updates or {} if inspector is None else {}, margin)
        self._updates = placement.updates
        self.updates = frozenset(placement.updates.values())
        given = {*program.inputs}
        self.shows_inputs = any(self.fusion.views[node].source in given for node in program.outputs)
        self.steps = self._segments(placement.order)
        self.threads = self.machine.threads if any(map(is_shared, writers)) else 1
        self._memory = self._find_memory(placement, margin)
        self._memory.table[MEETING] = meeting_address(self.threads)
        self._lock = threading.Lock()
        self._run = Run(alone=self.threads == 1)
        self.code = KernelCode(self.machine)
        self.code.add([*writers, *map(Call, writers), self._run])
        self._seconds = self._seconds_of_numpy = 0.0  # of all runs, if NumPy has a part in them
        self._functions = [
            self._function([made[kernel] for kernel in step.kernels]) if isinstance(step, Segment) else None
            for step in self.steps
        ]

    # Laying it out ------------------------------------------------------------------------------------------------

    def _segments(self, kernels: Sequence[Kernel]) -> list[Segment | Kernel]:
        steps: list[Segment | Kernel] = []
        for kernel in kernels:
            if kernel not in self._writers:
                steps.append(kernel)
                continue
            if not steps or not isinstance(steps[-1], Segment) or self._inspector is not None:
                steps.append(Segment([]))
            last = steps[-1]
            assert isinstance(last, Segment)
            last.kernels.append(kernel)
        return steps

    def _find_memory(self, placement: Placement, margin: int) -> Memory:
        native = [node for kernel in self._writers for node in kernel.stored]
        by_numpy = [node for step in self.steps if isinstance(step, Kernel) for node in step.stored]
        scratch = max((scratch_bytes(made, self.threads) for made in set(self._writers.values())), default=0)
        outputs = [self.fusion.views[node] for node in self.program.outputs]
        return Memory(self.program, placement, outputs, native, by_numpy, scratch, margin)

    @property
    def arena_bytes(self) -> int:
        """Memory for values that do not leave the program, and for what kernels need for themselves."""
        return self._memory.nbytes

    def _function(self, made: Sequence[Coded]) -> _List:
        """What runs a segment, given the address of the table."""
        address = self.code.addresses[self._run.key]
        calls = call_list(made, self.code, self._memory.slots)
        return _List(calls, address, self.threads if any(is_shared(one.writer) for one in made) else 1)

    # Running it ---------------------------------------------------------------------------------------------------

    def __call__(self, values: Sequence[Any], over: Container[Node] = ()) -> list[Any]:
        """The outputs for these inputs.

        Args:
            over: of the `updates`, those that are written over.
        """
        started = perf_counter()
        with self._lock:
            buffers = self._memory.take(values, over)
            for step, function in zip(self.steps, self._functions, strict=True):
                if self._inspector is None:
                    self._run_step(step, function, buffers)
                    continue
                (kernel,) = step.kernels if isinstance(step, Segment) else (step,)
                memory = None if function is None else self._memory
                self._inspector.before(kernel, memory)
                self._run_step(step, function, buffers)
                self._inspector.after(kernel, memory)
            self._seconds += perf_counter() - started
            return self._memory.returned(buffers)

    def _run_step(self, step: Segment | Kernel, function: Callable[[int], int] | None, buffers: Buffers) -> None:
        if function is None:
            assert isinstance(step, Kernel)
            started = perf_counter()
            self._with_numpy(step, buffers)
            self._seconds_of_numpy += perf_counter() - started
        elif failed := function(self._memory.address):
            assert isinstance(step, Segment)
            self._memory.table[FAILED] = 0
            self._explain(step.kernels[failed - 1], buffers)

    def shortcut(self, arguments: int) -> Shortcut | None:
        """For calls that differ in so many inputs, the first.

        All other inputs must then be where they were, and all updates be written over them. None if NumPy computes
        something, or an output is no array of its own.
        """
        views = (self.fusion.views[node] for node in self.program.outputs)
        returned = [view for view in views if view.source not in self._updates]
        if (
            self._inspector is not None
            or len(self.steps) != 1
            or any(view.source not in self._memory.results for view in returned)
        ):
            return None
        (run,) = self._functions
        if run is None:
            return None
        return Shortcut(self._memory, self.program.inputs[:arguments], returned, run.bound(self._memory.address))

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
            value = result[stored.attributes["index"]] if isinstance(result, tuple) else result
            buffers.put(stored, contiguous(value))

    # Looking at it ------------------------------------------------------------------------------------------------

    @property
    def functions(self) -> int:
        """How many different kernels there are."""
        return len({made.key for made in self._writers.values()})

    def text(self) -> str:
        """LLVM's intermediate code of all kernels."""
        return code_text(self._writers.values())

    def kernels(self) -> list[tuple[Kernel, str]]:
        """All kernels in their order, and who runs each: "threads" together, "native" code of one, or "NumPy"."""
        return [
            (kernel, "threads" if is_shared(self._writers[kernel]) and self.threads > 1 else "native")
            if isinstance(step, Segment)
            else (kernel, "NumPy")
            for step in self.steps
            for kernel in (step.kernels if isinstance(step, Segment) else [step])
        ]

    def algorithm(self, kernel: Kernel) -> str:
        """By which a kernel is computed, where it is not the one that defines the operation."""
        return getattr(self._writers.get(kernel), "algorithm", "")

    @property
    def share_of_numpy(self) -> float | None:
        """The part of the time of all runs that NumPy took; None if there was none yet."""
        return self._seconds_of_numpy / self._seconds if self._seconds else None

    def describe(self) -> Description:
        """Its kernels; with their times, if a `Timer` has measured them."""
        return describe(self, self._inspector.seconds if isinstance(self._inspector, Timer) else None)

    def by_numpy(self) -> list[str]:
        """The names of what NumPy computes."""
        return [kernel.node.name for kernel, who in self.kernels() if who == "NumPy"]


class _List:
    """A list of calls as a function of the table's address."""

    def __init__(self, calls: Any, address: int, threads: int) -> None:
        self._calls, self._address, self._threads = calls, address, threads
        self._list = ctypes.addressof(calls)
        self._pace = Pace()
        self._run = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(address)

    def __call__(self, table: int) -> int:
        self._calls[0] = table
        if self._threads == 1:
            return self._alone()
        started = perf_counter()
        together = self._pace.together()
        failed = workers(self._threads).run(self._run, self._address, self._list) if together else self._alone()
        self._pace.took(perf_counter() - started)
        return failed

    def _alone(self) -> int:
        failed: int = self._run(self._list, 0, 1)
        return failed

    def bound(self, table: int) -> Callable[[], int]:
        """The same with this table; it must not be called with another one meanwhile."""
        if self._threads > 1:
            return partial(self, table)
        self._calls[0] = table
        return partial(self._run, ctypes.c_void_p(self._list), ctypes.c_int64(0), ctypes.c_int64(1))  # half the time
