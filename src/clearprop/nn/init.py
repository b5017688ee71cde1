"""First values of parameters. Every function assigns the cell that it is given, and returns it.

Weights of linear layers are stored [in, out]; those of convolutions [out, in / groups, *window].

    Xavier: X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010
    Kaiming: K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers", 2015
"""

from __future__ import annotations

import math
from typing import Any, TypeVar

import numpy as np

from clearprop import random
from clearprop.errors import ShapeError, UsageError
from clearprop.random import Generator
from clearprop.tensor import Cell, Tensor

C = TypeVar("C", bound=Cell)

_GAINS = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5.0 / 3.0, "relu": math.sqrt(2.0), "selu": 0.75}


def constant_(cell: C, value: float) -> C:
    """All elements the same.

    >>> import clearprop as cp
    >>> cp.nn.init.constant_(cp.Parameter([0.0, 0.0]), 0.5)
    Parameter(Tensor([0.5, 0.5], dtype=float32, requires_grad=True))
    """
    held = cell.peek().array
    cell.assign(Tensor(np.full(held.shape, value, held.dtype)))
    return cell


def zeros_(cell: C) -> C:
    """All zeros."""
    return constant_(cell, 0.0)


def ones_(cell: C) -> C:
    """All ones."""
    return constant_(cell, 1.0)


def normal_(cell: C, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> C:
    """Normally distributed."""
    cell.assign(random.normal(cell.shape, mean, std, dtype=cell.dtype, generator=generator))
    return cell


def uniform_(cell: C, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> C:
    """Equally likely between a and b."""
    cell.assign(random.uniform(cell.shape, a, b, dtype=cell.dtype, generator=generator))
    return cell


def xavier_uniform_(cell: C, gain: float = 1.0, generator: Generator | None = None) -> C:
    """Uniform in ±gain √(6 / (fan_in + fan_out)): keeps the variance forward and backward (equation 16)."""
    bound = gain * math.sqrt(6.0 / sum(fans(cell)))
    return uniform_(cell, -bound, bound, generator)


def xavier_normal_(cell: C, gain: float = 1.0, generator: Generator | None = None) -> C:
    """Normal with standard deviation gain √(2 / (fan_in + fan_out)) (equation 12 of the paper)."""
    return normal_(cell, 0.0, gain * math.sqrt(2.0 / sum(fans(cell))), generator)


def kaiming_uniform_(
    cell: C, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Generator | None = None
) -> C:
    """Uniform with the variance gain² / fan: in ±gain √(3 / fan).

    Args:
        a: the negative slope, for leaky_relu.
        mode: "fan_in" keeps the variance forward (equation 10 of the paper), "fan_out" backward (equation 14).
        nonlinearity: whose `calculate_gain` to use.
    """
    bound = math.sqrt(3.0) * _kaiming_std(cell, a, mode, nonlinearity)
    return uniform_(cell, -bound, bound, generator)


def kaiming_normal_(
    cell: C, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Generator | None = None
) -> C:
    """Normal with the variance gain² / fan; arguments as of `kaiming_uniform_`."""
    return normal_(cell, 0.0, _kaiming_std(cell, a, mode, nonlinearity), generator)


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """By how much weights must be larger because a nonlinearity makes its input smaller.

    Args:
        nonlinearity: "linear", "sigmoid", "tanh", "relu", "leaky_relu" or "selu".
        param: the negative slope of leaky_relu, 0.01 by default.

    Raises:
        UsageError: for another name.

    >>> from clearprop import nn
    >>> round(nn.init.calculate_gain("relu"), 4), round(nn.init.calculate_gain("leaky_relu", 1.0), 4)
    (1.4142, 1.0)
    """
    if nonlinearity == "leaky_relu":
        return math.sqrt(2.0 / (1.0 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in _GAINS:
        raise UsageError(f"no gain is known for {nonlinearity!r}", hint=f"leaky_relu, {', '.join(_GAINS)}")
    return _GAINS[nonlinearity]


def fans(cell: Cell) -> tuple[int, int]:
    """How many inputs feed one output, and how many outputs one input feeds.

    Raises:
        ShapeError: for fewer than two axes, where there is no such thing.

    >>> import clearprop as cp
    >>> cp.nn.init.fans(cp.nn.Linear(784, 256).weight), cp.nn.init.fans(cp.Parameter(cp.zeros((64, 3, 5, 5))))
    ((784, 256), (75, 1600))
    """
    shape = cell.shape
    if len(shape) < 2:
        name = f"{type(cell).__name__} {cell.name}".rstrip()
        raise ShapeError(
            f"init: {name} of shape {shape} has no fan: that takes two axes", hint="init.zeros_ for biases"
        )
    if len(shape) == 2:
        return shape[0], shape[1]
    window = math.prod(shape[2:])
    return shape[1] * window, shape[0] * window


def _kaiming_std(cell: Cell, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise UsageError(f"mode={mode!r} is not known", hint='mode="fan_in" or "fan_out"')
    fan: Any = fans(cell)[0 if mode == "fan_in" else 1]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan) if fan else 0.0
