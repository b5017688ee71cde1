"""The body of a traced loop, and those that follow from it: of tangents, and of a batch.

Each is found in the same way: a function of symbols runs the body, lets the ordinary machinery differentiate (or batch)
it, and tracing notes down what was applied. The body of the backward loop is in `loop_backward`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from clearprop.autodiff.batching import Batched, levels_of, new_level, running, strip
from clearprop.autodiff.linearization import Linearization
from clearprop.graph import state
from clearprop.primitive import Spec, spec_of
from clearprop.tensor import Tensor
from clearprop.trace import Program, Tracer, trace

Mask: TypeAlias = tuple[bool, ...]


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
        return [spec_of(node) for node in self.program.inputs]

    @property
    def outputs(self) -> list[Spec]:
        """Shapes and dtypes of the carry, and one y of each."""
        return [spec_of(node) for node in self.program.outputs]

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


def program_of(f: Callable[..., Sequence[Tensor]], specs: Sequence[Spec]) -> Program:
    """The program of a function that uses nothing but its arguments; a vmap that runs outside is no matter to it."""
    batches, state.batches = state.batches, []
    try:
        return trace(f, specs, Tracer(merge=True))
    finally:
        state.batches = batches


def linearized(
    program: Program, inputs: Sequence[Tensor], targets: Sequence[int], driven: Sequence[int]
) -> tuple[Linearization, list[Tensor]]:
    """A run of a program, to be differentiated by some inputs at some outputs; and all its outputs, as values."""
    given, outputs = list(inputs), list[Tensor]()

    def of_targets(*xs: Tensor) -> list[Tensor]:
        for i, x in zip(targets, xs, strict=True):
            given[i] = x
        outputs.extend(program.run(given))
        return [outputs[i] for i in driven]

    run = Linearization(of_targets, [inputs[i] for i in targets])
    return run, [y.detach() for y in outputs]


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
        run, plain = linearized(body.program, [by_key[i, 0] for i in range(len(given))], targets, driven)
        tangents = dict(zip(driven, run.push([by_key[i, 1] for i in targets]), strict=True))
        return [
            *plain[: body.carries], *(tangents[i].detach() for i in body.float_carries),
            *plain[body.carries :], *(tangents[i].detach() for i in body.float_ys),
        ]  # fmt: skip

    added = sum(given[i] for i in constants)
    program = program_of(step, [body.inputs[i] for i, _ in order])
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
        program = program_of(step, specs)
        if depends[: body.carries] == [has_batch[i] for i in carry]:
            return Body(program, body.constants, body.carries), tuple(depends)
        has_batch[body.constants : body.first_x] = depends[: body.carries]


def _with_axis(spec: Spec, size: int) -> Spec:
    return Spec((size, *spec.shape), spec.dtype)
