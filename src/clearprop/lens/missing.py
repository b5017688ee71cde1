"""Why no gradient arrived at all: where the way from the loss to a parameter is cut."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from clearprop.cell import Cell, Parameter
from clearprop.graph import Node
from clearprop.lens.rows import Cut, Row

if TYPE_CHECKING:
    from clearprop.lens.tape import Tape


class Missing(NamedTuple):
    """Why there is no gradient.

    Attributes:
        words: the cause.
        where: the user's source line of it; empty if there is none.
        row: the node at which the way ends; None if there is none.
        advice: what to try.
    """

    words: str
    where: str
    row: Row | None
    advice: str


_CUTS = {
    "detach": ("detach() cuts {} off from what follows", "leave out detach(), or use the value before it"),
    "no_grad": ("{} is used inside no_grad(), where nothing is recorded", "take it out of no_grad()"),
    "numpy": ("{} is converted to a NumPy array, which has no history", "use clearprop's functions instead of NumPy's"),
    "stop_gradient": ("stop_gradient makes a constant of {}", "leave out stop_gradient, or use the value before it"),
}


def frozen(parameter: Cell) -> Missing:
    """Of a parameter that is not trained."""
    label = parameter.name or "it"
    return Missing(
        f"{label} is frozen: its requires_grad is False",
        "",
        None,
        f"{label}.requires_grad = True, or requires_grad_() of its module",
    )


def not_in_the_graph(tape: Tape, parameter: Cell) -> Missing:
    """Of a parameter that no recorded operation has used: what was seen of it."""
    cut = _most_telling(cut for cut in tape.cuts if cut.node.cell is parameter)
    label = parameter.name or "the parameter"
    if not isinstance(parameter, Parameter):
        kind = type(parameter).__name__
        return Missing(f"{label} is a {kind}, which is not trained", "", None, "cp.Parameter for what is to be trained")
    if cut is not None:
        return _at_cut(cut, label, None)
    return Missing(
        f"{label} was not used: no recorded operation reads it",
        "",
        None,
        "use it in forward; or record() around the run that does",
    )


def no_gradient(tape: Tape, row: Row) -> Missing:
    """Of a node that was computed, and that no backward pass came to."""
    roots = [visit.row for visit in tape.visits if visit.begins]
    if not any(root.number > row.number for root in roots):
        error = f": the run ended with {tape.error}" if tape.error else ""
        return Missing(f"no backward pass was recorded after {row.label} was used{error}", "", row, "loss.backward()")
    reached = _reached(tape, row)
    for user in reversed(reached):
        if any(visit.root is roots[-1] for visit in user.visits):
            return _handed_nothing(user, reached, row)
    nodes = {one.node: one for one in reached}
    ends = {one.node for one in _dead_ends(tape, reached)}
    cut = _most_telling(cut for cut in tape.cuts if cut.node in ends)
    cut = cut or _most_telling(cut for cut in tape.cuts if cut.node in nodes and cut.how != "numpy")
    if cut is not None:
        return _at_cut(cut, nodes[cut.node].label, nodes[cut.node])
    end = max(_dead_ends(tape, reached), key=lambda one: one.number)
    loss = roots[-1].label
    if end is row:
        return Missing(
            f"{row.label} was not used: nothing is computed from it", row.where, row, f"use it on the way to {loss}"
        )
    return Missing(
        f"{loss} does not depend on {row.label}: what is computed from it ends with {end.label} = {end.formula}",
        end.where,
        end,
        f"use {end.label} on the way to {loss}, or add it to the loss",
    )


def _reached(tape: Tape, row: Row) -> list[Row]:
    """All nodes that were computed from one, and itself, in run order."""
    nodes: set[Node] = {row.node}
    found = [row]
    for later in tape.rows:
        if any(parent in nodes for parent in later.node.parents):
            nodes.add(later.node)
            found.append(later)
    return found


def _dead_ends(tape: Tape, rows: list[Row]) -> list[Row]:
    """Those of some nodes from which nothing else was computed."""
    used = {parent for row in tape.rows for parent in row.node.parents}
    return [row for row in rows if row.node not in used]


def _handed_nothing(user: Row, reached: list[Row], row: Row) -> Missing:
    """A backward pass came to a node and gave one of its inputs nothing."""
    nodes = {one.node for one in reached}
    i = next(i for i, parent in enumerate(user.node.parents) if parent in nodes)
    operand = user.operands[i].label if i < len(user.operands) else row.label
    primitive = user.node.primitive
    has_rule = primitive is not None and i < len(primitive.vjp_rules) and primitive.vjp_rules[i] is not None
    name = user.attributes.get("function", user.primitive)
    if user.primitive == "custom":
        return Missing(
            f"the backward of {name} returned None for {operand}", user.where, user, f"return its gradient in {name}"
        )
    if has_rule:
        return Missing(
            f"the backward pass was asked for gradients of others only: {name} hands nothing to {operand}",
            user.where,
            user,
            f"loss.backward(), or cp.grad of a function of {row.label}",
        )
    return Missing(
        f"{name} has no gradient by {operand}",
        user.where,
        user,
        "a smooth function of it: a selection or an index has no derivative",
    )


def _most_telling(cuts: Iterable[Cut]) -> Cut | None:
    """Of several cuts the last; a conversion to NumPy, as for printing, only if there is no other."""
    found = sorted(cuts, key=lambda cut: (cut.how != "numpy", cut.node.number))
    return found[-1] if found else None


def _at_cut(cut: Cut, label: str, row: Row | None) -> Missing:
    words, advice = _CUTS.get(cut.how, (f"{cut.how} of {{}} has no gradient", "a smooth function in its place"))
    return Missing(words.format(label), cut.where, row, advice)
