"""Sums of products of two arrays: what all contractions are.

    c[batch, row, column] = sum over blocks and depth of a[batch, block, row, depth] * b[batch, block, depth, column]

An axis says how far one step along it moves in a, in b and in c. Matrix products of every transposition, batches of
them, operands shared by a batch, and convolutions are all of this kind; only their axes differ.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Axis(NamedTuple):
    """One axis of a product.

    Attributes:
        length: how many steps there are.
        a, b, c: how many elements one step is in each array; 0 where the array does not have this axis.
    """

    length: int
    a: int = 0
    b: int = 0
    c: int = 0


@dataclass(frozen=True)
class Product:
    """What is multiplied and summed, and how it lies in memory.

    Attributes:
        dtype: "float32" or "float64", of all three arrays.
        rows: of a and c.
        columns: of b and c.
        depth: what is summed over, of a and b. Over a depth of 0 the sum is 0.
        blocks: further axes that are summed over.
        batch: further axes of c; 0 for a or b if it is the same for the whole batch.
        accumulate: whether c is added to; else it is overwritten.

    Example: (m, k) @ (k, n), all three in order of rows.

    >>> product = Product("float32", Axis(4, a=3, c=2), Axis(2, b=1, c=1), Axis(3, a=1, b=2))
    >>> product.operations
    48
    """

    dtype: str
    rows: Axis
    columns: Axis
    depth: Axis
    blocks: tuple[Axis, ...] = ()
    batch: tuple[Axis, ...] = ()
    accumulate: bool = False

    def __post_init__(self) -> None:
        if self.dtype not in ("float32", "float64"):
            raise ValueError(f"products of {self.dtype}")
        summed, kept = (self.depth, *self.blocks), (self.rows, self.columns, *self.batch)
        if self.rows.b or self.columns.a or any(axis.c for axis in summed):
            raise ValueError(f"rows do not move b, columns not a, what is summed over not c: {self}")
        if any(axis.length > 1 and axis.c == 0 for axis in kept):
            raise ValueError(f"elements of c would be written twice: {self}")

    @property
    def operations(self) -> int:
        """Multiplications and additions."""
        total = 2
        for axis in (self.rows, self.columns, self.depth, *self.blocks, *self.batch):
            total *= axis.length
        return total


Digits = tuple[tuple[str, int], ...]
"""What an index is made of: names of the product's axes and their lengths; the last one runs fastest."""


class Walk(NamedTuple):
    """An axis of a product as it is walked: one of the product's, or several that lie like one.

    Attributes:
        digits: which.
    """

    length: int
    a: int
    b: int
    c: int
    digits: Digits

    def flipped(self) -> Walk:
        """The same with a and b exchanged."""
        return self._replace(a=self.b, b=self.a)


@dataclass(frozen=True)
class Walks:
    """A product with its axes joined and sorted, as the code walks them.

    Attributes:
        rows, columns, depth, blocks: as in `Product`.
        outer: batch axes along which b moves.
        inner: batch axes along which b stays: more rows, in effect.
        flipped: whether a and b are exchanged: then rows are the product's columns.
    """

    rows: Walk
    columns: Walk
    depth: Walk
    blocks: tuple[Walk, ...]
    outer: tuple[Walk, ...]
    inner: tuple[Walk, ...]
    flipped: bool = False

    @property
    def by_rows(self) -> bool:
        """Whether threads divide the rows, which are more; else the columns."""
        rows = self.rows.length * math.prod(walk.length for walk in self.inner)
        return rows >= self.columns.length


def walks(product: Product, *, flip: bool = False, join_columns: bool = True) -> Walks:
    """The axes of a product, joined where they lie like one.

    Args:
        flip: exchange a and b.
        join_columns: whether a vector of columns may reach from one item of a batch into the next.
    """
    rows, columns, depth = (_walk(getattr(product, name), name) for name in ("rows", "columns", "depth"))
    blocks = [_walk(axis, f"block {i}") for i, axis in enumerate(product.blocks) if axis.length != 1]
    batch = [_walk(axis, f"batch {i}") for i, axis in enumerate(product.batch) if axis.length != 1]
    if flip:
        rows, columns, depth = columns.flipped(), rows.flipped(), depth.flipped()
        blocks, batch = [walk.flipped() for walk in blocks], [walk.flipped() for walk in batch]
    rows, batch = _joined(rows, batch)
    rows, batch = _joined(*_with_rows(rows, batch))
    if join_columns:
        columns, batch = _joined(columns, batch)
    if depth.length == 1 and blocks:
        depth = max(blocks)
        blocks.remove(depth)
    depth, blocks = _joined(depth, blocks)
    outer = [walk for walk in batch if walk.b]
    inner = [walk for walk in batch if not walk.b]
    return Walks(rows, columns, depth, _among(blocks), _among(outer), _among(inner), flip)


def _walk(axis: Axis, name: str) -> Walk:
    if axis.length == 1:  # nobody steps along it: say what is easiest to walk
        return Walk(1, int(name in ("rows", "depth")), int(name == "columns"), int(name == "columns"), ((name, 1),))
    return Walk(*axis, ((name, axis.length),))


def _with_rows(rows: Walk, batch: list[Walk]) -> tuple[Walk, list[Walk]]:
    """Where rows are few, a batch axis along which b stays serves as rows."""
    more = [walk for walk in batch if not walk.b and walk.length > rows.length]
    if rows.length > 4 or not more:
        return rows, batch
    longest = max(more, key=lambda walk: walk.length)
    rest = [walk for walk in batch if walk is not longest]
    return longest, rest if rows.length == 1 else [*rest, rows]


def _joined(walk: Walk, others: Sequence[Walk]) -> tuple[Walk, list[Walk]]:
    """Those of the others that continue this one, one after the other, become part of it."""
    others = list(others)
    while True:
        following = next((other for other in others if _continues(other, walk)), None)
        if following is None:
            return walk, others
        others.remove(following)
        walk = walk._replace(length=walk.length * following.length, digits=following.digits + walk.digits)


def _continues(other: Walk, walk: Walk) -> bool:
    steps = zip((other.a, other.b, other.c), (walk.a, walk.b, walk.c), strict=True)
    return walk.length > 1 and all(far == near * walk.length for far, near in steps)


def _among(others: Iterable[Walk]) -> tuple[Walk, ...]:
    """Join what can be joined; the largest steps first."""
    rest, done = sorted(others, key=lambda walk: (abs(walk.c), abs(walk.b), abs(walk.a))), list[Walk]()
    while rest:
        walk, rest = _joined(rest[0], rest[1:])
        done.append(walk)
    return tuple(reversed(done))
