"""What a workload is: sizes, starting weights, data, a network in two styles, and how much work a step is.

The network is written once for libraries with PyTorch's modules (`Workload.network`), and once as a function of arrays
(`Workload.logits`), for the others. Names and layouts of the weights are PyTorch's; each library turns them into its
own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Batch = tuple[Array, ...]

_CELLS = {"SGD": 1, "Adam": 3, "AdamW": 3}  # numbers that an optimizer reads and writes for each weight


@dataclass(frozen=True)
class Training:
    """How the weights change; names and defaults are PyTorch's."""

    optimizer: str = "SGD"
    lr: float = 0.01
    momentum: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    clip: float | None = None  # the largest norm that all gradients together may have

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments of PyTorch's optimizer, and of ours."""
        if self.optimizer == "SGD":
            return {"lr": self.lr, "momentum": self.momentum}
        return {"lr": self.lr, "betas": self.betas, "eps": self.eps, "weight_decay": self.weight_decay}


@dataclass(frozen=True)
class Workload:
    """Base class: a classifier whose loss is the cross entropy.

    Attributes:
        name: as on the command line.
        title: as in the table.
        batch: examples in a step.
        absent: contestants that do not take part, and why.
        only: if not empty, the only contestants.
        units: what the time is divided by, and what it is then called.
        images: whether a library may want another layout for it.
    """

    name: str
    title: str
    batch: int
    training: Training = Training()
    absent: dict[str, str] = field(default_factory=dict)
    only: tuple[str, ...] = ()
    units: tuple[int, str] = (1, "step")
    images: bool = False

    def weights(self) -> dict[str, Array]:
        """The starting weights, float32, by PyTorch's names."""
        raise NotImplementedError

    def buffers(self) -> dict[str, Array]:
        """What else the network keeps from step to step."""
        return {}

    def batches(self) -> Callable[[], Batch]:
        """A function that gives the data of the next step; by default always the same."""
        batch = self.data()
        return lambda: batch

    def data(self) -> Batch:
        """Inputs, and labels, int64."""
        raise NotImplementedError

    @property
    def streams(self) -> bool:
        """Whether each step has other data, which is then part of the step's work."""
        return type(self).batches is not Workload.batches

    def network(self, lib: Any) -> Any:
        """A module of ``lib``, which is ``clearprop`` or ``torch``, from inputs to logits, with weights of its own."""
        raise NotImplementedError

    def module_loss(self, lib: Any, network: Any, *batch: Any) -> Any:
        """The loss of such a module."""
        x, target = batch
        return lib.nn.functional.cross_entropy(network(x), target)

    def logits(self, ops: Any, w: Any, x: Any) -> Any:
        """The same network as a function; ``ops`` are a library's operations, ``w`` its weights by name."""
        raise NotImplementedError

    def loss(self, ops: Any, w: Any, *batch: Any) -> Any:
        """Its loss."""
        x, target = batch
        return ops.cross_entropy(self.logits(ops, w, x), target)

    def arranged(self, ops: Any, weights: dict[str, Array]) -> dict[str, Array]:
        """The weights as `logits` wants them for these operations."""
        return weights

    @property
    def flops(self) -> int:
        """Multiplications and additions in matrix products and convolutions, as the layers define them."""
        raise NotImplementedError

    @property
    def fewer_flops(self) -> int:
        """Those that are left of them where our compiler has an algorithm that needs fewer."""
        return self.flops

    @property
    def optimizer_bytes(self) -> int:
        """What the optimizer must read and write in a step: each weight, and its moments."""
        cells = _CELLS[self.training.optimizer] + (self.training.momentum != 0)
        return 8 * cells * sum(array.size for array in self.weights().values())


def filtered(flops: int) -> int:
    """What is left of a convolution with windows of 3×3 by minimal filtering: 16 of 36 multiplications."""
    return flops * 16 // 36


class Draw:
    """Draws starting weights, the same in every process."""

    def __init__(self, seed: int = 1) -> None:
        self._random = np.random.default_rng(seed)
        self.weights: dict[str, Array] = {}

    def normal(self, name: str, shape: tuple[int, ...], scale: float) -> None:
        """A tensor of normally distributed numbers."""
        self.weights[name] = (scale * self._random.standard_normal(shape)).astype(np.float32)

    def fill(self, name: str, shape: tuple[int, ...], value: float = 0.0) -> None:
        """A tensor of equal numbers."""
        self.weights[name] = np.full(shape, value, np.float32)

    def linear(self, name: str, into: int, out: int, *, bias: bool = True, scale: float | None = None) -> None:
        """A layer's weight, [out, in], and its bias (He et al. 2015)."""
        self.normal(f"{name}.weight", (out, into), np.sqrt(2 / into) if scale is None else scale)
        if bias:
            self.fill(f"{name}.bias", (out,))

    def convolution(self, name: str, into: int, out: int, size: int, *, bias: bool = True) -> None:
        """A layer's weight, [out, in, size, size], and its bias."""
        self.normal(f"{name}.weight", (out, into, size, size), np.sqrt(2 / (into * size * size)))
        if bias:
            self.fill(f"{name}.bias", (out,))

    def norm(self, name: str, size: int) -> None:
        """Weight and bias of a normalization."""
        self.fill(f"{name}.weight", (size,), 1.0)
        self.fill(f"{name}.bias", (size,))


def classes(count: int, of: int) -> Array:
    """So many labels, int64."""
    return np.random.default_rng(3).integers(0, of, count)


def normal_inputs(*shape: int) -> Array:
    """Normally distributed inputs, float32."""
    return np.random.default_rng(2).standard_normal(shape).astype(np.float32)
