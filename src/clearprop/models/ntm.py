"""The Neural Turing Machine: a network with a memory that it reads and writes by attention.

A. Graves, G. Wayne, I. Danihelka, "Neural Turing Machines", 2014, https://arxiv.org/abs/1410.5401, whose equations are
numbered here. In the shapes B is the batch, T time, H the heads of each kind, N the memory's locations, M their width.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from clearprop.arguments import one_of, whole
from clearprop.array import (
    add,
    broadcast_to,
    concat,
    expand_dims,
    full,
    matmul,
    permute_dims,
    prod,
    reshape,
    roll,
    split,
    sqrt,
    sum,
)
from clearprop.autodiff import scan
from clearprop.dtypes import float32
from clearprop.errors import DTypeError, ShapeError, UsageError
from clearprop.functional import relu, sigmoid, softmax, softplus, tanh
from clearprop.nn import Linear, LSTMCell, Module, Parameter
from clearprop.random import Generator
from clearprop.tensor import Tensor, as_tensor

_BEGINNING = 1e-6
"""What every cell of the memory holds first. Collier and Beel 2018 compare such beginnings: a constant learns best."""
_FOCUS = 10.0
"""By how much the first location leads in the heads' first weighting, before softmax: of 128 it has 99 %. Spread out,
the first vectors would be, too: a logit moves by little more than the learning rate in an update, and stays spread."""
_TINY = 1e-8  # so that no gradient is infinite where a weight or a length is 0


class NTM(Module):
    """A controller, and a memory that its heads read and write.

    Args:
        inputs, outputs: numbers that come in and go out at each step.
        locations, width: of the memory, N and M in the paper.
        hidden: size of the controller.
        heads: how many read heads, and as many write heads.
        shift: how far a head moves in one step, to either side.
        controller: "lstm", or "feedforward" for a hidden layer that remembers nothing: then all is in the memory.
        generator: of the first values.

    >>> import clearprop as cp
    >>> machine = NTM(9, 8, locations=16, width=4, hidden=10)
    >>> machine(cp.zeros((2, 5, 9))).shape
    (2, 5, 8)
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        locations: int = 128,
        width: int = 20,
        hidden: int = 100,
        heads: int = 1,
        shift: int = 1,
        controller: str = "lstm",
        *,
        generator: Generator | None = None,
    ) -> None:
        sizes = {"inputs": inputs, "outputs": outputs, "locations": locations, "width": width, "hidden": hidden}
        for label, size in {**sizes, "heads": heads, "shift": shift}.items():
            whole("NTM", label, size)
        if 2 * shift >= locations:
            raise UsageError(
                f"NTM: a head that moves by up to {shift} needs more than {locations} locations",
                hint=f"locations={2 * shift + 1}, or more",
            )
        one_of("NTM", "controller", controller, "lstm", "feedforward")
        self.inputs, self.locations, self.width, self.heads, self.shift = inputs, locations, width, heads, shift
        seen, found = inputs + heads * width, hidden + heads * width
        self.controller = (LSTMCell if controller == "lstm" else Linear)(seen, hidden, generator=generator)
        # Of each head: key k, strength β, gate g, shifts s, sharpness γ; of each write head: erase e, add a.
        self.addressing = Linear(hidden, 2 * heads * (width + 3 + 2 * shift + 1), generator=generator)
        self.writing = Linear(hidden, 2 * heads * width, generator=generator)
        self.output = Linear(found, outputs, generator=generator)
        # What is there before the first step is learned, but for the memory.
        first = np.zeros((2 * heads, locations), np.float32)
        first[:, 0] = _FOCUS
        self.first_weighting = Parameter(first)
        self.first_read = Parameter(np.zeros(heads * width, np.float32))
        if controller == "lstm":
            self.first_state = Parameter(np.zeros((2, hidden), np.float32))

    def forward(self, x: Any, need_weights: bool = False) -> Any:
        """(B, T, inputs) -> logits, (B, T, outputs).

        With ``need_weights`` also where the heads looked at each step, (B, T, 2 H, N): those that read come first.

        Raises:
            ShapeError: x has another shape, or there is no step or no example.
            DTypeError: x is not float32.
        """
        x = self._checked(as_tensor(x))

        def step(state: Any, x: Tensor) -> tuple[Any, Any]:
            memory, weighting, read, hidden = state
            h, hidden = self._control(concat([x, read], axis=1), hidden)
            weighting = self.address(h, memory, weighting)
            memory = self.write(h, memory, weighting[:, self.heads :])
            read = reshape(matmul(weighting[:, : self.heads], memory), read.shape)  # (2): Σ w(i) M(i)
            found = concat([h, read], axis=1)
            return (memory, weighting, read, hidden), (found, weighting if need_weights else None)

        _, (found, weightings) = scan(step, self._first(x.shape[0]), permute_dims(x, (1, 0, 2)))
        logits = permute_dims(self.output(found), (1, 0, 2))
        return (logits, permute_dims(weightings, (1, 0, 2, 3))) if need_weights else logits

    def address(self, h: Tensor, memory: Tensor, before: Tensor) -> Tensor:
        """Where the heads look, section 3.3: (B, hidden), (B, N, M) and (B, 2 H, N) -> (B, 2 H, N)."""
        raw = reshape(self.addressing(h), (*before.shape[:2], -1))
        m, shifts = self.width, 2 * self.shift + 1
        k, beta, g, s, gamma = split(raw, [m, 1, 1, shifts, 1], axis=2)
        content = softmax(softplus(beta) * cosine(tanh(k), memory))  # (5), (6)
        g = sigmoid(g)
        gated = g * content + (1.0 - g) * before  # (7)
        moved = shifted(gated, softmax(s))  # (8)
        sharp = (moved + _TINY) ** (1.0 + softplus(gamma))  # (9)
        return sharp / sum(sharp, axis=2, keepdims=True)

    def write(self, h: Tensor, memory: Tensor, weighting: Tensor) -> Tensor:
        """Erase, then add, section 3.2: (B, hidden), (B, N, M) and (B, H, N) -> (B, N, M)."""
        erased, added = split(reshape(self.writing(h), (*weighting.shape[:2], 2 * self.width)), 2, axis=2)
        w = expand_dims(weighting, 3)  # (B, H, N, 1)
        kept = prod(1.0 - w * expand_dims(sigmoid(erased), 2), axis=1)  # (3), of all heads: (B, N, M)
        return memory * kept + matmul(weighting.mT, tanh(added))  # (4)

    def _control(self, x: Tensor, hidden: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """What the controller says, (B, hidden), and its next state."""
        if self._is_lstm:
            hidden = self.controller(x, hidden)
            return hidden[0], hidden
        return relu(self.controller(x)), hidden

    def _first(self, batch: int) -> Any:
        """What is there before the first step: memory, weightings, what was read, the controller's state."""
        memory = full((batch, self.locations, self.width), _BEGINNING)
        weighting = _for_each(softmax(self.first_weighting), batch)
        hidden = (_for_each(self.first_state[0], batch), _for_each(self.first_state[1], batch)) if self._is_lstm else ()
        return memory, weighting, _for_each(self.first_read, batch), hidden

    def _checked(self, x: Tensor) -> Tensor:
        if x.ndim != 3 or x.shape[2] != self.inputs or 0 in x.shape:
            raise ShapeError(
                f"NTM: x has shape {x.shape}; it must be (B, T, {self.inputs}), with at least one example and one step",
                hint=f"models.NTM({x.shape[2]}, …) for these inputs" if x.ndim == 3 else "sequences (B, T, inputs)",
            )
        if x.dtype is not float32:
            raise DTypeError(f"NTM: x is {x.dtype.name}; it takes float32", hint="x.astype(cp.float32)")
        return x

    @property
    def _is_lstm(self) -> bool:
        return isinstance(self.controller, LSTMCell)


def cosine(k: Tensor, memory: Tensor) -> Tensor:
    """How similar each key is to each location (6): (B, H, M) and (B, N, M) -> (B, H, N)."""
    squares = sum(k * k, axis=2, keepdims=True) * expand_dims(sum(memory * memory, axis=2), 1)
    return matmul(k, memory.mT) / sqrt(squares + _TINY**2)


def shifted(weighting: Tensor, shares: Tensor) -> Tensor:
    """Each weighting moved round the memory (8): Σ_j w(j) s(i - j) of (B, H, N) and (B, H, 2 shift + 1) -> (B, H, N).

    The shares are of the moves -shift to shift.
    """
    reach = shares.shape[2] // 2
    moves = [roll(weighting, move, axis=2) * shares[:, :, move + reach, None] for move in range(-reach, reach + 1)]
    return reduce(add, moves)


def _for_each(x: Any, batch: int) -> Tensor:
    return broadcast_to(x, (batch, *x.shape))
