"""Learning rates that change over the epochs, each by its closed form: a function of the number of the epoch.

``scheduler.step()`` is called at the end of an epoch (or of a step, if the schedule counts steps) and sets
``group["lr"]``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from clearprop.errors import UsageError
from clearprop.optim.optimizer import Optimizer


class LRScheduler:
    """Base class; a subclass says in `rate` what the learning rate of an epoch is.

    Args:
        optimizer: whose groups' learning rates are set. Their present ones are the base rates.

    Attributes:
        last_epoch: the number of the present epoch; the first is 0.
        base_lrs: what the closed form starts from, for each group.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise UsageError(
                f"{type(self).__name__}: {optimizer!r} is not an optimizer",
                hint="optim.SGD(model.parameters(), lr=0.1)",
            )
        self.optimizer = optimizer
        self.base_lrs: list[float] = [group["lr"] for group in optimizer.param_groups]
        self.last_epoch = 0
        self._set()

    def rate(self, base: float, epoch: int, group: int) -> float:
        """The learning rate of an epoch, for a group with that base rate and number."""
        raise NotImplementedError(f"{type(self).__name__} needs a method rate")

    def step(self) -> None:
        """Go on to the next epoch."""
        self.last_epoch += 1
        self._set()

    def get_last_lr(self) -> list[float]:
        """The present learning rate of each group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """The epoch and the base rates; can be written as JSON."""
        return {"last_epoch": self.last_epoch, "base_lrs": list(self.base_lrs)}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on from a saved epoch."""
        if len(saved["base_lrs"]) != len(self.base_lrs):
            raise UsageError(
                f"{type(self).__name__}: this state is of {len(saved['base_lrs'])} groups of parameters; "
                f"the optimizer has {len(self.base_lrs)}"
            )
        self.last_epoch = int(saved["last_epoch"])
        self.base_lrs = [float(base) for base in saved["base_lrs"]]
        self._set()

    def _set(self) -> None:
        for i, (group, base) in enumerate(zip(self.optimizer.param_groups, self.base_lrs, strict=True)):
            group["lr"] = self.rate(base, self.last_epoch, i)


class StepLR(LRScheduler):
    """Times gamma after every ``step_size`` epochs.

    >>> import clearprop as cp
    >>> from clearprop import optim
    >>> optimizer = optim.SGD([cp.Parameter([1.0])], lr=1.0)
    >>> scheduler = optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    >>> rates = []
    >>> for _ in range(5):
    ...     rates.append(optimizer.param_groups[0]["lr"])
    ...     scheduler.step()
    >>> rates
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        if step_size < 1:
            raise UsageError(f"StepLR: step_size={step_size}", hint="a number of epochs, from 1 on")
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer)

    def rate(self, base: float, epoch: int, group: int) -> float:
        """Base times gamma to the number of full periods."""
        return base * self.gamma ** (epoch // self.step_size)


class CosineAnnealingLR(LRScheduler):
    """Along half a cosine from the base rate to ``eta_min`` in ``T_max`` epochs, and back again.

    I. Loshchilov, F. Hutter, "SGDR: stochastic gradient descent with warm restarts", 2016, equation 5, here without
    restarts.

    >>> import clearprop as cp
    >>> from clearprop import optim
    >>> optimizer = optim.SGD([cp.Parameter([1.0])], lr=1.0)
    >>> scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=2)
    >>> rates = []
    >>> for _ in range(3):
    ...     rates.append(round(optimizer.param_groups[0]["lr"], 6))
    ...     scheduler.step()
    >>> rates
    [1.0, 0.5, 0.0]
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        if T_max < 1:
            raise UsageError(f"CosineAnnealingLR: T_max={T_max}", hint="a number of epochs, from 1 on")
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer)

    def rate(self, base: float, epoch: int, group: int) -> float:
        """On the cosine."""
        return self.eta_min + (base - self.eta_min) * (1.0 + math.cos(math.pi * epoch / self.T_max)) / 2.0


class LambdaLR(LRScheduler):
    """The base rate times a function of the epoch.

    Args:
        lr_lambda: a function of the epoch's number, or one for each group.

    >>> import clearprop as cp
    >>> from clearprop import optim
    >>> optimizer = optim.SGD([cp.Parameter([1.0])], lr=0.5)
    >>> def warmed_up(epoch):
    ...     return min(1.0, (epoch + 1) / 4)
    >>> scheduler = optim.lr_scheduler.LambdaLR(optimizer, warmed_up)
    >>> scheduler.step()
    >>> scheduler.get_last_lr()
    [0.25]
    """

    def __init__(
        self, optimizer: Optimizer, lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]]
    ) -> None:
        groups = len(optimizer.param_groups)
        self.lr_lambdas = [lr_lambda] * groups if callable(lr_lambda) else list(lr_lambda)
        if len(self.lr_lambdas) != groups:
            raise UsageError(f"LambdaLR: {len(self.lr_lambdas)} functions for {groups} groups of parameters")
        super().__init__(optimizer)

    def rate(self, base: float, epoch: int, group: int) -> float:
        """Base times the group's function."""
        return base * self.lr_lambdas[group](epoch)
