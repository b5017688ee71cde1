"""A convolutional network: 3×3 convolutions 3→32→64, pool, →128, pool, linear."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from workloads.base import Array, Batch, Draw, Training, Workload, classes, filtered, normal_inputs

_LAYERS = (("conv1", 3, 32, 0), ("conv2", 32, 64, 0), ("conv3", 64, 128, 1))  # name, channels, how often halved before
_LABELS = 10


@dataclass(frozen=True)
class CNN(Workload):
    """``side`` is that of the images, which have three channels."""

    side: int = 32

    def weights(self) -> dict[str, Array]:
        draw = Draw()
        for name, into, out, _ in _LAYERS:
            draw.convolution(name, into, out, 3)
        draw.linear("head", 128 * (self.side // 4) ** 2, _LABELS)
        return draw.weights

    def data(self) -> Batch:
        return normal_inputs(self.batch, 3, self.side, self.side), classes(self.batch, _LABELS)

    def network(self, lib: Any) -> Any:
        nn, relu = lib.nn, lib.nn.functional.relu

        class Network(nn.Module):
            def __init__(self, side: int) -> None:
                super().__init__()
                for name, into, out, _ in _LAYERS:
                    setattr(self, name, nn.Conv2d(into, out, 3, padding=1))
                self.pool = nn.MaxPool2d(2)
                self.head = nn.Linear(128 * (side // 4) ** 2, _LABELS)

            def forward(self, x: Any) -> Any:
                x = relu(self.conv1(x))
                x = self.pool(relu(self.conv2(x)))
                x = self.pool(relu(self.conv3(x)))
                return self.head(x.flatten(1))

        return Network(self.side)

    def logits(self, ops: Any, w: Any, x: Any) -> Any:
        x = ops.relu(ops.conv(w, "conv1", x))
        x = ops.max_pool(ops.relu(ops.conv(w, "conv2", x)))
        x = ops.max_pool(ops.relu(ops.conv(w, "conv3", x)))
        return ops.linear(w, "head", x.reshape(x.shape[0], -1))

    def arranged(self, ops: Any, weights: dict[str, Array]) -> dict[str, Array]:
        if not ops.channels_last:
            return weights
        head = weights["head.weight"].reshape(_LABELS, 128, self.side // 4, self.side // 4)
        return {**weights, "head.weight": head.transpose(0, 2, 3, 1).reshape(_LABELS, -1)}

    def _products(self) -> list[int]:
        """Of each layer, the work of its forward pass."""
        products = [2 * 9 * into * out * (self.side >> halved) ** 2 for _, into, out, halved in _LAYERS]
        return [*products, 2 * 128 * (self.side // 4) ** 2 * _LABELS]

    @property
    def flops(self) -> int:
        products = self._products()
        return self.batch * (3 * sum(products) - products[0])  # nobody asks for the gradient of the images

    @property
    def fewer_flops(self) -> int:
        first, *convolutions, head = self._products()
        return self.batch * (2 * first + 3 * sum(map(filtered, convolutions)) + 3 * head)


CNN_ = CNN("cnn", "CNN", 64, Training(lr=1e-3, momentum=0.9), images=True)
