"""Backpropagation: one walk through the graph, from the output to the leaves.

For each node, in falling order of its number (so that everything that uses it has been visited before):

    1. its upstream gradient is complete: the contributions of all its users have been added up;
    2. its primitive's rules turn the upstream gradient into one contribution for each input;
    3. each contribution is added to the upstream gradient of that input.

Each node is visited once, without recursion, so the time is linear in the number of nodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from clearprop.errors import ClearpropError, GradientError, ShapeError
from clearprop.graph import RELEASED, Node, state, topological
from clearprop.primitive import Value, node_residuals, wrap_residuals
from clearprop.primitives.arithmetic import add
from clearprop.primitives.control import Parts
from clearprop.tensor import Tensor, to_array


def backpropagate(
    order: Sequence[Node],
    upstream: dict[Node, Value],
    *,
    targets: Iterable[Node] = (),
    needed: set[Node] | None = None,
    record: bool = False,
    release: bool = True,
) -> dict[Node, Value]:
    """Run the backward pass over nodes in topological order.

    Args:
        order: the nodes, inputs first.
        upstream: gradients to start from; used up.
        targets: nodes to stop at; their gradients are returned instead of being added into ``.grad`` of leaves.
        needed: if given, contributions to other nodes than these are not computed.
        record: compute with tensors that record, so that the gradients can be differentiated again.
        release: drop each node's residuals as soon as they have been used.

    Returns:
        The gradient of each target that one arrived at.
    """
    wanted, found, observer = set(targets), dict[Node, Value](), state.observer
    for node in reversed(order):
        g = upstream.pop(node, None)  # complete: all that use this node have higher numbers
        if g is None:
            continue
        if node.hooks:
            g = _run_hooks(node, g)
        if wanted:
            if node in wanted:
                found[node] = g
                continue
        elif node.cell is not None:
            _add_into_grad(node, g)
        primitive, parents = node.primitive, node.parents
        if primitive is None:
            if observer is not None:
                observer.arrived(node, g)
            continue
        if needed is not None:
            parents = tuple(parent if parent in needed else None for parent in parents)
        residuals = wrap_residuals(node) if record else node_residuals(node)
        try:
            contributions = primitive.vjp(node, g, residuals, parents)
        except ClearpropError as error:
            message = f"in the backward pass of {node.name}: {error.message}"
            raise GradientError(message, error.hint, node.position) from error
        if observer is not None:
            observer.backward(node, g, contributions)
        for parent, contribution in zip(parents, contributions, strict=True):
            if parent is not None and contribution is not None:
                if parent in upstream:  # fan-out: another user of this input has contributed already
                    contribution = _grown(upstream[parent], contribution)
                upstream[parent] = contribution
        if release:
            node.residuals = RELEASED
    return found


def accumulate(a: Value, b: Value) -> Value:
    """The sum of two contributions to one node; of a node with several outputs, output by output."""
    if isinstance(a, Parts):
        return Parts({i: accumulate(a[i], b[i]) if i in a and i in b else a.get(i, b.get(i)) for i in {**a, **b}})
    return add(a, b)


class _Sum(Parts):
    """Parts that a backward pass has put together itself, and to which it may therefore go on adding."""


def _grown(held: Value, contribution: Value) -> Value:
    """The same as `accumulate`; the parts of n outputs are gathered in one dict, and not copied n times."""
    if not isinstance(held, Parts):
        return add(held, contribution)
    total = held if isinstance(held, _Sum) else _Sum(held)
    for i, part in contribution.items():
        total[i] = accumulate(total[i], part) if i in total else part
    return total


def _add_into_grad(node: Node, g: Value) -> None:
    """``.grad`` of a leaf (or of a tensor that retains it) grows by g."""
    gradient = g if isinstance(g, Tensor) else Tensor(g)
    held = node.cell.grad
    node.cell.grad = gradient if held is None else add(held, gradient)


def _run_hooks(node: Node, g: Value) -> Value:
    """The gradient after the hooks of the node, in the order in which they were registered."""
    for hook in node.hooks or ():
        replaced = hook(g if isinstance(g, Tensor) else Tensor(g))
        if replaced is None:
            continue
        if replaced.shape != node.shape:
            raise ShapeError(
                f"a hook of {node.name} returned shape {replaced.shape}; the gradient has {node.shape}",
                hint="return a gradient of the same shape, or None to change nothing",
            )
        g = replaced if isinstance(g, Tensor) else replaced.array
    return g


def backward(output: Tensor, g: Any = None, *, retain_graph: bool = False, create_graph: bool = False) -> None:
    """Compute the gradient of this tensor by every leaf below it, and add it into their ``.grad``.

    Args:
        g: upstream gradient, of this tensor's shape; may be left out for a scalar, where it is 1.
        retain_graph: keep the residuals, so that another backward pass can go through the same graph.
        create_graph: record the backward pass itself, so that gradients can be differentiated; retains the graph too.

    Raises:
        GradientError: if no gradient flows to this tensor, if it is not a scalar and ``g`` is missing, or if an earlier
            backward pass has released the graph.

    >>> import clearprop as cp
    >>> x, y, z = (cp.tensor(v, requires_grad=True) for v in (-2.0, 5.0, -4.0))
    >>> ((x + y) * z).backward()
    >>> x.grad.item(), y.grad.item(), z.grad.item()
    (-4.0, -4.0, 3.0)
    """
    if type(output) is not Tensor:
        raise GradientError("backward() adds into .grad and has no meaning inside vmap", hint="cp.vmap(cp.grad(loss))")
    node = output.node
    if node is None:
        raise GradientError(
            "backward() on a tensor to which no gradient flows: it depends on no tensor that requires gradients",
            hint="cp.tensor(..., requires_grad=True) or a Parameter, and no no_grad() or detach() before the loss",
        )
    start = _first_gradient(output, g)
    if not create_graph:
        backpropagate(topological([node]), {node: start}, release=not retain_graph)
        return
    with grad_mode(True):
        backpropagate(topological([node]), {node: Tensor(start)}, record=True, release=False)


def _first_gradient(output: Tensor, g: Any) -> Any:
    """The upstream gradient that the pass starts from: the user's, or 1, as the derivative of the loss by itself."""
    if g is None:
        if output.shape:
            raise GradientError(
                f"backward() needs a scalar loss; this tensor has shape {output.shape}",
                hint=f"loss.mean().backward(), or pass the upstream gradient: backward(g), g of shape {output.shape}",
            )
        return np.array(1, output.array.dtype)
    array = to_array(g, output.array.dtype)
    if array.shape != output.shape:
        raise GradientError(
            f"backward(g): g has shape {array.shape}, this tensor has shape {output.shape}",
            hint=f"g of shape {output.shape}",
        )
    return array


class grad_mode:
    """Context (and decorator) inside which operations do, or do not, record."""

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(state.grad_enabled)
        state.grad_enabled = self.enabled

    def __exit__(self, *_: object) -> None:
        state.grad_enabled = self._before.pop()

    def __call__(self, function: Any) -> Any:
        @wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with grad_mode(self.enabled):
                return function(*args, **kwargs)

        return wrapped


def no_grad() -> grad_mode:
    """Nothing is recorded inside: ``with cp.no_grad(): …``, or as a decorator ``@cp.no_grad()``.

    >>> import clearprop as cp
    >>> x = cp.tensor(3.0, requires_grad=True)
    >>> with cp.no_grad():
    ...     (x * x).requires_grad
    False
    """
    return grad_mode(False)


def enable_grad() -> grad_mode:
    """Record again, inside a `no_grad`.

    >>> import clearprop as cp
    >>> x = cp.tensor(3.0, requires_grad=True)
    >>> with cp.no_grad():
    ...     y = x * x
    ...     with cp.enable_grad():
    ...         z = x * x
    >>> y.requires_grad, z.requires_grad
    (False, True)
    """
    return grad_mode(True)


Tensor.backward = backward  # type: ignore[method-assign, assignment]
