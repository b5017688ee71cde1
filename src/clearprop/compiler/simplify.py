"""A program with less in it, and the same values to the bit.

Simplifying is tracing once more: the program runs on the symbols of a tracer that looks at each node before it makes
it. What was applied to the same nodes before is that node again; what an identity of arithmetic makes superfluous is
not made; what nobody needs is never reached. Only identities that hold for all floating-point numbers are used: x * 1
is x for NaN and infinities too, x * 0 is not 0 for them, and x + 0 is not x for -0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from clearprop import primitives
from clearprop.compiler.pieces import pieces_of_sum
from clearprop.graph import Node
from clearprop.primitive import Primitive, Spec, tracing
from clearprop.primitives.shaping import inverse_permutation
from clearprop.trace import Program, Symbol, Tracer

Rule = Callable[["_Simplifier", tuple[Node, ...], dict[str, Any]], "Node | None"]


def simplify(program: Program) -> Program:
    """The same inputs and outputs, and as few nodes as the rules here find."""
    tracer = _Simplifier(program)
    with tracing(tracer):
        symbols = [tracer.input(Spec(node.shape, node.dtype)) for node in program.inputs]
        ends = [tracer.node_of(y) for y in program.run(symbols, tracer.visit)]
    return Program(tracer.inputs, ends, tracer.constants)


class _Simplifier(Tracer):
    """A tracer that makes a node only where no rule has a simpler one."""

    def __init__(self, program: Program) -> None:
        super().__init__(merge=True)
        self._uses = Counter(parent for node in program.order for parent in node.parents)
        self._uses.update(program.outputs)
        self._visited: Node | None = None

    def visit(self, node: Node) -> None:
        """Called with each node of the program that is simplified, before it is made anew."""
        self._visited = node

    @property
    def is_only_use(self) -> bool:
        """Whether nobody else uses the first operand of the node that is being made anew."""
        return self._visited is not None and self._uses[self._visited.parents[0]] == 1

    def note(self, primitive: Primitive, arrays: Sequence[Any], attributes: dict[str, Any]) -> Any:
        """As ever, after a look at the rules."""
        noted = super().note(primitive, arrays, attributes)
        if not isinstance(noted, Symbol):
            return noted
        node, seen = noted.node, 0
        while node.primitive is not None and seen < 4:  # one rule may make way for another
            rule = _RULES.get(node.primitive)
            simpler = None if rule is None else rule(self, tuple(p for p in node.parents if p), node.attributes)
            if simpler is None:
                break
            node, seen = simpler, seen + 1
        return Symbol(node, self)

    def number(self, node: Node) -> float | None:
        """The number that a node holds everywhere; None if it is no constant."""
        while node.primitive is primitives.broadcast and node.parents[0] is not None:
            node = node.parents[0]
        constant = self.constants.get(node)
        return constant.item() if constant is not None and constant.size == 1 else None

    def apply(self, primitive: Primitive, node: Node, **attributes: Any) -> Node:
        """A node of one input."""
        made: Symbol = self.note(primitive, [Symbol(node, self)], attributes)
        return made.node

    def joined(self, axis: int, pieces: Sequence[Node]) -> Node:
        """The pieces one after the other."""
        attributes = {"axis": axis, "lengths": tuple(piece.shape[axis] for piece in pieces)}
        made: Symbol = self.note(primitives.concat, [Symbol(piece, self) for piece in pieces], attributes)
        return made.node


def _input(tracer: _Simplifier, parents: tuple[Node, ...], attributes: dict[str, Any]) -> Node | None:
    """What changes nothing is left out."""
    return parents[0]


def _plus(tracer: _Simplifier, parents: tuple[Node, ...], attributes: dict[str, Any]) -> Node | None:
    """Paddings of pieces that lie one behind the other are put together (-0 stays what it is, where -0 + 0 is 0)."""
    x, y = parents
    found = pieces_of_sum(x, y) if primitives.pad in (x.primitive, y.primitive) else None
    return None if found is None else tracer.joined(*found)


def _times(tracer: _Simplifier, parents: tuple[Node, ...], attributes: dict[str, Any]) -> Node | None:
    """x * 1 = 1 * x = x."""
    x, y = parents
    if tracer.number(y) == 1:
        return x
    return y if tracer.number(x) == 1 else None


def _divided(tracer: _Simplifier, parents: tuple[Node, ...], attributes: dict[str, Any]) -> Node | None:
    """x / 1 = x."""
    return parents[0] if tracer.number(parents[1]) == 1 else None


def _minus(tracer: _Simplifier, parents: tuple[Node, ...], attributes: dict[str, Any]) -> Node | None:
    """x - 0 = x, for +0 alone: -0 - -0 is +0."""
    zero = tracer.number(parents[1])
    return parents[0] if zero == 0 and not np.signbit(zero) else None


def _negated(tracer: _Simplifier, parents: tuple[Node, ...], attributes: dict[str, Any]) -> Node | None:
    """-(-x) = x."""
    (x,) = parents
    return x.parents[0] if x.primitive is primitives.negative else None


def _reshaped(tracer: _Simplifier, parents: tuple[Node, ...], attributes: dict[str, Any]) -> Node | None:
    """Two reshapes are one; to the shape that there is, none."""
    (x,) = parents
    if attributes["shape"] == x.shape:
        return x
    if x.primitive is primitives.reshape and x.parents[0] is not None:
        return tracer.apply(primitives.reshape, x.parents[0], **attributes)
    return None


def _permuted(tracer: _Simplifier, parents: tuple[Node, ...], attributes: dict[str, Any]) -> Node | None:
    """Two permutations are one; one that changes nothing is none; of pieces put together, the pieces are permuted."""
    (x,), axes = parents, attributes["axes"]
    if axes == tuple(range(len(axes))):
        return x
    if x.primitive is primitives.permute and x.parents[0] is not None:
        inner = x.attributes["axes"]
        if axes == inverse_permutation(inner):
            return x.parents[0]
        return tracer.apply(primitives.permute, x.parents[0], axes=tuple(inner[axis] for axis in axes))
    if x.primitive is primitives.concat and tracer.is_only_use:  # put together in the order that is wanted
        pieces = [tracer.apply(primitives.permute, piece, axes=axes) for piece in x.parents if piece is not None]
        return tracer.joined(axes.index(x.attributes["axis"]), pieces)
    return None


def _spread(tracer: _Simplifier, parents: tuple[Node, ...], attributes: dict[str, Any]) -> Node | None:
    """Two broadcasts are one; along no axes, none."""
    (x,), axes, shape = parents, attributes["axes"], attributes["shape"]
    if not axes:
        return x
    if x.primitive is primitives.broadcast and x.parents[0] is not None:
        kept = [i for i in range(len(shape)) if i not in axes]
        inner = tuple(kept[axis] for axis in x.attributes["axes"])
        return tracer.apply(primitives.broadcast, x.parents[0], shape=shape, axes=tuple(sorted((*axes, *inner))))
    return None


def _reduced(tracer: _Simplifier, parents: tuple[Node, ...], attributes: dict[str, Any]) -> Node | None:
    """Over no axes: what it was."""
    return parents[0] if not attributes["axes"] else None


def _cast(tracer: _Simplifier, parents: tuple[Node, ...], attributes: dict[str, Any]) -> Node | None:
    """To the dtype that there is: nothing to do."""
    return parents[0] if attributes["dtype"] == parents[0].dtype else None


_RULES: dict[Primitive, Rule] = {
    primitives.identity: _input,
    primitives.stop_gradient: _input,
    primitives.add: _plus,
    primitives.multiply: _times,
    primitives.divide: _divided,
    primitives.subtract: _minus,
    primitives.negative: _negated,
    primitives.reshape: _reshaped,
    primitives.permute: _permuted,
    primitives.broadcast: _spread,
    primitives.sum_: _reduced,
    primitives.cast: _cast,
}
