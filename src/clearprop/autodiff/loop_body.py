"""The body of a traced loop, and the bodies that follow from it: of the backward pass, of tangents, of a batch.

Each is found in the same way: a function of symbols runs the body, lets the ordinary machinery differentiate (or batch)
it, and tracing notes down what was applied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from clearprop.autodiff.batching import Batched, levels_of, new_level, running, strip
from clearprop.autodiff.linearization import Linearization
from clearprop.graph import Node, state
from clearprop.primitive import Primitive, Spec
from clearprop.primitives.arithmetic import add
from clearprop.primitives.contraction import matmul
from clearprop.primitives.control import identity
from clearprop.primitives.reduction import broadcast, sum_
from clearprop.primitives.shaping import permute, reshape
from clearprop.tensor import Tensor
from clearprop.trace import Program, Tracer, trace

Mask = tuple[bool, ...]

_VIEWS: tuple[Primitive, ...] = (permute, reshape, broadcast, identity)
"""What costs nothing to apply again: instead of its output, its input is kept."""


class Body:
    """What a loop does in one step.

    Attributes:
        program: inputs are constants, carry, xs; outputs are the carry and ys.
        constants, carries: how many there are of them.
    """

    def __init__(self, program: Program, constants: int, carries: int) -> None:
        self.program = program
        self.constants = constants
        self.carries = carries
        self._known: dict[Any, Any] = {}

    @property
    def inputs(self) -> list[Spec]:
        """Shapes and dtypes of constants, carry, and one x of each."""
        return [Spec(node.shape, node.dtype) for node in self.program.inputs]

    @property
    def outputs(self) -> list[Spec]:
        """Shapes and dtypes of the carry, and one y of each."""
        return [Spec(node.shape, node.dtype) for node in self.program.outputs]

    @property
    def first_x(self) -> int:
        """Where xs begin among the inputs."""
        return self.constants + self.carries

    @property
    def float_carries(self) -> list[int]:
        """Which parts of the carry have gradients."""
        return [i for i in range(self.carries) if self.outputs[i].dtype.kind == "f"]

    @property
    def float_ys(self) -> list[int]:
        """Which outputs behind the carry have gradients."""
        outputs = self.outputs
        return [i for i in range(self.carries, len(outputs)) if outputs[i].dtype.kind == "f"]

    def roles(self) -> tuple[range, range, range]:
        """The numbers of the inputs that are constants, carry, xs."""
        ends = self.constants, self.first_x, len(self.program.inputs)
        return range(ends[0]), range(ends[0], ends[1]), range(ends[1], ends[2])

    def derived(self, make: Callable[..., Any], *args: Any) -> Any:
        """``make(self, *args)``, made at the first time."""
        key = (make, *args)
        if key not in self._known:
            self._known[key] = make(self, *args)
        return self._known[key]

    def __repr__(self) -> str:
        return f"<body of {len(self.program.order)} nodes>"


def _traced(f: Callable[..., Sequence[Tensor]], specs: Sequence[Spec]) -> Program:
    """The program of a function that uses nothing but its arguments; a vmap that runs outside is no matter to it."""
    batches, state.batches = state.batches, []
    try:
        return trace(f, specs, Tracer(merge=True))
    finally:
        state.batches = batches


class Pullback(NamedTuple):
    """One step forward and backward as one program.

    Attributes:
        program: inputs are those of the body, then the gradients of ``driven``; outputs those of the body, then the
            gradients of ``targets``.
        targets: inputs by which to differentiate: those wanted, and the carry.
        driven: outputs at which gradients arrive: the carry, and those ys that are live.
    """

    program: Program
    targets: list[int]
    driven: list[int]

    def of_gradients(self, body: Body) -> list[Node]:
        """The inputs that are upstream gradients."""
        return self.program.inputs[len(body.program.inputs) :]

    def gradients(self, body: Body) -> dict[int, Node]:
        """By input, the node of its gradient, if it is not zero in all cases."""
        nodes = self.program.outputs[len(body.program.outputs) :]
        return {i: node for i, node in zip(self.targets, nodes, strict=True) if not self._is_zero(node)}

    def _is_zero(self, node: Node) -> bool:
        return node in self.program.constants and not self.program.constants[node].any()


def pullback_of(body: Body, wanted: Mask, live: tuple[int, ...]) -> Pullback:
    """Differentiate the body by the inputs that are wanted, given gradients of the carry and of the live ys."""
    _, carry, _ = body.roles()
    of_carry = {carry[i] for i in body.float_carries}
    targets = [i for i, is_wanted in enumerate(wanted) if is_wanted or i in of_carry]
    driven = [*body.float_carries, *live]
    inputs = len(body.program.inputs)

    def step(*values: Tensor) -> list[Tensor]:
        given, upstream = list(values[:inputs]), values[inputs:]
        outputs: list[Tensor] = []

        def of_targets(*xs: Tensor) -> list[Tensor]:
            for i, x in zip(targets, xs, strict=True):
                given[i] = x
            outputs.extend(body.program.run(given))
            return [outputs[i] for i in driven]

        run = Linearization(of_targets, [given[i] for i in targets])
        gradients = run.pull(upstream, again=False, record=False)
        return [*(y.detach() for y in outputs), *gradients]

    specs = [*body.inputs, *(body.outputs[i] for i in driven)]
    return Pullback(_traced(step, specs), targets, driven)


def _depending(program: Program, on: Iterable[Node]) -> set[Node]:
    """These nodes, and all that are computed from them."""
    found = set(on)
    for node in program.order:
        if any(parent in found for parent in node.parents):
            found.add(node)
    return found


def keeping(body: Body, wanted: Mask) -> Body:
    """The same body with further ys: what the backward pass will need of each step."""
    pullback: Pullback = body.derived(pullback_of, wanted, tuple(body.float_ys))
    return _extended(body, pullback, _not_at_hand(body, pullback))


def _extended(body: Body, pullback: Pullback, kept: Sequence[Node]) -> Body:
    """The forward part of a step with further ys."""
    program = pullback.program
    inputs = program.inputs[: len(body.program.inputs)]
    outputs = program.outputs[: len(body.program.outputs)]
    return Body(Program(inputs, [*outputs, *kept], program.constants), body.constants, body.carries)


def _not_at_hand(body: Body, pullback: Pullback) -> list[Node]:
    """What the backward part of a step takes from the forward part, and is neither constant, nor an x, nor a y."""
    program = pullback.program
    constants, carry, xs = ([program.inputs[i] for i in role] for role in body.roles())
    backward = _depending(program, pullback.of_gradients(body))
    of_step = _depending(program, [*carry, *xs])
    at_hand = {*constants, *xs, *program.outputs[body.carries : len(body.program.outputs)]}
    kept: dict[Node, None] = {}

    def keep(node: Node) -> None:
        if node in at_hand or node not in of_step:
            return
        if node.primitive not in _VIEWS:
            kept[node] = None
            return
        for parent in node.parents:
            if parent is not None:
                keep(parent)

    gradients = pullback.gradients(body).values()
    for gradient in gradients:
        if gradient not in backward:
            keep(gradient)
    for node in _reached(gradients, set()):
        if node in backward:
            for parent in node.parents:
                if parent is not None and parent not in backward:
                    keep(parent)
    return sorted(kept, key=lambda node: node.number)


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


def _terms(node: Node, backward: set[Node], views: tuple[Any, ...] = ()) -> list[Term] | None:
    """A gradient as a sum of large products and sums over all steps; None if it is not of this form."""
    parents = [parent for parent in node.parents if parent is not None]
    if node not in backward:
        return None
    if node.primitive is add:
        parts = [_terms(parent, backward, views) for parent in parents]
        return None if None in parts else [term for part in parts if part for term in part]
    if node.primitive in (permute, reshape):
        return _terms(parents[0], backward, ((node.primitive, node.attributes), *views))
    if node.primitive is matmul and len(node.shape) == 2:
        left, right = parents
        turned = left.primitive is permute and left.attributes["axes"] == (1, 0)
        operand = left.parents[0] if turned else left
        assert operand is not None
        return [Term(matmul, (operand, right), (), turned, views)]
    if node.primitive is sum_:
        return [Term(sum_, tuple(parents), node.attributes["axes"], False, views)]
    return None


class Backward(NamedTuple):
    """The body of the backward loop, and where its inputs come from and its outputs go.

    Attributes:
        forward: the body of the forward loop, where that must run again with further ys, since too little was kept: for
            gradients of gradients.
        body: its carry is the gradient of the carry, then sums of gradients of constants; its xs are ``stacks``,
            ``xs``, and gradients of the live ys; its ys are gradients of xs, then the operands of ``terms``.
        stacks: outputs of the forward loop that it reads.
        xs: inputs of the forward loop that it reads step by step.
        summed: constants whose gradients are added up step by step.
        of_xs: xs whose gradients it returns.
        terms: by constant, the gradients that are computed afterwards, in large products.
        operands: of all terms, in the order of the ys.
    """

    forward: Body | None
    body: Body
    driven: list[int]
    stacks: list[int]
    xs: list[int]
    summed: list[int]
    of_xs: list[int]
    terms: dict[int, list[Term]]
    operands: list[Node]


def backward_of(body: Body, wanted: Mask, live: tuple[int, ...]) -> Backward:
    """The backward loop of a body whose ys hold what it needs."""
    pullback = pullback_of(body, wanted, live)
    missing = _not_at_hand(body, pullback)
    if missing:
        longer = _extended(body, pullback, missing)
        return backward_of(longer, wanted, live)._replace(forward=longer)
    program, gradients = pullback.program, pullback.gradients(body)
    backward = _depending(program, pullback.of_gradients(body))
    constants, carry, xs = body.roles()
    terms = {i: found for i in constants if i in gradients and (found := _terms(gradients[i], backward))}
    summed = [i for i in constants if i in gradients and i not in terms]
    operands = list(dict.fromkeys(node for some in terms.values() for term in some for node in term.operands))
    of_xs = [i for i in xs if i in gradients]
    of_carry = [
        program.outputs[len(body.program.outputs) + pullback.targets.index(carry[i])] for i in body.float_carries
    ]
    ends = [*of_carry, *(gradients[i] for i in (*summed, *of_xs)), *operands]
    stacked = {node: i for i, node in enumerate(program.outputs[: len(body.program.outputs)]) if i >= body.carries}
    sources = {node: i for i, node in enumerate(program.inputs[: len(body.program.inputs)])}
    reached = _reached(ends, {*stacked, *sources})
    stacks = [node for node in stacked if node in reached and sources.get(node) not in xs]
    read = [program.inputs[i] for i in xs if program.inputs[i] in reached]
    upstream = pullback.of_gradients(body)
    first = [program.inputs[i] for i in constants]
    split = len(body.float_carries)
    inputs = [*first, *upstream[:split], *stacks, *read, *upstream[split:]]
    one_step = Program(inputs, ends, program.constants)
    return Backward(
        None,
        _summing(one_step, len(first), split, len(summed)),
        pullback.driven,
        [stacked[node] for node in stacks],
        [sources[node] for node in read],
        summed,
        of_xs,
        terms,
        operands,
    )


def _reached(ends: Iterable[Node], stops: set[Node]) -> set[Node]:
    """All nodes that are needed for these, down to the stops."""
    reached, waiting = set(ends), [node for node in ends if node not in stops]
    while waiting:
        for parent in waiting.pop().parents:
            if parent is not None and parent not in reached:
                reached.add(parent)
                if parent not in stops:
                    waiting.append(parent)
    return reached


def _summing(step: Program, constants: int, carries: int, summed: int) -> Body:
    """A body that adds the outputs behind the carry to sums of its own, instead of returning them for each step."""

    def f(*values: Tensor) -> list[Tensor]:
        split = constants + carries
        sums, others = values[split : split + summed], (*values[:split], *values[split + summed :])
        outputs = step.run(others)
        added = [add(total, part) for total, part in zip(sums, outputs[carries : carries + summed], strict=True)]
        return [*outputs[:carries], *added, *outputs[carries + summed :]]

    specs = [Spec(node.shape, node.dtype) for node in step.inputs]
    of_sums = [Spec(node.shape, node.dtype) for node in step.outputs[carries : carries + summed]]
    split = constants + carries
    return Body(_traced(f, [*specs[:split], *of_sums, *specs[split:]]), constants, carries + summed)


def tangent_of(body: Body, given: Mask) -> Body:
    """The body that carries tangents along: of constants, carry and xs each the values, then the tangents given."""
    constants, carry, xs = body.roles()
    targets = [i for i, is_given in enumerate(given) if is_given]
    driven = [*body.float_carries, *body.float_ys]
    order = [
        key for role in (constants, carry, xs) for key in (*((i, 0) for i in role), *((i, 1) for i in role if given[i]))
    ]

    def step(*values: Tensor) -> list[Tensor]:
        by_key = dict(zip(order, values, strict=True))
        inputs, outputs = [by_key[i, 0] for i in range(len(given))], list[Tensor]()

        def of_targets(*some: Tensor) -> list[Tensor]:
            for i, x in zip(targets, some, strict=True):
                inputs[i] = x
            outputs.extend(body.program.run(inputs))
            return [outputs[i] for i in driven]

        tangents = dict(
            zip(
                driven,
                Linearization(of_targets, [inputs[i] for i in targets]).push([by_key[i, 1] for i in targets]),
                strict=True,
            )
        )
        plain = [y.detach() for y in outputs]
        return [
            *plain[: body.carries], *(tangents[i].detach() for i in body.float_carries),
            *plain[body.carries :], *(tangents[i].detach() for i in body.float_ys),
        ]  # fmt: skip

    added = sum(given[i] for i in constants)
    program = _traced(step, [body.inputs[i] for i, _ in order])
    return Body(program, body.constants + added, body.carries + len(body.float_carries))


def batched(body: Body, mapped: Mask, size: int) -> tuple[Body, Mask]:
    """The body of a whole batch, and which parts of its carry and ys have the batch as their first axis.

    Those are the mapped inputs, and what is computed from them. A part of the carry that depends on mapped inputs after
    a step is mapped from the start; others, such as the counter of random numbers, stay what they are.
    """
    _, carry, _ = body.roles()
    has_batch, depends = list(mapped), list[bool]()

    def step(*values: Tensor) -> list[Tensor]:
        level = new_level()
        with running(level, size):
            inner = [Batched(x, level) if flag else x for x, flag in zip(values, has_batch, strict=True)]
            outputs = body.program.run(inner)
        depends[:] = [level in levels_of(y) for y in outputs]
        depends[: body.carries] = [has_batch[i] or flag for i, flag in zip(carry, depends, strict=False)]
        return [strip(y, level, size) if flag else y for y, flag in zip(outputs, depends, strict=True)]

    while True:
        specs = [_with_axis(spec, size) if flag else spec for spec, flag in zip(body.inputs, has_batch, strict=True)]
        program = _traced(step, specs)
        if depends[: body.carries] == [has_batch[i] for i in carry]:
            return Body(program, body.constants, body.carries), tuple(depends)
        has_batch[body.constants : body.first_x] = depends[: body.carries]


def _with_axis(spec: Spec, size: int) -> Spec:
    return Spec((size, *spec.shape), spec.dtype)
