"""Which kernels may be joined with one: those behind it that touch the same buffers."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterable
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from clearprop.graph import Node

if TYPE_CHECKING:
    from clearprop.compiler.native.kernels import Kernel


class Followers:
    """Kernels that touch certain buffers and come behind another, in their order.

    Args:
        touching: for each buffer, the kernels that read or write it, in their order.
        number: of the kernel that they come behind.
    """

    def __init__(self, touching: dict[Node, list[Kernel]], number: int) -> None:
        self._touching, self._number = touching, number
        self._seen: set[Node] = set()
        self._next: list[tuple[int, int, Node, int]] = []  # of each buffer, and where it stands in its list

    def touch(self, nodes: Iterable[Node]) -> None:
        """Those that touch these buffers, too."""
        for node in nodes:
            if node not in self._seen:
                self._seen.add(node)
                touching = self._touching[node]
                if touching[-1].number > self._number:
                    self._push(node, bisect(touching, self._number, key=lambda kernel: kernel.number))

    def following(self) -> Kernel | None:
        """The next one."""
        while self._next:
            number, _, node, place = heappop(self._next)
            self._push(node, place + 1)
            if number > self._number:
                self._number = number
                return self._touching[node][place]
        return None

    def _push(self, node: Node, place: int) -> None:
        touching = self._touching[node]
        if place < len(touching):
            heappush(self._next, (touching[place].number, node.number, node, place))
