"""Several schedules of one optimizer: one after the other, or all at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from clearprop.arguments import is_whole
from clearprop.errors import DataError, UsageError
from clearprop.optim.lr_scheduler.base import LRScheduler
from clearprop.optim.lr_scheduler.plateau import ReduceLROnPlateau
from clearprop.optim.optimizer import Optimizer


class Combined(LRScheduler):
    """Base of the schedules that are made of schedules."""

    schedulers: list[LRScheduler]

    def get_lr(self) -> list[float]:
        """The present rates, which the schedules that this one is made of have set."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Where this schedule stands, and all that it is made of."""
        return super().state_dict() | {"schedulers": [scheduler.state_dict() for scheduler in self.schedulers]}

    def check_state(self, saved: Any) -> None:
        """Raise DataError unless the saved state is of a schedule that is made of the same."""
        super().check_state(saved)
        if len(saved["schedulers"]) != len(self.schedulers):
            raise DataError(
                f"{type(self).__name__}: this state is of {len(saved['schedulers'])} schedules, not of "
                f"{len(self.schedulers)}",
                hint="make the schedule as it was when its state was saved",
            )
        for scheduler, state in zip(self.schedulers, saved["schedulers"], strict=True):
            scheduler.check_state(state)

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on from a saved state, with all that this schedule is made of."""
        self.check_state(saved)
        for scheduler, state in zip(self.schedulers, saved["schedulers"], strict=True):
            scheduler.load_state_dict(state)
        super().load_state_dict(saved)

    @property
    def sets(self) -> frozenset[str]:
        """What any of the schedules sets."""
        return frozenset().union(*(scheduler.sets for scheduler in self.schedulers))


class SequentialLR(Combined):
    """Several schedules, one after the other: first a warm-up, say, then a cosine.

    Args:
        schedulers: schedules of the optimizer.
        milestones: the epochs in which the second, the third, … begins, each with its own epoch 0 and from the base
            rates.

    Raises:
        UsageError: not one milestone less than schedules, or milestones that do not rise; a schedule of another
            optimizer, or one that needs a figure.

    >>> import clearprop as cp
    >>> from clearprop.optim import SGD, lr_scheduler
    >>> optimizer = SGD([cp.Parameter([1.0])], lr=1.0)
    >>> warm_up = lr_scheduler.LinearLR(optimizer, start_factor=0.25, total_iters=3)
    >>> decay = lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    >>> scheduler = lr_scheduler.SequentialLR(optimizer, [warm_up, decay], milestones=[3])
    >>> rates = []
    >>> for _ in range(6):
    ...     rates.append(scheduler.get_last_lr()[0])
    ...     scheduler.step()
    >>> rates
    [0.25, 0.5, 0.75, 1.0, 0.5, 0.25]
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int], last_epoch: int = -1
    ) -> None:
        self.schedulers = _checked("SequentialLR", schedulers, optimizer)
        self.milestones = _checked_milestones(milestones, len(self.schedulers))
        super().__init__(optimizer, last_epoch)

    def start(self) -> None:
        """Go to epoch 0, from the base rates: the schedules have changed them when they were made."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        self.schedulers[bisect_right(self.milestones, 0)].start()
        super().start()

    def step(self) -> None:
        """Let the schedule whose turn it is go on, or begin."""
        epoch = self.last_epoch + 1
        turn = bisect_right(self.milestones, epoch)
        if epoch in self.milestones:
            self.schedulers[turn].restart()
        else:
            self.schedulers[turn].step()
        super().step()


class ChainedScheduler(Combined):
    """Several schedules at once: each changes the learning rate that the one before has left.

    Args:
        schedulers: schedules of one optimizer, for which they have all been made before.
        optimizer: theirs; there is no need to name it.

    Raises:
        UsageError: schedules of several optimizers, or one that needs a figure.

    >>> import clearprop as cp
    >>> from clearprop.optim import SGD, lr_scheduler
    >>> optimizer = SGD([cp.Parameter([1.0])], lr=1.0)
    >>> warm_up = lr_scheduler.ConstantLR(optimizer, factor=0.5, total_iters=2)
    >>> decay = lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    >>> scheduler = lr_scheduler.ChainedScheduler([warm_up, decay])
    >>> rates = []
    >>> for _ in range(4):
    ...     rates.append(scheduler.get_last_lr()[0])
    ...     scheduler.step()
    >>> rates
    [0.5, 0.25, 0.25, 0.125]
    """

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        self.schedulers = _checked("ChainedScheduler", schedulers, optimizer)
        super().__init__(self.schedulers[0].optimizer)

    def begin(self) -> None:
        """Nothing: all have begun when they were made."""
        super().start()

    def start(self) -> None:
        """Let all begin."""
        for scheduler in self.schedulers:
            scheduler.start()
        super().start()

    def step(self) -> None:
        """Let all go on, in their order."""
        for scheduler in self.schedulers:
            scheduler.step()
        super().step()


def _checked(name: str, schedulers: Any, optimizer: Optimizer | None) -> list[LRScheduler]:
    if not isinstance(schedulers, Sequence) or not schedulers:
        raise UsageError(f"{name}: schedulers={schedulers!r}", hint="a list of schedules of one optimizer")
    for scheduler in schedulers:
        if not isinstance(scheduler, LRScheduler):
            raise UsageError(f"{name}: {scheduler!r} is not a schedule", hint="lr_scheduler.StepLR(optimizer, 30)")
        if isinstance(scheduler, ReduceLROnPlateau):
            raise UsageError(f"{name}: ReduceLROnPlateau needs a figure in every step", hint="step it by itself")
        if scheduler.optimizer is not (optimizer or schedulers[0].optimizer):
            raise UsageError(
                f"{name}: {type(scheduler).__name__} is a schedule of another optimizer",
                hint="make all schedules with the same optimizer",
            )
    return list(schedulers)


def _checked_milestones(milestones: Any, schedulers: int) -> list[int]:
    hint = f"{schedulers - 1} numbers of epochs, rising: where the second schedule begins, and so on"
    if not isinstance(milestones, Sequence) or len(milestones) != schedulers - 1:
        raise UsageError(f"SequentialLR: milestones={milestones!r} for {schedulers} schedules", hint=hint)
    before = [-1, *milestones]
    if any(not is_whole(one) or one <= last for last, one in zip(before, milestones, strict=False)):
        raise UsageError(f"SequentialLR: milestones={milestones!r}", hint=hint)
    return [int(one) for one in milestones]
