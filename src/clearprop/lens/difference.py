"""Where two runs part: two steps, seeds, dtypes, executors, versions of a network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from clearprop.lens.answers import Answer
from clearprop.lens.figures import figure
from clearprop.lens.layout import DIM, HEADING, NAME, REMARK, VALUE, Line, Span, wrapped

if TYPE_CHECKING:
    from clearprop.lens.rows import Row
    from clearprop.lens.tape import Tape

_ROUNDINGS = 8
"""By so many roundings of the coarser dtype may values of different dtypes differ."""


class Parting(NamedTuple):
    """A row in which two runs differ.

    Attributes:
        row, other: of the two runs; one of them is None where one run goes on and the other does not.
        what: "operation", "shape", "value" or "gradient".
        error: by how much, relative to the largest element; infinite where one has a NaN or infinity and the other has
            not. 0 for another operation or shape.
    """

    row: Row | None
    other: Row | None
    what: str
    error: float = 0.0

    @property
    def label(self) -> str:
        """What the row is called."""
        found = self.row or self.other
        assert found is not None
        return found.label


@dataclass(frozen=True)
class Difference(Answer):
    """What `Tape.diff` returns; it is true if there is a difference.

    Attributes:
        compared: how many rows both runs have.
        values, gradients: how many of these differ.
        first: where the runs part, in forward order, and after it in backward order; None if they do not.
        largest: the largest difference of a value or gradient.
    """

    title = "Difference"

    compared: int
    values: int
    gradients: int
    first: Parting | None
    largest: Parting | None

    def __bool__(self) -> bool:
        return self.first is not None

    def lines(self, width: int = 80) -> list[Line]:
        """In words, in lines that fit the width."""
        found = f"  {self.compared:,} nodes compared"
        lines: list[Line] = [[Span("Difference", HEADING), Span(found, DIM)]]
        if self.first is None:
            lines.append([Span("  none: the same operations, values and gradients")])
        else:
            lines += [*_described("they part at", self.first), *self._rest()]
        return [piece for line in lines for piece in wrapped(line, width)]

    def _rest(self) -> list[Line]:
        if self.largest is None or self.first is None or self.first.what in ("operation", "shape"):
            return []
        line = [Span(f"  {self.values:,} values and {self.gradients:,} gradients differ")]
        if self.largest != self.first:
            line.append(Span(f"; most of all the {self.largest.what} of "))
            line += [Span(self.largest.label, NAME), Span(f", by {_in_words(self.largest.error)}")]
        return [line]


def diff(tape: Tape, other: Tape, rtol: float | None = None) -> Difference:
    """Compare two tapes row by row.

    Args:
        rtol: by how much values may differ, relative to the largest element. By default not at all, or by some
            roundings where the dtypes differ.

    >>> import clearprop as cp
    >>> def run(last):
    ...     x = cp.tensor([1.0, 2.0], requires_grad=True)
    ...     with cp.record() as tape:
    ...         h = x * 3.0
    ...         y = last(h)
    ...     return tape
    >>> print(run(cp.sin).diff(run(cp.cos)))
    Difference  2 nodes compared
      they part at y: another operation, sin here and cos there
      <doctest ...>:5 in run: y = last(h)
    """
    pairs = list(_by_place(tape.rows, other.rows) if tape.is_partial or other.is_partial else _in_order(tape, other))
    for row, counterpart in pairs:
        parting = _structure(row, counterpart)
        if parting is not None:
            compared = pairs.index((row, counterpart))
            return Difference(compared, 0, 0, parting, None)
    both = [(row, counterpart) for row, counterpart in pairs if row is not None and counterpart is not None]
    values = [*_differing(both, "value", rtol)]
    backwards = sorted(both, key=lambda pair: -pair[0].number)
    gradients = [*_differing(backwards, "gradient", rtol)]
    every = [*values, *gradients]
    return Difference(
        compared=len(both),
        values=len(values),
        gradients=len(gradients),
        first=every[0] if every else None,
        largest=max(every, key=lambda parting: parting.error, default=None),
    )


# Which rows belong together -------------------------------------------------------------------------------------------

Pair = tuple["Row | None", "Row | None"]


def _in_order(tape: Tape, other: Tape) -> Iterator[Pair]:
    """Row by row, in the order in which they were computed; leaves by where they are used."""
    rows, others = (_as_computed(one) for one in (tape, other))
    for i in range(max(len(rows), len(others))):
        yield rows[i] if i < len(rows) else None, others[i] if i < len(others) else None


def _as_computed(tape: Tape) -> list[Row]:
    found: dict[Row, None] = {}
    for row in tape.rows:
        if row.is_leaf:
            continue
        for operand in row.operands:
            if operand.row is not None and operand.row.is_leaf:
                found[operand.row] = None
        found[row] = None
    return list(found)


def _by_place(rows: Sequence[Row], others: Sequence[Row]) -> Iterator[Pair]:
    """Rows that both have, of the same operation in the same line, counted if there are several."""
    counterparts = dict(_places(others))
    for place, row in _places(rows):
        if place in counterparts and _is_known(row) and _is_known(counterparts[place]):
            yield row, counterparts[place]


def _places(rows: Iterable[Row]) -> Iterator[tuple[Any, Row]]:
    counted = Counter[Any]()
    for row in rows:
        place = (row.primitive, row.module, row.name if row.is_leaf else row.where)
        counted[place] += 1
        yield (*place, counted[place]), row


def _is_known(row: Row) -> bool:
    return row.value is not None or row.gradient is not None


# How they differ ------------------------------------------------------------------------------------------------------


def _structure(row: Row | None, other: Row | None) -> Parting | None:
    if row is None or other is None or row.primitive != other.primitive:
        return Parting(row, other, "operation")
    return Parting(row, other, "shape") if row.node.shape != other.node.shape else None


def _differing(pairs: Iterable[tuple[Row, Row]], what: str, rtol: float | None) -> Iterator[Parting]:
    for row, other in pairs:
        one, two = getattr(row, what), getattr(other, what)
        if not (isinstance(one, np.ndarray) and isinstance(two, np.ndarray)) or one.shape != two.shape:
            continue
        allowed = _roundings(one.dtype, two.dtype) if rtol is None else rtol
        error = _error(one, two)
        if error > allowed:
            yield Parting(row, other, what, error)


def _roundings(one: np.dtype[Any], two: np.dtype[Any]) -> float:
    if one == two or "f" not in (one.kind, two.kind):
        return 0.0
    return _ROUNDINGS * max(float(np.finfo(dtype).eps) for dtype in (one, two) if dtype.kind == "f")


def _error(one: Any, two: Any) -> float:
    """The largest difference, relative to the largest element; infinite where one is not finite and the other is."""
    one, two = one.astype(np.float64), two.astype(np.float64)
    if not one.size:
        return 0.0
    finite = np.isfinite(one) & np.isfinite(two)
    if not np.array_equal(one[~finite], two[~finite], equal_nan=True):
        return float("inf")
    one, two = one[finite], two[finite]
    apart = float(abs(one - two).max(initial=0.0))
    size = max(float(abs(one).max(initial=0.0)), float(abs(two).max(initial=0.0)))
    return apart / size if size else 0.0


def _described(title: str, parting: Parting) -> list[Line]:
    row, other = parting.row, parting.other
    line = [Span(f"  {title} "), Span(parting.label, NAME)]
    place = next((one.where for one in (row, other) if one is not None), "")
    where = [[Span(f"  {place}", DIM)]] if place else []
    if parting.what == "operation":
        names = [one.primitive if one is not None else "nothing" for one in (row, other)]
        return [[*line, Span(f": another operation, {names[0]} here and {names[1]} there", REMARK)], *where]
    assert row is not None
    assert other is not None
    if parting.what == "shape":
        shapes = f": another shape, {row.node.shape} here and {other.node.shape} there"
        return [[*line, Span(shapes, REMARK)], *where]
    here, there = (figure(getattr(one, parting.what)) for one in (row, other))
    return [
        [*line, Span(f": its {parting.what} differs by {_in_words(parting.error)} of the largest element")],
        [Span("  here  ", DIM), Span(here, VALUE)],
        [Span("  there ", DIM), Span(there, VALUE)],
        *where,
    ]


def _in_words(error: float) -> str:
    return "NaN or infinity" if error == float("inf") else f"{error:.3g}"
