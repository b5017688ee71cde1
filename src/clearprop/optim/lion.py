"""Lion: the sign of a momentum, found by searching among programs.

X. Chen et al., "Symbolic discovery of optimization algorithms", 2023.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clearprop.optim.adam import kept_weight
from clearprop.optim.group import ParamGroup
from clearprop.optim.optimizer import Casts, Optimizer
from clearprop.primitive import numpy_dtype
from clearprop.primitives import add, multiply, sign, subtract


class Lion(Optimizer):
    """θ ← (1 - lr weight_decay) θ - lr sign(β₁ m + (1 - β₁) g), m ← β₂ m + (1 - β₂) g (Chen et al. 2023, algorithm 2).

    Every weight moves by lr. The paper advises a learning rate 3 to 10 times smaller than that of AdamW, and a weight
    decay larger by as much. It is not in PyTorch; the settings have the names of `AdamW`.

    Args:
        params: parameters, or dictionaries of them with settings of their own.
        lr: the learning rate.
        betas: β₁ and β₂.
        weight_decay: this share of the parameter, times lr, is subtracted from it.
        maximize: go up instead of down.

    Raises:
        UsageError: a setting is out of range.

    >>> import clearprop as cp
    >>> from clearprop import optim
    >>> w = cp.Parameter([1.0, -2.0])
    >>> optimizer = optim.Lion([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.value.detach()
    Tensor([ 0.5, -1.5], dtype=float32)
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay, "maximize": maximize})

    def expected_slots(self, group: ParamGroup) -> Sequence[str]:
        """The momentum."""
        return ("exp_avg",)

    def update(self, group: ParamGroup) -> None:
        """One step."""
        beta1, beta2 = group.tensors("betas")
        settings = [beta1, subtract(1.0, beta1), beta2, subtract(1.0, beta2), group.tensor("lr"), kept_weight(group)]
        numbers = Casts(settings)
        for param, g in self.gradients(group, decayed=False):
            of_step, new_of_step, kept, new, lr, kept_of_weight = numbers[numpy_dtype(g)]
            average = self.slot(param, "exp_avg")
            m = average.value
            direction = sign(add(multiply(m, of_step), multiply(g, new_of_step)))
            average.assign(add(multiply(m, kept), multiply(g, new)))
            value = param.value if kept_of_weight is None else multiply(param.value, kept_of_weight)
            param.assign(subtract(value, multiply(direction, lr)))
