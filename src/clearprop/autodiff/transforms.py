"""Transformations: from a function to its gradient, its Jacobian, its Hessian, its batched form.

Functions take and return tensors, or nested dicts, lists and tuples of them. No transformation touches ``.grad``. They
can be put into one another in any order, because each works on the graph that the function leaves behind, and what it
computes is itself recorded if somebody outside needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Literal

import numpy as np

from clearprop.autodiff.backward import backpropagate, grad_mode
from clearprop.autodiff.batching import Batched, Physical, fresh, innermost, levels_of, new_level, running, strip
from clearprop.autodiff.tree import as_tensor, flatten, is_leaf, map_leaves, rebuild
from clearprop.errors import DTypeError, GradientError, ShapeError
from clearprop.graph import Node, last_number, topological
from clearprop.primitive import Value, numpy_dtype, wrap_residuals
from clearprop.primitives.arithmetic import add
from clearprop.primitives.families import with_batch
from clearprop.primitives.shaping import permute, reshape
from clearprop.tensor import Tensor

Function = Callable[..., Any]


class Linearization:
    """A function run once at a point, with the graph it left: ready to be pulled back (VJP) and pushed forward (JVP).

    Args:
        also: further nodes by which to differentiate, older than the run.

    Attributes:
        inputs: leaves of the differentiated arguments, each behind a fresh node.
        outputs: leaves of the result.
        result: the result as the function returned it.
    """

    def __init__(self, f: Function, xs: Sequence[Any], also: Sequence[Node] = ()) -> None:
        self.also = list(also)
        self.before = last_number()
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
            record = self.outside or any(_is_recorded(g) for g in gs)
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
        return Physical(x).hide(_as_gradient(_node(x), g))  # type: ignore[no-any-return]

    def push(self, dxs: Sequence[Any]) -> list[Tensor]:
        """Jacobian-vector product: tangents of the outputs, given tangents of the inputs."""
        tangents: dict[Node, Value] = {}
        for x, dx in zip(self.inputs, dxs, strict=True):
            tangents[_node(x)] = Physical(x).show(as_tensor(dx))
        with grad_mode(self.outside or any(_is_recorded(dx) for dx in dxs)):
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
        return Physical(y).hide(dy if isinstance(dy, Tensor) else Tensor(dy))  # type: ignore[no-any-return]


def _as_gradient(node: Node, g: Value | None) -> Tensor:
    """A gradient by that node as a tensor; zeros where none arrived."""
    if g is None:
        return Tensor(np.zeros(node.shape, node.dtype))
    return g if isinstance(g, Tensor) else Tensor(g)


def _node(x: Tensor) -> Node:
    node = x.node
    assert node is not None
    return node


def _is_recorded(x: Any) -> bool:
    return isinstance(x, Tensor) and x.requires_grad


def _differentiable(x: Tensor) -> Tensor:
    if not x.dtype.is_floating:
        raise DTypeError(
            f"gradients exist for floating-point arguments only; this one is {x.dtype.name}{list(x.shape)}",
            hint="x.astype(cp.float32), or name the other arguments in argnums",
        )
    return x


def _argument_numbers(argnums: int | Sequence[int], args: Sequence[Any], name: str) -> list[int]:
    numbers = [argnums] if isinstance(argnums, int) else list(argnums)
    for number in numbers:
        if not -len(args) <= number < len(args):
            raise GradientError(f"{name}: argnums={argnums}, but the function was called with {len(args)} arguments")
    return [number % len(args) for number in numbers]


def _only(f: Function, args: Sequence[Any], numbers: Sequence[int], kwargs: dict[str, Any]) -> Function:
    """f as a function of some of its arguments alone."""

    def partial(*xs: Any) -> Any:
        full = list(args)
        for number, x in zip(numbers, xs, strict=True):
            full[number] = x
        return f(*full, **kwargs)

    return partial


def value_and_grad(f: Function, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Function:
    """A function that returns what ``f`` returns, and its gradient.

    Args:
        f: returns a scalar tensor; with ``has_aux``, a pair of it and anything else.
        argnums: which argument, or arguments, to differentiate by; each a tensor or a nesting of tensors.

    Returns:
        A function of the same arguments that returns ``(value, gradient)``, the gradient nested like the argument (for
        several argnums a tuple); with ``has_aux``, ``((value, aux), gradient)``.

    >>> import clearprop as cp
    >>> cp.value_and_grad(lambda x: x * x)(cp.tensor(3.0))
    (Tensor(9., dtype=float32), Tensor(6., dtype=float32))
    """

    @wraps(f)
    def transformed(*args: Any, **kwargs: Any) -> Any:
        numbers = _argument_numbers(argnums, args, "grad")
        xs, aux = [args[number] for number in numbers], None
        partial = _only(f, args, numbers, kwargs)

        def scalar(*inner: Any) -> Any:
            nonlocal aux
            if not has_aux:
                return partial(*inner)
            value, aux = partial(*inner)
            return value

        run = Linearization(scalar, xs)
        if len(run.outputs) != 1 or run.outputs[0].shape != ():
            shapes = [y.shape for y in run.outputs]
            raise GradientError(
                f"grad needs a function that returns one scalar; it returned shapes {shapes}",
                hint="f(x).sum(), or cp.jacobian for the derivative of every output",
            )
        one = np.ones((), numpy_dtype(run.outputs[0]))
        gradients = rebuild(xs, [run.finished(g) for g in run.pull([Tensor(one)], again=False)])
        value = run.finished(run.result)
        gradient = gradients[0] if isinstance(argnums, int) else tuple(gradients)
        return ((value, run.finished(aux)), gradient) if has_aux else (value, gradient)

    return transformed


def grad(f: Function, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Function:
    """A function that returns the gradient of ``f``; see `value_and_grad`.

    With ``has_aux`` it returns ``(gradient, aux)``.

    >>> import clearprop as cp
    >>> cp.grad(cp.grad(lambda x: x**3))(cp.tensor(2.0))
    Tensor(12., dtype=float32)
    """
    both = value_and_grad(f, argnums, has_aux)

    @wraps(f)
    def transformed(*args: Any, **kwargs: Any) -> Any:
        value, gradient = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return transformed


def vjp(f: Function, *xs: Any) -> tuple[Any, Function]:
    """The value of ``f`` at ``xs``, and a function that pulls upstream gradients back to ``xs``.

    Returns:
        ``(y, pullback)``; ``pullback(g)``, with ``g`` nested and shaped like ``y``, returns a tuple with the
        vector-Jacobian product by each argument, and can be called as often as wanted.

    >>> import clearprop as cp
    >>> y, pullback = cp.vjp(lambda x: x * x, cp.tensor([1.0, 2.0]))
    >>> pullback(cp.tensor([1.0, 10.0]))
    (Tensor([ 2., 40.], dtype=float32),)
    """
    run = Linearization(f, xs)

    def pullback(g: Any) -> tuple[Any, ...]:
        gs = flatten(g)
        _check_like(gs, run.outputs, "pullback", "the output")
        recorded = any(_is_recorded(one) for one in gs)
        found = run.pull(gs, again=True)
        return tuple(rebuild(list(xs), found if recorded else [run.finished(one) for one in found]))

    return run.finished(run.result), pullback


def jvp(f: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """The value of ``f`` at ``primals``, and its derivative in the direction of ``tangents`` (forward mode).

    >>> import clearprop as cp
    >>> cp.jvp(cp.sin, (cp.tensor(0.0),), (cp.tensor(2.0),))
    (Tensor(0., dtype=float32), Tensor(2., dtype=float32))
    """
    run = Linearization(f, list(primals))
    dxs = flatten(list(tangents))
    _check_like(dxs, run.inputs, "jvp", "the primal")
    dys = run.push(dxs)
    recorded = any(_is_recorded(dx) for dx in dxs)
    return run.finished(run.result), rebuild(run.result, dys if recorded else [run.finished(dy) for dy in dys])


def _check_like(given: Sequence[Any], expected: Sequence[Tensor], name: str, what: str) -> None:
    if len(given) != len(expected):
        raise GradientError(f"{name}: {len(given)} tensors given, {len(expected)} expected")
    for one, like in zip(given, expected, strict=True):
        if as_tensor(one).shape != like.shape:
            raise ShapeError(f"{name}: shape {as_tensor(one).shape} given, {what} has shape {like.shape}")


def hvp(f: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """Hessian-vector product of a scalar function, forward over reverse: the Hessian itself is never formed.

    Returns:
        The product, nested like the first argument; for several arguments a tuple.

    >>> import clearprop as cp
    >>> x, v = cp.tensor([1.0, 2.0]), cp.tensor([1.0, 0.0])
    >>> cp.hvp(lambda x: (x * x * x).sum(), (x,), (v,))
    Tensor([6., 0.], dtype=float32)
    """
    numbers = tuple(range(len(primals)))
    _, product = jvp(grad(f, argnums=numbers), primals, tangents)
    return product[0] if len(primals) == 1 else product


def jacobian(
    f: Function,
    argnums: int | Sequence[int] = 0,
    *,
    mode: Literal["auto", "forward", "reverse"] = "auto",
    layout: Literal["numerator", "denominator"] = "numerator",
) -> Function:
    """A function that returns the Jacobian of ``f``: the derivative of every output by every input.

    Args:
        argnums: which argument, or arguments, to differentiate by; each a tensor or a nesting of tensors.
        mode: "forward" costs one pass for each input element, "reverse" one for each output element; "auto" takes the
            cheaper one.
        layout: "numerator" gives shape ``(*output, *input)``, so that dy = J dx; "denominator" gives
            ``(*input, *output)``, its transpose, in which the gradient of a scalar has the shape of its input.

    Returns:
        A function of the same arguments whose result is nested like the argument (for several argnums a tuple), and in
        the place of each of its tensors, like the output of ``f``.

    >>> import clearprop as cp
    >>> A = cp.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    >>> x = cp.tensor([1.0, 1.0])
    >>> cp.jacobian(lambda x: A @ x)(x).shape, cp.jacobian(lambda x: A @ x, layout="denominator")(x).shape
    ((3, 2), (2, 3))
    """
    if layout not in ("numerator", "denominator") or mode not in ("auto", "forward", "reverse"):
        raise GradientError(f"jacobian: mode={mode!r}, layout={layout!r}", hint='mode="auto", layout="numerator"')

    @wraps(f)
    def transformed(*args: Any, **kwargs: Any) -> Any:
        numbers = _argument_numbers(argnums, args, "jacobian")
        xs = [args[number] for number in numbers]
        run = Linearization(_only(f, args, numbers, kwargs), xs)
        inputs, outputs = sum(x.size for x in run.inputs), sum(y.size for y in run.outputs)
        forward = mode == "forward" or (mode == "auto" and inputs <= outputs)
        blocks = _forward_blocks(run) if forward else _reverse_blocks(run)
        if layout == "denominator":
            blocks = [
                [_swap_groups(block, y.ndim) for block, y in zip(row, run.outputs, strict=True)] for row in blocks
            ]
        by_argument = rebuild(xs, [rebuild(run.result, [run.finished(block) for block in row]) for row in blocks])
        return by_argument[0] if isinstance(argnums, int) else tuple(by_argument)

    return transformed


def _forward_blocks(run: Linearization) -> list[list[Tensor]]:
    """For each input and each output the Jacobian (*output, *input): push every basis vector forward, all at once."""
    rows = []
    for i, x in enumerate(run.inputs):
        level, zeros = new_level(), [np.zeros(other.shape, numpy_dtype(other)) for other in run.inputs]
        directions: list[Any] = [Tensor(zero) for zero in zeros]
        directions[i] = Batched(_basis(x), level)
        pushed = run.push(directions)
        columns = [_unwrap(dy, level, x.size) for dy in pushed]  # each (elements of x, *output)
        rows.append(
            [
                reshape(_swap_groups(column, 1), shape=(*y.shape, *x.shape))
                for column, y in zip(columns, run.outputs, strict=True)
            ]
        )
    return rows


def _reverse_blocks(run: Linearization) -> list[list[Tensor]]:
    """The same, by pulling back every basis vector of the outputs."""
    by_output = []
    for i, y in enumerate(run.outputs):
        level = new_level()
        gs: list[Any] = [Tensor(np.zeros(other.shape, numpy_dtype(other))) for other in run.outputs]
        gs[i] = Batched(_basis(y), level)
        pulled = run.pull(gs, again=True)  # each, unwrapped, (elements of y, *input)
        by_output.append(
            [
                reshape(_unwrap(dx, level, y.size), shape=(*y.shape, *x.shape))
                for dx, x in zip(pulled, run.inputs, strict=True)
            ]
        )
    return [list(row) for row in zip(*by_output, strict=True)]


def _basis(x: Tensor) -> Tensor:
    """All unit vectors of the space of x: (elements of x, *shape of x)."""
    return Tensor(np.eye(x.size, dtype=numpy_dtype(x)).reshape(x.size, *x.shape))


def _unwrap(x: Tensor, level: int, size: int) -> Value:
    """The results for all basis vectors, along the first axis; repeated if they do not depend on the vector."""
    return x.value if isinstance(x, Batched) and x.level == level else with_batch(x, size)


def _swap_groups(x: Value, first: int) -> Value:
    """The first so many axes moved behind the others."""
    order = range(len(x.shape))
    return permute(x, axes=(*order[first:], *order[:first]))


def hessian(f: Function, argnums: int = 0) -> Function:
    """A function that returns the matrix of second derivatives of a scalar ``f``, forward over reverse.

    Returns:
        A function whose result has shape ``(*input, *input)``; for a nested argument, nested like it, and inside like
        it again: ``h["w"]["b"]``.

    >>> import clearprop as cp
    >>> cp.hessian(lambda x: x[0] * x[0] * x[1])(cp.tensor([3.0, 5.0]))
    Tensor([[10.,  6.],
            [ 6.,  0.]], dtype=float32)
    """
    return jacobian(grad(f, argnums), argnums, mode="forward")


def vmap(f: Function, in_axes: Any = 0, out_axes: Any = 0) -> Function:
    """A function that applies ``f``, written for one example, to a whole batch at once.

    Args:
        in_axes: for each argument, which axis is the batch, or None if it is the same for all examples; a tuple, or one
            number for all arguments. For a nested argument one number for all its tensors, or numbers nested like it.
        out_axes: where the batch axis goes in each result; None for one that does not depend on the example.

    Raises:
        ShapeError: if batch sizes differ, or there is none.

    >>> import clearprop as cp
    >>> loss = lambda w, x: (w * x).sum()
    >>> w, xs = cp.tensor([1.0, 2.0]), cp.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> cp.vmap(cp.grad(loss), in_axes=(None, 0))(w, xs)       # per-example gradients
    Tensor([[1., 2.],
            [3., 4.]], dtype=float32)
    """

    @wraps(f)
    def transformed(*args: Any, **kwargs: Any) -> Any:
        axes = _axes_of_leaves(in_axes, list(args), "in_axes")
        xs = [x if axis is None else as_tensor(x) for x, axis in zip(flatten(list(args)), axes, strict=True)]
        level, size = new_level(), _batch_size(xs, axes)
        batched = [x if axis is None else _hide_axis(x, axis, level) for x, axis in zip(xs, axes, strict=True)]
        with running(level, size):
            result = f(*rebuild(list(args), batched), **kwargs)
            ys = [as_tensor(y) for y in flatten(result)]
            places = _axes_of_leaves(out_axes, result, "out_axes")
            return rebuild(result, [_show_axis(y, axis, level, size) for y, axis in zip(ys, places, strict=True)])

    return transformed


def _axes_of_leaves(axes: Any, tree: Any, name: str) -> list[int | None]:
    """One axis for each leaf of a tree. Axes are nested like the tree; a number, or None, stands for all below it."""
    if axes is None or isinstance(axes, int):
        return [axes] * len(flatten(tree))
    if is_leaf(tree) or is_leaf(axes) or isinstance(tree, dict) != isinstance(axes, dict) or len(tree) != len(axes):
        raise ShapeError(f"vmap: {name}={axes!r} does not fit", hint=f"{name}: a number, or nested like what it is for")
    pairs = [(axes[key], tree[key]) for key in tree] if isinstance(tree, dict) else list(zip(axes, tree, strict=True))
    return [axis for some, below in pairs for axis in _axes_of_leaves(some, below, name)]


def _batch_size(xs: Sequence[Any], axes: Sequence[int | None]) -> int:
    sizes = set[int]()
    for x, axis in zip(xs, axes, strict=True):
        if axis is None:
            continue
        if not -x.ndim <= axis < x.ndim:
            raise ShapeError(
                f"vmap: in_axes says axis {axis} of a tensor of shape {x.shape}", hint="None for what has no batch axis"
            )
        sizes.add(x.shape[axis])
    if len(sizes) != 1:
        raise ShapeError(
            f"vmap: batch sizes {sorted(sizes)} of the arguments; there must be exactly one",
            hint="in_axes: which axis of each argument is the batch, None for one that all examples share",
        )
    return sizes.pop()


def _move_axis(x: Value, source: int, target: int) -> Value:
    order = list(range(len(x.shape)))
    order.insert(target, order.pop(source))
    return x if order == sorted(order) else permute(x, axes=tuple(order))


def _hide_axis(x: Tensor, axis: int, level: int) -> Tensor:
    return Batched(_move_axis(x, axis % x.ndim, 0), level)


def _show_axis(y: Tensor, axis: int | None, level: int, size: int) -> Tensor:
    """The result of all examples, the batch at that axis; for None the result that is the same for all."""
    if axis is None:
        if level in levels_of(y):
            raise ShapeError("vmap: out_axes=None for a result that differs between examples", hint="out_axes=0")
        return y
    whole = strip(y, level, size)
    if not -whole.ndim <= axis < whole.ndim:
        raise ShapeError(f"vmap: out_axes says axis {axis} of results of shape {whole.shape}", hint="out_axes=0")
    return _move_axis(whole, 0, axis % whole.ndim)  # type: ignore[no-any-return]
