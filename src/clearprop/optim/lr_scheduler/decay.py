"""Schedules that let the learning rate fall, or rise, by a factor of the epoch; and by functions of your own."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

from clearprop.arguments import is_whole, whole
from clearprop.errors import UsageError
from clearprop.optim.lr_scheduler.base import (
    FactorLR,
    LRScheduler,
    check_optimizer,
    number,
)
from clearprop.optim.optimizer import Optimizer

OfEpoch: TypeAlias = Callable[[int], float]


class StepLR(FactorLR):
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

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.step_size = whole("StepLR", "step_size", step_size)
        self.gamma = number("StepLR", "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def factor_at(self, epoch: int) -> float:
        """Gamma to the number of full periods."""
        return self.gamma ** (epoch // self.step_size)


class MultiStepLR(FactorLR):
    """Times gamma at each milestone.

    Args:
        milestones: numbers of epochs. One that is given twice counts twice.

    >>> import clearprop as cp
    >>> from clearprop import optim
    >>> optimizer = optim.SGD([cp.Parameter([1.0])], lr=1.0)
    >>> scheduler = optim.lr_scheduler.MultiStepLR(optimizer, milestones=[1, 3], gamma=0.5)
    >>> rates = []
    >>> for _ in range(4):
    ...     rates.append(optimizer.param_groups[0]["lr"])
    ...     scheduler.step()
    >>> rates
    [1.0, 0.5, 0.5, 0.25]
    """

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.gamma = number("MultiStepLR", "gamma", gamma)
        self.milestones = _epochs(milestones)
        super().__init__(optimizer, last_epoch)

    def factor_at(self, epoch: int) -> float:
        """Gamma to the number of milestones that have been reached."""
        return self.gamma ** bisect_right(self.milestones, epoch)


class ConstantLR(FactorLR):
    """Times a factor in the first ``total_iters`` epochs, then the base rate.

    >>> import clearprop as cp
    >>> from clearprop import optim
    >>> optimizer = optim.SGD([cp.Parameter([1.0])], lr=1.0)
    >>> scheduler = optim.lr_scheduler.ConstantLR(optimizer, factor=0.5, total_iters=2)
    >>> rates = []
    >>> for _ in range(3):
    ...     rates.append(optimizer.param_groups[0]["lr"])
    ...     scheduler.step()
    >>> rates
    [0.5, 0.5, 1.0]
    """

    def __init__(
        self, optimizer: Optimizer, factor: float = 1.0 / 3.0, total_iters: int = 5, last_epoch: int = -1
    ) -> None:
        self.factor = number("ConstantLR", "factor", factor, 1.0)
        self.total_iters = whole("ConstantLR", "total_iters", total_iters, 0)
        super().__init__(optimizer, last_epoch)

    def factor_at(self, epoch: int) -> float:
        """The factor, then 1. In epoch 0 always the factor, as in PyTorch."""
        return self.factor if epoch < max(self.total_iters, 1) else 1.0


class LinearLR(FactorLR):
    """Along a straight line, from ``start_factor`` to ``end_factor`` times the base rate in ``total_iters`` epochs.

    Its defaults make the learning rate rise: a warm-up. `SequentialLR` puts another schedule after it.

    >>> import clearprop as cp
    >>> from clearprop import optim
    >>> optimizer = optim.SGD([cp.Parameter([1.0])], lr=1.0)
    >>> scheduler = optim.lr_scheduler.LinearLR(optimizer, start_factor=0.5, total_iters=2)
    >>> rates = []
    >>> for _ in range(4):
    ...     rates.append(optimizer.param_groups[0]["lr"])
    ...     scheduler.step()
    >>> rates
    [0.5, 0.75, 1.0, 1.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3.0,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        self.start_factor = number("LinearLR", "start_factor", start_factor, 1.0, positive=True)
        self.end_factor = number("LinearLR", "end_factor", end_factor, 1.0)
        self.total_iters = whole("LinearLR", "total_iters", total_iters)
        super().__init__(optimizer, last_epoch)

    def factor_at(self, epoch: int) -> float:
        """On the line, and at its end from there on."""
        done = min(epoch, self.total_iters) / self.total_iters
        return self.start_factor + (self.end_factor - self.start_factor) * done


class ExponentialLR(FactorLR):
    """Times gamma after every epoch.

    >>> import clearprop as cp
    >>> from clearprop import optim
    >>> optimizer = optim.SGD([cp.Parameter([1.0])], lr=1.0)
    >>> scheduler = optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    >>> for _ in range(3):
    ...     scheduler.step()
    >>> scheduler.get_last_lr()
    [0.125]
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = number("ExponentialLR", "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def factor_at(self, epoch: int) -> float:
        """Gamma to the number of the epoch."""
        return self.gamma**epoch


class PolynomialLR(FactorLR):
    """Down to zero in ``total_iters`` epochs, as (1 - epoch / total_iters) to a power.

    >>> import clearprop as cp
    >>> from clearprop import optim
    >>> optimizer = optim.SGD([cp.Parameter([1.0])], lr=1.0)
    >>> scheduler = optim.lr_scheduler.PolynomialLR(optimizer, total_iters=2, power=2.0)
    >>> rates = []
    >>> for _ in range(4):
    ...     rates.append(optimizer.param_groups[0]["lr"])
    ...     scheduler.step()
    >>> rates
    [1.0, 0.25, 0.0, 0.0]
    """

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        self.total_iters = whole("PolynomialLR", "total_iters", total_iters)
        self.power = number("PolynomialLR", "power", power)
        super().__init__(optimizer, last_epoch)

    def factor_at(self, epoch: int) -> float:
        """What is left, to the power."""
        return (1.0 - min(epoch, self.total_iters) / self.total_iters) ** self.power


class FunctionLR(LRScheduler):
    """Base of the schedules by functions of the epoch, one for each group."""

    lr_lambdas: list[OfEpoch]

    def _factor(self, function: OfEpoch) -> float:
        return number(self._name, f"lr_lambda({self.last_epoch})", function(self.last_epoch))


class LambdaLR(FunctionLR):
    """The base rate times a function of the epoch.

    Args:
        lr_lambda: a function of the epoch's number, or a list of one for each group.

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

    def __init__(self, optimizer: Optimizer, lr_lambda: OfEpoch | Sequence[OfEpoch], last_epoch: int = -1) -> None:
        self.lr_lambdas = _functions("LambdaLR", lr_lambda, optimizer)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """Base times the group's function."""
        return [base * self._factor(of) for base, of in zip(self.base_lrs, self.lr_lambdas, strict=True)]


class MultiplicativeLR(FunctionLR):
    """Times a function of the epoch, in every epoch but the first.

    Args:
        lr_lambda: a function of the epoch's number, or a list of one for each group.

    >>> import clearprop as cp
    >>> from clearprop import optim
    >>> optimizer = optim.SGD([cp.Parameter([1.0])], lr=1.0)
    >>> def inverse(epoch):
    ...     return 1.0 / epoch
    >>> scheduler = optim.lr_scheduler.MultiplicativeLR(optimizer, inverse)
    >>> for _ in range(4):
    ...     scheduler.step()
    >>> scheduler.get_last_lr() == [1.0 / 24.0]
    True
    """

    def __init__(self, optimizer: Optimizer, lr_lambda: OfEpoch | Sequence[OfEpoch], last_epoch: int = -1) -> None:
        self.lr_lambdas = _functions("MultiplicativeLR", lr_lambda, optimizer)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The present rate times the group's function."""
        rates = [group["lr"] for group in self.optimizer.param_groups]
        if self.last_epoch == 0:
            return rates
        return [rate * self._factor(of) for rate, of in zip(rates, self.lr_lambdas, strict=True)]


def _epochs(milestones: Any) -> list[int]:
    epochs: list[Any] = list(milestones) if isinstance(milestones, Iterable) else [None]
    if any(not is_whole(epoch) or epoch < 0 for epoch in epochs):
        raise UsageError(f"MultiStepLR: milestones={milestones!r}", hint="numbers of epochs: milestones=[30, 80]")
    return sorted(int(epoch) for epoch in epochs)


def _functions(name: str, given: Any, optimizer: Optimizer) -> list[OfEpoch]:
    check_optimizer(name, optimizer)
    groups = len(optimizer.param_groups)
    functions = list(given) if isinstance(given, (list, tuple)) else [given] * groups
    if len(functions) != groups:
        raise UsageError(
            f"{name}: {len(functions)} functions for {groups} groups of parameters",
            hint=f"one function for all, or a list of {groups}",
        )
    if not all(callable(function) for function in functions):
        raise UsageError(f"{name}: lr_lambda={given!r}", hint="a function of the number of the epoch")
    return functions
