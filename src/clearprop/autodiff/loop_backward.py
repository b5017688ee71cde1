"""The backward loop of a traced loop: what it needs of each step, and the body that it runs.

Differentiating one step gives one program, of which the first part is the step itself:

    forward part     h', y = f(c, h, x)
    backward part    ċ, ḣ, ẋ from the upstream gradients ḣ', ẏ, and from values of the forward part

It is cut in two. What the backward part takes from the forward part, and neither the loop's inputs nor its outputs hold
already, becomes further ys of the forward loop (`keeping`); the backward part becomes the body of a loop that runs from
the last step to the first (`backward_of`). It carries ḣ, and sums of ċ. But where ċ is a sum of matrix products, as of
weights, the loop hands out their operands, and one product sums over all steps: `Term`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from clearprop.autodiff.loop_body import Body, Mask, linearized, program_of
from clearprop.graph import Node
from clearprop.primitive import Primitive, spec_of
from clearprop.primitives.arithmetic import add, multiply, negative, subtract
from clearprop.primitives.contraction import matmul
from clearprop.primitives.control import identity
from clearprop.primitives.reduction import broadcast, sum_
from clearprop.primitives.shaping import permute, reshape
from clearprop.tensor import Tensor
from clearprop.trace import Program, needed_for

_VIEWS: tuple[Primitive, ...] = (permute, reshape, broadcast, identity)
"""What costs nothing to apply again: instead of its output, its input is kept."""
_CHEAP: tuple[Primitive, ...] = (add, subtract, multiply, negative)
"""What costs less to apply again than to write to memory in one loop and to read in the other."""
_OPERATIONS = 2
"""So many of them in a row, as in 1 - y^2."""


class Pullback(NamedTuple):
    """One step forward and backward as one program.

    Attributes:
        body: the step.
        program: inputs are those of the body, then the gradients of ``driven``; outputs those of the body, then the
            gradients of ``targets``.
        targets: inputs by which to differentiate: those wanted, and the carry.
        driven: outputs at which gradients arrive, those of the carry first.
    """

    body: Body
    program: Program
    targets: list[int]
    driven: tuple[int, ...]

    @property
    def inputs(self) -> list[Node]:
        """The inputs of the forward part."""
        return self.program.inputs[: len(self.body.program.inputs)]

    @property
    def outputs(self) -> list[Node]:
        """The outputs of the forward part."""
        return self.program.outputs[: len(self.body.program.outputs)]

    @property
    def upstream(self) -> list[Node]:
        """The inputs of the backward part that are upstream gradients."""
        return self.program.inputs[len(self.body.program.inputs) :]

    @property
    def gradients(self) -> dict[int, Node]:
        """By input of the body the node of its gradient, if one arrives."""
        nodes = self.program.outputs[len(self.body.program.outputs) :]
        return {i: node for i, node in zip(self.targets, nodes, strict=True) if not self._is_zero(node)}

    @property
    def backward(self) -> set[Node]:
        """The backward part: all that depends on an upstream gradient."""
        return _depending(self.program, self.upstream)

    def _is_zero(self, node: Node) -> bool:
        return node in self.program.constants and not self.program.constants[node].any()


def pullback_of(body: Body, wanted: Mask, live: tuple[int, ...]) -> Pullback:
    """Differentiate the body by the inputs that are wanted, given gradients of the live outputs.

    A part of the carry by which these have a gradient is driven too, in the steps before.
    """
    driven = live
    while True:
        pullback = _pullback(body, wanted, driven)
        reached = {i for i in body.float_carries if body.constants + i in pullback.gradients}
        if reached <= set(driven):
            return pullback
        driven = tuple(sorted(reached.union(driven)))


def _pullback(body: Body, wanted: Mask, driven: tuple[int, ...]) -> Pullback:
    of_carry = {body.constants + i for i in body.float_carries}
    targets = [i for i, is_wanted in enumerate(wanted) if is_wanted or i in of_carry]
    inputs = len(body.program.inputs)

    def step(*values: Tensor) -> list[Tensor]:
        run, outputs = linearized(body.program, values[:inputs], targets, driven)
        return [*outputs, *run.pull(values[inputs:], again=False, record=False)]

    program = program_of(step, [*body.inputs, *(body.outputs[i] for i in driven)])
    return Pullback(body, program, targets, driven)


def _depending(program: Program, on: Iterable[Node]) -> set[Node]:
    """These nodes, and all that are computed from them."""
    found = set(on)
    for node in program.order:
        if any(parent in found for parent in node.parents):
            found.add(node)
    return found


# What the forward loop keeps ------------------------------------------------------------------------------------------


def keeping(body: Body, wanted: Mask) -> Body:
    """The same body with further ys: what the backward pass will need of each step."""
    pullback = pullback_of(body, wanted, (*body.float_carries, *body.float_ys))
    return _extended(pullback, _not_at_hand(pullback))


def _extended(pullback: Pullback, kept: Sequence[Node]) -> Body:
    """The forward part with further ys."""
    body = pullback.body
    program = Program(pullback.inputs, [*pullback.outputs, *kept], pullback.program.constants)
    return Body(program, body.constants, body.carries)


def _not_at_hand(pullback: Pullback) -> list[Node]:
    """What the backward part takes from the forward part, and is neither constant, nor an x, nor a y."""
    body, backward = pullback.body, pullback.backward
    constants, carry, xs = ([pullback.inputs[i] for i in role] for role in body.roles())
    of_step = _depending(pullback.program, [*carry, *xs])
    at_hand = {*constants, *xs, *pullback.outputs[body.carries :]}
    gradients = list(pullback.gradients.values())
    taken = [node for node in gradients if node not in backward]
    for node in needed_for(gradients):
        if node in backward:
            taken += [parent for parent in node.parents if parent is not None and parent not in backward]
    kept = set[Node]()
    while taken:
        node = taken.pop()
        if node in at_hand or node not in of_step:
            continue
        if node.primitive in _VIEWS:
            taken += [parent for parent in node.parents if parent is not None]
        else:
            kept.add(node)
    return _without_the_cheap(kept, {*at_hand, *pullback.program.constants}, of_step)


def _without_the_cheap(kept: set[Node], at_hand: set[Node], of_step: set[Node]) -> list[Node]:
    """What remains to be kept if the backward part computes again what takes it one or two operations."""

    def is_known(node: Node, operations: int) -> bool:
        if node in kept or node in at_hand or node not in of_step:
            return True
        is_cheap = node.primitive in _VIEWS or (operations > 0 and node.primitive in _CHEAP)
        rest = operations - (node.primitive in _CHEAP)
        return is_cheap and all(is_known(parent, rest) for parent in node.parents if parent is not None)

    for node in sorted(kept, key=lambda node: node.number, reverse=True):  # each from what came before it
        kept.remove(node)
        if not is_known(node, _OPERATIONS):
            kept.add(node)
    return sorted(kept, key=lambda node: node.number)


# The body of the backward loop ----------------------------------------------------------------------------------------


class Term(NamedTuple):
    """One summand of a constant's gradient, which need not be summed step by step.

    Attributes:
        primitive: ``matmul`` or ``sum_``: what is applied once to the values of all steps.
        operands: its operands in one step.
        axes: those of a sum.
        turned: whether the left operand of a product is to be transposed.
        views: what is applied to the result, as (primitive, attributes).
    """

    primitive: Primitive
    operands: tuple[Node, ...]
    axes: tuple[int, ...]
    turned: bool
    views: tuple[tuple[Primitive, dict[str, Any]], ...]


def _terms(gradient: Node, backward: set[Node]) -> list[Term]:
    """A gradient as a sum of large products and sums over all steps; empty if it is not of this form."""
    found: list[Term] = []
    added = set[Node]()
    waiting: list[tuple[Node, tuple[Any, ...]]] = [(gradient, ())]
    while waiting:
        node, views = waiting.pop()
        parents = [parent for parent in node.parents if parent is not None]
        if node not in backward or node in added:  # a sum that is itself added twice would be taken apart twice
            return []
        if node.primitive is add:
            added.add(node)
            waiting += [(parent, views) for parent in reversed(parents)]
        elif node.primitive in (permute, reshape):
            waiting.append((parents[0], ((node.primitive, node.attributes), *views)))
        elif node.primitive is matmul and len(node.shape) == 2:
            left, right = parents
            turned = left.primitive is permute and left.attributes["axes"] == (1, 0)
            operand = left.parents[0] if turned else left
            assert operand is not None
            found.append(Term(matmul, (operand, right), (), turned, views))
        elif node.primitive is sum_:
            found.append(Term(sum_, tuple(parents), node.attributes["axes"], False, views))
        else:
            return []
    return found


class Backward(NamedTuple):
    """The body of the backward loop, and where its inputs come from and its outputs go.

    Attributes:
        forward: the body of the forward loop, where that must run again with further ys, since too little was kept: for
            gradients of gradients.
        body: its carry is the gradient of the carry, then sums of gradients of constants; its xs are ``stacks``,
            ``xs``, and gradients of the live ys; its ys are gradients of xs, then the operands of ``terms``.
        carried: which parts of the carry it carries gradients of.
        ys: the live ys.
        stacks: outputs of the forward loop that it reads.
        xs: inputs of the forward loop that it reads step by step.
        summed: constants whose gradients are added up step by step.
        results: the inputs whose gradients are its first outputs; None for one that depends on no gradient.
        terms: by constant, the gradients that are computed afterwards, in large products.
        operands: of all terms, in the order of the ys.
    """

    forward: Body | None
    body: Body
    carried: list[int]
    ys: list[int]
    stacks: list[int]
    xs: list[int]
    summed: list[int]
    results: list[int | None]
    terms: dict[int, list[Term]]
    operands: list[Node]


def backward_of(body: Body, wanted: Mask, live: tuple[int, ...]) -> Backward:
    """The backward loop of a body, given gradients of its live outputs."""
    pullback = pullback_of(body, wanted, live)
    missing = _not_at_hand(pullback)
    gradients, backward = pullback.gradients, pullback.backward
    constants, carry, xs = body.roles()
    terms = {i: found for i in constants if i in gradients and (found := _terms(gradients[i], backward))}
    summed = [i for i in constants if i in gradients and i not in terms]
    of_xs = [i for i in xs if i in gradients]
    operands = list(dict.fromkeys(node for some in terms.values() for term in some for node in term.operands))
    carried = [i for i in pullback.driven if i < body.carries]
    of_program = dict(zip(pullback.targets, pullback.program.outputs[len(pullback.outputs) :], strict=True))
    ends = [*(of_program[carry[i]] for i in carried), *(gradients[i] for i in (*summed, *of_xs)), *operands]
    known = {*(pullback.inputs[i] for i in (*constants, *xs)), *pullback.program.constants}
    all_ys = [*pullback.outputs, *missing]
    of_ys = {node: i for i, node in enumerate(all_ys) if i >= body.carries and node not in known}
    reached = set(needed_for(ends, [*of_ys, *pullback.inputs]))
    stacks = [node for node in of_ys if node in reached]
    xs_read = [i for i in xs if pullback.inputs[i] in reached]
    upstream, split = pullback.upstream, len(carried)
    inputs = [
        *(pullback.inputs[i] for i in constants), *upstream[:split],
        *stacks, *(pullback.inputs[i] for i in xs_read), *upstream[split:],
    ]  # fmt: skip
    one_step = Program(inputs, ends, pullback.program.constants)
    return Backward(
        forward=_extended(pullback, missing) if missing else None,
        body=_summing(one_step, body.constants, split, len(summed)),
        carried=carried,
        ys=list(pullback.driven[split:]),
        stacks=[of_ys[node] for node in stacks],
        xs=xs_read,
        summed=summed,
        results=[*(carry[i] if carry[i] in gradients else None for i in carried), *summed, *of_xs],
        terms=terms,
        operands=operands,
    )


def _summing(step: Program, constants: int, carries: int, summed: int) -> Body:
    """A body that adds the outputs behind the carry to sums of its own, instead of returning them for each step."""
    split = constants + carries

    def f(*values: Tensor) -> list[Tensor]:
        sums, others = values[split : split + summed], (*values[:split], *values[split + summed :])
        outputs = step.run(others)
        added = [add(total, part) for total, part in zip(sums, outputs[carries : carries + summed], strict=True)]
        return [*outputs[:carries], *added, *outputs[carries + summed :]]

    specs = [spec_of(node) for node in step.inputs]
    of_sums = [spec_of(node) for node in step.outputs[carries : carries + summed]]
    return Body(program_of(f, [*specs[:split], *of_sums, *specs[split:]]), constants, carries + summed)
