"""Adamax: Adam with the largest of the gradients in the place of their mean square.

D. Kingma, J. Ba, "Adam: a method for stochastic optimization", 2014, section 7.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clearprop.array.promotion import cast_to
from clearprop.cell import Cell
from clearprop.optim.counting import CountingOptimizer
from clearprop.optim.group import ParamGroup
from clearprop.optim.optimizer import Casts
from clearprop.primitive import numpy_dtype
from clearprop.primitives import absolute, add, divide, maximum, multiply, power, subtract
from clearprop.tensor import Tensor


class Adamax(CountingOptimizer):
    """m ← β₁ m + (1 - β₁) g, u ← max(β₂ u, |g| + eps), θ ← θ - lr / (1 - β₁ᵗ) m / u (Kingma and Ba 2014, algorithm 2).

    Args:
        params: parameters, or dictionaries of them with settings of their own.
        lr: the learning rate.
        betas: β₁ and β₂.
        eps: keeps the step finite where all gradients have been 0.
        weight_decay: this share of the parameter is added to its gradient.
        maximize: go up instead of down.

    Raises:
        UsageError: a setting is out of range.

    >>> import clearprop as cp
    >>> from clearprop import optim
    >>> w = cp.Parameter([1.0, 2.0])
    >>> optimizer = optim.Adamax([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.value.detach()
    Tensor([0.9, 1.9], dtype=float32)
    """

    def __init__(
        self,
        params: Any,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        settings = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, settings)

    def expected_slots(self, group: ParamGroup) -> Sequence[str]:
        """The number of steps, the mean, and the largest."""
        return ("step", "exp_avg", "exp_inf")

    def update(self, group: ParamGroup) -> None:
        """One step."""
        numbers = {clock["step"]: Casts(_numbers(group, clock["step"])) for clock in self.count(group)}
        for param, g in self.gradients(group):
            state = self.state[param]
            beta1, rest1, beta2, eps, rate = numbers[state["step"]][numpy_dtype(g)]
            m = add(multiply(state["exp_avg"].value, beta1), multiply(g, rest1))
            u = maximum(multiply(state["exp_inf"].value, beta2), add(absolute(g), eps))
            state["exp_avg"].assign(m)
            state["exp_inf"].assign(u)
            param.assign(subtract(param.value, multiply(divide(m, u), rate)))


def _numbers(group: ParamGroup, step: Cell) -> list[Tensor | None]:
    """β₁, 1 - β₁, β₂, eps, and the learning rate with the factor of m."""
    beta1, beta2 = group.tensors("betas")
    count = cast_to(step.value, np.dtype(np.float64))
    rate = divide(group.tensor("lr"), subtract(1.0, power(beta1, count)))
    return [beta1, subtract(1.0, beta1), beta2, group.tensor("eps"), rate]
