"""What the forward pass keeps for the backward pass, where, and what a checkpoint there would free and cost.

An array that several nodes keep counts once, at the first of them; parameters and inputs (tensors in variables around
the recording) do not count, since they are there anyway. A checkpoint around a module keeps the module's inputs instead
of what its nodes keep, and computes the module once more in the backward pass (Chen et al. 2016).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from clearprop.graph import RELEASED
from clearprop.lens.answers import Answer
from clearprop.lens.below import below, roots
from clearprop.lens.figures import nbytes
from clearprop.lens.layout import DIM, HEAD, HEADING, NAME, VALUE, Line, Span, in_columns, wrapped

if TYPE_CHECKING:
    from clearprop.lens.rows import Row
    from clearprop.lens.tape import Tape

_SHOWN = 10


class Share(NamedTuple):
    """What some nodes keep.

    Attributes:
        of: their primitive, or their source line.
        nbytes: how much.
        nodes: how many of them keep something.
    """

    of: str
    nbytes: int
    nodes: int


class Checkpoint(NamedTuple):
    """What a checkpoint around a module would do.

    Attributes:
        module: its path.
        frees: bytes that it keeps for itself alone.
        flops: that would be computed a second time.
    """

    module: str
    frees: int
    flops: int


@dataclass(frozen=True)
class Memory(Answer):
    """What `Tape.memory` returns.

    Attributes:
        nbytes: kept for the backward pass, beside parameters and inputs.
        flops: of the whole forward pass.
        operations, places: the same by primitive and by source line, the largest first.
        checkpoints: for each module that keeps something; those that free most come first.
    """

    title = "Memory"

    nbytes: int
    flops: int
    operations: list[Share]
    places: list[Share]
    checkpoints: list[Checkpoint]

    def lines(self, width: int = 80) -> list[Line]:
        """Tables in lines that fit the width."""
        title = f"  {nbytes(self.nbytes)} are kept for the backward pass, beside parameters and inputs"
        lines: list[Line] = [[Span("Memory", HEADING), Span(title, DIM)]]
        for name, shares in (("operation", self.operations), ("source line", self.places)):
            lines += [*self._shares(name, shares), []]
        if self.checkpoints:
            lines += self._checkpoints()
        return [piece for line in lines for piece in wrapped(line, width)]

    def _shares(self, name: str, shares: Sequence[Share]) -> list[Line]:
        head = [Span(text, HEAD) for text in ("keeps", "share", "nodes", name)]
        rows = [
            [
                Span(nbytes(share.nbytes), VALUE),
                Span(f"{100 * share.nbytes / (self.nbytes or 1):.0f} %"),
                Span(f"{share.nodes:,}"),
                Span(share.of, NAME),
            ]
            for share in shares[:_SHOWN]
        ]
        return [*in_columns([head, *rows], ">>><", gap=2), *_more(len(shares))]

    def _checkpoints(self) -> list[Line]:
        head = [Span(text, HEAD) for text in ("frees", "costs", "cp.checkpoint around")]
        rows = [
            [
                Span(nbytes(one.frees), VALUE),
                Span(f"{100 * one.flops / (self.flops or 1):.0f} % of the forward pass"),
                Span(one.module, NAME),
            ]
            for one in self.checkpoints[:_SHOWN]
        ]
        return [*in_columns([head, *rows], ">><", gap=2), *_more(len(self.checkpoints))]

    def as_dict(self) -> dict[str, Any]:
        """The same for machines."""
        return {
            "nbytes": self.nbytes,
            "flops": self.flops,
            "operations": [share._asdict() for share in self.operations],
            "places": [share._asdict() for share in self.places],
            "checkpoints": [one._asdict() for one in self.checkpoints],
        }


def _more(count: int) -> list[Line]:
    return [[Span(f"  … and {count - _SHOWN:,} more", DIM)]] if count > _SHOWN else []


def memory(tape: Tape) -> Memory:
    """What the nodes below the results of a tape kept when they were computed.

    >>> import clearprop as cp
    >>> w = cp.Parameter(cp.ones((3, 3)), name="w")
    >>> with cp.record() as tape:
    ...     y = cp.sum(cp.exp(cp.tanh(cp.ones((2, 3)) @ w)))
    >>> [(share.of, share.nbytes) for share in tape.memory().operations]
    [('matmul', 24), ('tanh', 24), ('exp', 24)]
    """
    graph = below(roots(tape))
    rows = [row for row in graph if not row.is_leaf]
    given = [*(row.value for row in graph if row.is_leaf), *tape.named_constants]
    anyway = {id(_owner(array)) for array in given if isinstance(array, np.ndarray)}
    kept: dict[int, Any] = {}  # arrays by identity
    keepers: dict[int, list[Row]] = {}
    for row in rows:
        for array in _kept_by(row):
            owner = _owner(array)
            if id(owner) not in anyway:
                kept[id(owner)] = owner
                keepers.setdefault(id(owner), []).append(row)
    first = {i: found[0] for i, found in keepers.items()}
    sizes = {i: int(array.nbytes) for i, array in kept.items()}
    return Memory(
        nbytes=sum(sizes.values()),
        flops=sum(row.flops for row in rows),
        operations=_shares((first[i].primitive, first[i], size) for i, size in sizes.items()),
        places=_shares((first[i].where or "unknown", first[i], size) for i, size in sizes.items()),
        checkpoints=_checkpoints(rows, sizes, keepers, kept),
    )


def _kept_by(row: Row) -> list[Any]:
    if row.kept is RELEASED:
        return []
    parts = (value if isinstance(value, tuple) else (value,) for value in row.kept.values())
    return [array for part in parts for array in part if isinstance(array, np.ndarray)]


def _owner(array: Any) -> Any:
    """The array whose memory a view shows."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _shares(kept: Iterable[tuple[str, Row, int]]) -> list[Share]:
    sums: dict[str, int] = {}
    nodes: dict[str, set[Row]] = {}
    for of, row, size in kept:
        sums[of] = sums.get(of, 0) + size
        nodes.setdefault(of, set()).add(row)
    return sorted((Share(of, size, len(nodes[of])) for of, size in sums.items()), key=lambda share: -share.nbytes)


def _checkpoints(
    rows: Sequence[Row], sizes: dict[int, int], keepers: dict[int, list[Row]], kept: dict[int, Any]
) -> list[Checkpoint]:
    """For each module, what is made inside of it and kept by nobody else."""
    made_by = {id(_owner(row.value)): row for row in reversed(rows) if isinstance(row.value, np.ndarray)}
    frees: dict[str, int] = {}
    flops: dict[str, int] = {}
    for row in rows:
        for path in _paths(row.module):
            flops[path] = flops.get(path, 0) + row.flops
    for i, size in sizes.items():
        users = [*keepers[i], *([made_by[i]] if i in made_by else [])]
        if i in made_by or len(keepers[i]) == 1:
            for path in _common([row.module for row in users]):
                frees[path] = frees.get(path, 0) + size
    found = [Checkpoint(path, size, flops[path]) for path, size in frees.items()]
    return sorted(found, key=lambda one: (-one.frees, one.module))


def _paths(module: str) -> list[str]:
    """A module and those that it is part of: ``["a", "a.b"]`` for ``"a.b"``."""
    names = module.split(".") if module else []
    return [".".join(names[: i + 1]) for i in range(len(names))]


def _common(modules: Sequence[str]) -> list[str]:
    """The modules that all of these are, or are part of."""
    common = set(_paths(modules[0])).intersection(*map(_paths, modules[1:]))
    return sorted(common)
