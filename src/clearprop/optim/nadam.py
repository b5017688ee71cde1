"""NAdam: Adam with Nesterov's momentum, which looks one step ahead.

T. Dozat, "Incorporating Nesterov momentum into Adam", 2016.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from clearprop.array.promotion import cast_to
from clearprop.cell import Cell
from clearprop.optim.adam import kept_weight, moments
from clearprop.optim.counting import CountingOptimizer
from clearprop.optim.group import ParamGroup
from clearprop.optim.optimizer import Casts
from clearprop.primitive import numpy_dtype
from clearprop.primitives import add, divide, multiply, power, sqrt, subtract
from clearprop.tensor import Tensor

_WARM_UP = 0.96
"""Of the momentum's schedule; from section 4 of the paper, and fixed in PyTorch too."""


class NAdam(CountingOptimizer):
    """θ ← θ - lr (μ' m / (1 - Πμ μ') + (1 - μ) g / (1 - Πμ)) / (√v̂ + eps), with m and v̂ as in `Adam`.

    μ = β₁ (1 - 0.96^(t momentum_decay) / 2) is the momentum of step t, μ' that of the next, Πμ the product of those up
    to t (Dozat 2016, algorithm 2).

    Args:
        params: parameters, or dictionaries of them with settings of their own.
        lr: the learning rate.
        betas: β₁ and β₂.
        eps: keeps the step finite where v is 0.
        weight_decay: this share of the parameter is added to its gradient.
        momentum_decay: how fast the momentum comes to β₁ from half of it.
        decoupled_weight_decay: decay the weights as `AdamW` does.
        maximize: go up instead of down.

    Raises:
        UsageError: a setting is out of range.

    >>> import clearprop as cp
    >>> from clearprop import optim
    >>> w = cp.Parameter([1.0, 2.0])
    >>> optimizer = optim.NAdam([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.value.detach()
    Tensor([0.89435, 1.89435], dtype=float32)
    """

    clock: ClassVar[Mapping[str, Any]] = {"step": np.int64(0), "mu_product": np.float64(1.0)}
    scalars = frozenset(clock)

    def __init__(
        self,
        params: Any,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        settings = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, settings)

    def expected_slots(self, group: ParamGroup) -> Sequence[str]:
        """The number of steps, the product of the momenta, and the moments."""
        return ("step", "mu_product", "exp_avg", "exp_avg_sq")

    def update(self, group: ParamGroup) -> None:
        """One step."""
        numbers = {clock["step"]: Casts(_numbers(group, clock)) for clock in self.count(group)}
        decoupled = group["decoupled_weight_decay"]
        for param, g in self.gradients(group, decayed=not decoupled):
            state = self.state[param]
            beta1, rest1, beta2, rest2, of_m, of_g, eps, kept = numbers[state["step"]][numpy_dtype(g)]
            m, v = moments(state, g, beta1, rest1, beta2, rest2)
            value = multiply(param.value, kept) if decoupled and kept is not None else param.value
            ahead = add(multiply(m, of_m), multiply(g, of_g))
            param.assign(subtract(value, divide(ahead, add(sqrt(v), eps))))


def _numbers(group: ParamGroup, clock: Mapping[str, Cell]) -> list[Tensor | None]:
    """β₁, 1 - β₁, β₂, 1 - β₂; the factors of m and g; eps; what decay leaves. The product of the momenta goes on."""
    beta1, beta2 = group.tensors("betas")
    lr = group.tensor("lr")
    count = cast_to(clock["step"].value, np.dtype(np.float64))
    decay = group.tensor("momentum_decay")
    now, following = _momentum(beta1, decay, count), _momentum(beta1, decay, add(count, 1.0))
    product = multiply(clock["mu_product"].value, now)
    clock["mu_product"].assign(product)
    root = sqrt(subtract(1.0, power(beta2, count)))  # joined with lr and eps, as in Adam
    rate = multiply(lr, root)
    of_m = divide(multiply(rate, following), subtract(1.0, multiply(product, following)))
    of_g = divide(multiply(rate, subtract(1.0, now)), subtract(1.0, product))
    eps = multiply(group.tensor("eps"), root)
    return [beta1, subtract(1.0, beta1), beta2, subtract(1.0, beta2), of_m, of_g, eps, kept_weight(group)]


def _momentum(beta1: Tensor, decay: Tensor | None, count: Tensor) -> Tensor:
    half: Tensor = multiply(0.5, power(_WARM_UP, multiply(count, decay)))
    return multiply(beta1, subtract(1.0, half))
