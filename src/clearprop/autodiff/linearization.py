"""One run of a function, and what can be done with the graph it leaves: the ground of all transformations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from clearprop.autodiff.backward import backpropagate, grad_mode
from clearprop.autodiff.batching import Batched, Physical, fresh, innermost
from clearprop.autodiff.tree import flatten, map_leaves, rebuild
from clearprop.errors import DTypeError
from clearprop.graph import Node, take_number, topological
from clearprop.primitive import Value, wrap_residuals
from clearprop.primitives.arithmetic import add
from clearprop.tensor import Tensor, as_tensor


class Linearization:
    """A function run once at a point, with the graph it left: ready to be pulled back (VJP) and pushed forward (JVP).

    How gradients of gradients come about, at the example of f(x) = x³ and ``grad(grad(f))`` at x = 2:

        outer run   x becomes a fresh leaf, a, with the value 2, and grad(f) is called on it
        inner run   a is older than this run, so the fresh node is an identity on top of it: b = a
                    f records b * b * b
                    it rests on a, which is outside, so the pull back to b is recorded: 3 b²
                    handed out connected to a
        outer run   pulls 3 b² back through b to a: 6 a = 12; nobody outside needs it, so it is handed out as a number

    Each run asks at nodes of its own; so which derivative is meant by whom cannot be confused.

    Args:
        f: the function, and ``xs``, its arguments, nested as one likes.
        also: further nodes by which to differentiate, older than the run.

    Attributes:
        inputs: leaves of the differentiated arguments, each behind a fresh node.
        outputs: leaves of the result.
        result: the result as the function returned it.
    """

    def __init__(self, f: Callable[..., Any], xs: Sequence[Any], also: Sequence[Node] = ()) -> None:
        self.also = list(also)
        self.before = take_number()
        with grad_mode(True):
            self.inputs = [_differentiable(fresh(as_tensor(x))) for x in flatten(list(xs))]
            self.result = f(*rebuild(list(xs), self.inputs))
        self.outputs = [as_tensor(y) for y in flatten(self.result)]
        self._survey()

    def _survey(self) -> None:
        """Find what lies between inputs and outputs, and whether somebody outside could want to differentiate further.

        Sets ``order``, the nodes that f recorded; ``needed``, those of them that depend on a target; and ``outside``:
        whether the run used a node older than itself, or made a leaf that has a ``.grad``. If not, nobody else can
        differentiate its result, and gradients need not be recorded.
        """
        self.targets = [*(_node(x) for x in self.inputs), *self.also]
        ends = [node for node in (y.node for y in self.outputs) if node is not None]
        self.order = [*self.also, *topological(ends, since=self.before)]
        own, self.needed, self.outside = set(self.targets), set(self.targets), False
        for node in self.order:
            if any(parent in self.needed for parent in node.parents):
                self.needed.add(node)
            if node not in own and node.is_leaf and node.cell is not None:  # others belong to transformations inside f
                self.outside = True
            if any(parent is not None and parent.number <= self.before for parent in node.parents):
                self.outside = True
        self.outside |= any(node.number <= self.before for node in ends)

    def finished(self, tree: Any) -> Any:
        """Results to hand out: cut off from the graph unless somebody outside needs it."""
        return tree if self.outside else map_leaves(lambda x: x.detach() if isinstance(x, Tensor) else x, tree)

    def pull(self, gs: Sequence[Any], *, again: bool, record: bool | None = None) -> list[Tensor]:
        """Vector-Jacobian product: gradients of the inputs (and of ``also``), given upstream gradients of the outputs.

        Args:
            again: keep the residuals for another pull.
            record: make gradients that can be differentiated; by default if somebody outside could want to.
        """
        upstream: dict[Node, Value] = {}
        if record is None:
            record = self.outside or any(is_recorded(g) for g in gs)
        with grad_mode(record):
            for y, g in zip(self.outputs, gs, strict=True):
                if y.node is None or y.node not in self.needed:
                    continue
                shown = Physical(y).show(as_tensor(g))
                shown = shown if record or isinstance(shown, Batched) else shown.array
                upstream[y.node] = add(upstream[y.node], shown) if y.node in upstream else shown
            found = backpropagate(
                self.order,
                upstream,
                targets=self.targets,
                needed=self.needed,
                record=record,
                release=not (again or record),
            )
            gradients = [self._gradient(x, found.get(_node(x))) for x in self.inputs]
            return gradients + [_as_gradient(node, found.get(node)) for node in self.also]

    def _gradient(self, x: Tensor, g: Value | None) -> Tensor:
        return Physical(x).hide(_as_gradient(_node(x), g))

    def push(self, dxs: Sequence[Any]) -> list[Tensor]:
        """Jacobian-vector product: tangents of the outputs, given tangents of the inputs."""
        tangents: dict[Node, Value] = {}
        for x, dx in zip(self.inputs, dxs, strict=True):
            tangents[_node(x)] = Physical(x).show(as_tensor(dx))
        with grad_mode(self.outside or any(is_recorded(dx) for dx in dxs)):
            for node in self.order:
                arriving = [tangents.get(parent) if parent is not None else None for parent in node.parents]
                if node.primitive is None or node in tangents or all(dx is None for dx in arriving):
                    continue
                tangent = node.primitive.jvp(node, arriving, wrap_residuals(node))
                if tangent is not None:
                    tangents[node] = tangent
            return [self._tangent(y, tangents.get(y.node) if y.node is not None else None) for y in self.outputs]

    def _tangent(self, y: Tensor, dy: Value | None) -> Tensor:
        inner = innermost(y)
        if dy is None:
            dy = np.zeros(inner.shape, inner.array.dtype)
        return Physical(y).hide(dy if isinstance(dy, Tensor) else Tensor(dy))


def _as_gradient(node: Node, g: Value | None) -> Tensor:
    """A gradient by that node as a tensor; zeros where none arrived."""
    if g is None:
        return Tensor(np.zeros(node.shape, node.dtype))
    return g if isinstance(g, Tensor) else Tensor(g)


def _node(x: Tensor) -> Node:
    node = x.node
    assert node is not None
    return node


def is_recorded(x: Any) -> bool:
    return isinstance(x, Tensor) and x.requires_grad


def _differentiable(x: Tensor) -> Tensor:
    if not x.dtype.is_floating:
        raise DTypeError(
            f"gradients exist for floating-point arguments only; this one is {x.dtype.name}{list(x.shape)}",
            hint="x.astype(cp.float32), or name the other arguments in argnums",
        )
    return x
