"""The order of a program's kernels, and where the values between them lie.

Inputs and results have arrays of their own; what NumPy computes lies where NumPy puts it; all else shares an arena.
A value may take the place of one that its kernel reads for the last time, element by element.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from clearprop.compiler.native.alike import Coded
from clearprop.compiler.native.arena import Lifetime, plan
from clearprop.compiler.native.kernels import Fusion, Kernel
from clearprop.compiler.native.lowerings import may_fail
from clearprop.compiler.native.schedule import Task, schedule
from clearprop.graph import Node
from clearprop.primitive import Spec


class Placement:
    """Decides what comes when, and what lies where.

    Args:
        coded: the kernels that have native code; NumPy computes the others.
        updates: outputs, each with the input in whose array it is to be written.
        margin: bytes before and behind each value in the arena that nobody uses.

    Attributes:
        order: the kernels.
        updates: those that can be: the buffers of such outputs, each with the input in whose place it is.
        offsets: of what lies in the arena.
        nbytes: of the arena.
    """

    def __init__(
        self, fusion: Fusion, coded: Mapping[Kernel, Coded], updates: Mapping[Node, Node], margin: int = 0
    ) -> None:
        self._fusion, self._coded, self._margin = fusion, coded, margin
        self._leaving = Counter(fusion.views[node].source for node in fusion.program.outputs)
        kernels = [kernel for kernel in fusion.kernels if not any(0 in node.shape for node in kernel.stored)]
        self._reads = {kernel: self._sources(kernel) for kernel in kernels}
        self._inner = {
            node: Spec(node.shape, node.dtype).nbytes
            for kernel in kernels
            for node in kernel.stored
            if kernel in coded and node not in self._leaving
        }
        wanted = {
            fusion.views[new].source: old for new, old in updates.items() if self._may_be_written_over(new, old)
        }  # fmt: skip
        tasks = [self._task(kernel, wanted) for kernel in kernels]
        scheduled = schedule(tasks, lambda node: self._inner.get(node, 0))
        self.order = [kernels[i] for i in scheduled.order]
        self.updates = scheduled.replaced
        self._place()

    def _sources(self, kernel: Kernel) -> list[Node]:
        """The buffers that a kernel reads."""
        if kernel in self._coded:
            return [node for node in self._coded[kernel].buffers if node not in kernel.stored]
        return list({source: None for view in self._fusion.reads(kernel.node) for source in view.sources})

    # Values of cells ----------------------------------------------------------------------------------------------

    def _may_be_written_over(self, new: Node, old: Node) -> bool:
        """Whether nobody outside needs the old value, and nobody else gets the new one."""
        view = self._fusion.views[new]
        alike = view.is_whole and (new.shape, new.dtype) == (old.shape, old.dtype)
        return alike and self._leaving[view.source] == 1 and old not in self._leaving

    def _task(self, kernel: Kernel, wanted: Mapping[Node, Node]) -> Task[Node]:
        reads, made = self._reads[kernel], self._coded.get(kernel)
        if made is None:
            return Task(reads, kernel.stored, may_fail=True)
        replaces = {
            node: wanted[node]
            for node in kernel.stored
            if node in wanted and (wanted[node] not in reads or wanted[node] in made.replaceable(node))
        }
        return Task(reads, kernel.stored, may_fail(made.writer), replaces)

    # The arena ----------------------------------------------------------------------------------------------------

    def _place(self) -> None:
        first: dict[Node, int] = {}
        last: dict[Node, int] = {}
        for number, kernel in enumerate(self.order):
            for node in kernel.stored:
                first[node] = last[node] = number
            for node in self._reads[kernel]:
                last[node] = number
        shared = self._share(last)
        lives = {node: [first[node], last[node]] for node in self._inner if node not in shared}
        for node, place in shared.items():  # in the order of the kernels: the last one lives longest
            lives[place][1] = last[node]
        arena = plan([Lifetime(self._inner[node] + self._margin, *life) for node, life in lives.items()])
        self.nbytes = self._margin + arena.nbytes
        self.offsets = {node: self._margin + offset for node, offset in zip(lives, arena.offsets, strict=True)}
        self.offsets.update((node, self.offsets[place]) for node, place in shared.items())

    def _share(self, last: Mapping[Node, int]) -> dict[Node, Node]:
        """Values that are written in the place of another one, each with the first one there."""
        shared: dict[Node, Node] = {}
        for number, kernel in enumerate(self.order):
            taken = set[Node]()
            for node in (node for node in kernel.stored if node in self._inner):
                for old in self._ending(kernel, node, last, number):
                    if old not in taken:
                        taken.add(old)
                        shared[node] = shared.get(old, old)
                        break
        return shared

    def _ending(self, kernel: Kernel, node: Node, last: Mapping[Node, int], number: int) -> Sequence[Node]:
        """Values that this kernel reads for the last time, and only where it then writes."""
        candidates = self._coded[kernel].replaceable(node)
        return [old for old in candidates if old in self._inner and last[old] == number]
