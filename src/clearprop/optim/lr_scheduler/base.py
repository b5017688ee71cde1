"""What all schedules have in common, and those that multiply the learning rate by a factor of the epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from clearprop import arguments
from clearprop.arguments import is_whole
from clearprop.errors import DataError, UsageError
from clearprop.optim.optimizer import Optimizer


class LRScheduler:
    """Base class; a subclass says in `get_lr` what the learning rates of the epoch `last_epoch` are.

    ``scheduler.step()`` is called after the optimizer's, at the end of each epoch, or of each step if the schedule
    counts steps; it sets ``group["lr"]``.

    Args:
        optimizer: whose groups' learning rates are set. Those that they had when the first schedule was made for it are
            kept in the groups as ``"initial_lr"``; all schedules of the optimizer start from them.
        last_epoch: the last epoch that is done, to begin with the one after it; -1 to begin at the beginning.

    Attributes:
        last_epoch: the number of the present epoch; the first is 0.
        base_lrs: what the schedule starts from, for each group.

    Raises:
        UsageError: that is no optimizer; to go on from a last epoch takes groups with an ``"initial_lr"``.

    >>> import clearprop as cp
    >>> from clearprop import optim
    >>> class HalfEveryOther(optim.lr_scheduler.LRScheduler):
    ...     def get_lr(self):
    ...         return [base / (1 + self.last_epoch % 2) for base in self.base_lrs]
    >>> scheduler = HalfEveryOther(optim.SGD([cp.Parameter([1.0])], lr=1.0))
    >>> scheduler.step()
    >>> scheduler.get_last_lr()
    [0.5]
    """

    counted: ClassVar[tuple[str, ...]] = ()
    """Names of attributes that change from epoch to epoch, and are saved; beside `last_epoch`."""

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        check_optimizer(self._name, optimizer)
        if not is_whole(last_epoch) or last_epoch < -1:
            raise UsageError(f"{self._name}: last_epoch={last_epoch!r}", hint="the number of an epoch; -1 for none")
        self.optimizer = optimizer
        for group in optimizer.param_groups:
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise UsageError(
                    f"{self._name}: last_epoch={last_epoch}, but the groups have no initial_lr, from which they began",
                    hint="load the optimizer's state first, or leave last_epoch out and load the schedule's",
                )
            else:
                group["lr"] = group["initial_lr"]
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = 0
        self._last_lr: list[float] = []
        self.begin()
        for _ in range(last_epoch + 1):
            self.step()

    def get_lr(self) -> list[float]:
        """The learning rate of each group in the epoch `last_epoch`; `get_last_lr` is what to ask for it."""
        raise NotImplementedError(f"{type(self).__name__} needs a method get_lr")

    def begin(self) -> None:
        """What a schedule does when it has just been made."""
        self.start()

    def start(self) -> None:
        """Go to epoch 0, from the present learning rates: another schedule may have begun to change them."""
        self.last_epoch = 0
        self.apply()

    def restart(self) -> None:
        """Go to epoch 0, from the base rates."""
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = base
        self.start()

    def step(self) -> None:
        """Go on to the next epoch.

        Raises:
            UsageError: the optimizer has been given another group of parameters since the schedule was made.
        """
        groups = len(self.optimizer.param_groups)
        if groups != len(self.base_lrs):
            raise UsageError(
                f"{self._name}: the optimizer has {groups} groups of parameters now; the schedule was made for "
                f"{len(self.base_lrs)}",
                hint="make a new schedule after add_param_group",
            )
        self.last_epoch += 1
        self.apply()

    def apply(self) -> None:
        """Set what the schedule sets, for the epoch `last_epoch`."""
        self.set_lr(self.get_lr())

    def set_lr(self, rates: Sequence[float]) -> None:
        """Give each group its learning rate."""
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def get_last_lr(self) -> list[float]:
        """The learning rate that the schedule has given each group last."""
        return list(self._last_lr)

    @property
    def sets(self) -> frozenset[str]:
        """Names of the settings of groups that the schedule changes."""
        return frozenset({"lr"})

    # Saving, loading, printing ------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Where the schedule stands; can be written as JSON. Its settings and functions are not saved.

        >>> import clearprop as cp
        >>> from clearprop import optim
        >>> optim.lr_scheduler.StepLR(optim.SGD([cp.Parameter([1.0])], lr=0.5), 30).state_dict()
        {'schedule': 'StepLR', 'last_epoch': 0, 'base_lrs': [0.5], 'last_lr': [0.5]}
        """
        state = {"schedule": type(self).__name__, "last_epoch": self.last_epoch}
        state |= {"base_lrs": list(self.base_lrs), "last_lr": self.get_last_lr()}
        return state | {name: getattr(self, name) for name in self.counted}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on from a saved state; the learning rates are set as they were. Nothing is changed unless it fits.

        Raises:
            DataError: it is of another schedule, or of another number of groups.
        """
        self.check_state(saved)
        self.last_epoch = int(saved["last_epoch"])
        self.base_lrs = [float(base) for base in saved["base_lrs"]]
        for name in self.counted:
            setattr(self, name, saved[name])
        self.set_lr(saved["last_lr"])

    def check_state(self, saved: Any) -> None:
        """Raise DataError unless the saved state is of such a schedule."""
        needed = self.state_dict().keys()
        if not isinstance(saved, Mapping) or not needed <= saved.keys():
            lacks = ", ".join(sorted(needed - saved.keys())) if isinstance(saved, Mapping) else ""
            what = f"it lacks {lacks}" if lacks else f"it is a {type(saved).__name__}"
            raise DataError(f"{self._name}: this is no state of a schedule: {what}", hint="scheduler.state_dict()")
        if saved["schedule"] != type(self).__name__:
            raise DataError(
                f"{self._name}: this state is of a {saved['schedule']}",
                hint="make the schedule as it was when its state was saved",
            )
        groups, own = len(saved["last_lr"]), len(self.optimizer.param_groups)
        if groups != own:
            raise DataError(
                f"{self._name}: this state is of {groups} groups of parameters; the optimizer has {own}",
                hint="build the optimizer as it was when the state was saved",
            )

    def __repr__(self) -> str:
        left_out = {"optimizer", "last_epoch", "base_lrs", *self.counted}
        settings = {name: value for name, value in vars(self).items() if name[0] != "_" and name not in left_out}
        return f"{type(self).__name__}({', '.join(f'{name}={_shown(value)}' for name, value in settings.items())})"

    @property
    def _name(self) -> str:
        return type(self).__name__


class FactorLR(LRScheduler):
    """Base of the schedules lr = floor + (base - floor) factor(epoch), such as StepLR; a subclass gives `factor_at`.

    While nobody else changes the learning rate it is that closed form. Once somebody has, another
    schedule of the same optimizer or the user, each epoch changes the present rate by the ratio of two factors: so
    schedules can be chained, as in PyTorch.
    """

    @property
    def floor(self) -> float:
        """What is not multiplied."""
        return 0.0

    def factor_at(self, epoch: int) -> float:
        """By how much the base rate is multiplied in an epoch."""
        raise NotImplementedError(f"{type(self).__name__} needs a method factor_at")

    def get_lr(self) -> list[float]:
        """The closed form, or the present rate times the ratio of this epoch's factor and the last one's."""
        before = self.factor_at(self.last_epoch - 1) if self.last_epoch else 1.0
        now = self.factor_at(self.last_epoch)
        groups = self.optimizer.param_groups
        return [self._next(group["lr"], base, before, now) for group, base in zip(groups, self.base_lrs, strict=True)]

    def _next(self, rate: float, base: float, before: float, now: float) -> float:
        if rate == self._closed(base, before):
            return self._closed(base, now)
        if before == 0.0:
            return rate + (base - self.floor) * now
        return self.floor + (rate - self.floor) * now / before

    def _closed(self, base: float, factor: float) -> float:
        return self.floor + (base - self.floor) * factor


def check_optimizer(name: str, optimizer: Any) -> None:
    """Raise UsageError unless it is an optimizer."""
    if not isinstance(optimizer, Optimizer):
        raise UsageError(f"{name}: {optimizer!r} is not an optimizer", hint="optim.SGD(model.parameters(), lr=0.1)")


def number(name: str, setting: str, value: Any, most: float = math.inf, *, positive: bool = False) -> float:
    """The setting of a schedule as a float.

    Raises:
        UsageError: it is no number, negative, infinite, or too large; or 0 where it must be positive.
    """
    return arguments.number(name, setting, value, 0.0, most, positive=positive)


def for_each_group(name: str, setting: str, value: Any, optimizer: Optimizer) -> list[float]:
    """One number for all groups, or a list with one for each.

    Raises:
        UsageError: the list has another length, or something is no number from 0 on.
    """
    groups = len(optimizer.param_groups)
    values = list(value) if isinstance(value, (list, tuple)) else [value] * groups
    if len(values) != groups:
        raise UsageError(
            f"{name}: {setting} has {len(values)} numbers for {groups} groups of parameters",
            hint=f"one number for all, or a list of {groups}",
        )
    return [number(name, setting, one) for one in values]


def _shown(value: Any) -> str:
    """The same in every process: a run that is resumed is compared by such words."""
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    if isinstance(value, partial):
        given = [*map(repr, value.args), *(f"{name}={one!r}" for name, one in value.keywords.items())]
        return f"{_shown(value.func)}({', '.join(given)})"
    return getattr(value, "__name__", None) or (type(value).__name__ if callable(value) else repr(value))
