"""clearprop without compilation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import clearprop as cp
from clearprop import nn, optim


def make_step(workload: Any) -> Callable[[], Any]:
    """One step of training, and the loss before it."""
    layers: list[nn.Module] = []
    for weight, bias in workload.weights():
        linear = nn.Linear(*weight.shape)
        linear.weight.assign(weight)
        linear.bias.assign(bias)
        layers += [linear, nn.ReLU()]
    model, criterion = nn.Sequential(*layers[:-1]), nn.CrossEntropyLoss()
    optimizer = optim.SGD(model.parameters(), lr=workload.lr)
    x, target = map(cp.asarray, workload.data())

    def step() -> Any:
        optimizer.zero_grad()
        loss = criterion(model(x), target)
        loss.backward()
        optimizer.step()
        return loss

    return step
