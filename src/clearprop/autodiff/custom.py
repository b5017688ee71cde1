"""Rules of your own, as the lecture notes write them: ``forward`` keeps a cache, ``backward`` uses it.

A custom rule is a primitive whose rules come from the user. Its node keeps the context with the saved tensors; `vjp`
calls the user's ``backward``; the JVP is found by differentiating ``backward``, which is linear in the upstream
gradient; under ``vmap`` the user's functions run on batched tensors, so that they can be written for one example.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from clearprop.arguments import function
from clearprop.autodiff.backward import backpropagate, enable_grad, grad_mode, no_grad
from clearprop.autodiff.batching import Batched, Physical, levels_of, strip, wrap
from clearprop.autodiff.tree import flatten, rebuild
from clearprop.cell import Cell
from clearprop.errors import GradientError, ShapeError
from clearprop.graph import Node, leaf, state, topological
from clearprop.primitive import Formula, Primitive, Spec, Value, register
from clearprop.primitives.arithmetic import multiply
from clearprop.primitives.control import Parts, item
from clearprop.primitives.reduction import sum_
from clearprop.source import caller
from clearprop.tensor import Tensor, as_tensor


class Context:
    """What ``forward`` hands to ``backward``: the cache of the lecture notes. Set further attributes as you like."""

    def __init__(self) -> None:
        self._saved: tuple[Tensor, ...] = ()
        self._outputs: list[Any] = []
        self._node: Node | None = None

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep tensors for ``backward``: inputs, outputs, or anything in between.

        Gradients of gradients flow through saved inputs and outputs. What was computed in between is constant to them;
        where second derivatives are wanted, save the inputs and compute it again in ``backward``.
        """
        self._saved = tuple(as_tensor(tensor) for tensor in tensors)

    @property
    def saved_tensors(self) -> tuple[Tensor, ...]:
        """What was saved. Saved outputs are connected to the graph, so that gradients of gradients are right."""
        return tuple(self._connected(tensor) for tensor in self._saved)

    @property
    def nbytes(self) -> int:
        """Bytes of what was saved."""
        return sum(tensor.size * tensor.dtype.itemsize for tensor in self._saved)

    def _connected(self, saved: Tensor) -> Tensor:
        """An output has no node yet while ``forward`` runs; it gets it here."""
        if isinstance(saved, Batched):
            return Batched(self._connected(saved.value), saved.level)
        if saved.node is None and self._node is not None and state.grad_enabled:
            for i, array in enumerate(self._outputs):
                if array is saved.array:
                    return _output(self._node, self._outputs, i)
        return saved

    def _made(self, node: Node, outputs: list[Any]) -> None:
        self._node, self._outputs = node, outputs


def _output(node: Node, arrays: Sequence[Any], i: int) -> Tensor:
    """The i-th output of a custom node as a tensor."""
    return Tensor(arrays[0], node) if len(arrays) == 1 else item_of(node, arrays[i], i)


def item_of(node: Node, array: Any, i: int) -> Tensor:
    """The i-th output of a node that has several, as a tensor."""
    if array.dtype.kind != "f":
        return Tensor(array)
    part = Node(item, (node,), {"index": i}, array.shape, array.dtype, {}, node.position, node.module)
    return Tensor(array, part)


class Function:
    """Base class for an operation with a backward pass of your own.

    ``forward(ctx, *args)`` computes with tensors and may call ``ctx.save_for_backward``; nothing it does is recorded.
    ``backward(ctx, *upstream)`` gets one upstream gradient for each output and returns one gradient for each argument
    of ``forward`` (None for those that have none). Call the operation with ``apply``.

    >>> import clearprop as cp
    >>> class Multiply(cp.Function):
    ...     @staticmethod
    ...     def forward(ctx, x, y):
    ...         ctx.save_for_backward(x, y)
    ...         return x * y
    ...     @staticmethod
    ...     def backward(ctx, dz):
    ...         x, y = ctx.saved_tensors
    ...         return dz * y, dz * x
    >>> x, y = cp.tensor(2.0, requires_grad=True), cp.tensor(5.0, requires_grad=True)
    >>> Multiply.apply(x, y).backward()
    >>> x.grad.item(), y.grad.item()
    (5.0, 2.0)
    """

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Any:
        """Compute the output, or a tuple of outputs."""
        raise NotImplementedError("a Function needs a forward(ctx, *args)")

    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> Any:
        """Turn upstream gradients into gradients of the arguments."""
        raise NotImplementedError("a Function needs a backward(ctx, *upstream)")

    def __init__(self, *_: Any) -> None:
        name = type(self).__name__
        raise GradientError(f"{name} is an operation, not a class of objects", hint=f"{name}.apply(...)")

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Run ``forward`` and record one node."""
        return apply_custom(cls.__name__, cls.forward, cls.backward, args)


class Custom(Primitive):
    """z = what the user's ``forward`` computed; the user's ``backward`` is its VJP."""

    formula = Formula(r"z = f(x)", (r"\bar x = f^*(\bar z)",))

    def shape(self, *inputs: Spec, **attributes: Any) -> Spec:
        return attributes["outputs"][0]

    def compute(self, *xs: Value, **attributes: Any) -> Value:
        tensors = [x if isinstance(x, Tensor) else Tensor(x) for x in xs]
        outputs = flatten(attributes["forward"](Context(), *tensors))
        return outputs[0].array if len(outputs) == 1 else tuple(output.array for output in outputs)

    def vjp(
        self, node: Node, g: Value, residuals: dict[str, Value], parents: Sequence[Node | None]
    ) -> Sequence[Value | None]:
        recorded = isinstance(g, Tensor) or (isinstance(g, Parts) and any(isinstance(p, Tensor) for p in g.values()))
        with grad_mode(recorded and state.grad_enabled):
            given = node.attributes["backward"](residuals["context"], *_upstream(node, g))
        gradients = list(given) if isinstance(given, (tuple, list)) else [given]
        name, arguments = node.attributes["function"], node.attributes["arguments"]
        if len(gradients) != arguments:
            raise GradientError(
                f"{name}.backward returned {len(gradients)} gradients; forward took {arguments} arguments",
                hint="return one gradient for each argument, None for those that have none",
                position=node.position,
            )
        return [
            None if parent is None or gradient is None else _checked(name, i, as_tensor(gradient), parent, recorded)
            for i, (gradient, parent) in enumerate(zip(gradients, parents, strict=True))
        ]

    def jvp(self, node: Node, tangents: Sequence[Value | None], residuals: dict[str, Value]) -> Value | None:
        """<g, J dx> = <J^T g, dx> for every g: so J dx is the derivative of the right-hand side by g."""
        with enable_grad():
            specs = node.attributes["outputs"]
            probes = [_probe(spec, tangents) for spec in specs]
            g = probes[0] if len(probes) == 1 else Parts(dict(enumerate(probes)))
            pulled = self.vjp(node, g, residuals, node.parents)
            pairs = [(a, b) for a, b in zip(pulled, tangents, strict=True) if a is not None and b is not None]
            ends: dict[Node, Value] = {}
            for contribution, tangent in pairs:
                product = multiply(contribution, tangent)
                total = sum_(product, axes=tuple(range(len(product.shape))))
                if total.node is not None:
                    ends[total.node] = Tensor(np.ones(total.node.shape, total.node.dtype))
            targets = [probe.node for probe in probes if probe.node is not None]
            found = backpropagate(topological(ends), ends, targets=targets, record=True, release=False)
            parts = [
                Physical(probe).hide(found[probe.node]) if probe.node in found else np.zeros(spec.shape, spec.dtype)
                for probe, spec in zip(probes, specs, strict=True)
            ]
        return parts[0] if len(parts) == 1 else Parts(dict(enumerate(parts)))

    def batch(self, values: Sequence[Value], mapped: Sequence[bool], size: int, **attributes: Any) -> Value:
        raise GradientError("a custom rule is batched where it is applied, by apply_custom")


custom = register(Custom())


def _probe(spec: Spec, tangents: Sequence[Value | None]) -> Tensor:
    """Zeros of that shape behind a node of their own; batched wherever a tangent is, so that examples stay apart."""
    batches = sorted({batch for dx in tangents if isinstance(dx, Batched) for batch in Physical(dx).batches})
    shape = (*(size for _, size in batches), *spec.shape)
    probe = Tensor(np.zeros(shape, spec.dtype), leaf(shape, spec.dtype, None))
    for level, _ in batches:  # the lowest level is the innermost wrapper
        probe = Batched(probe, level)
    return probe


def _upstream(node: Node, g: Value) -> list[Tensor]:
    """One upstream gradient for each output; zeros where none arrived."""
    outputs = node.attributes["outputs"]
    parts = g if isinstance(g, Parts) else Parts({0: g})
    gradients = [parts[i] if i in parts else np.zeros(spec.shape, spec.dtype) for i, spec in enumerate(outputs)]
    return [gradient if isinstance(gradient, Tensor) else Tensor(gradient) for gradient in gradients]


def _checked(name: str, i: int, gradient: Tensor, parent: Node, recorded: bool) -> Value:
    if gradient.shape != parent.shape:
        raise ShapeError(
            f"{name}.backward: the gradient of argument {i} has shape {gradient.shape}, the argument {parent.shape}",
            hint="sum over the axes along which the argument was broadcast",
        )
    return gradient if recorded or type(gradient) is not Tensor else gradient.array


def apply_custom(
    name: str,
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    args: Sequence[Any],
    *,
    is_derivative: bool = False,
) -> Any:
    """Run ``forward(ctx, *args)`` without recording, and leave one node with ``backward`` as its rule.

    Args:
        is_derivative: ``backward`` gives what differentiating ``forward`` would give; so a trace, which notes down what
            ``forward`` applies, need not know of it.
    """
    args = [arg.value if isinstance(arg, Cell) else arg for arg in args]
    if state.tracer is not None:
        args = [state.tracer.lifted(arg) if isinstance(arg, Tensor) else arg for arg in args]
        state.tracer.has_own_rules |= not is_derivative
    return _applied(name, forward, backward, args)


def _applied(name: str, forward: Callable[..., Any], backward: Callable[..., Any], args: Sequence[Any]) -> Any:
    batched = [arg for arg in args if isinstance(arg, Batched)]
    if batched:
        return _apply_batched(name, forward, backward, args, max(batched, key=_level))
    context = Context()
    with no_grad():
        result = forward(context, *args)
    outputs = [as_tensor(output) for output in flatten(result)]
    batched = [output for output in outputs if isinstance(output, Batched)]
    if batched:  # through a closure, and not through an argument
        return _apply_batched(name, forward, backward, args, max(batched, key=_level))
    parents = tuple(arg.node if isinstance(arg, Tensor) else None for arg in args)
    if not state.grad_enabled or all(parent is None for parent in parents):
        return rebuild(result, [output.detach() for output in outputs])
    arrays = [output.array for output in outputs]
    attributes = {
        "function": name,
        "forward": forward,
        "backward": backward,
        "arguments": len(args),
        "outputs": tuple(Spec(array.shape, array.dtype) for array in arrays),
    }
    single = len(arrays) == 1
    node = Node(
        custom, parents, attributes, arrays[0].shape if single else (), arrays[0].dtype,
        {"context": context}, state.position or caller(), state.module,
    )  # fmt: skip
    context._made(node, arrays)
    if state.observer is not None:
        state.observer.forward(node, [getattr(arg, "array", arg) for arg in args], arrays[0] if single else arrays)
    return rebuild(result, [_output(node, arrays, i) for i in range(len(arrays))])


def _level(x: Batched) -> int:
    return x.level


def _apply_batched(
    name: str, forward: Callable[..., Any], backward: Callable[..., Any], args: Sequence[Any], like: Batched
) -> Any:
    """Apply to the tensors inside, with functions that wrap them before they reach the user's."""
    level, size = like.level, like.value.shape[0]
    mapped = [isinstance(arg, Batched) and arg.level == level for arg in args]

    def whole(x: Any) -> Tensor:
        return strip(as_tensor(x), level, size)

    def batched_forward(ctx: Any, *values: Any) -> Any:
        inner = [Batched(v, level) if is_mapped else v for v, is_mapped in zip(values, mapped, strict=True)]
        result = forward(ctx, *inner)
        return rebuild(result, [whole(output) for output in flatten(result)])

    def batched_backward(ctx: Any, *upstream: Any) -> Any:
        given = backward(ctx, *[wrap(g, level) for g in upstream])
        gradients = list(given) if isinstance(given, (tuple, list)) else [given]
        if len(gradients) != len(mapped):
            return gradients  # whose number the node will find wrong
        return [
            None if g is None else whole(g) if is_mapped else _total(as_tensor(g), level, size)
            for g, is_mapped in zip(gradients, mapped, strict=True)
        ]

    values = [arg.value if is_mapped else arg for arg, is_mapped in zip(args, mapped, strict=True)]
    result = _applied(name, batched_forward, batched_backward, values)
    return rebuild(result, [Batched(output, level) for output in flatten(result)])


def _total(g: Tensor, level: int, size: int) -> Tensor:
    """The gradient of an argument that all examples share: the sum over the batch, if it is not summed already."""
    return sum_(strip(g, level, size), axes=(0,)) if level in levels_of(g) else g


class custom_vjp:
    """A function with a backward pass of your own, in JAX's style; see `Function` for PyTorch's.

    ``forward(*args)`` returns the output and the residuals; ``backward(residuals, g)`` a tuple with one gradient for
    each argument.

    >>> import clearprop as cp
    >>> @cp.custom_vjp
    ... def clipped_gradient(x):
    ...     return x
    >>> _ = clipped_gradient.defvjp(lambda x: (x, None), lambda _, g: (cp.clip(g, -1.0, 1.0),))
    >>> cp.grad(lambda x: clipped_gradient(x) * 5.0)(cp.tensor(1.0))
    Tensor(1., dtype=float32)
    """

    def __init__(self, f: Callable[..., Any]) -> None:
        function("custom_vjp", "f", f, "a function of tensors")
        wraps(f)(self)
        self._function = f
        self._rules: tuple[Callable[..., Any], Callable[..., Any]] | None = None

    def defvjp(self, forward: Callable[..., Any], backward: Callable[..., Any]) -> custom_vjp:
        """Say how to compute the function with residuals, and how to pull a gradient back; returns the function."""

        def saving_forward(ctx: Any, *args: Any) -> Any:
            output, ctx.residuals = forward(*args)
            ctx.save_for_backward(*[r for r in flatten(ctx.residuals) if isinstance(r, (Tensor, Cell))])
            return output

        def loading_backward(ctx: Any, *upstream: Any) -> Any:
            saved = iter(ctx.saved_tensors)
            leaves = [next(saved) if isinstance(r, (Tensor, Cell)) else r for r in flatten(ctx.residuals)]
            return backward(rebuild(ctx.residuals, leaves), upstream[0] if len(upstream) == 1 else upstream)

        self._rules = saving_forward, loading_backward
        return self

    def __call__(self, *args: Any) -> Any:
        if self._rules is None:
            raise GradientError(
                f"{self._function.__name__} is a custom_vjp without rules",
                hint=f"{self._function.__name__}.defvjp(forward, backward)",
            )
        return apply_custom(self._function.__name__, *self._rules, args)
