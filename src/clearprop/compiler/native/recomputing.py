"""What is computed again, by each kernel that needs it, instead of being written to memory and read.

A value that takes an operation or two from an array that is in memory anyway, and from what is small beside it, as
x - mean or x + bias, costs less to compute again than to write and to read: the same array is read as before, and
another in its place, and nothing is written. Much of what a backward pass needs of the forward pass is of this kind.
What only one other kernel needs is computed there, be it cheap or not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from clearprop.compiler.native.kinds import is_elementwise
from clearprop.compiler.native.views import View
from clearprop.graph import Node
from clearprop.primitive import Spec

if TYPE_CHECKING:
    from clearprop.compiler.native.kernels import Kernel

_CHEAP = frozenset({"add", "subtract", "multiply", "negative"})
_DEARER = frozenset({"erf", "exp", "sigmoid", "tanh"})
_LARGE = 4 << 20
"""Of values of more bytes than that, these too are computed again: it takes as long as to write and to read them, and
the memory is free for others. Of what BERT keeps for its backward pass a sixth were Φ(x) of its GELUs."""
_MOST_OPERATIONS = 6
"""So many of them in a row."""
_SMALL = 8
"""An operand with so many times fewer elements costs nothing to read."""


class Recomputing:
    """Finds such values, and adds them to the kernels that need them.

    Args:
        views: how each value is read.
        users: the nodes that read a buffer; None for who runs the program.
        home: the kernel of each node.
        stored: buffers that are written.
    """

    def __init__(
        self,
        views: Mapping[Node, View],
        users: Mapping[Node, Sequence[Node | None]],
        home: Mapping[Node, Kernel],
        stored: Mapping[Node, None],
    ) -> None:
        self._views, self._users, self._home = views, users, home
        self._stored = dict(stored)
        self._again: set[Node] = set()

    def run(self) -> None:
        """Look at all that is stored, what comes first first."""
        for node in sorted(self._stored, key=lambda node: node.number):
            if not is_elementwise(node):
                continue
            kernels = self._readers(node)
            steps = self._steps(node, moves=len(kernels) == 1 and not self._is_used_at_home(node)) if kernels else []
            if steps:
                self._again.add(node)
                for kernel in kernels:
                    self._add(kernel, steps)

    def _is_used_at_home(self, node: Node) -> bool:
        return any(user is not None and self._home.get(user) is self._home[node] for user in self._users[node])

    def _steps(self, node: Node, *, moves: bool) -> list[Node]:
        """The nodes that lead to a value from what is in memory; none if they are too many, or there is no such way.

        Args:
            moves: whether the value itself is computed but once, elsewhere.
        """
        found: dict[Node, None] = {}
        large = set[Node]()
        allowed = _CHEAP | _DEARER if Spec(node.shape, node.dtype).nbytes > _LARGE else _CHEAP

        def follow(step: Node) -> bool:
            moved = moves and (step is node or all(user in found for user in self._users[step]))
            may_be = step.name in allowed or (moved and is_elementwise(step))
            if not may_be or step not in self._home or len(found) >= _MOST_OPERATIONS:
                return False
            found[step] = None
            for parent in step.parents:
                assert parent is not None
                source = self._views[parent].source
                if source is parent and source in self._home and (source in self._again or source not in self._stored):
                    if parent not in found and not follow(parent):
                        return False
                elif source in self._again or (source in self._home and source not in self._stored):
                    return False
                elif math.prod(source.shape) * _SMALL > math.prod(node.shape):
                    large.add(source)
            return True

        return sorted(found, key=lambda step: step.number) if follow(node) and len(large) == 1 else []

    def _readers(self, node: Node) -> list[Kernel]:
        """The other kernels that read a value, if all of them walk over it element by element; else none."""
        found: dict[Kernel, None] = {}
        for user in self._users.get(node, ()):
            if user is None or user not in self._home:
                return []
            kernel = self._home[user]
            if kernel is self._home[node]:
                continue
            plain = all(parent is node or self._views[parent].source is not node for parent in user.parents if parent)
            if kernel.walked != node.shape or not plain:
                return []
            found[kernel] = None
        return list(found)

    def _add(self, kernel: Kernel, steps: Sequence[Node]) -> None:
        inside = set(kernel.nodes)
        kernel.include(steps)
        for step in steps:
            for parent in step.parents:
                assert parent is not None
                needed = self._home.get(self._views[parent].source)
                if needed is not None and needed is not kernel and step not in inside:
                    kernel.add_need(needed)
