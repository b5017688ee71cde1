"""Convolutions and their transposes: every setting alone and together, in one, two and three dimensions."""

from __future__ import annotations

from typing import Any

from tests.reference.modules.cases import ModuleCase, numbers

X1, X2, X3 = numbers(2, 4, 7), numbers(2, 4, 5, 4), numbers(1, 2, 4, 3, 5)
WIDE = numbers(2, 8, 3, 3)  # channels enough to be copied in one piece


def case(name: str, channels: tuple[int, int], window: Any, x: Any, **arguments: Any) -> ModuleCase:
    """A layer, and an image."""
    shape = {"in_channels": channels[0], "out_channels": channels[1], "kernel_size": window}
    return ModuleCase(name, {**shape, **arguments}, (x,))


FORWARD = [
    case("Conv1d", (4, 3), 3, X1),
    case("Conv1d", (4, 3), 3, X1[0], padding=1, bias=False),
    case("Conv1d", (4, 6), 2, X1, stride=2, padding=3, dilation=3, groups=2),
    case("Conv2d", (4, 3), 3, X2),
    case("Conv2d", (4, 2), (3, 2), X2[1], bias=False),
    case("Conv2d", (4, 2), 1, X2),
    case("Conv2d", (4, 2), 1, X2, stride=2),
    case("Conv2d", (4, 3), (2, 3), X2, stride=(2, 1), padding=(1, 2)),
    case("Conv2d", (4, 3), 2, X2, dilation=(3, 2), padding=1),
    case("Conv2d", (4, 6), 3, X2, groups=2, padding=1),
    case("Conv2d", (4, 4), 3, X2, groups=4, stride=2, padding=1),
    case("Conv2d", (4, 8), 3, X2, groups=4, bias=False),
    case("Conv2d", (8, 8), 3, WIDE, padding=1),
    case("Conv2d", (8, 8), 3, WIDE, padding=1, stride=2),
    case("Conv2d", (4, 3), (3, 2), X2, padding="same", dilation=(1, 2)),
    case("Conv2d", (4, 3), 3, X2, padding="valid"),
    *[
        case("Conv2d", (4, 2), 3, X2, padding=(1, 2), padding_mode=mode)
        for mode in ("reflect", "replicate", "circular")
    ],
    case("Conv1d", (4, 2), 4, X1, padding="same", padding_mode="circular"),
    case("Conv3d", (2, 3), 2, X3),
    case("Conv3d", (2, 4), (3, 1, 2), X3, stride=(2, 1, 3), padding=1, groups=2),
]

BACK = [
    case("ConvTranspose1d", (4, 3), 3, X1),
    case("ConvTranspose1d", (4, 2), 3, X1[0], stride=3, padding=1, output_padding=2, bias=False),
    case("ConvTranspose2d", (4, 3), 3, X2),
    case("ConvTranspose2d", (4, 3), 4, X2, stride=2, padding=1),
    case("ConvTranspose2d", (4, 6), (2, 3), X2, stride=(3, 2), output_padding=(2, 1), groups=2),
    case("ConvTranspose2d", (4, 2), 2, X2, dilation=3, output_padding=2, padding=1),
    case("ConvTranspose2d", (8, 8), 3, WIDE, stride=2, padding=1, output_padding=1),
    case("ConvTranspose2d", (4, 4), 2, X2, groups=4, stride=2),
    case("ConvTranspose3d", (2, 3), 2, X3, stride=(1, 2, 1)),
]


def autoencoder(nn: Any) -> Any:
    """An image made small and large again."""
    return nn.Sequential(
        nn.Conv2d(4, 3, 3, stride=2, padding=1),
        nn.Tanh(),
        nn.ConvTranspose2d(3, 2, 3, stride=2, padding=1, output_padding=1),
        nn.Upsample(scale_factor=2, mode="bilinear"),
    )


CASES = [
    *FORWARD,
    *BACK,
    ModuleCase(
        "ConvTranspose2d",
        {"in_channels": 4, "out_channels": 2, "kernel_size": 3, "stride": 2},
        (X2,),
        {"output_size": [12, 10]},
    ),
    ModuleCase("autoencoder", inputs=(X2,), make=autoencoder, steps=2),
]
