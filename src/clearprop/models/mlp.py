"""The multilayer perceptron of the lecture notes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from clearprop import nn
from clearprop.arguments import is_whole
from clearprop.array.promotion import whole_numbers
from clearprop.errors import UsageError
from clearprop.models.shift import RandomShift


def mlp(inputs: int, hidden: Sequence[int], outputs: int, dropout: float = 0.0) -> nn.Sequential:
    """Linear layers with ReLU between them, and dropout after each ReLU if asked for.

    The inputs of an example may have any shape: they are laid out as one row. The weights are drawn as He et al. (2015)
    derive it for ReLU, the biases are zero.

    Args:
        inputs: how many numbers an example has.
        hidden: the widths of the layers between, from input to output.
        outputs: how many numbers come out, for a classifier one for each class.
        dropout: the share of hidden units that is left out in each training step.

    >>> print(mlp(64, [32], 10, dropout=0.2))
    Sequential
    ├─ flatten: Flatten()
    ├─ linear1: Linear(64, 32)    weight (64, 32)  bias (32,)  2,080
    ├─ relu1: ReLU()
    ├─ dropout1: Dropout(p=0.2)
    └─ output: Linear(32, 10)     weight (32, 10)  bias (10,)    330
    2,410 parameters
    """
    return nn.Sequential({"flatten": nn.Flatten(), **_layers(inputs, hidden, outputs, dropout)})


def image_mlp(
    image: Sequence[int], hidden: Sequence[int], outputs: int, dropout: float = 0.0, shift: int = 0
) -> nn.Sequential:
    """The same for images, which are moved by a few pixels at random while the network is trained.

    Args:
        image: the shape of one, (channels, height, width).
        shift: how many pixels it is moved at most, see `RandomShift`.

    >>> import clearprop as cp
    >>> image_mlp((1, 28, 28), [64], 10, shift=1)(cp.zeros((5, 1, 28, 28))).shape
    (5, 10)
    """
    lengths = whole_numbers(image, "image_mlp", "image")
    moved = {"shift": RandomShift(shift)} if shift else {}
    return nn.Sequential({**moved, "flatten": nn.Flatten(), **_layers(math.prod(lengths), hidden, outputs, dropout)})


def _layers(inputs: int, hidden: Any, outputs: int, dropout: float) -> dict[str, nn.Module]:
    widths = [inputs, *(hidden if isinstance(hidden, list | tuple) else [hidden]), outputs]
    if not isinstance(hidden, list | tuple) or not all(is_whole(width) and width >= 1 for width in widths):
        raise UsageError(
            f"mlp: {inputs!r} inputs, hidden layers {hidden!r}, {outputs!r} outputs"[:200],
            hint="widths from 1 on: mlp(64, [32, 32], 10)",
        )
    layers: dict[str, nn.Module] = {}
    width = inputs
    for number, size in enumerate(hidden, start=1):
        layers[f"linear{number}"] = _linear(width, size, "relu")
        layers[f"relu{number}"] = nn.ReLU()
        if dropout:
            layers[f"dropout{number}"] = nn.Dropout(dropout)
        width = size
    layers["output"] = _linear(width, outputs, "linear")
    return layers


def _linear(inputs: int, outputs: int, nonlinearity: str) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.kaiming_normal_(layer.weight, nonlinearity=nonlinearity)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
