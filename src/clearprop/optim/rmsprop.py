"""RMSprop: each gradient is divided by a running root of its mean square.

T. Tieleman, G. Hinton, "Lecture 6.5: rmsprop", Coursera: Neural networks for machine learning, 2012.
A. Graves, "Generating sequences with recurrent neural networks", 2013, equations 38 to 41 (centered).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clearprop.cell import Parameter
from clearprop.optim.group import ParamGroup
from clearprop.optim.optimizer import Casts, Optimizer
from clearprop.primitive import numpy_dtype
from clearprop.primitives import add, divide, multiply, sqrt, subtract
from clearprop.tensor import Tensor


class RMSprop(Optimizer):
    """v ← α v + (1 - α) g², θ ← θ - lr g / (√v + eps); with momentum θ ← θ - lr m, m ← momentum m + g / (√v + eps).

    Args:
        params: parameters, or dictionaries of them with settings of their own.
        lr: the learning rate.
        alpha: how much of the mean square is kept.
        eps: keeps the step finite where v is 0.
        weight_decay: this share of the parameter is added to its gradient.
        momentum: how much of the last direction is kept.
        centered: divide by the root of the variance, v - ḡ², where ḡ is the running mean of g (Graves 2013).
        maximize: go up instead of down.

    Raises:
        UsageError: a setting is out of range.

    >>> import clearprop as cp
    >>> from clearprop import optim
    >>> w = cp.Parameter([1.0, 2.0])
    >>> optimizer = optim.RMSprop([w], lr=0.1, alpha=0.75)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.value.detach()
    Tensor([0.8, 1.8], dtype=float32)
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        settings = {
            "lr": lr,
            "alpha": alpha,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "centered": centered,
            "maximize": maximize,
        }
        super().__init__(params, settings)

    def expected_slots(self, group: ParamGroup) -> Sequence[str]:
        """The mean square; the mean and the momentum where there are such."""
        mean = ("grad_avg",) if group["centered"] else ()
        momentum = () if group.tensor("momentum") is None else ("momentum_buffer",)
        return ("square_avg", *mean, *momentum)

    def update(self, group: ParamGroup) -> None:
        """One step."""
        alpha = group.tensor("alpha")
        settings = [alpha, subtract(1.0, alpha), *map(group.tensor, ("eps", "lr", "momentum"))]
        numbers = Casts(settings)
        centered = group["centered"]
        for param, g in self.gradients(group):
            kept, rest, eps, lr, momentum = numbers[numpy_dtype(g)]
            square = self.slot(param, "square_avg")
            v = add(multiply(square.value, kept), multiply(multiply(g, g), rest))
            square.assign(v)
            if centered:
                v = self._centered(param, g, v, rest)
            step = divide(g, add(sqrt(v), eps))
            if momentum is not None:
                buffer = self.slot(param, "momentum_buffer")
                step = add(multiply(buffer.value, momentum), step)
                buffer.assign(step)
            param.assign(subtract(param.value, multiply(step, lr)))

    def _centered(self, param: Parameter, g: Tensor, v: Tensor, rest: Tensor) -> Tensor:
        """The variance."""
        average = self.slot(param, "grad_avg")
        mean = add(average.value, multiply(subtract(g, average.value), rest))
        average.assign(mean)
        return subtract(v, multiply(mean, mean))
