"""The network that read zip codes in 1989, with its local receptive fields. Names are the paper's.

Y. LeCun, B. Boser, J. Denker, D. Henderson, R. Howard, W. Hubbard, L. Jackel, Backpropagation Applied to Handwritten
Zip Code Recognition, Neural Computation 1, 541–551. It has no numbered equations; its numbers are counts, which the
parameters and `LeNet1989.connections` repeat: 1,256 units, 64,660 connections, 9,760 free parameters. Two things it
leaves open are decided here as in A. Karpathy's repetition (2022, Deep Neural Nets: 33 years ago and 33 years from
now): to which 8 maps of H1 a map of H2 is connected, and what the biases begin with, 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from clearprop import nn
from clearprop.array import add, multiply, pad, reshape, subtract, take
from clearprop.cell import Parameter
from clearprop.errors import UsageError
from clearprop.functional import conv2d, dropout, relu, tanh
from clearprop.models.images import check_images
from clearprop.tensor import Tensor

_A, _S = 1.7159, 2 / 3  # f(a) = A tanh(S a): f(±1) = ±1, and there its curvature is largest
_BACKGROUND = -1.0  # what is beyond the border of a map
_IMAGE = (1, 16, 16)
_MAPS_OF_H2 = np.array([(*range(8),)] * 4 + [(*range(4, 12),)] * 4 + [(*range(4), *range(8, 12))] * 4)
"""For each of the 12 maps of H2, the 8 maps of H1 that it is connected to: two thirds of them, other ones in turn."""


class Maps(nn.Module):
    """A layer of maps: all units of a map have the same 5×5 weights, two pixels apart, but each has a bias of its own.

    Args:
        sources: for each map, which maps of the layer below it is connected to.
        side: of the maps below; those of this layer are half as long.

    Attributes:
        weight: (maps, sources of each, 5, 5), at first uniform in ±2.4 / F, where F is the number of inputs of a unit.
        bias: (maps, side / 2, side / 2).

    >>> import clearprop as cp
    >>> Maps(np.zeros((12, 1), int), 16)(cp.zeros((2, 1, 16, 16))).shape
    (2, 12, 8, 8)
    """

    def __init__(self, sources: Any, side: int) -> None:
        self.sources = np.asarray(sources)
        maps, count = self.sources.shape
        self.weight = Parameter(np.empty((maps, count, 5, 5), np.float32))
        self.bias = Parameter(np.zeros((maps, side // 2, side // 2), np.float32))
        _draw(self.weight, fan_in=count * 5 * 5)

    def forward(self, x: Any) -> Tensor:
        """(N, maps below, side, side) -> weighted sums (N, maps, side / 2, side / 2)."""
        x = add(pad(subtract(x, _BACKGROUND), ((0, 0), (0, 0), (2, 2), (2, 2))), _BACKGROUND)
        maps = len(self.sources)
        if x.shape[1] > 1:  # the sources of the first map, of the second, …: each group feeds one map
            x = take(x, self.sources.reshape(-1), axis=1)
        return add(conv2d(x, self.weight, stride=2, groups=maps if x.shape[1] > 1 else 1), self.bias)

    @property
    def connections(self) -> int:
        """Inputs of all units, biases counted."""
        return self.bias.size * (self.weight[0].size + 1)


class LeNet1989(nn.Module):
    """16×16 pixels -> H1: 12 maps of 8×8 -> H2: 12 maps of 4×4 -> H3: 30 units -> 10 units, one for each digit.

    Args:
        activation: "tanh", the paper's A tanh(S a), or "relu".
        squash: whether the outputs pass through the activation too, as in the paper; not for logits.
        dropout: the share of the units of H3 left out in each training step; the paper has none.

    >>> import clearprop as cp
    >>> model = LeNet1989()
    >>> model(cp.zeros((5, 1, 16, 16))).shape
    (5, 10)
    >>> sum(p.size for p in model.parameters()), model.connections  # as the paper says
    (9760, 64660)
    """

    def __init__(self, activation: str = "tanh", squash: bool = True, dropout: float = 0.0) -> None:
        if activation not in ("tanh", "relu"):
            raise UsageError(f"LeNet1989: activation is {activation!r}", hint="'tanh' or 'relu'")
        self.activation, self.squash, self.p = activation, squash, dropout
        self.h1 = Maps(np.zeros((12, 1), np.int64), side=16)
        self.h2 = Maps(_MAPS_OF_H2, side=8)
        self.h3 = nn.Linear(12 * 4 * 4, 30)
        self.output = nn.Linear(30, 10)
        for layer in (self.h3, self.output):
            _draw(layer.weight, fan_in=layer.in_features)
            layer.bias = Parameter(np.zeros(layer.out_features, np.float32))

    def forward(self, x: Any) -> Tensor:
        """Images, brightness from 0 to 1, (N, 1, 16, 16) -> (N, 10), the highest for the class it is taken for."""
        x = check_images("LeNet1989", x, _IMAGE)
        x = subtract(multiply(x, 2.0), 1.0)  # "the grey levels of each image are scaled to fall within -1 and 1"
        h1 = self.f(self.h1(x))  # (N, 12, 8, 8)
        h2 = self.f(self.h2(h1))  # (N, 12, 4, 4)
        h3 = self.f(self.h3(reshape(h2, (-1, 12 * 4 * 4))))  # (N, 30)
        output = self.output(dropout(h3, self.p, self.training))
        return self.f(output) if self.squash else output

    def f(self, a: Any) -> Tensor:
        """The activation of a unit from its weighted sum."""
        return relu(a) if self.activation == "relu" else multiply(tanh(multiply(a, _S)), _A)

    @property
    def connections(self) -> int:
        """Inputs of all units, biases counted: many more than there are parameters, which maps share."""
        dense = (layer.weight.size + layer.out_features for layer in (self.h3, self.output))
        return self.h1.connections + self.h2.connections + sum(dense)

    def extra_repr(self) -> str:
        """Its arguments, as far as they are not the paper's."""
        changed = [] if self.activation == "tanh" else [f"activation={self.activation!r}"]
        changed += [] if self.squash else ["squash=False"]
        return ", ".join([*changed, f"dropout={self.p}"] if self.p else changed)


def _draw(weight: Parameter, fan_in: int) -> None:
    nn.init.uniform_(weight, -2.4 / fan_in, 2.4 / fan_in)
