"""A program with less in it, and the same values to the bit.

A tracer looks at each node before it makes it, be it while a function is traced or, of a program, while its nodes are
made anew. What was applied to the same nodes before is that node again; what an identity of arithmetic makes
superfluous is not made; what nobody needs is never reached. Only identities that hold for all floating-point numbers
are used: x * 1 is x for NaN and infinities too, x * 0 is not 0 for them, and x + 0 is not x for -0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from clearprop import primitives
from clearprop.compiler.pieces import pieces_of_sum
from clearprop.errors import ComputationError
from clearprop.graph import Node, state
from clearprop.primitive import Primitive, Spec, tracing
from clearprop.primitives.shaping import inverse_permutation
from clearprop.trace import Program, Tracer

Rule = Callable[["Simplifier", tuple[Node, ...], dict[str, Any]], "Node | None"]


def simplify(program: Program) -> Program:
    """The same inputs and outputs, and as few nodes as the rules here find."""
    return Rewriter(program).rewritten()


def is_simple(program: Program) -> bool:
    """Whether the rules find nothing more in what a `Simplifier` has traced: some ask what will be used how often."""
    return not any(
        node.primitive is primitives.permute and node.parents[0] and node.parents[0].primitive is primitives.concat
        for node in program.order
    )


class Simplifier(Tracer):
    """A tracer that makes a node only where no rule has a simpler one."""

    def __init__(self, outer: Tracer | None = None) -> None:
        super().__init__(outer, merge=True)

    @property
    def is_only_use(self) -> bool:
        """Whether it is known that nobody else uses the first operand of the node that is being made."""
        return False

    def _applied(self, primitive: Primitive, parents: tuple[Node, ...], attributes: dict[str, Any]) -> Node:
        return self._simplest(super()._applied(primitive, parents, attributes))

    def _simplest(self, node: Node) -> Node:
        """The node, or a simpler one of the same value."""
        for _ in range(4):  # one rule may make way for another
            rule = _RULES.get(node.primitive)
            simpler = None if rule is None else rule(self, tuple(p for p in node.parents if p), node.attributes)
            if simpler is None:
                break
            node = simpler
        return node

    def number(self, node: Node) -> float | None:
        """The number that a node holds everywhere; None if it is no constant."""
        while node.primitive is primitives.broadcast and node.parents[0] is not None:
            node = node.parents[0]
        constant = self.constants.get(node)
        return constant.item() if constant is not None and constant.size == 1 else None

    def apply(self, primitive: Primitive, node: Node, **attributes: Any) -> Node:
        """A node of one input."""
        return self._applied(primitive, (node,), attributes)

    def joined(self, axis: int, pieces: Sequence[Node]) -> Node:
        """The pieces one after the other."""
        attributes = {"axis": axis, "lengths": tuple(piece.shape[axis] for piece in pieces)}
        return self._applied(primitives.concat, tuple(pieces), attributes)


class Rewriter(Simplifier):
    """Makes the nodes of a program anew, all but its inputs.

    Attributes:
        uses: how often each node of the program is used.
    """

    def __init__(self, program: Program) -> None:
        super().__init__()
        self._program = program
        self.uses = Counter(parent for node in program.order for parent in node.parents)
        self.uses.update(program.outputs)
        self._visited: Node | None = None

    def rewritten(self) -> Program:
        """The program that comes of it."""
        with tracing(self):
            ends = self._run()
        return Program(self._program.inputs, ends, self.constants)

    def _run(self) -> list[Node]:
        program, outer = self._program, (state.position, state.module)
        known: dict[Any, Any] = dict(program.constants)  # the new node, or the array if it depends on no input
        known.update((node, node) for node in program.inputs)
        try:
            for node in program.order:
                state.position, state.module = node.position, node.module
                self._visited = node
                known[node] = self.anew(node, [known[parent] for parent in node.parents])
        except ComputationError as error:
            error.where = node.where or error.where
            raise
        finally:
            state.position, state.module = outer
        return [self._made_of(known[node]) for node in program.outputs]

    def anew(self, node: Node, operands: Sequence[Any]) -> Any:
        """The same node of other operands, or what stands for it; an array if all operands are."""
        assert node.primitive is not None
        if Node not in map(type, operands):
            return node.primitive(*operands, **node.attributes)
        parents = tuple([self._made_of(x) for x in operands])
        return self._simplest(self._made(node.primitive, parents, node.attributes, Spec(node.shape, node.dtype)))

    def _made_of(self, x: Any) -> Node:
        return x if type(x) is Node else self.node_of(x)

    @property
    def is_only_use(self) -> bool:
        """Whether nobody else uses the first operand of the node that is being made anew."""
        return self._visited is not None and self.uses[self._visited.parents[0]] == 1


def _input(tracer: Simplifier, parents: tuple[Node, ...], attributes: dict[str, Any]) -> Node | None:
    """What changes nothing is left out."""
    return parents[0]


def _plus(tracer: Simplifier, parents: tuple[Node, ...], attributes: dict[str, Any]) -> Node | None:
    """Paddings of pieces that lie one behind the other are put together (-0 stays what it is, where -0 + 0 is 0)."""
    x, y = parents
    found = pieces_of_sum(x, y) if primitives.pad in (x.primitive, y.primitive) else None
    return None if found is None else tracer.joined(*found)


def _times(tracer: Simplifier, parents: tuple[Node, ...], attributes: dict[str, Any]) -> Node | None:
    """x * 1 = 1 * x = x."""
    x, y = parents
    if tracer.number(y) == 1:
        return x
    return y if tracer.number(x) == 1 else None


def _divided(tracer: Simplifier, parents: tuple[Node, ...], attributes: dict[str, Any]) -> Node | None:
    """x / 1 = x."""
    return parents[0] if tracer.number(parents[1]) == 1 else None


def _minus(tracer: Simplifier, parents: tuple[Node, ...], attributes: dict[str, Any]) -> Node | None:
    """x - 0 = x, for +0 alone: -0 - -0 is +0."""
    zero = tracer.number(parents[1])
    return parents[0] if zero == 0 and not np.signbit(zero) else None


def _negated(tracer: Simplifier, parents: tuple[Node, ...], attributes: dict[str, Any]) -> Node | None:
    """-(-x) = x."""
    (x,) = parents
    return x.parents[0] if x.primitive is primitives.negative else None


def _reshaped(tracer: Simplifier, parents: tuple[Node, ...], attributes: dict[str, Any]) -> Node | None:
    """Two reshapes are one; to the shape that there is, none."""
    (x,) = parents
    if attributes["shape"] == x.shape:
        return x
    if x.primitive is primitives.reshape and x.parents[0] is not None:
        return tracer.apply(primitives.reshape, x.parents[0], **attributes)
    return None


def _permuted(tracer: Simplifier, parents: tuple[Node, ...], attributes: dict[str, Any]) -> Node | None:
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


def _spread(tracer: Simplifier, parents: tuple[Node, ...], attributes: dict[str, Any]) -> Node | None:
    """Two broadcasts are one; along no axes, none."""
    (x,), axes, shape = parents, attributes["axes"], attributes["shape"]
    if not axes:
        return x
    if x.primitive is primitives.broadcast and x.parents[0] is not None:
        kept = [i for i in range(len(shape)) if i not in axes]
        inner = tuple(kept[axis] for axis in x.attributes["axes"])
        return tracer.apply(primitives.broadcast, x.parents[0], shape=shape, axes=tuple(sorted((*axes, *inner))))
    return None


def _reduced(tracer: Simplifier, parents: tuple[Node, ...], attributes: dict[str, Any]) -> Node | None:
    """Over no axes: what it was."""
    return parents[0] if not attributes["axes"] else None


def _cast(tracer: Simplifier, parents: tuple[Node, ...], attributes: dict[str, Any]) -> Node | None:
    """To the dtype that there is: nothing to do."""
    return parents[0] if attributes["dtype"] == parents[0].dtype else None


_RULES: dict[Primitive | None, Rule] = {
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
