"""The node of a traced ``scan`` as a real loop: the kernels of its body, called for one step after the other.

Everything is decided before the first step: constants, xs and ys lie where the program has them, and a step reads and
writes its own part of xs and ys; the carry is handed on as a pointer. A value that is both a y and the next carry, as
the state of a recurrent network is, is written once, into ys, and the next step reads it there. What else is carried
lies in two buffers that take turns. Threads walk through the steps together, and share the kernels of each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir

from clearprop.compiler.native.arena import Lifetime, aligned, plan
from clearprop.compiler.native.code import I1, I8, I64, POINTER, VOID, Code, Value, constant, index
from clearprop.compiler.native.kernels import Fusion, Kernel
from clearprop.compiler.native.loops import LoopNest
from clearprop.compiler.native.machine import Machine
from clearprop.compiler.native.matmul import MatmulWriter, prepacked_matmul
from clearprop.compiler.native.team import SHARED_ARGUMENTS, Team
from clearprop.compiler.native.views import View, row_strides
from clearprop.compiler.simplify import simplify
from clearprop.graph import Node
from clearprop.primitive import Spec
from clearprop.primitives import identity
from clearprop.trace import Program

if TYPE_CHECKING:
    from clearprop.compiler.native.lowerings import Writer

_WORTH_PACKING = 4
"""So many steps read weights more often than it takes to pack them."""

_FEW = 16
"""So many numbers are part of the code."""

_FINER = 8
"""Where threads share one kernel of a step, they share others that are so many times smaller, too: the first thread
would hold up the others in every step."""

MakeWriter = Callable[[Fusion, Kernel, Machine], "Writer | None"]


def loop_writer(fusion: Fusion, kernel: Kernel, machine: Machine, make: MakeWriter) -> LoopWriter | None:
    """Who writes a scan; None if something in its body has no native code.

    Args:
        make: who writes the kernels of the body.
    """
    writer = LoopWriter(fusion, kernel, machine, make)
    return writer if writer.is_native else None


class LoopWriter:
    """Writes one scan.

    Attributes:
        buffers: of the operands, then of the outputs that somebody needs.
        scratch_bytes: memory for the values of one step.
        is_native: whether all of the body has native code.
        may_fail: whether a kernel of the body looks at indices; the first step that finds a bad one is the last.
        shared: whether threads share kernels of the body; not if one of them may fail.
    """

    def __init__(self, fusion: Fusion, kernel: Kernel, machine: Machine, make: MakeWriter) -> None:
        self.node, self.machine = kernel.node, machine
        self.body, self.length = self.node.attributes["body"], self.node.attributes["length"]
        self.operands = fusion.reads(self.node)
        self.stored = {node.attributes["index"]: node for node in kernel.stored}
        self.buffers = list(dict.fromkeys([*(view.source for view in self.operands), *self.stored.values()]))
        self.key = ("scan", self.node)
        self.ys = [i for i in sorted(self.stored) if i >= self.body.carries]
        program = self.body.program
        needed = [*program.outputs[: self.body.carries], *(program.outputs[i] for i in self.ys)]
        self.inner = Fusion(simplify(Program(program.inputs, needed, program.constants)))
        made = [self._prepacked(part) or make(self.inner, part, machine) for part in self.inner.kernels]
        if any(map(_is_shared, made)):  # threads meet anyway
            self.machine = replace(machine, grain=machine.grain // _FINER)
            pairs = zip(made, self.inner.kernels, strict=True)
            made = [one if _is_shared(one) else make(self.inner, part, self.machine) for one, part in pairs]
        self.is_native = all(writer is not None for writer in made) and not self._is_empty()
        self.writers = [writer for writer in made if writer is not None]
        self.may_fail = any(getattr(writer, "may_fail", False) for writer in self.writers)
        self.shared = not self.may_fail and any(map(_is_shared, self.writers))
        if self.is_native:
            self._place()

    def _prepacked(self, part: Kernel) -> MatmulWriter | None:
        """The writer of a product with weights that are the same in all steps, if it is worth packing them before."""
        if self.length < _WORTH_PACKING:
            return None
        return prepacked_matmul(self.inner, part, self.machine, self.inner.program.inputs[: self.body.constants])

    def _is_empty(self) -> bool:
        return any(0 in node.shape for part in self.inner.kernels for node in part.stored)

    # Where everything lies ----------------------------------------------------------------------------------------

    def _place(self) -> None:
        """Decide where the values of a step are written: into ys, a buffer of the carry, or scratch memory."""
        carries, outputs = self.body.carries, self.inner.program.outputs
        written = {node for part in self.inner.kernels for node in part.stored}
        self.into_ys: dict[Node, int] = {}  # which of the ys
        self.into_carry: dict[Node, int] = {}
        for places, nodes in ((self.into_ys, outputs[carries:]), (self.into_carry, outputs[:carries])):
            for place, node in enumerate(nodes):
                view = self.inner.views[node]
                if view.is_whole and view.source in written and view.source not in self.into_ys:
                    places.setdefault(view.source, place)
        self.offsets: dict[Any, int] = {}
        end = 0
        for i in range(carries):  # two buffers that take turns
            nbytes = aligned(self._spec(outputs[i]).nbytes)
            self.offsets["carry", i] = end
            end += 2 * nbytes
        for i, view in enumerate(self.operands):
            if self._needs_copy(i, view):
                self.offsets["operand", i] = end
                end += aligned(Spec(view.shape, view.source.dtype).nbytes)
        for writer in self._packing():
            self.offsets["packed", writer] = end
            end += aligned(writer.packed_bytes)
        for node, array in self.inner.program.constants.items():
            if array.size <= _FEW:
                self.offsets[node] = end
                end += aligned(array.nbytes)
        end += self._place_inner(written, end)
        self.inner_scratch = end
        self.scratch_bytes = end + max((getattr(w, "scratch_bytes", 0) for w in self.writers), default=0)

    def _packing(self) -> list[MatmulWriter]:
        """The products one operand of which is packed before the first step."""
        return [writer for writer in self.writers if isinstance(writer, MatmulWriter) and writer.packed is not None]

    def _place_inner(self, written: set[Node], start: int) -> int:
        """Values that stay within a step; returns how many bytes they need."""
        last: dict[Node, int] = {}
        first: dict[Node, int] = {}
        for number, part in enumerate(self.inner.kernels):
            first.update((node, number) for node in part.stored)
            for node in part.nodes:
                last.update((source, number) for view in self.inner.reads(node) for source in view.sources)
        steps = len(self.inner.kernels)
        last.update((self.inner.views[node].source, steps) for node in self.inner.program.outputs)
        inside = [n for n in written if n not in self.into_ys and n not in self.into_carry]
        inside.sort(key=lambda node: node.number)
        lives = [Lifetime(self._spec(n).nbytes, first[n], last.get(n, first[n])) for n in inside]
        arena = plan(lives)
        self.offsets.update(zip(inside, (start + offset for offset in arena.offsets), strict=True))
        return arena.nbytes

    def _needs_copy(self, i: int, view: View) -> bool:
        """Whether an operand lies otherwise than in order of rows; of xs each step by itself."""
        if i < self.body.first_x:
            return view.strides != row_strides(view.shape)
        return view.strides[1:] != row_strides(view.shape[1:])

    def _spec(self, node: Node) -> Spec:
        return Spec(node.shape, node.dtype)

    # Writing it ---------------------------------------------------------------------------------------------------

    def write(self, module: ir.Module, name: str) -> None:
        """Write the function: it takes a pointer for each of the buffers, and one to scratch memory.

        Of the scratch memory of all threads, the beginning is common to them; behind it is that of the body's kernels.
        """
        self.names: list[str] = []
        known: dict[Any, str] = {}
        for writer in self.writers:
            if writer.key not in known:
                known[writer.key] = f"{name}_{len(known)}"
                writer.write(module, known[writer.key])
            self.names.append(known[writer.key])
        self.module, self.prefix, self.copies = module, name, dict[Any, tuple[str, bool]]()
        kinds = [*[POINTER] * (len(self.buffers) + 1), *(SHARED_ARGUMENTS if self.shared else ())]
        code = Code.function(module, name, kinds, I1 if self.may_fail else VOID)
        arguments = list(code.builder.function.args)
        self.team = Team(code, *arguments[len(self.buffers) + 1 :]) if self.shared else Team.alone(code)
        buffers, self.scratch = arguments[: len(self.buffers)], arguments[len(self.buffers)]
        self.place_of = dict(zip(self.buffers, buffers, strict=True))
        self.operand_at = [self._operand(code, i, view) for i, view in enumerate(self.operands)]
        self.team.first(lambda: self._store_constants(code))
        self.team.wait()
        self._pack(code)
        first = self.operand_at[self.body.constants : self.body.first_x]
        ends = self._loop(code, first)
        moved = [(i, pointer) for i, pointer in enumerate(ends) if i in self.stored]
        self.team.first(lambda: self._move_ends(code, moved))
        if self.may_fail:
            code.builder.ret(ir.Constant(I1, 0))
        else:
            code.builder.ret_void()

    def _pack(self, code: Code) -> None:
        """Pack what is multiplied in every step."""
        sources = dict(zip(self.inner.program.inputs, self.operand_at, strict=False))
        for writer in self._packing():
            assert writer.packed is not None
            target = self._in_scratch(code, self.offsets["packed", writer])
            writer.call_packing(code, self.team, sources[writer.packed.source], target)
        self.team.wait()

    def _operand(self, code: Code, i: int, view: View) -> Value:
        """Where an operand begins; copied into order of rows if it lies otherwise."""
        source = code.at(self.place_of[view.source], view.source.dtype, index(view.offset))
        if ("operand", i) not in self.offsets:
            return source
        target = self._in_scratch(code, self.offsets["operand", i])
        self._copy(code, view, self.place_of[view.source], target)
        return target

    def _store_constants(self, code: Code) -> None:
        """Short constants are in the code: it then holds no addresses, and another process can use it."""
        for node, array in self.inner.program.constants.items():
            if node in self.offsets:
                start = self._in_scratch(code, self.offsets[node])
                for i, number in enumerate(array.flat):
                    code.store(constant(node.dtype, number), code.at(start, node.dtype, index(i)), node.dtype)

    def _in_scratch(self, code: Code, offset: int) -> Value:
        return code.builder.gep(self.scratch, [index(offset)], source_etype=I8)

    def _loop(self, code: Code, first: Sequence[Value]) -> list[Value]:
        """All steps; returns where the last carry lies."""
        b = code.builder

        def step(t: Value, carried: list[Value]) -> list[Value]:
            at = b.sub(index(self.length - 1), t) if self.node.attributes["reverse"] else t
            return self._step(code, at, b.and_(t, index(1)), carried)

        return code.loop(index(0), index(self.length), 1, step, first)

    def _step(self, code: Code, t: Value, turn: Value, carry: Sequence[Value]) -> list[Value]:
        """One step; returns where the next carry lies."""
        b, inner = code.builder, self.inner
        pointers = dict(zip(inner.program.inputs, self._inputs(code, t, carry), strict=True))
        for node, array in inner.program.constants.items():
            if node in self.offsets:
                pointers[node] = self._in_scratch(code, self.offsets[node])
            else:
                self.constants.append(np.ascontiguousarray(array))
                pointers[node] = b.inttoptr(ir.Constant(I64, self.constants[-1].ctypes.data), POINTER)
        for part in inner.kernels:
            for node in part.stored:
                pointers[node] = self._target(code, node, t, turn)
        for _, group in groupby(zip(self.writers, self.names, strict=True), key=lambda call: _is_shared(call[0])):
            self._call(code, list(group), pointers)
        outputs = inner.program.outputs
        for place, node in enumerate(outputs[self.body.carries :]):
            view = inner.views[node]
            if self.into_ys.get(view.source) != place or not view.is_whole:
                self._copy(code, view, pointers[view.source], self._y(code, place, t))
        following = [
            self._handed_on(code, i, turn, inner.views[outputs[i]], pointers) for i in range(self.body.carries)
        ]
        self.team.wait()  # for copies; kernels have been waited for
        return following

    def _taken(self, code: Code, writer: Writer, node: Node, pointers: dict[Node, Value]) -> Value:
        """Where a kernel finds a buffer: weights in the packed copy that has been made for it."""
        if isinstance(writer, MatmulWriter) and writer.packed is not None and node is writer.packed.source:
            return self._in_scratch(code, self.offsets["packed", writer])
        return pointers[node]

    def _call(self, code: Code, calls: Sequence[tuple[Writer, str]], pointers: dict[Node, Value]) -> None:
        """Kernels that follow one another: shared ones, or others, which the first thread calls; each is waited for."""
        b, scratch = code.builder, self._in_scratch(code, self.inner_scratch)

        def call(writer: Writer, name: str) -> None:
            taken = [self._taken(code, writer, node, pointers) for node in writer.buffers]
            taken += [scratch] if getattr(writer, "scratch_bytes", 0) else []
            failed = self.team.call(self.module.globals[name], taken, is_shared=_is_shared(writer))
            if getattr(writer, "may_fail", False):
                with b.if_then(failed, likely=False):
                    b.ret(failed)

        def call_all() -> None:
            for writer, name in calls:
                call(writer, name)

        if _is_shared(calls[0][0]):
            for writer, name in calls:
                call(writer, name)
                self.team.wait()
        else:
            self.team.first(call_all)
            self.team.wait()

    def _inputs(self, code: Code, t: Value, carry: Sequence[Value]) -> list[Value]:
        xs = []
        for i in range(self.body.first_x, len(self.operands)):
            view = self.operands[i]
            copied = ("operand", i) in self.offsets
            stride = row_strides(view.shape)[0] if copied else view.strides[0]
            xs.append(code.at(self.operand_at[i], view.source.dtype, code.builder.mul(t, index(stride))))
        return [*self.operand_at[: self.body.constants], *carry, *xs]

    def _target(self, code: Code, node: Node, t: Value, turn: Value) -> Value:
        """Where a value of a step is written."""
        if node in self.into_ys:
            return self._y(code, self.into_ys[node], t)
        if node in self.into_carry:
            return self._carry_buffer(code, self.into_carry[node], turn)
        return self._in_scratch(code, self.offsets[node])

    def _y(self, code: Code, place: int, t: Value) -> Value:
        """Where the y of this step stands."""
        item = self.stored[self.ys[place]]
        size = Spec(item.shape[1:], item.dtype).size
        return code.at(self.place_of[item], item.dtype, code.builder.mul(t, index(size)))

    def _carry_buffer(self, code: Code, i: int, turn: Value) -> Value:
        """The one of two buffers that is not read in this step."""
        nbytes = aligned(self._spec(self.inner.program.outputs[i]).nbytes)
        offset = code.builder.add(index(self.offsets["carry", i]), code.builder.mul(turn, index(nbytes)))
        return code.builder.gep(self.scratch, [offset], source_etype=I8)

    def _handed_on(self, code: Code, i: int, turn: Value, view: View, pointers: dict[Node, Value]) -> Value:
        """Where part i of the next carry lies."""
        lasts = view.source in self.into_ys or self.into_carry.get(view.source) == i
        constants = self.inner.program.inputs[: self.body.constants]
        if view.is_whole and (lasts or view.source in constants or view.source in self.inner.program.constants):
            return pointers[view.source]
        target = self._carry_buffer(code, i, turn)
        self._copy(code, view, pointers[view.source], target)
        return target

    # Copies -------------------------------------------------------------------------------------------------------

    def _copy(self, code: Code, view: View, source: Value, target: Value) -> None:
        """Write what a view shows to a buffer, in order of rows."""
        key = (view.shape, view.strides, view.offset, view.source.dtype)
        if key not in self.copies:
            nest = _CopyNest(view, self.machine if self.shared else replace(self.machine, threads=1))
            self.copies[key] = f"{self.prefix}_copy_{len(self.copies)}", nest.shared
            nest.write(self.module, self.copies[key][0])
        name, is_shared = self.copies[key]
        function = self.module.globals[name]
        if is_shared:
            self.team.call(function, [source, target], is_shared=True)
        else:
            self.team.first(lambda: self.team.call(function, [source, target], is_shared=False))

    def _move_ends(self, code: Code, ends: Sequence[tuple[int, Value]]) -> None:
        """The last carry, part by part, to where the program has it."""
        for i, pointer in ends:
            self._move(code, pointer, self.place_of[self.stored[i]], self._spec(self.stored[i]).nbytes)

    def _move(self, code: Code, source: Value, target: Value, nbytes: int) -> None:
        def body(i: Value, _: list[Value]) -> None:
            code.store(code.load(code.at(source, np.uint8, i), np.uint8), code.at(target, np.uint8, i), np.uint8)

        code.loop(index(0), index(nbytes), 1, body)

    @property
    def constants(self) -> list[Any]:
        """Arrays that the code points into; they live as long as this object."""
        return self.__dict__.setdefault("_constants", [])


class _CopyNest(LoopNest):
    """A loop nest of one identity, which reads any view and writes rows."""

    def __init__(self, view: View, machine: Machine) -> None:
        shown = Node(None, (), {}, view.shape, view.source.dtype, {}, None, "")
        node = Node(identity, (shown,), {}, view.shape, view.source.dtype, {}, None, "")
        kernel = Kernel(0, view.shape)
        kernel.nodes, kernel.stored = [node], [node]
        super().__init__(_Shown({shown: view}), kernel, machine)  # type: ignore[arg-type]


def _is_shared(writer: Writer | None) -> bool:
    return getattr(writer, "shared", False)


class _Shown:
    """What a loop nest asks of a fusion."""

    def __init__(self, views: dict[Node, View]) -> None:
        self.views = views
