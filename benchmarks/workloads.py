"""What is trained: the sizes, the data and the starting weights, the same for every contestant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Workload:
    """A fully connected network with ReLU between its layers, cross entropy, and plain SGD, without compilation.

    Attributes:
        name: as in the table.
        sizes: width of the input, of each hidden layer, of the output.
        batch: examples in a step.
        lr: learning rate.
        per_layer: report the time per layer instead of per step.
    """

    name: str
    sizes: tuple[int, ...]
    batch: int
    lr: float = 0.01
    per_layer: bool = False

    @property
    def layers(self) -> int:
        """Number of weight matrices."""
        return len(self.sizes) - 1

    def weights(self) -> list[tuple[Array, Array]]:
        """For each layer the weight matrix [in, out] and the bias [out], float32 (He et al. 2015)."""
        random = np.random.default_rng(1)
        pairs = zip(self.sizes, self.sizes[1:], strict=False)
        return [
            ((random.standard_normal((a, b)) * np.sqrt(2 / a)).astype(np.float32), np.zeros(b, np.float32))
            for a, b in pairs
        ]

    def data(self) -> tuple[Array, Array]:
        """Inputs [batch, in], float32, and labels [batch], int64."""
        random = np.random.default_rng(2)
        x = random.standard_normal((self.batch, self.sizes[0])).astype(np.float32)
        return x, random.integers(0, self.sizes[-1], self.batch)


def deep_chain(layers: int) -> Workload:
    """So many layers of width 64: the time per layer must not grow with their number."""
    return Workload(f"deep chain, {layers:,} layers", (64,) * (layers + 1), 64, lr=1e-4, per_layer=True)


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("tiny MLP", (2, 16, 16, 2), 32),
        Workload("MLP", (784, 256, 256, 10), 64),
        *(deep_chain(layers) for layers in (10, 100, 1_000, 10_000)),
    )
}
