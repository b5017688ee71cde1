"""Layers for images: arguments, first values, how they print; and a network of them that learns."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import data, functional, nn, optim
from clearprop.errors import ShapeError, UsageError

PLAIN_2D = "4, 6, kernel_size=(3, 3), stride=(1, 1)"


@pytest.mark.parametrize(
    ("layer", "shape", "printed"),
    [
        (nn.Conv1d(4, 6, 3), (6, 4, 3), "4, 6, kernel_size=(3,), stride=(1,)"),
        (
            nn.Conv2d(4, 6, (3, 2), 2, 1, groups=2),
            (6, 2, 3, 2),
            "4, 6, kernel_size=(3, 2), stride=(2, 2), padding=(1, 1), groups=2",
        ),
        (
            nn.Conv2d(4, 6, 3, padding="same", dilation=2, bias=False),
            (6, 4, 3, 3),
            f"{PLAIN_2D}, padding='same', dilation=(2, 2), bias=False",
        ),
        (nn.Conv2d(4, 6, 3, padding_mode="reflect"), (6, 4, 3, 3), f"{PLAIN_2D}, padding_mode='reflect'"),
        (nn.Conv3d(1, 2, 2), (2, 1, 2, 2, 2), "1, 2, kernel_size=(2, 2, 2), stride=(1, 1, 1)"),
        (
            nn.ConvTranspose2d(4, 6, 3, output_padding=1, dilation=2, groups=2),
            (4, 3, 3, 3),
            f"{PLAIN_2D}, output_padding=(1, 1), dilation=(2, 2), groups=2",
        ),
        (nn.ConvTranspose1d(1, 2, 3), (1, 2, 3), "1, 2, kernel_size=(3,), stride=(1,)"),
        (nn.ConvTranspose3d(1, 2, 3), (1, 2, 3, 3, 3), "1, 2, kernel_size=(3, 3, 3), stride=(1, 1, 1)"),
    ],
)
def test_weights_have_pytorchs_layout_and_layers_print_like_its(layer: Any, shape: Any, printed: str) -> None:
    assert layer.weight.shape == shape
    assert layer.extra_repr() == printed
    assert layer.state_dict(layout="torch")["weight"].shape == shape


@pytest.mark.parametrize("kind", [(nn.Conv2d, 8, 16), (nn.ConvTranspose2d, 16, 8)], ids=["Conv2d", "ConvTranspose2d"])
def test_first_values(kind: Any) -> None:
    """Uniform in ±1/√fan, where the fan is what PyTorch takes for it: the weight's second axis times the window."""
    make, inputs, outputs = kind
    layer = make(inputs, outputs, 3, groups=2, generator=cp.random.Generator(0))
    bound = 1.0 / math.sqrt(layer.weight.shape[1] * 9)
    for cell in (layer.weight, layer.bias):
        largest = np.abs(cell.numpy()).max()
        assert 0.7 * bound < largest <= bound
    assert layer.weight.numpy().std() == pytest.approx(bound / math.sqrt(3.0), rel=0.1)


def test_fans_of_windows() -> None:
    assert nn.init.fans(nn.Conv1d(4, 6, 5).weight) == (20, 30)
    assert nn.init.fans(nn.Conv2d(4, 6, 3, groups=2).weight) == (18, 54)
    assert nn.init.fans(nn.ConvTranspose2d(4, 6, 3).weight) == (54, 36)


def test_a_generator_repeats_the_first_values() -> None:
    one, other = (nn.Conv2d(2, 3, 3, generator=cp.random.Generator(5)) for _ in range(2))
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_dtype() -> None:
    layer = nn.Conv2d(1, 2, 3, dtype=cp.float64)
    assert layer.weight.dtype == layer.bias.dtype == cp.float64
    assert layer(np.ones((1, 1, 4, 4))).dtype == cp.float64


def test_output_size_chooses_among_the_lengths_that_a_stride_allows() -> None:
    layer = nn.ConvTranspose2d(1, 1, 3, stride=2, padding=1)
    small = cp.ones((1, 1, 4, 5))
    assert layer(small).shape == (1, 1, 7, 9)
    assert layer(small, output_size=(8, 9)).shape == (1, 1, 8, 9)
    assert layer(small, output_size=(1, 1, 7, 10)).shape == (1, 1, 7, 10)
    for wrong in ((6, 9), (9, 9), (8,)):
        with pytest.raises(UsageError, match=r"lengths from \(7, 9\) to \(8, 10\)"):
            layer(small, output_size=wrong)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_padding_modes(mode: str) -> None:
    layer = nn.Conv2d(2, 3, 3, padding=(1, 2), padding_mode=mode)
    x = cp.asarray(np.random.default_rng(0).uniform(size=(1, 2, 5, 6)).astype(np.float32))
    expected = functional.conv2d(functional.pad(x, (2, 2, 1, 1), mode), layer.weight, layer.bias)
    np.testing.assert_array_equal(layer(x), expected)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Conv2d(3, 4, 3, groups=2), "groups=2 must divide in_channels=3"),
        (lambda: nn.Conv2d(4, 3, 3, groups=2), "out_channels=3"),
        (lambda: nn.Conv2d(4, 4, 3, groups=0), "groups=0"),
        (lambda: nn.Conv2d(4, 4, 0), "Conv2d: kernel_size=0"),
        (lambda: nn.Conv2d(4, 4, (3, 3, 3)), r"kernel_size=\(3, 3, 3\)"),
        (lambda: nn.Conv1d(4, 4, 3, stride=2.5), "Conv1d: stride=2.5"),
        (lambda: nn.Conv2d(4, 4, 3, padding="full"), "padding='full'"),
        (lambda: nn.Conv2d(4, 4, 3, padding="same", stride=2), 'padding="same" with stride'),
        (lambda: nn.Conv2d(4, 4, 3, padding_mode="mirror"), "padding_mode='mirror'"),
        (lambda: nn.Conv2d(-4, 4, 3), "in_channels=-4"),
        (lambda: nn.ConvTranspose2d(4, 4, 3, padding_mode="reflect"), 'only "zeros"'),
        (lambda: nn.ConvTranspose2d(4, 4, 3, output_padding=-1), "output_padding=-1"),
        (lambda: nn.ZeroPad2d((1, 2)), r"ZeroPad2d: padding=\(1, 2\)"),
        (lambda: nn.ZeroPad2d(1.5), "padding=1.5"),
    ],
)
def test_careless_arguments(make: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()


def test_images_of_another_size_do_not_fit_the_layer_behind() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * 9, 10))
    assert model(cp.ones((5, 1, 8, 8))).shape == (5, 10)
    with pytest.raises(ShapeError, match=r"3.weight has shape \(36, 10\)"):
        model(cp.ones((5, 1, 10, 10)))


def test_modules_compute_what_the_functions_do() -> None:
    x = np.random.default_rng(1).uniform(-1.0, 1.0, (2, 3, 6, 6))
    pairs = [
        (nn.MaxPool2d(3, 2, 1, ceil_mode=True), functional.max_pool2d(x, 3, 2, 1, ceil_mode=True)),
        (nn.AvgPool2d(2, 1, 1, False, False, 3), functional.avg_pool2d(x, 2, 1, 1, False, False, 3)),
        (nn.AdaptiveMaxPool2d((2, None)), functional.adaptive_max_pool2d(x, (2, None))),
        (nn.Upsample(9, mode="bicubic"), functional.interpolate(x, 9, mode="bicubic")),
        (nn.ZeroPad2d((1, -1, 0, 2)), functional.pad(x, (1, -1, 0, 2))),
    ]
    for module, expected in pairs:
        np.testing.assert_array_equal(module(x), expected)
    z, positions = nn.MaxPool2d(2, return_indices=True)(x)
    assert z.shape == positions.shape == (2, 3, 3, 3)
    assert repr(nn.AvgPool2d(2)) == "AvgPool2d(kernel_size=2, stride=2, padding=0)"


def test_flattening_and_back() -> None:
    x = np.arange(120.0).reshape(2, 3, 4, 5)
    np.testing.assert_array_equal(nn.Flatten()(x), x.reshape(2, 60))
    np.testing.assert_array_equal(nn.Flatten(1, 2)(x), x.reshape(2, 12, 5))
    np.testing.assert_array_equal(nn.Flatten(-2)(x), x.reshape(2, 3, 20))
    np.testing.assert_array_equal(nn.Unflatten(1, (3, -1, 5))(x.reshape(2, 60)), x)
    assert repr(nn.Flatten(0, 2)) == "Flatten(start_dim=0, end_dim=2)"
    with pytest.raises(ShapeError, match="comes after"):
        nn.Flatten(2, 1)(x)
    with pytest.raises(ShapeError, match="does not fit"):
        nn.Unflatten(1, (7, -1))(x.reshape(2, 60))


def test_a_network_of_convolutions_learns_digits() -> None:
    """Two convolutions, pooling, one linear layer; fifteen epochs over 1,442 digits of 8 x 8 pixels."""
    cp.random.seed(0)
    train, test = data.digits("train"), data.digits("test")
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 16, 10),
    )
    optimizer, loss = optim.Adam(model.parameters(), lr=3e-3), nn.CrossEntropyLoss()
    for _ in range(15):
        for x, y in data.DataLoader(train, batch_size=64, shuffle=True):
            optimizer.zero_grad()
            loss(model(x), y).backward()
            optimizer.step()
    images, labels = (np.stack(column) for column in zip(*(test[i] for i in range(len(test))), strict=True))
    assert (model(images).numpy().argmax(1) == labels).mean() >= 0.98
