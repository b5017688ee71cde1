"""A compiled function of whose result a gradient may be asked: one node, whose forward and backward are programs.

The function and its backward pass are traced together. What the results need is the forward program; what else the
gradients need is the backward program, and the values that it takes from the forward program are the residuals. To be
differentiated again, the backward pass is itself a compiled function of whose result a gradient may be asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from clearprop import primitives
from clearprop.autodiff.custom import Context, apply_custom
from clearprop.autodiff.linearization import Linearization, is_recorded
from clearprop.autodiff.tree import flatten, rebuild
from clearprop.compiler.executors import Executor
from clearprop.compiler.simplify import simplify
from clearprop.compiler.whole import Whole
from clearprop.graph import Node, state
from clearprop.primitive import spec_of
from clearprop.tensor import Tensor
from clearprop.trace import Program, Tracer, needed_for, trace

_VIEWS = frozenset({primitives.broadcast, primitives.permute, primitives.reshape, primitives.slice_})
"""What shows an array in another way is not kept beside that array."""


class Differentiable:
    """A traced function that can be called with tensors to which gradients flow.

    Args:
        whole: the function; its program says where no gradient flows.
        name: of the function.
        make: an executor.
        compile: makes a compiled function of a function of tensors.

    Attributes:
        forward, backward: the programs, ready to run.
    """

    def __init__(
        self,
        whole: Whole,
        name: str,
        make: Executor,
        compile: Callable[[Callable[..., Any]], Callable[..., Any]],
    ) -> None:
        self._whole, self._name = whole, name
        self._program, self._flows = whole.program, whole.flows
        self._trained = whole.trained_inputs
        self._pull_again = compile(self._pull)
        inputs, outputs = whole.program.inputs, whole.program.outputs
        upstream = [node for node, flows in zip(outputs, self._flows, strict=False) if flows]
        joint = simplify(trace(self._joint, [spec_of(node) for node in (*inputs, *upstream)], Tracer(merge=True)))
        own, gs = joint.inputs[: len(inputs)], joint.inputs[len(inputs) :]
        results, pulled = joint.outputs[: len(outputs)], joint.outputs[len(outputs) :]
        residuals = _residuals(joint, results, pulled)
        self._kept = [i for i, node in enumerate(own) if node in set(needed_for(pulled, [*own, *residuals, *gs]))]
        given = [*(own[i] for i in self._kept), *residuals, *gs]
        self.forward = make(Program(own, [*results, *residuals], joint.constants), {})
        self.backward = make(Program(given, pulled, joint.constants), {})

    # The programs -------------------------------------------------------------------------------------------------

    def _joint(self, *tensors: Tensor) -> list[Tensor]:
        """The program's outputs, and the gradients by its trained inputs."""
        outputs, run = self._linearized(tensors[: len(self._trained)])
        return [*outputs, *run.pull(tensors[len(self._trained) :], again=False)]

    def _pull(self, *tensors: Tensor) -> list[Tensor]:
        """The gradients alone, as a function of inputs and upstream gradients."""
        _, run = self._linearized(tensors[: len(self._trained)])
        return run.pull(tensors[len(self._trained) :], again=False)

    def _linearized(self, inputs: Sequence[Tensor]) -> tuple[list[Any], Linearization]:
        """The program run with these inputs: all outputs, and those results that gradients flow to."""
        outputs: list[Any] = []

        def results(*trained: Tensor) -> list[Any]:
            following = iter(trained)
            given = [next(following) if flows else x for x, flows in zip(inputs, self._trained, strict=True)]
            outputs.extend(self._program.run(given))
            return [y for y, flows in zip(outputs, self._flows, strict=False) if flows]

        return outputs, Linearization(results, self._of_trained(inputs))

    def _of_trained(self, values: Sequence[Any]) -> list[Any]:
        return [value for value, flows in zip(values, self._trained, strict=True) if flows]

    # Calling it ---------------------------------------------------------------------------------------------------

    def __call__(self, arguments: Sequence[Tensor]) -> Any:
        """The function's result, with one node behind it; what the function changes is changed."""
        inputs = self._whole.inputs(arguments)
        found = flatten(apply_custom(self._name, self._run, self._run_back, inputs, is_derivative=True))
        results = [y if flows else y.detach() for y, flows in zip(found, self._flows, strict=True)]
        following = iter(results)
        result = self._whole.result
        return rebuild(result, [next(following) if isinstance(y, Tensor) else y for y in flatten(result)])

    def _run(self, ctx: Context, *inputs: Tensor) -> list[Tensor]:
        outputs = self.forward([x.array for x in inputs])
        count = len(self._program.outputs)
        self._whole.finish(outputs[:count])
        ctx.save_for_backward(*inputs)
        ctx.residuals = outputs[count:]  # type: ignore[attr-defined]
        return [Tensor(y) for y in outputs[: len(self._flows)]]

    def _run_back(self, ctx: Context, *upstream: Tensor) -> list[Tensor | None]:
        inputs = ctx.saved_tensors
        gs = [g for g, flows in zip(upstream, self._flows, strict=True) if flows]
        if state.grad_enabled and any(is_recorded(x) for x in (*inputs, *gs)):
            found = self._pull_again(*inputs, *gs)
        else:
            kept = [inputs[i].array for i in self._kept]
            found = [Tensor(g) for g in self.backward([*kept, *ctx.residuals, *(g.array for g in gs)])]  # type: ignore[attr-defined]
        following = iter(found)
        return [next(following) if flows else None for flows in self._trained]


def _residuals(joint: Program, results: Sequence[Node], pulled: Sequence[Node]) -> list[Node]:
    """What the gradients need of that which the results need; of views, what they show."""
    forward = set(needed_for(results, joint.inputs))
    kept: dict[Node, None] = {}
    waiting, seen = list(pulled), set(pulled)
    while waiting:
        node = waiting.pop()
        if node.primitive is None:
            continue
        is_output = node.primitive is primitives.item and node.parents[0] in forward  # one of several, of a loop
        if is_output or (node in forward and node.primitive not in _VIEWS):
            kept[node] = None
            continue
        for parent in node.parents:
            if parent is not None and parent not in seen:
                seen.add(parent)
                waiting.append(parent)
    return sorted(kept, key=lambda node: node.number)
