"""Schedules along a cosine.

I. Loshchilov, F. Hutter, "SGDR: stochastic gradient descent with warm restarts", 2016.
"""

from __future__ import annotations

import math

from clearprop.arguments import whole
from clearprop.optim.lr_scheduler.base import FactorLR, LRScheduler, number
from clearprop.optim.optimizer import Optimizer


class CosineAnnealingLR(FactorLR):
    """Along half a cosine from the base rate to ``eta_min`` in ``T_max`` epochs, and back again.

    Equation 5 of the paper, here without restarts.

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

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        self.T_max = whole("CosineAnnealingLR", "T_max", T_max)
        self.eta_min = number("CosineAnnealingLR", "eta_min", eta_min)
        super().__init__(optimizer, last_epoch)

    @property
    def floor(self) -> float:
        """Where the cosine ends."""
        return self.eta_min

    def factor_at(self, epoch: int) -> float:
        """On the cosine, from 1 to 0."""
        return cosine(epoch / self.T_max)


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half a cosine from the base rate to ``eta_min``, again and again.

    Args:
        T_0: epochs of the first half cosine.
        T_mult: how many times as long as the one before each further one is.
        eta_min: where they end.

    >>> import clearprop as cp
    >>> from clearprop import optim
    >>> optimizer = optim.SGD([cp.Parameter([1.0])], lr=1.0)
    >>> scheduler = optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=1, T_mult=2)
    >>> rates = []
    >>> for _ in range(4):
    ...     rates.append(round(optimizer.param_groups[0]["lr"], 6))
    ...     scheduler.step()
    >>> rates
    [1.0, 1.0, 0.5, 1.0]
    """

    counted = ("T_cur", "T_i")

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        name = "CosineAnnealingWarmRestarts"
        self.T_0 = whole(name, "T_0", T_0)
        self.T_mult = whole(name, "T_mult", T_mult)
        self.eta_min = number(name, "eta_min", eta_min)
        self.T_cur: float = 0
        self.T_i = T_0
        super().__init__(optimizer, last_epoch)

    def start(self) -> None:
        """Go to epoch 0, where the first cosine begins."""
        self.T_cur, self.T_i = 0, self.T_0
        super().start()

    def step(self, epoch: float | None = None) -> None:
        """Go on to the next epoch; or to any point of the schedule, such as ``epoch + batch / batches``.

        Raises:
            UsageError: the point is not a number from 0 on.
        """
        if epoch is None:
            self.T_cur += 1
        else:
            self.T_cur, self.T_i = number(type(self).__name__, "epoch", epoch), self.T_0
            self.last_epoch = math.floor(epoch) - 1
        while self.T_cur >= self.T_i:
            self.T_cur -= self.T_i
            self.T_i *= self.T_mult
        super().step()

    def get_lr(self) -> list[float]:
        """On the cosine that is under way."""
        share = cosine(self.T_cur / self.T_i)
        return [self.eta_min + (base - self.eta_min) * share for base in self.base_lrs]


def cosine(done: float) -> float:
    """From 1 to 0 while ``done`` goes from 0 to 1, with slope 0 at both ends."""
    return (1.0 + math.cos(math.pi * done)) / 2.0
