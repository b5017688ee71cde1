"""What follows a matrix product, or a sum of rows, element by element is computed with it, while it is at hand."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from clearprop.compiler.native.kinds import is_product, is_reduction
from clearprop.compiler.native.row_updates import is_update
from clearprop.compiler.native.views import View, row_strides
from clearprop.graph import Node
from clearprop.primitive import spec_of

if TYPE_CHECKING:
    from clearprop.compiler.native.kernels import Kernel

_MOST_BEHIND = 24
"""So many nodes follow a product in its kernel: their code is written for each size of a tile."""
_MOST_MOVED, _LITTLE = 0.1, 4096
"""So many times the size of a product, or so many bytes, are what its followers read and write besides it: rows and
columns, not whole arrays. A pass of their own, in order of memory, moves those faster than a product's tiles do."""
_SHALLOW, _FEW_OPERATIONS = 128, 2
"""The tiles of a product of so small a depth are done so soon that more operations behind it take longer than apart."""
_FEW_COLUMNS = 16
"""What follows a product with fewer columns is no better computed with it: vectors are not whole."""


class Appending:
    """Finds such loop nests, and makes them part of the kernel that they follow.

    Args:
        inputs: of the program.
        views: how each value is read.
        users: the nodes that read a buffer; None for who runs the program.
        home: the kernel of each node.
    """

    def __init__(
        self,
        inputs: Container[Node],
        views: Mapping[Node, View],
        users: Mapping[Node, Sequence[Node | None]],
        home: dict[Node, Kernel],
    ) -> None:
        self._inputs, self._views, self._users, self._home = inputs, views, users, home

    def run(self, kernels: Iterable[Kernel]) -> None:
        """Look at all kernels that are not loop nests."""
        for kernel in kernels:
            if not kernel.nodes or kernel.space is not None:
                continue
            may_follow = self._may_follow if is_product(kernel.node) else self._may_update
            for follower in sorted(kernel.needed_by, key=lambda user: user.number):
                if may_follow(follower, kernel):
                    for node in follower.nodes:
                        self._home[node] = kernel
                    kernel.absorb(follower)
                    break

    def _may_follow(self, kernel: Kernel, product: Kernel) -> bool:
        """Whether a kernel can be computed from each element of a product, while it is at hand."""
        shape = product.node.shape
        if kernel.space is None or len(kernel.nodes) > _MOST_BEHIND or not fits_product(kernel.space, shape):
            return False
        if any(is_reduction(node) for node in kernel.nodes) or shape[-1] < _FEW_COLUMNS:
            return False
        read = (self._views[parent] for node in kernel.nodes for parent in node.parents if parent is not None)
        plain = View(product.node, kernel.space, row_strides(kernel.space))
        if any(view.source is product.node and view != plain for view in read):
            return False
        if self._depth(product.node) < _SHALLOW and len(kernel.nodes) > _FEW_OPERATIONS:
            return False
        most = max(_MOST_MOVED * spec_of(product.node).nbytes, _LITTLE)
        return self._moved(kernel, product.node) <= most and not kernel.may_need(product, by_a_third=True)

    def _depth(self, product: Node) -> int:
        first = product.parents[0]
        assert first is not None
        return self._views[first].shape[-1]

    def _may_update(self, kernel: Kernel, sums: Kernel) -> bool:
        """Whether a kernel is the step of a table along its gradient, which is zero in all but some rows."""
        if sums.walked is None or kernel.space != sums.node.shape:
            return False
        if any(user not in kernel.nodes for user in self._users[sums.node]):
            return False
        inputs, leaving = self._inputs, self._leaving(kernel)
        return is_update(kernel.nodes, sums.node, self._views, inputs, leaving) and not kernel.may_need(
            sums, by_a_third=True
        )

    def _moved(self, kernel: Kernel, product: Node) -> int:
        """How many bytes a follower reads and writes besides one array as large as the product."""
        moved = [node for node in sources(kernel, self._views, self._home) if node is not product]
        moved += self._leaving(kernel)
        if any(user not in kernel.nodes for user in self._users[product]):
            moved.append(product)  # which is then written, too
        return sum(spec_of(node).nbytes for node in moved) - spec_of(product).nbytes

    def _leaving(self, kernel: Kernel) -> list[Node]:
        """The nodes of a kernel whose values others need."""
        inside = set(kernel.nodes)
        return [node for node in kernel.nodes if any(user not in inside for user in self._users.get(node, ()))]


def sources(kernel: Kernel, views: Mapping[Node, View], home: Mapping[Node, Kernel]) -> set[Node]:
    """The buffers that a kernel would read; single numbers count only among single numbers."""
    found = set[Node]()
    for node in kernel.nodes:
        for parent in node.parents:
            assert parent is not None
            source = views[parent].source
            if (source.shape or not kernel.space) and home.get(source) is not kernel:
                found.add(source)
    return found


def fits_product(shape: Sequence[int], product: Sequence[int]) -> bool:
    """Whether elements of one shape, in order of rows, are those of a product with the same columns."""
    if tuple(shape) == tuple(product):
        return True
    is_one_product = len(product) == 2 and len(shape) >= 2
    return is_one_product and shape[-1] == product[-1] and math.prod(shape) == math.prod(product) > 0
