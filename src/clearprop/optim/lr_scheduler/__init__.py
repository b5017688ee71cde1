"""Learning rates that change over the epochs, or over the steps. Names, arguments and results are PyTorch's.

``scheduler.step()`` is called at the end of an epoch (or of a step, if the schedule counts steps) and sets
``group["lr"]``.

base                   what all have in common
decay, cosine, cycles  schedules that know beforehand
plateau                one that looks at a figure
combined               several, one after the other or at once
"""

from clearprop.optim.lr_scheduler.base import LRScheduler
from clearprop.optim.lr_scheduler.combined import ChainedScheduler, SequentialLR
from clearprop.optim.lr_scheduler.cosine import CosineAnnealingLR, CosineAnnealingWarmRestarts
from clearprop.optim.lr_scheduler.cycles import CyclicLR, OneCycleLR
from clearprop.optim.lr_scheduler.decay import (
    ConstantLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from clearprop.optim.lr_scheduler.plateau import ReduceLROnPlateau

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]
