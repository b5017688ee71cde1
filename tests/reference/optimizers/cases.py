"""What is run in both libraries: training runs for the optimizers, schedules with their combinations, clipping.

A case is data, and the same here and in PyTorch: names of classes with their arguments. ``library`` is
`clearprop.optim` or `torch.optim`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

STEPS = 100
"""Of a training run."""

EPOCHS = 40
"""Of a schedule."""

Settings = dict[str, Any]
Spec = tuple[str, Settings]
"""A schedule: the name of its class and its arguments. One that combines others has specs under ``"schedulers"``."""


def batch(step: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Inputs (4, 3) and targets (4, 2) of a training step of y = tanh(x W + b)."""
    return np.sin(np.arange(12.0).reshape(4, 3) * 0.7 + step), np.cos(np.arange(8.0).reshape(4, 2) + 0.3 * step)


START = {"weight": np.sin(np.arange(6.0)).reshape(3, 2) * 0.8, "bias": np.array([0.1, -0.2])}


@dataclass(frozen=True)
class Trajectory:
    """A training run of W and b.

    Attributes:
        name: of the optimizer's class.
        settings: its arguments.
        bias: settings of a group of its own for b.
        bias_added_at: the step before which that group is added; 0 for one that is there from the beginning.
        bias_from: b has no gradient before this step.
        schedule: stepped after every step.
    """

    name: str
    settings: Settings = field(default_factory=dict)
    bias: Settings | None = None
    bias_added_at: int = 0
    bias_from: int = 0
    schedule: Spec | None = None

    def label(self) -> str:
        """What to call it in the output of the tests."""
        parts = [self.name, *(f"{key}={value}" for key, value in self.settings.items())]
        parts += [f"bias-{key}={value}" for key, value in (self.bias or {}).items()]
        parts += [f"added-at-{self.bias_added_at}"] * bool(self.bias_added_at)
        parts += [f"bias-from-{self.bias_from}"] * bool(self.bias_from)
        return "-".join([*parts, *([self.schedule[0]] if self.schedule else [])])

    def points(self) -> range:
        """The steps after which W and b are compared."""
        return range(9, STEPS, 10)


class Run:
    """A training run in one of the libraries."""

    def __init__(self, library: Any, case: Trajectory, weight: Any, bias: Any) -> None:
        self.case, self.bias = case, bias
        groups: Any = [weight, bias] if case.bias is None else [{"params": [weight]}]
        if case.bias is not None and not case.bias_added_at:
            groups.append({"params": [bias], **case.bias})
        self.optimizer = getattr(library, case.name)(groups, **case.settings)
        self.scheduler = make_schedule(library, self.optimizer, case.schedule) if case.schedule else None

    def step(self, number: int, loss: Any) -> None:
        """One step, for a loss that has been computed."""
        if self.case.bias_added_at and number == self.case.bias_added_at:
            self.optimizer.add_param_group({"params": [self.bias], **(self.case.bias or {})})
        self.optimizer.zero_grad()
        loss.backward()
        if number < max(self.case.bias_from, self.case.bias_added_at):
            self.bias.grad = None
        self.optimizer.step()
        if self.scheduler is not None:
            self.scheduler.step()


OPTIONS: dict[str, list[Settings]] = {
    "SGD": [
        {"lr": 0.1},
        {"lr": 0.05, "momentum": 0.9},
        {"lr": 0.05, "momentum": 0.9, "nesterov": True},
        {"lr": 0.1, "weight_decay": 0.01},
        {"lr": 0.02, "momentum": 0.8, "weight_decay": 0.02, "nesterov": True},
        {"lr": 0.05, "momentum": 0.9, "dampening": 0.4},
        {"lr": 0.02, "momentum": 0.8, "dampening": 0.1, "weight_decay": 0.02, "maximize": True},
    ],
    "Adam": [
        {"lr": 0.01},
        {"lr": 0.02, "betas": (0.7, 0.95), "eps": 1e-3, "weight_decay": 0.05},
        {"lr": 0.05, "betas": (0.9, 0.9), "amsgrad": True},
        {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True},
    ],
    "AdamW": [
        {"lr": 0.01},
        {"lr": 0.02, "betas": (0.8, 0.99), "weight_decay": 0.3},
        {"lr": 0.05, "betas": (0.8, 0.9), "amsgrad": True, "maximize": True},
    ],
    "RMSprop": [
        {"lr": 0.01},
        {"lr": 0.02, "alpha": 0.9, "eps": 1e-3, "weight_decay": 0.05},
        {"lr": 0.01, "centered": True},
        {"lr": 0.005, "momentum": 0.9},
        {"lr": 0.005, "momentum": 0.5, "centered": True, "alpha": 0.95, "weight_decay": 0.01, "maximize": True},
    ],
    "Adagrad": [
        {"lr": 0.1},
        {"lr": 0.2, "lr_decay": 0.05, "weight_decay": 0.01},
        {"lr": 0.1, "initial_accumulator_value": 0.5, "eps": 1e-3, "maximize": True},
    ],
    "Adadelta": [{}, {"lr": 0.5, "rho": 0.8, "eps": 1e-3, "weight_decay": 0.05}, {"lr": 2.0, "maximize": True}],
    "Adamax": [
        {"lr": 0.02},
        {"lr": 0.05, "betas": (0.7, 0.95), "eps": 1e-3, "weight_decay": 0.05},
        {"maximize": True},
    ],
    "NAdam": [
        {"lr": 0.01},
        {"lr": 0.02, "betas": (0.7, 0.95), "eps": 1e-3, "weight_decay": 0.05, "momentum_decay": 0.1},
        {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True},
    ],
    "RAdam": [
        {"lr": 0.02},
        {"lr": 0.02, "betas": (0.7, 0.9), "eps": 1e-3, "weight_decay": 0.05},
        {"lr": 0.02, "betas": (0.9, 0.6)},
        {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True},
    ],
}

BIAS: dict[str, Settings] = {
    "SGD": {"lr": 0.002, "momentum": 0.5, "weight_decay": 0.1},
    "Adam": {"lr": 0.002, "betas": (0.5, 0.9), "weight_decay": 0.1},
    "AdamW": {"lr": 0.002, "eps": 1e-2, "amsgrad": True},
    "RMSprop": {"lr": 0.002, "alpha": 0.5, "momentum": 0.5},
    "Adagrad": {"lr": 0.02, "lr_decay": 0.1},
    "Adadelta": {"rho": 0.5},
    "Adamax": {"betas": (0.5, 0.9)},
    "NAdam": {"momentum_decay": 0.2, "weight_decay": 0.1},
    "RAdam": {"betas": (0.5, 0.9)},
}


def trajectories() -> list[Trajectory]:
    """Every optimizer with its options, with groups, with a parameter that lags behind, with schedules."""
    cases = [Trajectory(name, settings) for name, options in OPTIONS.items() for settings in options]
    for name, bias in BIAS.items():
        usual = OPTIONS[name][1 if name == "SGD" else 0]
        cases.append(Trajectory(name, usual, bias=bias))
        cases.append(Trajectory(name, usual, bias=bias, bias_added_at=5))
        cases.append(Trajectory(name, usual, bias_from=7))
    cases.append(Trajectory("SGD", OPTIONS["SGD"][5], bias_from=7))  # the first gradient is not dampened
    one_cycle = ("OneCycleLR", {"max_lr": 0.1, "total_steps": STEPS})
    cyclic = ("CyclicLR", {"base_lr": 0.001, "max_lr": 0.05, "step_size_up": 15, "mode": "triangular2"})
    for name in ("SGD", "Adam", "RMSprop"):
        cases += [
            Trajectory(name, OPTIONS[name][1], schedule=schedule)
            for schedule in (
                ("StepLR", {"step_size": 30, "gamma": 0.5}),
                ("CosineAnnealingLR", {"T_max": 60, "eta_min": 0.001}),
                one_cycle,
                cyclic,
            )
            if not (name == "RMSprop" and schedule is not one_cycle)
        ]
    return cases


# Schedules -----------------------------------------------------------------------------------------------------------


def inverse_root(epoch: int) -> float:
    """Of a schedule by a function."""
    return 1.0 / float(np.sqrt(epoch + 1.0))


def alternating(epoch: int) -> float:
    """The same, for another group."""
    return 0.5 if epoch % 2 else 0.9


def falling_height(cycle: float) -> float:
    """Of CyclicLR."""
    return float(np.exp(-0.1 * cycle))


@dataclass(frozen=True)
class Schedule:
    """A schedule, of one group or of two.

    Attributes:
        spec: what it is.
        optimizer: the class whose momentum or betas it sets.
        rates: the learning rates of the groups.
        figures: what it is given at each step, for ReduceLROnPlateau.
    """

    spec: Spec
    optimizer: str = "SGD"
    rates: tuple[float, ...] = (0.3,)
    figures: str = ""

    def label(self) -> str:
        """What to call it in the output of the tests."""
        return "-".join(
            [_label(self.spec), self.optimizer, *map(str, self.rates), *([self.figures] * bool(self.figures))]
        )


def _label(spec: Spec) -> str:
    name, arguments = spec
    parts = [
        "+".join(_label(one) for one in value) if key == "schedulers" else f"{key}={_brief(value)}"
        for key, value in arguments.items()
    ]
    return f"{name}({', '.join(parts)})"


def _brief(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return f"[{' '.join(map(_brief, value))}]"
    return getattr(value, "__name__", None) or str(value)


def make_schedule(library: Any, optimizer: Any, spec: Spec) -> Any:
    """The schedule of one of the libraries."""
    name, arguments = spec
    made = getattr(library.lr_scheduler, name)
    if "schedulers" not in arguments:
        return made(optimizer, **arguments)
    members = [make_schedule(library, optimizer, one) for one in arguments["schedulers"]]
    if name == "ChainedScheduler":
        return made(members)
    return made(optimizer, members, arguments["milestones"])


def plateau_figures(kind: str) -> list[float]:
    """Figures of 40 epochs: a loss that falls and then does not, an accuracy, with jumps in between."""
    steps = np.arange(float(EPOCHS))
    falling = np.exp(-0.3 * steps) + 0.1 * np.cos(steps) * (steps > 12)
    figures = {"loss": falling, "accuracy": 1.0 - falling, "nan": np.where(steps == 3.0, np.nan, falling)}[kind]
    return figures.tolist()


STEP: Spec = ("StepLR", {"step_size": 7, "gamma": 0.4})
EXPONENTIAL: Spec = ("ExponentialLR", {"gamma": 0.9})
WARM_UP: Spec = ("LinearLR", {"start_factor": 0.1, "total_iters": 5})
COSINE: Spec = ("CosineAnnealingLR", {"T_max": 12, "eta_min": 0.01})
CONSTANT: Spec = ("ConstantLR", {"factor": 0.25, "total_iters": 6})
POLYNOMIAL: Spec = ("PolynomialLR", {"total_iters": 20, "power": 1.5})
LAMBDA: Spec = ("LambdaLR", {"lr_lambda": inverse_root})
RESTARTS: Spec = ("CosineAnnealingWarmRestarts", {"T_0": 4, "T_mult": 2, "eta_min": 0.02})

SINGLE: list[Spec] = [
    STEP,
    ("StepLR", {"step_size": 4}),
    ("StepLR", {"step_size": 1, "gamma": 1.1}),
    ("MultiStepLR", {"milestones": [3, 11, 12]}),
    ("MultiStepLR", {"milestones": [9, 4, 9], "gamma": 0.5}),
    ("ConstantLR", {}),
    CONSTANT,
    ("LinearLR", {}),
    WARM_UP,
    ("LinearLR", {"start_factor": 1.0, "end_factor": 0.0, "total_iters": 9}),
    EXPONENTIAL,
    ("PolynomialLR", {}),
    POLYNOMIAL,
    ("CosineAnnealingLR", {"T_max": 10}),
    ("CosineAnnealingLR", {"T_max": 7, "eta_min": 0.01}),
    LAMBDA,
    ("MultiplicativeLR", {"lr_lambda": alternating}),
    ("CosineAnnealingWarmRestarts", {"T_0": 6}),
    RESTARTS,
]

PLATEAUS: list[tuple[Settings, str]] = [
    ({"patience": 2}, "loss"),
    ({"patience": 0, "factor": 0.5, "cooldown": 3, "min_lr": 0.01}, "loss"),
    ({"patience": 1, "threshold": 0.2, "threshold_mode": "abs", "eps": 0.01}, "loss"),
    ({"mode": "max", "patience": 1, "factor": 0.7}, "accuracy"),
    ({"mode": "max", "patience": 1, "threshold": 0.05, "threshold_mode": "abs"}, "accuracy"),
    ({"patience": 3}, "nan"),
]

CYCLES: list[Spec] = [
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.2, "step_size_up": 4}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.2, "step_size_up": 3, "step_size_down": 7, "mode": "triangular2"}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.2, "step_size_up": 4, "mode": "exp_range", "gamma": 0.95,
                  "base_momentum": 0.5, "max_momentum": 0.99}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.2, "step_size_up": 5, "scale_fn": falling_height,
                  "cycle_momentum": False}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.2, "step_size_up": 5, "scale_fn": falling_height,
                  "scale_mode": "iterations"}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": EPOCHS}),
    ("OneCycleLR", {"max_lr": 0.5, "epochs": 8, "steps_per_epoch": 5, "anneal_strategy": "linear", "pct_start": 0.4}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": EPOCHS, "three_phase": True, "div_factor": 10.0,
                    "final_div_factor": 100.0, "base_momentum": 0.6, "max_momentum": 0.8}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 41, "three_phase": True, "anneal_strategy": "linear",
                    "cycle_momentum": False}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 60, "pct_start": 0.17}),
]  # fmt: skip


def sequential(*specs: Spec, milestones: list[int]) -> Spec:
    """One after the other."""
    return "SequentialLR", {"schedulers": list(specs), "milestones": milestones}


def chained(*specs: Spec) -> Spec:
    """All at once."""
    return "ChainedScheduler", {"schedulers": list(specs)}


COMBINED: list[Spec] = [
    sequential(WARM_UP, COSINE, milestones=[5]),
    sequential(WARM_UP, EXPONENTIAL, STEP, milestones=[5, 12]),
    sequential(CONSTANT, LAMBDA, POLYNOMIAL, milestones=[3, 9]),
    sequential(WARM_UP, RESTARTS, milestones=[4]),
    sequential(WARM_UP, ("OneCycleLR", {"max_lr": 0.5, "total_steps": 30}), milestones=[10]),
    sequential(EXPONENTIAL, COSINE, milestones=[0]),
    chained(CONSTANT, EXPONENTIAL),
    chained(WARM_UP, STEP, EXPONENTIAL),
    chained(WARM_UP, COSINE),
    chained(EXPONENTIAL, COSINE),
    chained(("CosineAnnealingLR", {"T_max": 10}), POLYNOMIAL, ("MultiplicativeLR", {"lr_lambda": alternating})),
    chained(LAMBDA, EXPONENTIAL),
    chained(EXPONENTIAL, LAMBDA),
    chained(CONSTANT, sequential(EXPONENTIAL, STEP, milestones=[6])),
    sequential(chained(CONSTANT, STEP), EXPONENTIAL, milestones=[8]),
]


def schedules() -> list[Schedule]:
    """Every schedule with its options; those that set a momentum for both kinds of optimizers; all combinations."""
    two = (0.3, 0.02)
    return [
        *(Schedule(spec) for spec in SINGLE),
        *(Schedule(spec, rates=two) for spec in (WARM_UP, COSINE, RESTARTS, POLYNOMIAL)),
        Schedule(("LambdaLR", {"lr_lambda": [inverse_root, alternating]}), rates=two),
        *(Schedule(("ReduceLROnPlateau", arguments), figures=kind) for arguments, kind in PLATEAUS),
        Schedule(("ReduceLROnPlateau", {"patience": 1, "min_lr": [0.02, 0.001]}), rates=two, figures="loss"),
        *(Schedule(spec, optimizer) for spec in CYCLES for optimizer in ("SGD", "Adam")),
        Schedule(("CyclicLR", {"base_lr": [0.1, 0.01], "max_lr": [0.5, 0.02], "step_size_up": 4}), rates=two),
        Schedule(("OneCycleLR", {"max_lr": [0.5, 0.1], "total_steps": EPOCHS}), "AdamW", rates=two),
        *(Schedule(spec) for spec in COMBINED),
    ]


def follow(library: Any, case: Schedule, parameters: list[Any]) -> dict[str, list[list[float]]]:
    """The learning rates, and the momenta, of all epochs."""
    settings = {"momentum": 0.9} if case.optimizer == "SGD" else {}
    groups = [{"params": [p], "lr": rate} for p, rate in zip(parameters, case.rates, strict=True)]
    optimizer = getattr(library, case.optimizer)(groups, lr=1.0, **settings)
    scheduler = make_schedule(library, optimizer, case.spec)
    figures = plateau_figures(case.figures) if case.figures else []
    rates, momenta = [], []
    for epoch in range(EPOCHS):
        rates.append([group["lr"] for group in optimizer.param_groups])
        momenta.append([(group.get("betas") or [group.get("momentum")])[0] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step(*figures[epoch : epoch + 1])
    return {"rates": rates, "momenta": momenta}
