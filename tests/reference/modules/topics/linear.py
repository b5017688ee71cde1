"""Linear layers, and a network composed of them."""

from __future__ import annotations

from typing import Any

from tests.reference.modules.cases import ModuleCase, numbers


def perceptron(nn: Any) -> Any:
    """Two layers with an activation between them."""
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))


CASES = [
    ModuleCase("Linear", {"in_features": 3, "out_features": 4}, (numbers(2, 3),)),
    ModuleCase("Linear", {"in_features": 3, "out_features": 4, "bias": False}, (numbers(2, 5, 3),)),
    ModuleCase("perceptron", inputs=(numbers(4, 3),), make=perceptron, steps=2),
]
