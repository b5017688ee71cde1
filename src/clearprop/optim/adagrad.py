"""Adagrad: each gradient is divided by the root of the sum of its squares.

J. Duchi, E. Hazan, Y. Singer, "Adaptive subgradient methods for online learning and stochastic optimization", 2011.
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
from clearprop.primitives import add, divide, multiply, sqrt, subtract
from clearprop.tensor import Tensor


class Adagrad(CountingOptimizer):
    """s ← s + g², θ ← θ - lr / (1 + (t - 1) lr_decay) g / (√s + eps), in step t.

    Args:
        params: parameters, or dictionaries of them with settings of their own.
        lr: the learning rate.
        lr_decay: how fast the learning rate falls with the number of steps.
        weight_decay: this share of the parameter is added to its gradient.
        initial_accumulator_value: what s is at first.
        eps: keeps the step finite where s is 0.
        maximize: go up instead of down.
        fused: change all parameters by one native function; faster for many weights outside of compiled steps.

    Raises:
        UsageError: a setting is out of range.

    >>> import clearprop as cp
    >>> from clearprop import optim
    >>> w = cp.Parameter([1.0, 2.0])
    >>> optimizer = optim.Adagrad([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.value.detach()
    Tensor([0.9, 1.9], dtype=float32)
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
        fused: bool = False,
    ) -> None:
        settings = {
            "lr": lr,
            "lr_decay": lr_decay,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "eps": eps,
            "maximize": maximize,
        }
        super().__init__(params, settings, fused=fused)

    def expected_slots(self, group: ParamGroup) -> Sequence[str]:
        """The number of steps, and the sum of the squares."""
        return ("step", "sum")

    def prepare(self, group: ParamGroup) -> None:
        """The sums begin where the group says."""
        for param in group.params:
            self.slot(param, "sum", group["initial_accumulator_value"])
        super().prepare(group)

    def update(self, group: ParamGroup) -> None:
        """One step."""
        eps = group.tensor("eps")
        numbers = {clock["step"]: Casts([_rate(group, clock["step"]), eps]) for clock in self.count(group)}
        for param, g in self.gradients(group):
            state = self.state[param]
            rate, small = numbers[state["step"]][numpy_dtype(g)]
            total = add(state["sum"].value, multiply(g, g))
            state["sum"].assign(total)
            param.assign(subtract(param.value, multiply(divide(g, add(sqrt(total), small)), rate)))


def _rate(group: ParamGroup, step: Cell) -> Tensor | None:
    """The learning rate of this step."""
    lr, decay = group.tensor("lr"), group.tensor("lr_decay")
    if decay is None:
        return lr
    before = cast_to(subtract(step.value, 1), np.dtype(np.float64))
    rate: Tensor = divide(lr, add(1.0, multiply(before, decay)))
    return rate
