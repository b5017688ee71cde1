"""ResNet-20 for images of 32×32 (He et al. 2015, section 4.2): three stages of three blocks, shortcuts of option A."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from workloads.base import Array, Batch, Draw, Training, Workload, classes, filtered, normal_inputs

_WIDTHS = (16, 32, 64)
_LABELS = 10


@dataclass(frozen=True)
class ResNet(Workload):
    """``side`` is that of the images, ``blocks`` how many there are in each stage."""

    side: int = 32
    blocks: int = 3

    def _blocks(self) -> Iterator[tuple[str, int, int, int]]:
        """Of each block the name, the channels, and the stride."""
        into = _WIDTHS[0]
        for i in range(3 * self.blocks):
            out = _WIDTHS[i // self.blocks]
            yield f"blocks.{i}", into, out, out // into
            into = out

    def weights(self) -> dict[str, Array]:
        draw = Draw()
        draw.convolution("conv", 3, _WIDTHS[0], 3, bias=False)
        draw.norm("norm", _WIDTHS[0])
        for name, into, out, _ in self._blocks():
            for i, channels in enumerate((into, out), 1):
                draw.convolution(f"{name}.conv{i}", channels, out, 3, bias=False)
                draw.norm(f"{name}.norm{i}", out)
        draw.linear("head", _WIDTHS[-1], _LABELS)
        return draw.weights

    def buffers(self) -> dict[str, Array]:
        buffers = {}
        for name, array in self.weights().items():
            if "norm" in name and name.endswith("bias"):
                buffers[name.replace("bias", "running_mean")] = np.zeros_like(array)
                buffers[name.replace("bias", "running_var")] = np.ones_like(array)
        return buffers

    def data(self) -> Batch:
        return normal_inputs(self.batch, 3, self.side, self.side), classes(self.batch, _LABELS)

    def network(self, lib: Any) -> Any:
        nn, functional = lib.nn, lib.nn.functional

        class Block(nn.Module):
            def __init__(self, into: int, out: int, stride: int) -> None:
                super().__init__()
                self.conv1 = nn.Conv2d(into, out, 3, stride, padding=1, bias=False)
                self.norm1 = nn.BatchNorm2d(out)
                self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
                self.norm2 = nn.BatchNorm2d(out)
                self.stride, self.more = stride, out - into

            def forward(self, x: Any) -> Any:
                y = functional.relu(self.norm1(self.conv1(x)))
                y = self.norm2(self.conv2(y))
                if self.more:
                    x = functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.more))
                return functional.relu(x + y)

        class Network(nn.Module):
            def __init__(self, blocks: Any) -> None:
                super().__init__()
                self.conv = nn.Conv2d(3, _WIDTHS[0], 3, padding=1, bias=False)
                self.norm = nn.BatchNorm2d(_WIDTHS[0])
                self.blocks = nn.Sequential(*(Block(*arguments) for _, *arguments in blocks))
                self.head = nn.Linear(_WIDTHS[-1], _LABELS)

            def forward(self, x: Any) -> Any:
                x = self.blocks(functional.relu(self.norm(self.conv(x))))
                return self.head(x.mean((2, 3)))

        return Network(self._blocks())

    def logits(self, ops: Any, w: Any, x: Any) -> Any:
        x = ops.relu(ops.batch_norm(w, "norm", ops.conv(w, "conv", x)))
        for name, into, out, stride in self._blocks():
            y = ops.relu(ops.batch_norm(w, f"{name}.norm1", ops.conv(w, f"{name}.conv1", x, stride)))
            y = ops.batch_norm(w, f"{name}.norm2", ops.conv(w, f"{name}.conv2", y))
            x = ops.relu((x if into == out else ops.more_channels(x, stride, out - into)) + y)
        return ops.linear(w, "head", ops.mean_of_image(x))

    @property
    def flops(self) -> int:
        return self._work(lambda products: products)

    @property
    def fewer_flops(self) -> int:
        return self._work(filtered)

    def _work(self, of_whole_images: Callable[[int], int]) -> int:
        """Of a step; ``of_whole_images`` says what is left of convolutions that move by one place."""
        first = 2 * 9 * 3 * _WIDTHS[0] * self.side**2
        rest, side = 2 * _WIDTHS[-1] * _LABELS, self.side
        for _, into, out, stride in self._blocks():
            side //= stride
            one, other = (2 * 9 * channels * out * side**2 for channels in (into, out))
            rest += (one if stride > 1 else of_whole_images(one)) + of_whole_images(other)
        return self.batch * (2 * first + 3 * rest)  # nobody asks for the gradient of the images


RESNET = ResNet("resnet", "ResNet-20", 128, Training(momentum=0.9), images=True)
