"""Adam, and AdamW, which decays the weights beside the gradient instead of through it.

D. Kingma, J. Ba, "Adam: a method for stochastic optimization", 2014.
I. Loshchilov, F. Hutter, "Decoupled weight decay regularization", 2017.
S. Reddi, S. Kale, S. Kumar, "On the convergence of Adam and beyond", 2018 (AMSGrad).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from clearprop.array.promotion import cast_to
from clearprop.cell import Cell
from clearprop.optim.counting import CountingOptimizer
from clearprop.optim.group import ParamGroup
from clearprop.optim.optimizer import Casts
from clearprop.primitive import numpy_dtype
from clearprop.primitives import add, divide, maximum, multiply, power, sqrt, subtract
from clearprop.tensor import Tensor


class Adam(CountingOptimizer):
    """m ← β₁ m + (1 - β₁) g, v ← β₂ v + (1 - β₂) g², θ ← θ - lr m̂ / (√v̂ + eps) (Kingma and Ba 2014, algorithm 1).

    m̂ = m / (1 - β₁ᵗ) and v̂ = v / (1 - β₂ᵗ) undo that m and v begin at zero. They are not formed: their factors are
    joined with lr and eps, as in section 2 of the paper, which saves two passes over the parameter.

    Args:
        params: parameters, or dictionaries of them with settings of their own.
        lr: the learning rate.
        betas: β₁ and β₂.
        eps: keeps the step finite where v is 0.
        weight_decay: this share of the parameter is added to its gradient.
        amsgrad: divide by the largest v that there has been (Reddi et al. 2018, algorithm 2).
        maximize: go up instead of down.
        decoupled_weight_decay: decay the weights as `AdamW` does.
        fused: change all parameters by one native function; faster for many weights outside of compiled steps.

    Raises:
        UsageError: a setting is out of range.

    >>> import clearprop as cp
    >>> from clearprop import optim
    >>> w = cp.Parameter([1.0, 2.0])
    >>> optimizer = optim.Adam([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.value.detach()
    Tensor([0.9, 1.9], dtype=float32)
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        fused: bool = False,
    ) -> None:
        settings = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, settings, fused=fused)

    def expected_slots(self, group: ParamGroup) -> Sequence[str]:
        """The number of steps, and the moments."""
        largest = ("max_exp_avg_sq",) if group["amsgrad"] else ()
        return ("step", "exp_avg", "exp_avg_sq", *largest)

    def update(self, group: ParamGroup) -> None:
        """One step."""
        numbers = {clock["step"]: Casts(_numbers(group, clock["step"])) for clock in self.count(group)}
        amsgrad, decoupled = group["amsgrad"], group["decoupled_weight_decay"]
        for param, g in self.gradients(group, decayed=not decoupled):
            state = self.state[param]
            beta1, rest1, beta2, rest2, rate, eps, kept = numbers[state["step"]][numpy_dtype(g)]
            m, v = moments(state, g, beta1, rest1, beta2, rest2)
            if amsgrad:
                largest = self.slot(param, "max_exp_avg_sq")
                v = maximum(largest.value, v)
                largest.assign(v)
            value = multiply(param.value, kept) if decoupled and kept is not None else param.value
            param.assign(subtract(value, multiply(divide(m, add(sqrt(v), eps)), rate)))


def _numbers(group: ParamGroup, step: Cell) -> list[Tensor | None]:
    """β₁, 1 - β₁, β₂, 1 - β₂; the learning rate and eps with the factors of m̂ and v̂; what decay leaves."""
    beta1, beta2 = group.tensors("betas")
    count = cast_to(step.value, np.dtype(np.float64))
    root = sqrt(subtract(1.0, power(beta2, count)))
    lr = group.tensor("lr")
    rate = divide(multiply(lr, root), subtract(1.0, power(beta1, count)))
    eps = multiply(group.tensor("eps"), root)
    return [beta1, subtract(1.0, beta1), beta2, subtract(1.0, beta2), rate, eps, kept_weight(group)]


def moments(
    state: Mapping[str, Cell], g: Tensor, beta1: Tensor, rest1: Tensor, beta2: Tensor, rest2: Tensor
) -> tuple[Tensor, Tensor]:
    """Running means of the gradient and of its square, which are assigned too."""
    m = add(multiply(state["exp_avg"].value, beta1), multiply(g, rest1))
    v = add(multiply(state["exp_avg_sq"].value, beta2), multiply(multiply(g, g), rest2))
    state["exp_avg"].assign(m)
    state["exp_avg_sq"].assign(v)
    return m, v


def kept_weight(group: ParamGroup) -> Tensor | None:
    """1 - lr weight_decay: what decoupled decay leaves of a weight; None where nothing decays."""
    decay = group.tensor("weight_decay")
    return None if decay is None else subtract(1.0, multiply(group.tensor("lr"), decay))


class AdamW(Adam):
    """Adam, but θ ← (1 - lr weight_decay) θ in every step: the decay is not divided by √v (Loshchilov and Hutter 2017).

    Args:
        weight_decay: 0.01 by default; the other arguments are those of `Adam`.

    >>> import clearprop as cp
    >>> from clearprop import optim
    >>> w = cp.Parameter([1.0, 2.0])
    >>> optimizer = optim.AdamW([w], lr=0.1, weight_decay=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.value.detach()
    Tensor([0.85, 1.8 ], dtype=float32)
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        fused: bool = False,
    ) -> None:
        settings = (lr, betas, eps, weight_decay, amsgrad)
        super().__init__(params, *settings, maximize=maximize, decoupled_weight_decay=True, fused=fused)
