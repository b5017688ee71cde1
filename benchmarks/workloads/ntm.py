"""A Neural Turing Machine (Graves et al. 2014) that learns to copy, in the sizes of the paper's copy task.

One head reads and one writes; the controller is an LSTM. The equations, with the numbers of the paper, stand here
once for all libraries: a library gives its functions, and its way of going from step to step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from workloads.base import Array, Batch, Draw, Training, Workload

_BITS = 8
_TINY = 1e-8
_BEGINNING = 1e-6  # what is in the memory first


@dataclass(frozen=True)
class NTM(Workload):
    """``length`` is that of the sequence, which comes in, and then goes out."""

    length: int = 20
    locations: int = 128
    width: int = 20
    hidden: int = 100

    def weights(self) -> dict[str, Array]:
        draw = Draw()
        for name, (into, out) in self._layers.items():
            draw.linear(name, into, out, scale=into**-0.5)
        draw.normal("first", (2, self.locations), 1.0)
        return draw.weights

    @property
    def _layers(self) -> dict[str, tuple[int, int]]:
        """Inputs and outputs of each linear layer."""
        return {
            "gates": (_BITS + 1 + self.width + self.hidden, 4 * self.hidden),
            "heads": (self.hidden, 2 * (self.width + 6)),
            "writing": (self.hidden, 2 * self.width),
            "output": (self.hidden + self.width, _BITS),
        }

    def data(self) -> Batch:
        """(T, N, 9): bits, a mark in a column of its own, then nothing while they are asked for; and the bits."""
        bits = np.random.default_rng(2).integers(0, 2, (self.length, self.batch, _BITS)).astype(np.float32)
        inputs = np.zeros((2 * self.length + 1, self.batch, _BITS + 1), np.float32)
        inputs[: self.length, :, :_BITS] = bits
        inputs[self.length, :, _BITS] = 1.0
        return inputs, bits

    def network(self, lib: Any) -> Any:
        nn, functions, run = lib.nn, _Functions(lib), self._run

        class Network(nn.Module):
            def __init__(self, layers: dict[str, tuple[int, int]], locations: int) -> None:
                super().__init__()
                for name, (into, out) in layers.items():
                    setattr(self, name, nn.Linear(into, out))
                self.first = nn.Parameter(lib.zeros((2, locations)))

            def forward(self, x: Any) -> Any:
                return run(functions, lambda name, x: getattr(self, name)(x), self.first, x)

        return Network(self._layers, self.locations)

    def module_loss(self, lib: Any, network: Any, *batch: Any) -> Any:
        x, bits = batch
        return self._loss(lib.nn.functional.softplus, network(x), bits)

    def loss(self, ops: Any, w: Any, *batch: Any) -> Any:
        x, bits = batch
        return self._loss(ops.softplus, self._run(ops, partial(ops.linear, w), w["first"], x), bits)

    def _loss(self, softplus: Callable[[Any], Any], logits: Any, bits: Any) -> Any:
        """The binary cross entropy of what goes out at the end."""
        answers = logits[-self.length :]
        return (softplus(answers) - answers * bits).mean()

    def _run(self, f: Any, linear: Callable[[str, Any], Any], first: Any, x: Any) -> Any:
        """(T, N, 9) -> logits (T, N, 8)."""
        n = self.batch
        memory = f.full((n, self.locations, self.width), _BEGINNING)
        weighting = f.softmax(first)[None] + f.full((n, 1, 1), 0.0)
        nothing = f.full((n, self.hidden), 0.0)
        start = memory, weighting, f.full((n, self.width), 0.0), nothing, nothing
        return linear("output", f.recur(partial(self._step, f, linear), start, x))

    def _step(self, f: Any, linear: Callable[[str, Any], Any], state: Any, x: Any) -> Any:
        """The next state, and what the controller says and the head reads, side by side."""
        memory, before, read, h, c = state
        h, c = self._control(f, linear("gates", f.concat([x, read, h])), c)
        weighting = self._address(f, linear("heads", h), memory, before)
        writing = linear("writing", h)
        erased, added = f.sigmoid(writing[:, : self.width]), f.tanh(writing[:, self.width :])
        where = weighting[:, 1][:, :, None]
        memory = memory * (1.0 - where * erased[:, None]) + where * added[:, None]  # (3), (4)
        read = (weighting[:, :1] @ memory)[:, 0]  # (2)
        return (memory, weighting, read, h, c), f.concat([h, read])

    def _control(self, f: Any, gates: Any, c: Any) -> tuple[Any, Any]:
        i, j, g, o = (gates[:, k * self.hidden : (k + 1) * self.hidden] for k in range(4))
        c = f.sigmoid(j) * c + f.sigmoid(i) * f.tanh(g)
        return f.sigmoid(o) * f.tanh(c), c

    def _address(self, f: Any, raw: Any, memory: Any, before: Any) -> Any:
        """Where both heads look, (N, 2, locations)."""
        m = self.width
        raw = raw.reshape(self.batch, 2, m + 6)
        key, strength, gate = (
            f.tanh(raw[:, :, :m]),
            f.softplus(raw[:, :, m : m + 1]),
            f.sigmoid(raw[:, :, m + 1 : m + 2]),
        )
        shares, sharpness = f.softmax(raw[:, :, m + 2 : m + 5]), 1.0 + f.softplus(raw[:, :, m + 5 :])
        lengths = f.sqrt((key * key).sum(-1))[:, :, None] * f.sqrt((memory * memory).sum(-1))[:, None]
        content = f.softmax(strength * (key @ f.turned(memory)) / (lengths + _TINY))  # (5), (6)
        gated = gate * content + (1.0 - gate) * before  # (7)
        left, right = f.concat([gated[:, :, 1:], gated[:, :, :1]]), f.concat([gated[:, :, -1:], gated[:, :, :-1]])
        moved = left * shares[:, :, :1] + gated * shares[:, :, 1:2] + right * shares[:, :, 2:]  # (8)
        sharp = (moved + _TINY) ** sharpness
        return sharp / sharp.sum(-1)[:, :, None]  # (9)

    @property
    def flops(self) -> int:
        steps = 2 * self.length + 1
        products = sum(into * out for into, out in self._layers.values())
        memory = 5 * self.locations * self.width  # two keys, one reading, one erasing, one adding
        return 3 * 2 * steps * self.batch * (products + memory)


class _Functions:
    """Those of clearprop or PyTorch."""

    def __init__(self, lib: Any) -> None:
        functional = lib.nn.functional
        self.softmax = partial(functional.softmax, dim=-1)
        self.sigmoid, self.softplus = functional.sigmoid, functional.softplus
        self.tanh, self.sqrt, self.full = lib.tanh, lib.sqrt, lib.full
        self._lib = lib

    def concat(self, xs: list[Any]) -> Any:
        return self._lib.concat(xs, -1)

    def turned(self, x: Any) -> Any:
        return x.mT

    def recur(self, step: Callable[[Any, Any], Any], state: Any, xs: Any) -> Any:
        if hasattr(self._lib, "scan"):
            return self._lib.scan(step, state, xs)[1]
        outputs = []
        for x in xs:
            state, output = step(state, x)
            outputs.append(output)
        return self._lib.stack(outputs)


_LONG = dict.fromkeys(("torch-compile", "tinygrad"), "compiling so many steps takes minutes")

NTM_ = NTM("ntm", "NTM", 16, Training("Adam", lr=1e-3, clip=10.0), _LONG)
