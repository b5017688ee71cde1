"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clearprop.array.promotion import cast_to
from clearprop.errors import UsageError
from clearprop.optim.group import ParamGroup
from clearprop.optim.optimizer import Casts, Optimizer
from clearprop.primitive import numpy_dtype
from clearprop.primitives import add, multiply, subtract
from clearprop.tensor import Tensor


class SGD(Optimizer):
    """θ ← θ - lr g; with momentum θ ← θ - lr m, m ← momentum m + g (Polyak 1964, as PyTorch writes it).

    Args:
        params: parameters, or dictionaries of them with settings of their own.
        lr: the learning rate.
        momentum: how much of the last direction is kept.
        weight_decay: this share of the parameter is added to its gradient: the gradient of weight_decay/2 |θ|².
        nesterov: take g + momentum m instead of m (Nesterov 1983, in the form of Sutskever et al. 2013).

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
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        if nesterov and not momentum:
            raise UsageError("optim.SGD: nesterov=True needs a momentum", hint="momentum=0.9")
        settings = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "nesterov": nesterov}
        super().__init__(params, settings)

    def expected_slots(self, group: ParamGroup) -> Sequence[str]:
        """The momentum, where there is one."""
        return ("momentum_buffer",) if group.tensor("momentum") is not None else ()

    def prepare(self, group: ParamGroup) -> None:
        """A momentum of zeros: after the first step it is the gradient, as in PyTorch."""
        for name in self.expected_slots(group):
            for param in group.params:
                self.slot(param, name)

    def update(self, group: ParamGroup) -> None:
        """One step."""
        settings = [group.tensor(name) for name in ("lr", "momentum", "weight_decay")]
        casts = Casts(lambda dtype: [None if number is None else cast_to(number, dtype) for number in settings])
        nesterov = group["nesterov"]
        for param in group.params:
            g = param.grad
            if g is None:
                continue
            lr, momentum, decay = casts[numpy_dtype(g)]
            value = param.value
            if decay is not None:
                g = add(g, multiply(value, decay))
            if momentum is not None:
                g = self._with_momentum(param, g, momentum, nesterov)
            param.assign(subtract(value, multiply(g, lr)))

    def _with_momentum(self, param: Any, g: Tensor, momentum: Tensor, nesterov: bool) -> Tensor:
        buffer = self.slot(param, "momentum_buffer")
        m: Tensor = add(multiply(buffer.value, momentum), g)
        buffer.assign(m)
        if not nesterov:
            return m
        return add(g, multiply(m, momentum))
