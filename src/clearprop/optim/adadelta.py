"""Adadelta: the mean square of the steps over that of the gradients takes the place of a learning rate.

M. Zeiler, "ADADELTA: an adaptive learning rate method", 2012.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clearprop.optim.group import ParamGroup
from clearprop.optim.optimizer import Casts, Optimizer
from clearprop.primitive import numpy_dtype
from clearprop.primitives import add, divide, multiply, sqrt, subtract


class Adadelta(Optimizer):
    """θ ← θ - lr Δ, Δ = √(u + eps) / √(v + eps) g, v ← ρ v + (1 - ρ) g², u ← ρ u + (1 - ρ) Δ² (Zeiler, algorithm 1).

    Args:
        params: parameters, or dictionaries of them with settings of their own.
        lr: a factor for each step; 1 in the paper.
        rho: how much of the mean squares is kept.
        eps: the first steps are of this size: u begins at zero.
        weight_decay: this share of the parameter is added to its gradient.
        maximize: go up instead of down.

    Raises:
        UsageError: a setting is out of range.

    >>> import clearprop as cp
    >>> from clearprop import optim
    >>> w = cp.Parameter([1.0, 2.0])
    >>> optimizer = optim.Adadelta([w], rho=0.75, eps=0.01)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.value.detach()
    Tensor([0.80099, 1.80025], dtype=float32)
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        settings = {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, settings)

    def expected_slots(self, group: ParamGroup) -> Sequence[str]:
        """The mean squares of the gradients and of the steps."""
        return ("square_avg", "acc_delta")

    def update(self, group: ParamGroup) -> None:
        """One step."""
        rho = group.tensor("rho")
        numbers = Casts([rho, subtract(1.0, rho), group.tensor("eps"), group.tensor("lr")])
        for param, g in self.gradients(group):
            kept, rest, eps, lr = numbers[numpy_dtype(g)]
            of_gradients, of_steps = self.slot(param, "square_avg"), self.slot(param, "acc_delta")
            v = add(multiply(of_gradients.value, kept), multiply(multiply(g, g), rest))
            u = of_steps.value
            step = multiply(divide(sqrt(add(u, eps)), sqrt(add(v, eps))), g)
            of_gradients.assign(v)
            of_steps.assign(add(multiply(u, kept), multiply(multiply(step, step), rest)))
            param.assign(subtract(param.value, multiply(step, lr)))
