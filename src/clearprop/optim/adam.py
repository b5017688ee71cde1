"""Adam, and AdamW, which decays the weights beside the gradient instead of through it.

D. Kingma, J. Ba, "Adam: a method for stochastic optimization", 2014.
I. Loshchilov, F. Hutter, "Decoupled weight decay regularization", 2017.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from clearprop.array.promotion import cast_to
from clearprop.errors import UsageError
from clearprop.optim.group import ParamGroup
from clearprop.optim.optimizer import Casts, Optimizer
from clearprop.primitive import numpy_dtype
from clearprop.primitives import add, divide, multiply, power, sqrt, subtract
from clearprop.tensor import Cell, Parameter, Tensor


class Adam(Optimizer):
    """m ← β₁ m + (1 - β₁) g, v ← β₂ v + (1 - β₂) g², θ ← θ - lr m̂ / (√v̂ + eps) (Kingma and Ba 2014, algorithm 1).

    m̂ = m / (1 - β₁ᵗ) and v̂ = v / (1 - β₂ᵗ) undo that m and v begin at zero. They are not formed: their factors are
    joined with lr and eps, as in section 2 of the paper, which saves two passes over the parameter.

    Args:
        params: parameters, or dictionaries of them with settings of their own.
        lr: the learning rate.
        betas: β₁ and β₂.
        eps: keeps the step finite where v is 0.
        weight_decay: this share of the parameter is added to its gradient.

    >>> import clearprop as cp
    >>> from clearprop import optim
    >>> w = cp.Parameter([1.0, 2.0])
    >>> optimizer = optim.Adam([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.value.detach()
    Tensor([0.9, 1.9], dtype=float32)
    """

    decoupled: ClassVar[bool] = False
    """Whether weight decay acts on the parameter itself."""

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        if not isinstance(betas, (tuple, list)) or len(betas) != 2:  # type: ignore[redundant-expr]
            raise UsageError(f"{self._name}: betas={betas!r} are not two numbers", hint="betas=(0.9, 0.999)")
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    def expected_slots(self, group: ParamGroup) -> Sequence[str]:
        """The number of steps, and the two moments."""
        return ("step", "exp_avg", "exp_avg_sq")

    def prepare(self, group: ParamGroup) -> None:
        """Moments of zeros. All parameters share one count of steps, see `_counters`."""
        step = Cell(np.int64(0), name="step")
        for param in group.params:
            self.state[param].setdefault("step", step)
            self.slot(param, "exp_avg")
            self.slot(param, "exp_avg_sq")

    def restore(self, values: Any) -> None:
        """Assign saved values; parameters that were updated equally often share one count again."""
        numbers = {param: i for i, param in enumerate(self.state)}
        for group in self.param_groups:
            shared: dict[int, Cell] = {}
            for param in group.params:
                count = int(values[f"{numbers[param]}.step"])
                self.state[param]["step"] = shared.setdefault(count, Cell(np.int64(count), name="step"))
        super().restore(values)

    def update(self, group: ParamGroup) -> None:
        """One step."""
        active = [param for param in group.params if param.grad is not None]
        decay = group.tensor("weight_decay")
        factors = {step: Casts(_Factors(group, step, decay)) for step in self._counters(group, active)}
        for param in active:
            g, state = param.grad, self.state[param]
            if g is None:
                continue
            of = factors[state["step"]][numpy_dtype(g)]
            value = param.value
            if decay is not None:
                if self.decoupled:
                    value = multiply(value, of.kept)
                else:
                    g = add(g, multiply(value, of.decay))
            m = add(multiply(state["exp_avg"].value, of.beta1), multiply(g, of.rest1))
            v = add(multiply(state["exp_avg_sq"].value, of.beta2), multiply(multiply(g, g), of.rest2))
            state["exp_avg"].assign(m)
            state["exp_avg_sq"].assign(v)
            param.assign(subtract(value, multiply(divide(m, add(sqrt(v), of.eps)), of.rate)))

    def _counters(self, group: ParamGroup, active: Sequence[Parameter]) -> list[Cell]:
        """Count this step; returns the counts of the active parameters.

        Parameters that have always been updated together share one count, so that the factors are computed once for
        all. One that has no gradient this time gets a count of its own.
        """
        counters = list(dict.fromkeys(self.state[param]["step"] for param in active))
        if len(active) < len(group.params):
            left_behind: dict[Cell, Cell] = {}
            for param in group.params:
                step = self.state[param]["step"]
                if param.grad is None and step in counters:
                    self.state[param]["step"] = left_behind.setdefault(step, Cell(step.value, name="step"))
        for step in counters:
            step.assign(add(step.value, 1))
        return counters


class AdamW(Adam):
    """Adam, but θ ← (1 - lr weight_decay) θ in every step: the decay is not divided by √v (Loshchilov and Hutter 2017).

    Args:
        weight_decay: 0.01 by default.

    >>> import clearprop as cp
    >>> from clearprop import optim
    >>> w = cp.Parameter([1.0, 2.0])
    >>> optimizer = optim.AdamW([w], lr=0.1, weight_decay=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.value.detach()
    Tensor([0.85, 1.8 ], dtype=float32)
    """

    decoupled = True

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay)


class _Factors:
    """The numbers of one step, computed in float64 and cast to the dtype of the parameters."""

    def __init__(self, group: ParamGroup, step: Cell, decay: Tensor | None) -> None:
        lr, eps = group.tensor("lr"), group.tensor("eps")
        self._beta1, self._beta2 = group.tensors("betas")
        count = cast_to(step.value, np.dtype(np.float64))
        root = sqrt(subtract(1.0, power(self._beta2, count)))
        self._rate = divide(multiply(lr, root), subtract(1.0, power(self._beta1, count)))
        self._eps = multiply(eps, root)
        self._lr, self._decay = lr, decay

    def __call__(self, dtype: np.dtype[Any]) -> _Cast:
        return _Cast(self._beta1, self._beta2, self._rate, self._eps, self._lr, self._decay, dtype)


class _Cast:
    """The same in one dtype."""

    def __init__(
        self,
        beta1: Tensor,
        beta2: Tensor,
        rate: Tensor,
        eps: Tensor,
        lr: Tensor | None,
        decay: Tensor | None,
        dtype: np.dtype[Any],
    ) -> None:
        self.beta1, self.rest1 = cast_to(beta1, dtype), cast_to(subtract(1.0, beta1), dtype)
        self.beta2, self.rest2 = cast_to(beta2, dtype), cast_to(subtract(1.0, beta2), dtype)
        self.rate, self.eps = cast_to(rate, dtype), cast_to(eps, dtype)
        if decay is not None:
            self.decay = cast_to(decay, dtype)
            self.kept = cast_to(subtract(1.0, multiply(lr, decay)), dtype)
