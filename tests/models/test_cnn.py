"""The convolutional network: its shapes, what it counts, what it learns, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import clearprop as cp
from clearprop import data, nn, optim, train
from clearprop.errors import ShapeError, UsageError
from clearprop.models import CNN


@pytest.mark.parametrize(
    ("image", "widths", "head"),
    [((3, 32, 32), (8, 16, 32), 32 * 16), ((1, 28, 28), (4, 8), 8 * 49), ((1, 9, 7), (4,), 48)],
)
def test_each_stage_halves_the_images(image: tuple[int, ...], widths: tuple[int, ...], head: int) -> None:
    model = CNN(image, widths, 7)
    assert model.head.in_features == head
    assert model(cp.zeros((2, *image))).shape == (2, 7)


def test_parameters() -> None:
    """9 weights for each pair of channels, 2 of each normalization, and the linear layer."""
    model = CNN((3, 32, 32), (32, 64, 128))
    pairs = 3 * 32 + 32 * 32 + 32 * 64 + 64 * 64 + 64 * 128 + 128 * 128
    expected = 9 * pairs + 2 * 2 * (32 + 64 + 128) + 128 * 16 * 10 + 10
    assert sum(one.size for one in model.parameters()) == expected


def test_brightness_is_standardized() -> None:
    mean, std = [0.2, 0.5, 0.7], [0.1, 0.2, 0.3]
    x = np.random.default_rng(0).uniform(size=(2, 3, 4, 4)).astype(np.float32)
    model = CNN((3, 4, 4), (4,), mean=mean, std=std)
    found = model.standardize(cp.asarray(x)).numpy()
    np.testing.assert_allclose(found, (x - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1)), atol=1e-5)
    assert {"standardize.mean", "standardize.std"} <= set(model.state_dict())


def test_it_learns_digits_and_compiles_as_a_whole() -> None:
    cp.random.seed(0)
    model = CNN((1, 8, 8), (8, 16), convolutions=1, dropout=0.1)
    history = train.fit(
        model,
        data.DataLoader(data.digits("train"), batch_size=64, shuffle=True),
        loss=nn.CrossEntropyLoss(),
        optimizer=optim.AdamW(model.parameters(), lr=0.01),
        epochs=4,
        validation=data.DataLoader(data.digits("test"), batch_size=355),
        metrics=["accuracy"],
        progress=False,
    )
    assert history.epochs[-1]["val_accuracy"] > 0.95
    run = cp.compile(model)
    run(cp.zeros((4, 1, 8, 8)))
    assert "computed by NumPy" not in run.report()


def test_what_is_refused() -> None:
    with pytest.raises(UsageError, match="halved in each of 4 stages"):
        CNN((1, 8, 8), (4, 4, 4, 4))
    with pytest.raises(UsageError, match="halved in each of 0 stages"):
        CNN((1, 8, 8), ())
    with pytest.raises(UsageError, match="convolutions"):
        CNN((1, 8, 8), (4,), convolutions=0)
    with pytest.raises(ShapeError, match="CNN: the images have shape"):
        CNN((1, 8, 8), (4,))(cp.zeros((2, 3, 8, 8)))
