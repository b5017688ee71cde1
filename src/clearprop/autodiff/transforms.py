"""Transformations: from a function to its gradient, its Jacobian, its Hessian.

Functions take and return tensors, or nested dicts, lists and tuples of them. No transformation touches ``.grad``. They
can be put into one another in any order, because each works on the graph that the function leaves behind, and what it
computes is itself recorded if somebody outside needs it; see `linearization`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Literal, TypeAlias

import numpy as np

from clearprop.arguments import function, one_of
from clearprop.autodiff.batching import Batched, new_level
from clearprop.autodiff.linearization import Linearization, is_recorded
from clearprop.autodiff.tree import flatten, rebuild
from clearprop.errors import GradientError, ShapeError, UsageError
from clearprop.primitive import Value, numpy_dtype
from clearprop.primitives.families import with_batch
from clearprop.primitives.shaping import permute, reshape
from clearprop.tensor import Tensor, as_tensor

AnyFunction: TypeAlias = Callable[..., Any]


def check_function(name: str, f: Any) -> None:
    """Raise UsageError for what is transformed but is no function, such as the loss itself."""
    function(name, "f", f, f"a function of tensors: cp.{name}(lambda x: …)")


def _check_arguments(name: str, **given: Any) -> None:
    for label, arguments in given.items():
        if not isinstance(arguments, list | tuple):
            raise UsageError(
                f"{name}: {label} is a {type(arguments).__name__}", hint=f"a tuple, one for each argument: {label}=(x,)"
            )


def _argument_numbers(argnums: int | Sequence[int], args: Sequence[Any], name: str) -> list[int]:
    numbers = [argnums] if isinstance(argnums, int) else list(argnums)
    for number in numbers:
        if not -len(args) <= number < len(args):
            raise GradientError(
                f"{name}: argnums={argnums}, but the function was called with {len(args)} arguments",
                hint="argnums counts the positional arguments from 0",
            )
    return [number % len(args) for number in numbers]


def _only(f: AnyFunction, args: Sequence[Any], numbers: Sequence[int], kwargs: dict[str, Any]) -> AnyFunction:
    """f as a function of some of its arguments alone."""

    def partial(*xs: Any) -> Any:
        full = list(args)
        for number, x in zip(numbers, xs, strict=True):
            full[number] = x
        return f(*full, **kwargs)

    return partial


def value_and_grad(f: AnyFunction, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> AnyFunction:
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
    check_function("grad", f)

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
        if not run.outputs[0].dtype.is_floating:
            raise GradientError(
                f"grad needs a function that returns a floating-point number; it returned {run.outputs[0].dtype.name}",
                hint="the loss itself, not a comparison or an index",
            )
        one = np.ones((), numpy_dtype(run.outputs[0]))
        gradients = rebuild(xs, [run.finished(g) for g in run.pull([Tensor(one)], again=False)])
        value = run.finished(run.result)
        gradient = gradients[0] if isinstance(argnums, int) else tuple(gradients)
        return ((value, run.finished(aux)), gradient) if has_aux else (value, gradient)

    return transformed


def grad(f: AnyFunction, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> AnyFunction:
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


def vjp(f: AnyFunction, *xs: Any) -> tuple[Any, AnyFunction]:
    """The value of ``f`` at ``xs``, and a function that pulls upstream gradients back to ``xs``.

    Returns:
        ``(y, pullback)``; ``pullback(g)``, with ``g`` nested and shaped like ``y``, returns a tuple with the
        vector-Jacobian product by each argument, and can be called as often as wanted.

    >>> import clearprop as cp
    >>> y, pullback = cp.vjp(lambda x: x * x, cp.tensor([1.0, 2.0]))
    >>> pullback(cp.tensor([1.0, 10.0]))
    (Tensor([ 2., 40.], dtype=float32),)
    """
    check_function("vjp", f)
    run = Linearization(f, xs)

    def pullback(g: Any) -> tuple[Any, ...]:
        gs = flatten(g)
        _check_like(gs, run.outputs, "pullback", "the output")
        recorded = any(is_recorded(one) for one in gs)
        found = run.pull(gs, again=True)
        return tuple(rebuild(list(xs), found if recorded else [run.finished(one) for one in found]))

    return run.finished(run.result), pullback


def jvp(f: AnyFunction, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """The value of ``f`` at ``primals``, and its derivative in the direction of ``tangents`` (forward mode).

    >>> import clearprop as cp
    >>> cp.jvp(cp.sin, (cp.tensor(0.0),), (cp.tensor(2.0),))
    (Tensor(0., dtype=float32), Tensor(2., dtype=float32))
    """
    check_function("jvp", f)
    _check_arguments("jvp", primals=primals, tangents=tangents)
    run = Linearization(f, list(primals))
    dxs = flatten(list(tangents))
    _check_like(dxs, run.inputs, "jvp", "the primal")
    dys = run.push(dxs)
    recorded = any(is_recorded(dx) for dx in dxs)
    return run.finished(run.result), rebuild(run.result, dys if recorded else [run.finished(dy) for dy in dys])


def _check_like(given: Sequence[Any], expected: Sequence[Tensor], name: str, what: str) -> None:
    if len(given) != len(expected):
        raise GradientError(
            f"{name}: {len(given)} tensors given, {len(expected)} expected",
            hint="one tensor for each",
        )
    for one, like in zip(given, expected, strict=True):
        if as_tensor(one).shape != like.shape:
            raise ShapeError(
                f"{name}: shape {as_tensor(one).shape} given, {what} has shape {like.shape}",
                hint=f"a tensor of shape {like.shape}",
            )


def hvp(f: AnyFunction, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """Hessian-vector product of a scalar function, forward over reverse: the Hessian itself is never formed.

    Returns:
        The product, nested like the first argument; for several arguments a tuple.

    >>> import clearprop as cp
    >>> x, v = cp.tensor([1.0, 2.0]), cp.tensor([1.0, 0.0])
    >>> cp.hvp(lambda x: (x * x * x).sum(), (x,), (v,))
    Tensor([6., 0.], dtype=float32)
    """
    check_function("hvp", f)
    _check_arguments("hvp", primals=primals, tangents=tangents)
    numbers = tuple(range(len(primals)))
    _, product = jvp(grad(f, argnums=numbers), primals, tangents)
    return product[0] if len(primals) == 1 else product


def jacobian(
    f: AnyFunction,
    argnums: int | Sequence[int] = 0,
    *,
    mode: Literal["auto", "forward", "reverse"] = "auto",
    layout: Literal["numerator", "denominator"] = "numerator",
) -> AnyFunction:
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
    check_function("jacobian", f)
    one_of("jacobian", "mode", mode, "auto", "forward", "reverse")
    one_of("jacobian", "layout", layout, "numerator", "denominator")

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
        columns = [_for_all(dy, level, x.size) for dy in pushed]  # each (elements of x, *output)
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
                reshape(_for_all(dx, level, y.size), shape=(*y.shape, *x.shape))
                for dx, x in zip(pulled, run.inputs, strict=True)
            ]
        )
    return [list(row) for row in zip(*by_output, strict=True)]


def _basis(x: Tensor) -> Tensor:
    """All unit vectors of the space of x: (elements of x, *shape of x)."""
    return Tensor(np.eye(x.size, dtype=numpy_dtype(x)).reshape(x.size, *x.shape))


def _for_all(x: Tensor, level: int, size: int) -> Value:
    """The results for all basis vectors, along the first axis; repeated if they do not depend on the vector."""
    return x.value if isinstance(x, Batched) and x.level == level else with_batch(x, size)


def _swap_groups(x: Value, first: int) -> Value:
    """The first so many axes moved behind the others."""
    order = range(len(x.shape))
    return permute(x, axes=(*order[first:], *order[:first]))


def hessian(f: AnyFunction, argnums: int = 0) -> AnyFunction:
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
