"""Where NaN and infinity come from: the first bad value, found by following bad numbers back to where all were good."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from clearprop.lens.answers import Answer
from clearprop.lens.factors import by_place, strongest
from clearprop.lens.figures import figure, number
from clearprop.lens.grouping import arrows
from clearprop.lens.layout import DIM, HEADING, NAME, REMARK, Line, Span, wrapped
from clearprop.lens.remarks import reason, remedy
from clearprop.lens.rows import Edge, Operand, Row, Visit

if TYPE_CHECKING:
    from clearprop.lens.tape import Tape


_SMALLER = "smaller weights, a smaller learning rate, or clip_grad_norm_"


class Birth(Answer):
    """Where the first NaN of a run was born, or the infinity that led to it; false where there is none.

    Attributes:
        row: the node; None if there is no NaN.
        edge: the edge of the backward pass, if all values of the forward pass were good.
        index: the first place in the value, or in the contribution, that is bad.
        count: how many places are bad there.
        words: what happened.
        advice: what to try.
        way: from there the nodes with bad values up to the result, if it was born in the forward pass; the nodes with
            bad gradients down to an input, if in the backward pass.
        parameters: the leaves whose gradients became NaN or infinite.
    """

    title = "Birth of NaN"

    def __init__(self) -> None:
        self.row: Row | None = None
        self.edge: Edge | None = None
        self.index: tuple[int, ...] = ()
        self.count = 0
        self.words = "no NaN: no value and no gradient of this run is NaN"
        self.advice = ""
        self.way: list[Row] = []
        self.parameters: list[Row] = []

    def __bool__(self) -> bool:
        return self.row is not None

    @property
    def where(self) -> str:
        """The user's source line; empty if there is none."""
        return "" if self.row is None else self.row.where

    def lines(self, width: int = 80) -> list[Line]:
        """What happened, where, on which way it went on, and what to try, in lines that fit the width."""
        if self.row is None:
            return wrapped([Span(self.words)], width)
        lines: list[Line] = [[Span(self.words, REMARK)]]
        lines += [[Span(f"  {place_in_words(self.row, self.where)}", DIM)]] if self.where else []
        if len(self.way) > 1:
            towards = "backward" if self.edge is not None else "forward"
            lines.append([Span(f"  {towards}: ", HEADING), Span(arrows(row.label for row in self.way), NAME)])
        if self.parameters:
            labels = [row.label for row in self.parameters]
            named = ", ".join(labels[:8]) + (f" and {len(labels) - 8:,} more" if len(labels) > 8 else "")
            lines.append([Span("  gradients that are not finite: ", HEADING), Span(named, NAME)])
        lines += [[Span(f"Try: {self.advice}")]] if self.advice else []
        return [piece for line in lines for piece in wrapped(line, width)]

    def as_dict(self) -> dict[str, Any]:
        """The same for machines: strings, numbers, lists and dicts."""
        return {
            "found": bool(self),
            "node": "" if self.row is None else self.row.label,
            "pass": "" if self.row is None else "forward" if self.edge is None else "backward",
            "words": self.words,
            "where": self.where,
            "index": list(self.index),
            "count": self.count,
            "way": [row.label for row in self.way],
            "parameters": [row.label for row in self.parameters],
            "advice": self.advice,
        }

    def __repr__(self) -> str:
        return f"<Birth: {self.words}>"


def place_in_words(row: Row | None, where: str) -> str:
    """``at train.py:31: …``; with the module, if it is in one."""
    return f"in {row.module}, at {where}" if row is not None and row.module else f"at {where}"


def birth_of_nan(tape: Tape) -> Birth:
    """See `Tape.birth_of_nan`."""
    row = next((row for row in tape.rows if not row.is_leaf and has_nan(row.value)), None)
    visit = next((visit for visit in tape.visits if _hands_on_nan(visit)), None)
    if row is not None and (visit is None or row.number <= visit.root.number):
        return _complete(tape, _traced_value(tape, row))
    if visit is not None:
        return _complete(tape, _traced_visit(tape, visit))
    leaf = next((row for row in tape.rows if row.is_leaf and has_nan(row.value)), None)
    return Birth() if leaf is None else _complete(tape, _traced_value(tape, leaf))


def _hands_on_nan(visit: Visit) -> bool:
    return has_nan(visit.upstream) or any(has_nan(edge.contribution) for edge in visit.edges)


def birth_of_gradient(tape: Tape, row: Row) -> Birth:
    """Where the bad numbers in the gradient of one row come from; infinity counts, whether or not it leads to NaN."""
    visit = next((visit for visit in row.visits if is_bad(visit.upstream)), None)
    return Birth() if visit is None else _complete(tape, _traced_visit(tape, visit))


# Following bad numbers back ------------------------------------------------------------------------------------------


class _Found(NamedTuple):
    """Where bad numbers come from: the value of a node, a constant among its inputs, or a contribution that it made."""

    row: Row
    operand: Operand | None = None
    edge: Edge | None = None


def _traced_value(tape: Tape, row: Row) -> _Found:
    """From a bad value back to the first, through inputs that are bad: to the first NaN, and on to the infinity before.

    Infinity that the program itself puts in, as a mask does, is no mistake: then the first NaN is.
    """
    nan = _back(row, has_nan) if has_nan(row.value) else _Found(row)
    found = _back(nan.row, is_bad) if nan.operand is None else nan
    if found.operand is not None and not has_nan(found.operand.value) and has_nan(nan.row.value):
        found = nan
    inside = _inside(tape, found.row) if found.operand is None else None
    if inside is not None:
        return _traced_value(tape, inside)
    earlier = _update(tape, found.row) if found.row.is_leaf else None
    return found if earlier is None else _traced_visit(tape, earlier)


def _inside(tape: Tape, row: Row) -> Row | None:
    """Of a node that stands for a whole part, as a checkpoint does: the first bad value in that part."""
    if row.primitive != "custom":
        return None
    first = max((parent.number for parent in row.node.parents if parent is not None), default=row.number)
    return next((one for one in tape.rows if first < one.number < row.number and is_bad(one.value)), None)


def _back(row: Row, is_wrong: Callable[[Any], bool]) -> _Found:
    """From a node back over inputs that are wrong, to one that has none, or to a constant."""
    while True:
        operand = next((one for one in row.operands if is_wrong(one.value)), None)
        if operand is None:
            return _Found(row)
        if operand.row is None:
            return _Found(row, operand=operand)
        row = operand.row


def _update(tape: Tape, leaf: Row) -> Visit | None:
    """Of a parameter whose value is bad: the bad gradient of an earlier value of it, with which it was updated."""
    if leaf.node.cell is None:
        return None
    earlier = [row for row in tape.rows if row.node.cell is leaf.node.cell and row.number < leaf.number]
    return next((visit for row in earlier for visit in row.visits if is_bad(visit.upstream)), None)


def _traced_visit(tape: Tape, visit: Visit) -> _Found:
    """From a bad upstream gradient, or a bad contribution, back to the first."""
    edge = None
    while is_bad(visit.upstream):
        bad = [one for one in visit.contributions_in if is_bad(one.contribution)]
        if not bad:
            break
        edge = next((one for one in bad if has_nan(one.contribution)), bad[0])
        visit = edge.visit
    if edge is None or is_bad(visit.upstream):  # it begins here
        edge = next((one for one in visit.edges if is_bad(one.contribution)), None)
    culprit = visit.row if edge is None else edge.row
    if is_bad(culprit.value) or any(is_bad(operand.value) for operand in culprit.operands):
        return _traced_value(tape, culprit)
    return _Found(culprit, edge=edge)


def has_nan(value: Any) -> bool:
    """Whether a recorded value holds NaN."""
    return any(np.isnan(array).any() for array in _arrays(value))


def is_bad(value: Any) -> bool:
    """Whether a recorded value holds NaN or infinity."""
    return any(not np.isfinite(array).all() for array in _arrays(value))


def _arrays(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for one in value.values():
            yield from _arrays(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _arrays(one)
    elif isinstance(value, np.ndarray) and value.dtype.kind == "f":
        yield value


# Saying what happened ------------------------------------------------------------------------------------------------


def _complete(tape: Tape, found: _Found) -> Birth:
    birth = Birth()
    birth.row, birth.edge = found.row, found.edge
    if found.edge is not None:
        _tell_of_edge(birth, found.edge)
    elif found.operand is not None:
        _tell_of_constant(birth, found.row, found.operand)
    elif found.row.is_leaf:
        birth.index, birth.count = _first_bad(found.row.value)
        what = f"{_what(found.row.value, birth.index)}{_at(birth)}"
        birth.words = f"{found.row.label} itself is {what} when the run begins"
        birth.advice = "look at where it gets its value: its initialization, the weights it was loaded from, the data"
    else:
        _tell_of_value(birth, found.row)
    birth.way = _backwards(found.edge) if found.edge is not None else _forwards(tape, found.row)
    birth.parameters = [row for row in tape.rows if row.is_leaf and any(is_bad(v.upstream) for v in row.visits)]
    return birth


def _tell_of_value(birth: Birth, row: Row) -> None:
    birth.index, birth.count = _first_bad(row.value)
    value = _element(row.value, birth.index)
    operands = [_element(operand.value, birth.index) for operand in row.operands]
    name = f"{row.label} = {row.formula}" if row.formula else row.label
    same_shape = all(np.shape(operand.value) == np.shape(row.value) for operand in row.operands)
    if same_shape and None not in operands and value is not None:
        numbers = [float(one) for one in operands if one is not None]
        why = reason(row.primitive, numbers, value, row.node.dtype)
        inputs = ", ".join(f"{op.label} = {number(x)}" for op, x in zip(row.operands, numbers, strict=True))
        birth.words = f"{name} is {figure(np.float64(value))}{_at(birth)}, where {inputs}: {why}"
        birth.advice = remedy(row.primitive, numbers, value)
    else:
        birth.words = f"{name} is {_what(row.value, birth.index)}{_at(birth)}, although its inputs are finite"
    if row.primitive == "custom":
        birth.advice = f"look into {row.attributes['function']}: record() what it does, outside of it"
    elif value is not None and math.isinf(value) and not birth.advice:
        birth.words += _growth(row)
        birth.advice = "a smaller learning rate, smaller initial weights, clip_grad_norm_, or normalized inputs"


def _growth(row: Row) -> str:
    """How the values grew on the way to an overflow, from factor to factor, going back along the largest input."""
    factors, current = list[tuple[Row, float]](), row
    before = math.inf
    while True:
        inputs = [operand for operand in current.operands if operand.value is not None and np.size(operand.value)]
        sources = [operand for operand in inputs if operand.row is not None and not operand.row.is_leaf]
        if not sources:
            break
        largest = max(sources, key=lambda operand: _largest(operand.value))
        size, after = _largest(largest.value), _largest(current.value) if current is not row else before
        if size and math.isfinite(after):
            factors.append((current, after / size))
        assert largest.row is not None
        current = largest.row
    most = strongest(factors, by_place)
    if most is None or most.each < 2.0 or len(most.rows) < 2:
        return ""
    start = _largest(most.rows[-1].operands[0].value)
    place = most.strongest.module or most.strongest.label
    return (
        f"; on the way there {most.strongest.primitive} at {place} multiplied the values {len(most.rows)} times by "
        f"{most.each:.3g}, from {start:.3g} on"
    )


def _largest(value: Any) -> float:
    array = np.asarray(value)
    return float(np.abs(array).max()) if array.dtype.kind == "f" and array.size else 0.0


def _tell_of_constant(birth: Birth, row: Row, operand: Operand) -> None:
    birth.index, birth.count = _first_bad(operand.value)
    what, label = _what(operand.value, birth.index), operand.label
    name = "a constant" if label == "constant" or np.ndim(operand.value) == 0 else label
    birth.words = f"{name} that goes into {row.label} = {row.formula} is {what}{_at(birth)}"
    birth.advice = "np.isfinite(...).all() of the data; it was computed where nothing is recorded"


def _tell_of_edge(birth: Birth, edge: Edge) -> None:
    row = edge.row
    birth.index, birth.count = _first_bad(edge.contribution)
    name = f"∂{row.label}/∂{edge.input.label}"
    formula = f"{row.label} = {row.formula}"
    local = _element(edge.local_derivative, birth.index)
    upstream = _element(edge.upstream, birth.index)
    operand = _element(row.operands[edge.index].value, birth.index) if edge.index < len(row.operands) else None
    if local is None or upstream is None or operand is None:
        what = f"{_what(edge.contribution, birth.index)}{_at(birth)}"
        birth.words = f"the contribution of {formula} to {edge.input.label} is {what}, the first that is bad"
        birth.words += _explosion(edge)
        birth.advice = _SMALLER
        return
    birth.advice = remedy(row.primitive, [operand], local) or _SMALLER
    if math.isfinite(local):
        birth.words = f"the contribution of {formula} to {edge.input.label} overflows{_at(birth)}: "
        birth.words += f"{number(upstream)} · {number(local)} is larger than {row.node.dtype} holds{_explosion(edge)}"
        return
    birth.words = f"{formula} has no finite derivative{_at(birth)}, where {edge.input.label} = {number(operand)}: "
    birth.words += f"{name} is {number(local)}, although {row.label} itself is finite"
    if upstream == 0.0:
        birth.words += f"; in the backward pass 0 · {number(local)} = NaN{_selector(edge, birth.index)}"


def _selector(edge: Edge, index: tuple[int, ...]) -> str:
    """Who handed back the zero: a selection that did not take this value."""
    visit: Visit | None = edge.visit
    while visit is not None and visit.contributions_in:
        above = visit.contributions_in[0]
        if above.row.primitive in ("where", "maximum", "minimum", "clip", "relu"):
            return f" (the 0 comes from {above.row.primitive} at {above.row.where}, which does not take this value)"
        if _element(above.upstream, index) != 0.0 or np.shape(above.upstream) != np.shape(above.contribution):
            return ""
        visit = above.visit
    return ""


def _explosion(edge: Edge) -> str:
    """How the gradient grew on the way to an overflow."""
    factors, visit = list[tuple[Row, float]](), edge.visit
    while visit.contributions_in:
        above = max(visit.contributions_in, key=lambda one: _largest_of(one.contribution))
        before, after = _largest_of(above.upstream), _largest_of(above.contribution)
        if before and math.isfinite(after) and math.isfinite(before):
            factors.append((above.row, after / before))
        visit = above.visit
    most = strongest(factors, by_place)
    if most is None or most.each < 2.0 or len(most.rows) < 2:
        return ""
    place = most.strongest.module or most.strongest.label
    return f"; {most.strongest.primitive} at {place} multiplied the gradient {len(most.rows)} times by {most.each:.3g}"


def _largest_of(value: Any) -> float:
    return max((_largest(array) for array in _arrays(value)), default=0.0)


def _forwards(tape: Tape, row: Row) -> list[Row]:
    """The nodes with bad values that follow from one another, up to the result."""
    way = [row]
    for later in tape.rows:
        if later.number > row.number and way[-1].node in later.node.parents and is_bad(later.value):
            way.append(later)
    return way


def _backwards(edge: Edge) -> list[Row]:
    """The nodes with bad gradients that follow from one another, down to an input."""
    way: list[Row] = [edge.row]
    following: Edge | None = edge
    while following is not None:
        way.append(following.input)
        later = [visit for visit in following.input.visits if is_bad(visit.upstream)]
        edges = [one for visit in later for one in visit.edges if is_bad(one.contribution)]
        following = edges[0] if edges else None
    return way


def _first_bad(value: Any) -> tuple[tuple[int, ...], int]:
    """The first place of NaN in a value, or else of infinity, and how many such places there are."""
    is_wrong = np.isnan if has_nan(value) else np.isinf
    for array in _arrays(value):
        bad = is_wrong(array)
        if bad.any():
            place = np.unravel_index(int(np.argmax(bad)), array.shape) if array.ndim else ()
            return tuple(int(i) for i in place), int(bad.sum())
    return (), 0


def _element(value: Any, index: Sequence[int]) -> float | None:
    array = np.asarray(value) if isinstance(value, (np.ndarray, np.generic, float)) else None
    if array is None or array.ndim != len(index) or array.dtype.kind not in "biuf":
        return None
    if any(i >= n for i, n in zip(index, array.shape, strict=True)):
        return None
    return float(array[tuple(index)])


def _what(value: Any, index: Sequence[int]) -> str:
    element = _element(value, index)
    return "not finite" if element is None else number(element)


def _at(birth: Birth) -> str:
    """`` at [2, 0] and 5 more places``; empty for a single number."""
    if not birth.index:
        return ""
    more = "" if birth.count == 1 else f" and {birth.count - 1:,} more place{'s' if birth.count > 2 else ''}"
    return f" at {list(birth.index)}{more}"
