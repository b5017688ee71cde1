"""Limits for gradients, between ``backward()`` and ``step()``."""

from __future__ import annotations

import math
from collections.abc import Iterable

from clearprop.array import abs, add, clip, divide, matmul, max, maximum, multiply, pow, reshape, sqrt, sum, zeros
from clearprop.array.promotion import cast_to
from clearprop.autodiff import no_grad
from clearprop.errors import GradientError, UsageError
from clearprop.primitive import numpy_dtype
from clearprop.tensor import Parameter, Tensor


def clip_grad_norm_(
    parameters: Parameter | Iterable[Parameter],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """Scale all gradients by one factor so that their norm, as of one long vector, is at most ``max_norm``.

    The direction stays (Pascanu, Mikolov, Bengio 2013, algorithm 1).

    Args:
        norm_type: 2.0, ``math.inf`` for the largest absolute value, or another power.
        error_if_nonfinite: raise where the norm is infinite or NaN, instead of making all gradients 0 or NaN.

    Returns:
        The norm before, a tensor without axes.

    Raises:
        GradientError: see ``error_if_nonfinite``.

    >>> import clearprop as cp
    >>> w = cp.Parameter([3.0, 4.0])
    >>> w.grad = cp.tensor([3.0, 4.0])
    >>> cp.nn.utils.clip_grad_norm_(w, 1.0), w.grad
    (Tensor(5., dtype=float32), Tensor([0.6, 0.8], dtype=float32))
    """
    held = [p for p in _listed(parameters) if p.grad is not None]
    if not max_norm >= 0.0:
        raise UsageError(f"clip_grad_norm_: max_norm={max_norm}", hint="a number that is not negative")
    with no_grad():
        norm = _norm([p.grad for p in held if p.grad is not None], float(norm_type))
        if error_if_nonfinite and not math.isfinite(norm.item()):
            raise GradientError(f"clip_grad_norm_: the norm of the gradients is {norm.item()}")
        factor = clip(divide(max_norm, add(norm, 1e-6)), max=1.0)
        for p in held:
            if p.grad is not None:
                p.grad = multiply(p.grad, cast_to(factor, numpy_dtype(p.grad)))
    return norm


def clip_grad_value_(parameters: Parameter | Iterable[Parameter], clip_value: float) -> None:
    """Bring every element of every gradient between -clip_value and clip_value."""
    with no_grad():
        for p in _listed(parameters):
            if p.grad is not None:
                p.grad = clip(p.grad, -clip_value, clip_value)


def _listed(parameters: Parameter | Iterable[Parameter]) -> list[Parameter]:
    return [parameters] if isinstance(parameters, Parameter) else list(parameters)


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
