"""Residual networks for small images. The numbers of equations are those of the paper.

K. He, X. Zhang, S. Ren, J. Sun (2015), Deep Residual Learning for Image Recognition, https://arxiv.org/abs/1512.03385,
section 4.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clearprop import nn
from clearprop.arguments import whole
from clearprop.array import mean, pad
from clearprop.errors import UsageError
from clearprop.functional import relu
from clearprop.models.images import Standardize, check_images, image_shape
from clearprop.tensor import Tensor

_WIDTHS = (16, 32, 64)  # channels of the three stages, whose maps have 32, 16 and 8 pixels a side
_GREY, _SPREAD = 0.5, 0.25


class Block(nn.Module):
    """Two convolutions and the way around them: y = F(x, {W₁, W₂}) + x (1), where F = W₂ σ(W₁ x) (section 3.2).

    Each convolution is followed by batch normalization; a second σ comes after the addition. A block that doubles the
    channels halves height and width with its first convolution. What goes around it then is x at every second pixel,
    with channels of zeros behind: "option A", where W_s of y = F(x, {Wᵢ}) + W_s x (2) has no parameters.

    Args:
        channels, out: of the images that come in and go out: as many, or twice as many.
        residual: False for y = F(x), a block of the plain network.
        norm: False for convolutions with a bias in the place of batch normalization.

    >>> import clearprop as cp
    >>> Block(16, 32)(cp.ones((2, 16, 8, 8))).shape
    (2, 32, 4, 4)
    """

    def __init__(self, channels: int, out: int, *, residual: bool = True, norm: bool = True) -> None:
        self.stride = 1 if out == channels else 2
        self.conv1, self.norm1 = _convolution(channels, out, self.stride, norm), _norm(out, norm)
        self.conv2, self.norm2 = _convolution(out, out, 1, norm), _norm(out, norm)
        self.residual, self.more = residual, out - channels

    def forward(self, x: Any) -> Tensor:
        """(N, channels, H, W) -> (N, out, H / stride, W / stride)."""
        f = relu(self.norm1(self.conv1(x)))  # σ(W₁ x)
        f = self.norm2(self.conv2(f))  # W₂ σ(W₁ x)
        return relu(f + self.around(x)) if self.residual else relu(f)  # (1) or (2)

    def around(self, x: Any) -> Tensor:
        """What is added: x itself (1), or W_s x (2) where the shape changes."""
        if not self.more:
            return x
        return pad(x[:, :, :: self.stride, :: self.stride], ((0, 0), (0, self.more), (0, 0), (0, 0)))


class ResNet(nn.Module):
    """The network of section 4.2 with 6n + 2 layers: a convolution, three stages of n blocks, a mean, a linear layer.

    Args:
        depth: 6n + 2 layers with weights: 20, 32, 44, 56, 110 in the paper.
        image: shape of the images, (channels, height, width); height and width are multiples of 4.
        outputs: how many classes.
        residual: False for the plain network of equal depth, which has the very same parameters.
        norm: False for no batch normalization; the paper's networks have it.
        mean, std: of the brightness in each channel, see `Standardize`.

    >>> import clearprop as cp
    >>> ResNet(20)(cp.zeros((2, 3, 32, 32))).shape
    (2, 10)
    >>> [sum(p.size for p in ResNet(depth).parameters()) for depth in (20, 56)]  # "0.27M", "0.85M" (table 6)
    [269722, 853018]
    """

    def __init__(
        self,
        depth: int = 20,
        image: Sequence[int] = (3, 32, 32),
        outputs: int = 10,
        *,
        residual: bool = True,
        norm: bool = True,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        self.image = image_shape("ResNet", image)
        channels, height, width = self.image
        n = (whole("ResNet", "depth", depth, 8) - 2) // 6
        if depth != 6 * n + 2:
            raise UsageError(f"ResNet: a depth of {depth}", hint="6n + 2 layers: 8, 14, 20, 32, 44, 56, 110")
        if height % 4 or width % 4:
            raise UsageError(
                f"ResNet: images of {height}×{width} pixels, which are halved twice", hint="multiples of 4"
            )
        self.standardize = Standardize(mean or [_GREY] * channels, std or [_SPREAD] * channels)
        self.conv, self.norm = _convolution(channels, _WIDTHS[0], 1, norm), _norm(_WIDTHS[0], norm)
        ins = [_WIDTHS[max(i - 1, 0) // n] for i in range(3 * n)]
        outs = [_WIDTHS[i // n] for i in range(3 * n)]
        self.blocks = nn.Sequential(
            *(Block(into, out, residual=residual, norm=norm) for into, out in zip(ins, outs, strict=True))
        )
        self.head = nn.Linear(_WIDTHS[-1], outputs)
        nn.init.kaiming_normal_(self.head.weight, nonlinearity="linear")

    def forward(self, x: Any) -> Tensor:
        """Images, brightness from 0 to 1, (N, channels, height, width) -> logits (N, outputs)."""
        x = self.standardize(check_images("ResNet", x, self.image))
        x = relu(self.norm(self.conv(x)))
        x = self.blocks(x)
        return self.head(mean(x, axis=(2, 3)))  # "global average pooling, 10-way fully-connected layer"


def _convolution(channels: int, out: int, stride: int, norm: bool) -> nn.Conv2d:
    """3×3, with weights drawn for σ = ReLU (He et al. 2015, Delving Deep into Rectifiers, equation 10)."""
    convolution = nn.Conv2d(channels, out, 3, stride, padding=1, bias=not norm)
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)
    return convolution


def _norm(channels: int, norm: bool) -> nn.Module:
    return nn.BatchNorm2d(channels) if norm else nn.Identity()
