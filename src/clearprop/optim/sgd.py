"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clearprop.cell import Cell, Parameter
from clearprop.errors import UsageError
from clearprop.optim.counting import CountingOptimizer
from clearprop.optim.group import ParamGroup
from clearprop.optim.optimizer import Casts
from clearprop.primitive import numpy_dtype
from clearprop.primitives import add, equal, multiply, subtract, where
from clearprop.tensor import Tensor


class SGD(CountingOptimizer):
    """θ ← θ - lr g; with momentum θ ← θ - lr m, m ← momentum m + (1 - dampening) g (Polyak 1964, as PyTorch writes it).

    Args:
        params: parameters, or dictionaries of them with settings of their own.
        lr: the learning rate.
        momentum: how much of the last direction is kept.
        dampening: by how much less the new gradient counts; the first one of a parameter counts whole.
        weight_decay: this share of the parameter is added to its gradient: the gradient of weight_decay/2 |θ|².
        nesterov: take g + momentum m instead of m (Nesterov 1983, in the form of Sutskever et al. 2013).
        maximize: go up instead of down.
        fused: change all parameters by one native function; faster for many weights outside of compiled steps.

    Raises:
        UsageError: a setting is out of range; nesterov without momentum, or with dampening.

    >>> import clearprop as cp
    >>> from clearprop import optim
    >>> w = cp.Parameter([1.0, 2.0])
    >>> optimizer = optim.SGD([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.value.detach()
    Tensor([0.8, 1.6], dtype=float32)
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        fused: bool = False,
    ) -> None:
        settings = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, settings, fused=fused)

    def check(self, settings: Mapping[str, Any]) -> None:
        """Nesterov's momentum is one without dampening."""
        if settings["nesterov"] is True and (settings["momentum"] == 0.0 or settings["dampening"] != 0.0):
            raise UsageError(
                f"optim.SGD: nesterov=True needs a momentum and no dampening; there are "
                f"momentum={settings['momentum']} and dampening={settings['dampening']}",
                hint="momentum=0.9",
            )

    def expected_slots(self, group: ParamGroup) -> Sequence[str]:
        """The momentum, where there is one; the count where it is dampened, as the first gradient is not."""
        if group.tensor("momentum") is None:
            return ()
        return ("momentum_buffer",) if group.tensor("dampening") is None else ("step", "momentum_buffer")

    def update(self, group: ParamGroup) -> None:
        """One step. A momentum begins at zero: after the first step it is the gradient, as in PyTorch."""
        lr, momentum = group.tensor("lr"), group.tensor("momentum")
        shares = self._shares(group)
        numbers = {step: Casts([lr, momentum, share]) for step, share in shares.items()}
        nesterov = group["nesterov"]
        for param, g in self.gradients(group):
            rate, kept, share = numbers[self.state[param].get("step")][numpy_dtype(g)]
            if kept is not None:
                g = self._with_momentum(param, g, kept, share, nesterov)
            param.assign(subtract(param.value, multiply(g, rate)))

    def _shares(self, group: ParamGroup) -> dict[Cell | None, Tensor | None]:
        """How much a gradient counts in the momentum, by the parameters' counts; None for all of it."""
        dampening = group.tensor("dampening")
        if dampening is None or group.tensor("momentum") is None:
            return {None: None}
        self.prepare(group)  # a dampening may have been set after the optimizer was made
        rest = subtract(1.0, dampening)
        steps = [clock["step"] for clock in self.count(group)]
        return {step: where(equal(step.value, 1), 1.0, rest) for step in steps}

    def _with_momentum(
        self, param: Parameter, g: Tensor, momentum: Tensor, share: Tensor | None, nesterov: bool
    ) -> Tensor:
        buffer = self.slot(param, "momentum_buffer")
        new = g if share is None else multiply(g, share)
        m: Tensor = add(multiply(buffer.value, momentum), new)
        buffer.assign(m)
        if not nesterov:
            return m
        return add(g, multiply(m, momentum))
