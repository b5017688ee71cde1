"""Schedules in which the learning rate rises and falls, and the momentum falls and rises against it.

L. Smith, "Cyclical learning rates for training neural networks", 2015.
L. Smith, N. Topin, "Super-convergence: very fast training of neural networks using large learning rates", 2017.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from clearprop.arguments import function, one_of, whole
from clearprop.errors import UsageError
from clearprop.optim.lr_scheduler.base import (
    LRScheduler,
    check_optimizer,
    for_each_group,
    number,
)
from clearprop.optim.lr_scheduler.cosine import cosine
from clearprop.optim.optimizer import Optimizer


class MomentumScheduler(LRScheduler):
    """Base of the schedules that may set a momentum too: ``group["momentum"]``, or β₁ of optimizers with ``betas``."""

    cycle_momentum: bool

    def get_momentum(self) -> list[float]:
        """The momentum of each group in the epoch `last_epoch`."""
        raise NotImplementedError(f"{type(self).__name__} needs a method get_momentum")

    def apply(self) -> None:
        """Set learning rate and momentum of each group."""
        super().apply()
        self._set_momentum()

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """As `LRScheduler.load_state_dict`; the momenta are set as they were, too."""
        super().load_state_dict(saved)
        self._set_momentum()

    @property
    def sets(self) -> frozenset[str]:
        """The learning rate; the momentum if it is to cycle."""
        return frozenset({"lr", _momentum_name(self.optimizer)}) if self.cycle_momentum else frozenset({"lr"})

    def _set_momentum(self) -> None:
        if not self.cycle_momentum:
            return
        for group, momentum in zip(self.optimizer.param_groups, self.get_momentum(), strict=True):
            if "betas" in group:
                group["betas"] = (momentum, group["betas"][1])
            else:
                group["momentum"] = momentum


class CyclicLR(MomentumScheduler):
    """From ``base_lr`` to ``max_lr`` and back along straight lines, again and again; the momentum the other way round.

    Args:
        base_lr: the lowest learning rate, or a list of one for each group.
        max_lr: the highest, in the first cycle.
        step_size_up: steps on the way up.
        step_size_down: steps on the way down; as many by default.
        mode: "triangular"; "triangular2" halves the height with each cycle; "exp_range" multiplies it by gamma with
            each step.
        gamma: for "exp_range".
        scale_fn: a function for the height instead of ``mode``, of what ``scale_mode`` says.
        scale_mode: "cycle", the number of the cycle from 1 on; or "iterations", that of the step.
        cycle_momentum: whether to set the momentum, or β₁.
        base_momentum: its lowest value, at ``max_lr``; or a list.
        max_momentum: its highest.

    >>> import clearprop as cp
    >>> from clearprop import optim
    >>> optimizer = optim.SGD([cp.Parameter([1.0])], lr=1.0, momentum=0.9)
    >>> scheduler = optim.lr_scheduler.CyclicLR(optimizer, base_lr=0.0, max_lr=1.0, step_size_up=2)
    >>> points = []
    >>> for _ in range(5):
    ...     points.append((scheduler.get_last_lr()[0], round(optimizer.param_groups[0]["momentum"], 6)))
    ...     scheduler.step()
    >>> points
    [(0.0, 0.9), (0.5, 0.85), (1.0, 0.8), (0.5, 0.85), (0.0, 0.9)]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | Sequence[float],
        max_lr: float | Sequence[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: Literal["triangular", "triangular2", "exp_range"] = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: Literal["cycle", "iterations"] = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.8,
        max_momentum: float | Sequence[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer("CyclicLR", optimizer)
        self.step_size_up = whole("CyclicLR", "step_size_up", step_size_up)
        down = step_size_up if step_size_down is None else step_size_down
        self.step_size_down = whole("CyclicLR", "step_size_down", down)
        self.gamma = number("CyclicLR", "gamma", gamma)
        one_of("CyclicLR", "mode", mode, "triangular", "triangular2", "exp_range")
        one_of("CyclicLR", "scale_mode", scale_mode, "cycle", "iterations")
        if scale_fn is not None:
            function("CyclicLR", "scale_fn", scale_fn, "a function of the number of the cycle, or of the step")
        self.mode, self.scale_fn, self.scale_mode = mode, scale_fn, scale_mode
        self.low_lrs = for_each_group("CyclicLR", "base_lr", base_lr, optimizer)
        self.max_lrs = for_each_group("CyclicLR", "max_lr", max_lr, optimizer)
        self.cycle_momentum = cycle_momentum
        self.base_momentums, self.max_momentums = _momenta(
            "CyclicLR", cycle_momentum, base_momentum, max_momentum, optimizer
        )
        for group, low in zip(optimizer.param_groups, self.low_lrs, strict=True):
            group["lr"] = low
        super().__init__(optimizer, last_epoch)
        self.base_lrs = list(self.low_lrs)

    def get_lr(self) -> list[float]:
        """On the line that is under way."""
        height = self._height()
        return [low + (high - low) * height for low, high in zip(self.low_lrs, self.max_lrs, strict=True)]

    def get_momentum(self) -> list[float]:
        """On the line that is under way, from above."""
        height = self._height()
        pairs = zip(self.base_momentums, self.max_momentums, strict=True)
        return [high - (high - low) * height for low, high in pairs]

    def _height(self) -> float:
        """How far up, as a share of the whole height."""
        up, whole = self.step_size_up, self.step_size_up + self.step_size_down
        done = self.last_epoch % whole
        triangle = done / up if done <= up else (whole - done) / self.step_size_down
        return triangle * self._scale(self.last_epoch // whole + 1)

    def _scale(self, cycle: int) -> float:
        if self.scale_fn is not None:
            return self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.mode == "exp_range":
            return float(self.gamma**self.last_epoch)
        return 1.0 if self.mode == "triangular" else 0.5 ** (cycle - 1)


class Phase(NamedTuple):
    """A part of `OneCycleLR`: from one height to another, up to a step."""

    end: float
    lr: tuple[list[float], list[float]]
    momentum: tuple[list[float], list[float]]


class OneCycleLR(MomentumScheduler):
    """From a low learning rate up to ``max_lr``, and down to a much lower one; the momentum the other way round.

    It counts steps, not epochs.

    Args:
        max_lr: the highest learning rate, or a list of one for each group.
        total_steps: how many steps there will be; or
        epochs, steps_per_epoch: whose product that is.
        pct_start: the share of the steps on the way up.
        anneal_strategy: along "cos", half a cosine, or "linear", a straight line.
        cycle_momentum: whether to set the momentum, or β₁.
        base_momentum: its lowest value, at ``max_lr``; or a list.
        max_momentum: its highest.
        div_factor: the first learning rate is max_lr / div_factor,
        final_div_factor: the last one is the first / final_div_factor.
        three_phase: first down to the first learning rate as fast as it went up, then to the last.

    Raises:
        UsageError: a setting is out of range; more steps than there were to be.

    >>> import clearprop as cp
    >>> from clearprop import optim
    >>> optimizer = optim.AdamW([cp.Parameter([1.0])])
    >>> scheduler = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=5, pct_start=0.4, div_factor=4.0)
    >>> points = []
    >>> for _ in range(5):
    ...     points.append((round(scheduler.get_last_lr()[0], 4), round(optimizer.param_groups[0]["betas"][0], 4)))
    ...     scheduler.step()
    >>> points
    [(0.25, 0.95), (1.0, 0.85), (0.75, 0.875), (0.25, 0.925), (0.0, 0.95)]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.85,
        max_momentum: float | Sequence[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer("OneCycleLR", optimizer)
        self.total_steps = _total_steps(total_steps, epochs, steps_per_epoch)
        self.pct_start = number("OneCycleLR", "pct_start", pct_start, 1.0)
        first = number("OneCycleLR", "div_factor", div_factor, positive=True)
        last = number("OneCycleLR", "final_div_factor", final_div_factor, positive=True)
        one_of("OneCycleLR", "anneal_strategy", anneal_strategy, "cos", "linear")
        self.anneal_strategy, self.three_phase = anneal_strategy, three_phase
        self.max_lrs = for_each_group("OneCycleLR", "max_lr", max_lr, optimizer)
        self.first_lrs = [lr / first for lr in self.max_lrs]
        self.min_lrs = [lr / last for lr in self.first_lrs]
        self.cycle_momentum = cycle_momentum
        self.base_momentums, self.max_momentums = _momenta(
            "OneCycleLR", cycle_momentum, base_momentum, max_momentum, optimizer
        )
        for group, lr in zip(optimizer.param_groups, self.first_lrs, strict=True):
            group["initial_lr"] = lr
        super().__init__(optimizer, last_epoch)

    def step(self) -> None:
        """Go on to the next step."""
        if self.last_epoch >= self.total_steps:
            raise UsageError(
                f"OneCycleLR: step {self.last_epoch + 1} of {self.total_steps}",
                hint="total_steps=epochs * len(loader), and one scheduler.step() for each optimizer.step()",
            )
        super().step()

    def get_lr(self) -> list[float]:
        """In the phase that is under way."""
        phase, done = self._phase()
        return [self._between(first, last, done) for first, last in zip(*phase.lr, strict=True)]

    def get_momentum(self) -> list[float]:
        """In the phase that is under way."""
        phase, done = self._phase()
        return [self._between(first, last, done) for first, last in zip(*phase.momentum, strict=True)]

    def _phases(self) -> list[Phase]:
        lowest, highest = self.base_momentums, self.max_momentums
        up, end = self.pct_start * self.total_steps, self.total_steps - 1
        rise = Phase(up - 1, (self.first_lrs, self.max_lrs), (highest, lowest))
        if not self.three_phase:
            return [rise, Phase(end, (self.max_lrs, self.min_lrs), (lowest, highest))]
        fall = Phase(2 * up - 2, (self.max_lrs, self.first_lrs), (lowest, highest))
        return [rise, fall, Phase(end, (self.first_lrs, self.min_lrs), (highest, highest))]

    def _phase(self) -> tuple[Phase, float]:
        """The phase that is under way, and which share of it is done. After the last step it stays where it ended."""
        begin, phases = 0.0, self._phases()
        for phase in phases[:-1]:
            if self.last_epoch <= phase.end:
                break
            begin = phase.end
        else:
            phase = phases[-1]
        length = phase.end - begin
        return phase, min((self.last_epoch - begin) / length, 1.0) if length else 1.0

    def _between(self, first: float, last: float, done: float) -> float:
        left = cosine(done) if self.anneal_strategy == "cos" else 1.0 - done
        return last + (first - last) * left


def _total_steps(total_steps: Any, epochs: Any, steps_per_epoch: Any) -> int:
    if total_steps is not None:
        return whole("OneCycleLR", "total_steps", total_steps)
    if epochs is None or steps_per_epoch is None:
        raise UsageError("OneCycleLR: how many steps will there be?", hint="total_steps=epochs * len(loader)")
    return whole("OneCycleLR", "epochs", epochs) * whole("OneCycleLR", "steps_per_epoch", steps_per_epoch)


def _momenta(
    name: str, cycled: bool, lowest: float | Sequence[float], highest: float | Sequence[float], optimizer: Optimizer
) -> tuple[list[float], list[float]]:
    """The lowest and the highest momentum of each group."""
    if cycled and not {"momentum", "betas"} & optimizer.defaults.keys():
        raise UsageError(
            f"{name}: {type(optimizer).__name__} has neither momentum nor betas to cycle", hint="cycle_momentum=False"
        )
    low = for_each_group(name, "base_momentum", lowest, optimizer)
    return low, for_each_group(name, "max_momentum", highest, optimizer)


def _momentum_name(optimizer: Optimizer) -> str:
    return "betas" if "betas" in optimizer.defaults else "momentum"
