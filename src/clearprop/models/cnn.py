"""The convolutional network of the lecture notes: stages of 3×3 convolutions, between which images are halved.

Two small windows one after the other see as much as a large one, with fewer weights and one more nonlinearity: K.
Simonyan, A. Zisserman (2014), https://arxiv.org/abs/1409.1556, section 2.3. Each convolution is followed by batch
normalization: S. Ioffe, C. Szegedy (2015), https://arxiv.org/abs/1502.03167, whose algorithm 1 the layer computes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from clearprop import nn
from clearprop.arguments import whole
from clearprop.errors import UsageError
from clearprop.models.images import Standardize, check_images, image_shape
from clearprop.tensor import Tensor


class CNN(nn.Module):
    """Stages of convolutions, batch normalizations and ReLUs, each ended by a pooling; then one linear layer.

    Args:
        image: shape of the images, (channels, height, width).
        widths: for each stage, how many channels its convolutions have.
        outputs: how many classes.
        convolutions: in each stage.
        dropout: the share of the last stage's numbers that is left out in each training step.
        mean, std: of the brightness in each channel, see `Standardize`; by default 0.5 and 0.25.

    Raises:
        UsageError: no image, or one that cannot be halved as often as there are stages.

    >>> import clearprop as cp
    >>> model = CNN((1, 8, 8), [16, 32])
    >>> [name for name, _ in model.stages[0].named_children()]
    ['conv1', 'norm1', 'relu1', 'conv2', 'norm2', 'relu2', 'pool']
    >>> model(cp.zeros((5, 1, 8, 8))).shape
    (5, 10)
    """

    def __init__(
        self,
        image: Sequence[int] = (3, 32, 32),
        widths: Sequence[int] = (32, 64, 128),
        outputs: int = 10,
        *,
        convolutions: int = 2,
        dropout: float = 0.0,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        self.image = image_shape("CNN", image)
        channels, height, width = self.image
        times = 2 ** len(widths)
        if not widths or height < times or width < times:
            raise UsageError(
                f"CNN: images of {height}×{width} pixels, halved in each of {len(widths)} stages"[:200],
                hint="one to three stages, such as widths=(32, 64)",
            )
        whole("CNN", "convolutions", convolutions)
        self.standardize = Standardize(mean or [0.5] * channels, std or [0.25] * channels)
        self.stages = nn.Sequential(
            *(
                nn.Sequential(dict(_stage(into, out, convolutions)))
                for into, out in zip([channels, *widths], widths, strict=False)
            )
        )
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(widths[-1] * (height // times) * (width // times), outputs)
        nn.init.kaiming_normal_(self.head.weight, nonlinearity="linear")

    def forward(self, x: Any) -> Tensor:
        """Images, brightness from 0 to 1, (N, channels, height, width) -> logits (N, outputs)."""
        x = self.standardize(check_images("CNN", x, self.image))
        x = self.stages(x)  # (N, widths[-1], height / 2^stages, width / 2^stages)
        return self.head(self.dropout(self.flatten(x)))


def _stage(channels: int, out: int, convolutions: int) -> Iterator[tuple[str, nn.Module]]:
    """Its layers by name; no bias where a batch normalization follows, which has one."""
    for number in range(1, convolutions + 1):
        convolution = nn.Conv2d(channels, out, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        yield f"conv{number}", convolution
        yield f"norm{number}", nn.BatchNorm2d(out)
        yield f"relu{number}", nn.ReLU()
        channels = out
    yield "pool", nn.MaxPool2d(2)
