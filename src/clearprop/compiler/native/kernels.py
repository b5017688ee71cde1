"""Fusion: which nodes of a program become one loop nest.

Every value that leaves a kernel is written to a buffer; all others live in registers alone. A node joins the kernel of
one of its operands if both walk over the same shape and no kernel would then have to wait for itself. Views are in no
kernel: they are ways of reading. A sum, or another reduction, ends the kernel of what it reduces.
"""

from __future__ import annotations

from collections.abc import Iterable

from clearprop.compiler.native.code import has_type
from clearprop.compiler.native.elements import is_native
from clearprop.compiler.native.views import View, viewed, whole
from clearprop.graph import Node
from clearprop.primitives.control import item
from clearprop.primitives.families import Elementwise
from clearprop.trace import Program

REDUCTIONS = frozenset({"sum", "prod", "max", "min", "all", "any"})


class Kernel:
    """Nodes that are computed together.

    Attributes:
        space: the shape that all its elementwise nodes have, and that its reductions run over; None for a kernel of one
            node of another kind.
        nodes: in order; of one of another kind it is the first, and behind it come its outputs, if it has several.
        stored: those whose values others need.
    """

    def __init__(self, number: int, space: tuple[int, ...] | None) -> None:
        self.number = number
        self.space = space
        self.nodes: list[Node] = []
        self.stored: list[Node] = []

    @property
    def node(self) -> Node:
        """The node of another kind."""
        return self.nodes[0]

    def __repr__(self) -> str:
        return f"<kernel {self.number}: {' '.join(node.name for node in self.nodes)}>"


class Fusion:
    """A program as kernels.

    Attributes:
        kernels: each after those whose results it needs.
        views: how to read each node's value, for nodes that stand in a buffer or are a view of one.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.views: dict[Node, View] = {node: whole(node) for node in (*program.inputs, *program.constants)}
        self._kernel_of: dict[Node, Kernel] = {}
        self._made: list[Kernel] = []
        self._needs: list[int] = []  # for each kernel, as bits, those it needs, directly or not
        for node in program.order:
            self._place(node)
        self._merge_neighbours()
        self._find_stored()
        self.kernels = self._in_order()

    def reads(self, node: Node) -> list[View]:
        """How the operands of a node are read from buffers."""
        return [self.views[parent] for parent in node.parents if parent is not None]

    # Placing nodes ------------------------------------------------------------------------------------------------

    def _place(self, node: Node) -> None:
        assert node.primitive is not None
        first = node.parents[0] if node.parents else None
        if first is not None and first in self.views:
            view = viewed(self.views[first], node)
            if view is not None:
                self.views[node] = view
                return
        of_several = node.primitive is item and first is not None
        kernel = self._kernel_of[first] if of_several and first else self._home(node)
        kernel.nodes.append(node)
        self._kernel_of[node] = kernel
        self.views[node] = whole(node)

    def _home(self, node: Node) -> Kernel:
        """The kernel that a node joins, or a new one."""
        parents = [parent for parent in node.parents if parent is not None]
        if is_elementwise(node) or is_reduction(node):
            space = node.shape if is_elementwise(node) else parents[0].shape
            for parent in parents:
                kernel = self._kernel_of.get(parent)
                if kernel is not None and kernel.space == space and self._may_join(kernel, parents):
                    self._join(kernel, parents)
                    return kernel
        else:
            space = None
        kernel = Kernel(len(self._made), space)
        self._made.append(kernel)
        self._needs.append(0)
        self._join(kernel, parents)
        return kernel

    def _may_join(self, kernel: Kernel, parents: Iterable[Node]) -> bool:
        for parent in parents:
            home = self._kernel_of.get(parent)
            if home is kernel:
                if is_reduction(parent):
                    return False
                continue
            source = self._source(parent)
            if source is not None and (source is kernel or self._needs[source.number] >> kernel.number & 1):
                return False
        return True

    def _source(self, node: Node) -> Kernel | None:
        """The kernel in whose buffer the value of a node, which may be a view, stands."""
        return self._kernel_of.get(self.views[node].source)

    def _join(self, kernel: Kernel, parents: Iterable[Node]) -> None:
        needed = 0
        for parent in parents:
            source = self._source(parent)
            if source is not None and source is not kernel:
                needed |= 1 << source.number | self._needs[source.number]
        bit = 1 << kernel.number
        self._needs[kernel.number] |= needed
        for number, needs in enumerate(self._needs):  # whoever needs this kernel now needs those, too
            if needs & bit:
                self._needs[number] = needs | needed

    # Joining kernels ----------------------------------------------------------------------------------------------

    def _merge_neighbours(self) -> None:
        """Join kernels over one space that read each other's values, or the same buffers."""
        spaces: dict[tuple[int, ...], list[Kernel]] = {}
        for kernel in self._made:
            if kernel.space is not None:
                spaces.setdefault(kernel.space, []).append(kernel)
        for kernels in spaces.values():
            for i, kernel in enumerate(kernels):
                for other in kernels[i + 1 :]:
                    if kernel.nodes and other.nodes and self._are_neighbours(kernel, other):
                        self._merge(kernel, other)

    def _are_neighbours(self, one: Kernel, other: Kernel) -> bool:
        """Whether two kernels have something in common, and may be joined."""
        read, also = self._sources_of(one), self._sources_of(other)
        if not (read & also or any(node in also for node in one.nodes) or any(node in read for node in other.nodes)):
            return False
        return self._reads_plainly(one, other) and self._reads_plainly(other, one) and not self._is_between(one, other)

    def _sources_of(self, kernel: Kernel) -> set[Node]:
        """The buffers it would read; single numbers count only among single numbers."""
        parents = (parent for node in kernel.nodes for parent in node.parents if parent is not None)
        sources = (self.views[parent].source for parent in parents)
        return {
            source
            for source in sources
            if (source.shape or not kernel.space) and self._kernel_of.get(source) is not kernel
        }

    def _reads_plainly(self, reader: Kernel, writer: Kernel) -> bool:
        """Whether it uses the other's values as they are computed, element by element."""
        for node in reader.nodes:
            for parent in node.parents:
                assert parent is not None
                if self._kernel_of.get(self.views[parent].source) is writer and (
                    parent not in self._kernel_of or is_reduction(parent)
                ):
                    return False
        return True

    def _is_between(self, one: Kernel, other: Kernel) -> bool:
        """Whether a third kernel needs one of them, and is needed by the other."""
        first, second = self._needs[one.number], self._needs[other.number]
        return any(
            (needs >> one.number & 1 and second >> third & 1) or (needs >> other.number & 1 and first >> third & 1)
            for third, needs in enumerate(self._needs)
            if third not in (one.number, other.number) and self._made[third].nodes
        )

    def _merge(self, kernel: Kernel, other: Kernel) -> None:
        kernel.nodes = sorted([*kernel.nodes, *other.nodes], key=lambda node: node.number)
        for node in other.nodes:
            self._kernel_of[node] = kernel
        other.nodes = []
        mine, theirs = 1 << kernel.number, 1 << other.number
        needed = (self._needs[kernel.number] | self._needs[other.number]) & ~mine & ~theirs
        self._needs[other.number] = 0
        self._needs[kernel.number] = needed
        for number, needs in enumerate(self._needs):
            if needs & (mine | theirs):
                self._needs[number] = (needs & ~theirs) | mine | needed

    # What has to be written ---------------------------------------------------------------------------------------

    def _find_stored(self) -> None:
        stored: dict[Node, None] = {}
        for node in self.program.order:
            if node not in self._kernel_of:
                continue
            for parent in node.parents:
                assert parent is not None
                if self._kernel_of.get(parent) is not self._kernel_of[node]:
                    stored[self.views[parent].source] = None
        for node in self.program.outputs:
            stored[self.views[node].source] = None
        for node in stored:
            if node in self._kernel_of:
                self._kernel_of[node].stored.append(node)

    def _in_order(self) -> list[Kernel]:
        """Kernels that need fewer others come first: one that needs another needs all that this one needs, and it."""
        needed = [kernel for kernel in self._made if kernel.stored]
        return sorted(needed, key=lambda kernel: (self._needs[kernel.number].bit_count(), kernel.number))


def is_elementwise(node: Node) -> bool:
    """Whether a node can be part of a loop nest."""
    return isinstance(node.primitive, Elementwise) and is_native(node)


def is_reduction(node: Node) -> bool:
    """Whether a node can end a loop nest."""
    if node.name not in REDUCTIONS:
        return False
    (operand,) = node.parents
    assert operand is not None
    return has_type(operand.dtype) and has_type(node.dtype) and 0 not in operand.shape
