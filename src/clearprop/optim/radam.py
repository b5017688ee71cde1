"""RAdam: Adam that divides by √v only once v is known well enough, which warms it up.

L. Liu et al., "On the variance of the adaptive learning rate and beyond", 2019.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clearprop.array.promotion import cast_to
from clearprop.cell import Cell
from clearprop.optim.adam import kept_weight, moments
from clearprop.optim.counting import CountingOptimizer
from clearprop.optim.group import ParamGroup
from clearprop.optim.optimizer import Casts
from clearprop.primitive import numpy_dtype
from clearprop.primitives import add, divide, greater, multiply, power, sqrt, subtract, where
from clearprop.tensor import Tensor

_KNOWN_FROM = 5.0
"""So many gradients must have gone into v; the paper has 4, PyTorch and the authors' program 5."""


class RAdam(CountingOptimizer):
    """θ ← θ - lr r m̂ / (√v̂ + eps), with m̂ and v̂ as in `Adam`; in the first steps θ ← θ - lr m̂ (Liu et al. 2019).

    ρ = 2 / (1 - β₂) - 1 - 2 t β₂ᵗ / (1 - β₂ᵗ) is how many gradients are in v at step t, and r corrects for the variance
    of v that comes of it (algorithm 2 of the paper). The first steps are those with ρ ≤ 5: five, with the default β₂.

    Args:
        params: parameters, or dictionaries of them with settings of their own.
        lr: the learning rate.
        betas: β₁ and β₂.
        eps: keeps the step finite where v is 0.
        weight_decay: this share of the parameter is added to its gradient.
        decoupled_weight_decay: decay the weights as `AdamW` does.
        maximize: go up instead of down.

    Raises:
        UsageError: a setting is out of range.

    >>> import clearprop as cp
    >>> from clearprop import optim
    >>> w = cp.Parameter([1.0, 2.0])
    >>> optimizer = optim.RAdam([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.value.detach()
    Tensor([0.8, 1.6], dtype=float32)
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        settings = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, settings)

    def expected_slots(self, group: ParamGroup) -> Sequence[str]:
        """The number of steps, and the two moments."""
        return ("step", "exp_avg", "exp_avg_sq")

    def update(self, group: ParamGroup) -> None:
        """One step. The divisor is √v + eps, or 1: share √v + rest with other numbers, so that all steps are alike."""
        numbers = {clock["step"]: Casts(_numbers(group, clock["step"])) for clock in self.count(group)}
        decoupled = group["decoupled_weight_decay"]
        for param, g in self.gradients(group, decayed=not decoupled):
            state = self.state[param]
            beta1, rest1, beta2, rest2, rate, share, rest, kept = numbers[state["step"]][numpy_dtype(g)]
            m, v = moments(state, g, beta1, rest1, beta2, rest2)
            value = multiply(param.value, kept) if decoupled and kept is not None else param.value
            divisor = add(multiply(sqrt(v), share), rest)
            param.assign(subtract(value, multiply(divide(m, divisor), rate)))


def _numbers(group: ParamGroup, step: Cell) -> list[Tensor | None]:
    """β₁, 1 - β₁, β₂, 1 - β₂; the learning rate with its factors; share and rest of the divisor; what decay leaves."""
    beta1, beta2 = group.tensors("betas")
    count = cast_to(step.value, np.dtype(np.float64))
    power2 = power(beta2, count)
    rest2 = subtract(1.0, power2)
    longest = subtract(divide(2.0, subtract(1.0, beta2)), 1.0)
    length = subtract(longest, divide(multiply(multiply(2.0, count), power2), rest2))
    known = greater(length, _KNOWN_FROM)
    scale = where(known, multiply(_rectification(length, longest), sqrt(rest2)), 1.0)
    rate = multiply(divide(group.tensor("lr"), subtract(1.0, power(beta1, count))), scale)
    share, rest = cast_to(known, np.dtype(np.float64)), where(known, group.tensor("eps"), 1.0)
    return [beta1, subtract(1.0, beta1), beta2, subtract(1.0, beta2), rate, share, rest, kept_weight(group)]


def _rectification(length: Tensor, longest: Tensor) -> Tensor:
    """√((ρ - 4)(ρ - 2) ρ∞ / ((ρ∞ - 4)(ρ∞ - 2) ρ)); of no meaning, and not used, where v is not yet known."""
    above = multiply(multiply(subtract(length, 4.0), subtract(length, 2.0)), longest)
    below = multiply(multiply(subtract(longest, 4.0), subtract(longest, 2.0)), length)
    root: Tensor = sqrt(divide(above, below))
    return root
