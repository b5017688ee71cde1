"""Limits for gradients, between ``backward()`` and ``step()``; all parameters as one vector."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import accumulate
from typing import Any, Literal

from clearprop.arguments import number
from clearprop.array import (
    abs,
    add,
    clip,
    concat,
    divide,
    matmul,
    max,
    maximum,
    multiply,
    pow,
    reshape,
    sqrt,
    sum,
    zeros,
)
from clearprop.array.promotion import cast_to
from clearprop.autodiff import no_grad
from clearprop.cell import Parameter
from clearprop.errors import GradientError, ShapeError, UsageError
from clearprop.primitive import numpy_dtype
from clearprop.tensor import Tensor, as_tensor

__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "get_total_norm",
    "parameters_to_vector",
    "vector_to_parameters",
]


def clip_grad_norm_(
    parameters: Parameter | Iterable[Parameter],
    max_norm: float,
    norm_type: float | Literal["inf"] = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """Scale all gradients by one factor so that their norm, as of one long vector, is at most ``max_norm``.

    The direction stays (Pascanu, Mikolov, Bengio 2013, algorithm 1).

    Args:
        norm_type: 2.0, ``math.inf`` (or "inf") for the largest absolute value, or another power.
        error_if_nonfinite: raise where the norm is infinite or NaN, instead of making all gradients 0 or NaN.

    Returns:
        The norm before, a tensor without axes.

    Raises:
        GradientError: see ``error_if_nonfinite``; then no gradient is changed.
        UsageError: a norm that is negative, or a power that is not positive.

    >>> import clearprop as cp
    >>> w = cp.Parameter([3.0, 4.0])
    >>> w.grad = cp.tensor([3.0, 4.0])
    >>> cp.nn.utils.clip_grad_norm_(w, 1.0), w.grad
    (Tensor(5., dtype=float32), Tensor([0.6, 0.8], dtype=float32))
    """
    limit = number("clip_grad_norm_", "max_norm", max_norm, 0.0, infinite=True)
    held = _listed("clip_grad_norm_", parameters)
    norm = get_total_norm([p.grad for p in held if p.grad is not None], norm_type, error_if_nonfinite)
    clip_grads_with_norm_(held, limit, norm)
    return norm


def get_total_norm(
    tensors: Tensor | Iterable[Tensor], norm_type: float | Literal["inf"] = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """The norm of tensors, as of one long vector; arguments and errors as of `clip_grad_norm_`.

    >>> import clearprop as cp
    >>> cp.nn.utils.get_total_norm([cp.tensor([3.0]), cp.tensor([[4.0]])])
    Tensor(5., dtype=float32)
    """
    given = math.inf if norm_type == "inf" else norm_type
    order = number("the norm of gradients", "norm_type", given, positive=True, infinite=True)
    with no_grad():
        norm = _norm([tensors] if isinstance(tensors, Tensor) else list(tensors), order)
        if error_if_nonfinite and not math.isfinite(norm.item()):
            raise GradientError(
                f"clip_grad_norm_: the norm of the gradients is {norm.item()}", hint="a smaller learning rate"
            )
    return norm


def clip_grads_with_norm_(parameters: Parameter | Iterable[Parameter], max_norm: float, total_norm: Tensor) -> None:
    """What `clip_grad_norm_` does to the gradients, with a norm that is known already.

    >>> import clearprop as cp
    >>> w = cp.Parameter([0.0, 0.0])
    >>> w.grad = cp.tensor([3.0, 4.0])
    >>> cp.nn.utils.clip_grads_with_norm_(w, 1.0, cp.nn.utils.get_total_norm([w.grad]))
    >>> w.grad
    Tensor([0.6, 0.8], dtype=float32)
    """
    with no_grad():
        factor = clip(divide(max_norm, add(total_norm, 1e-6)), max=1.0)
        for p in _listed("clip_grads_with_norm_", parameters):
            if p.grad is not None:
                p.grad = multiply(p.grad, cast_to(factor, numpy_dtype(p.grad)))


def clip_grad_value_(parameters: Parameter | Iterable[Parameter], clip_value: float) -> None:
    """Bring every element of every gradient between -clip_value and clip_value.

    Raises:
        UsageError: the limit is negative.

    >>> import clearprop as cp
    >>> w = cp.Parameter([0.0, 0.0])
    >>> w.grad = cp.tensor([-3.0, 0.5])
    >>> cp.nn.utils.clip_grad_value_(w, 1.0)
    >>> w.grad
    Tensor([-1. ,  0.5], dtype=float32)
    """
    limit = number("clip_grad_value_", "clip_value", clip_value, 0.0, infinite=True)
    with no_grad():
        for p in _listed("clip_grad_value_", parameters):
            if p.grad is not None:
                p.grad = clip(p.grad, -limit, limit)


def parameters_to_vector(parameters: Iterable[Parameter]) -> Tensor:
    """All elements of all parameters, one after the other. Gradients flow back to the parameters.

    Raises:
        UsageError: there are no parameters.

    >>> import clearprop as cp
    >>> cp.nn.utils.parameters_to_vector([cp.Parameter([[1.0], [2.0]]), cp.Parameter([3.0])]).tolist()
    [1.0, 2.0, 3.0]
    """
    held = _listed("parameters_to_vector", parameters)
    if not held:
        raise UsageError("parameters_to_vector: there are no parameters", hint="model.parameters()")
    return concat([reshape(p.value, (p.size,)) for p in held])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Parameter]) -> None:
    """Assign the elements of a vector to parameters, in the order of `parameters_to_vector`.

    Raises:
        ShapeError: the vector is not as long as the parameters together; then nothing is assigned.

    >>> import clearprop as cp
    >>> w, b = cp.Parameter([[0.0], [0.0]]), cp.Parameter([0.0])
    >>> cp.nn.utils.vector_to_parameters(cp.tensor([1.0, 2.0, 3.0]), [w, b])
    >>> w.value.tolist(), b.value.tolist()
    ([[1.0], [2.0]], [3.0])
    """
    held, vector = _listed("vector_to_parameters", parameters), as_tensor(vec)
    ends = [0, *accumulate(p.size for p in held)]
    if vector.shape != (ends[-1],):
        raise ShapeError(
            f"vector_to_parameters: the vector has shape {vector.shape}; the parameters have {ends[-1]} elements",
            hint=f"a vector of shape ({ends[-1]},), as parameters_to_vector makes it",
        )
    with no_grad():
        for p, begin, end in zip(held, ends, ends[1:], strict=False):
            p.assign(cast_to(reshape(vector[begin:end], p.shape), numpy_dtype(p.peek())))


def _listed(name: str, parameters: Any) -> list[Parameter]:
    if isinstance(parameters, Parameter):
        return [parameters]
    held = list(parameters) if isinstance(parameters, Iterable) else [parameters]
    for one in held:
        if not isinstance(one, Parameter):
            raise UsageError(f"{name}: {type(one).__name__} is not a parameter", hint="model.parameters()")
    return held


def _norm(gradients: list[Tensor], order: float) -> Tensor:
    if not gradients:
        return zeros(())
    if order == math.inf:
        largest = [max(abs(g)) for g in gradients]
        total = largest[0]
        for value in largest[1:]:
            total = maximum(total, value)
        return total
    parts = [_power_sum(g, order) for g in gradients]
    total = parts[0]
    for part in parts[1:]:
        total = add(total, part)
    return sqrt(total) if order == 2.0 else pow(total, 1.0 / order)


def _power_sum(g: Tensor, order: float) -> Tensor:
    """The sum of |g| ** order; of squares as a scalar product: one pass over memory."""
    if order != 2.0:
        return sum(pow(abs(g), order))
    vector = reshape(g, (g.size,))
    return matmul(vector, vector)  # (n,) @ (n,) -> ()
