"""Normalization: in training over several steps, in evaluation, and one after the other."""

from __future__ import annotations

import itertools
from typing import Any

from tests.reference.modules.cases import ModuleCase, numbers

X2, X3, X4, X5 = numbers(4, 3), numbers(2, 3, 4), numbers(2, 4, 3, 2), numbers(2, 3, 2, 1, 2)
FAR = 1000.0 + numbers(6, 2)  # the variance is a small difference of large squares


def first_train_then_use(nn: Any) -> Any:
    """Running statistics of three batches, used for a fourth."""

    class Both(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(3, momentum=0.3)

        def forward(self, x: Any) -> Any:
            self.train()
            for step in range(3):
                self.norm(x * (step + 1.0) + step)
            self.eval()
            return self.norm(x)

    return Both()


def batch_norms() -> list[ModuleCase]:
    """Every dimension, and a sweep of arguments."""
    cases = [
        ModuleCase("BatchNorm1d", {"num_features": 3}, (X2,), steps=3),
        ModuleCase("BatchNorm1d", {"num_features": 3}, (X3,), steps=3),
        ModuleCase("BatchNorm1d", {"num_features": 2}, (FAR,)),
        ModuleCase("BatchNorm2d", {"num_features": 4}, (X4,), steps=2),
        ModuleCase("BatchNorm3d", {"num_features": 3}, (X5,), steps=2),
        ModuleCase("first_train_then_use", inputs=(X2,), make=first_train_then_use),
    ]
    for momentum, affine, track, training in itertools.product((0.1, None, 0.9), *((True, False),) * 3):
        arguments = {
            "num_features": 3,
            "eps": 1e-3,
            "momentum": momentum,
            "affine": affine,
            "track_running_stats": track,
        }
        cases.append(ModuleCase("BatchNorm1d", arguments, (X3,), training=training, steps=3))
    return cases


def instance_norms() -> list[ModuleCase]:
    """With and without parameters and running statistics; single examples."""
    cases = [
        ModuleCase("InstanceNorm1d", {"num_features": 3}, (X3[0],)),
        ModuleCase("InstanceNorm2d", {"num_features": 4}, (X4,)),
        ModuleCase("InstanceNorm2d", {"num_features": 4, "affine": True}, (X4[1],)),
        ModuleCase("InstanceNorm3d", {"num_features": 3, "affine": True, "track_running_stats": True}, (X5,), steps=2),
    ]
    for affine, track, training in itertools.product((True, False), repeat=3):
        arguments = {"num_features": 3, "momentum": 0.2, "affine": affine, "track_running_stats": track}
        cases.append(ModuleCase("InstanceNorm1d", arguments, (X3,), training=training, steps=2))
    return cases


def others() -> list[ModuleCase]:
    """Those without running statistics."""
    cases = [
        ModuleCase("GroupNorm", {"num_groups": groups, "num_channels": 4, "affine": affine, "eps": eps}, (x,))
        for groups in (1, 2, 4)
        for affine, eps in ((True, 1e-5), (False, 1e-2))
        for x in (numbers(3, 4), X4)
        if groups < 4 or x.ndim > 2
    ]
    for shape, affine in itertools.product((2, [3, 2], [4, 3, 2]), (True, False)):
        arguments = {"normalized_shape": shape, "elementwise_affine": affine}
        cases.append(ModuleCase("LayerNorm", {**arguments, "eps": 1e-4}, (X4,)))
        cases.append(ModuleCase("RMSNorm", {**arguments, "eps": 1e-4}, (X4,)))
    cases.append(ModuleCase("LayerNorm", {"normalized_shape": 2, "bias": False}, (X4,)))
    cases.append(ModuleCase("RMSNorm", {"normalized_shape": 3}, (X2,)))
    return cases


CASES = [*batch_norms(), *instance_norms(), *others()]
