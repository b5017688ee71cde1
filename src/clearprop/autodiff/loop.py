"""The ``scan`` of a trace: one node whose body is a program of its own, so that nothing grows with the number of steps.

Inputs are, in this order, constants (the same in every step), the carry, and xs, which have the steps as their first
axis. The body takes the constants, the carry and one x of each; it returns the next carry and the y of this step.

    forward     h[t+1], y[t], r[t] = body(c, h[t], x[t])                     r: what the backward pass needs of a step
    backward    ḣ[t], ẋ[t], ċ += body*(c, r[t], x[t], ḣ[t+1], ẏ[t])          a scan too, from the last step to the first

Where ċ is a sum of matrix products, the loop hands out their operands, and all steps are multiplied in one product.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clearprop.autodiff.backward import grad_mode
from clearprop.autodiff.batching import Batched, swap_first_two
from clearprop.autodiff.custom import item_of
from clearprop.autodiff.loop_backward import Backward, Term, backward_of, keeping
from clearprop.autodiff.loop_body import Body, batched, tangent_of
from clearprop.errors import ShapeError
from clearprop.graph import Node, state
from clearprop.primitive import Formula, Primitive, Spec, Value, filled, numpy_dtype, register, spec_of
from clearprop.primitives.arithmetic import add
from clearprop.primitives.contraction import matmul
from clearprop.primitives.control import Parts
from clearprop.primitives.families import with_batch
from clearprop.primitives.reduction import sum_
from clearprop.primitives.shaping import permute, reshape, transpose
from clearprop.source import caller
from clearprop.tensor import Tensor
from clearprop.trace import Symbol


class Kept:
    """What a loop keeps for its backward pass: all inputs and outputs."""

    def __init__(self, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        self.inputs = inputs
        self.outputs = outputs

    @property
    def nbytes(self) -> int:
        """Bytes of all of them."""
        return sum(array.nbytes for array in (*self.inputs, *self.outputs))

    def connected(self, node: Node) -> tuple[list[Tensor], list[Tensor]]:
        """As tensors of the graph, for a backward pass that is recorded."""
        inputs = [Tensor(array, parent) for array, parent in zip(self.inputs, node.parents, strict=True)]
        return inputs, [item_of(node, array, i) for i, array in enumerate(self.outputs)]


class Scan(Primitive):
    """z = the last carry, and the ys of all steps stacked along a new first axis: a node with several outputs."""

    formula = Formula(
        r"h_{t+1}, y_t = f(c, h_t, x_t)",
        (r"\bar c = \sum_t f_c^\top (\bar h_{t+1}, \bar y_t)", r"\bar h_t = f_h^\top (\bar h_{t+1}, \bar y_t)",
         r"\bar x_t = f_x^\top (\bar h_{t+1}, \bar y_t)"),
    )  # fmt: skip

    def shape(self, *inputs: Spec, **attributes: Any) -> Spec:
        return self.specs(*inputs, **attributes)[0]

    def specs(self, *inputs: Spec, body: Body, length: int, reverse: bool) -> list[Spec]:
        """Shapes and dtypes of all outputs."""
        steps = [Spec(s.shape[1:], s.dtype) if i >= body.first_x else s for i, s in enumerate(inputs)]
        if steps != body.inputs or any(s.shape[:1] != (length,) for s in inputs[body.first_x :]):
            have, want = ", ".join(map(str, inputs)), ", ".join(map(str, body.inputs))
            raise ShapeError(f"scan of {length} steps: inputs {have} for a body that takes {want} in each step")
        carry, ys = body.outputs[: body.carries], body.outputs[body.carries :]
        return [*carry, *(Spec((length, *y.shape), y.dtype) for y in ys)]

    def compute(self, *arrays: Any, body: Body, length: int, reverse: bool) -> Any:
        constants, xs = arrays[: body.constants], arrays[body.first_x :]
        carry = list(arrays[body.constants : body.first_x])
        rows: list[Sequence[Any]] = [()] * length
        for t in reversed(range(length)) if reverse else range(length):
            outputs = body.program.run([*constants, *carry, *(x[t] for x in xs)])
            carry, rows[t] = outputs[: body.carries], outputs[body.carries :]
        return (*carry, *(np.stack(column) for column in zip(*rows, strict=True)))

    def __call__(self, *inputs: Value, **attributes: Any) -> Any:
        """Apply to arrays, giving a tuple of arrays; or to tensors, giving a tuple of tensors."""
        if not any(isinstance(x, Tensor) for x in inputs):
            return self._values(inputs, attributes)
        tensors = [x if isinstance(x, Tensor) else Tensor(x) for x in inputs]
        if state.tracer is not None:
            tensors = [state.tracer.lifted(x) for x in tensors]
        levels = [x.level for x in tensors if isinstance(x, Batched)]
        if levels:
            return self._of_batch(tensors, max(levels), attributes)
        arrays, parents = [x.array for x in tensors], tuple(x.node for x in tensors)
        if not state.grad_enabled or not any(parents):
            return tuple(Tensor(array) for array in self._values(arrays, attributes))
        visible = len(attributes["body"].program.outputs)
        body = attributes["body"].derived(keeping, _mask(parents))
        outputs = self._values(arrays, {**attributes, "body": body})
        node = Node(
            self, parents, {**attributes, "body": body}, (), outputs[0].dtype,
            {"kept": Kept(arrays, outputs)}, state.position or caller(), state.module,
        )  # fmt: skip
        return tuple(item_of(node, array, i) for i, array in enumerate(outputs[:visible]))

    def _values(self, arrays: Sequence[Any], attributes: dict[str, Any]) -> Sequence[Any]:
        if not any(type(x) is Symbol for x in arrays):
            return self.compute(*arrays, **attributes)
        specs = self.specs(*map(spec_of, arrays), **attributes)
        return state.tracer.note_several(self, arrays, attributes, specs)

    def vjp(
        self, node: Node, g: Value, residuals: dict[str, Value], parents: Sequence[Node | None]
    ) -> Sequence[Value | None]:
        body, length, reverse = (node.attributes[name] for name in ("body", "length", "reverse"))
        recorded = state.grad_enabled and any(isinstance(part, Tensor) for part in g.values())
        inputs: Sequence[Value]
        with grad_mode(recorded):
            kept = residuals["kept"]
            inputs, outputs = kept.connected(node) if recorded else (kept.inputs, kept.outputs)
            live = tuple(i for i in (*body.float_carries, *body.float_ys) if i in g)
            back: Backward = body.derived(backward_of, _mask(parents), live)
            if not back.body.outputs:  # no input has a gradient
                return [None] * len(parents)
            if back.forward is not None:
                outputs = self(*inputs, body=back.forward, length=length, reverse=reverse)
            upstream = {i: g[i] if i in g else _zeros(outputs[i]) for i in (*back.carried, *back.ys)}
            results = self(
                *inputs[: body.constants],
                *(upstream[i] for i in back.carried), *(_zeros(inputs[i]) for i in back.summed),
                *(outputs[i] for i in back.stacks), *(inputs[i] for i in back.xs), *(upstream[i] for i in back.ys),
                body=back.body, length=length, reverse=not reverse,
            )  # fmt: skip
            found = dict(zip(back.results, results, strict=False))
            operands = dict(zip(back.operands, results[len(back.results) :], strict=True))
            for i, terms in back.terms.items():
                found[i] = _total(terms, operands)
        return [None if parent is None else found.get(i) for i, parent in enumerate(parents)]

    def jvp(self, node: Node, tangents: Sequence[Value | None], residuals: dict[str, Value]) -> Value | None:
        body: Body = node.attributes["body"]
        inputs, _ = residuals["kept"].connected(node)
        constants, carry, xs = body.roles()
        floats = {carry[i] for i in body.float_carries}
        given = tuple(dx is not None or i in floats for i, dx in enumerate(tangents))
        filled_in = [_zeros(x) if dx is None else dx for x, dx in zip(inputs, tangents, strict=True)]
        both_in = [  # of constants, carry and xs each the values, then the tangents
            x
            for role in (constants, carry, xs)
            for x in (*(inputs[i] for i in role), *(filled_in[i] for i in role if given[i]))
        ]
        both = self(*both_in, **{**node.attributes, "body": body.derived(tangent_of, given)})
        carries, ys = body.float_carries, body.float_ys
        of_carry, of_ys = both[body.carries : body.carries + len(carries)], both[len(both) - len(ys) :]
        return Parts(dict(zip([*carries, *ys], [*of_carry, *of_ys], strict=True)))

    def batch(self, values: Sequence[Value], mapped: Sequence[bool], size: int, **attributes: Any) -> Value:
        """The outputs, and which of them have the batch as their first axis."""
        body: Body = attributes["body"]
        of_batch, has_batch = body.derived(batched, tuple(mapped), size)
        inputs = [
            swap_first_two(value) if i >= body.first_x and is_mapped else value
            for i, (value, is_mapped) in enumerate(zip(values, mapped, strict=True))
        ]
        for i in range(body.carries):
            if has_batch[i] and not mapped[body.constants + i]:
                inputs[body.constants + i] = with_batch(inputs[body.constants + i], size)
        outputs = self(*inputs, **{**attributes, "body": of_batch})
        stacked = [i >= body.carries and flag for i, flag in enumerate(has_batch)]
        return [swap_first_two(y) if flag else y for y, flag in zip(outputs, stacked, strict=True)], has_batch

    def _of_batch(self, tensors: Sequence[Tensor], level: int, attributes: dict[str, Any]) -> tuple[Tensor, ...]:
        mapped = [isinstance(x, Batched) and x.level == level for x in tensors]
        values = [x.value if isinstance(x, Batched) and x.level == level else x for x in tensors]
        size = values[mapped.index(True)].shape[0]
        outputs, has_batch = self.batch(values, mapped, size, **attributes)
        return tuple(Batched(y, level) if flag else y for y, flag in zip(outputs, has_batch, strict=True))

    def flops(self, output: Spec, *inputs: Spec, **attributes: Any) -> int:
        return attributes["length"] * attributes["body"].program.flops()


def _mask(parents: Sequence[Node | None]) -> tuple[bool, ...]:
    return tuple(parent is not None for parent in parents)


def _zeros(like: Value) -> Value:
    return filled(0, tuple(like.shape), numpy_dtype(like))


def _total(terms: Sequence[Term], operands: dict[Node, Value]) -> Value:
    """The sum of the terms over all steps."""
    total = None
    for term in terms:
        part = _over_all_steps(term, [operands[node] for node in term.operands])
        for view, attributes in term.views:
            part = view(part, **attributes)
        total = part if total is None else add(total, part)
    return total


def _over_all_steps(term: Term, operands: Sequence[Value]) -> Value:
    """Sums of all steps at once; or the products of all steps as one, by putting the steps into the inner axis."""
    if term.primitive is sum_:
        return sum_(operands[0], axes=(0, *(axis + 1 for axis in term.axes)))
    x, y = operands
    steps, inner, columns = y.shape
    if term.turned:  # (T, K, M), (T, K, N): X[t].T @ Y[t], summed over t
        left = transpose(reshape(x, shape=(steps * inner, x.shape[-1])))
    else:  # (T, M, K), (T, K, N)
        left = reshape(permute(x, axes=(1, 0, 2)), shape=(x.shape[1], steps * inner))
    return matmul(left, reshape(y, shape=(steps * inner, columns)))  # (M, T K) @ (T K, N) -> (M, N)


scan_node = register(Scan())
"""The primitive; users call `clearprop.scan`."""
