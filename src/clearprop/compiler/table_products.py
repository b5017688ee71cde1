"""Products with rows of a table, made once for each row of the table and not once for each time that it is read.

A recurrent network that reads characters looks each of them up in a table E, and multiplies what it has found by
weights: n rows, of which few differ. The product can come first, and the looking up behind it; and since products are
linear, they can come behind the adding up in both gradients:

    E[i] W              =  (E W)[i]
    Ē[i] += Ȳ Wᵀ        =  S Wᵀ          where S[i] += Ȳ
    W̄ = E[i]ᵀ Ȳ         =  Eᵀ S

Three products of n rows become three of as many rows as the table has. That pays where it has fewer. The values are the
same but for rounding, since sums are taken in another order: so this is no part of `clearprop.compiler.simplify`, and
the reference executor does without it. A row that nobody reads takes no part, as before, whatever it holds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from clearprop import primitives
from clearprop.compiler.simplify import Rewriter
from clearprop.graph import Node
from clearprop.trace import Program

_TIMES = 2
"""A row is read so many times at least, on average."""
_COLUMNS = 32
"""Of a table that has fewer, rows are multiplied as fast as they are looked up."""


def with_short_table_products(program: Program) -> Program:
    """The same inputs and outputs; the program itself if there is nothing to shorten."""
    reads_rows = any(node.primitive is primitives.gather for node in program.order)
    return _Shortener(program).rewritten() if reads_rows and any(map(_rows_of_table, program.order)) else program


class _Shortener(Rewriter):
    """Puts products before the reading of rows, and behind the adding up of rows."""

    def anew(self, node: Node, operands: Sequence[Any]) -> Any:
        made = super().anew(node, operands)
        if type(made) is not Node:
            return made
        if made.primitive is primitives.matmul:
            x, y = _parents(made)
            return self._forward(made, x, y) or self._gradient_of_weights(x, y) or made
        if made.primitive is primitives.scatter_add and self._is_made_for_this(node):
            return self._gradient_of_table(made) or made
        return made

    def _forward(self, made: Node, x: Node, weights: Node) -> Node | None:
        """E[i] W as (E W)[i]."""
        if (found := _rows_of_table(x)) is None:
            return None
        table, positions = found
        product = self._applied(primitives.matmul, (table, weights), {})
        rows = self._applied(primitives.gather, (product, positions), {})
        return self.apply(primitives.reshape, rows, shape=made.shape)

    def _gradient_of_weights(self, x: Node, upstream: Node) -> Node | None:
        """E[i]ᵀ Ȳ as Eᵀ S."""
        if not _is_transpose(x) or (found := _rows_of_table(_parents(x)[0])) is None:
            return None
        table, positions = found
        columns = self.apply(primitives.permute, self._only_read(table, positions), axes=(1, 0))
        return self._applied(primitives.matmul, (columns, self._sums(upstream, positions, table.shape[0])), {})

    def _gradient_of_table(self, made: Node) -> Node | None:
        """The rows of Ȳ Wᵀ, added up, as S Wᵀ."""
        rows, *indices = _parents(made)
        product = _unfolded(rows)
        if product.primitive is not primitives.matmul or not _pays(made, indices):
            return None
        positions, (length, columns) = indices[0], made.shape
        if product.shape != (math.prod(positions.shape), columns):  # one matrix, a row of it for each position
            return None
        upstream, weights = _parents(product)
        sums = self._sums(upstream, positions, length)
        return self._only_read(self._applied(primitives.matmul, (sums, weights), {}), positions)

    def _is_made_for_this(self, node: Node) -> bool:
        """Whether nobody else uses the rows that are added up."""
        rows = _parents(node)[0]
        return self.uses[rows] == self.uses[_unfolded(rows)] == 1

    def _sums(self, x: Node, positions: Node, length: int) -> Node:
        """S: for each row of a table, the sum of the rows of x that belong to it."""
        rows = self.apply(primitives.reshape, x, shape=(*positions.shape, x.shape[-1]))
        return self._applied(primitives.scatter_add, (rows, positions), {"shape": (length, x.shape[-1])})

    def _only_read(self, x: Node, positions: Node) -> Node:
        """x, but zeros in rows that nobody reads: there may be something there by which 0 must not be multiplied."""
        one, zero = np.ones((), x.dtype), np.zeros((), x.dtype)
        ones = self._repeated(one, positions.shape, range(len(positions.shape)))
        times = self._applied(primitives.scatter_add, (ones, positions), {"shape": x.shape[:1]})
        is_read = self._applied(primitives.greater, (times, self._repeated(zero, times.shape, [0])), {})
        whole_rows = self.apply(primitives.broadcast, is_read, shape=x.shape, axes=(1,))
        return self._applied(primitives.where, (whole_rows, x, self._repeated(zero, x.shape, [0, 1])), {})


def _rows_of_table(x: Node) -> tuple[Node, Node] | None:
    """The table and the positions, if x is rows of a table, one below the other, of which many are the same."""
    gather = _unfolded(x)
    if gather.primitive is not primitives.gather:
        return None
    table, *indices = _parents(gather)
    if not _pays(table, indices) or x.shape != (math.prod(indices[0].shape), table.shape[1]):
        return None
    return table, indices[0]


def _pays(table: Node, indices: Sequence[Node]) -> bool:
    """Whether so many rows are read of so large a table that it is worth it; the positions are known to be in range.

    If they were not, an error would name the shape of another table.
    """
    if len(indices) != 1 or indices[0].primitive is not primitives.in_range:
        return False
    if len(table.shape) != 2 or table.dtype.kind != "f":
        return False
    length, columns = table.shape
    return math.prod(indices[0].shape) >= _TIMES * length and columns >= _COLUMNS


def _unfolded(x: Node) -> Node:
    """What a reshape was made of, else the node itself."""
    return _parents(x)[0] if x.primitive is primitives.reshape else x


def _is_transpose(x: Node) -> bool:
    return x.primitive is primitives.permute and x.attributes["axes"] == (1, 0)


def _parents(node: Node) -> list[Node]:
    return [parent for parent in node.parents if parent is not None]
