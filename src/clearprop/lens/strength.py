"""What made a gradient zero, tiny or huge: the factors on its way, and what they say about the run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from clearprop.lens.factors import Dominating, Repeated, by_place, gain, strongest
from clearprop.lens.figures import number, percent
from clearprop.lens.pushing import Between, norm
from clearprop.lens.rows import Edge, Operand, Row
from clearprop.primitives.families import Binary

TINY = 1e-6
"""A gradient is tiny if its norm is below this share of that at the output of the network: below the resolution of
float32 against the gradients of the last layer."""

HUGE = 1e4
"""A gradient is huge if its norm is more than so many times that of its parameter (or 1, if that is larger)."""

CANCELS = 1e3
"""Contributions cancel if the largest is more than so many times their sum."""

_DEAD = 0.95
_FEW_STEPS, _GROWS, _EXPLODES = 3, 10.0, 100.0
_SATURATING = ("sigmoid", "tanh")
_SHAPING = ("broadcast", "reshape", "permute", "cast", "identity", "slice", "take_range")


class Finding(NamedTuple):
    """A cause: what happened in words, the source line, the node, what to try, the figures."""

    words: str
    where: str
    row: Row | None
    advice: str
    numbers: dict[str, float]


def place_of(row: Row) -> str:
    """What to call the place of a node: its module, or that of its input, or its own label."""
    modules = [row.module, *(operand.row.module for operand in row.operands if operand.row is not None)]
    return next((module for module in modules if module), row.label)


# From step to step ----------------------------------------------------------------------------------------------------


def growth(rows: Sequence[Row]) -> Finding | None:
    """Gradients and losses that grow from step to step: the updates are too large.

    Args:
        rows: of the parameter, one for each step.
    """
    if len(rows) < _FEW_STEPS:
        return None
    losses, norms = [_loss(row) for row in rows], [norm(row.visits[-1].upstream) for row in rows]
    start = len(rows) - 1
    while start and math.isfinite(norms[start - 1]) and _grew(losses, start) and _grew(norms, start):
        start -= 1
    moved = [_moved(a, b) for a, b in pairwise(rows)]
    steadily = len(rows) - start >= _FEW_STEPS and _ratio(losses, start) > _GROWS and _ratio(norms, start) > _GROWS
    finite = [loss for loss in losses if math.isfinite(loss)]
    at_once = bool(finite) and losses[0] > 0 and max(finite) > _EXPLODES * losses[0] and max(moved) > 1.0
    if not steadily and not at_once:
        return None
    first = start if steadily else 0
    steps = ", ".join(number(one) for one in norms[first:][:6])
    largest = max(moved)
    words = (
        f"the updates are too large: from step to step the norm of its gradient goes {steps}"
        f"{', …' if len(norms) - first > 6 else ''}, and the loss from {number(losses[first])} to {number(losses[-1])}"
    )
    if largest > 0.1:
        words += f"; one update moved {rows[-1].label} by {largest:.3g} times its own length"
    advice = "a learning rate ten times smaller; or warm up, or clip_grad_norm_"
    return Finding(words, rows[first].where, rows[first], advice, {"moved": largest, "steps": float(len(rows))})


def _loss(row: Row) -> float:
    """The value at which the pass began that brought the last gradient."""
    value = row.visits[-1].root.value
    return float(value) if value is not None and np.ndim(value) == 0 else math.nan


def _grew(values: Sequence[float], i: int) -> bool:
    """Whether a value is larger than the one before; what is no longer finite has grown."""
    return not math.isfinite(values[i]) or values[i] > values[i - 1]


def _ratio(values: Sequence[float], start: int) -> float:
    """By how much the values grew from there on; infinite if they did without bounds."""
    last = values[-1]
    return math.inf if not math.isfinite(last) or not values[start] else last / values[start]


def _moved(before: Row, after: Row) -> float:
    """By what part of its own length a parameter was moved by an update."""
    if before.value is None or after.value is None or not norm(before.value):
        return 0.0
    with np.errstate(all="ignore"):
        ratio = norm(np.asarray(after.value, np.float64) - np.asarray(before.value, np.float64)) / norm(before.value)
    return ratio if math.isfinite(ratio) else math.inf


# Shapes ---------------------------------------------------------------------------------------------------------------


def broadcast_target(between: Between) -> Finding | None:
    """A column of n predictions that met a row of n constants: each is compared with each, in an n × n table."""
    for row in reversed(between.rows):
        shape = row.node.shape
        if len(shape) != 2 or shape[0] != shape[1] or shape[0] < 2 or not isinstance(row.node.primitive, Binary):
            continue
        for i in between.edges(row):
            own, other = row.operands[i], row.operands[1 - i]
            if other.row is None and {_repeated_axis(own), _repeated_axis(other)} == {0, 1}:
                n = shape[0]
                column = _repeated_axis(own) == 1
                a, b = (f"({n}, 1)", f"({n},)") if column else (f"({n},)", f"({n}, 1)")
                words = (
                    f"shapes {a} and {b} were broadcast to ({n}, {n}): in {row.label} = {row.formula} each prediction "
                    "meets each target, not its own"
                )
                return Finding(words, row.where, row, "target.reshape(prediction.shape)", {"n": float(n)})
    return None


def _repeated_axis(operand: Operand) -> int | None:
    """The axis of an n × n operand along which it repeats a vector of n; None if it does not."""
    if operand.row is not None:
        node = operand.row.node
        axes = node.attributes.get("axes", ())
        source = node.parents[0] if node.parents else None
        is_vector = source is not None and math.prod(source.shape) == node.shape[0]
        return axes[0] if operand.row.primitive == "broadcast" and len(axes) == 1 and is_vector else None
    strides = getattr(operand.value, "strides", ())
    repeated = [axis for axis, stride in enumerate(strides) if stride == 0]
    return repeated[0] if len(repeated) == 1 else None


# Zero -----------------------------------------------------------------------------------------------------------------


def stopped(between: Between) -> Edge | None:
    """Where a gradient became zero: the edge that made zero of an upstream gradient that was not.

    None if there is no such edge: then contributions have cancelled where they were added up.
    """
    blocked = [
        edge
        for row in between.rows
        for edge in (row.visits[-1].edges if row.visits else ())
        if edge.index in between.edges(row) and norm(edge.upstream) > 0.0 and norm(edge.contribution) == 0.0
    ]
    factors = [edge for edge in blocked if edge.row.primitive != "broadcast"]  # which adds up
    return max(factors, key=lambda edge: norm(edge.upstream), default=None)


def nothing_arrives(edge: Edge) -> Finding:
    """What an edge that makes zero of everything does."""
    row, primitive = edge.row, edge.row.primitive
    where, numbers = row.where, dict[str, float]()
    others = [operand for i, operand in enumerate(row.operands) if i != edge.index]
    zeros = [operand for operand in others if operand.value is not None and not np.any(operand.value)]
    if primitive == "relu":
        return _dead(edge)
    if primitive in ("multiply", "matmul") and zeros:
        (other, *_) = zeros
        words = f"{row.label} = {row.formula}: its other factor, {other.label}, is zero everywhere"
        advice = f"initial values of {other.label} other than zero" if other.row is not None else "look at that factor"
    elif primitive in ("where", "maximum", "minimum", "max", "min", "clip", "gather", "take_range"):
        words = f"{row.label} = {row.formula}: {primitive} selects other elements wherever a gradient arrives"
        advice = "look at the condition, the limits or the index"
    elif primitive in _SATURATING:
        share = _saturation(row)
        numbers["saturated"] = share
        words = f"{primitive} {place_of(row)} is saturated: {percent(share)} of its outputs are within 1 % of its ends"
        advice = "smaller initial weights or inputs, a normalization in front of it, or relu"
    else:
        words = f"{row.label} = {row.formula}: the local derivative is zero wherever a gradient arrives"
        advice = "a function that is not constant there"
    return Finding(words, where, row, advice, numbers)


def mostly_dead(path: Dominating) -> Finding | None:
    """A ReLU on the path nearly all of whose inputs are negative."""
    for edge in path.edges:
        if edge.row.primitive == "relu" and _negative(edge) >= _DEAD:
            return _dead(edge)
    return None


def _negative(edge: Edge) -> float:
    """The share of the inputs of a ReLU that let no gradient through."""
    value = edge.row.value
    return float(np.mean(np.asarray(value) <= 0)) if value is not None and np.size(value) else 0.0


def _dead(edge: Edge) -> Finding:
    share = _negative(edge)
    words = f"relu {place_of(edge.row)}: {percent(share)} of its inputs are negative or zero: no gradient gets through"
    advice = "a smaller learning rate, He initialization, biases that are not negative, or leaky_relu"
    return Finding(words, edge.row.where, edge.row, advice, {"negative": share})


# Tiny and huge --------------------------------------------------------------------------------------------------------


def head_length(path: Dominating) -> int:
    """Which edge of the path, from the loss down, is the first at a node that a parameter goes into.

    What comes before is the loss; there the network begins.
    """
    for i, edge in enumerate(path.edges):
        if any(_is_parameter(operand) for operand in edge.row.operands):
            return i
    return len(path.edges) - 1


def _is_parameter(operand: Operand) -> bool:
    row = operand.row
    while row is not None and row.primitive in _SHAPING and row.operands:
        row = row.operands[0].row
    return row is not None and row.is_leaf


def tiny(path: Dominating, size: float, at_output: float) -> Finding:
    """What made a gradient small between the output of the network and the parameter.

    A sigmoid behind the last layer is part of the network here.
    """
    head = head_length(path)
    factors = [
        (edge.row, gain(edge)) for i, edge in enumerate(path.edges) if i >= head or edge.row.primitive in _SATURATING
    ]
    small = [(row, factor) for row, factor in factors if factor < 1.0]
    return _shrinking(small, size, f"from {number(at_output)} at the output of the network to {number(size)}")


def saturated_output(path: Dominating, loss: Any, size: float) -> Finding | None:
    """An output that is saturated where it is wrong: the loss is large, and hands nearly nothing on."""
    edges = path.edges[: head_length(path)]
    saturated = [(edge.row, gain(edge)) for edge in edges if edge.row.primitive in _SATURATING]
    start = norm(path.edges[0].upstream) if edges else 0.0
    handed_on = norm(edges[-1].contribution) if edges else 0.0
    is_wrong = loss is not None and np.ndim(loss) == 0 and abs(float(loss)) > 1e-2
    if not is_wrong or handed_on > TINY * start or not any(factor < TINY * 100.0 for _, factor in saturated):
        return None
    found = _shrinking(saturated, size, f"to {number(handed_on)}, although the loss is {number(float(loss))}")
    return found._replace(advice="a loss that takes logits, such as binary_cross_entropy_with_logits")


def _shrinking(factors: Sequence[tuple[Row, float]], size: float, how_far: str) -> Finding:
    most = strongest(factors, lambda row: row.primitive)
    if most is None:
        return Finding(f"its norm is {number(size)}: it shrinks {how_far}", "", None, "", {"norm": size})
    primitive, count = most.strongest.primitive, len(most.rows)
    numbers = {"norm": size, "count": float(count), "product": most.product}
    what, more, advice = primitive, "", "larger factors there"
    if primitive in _SATURATING:
        saturated = numbers["saturated"] = float(np.mean([_saturation(row) for row in most.rows]))
        what = f"saturated {primitive}" if saturated > 0.5 else primitive
        more = f" ({percent(saturated)} of the outputs are within 1 % of the ends)"
        advice = "relu, a normalization, skip connections, or smaller initial weights"
    elif primitive in ("matmul", "convolution"):
        what, advice = "product with weights", "the usual initialization, or a normalization"
    subject = (
        f"{count:,} {_several(what)} multiply" if count > 1 else f"{what} at {place_of(most.strongest)} multiplies"
    )
    words = f"{subject} it by {most.product:.2g}{more}: it shrinks {how_far}"
    return Finding(words, most.strongest.where, most.strongest, advice, numbers)


def _several(what: str) -> str:
    """The plural of what shrinks a gradient."""
    first, space, rest = what.partition(" with ")
    return f"{first}s{space}{rest}" if first in ("sigmoid", "product") or first.startswith("saturated") else what


def _saturation(row: Row) -> float:
    """The share of outputs of a sigmoid or tanh within 1 % of its ends."""
    value = np.asarray(row.value)
    low, high = (0.0, 1.0) if row.primitive == "sigmoid" else (-1.0, 1.0)
    margin = 0.01 * (high - low)
    return float(np.mean((value < low + margin) | (value > high - margin))) if value.size else 0.0


def huge(path: Dominating, size: float, value: float) -> Finding:
    """What made a gradient large."""
    factors = [(edge.row, factor) for edge in path.edges if (factor := gain(edge)) > 1.0]
    most = strongest(factors, by_place)
    numbers = {"norm": size}
    words = f"its norm is {number(size)}"
    words += f", {size / value:,.3g} times that of {path.edges[-1].input.label}" if value else ""
    if most is None:
        return Finding(words, "", None, "clip_grad_norm_", numbers)
    numbers |= {"count": float(len(most.rows)), "factor": most.each}
    words += f": {_factor(most)}"
    advice = "clip_grad_norm_, and smaller weights there"
    if len(most.rows) == 1:
        advice = "smaller values there: normalized inputs, smaller initial weights, a mean in place of a sum"
    return Finding(words, most.strongest.where, most.strongest, advice, numbers)


def _factor(most: Repeated) -> str:
    row, count = most.strongest, len(most.rows)
    place = f"{row.primitive} ({place_of(row)})"
    if count > 1:
        return f"factor {most.each:.3g} at {place}, {count:,} times"
    operands = [operand for operand in row.operands if operand.value is not None and np.size(operand.value)]
    largest = max(operands, key=lambda operand: float(np.abs(operand.value).max()), default=None)
    reaches = "" if largest is None else f"; {largest.label} reaches {number(float(np.abs(largest.value).max()))}"
    return f"factor {most.product:.3g} at {place}{reaches}"
