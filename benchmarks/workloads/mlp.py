"""Fully connected networks with ReLU between their layers; a chain of many equal layers is one of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from workloads.base import Array, Batch, Draw, Training, Workload, classes, normal_inputs


@dataclass(frozen=True)
class MLP(Workload):
    """``sizes`` are the widths of the input, of each hidden layer, of the output."""

    sizes: tuple[int, ...] = ()

    def weights(self) -> dict[str, Array]:
        draw = Draw()
        for i, (into, out) in enumerate(zip(self.sizes, self.sizes[1:], strict=False)):
            draw.linear(f"{2 * i}", into, out)
        return draw.weights

    def data(self) -> Batch:
        return normal_inputs(self.batch, self.sizes[0]), classes(self.batch, self.sizes[-1])

    def network(self, lib: Any) -> Any:
        layers = []
        for into, out in zip(self.sizes, self.sizes[1:], strict=False):
            layers += [lib.nn.Linear(into, out), lib.nn.ReLU()]
        return lib.nn.Sequential(*layers[:-1])

    def logits(self, ops: Any, w: Any, x: Any) -> Any:
        last = len(self.sizes) - 2
        for i in range(last):
            x = ops.relu(ops.linear(w, f"{2 * i}", x))
        return ops.linear(w, f"{2 * last}", x)

    @property
    def flops(self) -> int:
        products = [2 * self.batch * into * out for into, out in zip(self.sizes, self.sizes[1:], strict=False)]
        return 3 * sum(products) - products[0]  # nobody asks for the gradient of the inputs


@dataclass(frozen=True)
class Chain(MLP):
    """Layers of equal width, which begin near the identity: so activations and gradients neither vanish nor explode."""

    def weights(self) -> dict[str, Array]:
        draw, width, layers = Draw(), self.sizes[0], len(self.sizes) - 1
        for i in range(layers):
            name = f"{2 * i}"
            draw.linear(name, width, width, scale=0.5 / (width * layers) ** 0.5)
            draw.weights[f"{name}.weight"] += np.eye(width, dtype=np.float32)
        return draw.weights

    def logits(self, ops: Any, w: Any, x: Any) -> Any:
        if not ops.scans:
            return super().logits(ops, w, x)
        x = ops.scan(lambda x, layer: ops.relu(x @ layer["weight"] + layer["bias"]), x, w.part("inner"))
        return ops.linear(w, "last", x)

    def arranged(self, ops: Any, weights: dict[str, Array]) -> dict[str, Array]:
        if not ops.scans:
            return weights
        inner, last = list(weights)[:-2], list(weights)[-2:]
        return {
            "inner.weight": np.stack([weights[name].T for name in inner[::2]]),
            "inner.bias": np.stack([weights[name] for name in inner[1::2]]),
            "last.weight": weights[last[0]],
            "last.bias": weights[last[1]],
        }


def deep_chain(layers: int, absent: dict[str, str]) -> Chain:
    """So many layers of width 64: the time per layer must not grow with their number."""
    return Chain(
        f"chain-{layers}", f"deep chain, {layers:,} layers", 64, Training(lr=0.1 / layers), absent,
        sizes=(64,) * (layers + 1), units=(layers, "layer"),
    )  # fmt: skip


def eagerly(workload: Workload) -> Workload:
    """The same without compilation, for those who can do without."""
    return replace(
        workload,
        name=f"{workload.name}-eager",
        title=f"{workload.title}, eager",
        only=("clearprop-eager", "torch"),
    )


TINY_MLP = MLP("tiny-mlp", "tiny MLP", 32, Training(), sizes=(2, 16, 16, 2))
MLP_ = MLP("mlp", "MLP", 64, Training(), sizes=(784, 256, 256, 10))
WIDE_MLP = MLP("wide-mlp", "wide MLP", 256, Training("Adam", lr=1e-3), sizes=(784, 1024, 1024, 10))
