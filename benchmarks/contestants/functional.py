"""What the libraries have in common that differentiate functions of arrays: optimizers, clipping, weights by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from workloads.base import Array, Training, Workload

Arrays = dict[str, Any]

_TABLES = ("embedding", "words", "positions", "others")


class Weights:
    """Weights by name, with the buffers of the network and their new values.

    Attributes:
        buffers: before the step.
        updated: after it.
    """

    def __init__(self, arrays: Arrays, buffers: Arrays) -> None:
        self.arrays = arrays
        self.buffers = buffers
        self.updated: Arrays = {}

    def __getitem__(self, name: str) -> Any:
        return self.arrays[name]

    def get(self, name: str) -> Any:
        """An array, or None."""
        return self.arrays.get(name)

    def part(self, prefix: str) -> Arrays:
        """The arrays below a prefix."""
        begin = prefix + "."
        return {name.removeprefix(begin): x for name, x in self.arrays.items() if name.startswith(begin)}

    def keep_statistics(self, name: str, mean: Any, variance: Any, count: int) -> None:
        """Update the running mean and the running variance, which is unbiased, of a batch normalization."""
        for buffer, new in (("running_mean", mean), ("running_var", variance * (count / (count - 1)))):
            self.updated[f"{name}.{buffer}"] = 0.9 * self.buffers[f"{name}.{buffer}"] + 0.1 * new


def first_moments(training: Training, weights: dict[str, Array]) -> dict[str, Array]:
    """What an optimizer keeps, before the first step."""
    kinds = ["mean", "square"] if training.optimizer != "SGD" else ["velocity"] if training.momentum else []
    return {f"{kind} {name}": np.zeros_like(array) for kind in kinds for name, array in weights.items()}


def updated(
    training: Training, weights: Arrays, grads: Arrays, moments: Arrays, count: Any, sqrt: Callable[[Any], Any]
) -> tuple[Arrays, Arrays]:
    """Weights and moments after a step, in PyTorch's arithmetic.

    Args:
        count: number of the step, from 1 on.
        sqrt: the library's.
    """
    new_weights: Arrays = {}
    new_moments: Arrays = {}
    for name, w in weights.items():
        g = grads[name]
        if training.optimizer == "SGD":
            if training.momentum:
                g = new_moments[f"velocity {name}"] = training.momentum * moments[f"velocity {name}"] + g
            new_weights[name] = w - training.lr * g
            continue
        first, second = training.betas
        mean = new_moments[f"mean {name}"] = first * moments[f"mean {name}"] + (1 - first) * g
        square = new_moments[f"square {name}"] = second * moments[f"square {name}"] + (1 - second) * g * g
        w = w * (1 - training.lr * training.weight_decay)
        root = sqrt(square / (1 - second**count)) + training.eps
        new_weights[name] = w - training.lr / (1 - first**count) * (mean / root)
    return new_weights, new_moments


def clipped(training: Training, grads: Arrays, sqrt: Callable[[Any], Any], least: Callable[[Any], Any]) -> Arrays:
    """The gradients, scaled if their norm is too large; ``least`` is the minimum of a value and 1."""
    if training.clip is None:
        return grads
    factor = least(training.clip / (sqrt(total(grads.values())) + 1e-6))
    return {name: g * factor for name, g in grads.items()}


def total(grads: Iterable[Any]) -> Any:
    """The sum of all squares."""
    squares = [(g * g).sum() for g in grads]
    result = squares[0]
    for square in squares[1:]:
        result = result + square
    return result


def starting_values(
    workload: Workload, ops: Any, turn: Callable[[str, Array], Array], put: Callable[[Array], Any]
) -> tuple[Arrays, ...]:
    """Weights, buffers and moments of a library, each by name.

    Args:
        turn: brings a weight into the layout of the library.
        put: makes an array of the library.
    """
    weights = {name: turn(name, array) for name, array in workload.arranged(ops, workload.weights()).items()}
    parts = weights, workload.buffers(), first_moments(workload.training, weights)
    return tuple({name: put(array) for name, array in part.items()} for part in parts)


def is_of_linear(name: str, array: Array) -> bool:
    """Whether a weight, [out, in], is multiplied with, and not a table of vectors."""
    return array.ndim == 2 and ".weight" in name and name.split(".")[0] not in _TABLES
