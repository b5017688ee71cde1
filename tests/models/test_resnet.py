"""Residual networks: the numbers of the paper, what the way around a block does, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import clearprop as cp
from clearprop import nn
from clearprop.errors import ShapeError, UsageError
from clearprop.models import ResNet
from clearprop.models.resnet import Block
from clearprop.optim import SGD


@pytest.mark.parametrize(("depth", "millions"), [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85)])
def test_parameters_are_those_of_table_6(depth: int, millions: float) -> None:
    assert sum(one.size for one in ResNet(depth).parameters()) == pytest.approx(millions * 1e6, abs=6e3)


def test_layers_with_weights() -> None:
    for depth in (8, 20, 32):
        layers = [one for one in ResNet(depth).modules() if isinstance(one, nn.Conv2d | nn.Linear)]
        assert len(layers) == depth


def test_the_plain_network_has_the_very_same_parameters() -> None:
    shapes = [{name: one.shape for name, one in ResNet(14, residual=r).named_parameters()} for r in (True, False)]
    assert shapes[0] == shapes[1]


def test_a_block_whose_branch_is_zero_passes_on_what_came_in() -> None:
    """Equation (1): y = F(x) + x, with F = 0; the plain block passes on nothing."""
    x = cp.random.uniform((2, 16, 4, 4))
    for residual in (True, False):
        block = Block(16, 16, residual=residual)
        nn.init.zeros_(block.norm2.weight)
        np.testing.assert_array_equal(block(x).numpy(), x.numpy() if residual else 0 * x.numpy())


def test_option_a_takes_every_second_pixel_and_adds_channels_of_zeros() -> None:
    x = cp.random.uniform((2, 16, 6, 6))
    around = Block(16, 32).around(x).numpy()
    assert around.shape == (2, 32, 3, 3)
    np.testing.assert_array_equal(around[:, :16], x.numpy()[:, :, ::2, ::2])
    assert not around[:, 16:].any()


def test_shortcuts_keep_the_gradient_alive() -> None:
    """With small weights in all branches, a plain network lets nothing come back, and a residual one all of it."""
    norms = {}
    for residual in (True, False):
        cp.random.seed(0)
        model = ResNet(20, (3, 8, 8), residual=residual, norm=False)
        for block in model.blocks:
            for convolution in (block.conv1, block.conv2):
                convolution.weight.assign(convolution.weight.value * 0.1)
        nn.CrossEntropyLoss()(model(cp.random.uniform((4, 3, 8, 8))), cp.tensor([0, 1, 2, 3])).backward()
        norms[residual] = np.linalg.norm(model.conv.weight.grad.numpy())
    assert norms[True] > 0.01
    assert norms[False] < 1e-12


def test_it_learns_and_compiles_as_a_whole() -> None:
    cp.random.seed(0)
    model = ResNet(8, (1, 8, 8), 3)
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    labels = np.arange(24) % 3
    images = np.random.default_rng(0).uniform(0, 0.3, (24, 1, 8, 8)).astype(np.float32)
    images[np.arange(24), 0, labels * 2 + 1] += 0.7  # a bright row for each class

    @cp.compile
    def step(x: cp.Tensor, y: cp.Tensor) -> cp.Tensor:
        optimizer.zero_grad()
        loss = nn.CrossEntropyLoss()(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    losses = [step(cp.asarray(images), cp.asarray(labels)).item() for _ in range(15)]
    assert losses[0] > 0.8
    assert losses[-1] < 0.1
    assert "computed by NumPy" not in step.report()


def test_what_is_refused() -> None:
    with pytest.raises(UsageError, match="a depth of 21"):
        ResNet(21)
    with pytest.raises(UsageError, match="halved twice"):
        ResNet(8, (3, 30, 30))
    with pytest.raises(UsageError, match=r"image is \(32, 32\)"):
        ResNet(8, (32, 32))
    with pytest.raises(UsageError, match="3 means and 2 deviations"):
        ResNet(8, mean=[0.5, 0.5, 0.5], std=[0.2, 0.2])
    model = ResNet(8)
    for shape, hint in (
        ((2, 1, 32, 32), "images of 3 channels, or a network for 1"),
        ((2, 3, 28, 28), "resize them to 32×32"),
        ((3, 32, 32), "images[None] for a single image"),
        ((2, 3072), "reshape((-1, 3, 32, 32))"),
    ):
        with pytest.raises(ShapeError, match=r"the network takes \(N, 3, 32, 32\)") as caught:
            model(cp.zeros(shape))
        assert hint in caught.value.hint
