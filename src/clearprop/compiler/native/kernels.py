"""Fusion: which nodes of a program become one loop nest.

Every value that leaves a kernel is written to a buffer; all others live in registers alone. A node joins the kernel of
one of its operands if both walk over the same shape and no kernel would then have to wait for itself. Views are in no
kernel: they are ways of reading. A sum, or another reduction, ends the kernel of what it reduces.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable, Sequence

from clearprop.compiler.native.appending import Appending, sources
from clearprop.compiler.native.followers import Followers
from clearprop.compiler.native.kinds import is_elementwise, is_product, is_reduction
from clearprop.compiler.native.lookup import read_rows_where_they_stand
from clearprop.compiler.native.recomputing import Recomputing
from clearprop.compiler.native.row_updates import gathers_rows
from clearprop.compiler.native.views import View, viewed, whole
from clearprop.graph import Node
from clearprop.primitives.control import item
from clearprop.primitives.shaping import reshape
from clearprop.trace import Program

_MOST_NODES = 128
"""So many nodes are in one kernel: the time to compile it grows faster than its length."""
_FAR = 1000
"""So many kernels are looked at to find out whether one needs another; if that is not enough, it is taken to do so."""
_MOST_TRIES = 16
"""So many kernels in turn are found not to fit to one, before the search for others ends."""


class Kernel:
    """Nodes that are computed together.

    Attributes:
        space: the shape that all its elementwise nodes have, and that its reductions run over; None for a kernel of one
            node of another kind.
        nodes: in order; of one of another kind it is the first, and behind it come its outputs, if it has several.
        stored: those whose values others need.
        needs, needed_by: kernels whose results it reads, and those that read its own; while kernels are made.
        level: larger than those of all that it needs.
        walked: the shape of what it reads element by element: its space, or that of rows that it sums.
    """

    __slots__ = ("level", "needed_by", "needs", "nodes", "number", "space", "stored", "walked")

    def __init__(self, number: int, space: tuple[int, ...] | None, walked: tuple[int, ...] | None = None) -> None:
        self.number = number
        self.space = space
        self.walked = walked if space is None else space
        self.nodes: list[Node] = []
        self.stored: list[Node] = []
        self.needs: dict[Kernel, None] = {}  # dictionaries: always in the same order
        self.needed_by: dict[Kernel, None] = {}
        self.level = 0

    @property
    def node(self) -> Node:
        """The node of another kind."""
        return self.nodes[0]

    def __repr__(self) -> str:
        return f"<kernel {self.number}: {' '.join(node.name for node in self.nodes)}>"

    def add_need(self, other: Kernel) -> None:
        """It reads a result of another kernel."""
        self.needs[other] = other.needed_by[self] = None
        waiting = [(self, other.level + 1)]
        while waiting:
            kernel, level = waiting.pop()
            if kernel.level < level:
                kernel.level = level
                waiting += [(user, level + 1) for user in kernel.needed_by]

    def add_needs(self, others: Iterable[Kernel | None]) -> None:
        """It reads results of other kernels; None, and itself, do not count."""
        for other in others:
            if other is not None and other is not self:
                self.add_need(other)

    def may_need(self, other: Kernel, *, by_a_third: bool = False) -> bool:
        """Whether it needs another kernel, directly or not; True also where the search would be long.

        Args:
            by_a_third: whether only ways through a third kernel count.
        """
        waiting = deque(need for need in self.needs if need.level > other.level or (need is other and not by_a_third))
        seen = set(waiting)
        while waiting:  # the nearest first: a backward pass is everywhere near to the forward pass
            kernel = waiting.popleft()
            if kernel is other or len(seen) > _FAR:
                return True
            near = [need for need in kernel.needs if (need.level > other.level or need is other) and need not in seen]
            seen.update(near)
            waiting += near
        return False

    def include(self, nodes: Iterable[Node]) -> None:
        """Compute these, too; a node of another kind stays the first."""
        first = self.nodes[:1] if self.space is None else []
        self.nodes = first + sorted({*self.nodes, *nodes}.difference(first), key=lambda node: node.number)

    def absorb(self, other: Kernel) -> None:
        """Take over all of another kernel, to which no way leads through a third one, nor from there."""
        self.include(other.nodes)
        other.nodes = []
        for need in other.needs:
            del need.needed_by[other]
            if need is not self:
                self.add_need(need)
        for user in other.needed_by:
            del user.needs[other]
            if user is not self:
                user.add_need(self)
        other.needs, other.needed_by = {}, {}


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
        self._in_rows: dict[Node, Node] = {}  # of views that had to be copied for a reshape: that copy
        for node in program.order:
            self._place(node)
        self._merge_neighbours()
        self._find_users()
        Appending(program.inputs, self.views, self._users, self._kernel_of).run(self._made)
        Recomputing(self.views, self._users, self._kernel_of, self._written()).run()
        read_rows_where_they_stand(self.views, program.outputs, self._made)
        self._find_stored()
        self.kernels = self._in_order()
        self._forget()

    def reads(self, node: Node) -> list[View]:
        """How the operands of a node are read from buffers."""
        return [self.views[parent] for parent in node.parents if parent is not None]

    # Placing nodes ------------------------------------------------------------------------------------------------

    def _place(self, node: Node) -> None:
        assert node.primitive is not None
        first = node.parents[0] if node.parents else None
        if first is not None and first in self.views:
            view = viewed(self.views[first], node)
            if view is None and first in self._in_rows:
                view = viewed(whole(self._in_rows[first]), node)
            if view is not None:
                self.views[node] = view
                return
            if node.primitive is reshape:
                self._in_rows[first] = node
        of_several = node.primitive is item and first is not None
        kernel = self._kernel_of[first] if of_several and first else self._home(node)
        kernel.nodes.append(node)
        self._kernel_of[node] = kernel
        self.views[node] = whole(node)

    def _home(self, node: Node) -> Kernel:
        """The kernel that a node joins, or a new one."""
        parents = [parent for parent in node.parents if parent is not None]
        sources = [self._kernel_of.get(self.views[parent].source) for parent in parents]
        walks = is_elementwise(node)
        if walks or is_reduction(node):
            space = node.shape if walks else parents[0].shape
            for parent in parents:
                kernel = self._kernel_of.get(parent)
                if kernel is not None and kernel.space == space and self._may_join(kernel, parents, sources):
                    kernel.add_needs(sources)
                    return kernel
        else:
            space = None
        walked = parents[0].shape if gathers_rows(node, self.views, self.program.constants) else None
        kernel = Kernel(len(self._made), space, walked)
        self._made.append(kernel)
        kernel.add_needs(sources)
        return kernel

    def _may_join(self, kernel: Kernel, parents: Iterable[Node], sources: Iterable[Kernel | None]) -> bool:
        """Whether a kernel can compute a node of these parents, whose values stand in buffers of these kernels."""
        if len(kernel.nodes) >= _MOST_NODES:
            return False
        for parent, source in zip(parents, sources, strict=True):
            if source is kernel:
                if parent not in self._kernel_of or is_reduction(parent):  # a view, or not known before the end
                    return False
            elif source is not None and source.may_need(kernel):
                return False
        return True

    # Joining kernels ----------------------------------------------------------------------------------------------

    def _merge_neighbours(self) -> None:
        """Join kernels over one space that read each other's values, or the same buffers."""
        spaces: dict[tuple[int, ...], list[Kernel]] = {}
        self._sources: dict[Kernel, set[Node]] = {}
        for kernel in self._made:
            if kernel.space is not None:
                spaces.setdefault(kernel.space, []).append(kernel)
                self._sources[kernel] = self._find_sources(kernel)
        for kernels in spaces.values():
            touching: dict[Node, list[Kernel]] = {}  # who reads a buffer, or writes it
            for kernel in kernels:
                for node in (*self._sources[kernel], *kernel.nodes):
                    touching.setdefault(node, []).append(kernel)
            for kernel in kernels:
                self._merge_followers(kernel, touching)

    def _merge_followers(self, kernel: Kernel, touching: dict[Node, list[Kernel]]) -> None:
        """Join a kernel with later ones of the same space that touch the same buffers, one after the other."""
        followers, tries = Followers(touching, kernel.number), 0
        followers.touch((*self._sources[kernel], *kernel.nodes))
        while kernel.nodes and tries < _MOST_TRIES:
            other = followers.following()
            if other is None:
                return
            tries += 1
            if other.nodes and self._are_neighbours(kernel, other):
                for node in other.nodes:
                    self._kernel_of[node] = kernel
                followers.touch((*self._sources[other], *other.nodes))
                kernel.absorb(other)
                self._sources[kernel] = self._find_sources(kernel)
                tries = 0

    def _are_neighbours(self, one: Kernel, other: Kernel) -> bool:
        """Whether two kernels have something in common, and may be joined."""
        read, also = self._sources[one], self._sources[other]
        if not (read & also or any(node in also for node in one.nodes) or any(node in read for node in other.nodes)):
            return False
        if len(one.nodes) + len(other.nodes) > _MOST_NODES:
            return False
        return self._reads_plainly(one, other) and self._reads_plainly(other, one) and not self._is_between(one, other)

    def _find_sources(self, kernel: Kernel) -> set[Node]:
        return sources(kernel, self.views, self._kernel_of)

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
        return one.may_need(other, by_a_third=True) or other.may_need(one, by_a_third=True)

    def _find_users(self) -> None:
        """Who reads each buffer; None stands for who runs the program."""
        self._users: dict[Node, list[Node | None]] = {}
        for node in self.program.order:
            for parent in node.parents:
                assert parent is not None
                if node in self._kernel_of:
                    self._users.setdefault(self.views[parent].source, []).append(node)
        for node in self.program.outputs:
            self._users.setdefault(self.views[node].source, []).append(None)

    # What has to be written ---------------------------------------------------------------------------------------

    def _find_stored(self) -> None:
        written = self._written()
        for kernel in self._made:
            if kernel.space is not None:
                kernel.nodes = _live(kernel.nodes, written)
        for node in self._written():
            self._kernel_of[node].stored.append(node)
        for kernel in self._made:  # sums are gathered in a buffer of their own type
            if kernel.stored and is_product(kernel.node) and all(n.dtype != kernel.node.dtype for n in kernel.stored):
                kernel.stored.insert(0, kernel.node)

    def _written(self) -> dict[Node, None]:
        """What others need than the kernel that computes it."""
        read = {self.views[node].source for node in self.program.outputs}
        for kernel in self._made:
            inside = set(kernel.nodes)
            for node in kernel.nodes:
                for parent in node.parents:
                    if parent in inside:
                        continue
                    assert parent is not None
                    for source in self.views[parent].sources:
                        if kernel.space is not None or source not in inside:
                            read.add(source)
        return {node: None for node in self.program.order if node in read and node in self._kernel_of}

    def _in_order(self) -> list[Kernel]:
        """Those with least behind them come first."""
        needed = [kernel for kernel in self._made if kernel.stored]
        return sorted(needed, key=lambda kernel: (kernel.level, kernel.number))

    def _forget(self) -> None:
        """Let go of what is of no use once the kernels are there: of a deep program it is much.

        Emptied, since functions that call themselves are cycles, which hold on to it for some time.
        """
        for kernel in self._made:
            del kernel.needs, kernel.needed_by
        for collection in (self._kernel_of, self._made, self._in_rows, self._sources, self._users):
            collection.clear()
        del self._kernel_of, self._made, self._in_rows, self._sources, self._users


def _live(nodes: Sequence[Node], written: Container[Node]) -> list[Node]:
    """Those of a kernel's nodes that something written depends on."""
    found, needed = list[Node](), set[Node | None]()
    for node in reversed(nodes):
        if node in written or node in needed:
            found.append(node)
            needed.update(node.parents)
    return found[::-1]
