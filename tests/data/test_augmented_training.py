"""Training with augmentation: a run that was interrupted goes on with the very images that it would have seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.data.pictures import encoded, make_zip
from tests.train.small import StopAtStep, assert_same_weights, figures, fit, weights

import clearprop as cp
from clearprop import nn, optim, train
from clearprop.data import (
    ArrayDataset,
    CharTokenizer,
    Compose,
    Cutout,
    DataLoader,
    ImageFolder,
    MixUp,
    Normalize,
    RandomCrop,
    RandomHorizontalFlip,
    Subset,
    TextDataset,
)
from clearprop.errors import DataError, UsageError

CLASSES = 3
AUGMENT = [RandomCrop(6, padding=1), RandomHorizontalFlip(), Normalize(0.5, 0.25), Cutout(2)]


def images(count: int = 24) -> ArrayDataset:
    generator = np.random.default_rng(0)
    return ArrayDataset(generator.random((count, 2, 6, 6), np.float32), generator.integers(0, CLASSES, count))


def make(prefetch: int = 2, dataset: Any = None, transform: Any = None) -> dict[str, Any]:
    """The arguments of `fit`: three epochs of six batches, mixed by default."""
    cp.random.seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(72, 8), nn.Dropout(0.2), nn.ReLU(), nn.Linear(8, CLASSES))
    mixed = Compose([*AUGMENT, MixUp(CLASSES, alpha=0.4)])
    data = DataLoader(dataset or images(), 4, shuffle=True, seed=1, prefetch=prefetch, transform=transform or mixed)
    return {
        "model": model,
        "data": data,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": optim.AdamW(model.parameters(), lr=0.02),
        "epochs": 3,
        "validation": DataLoader(images(), 8, transform=Normalize(0.5, 0.25)),
        "progress": False,
    }


@pytest.mark.parametrize(("step", "prefetch"), [(1, 2), (5, 0), (6, 2), (9, 1), (17, 2)])
def test_a_run_that_broke_off_goes_on_with_the_same_images(tmp_path: Path, step: int, prefetch: int) -> None:
    whole = make()
    history = fit(whole, callbacks=[StopAtStep(-1)])
    path = tmp_path / "checkpoint.safetensors"
    with pytest.raises(ZeroDivisionError):
        fit(make(prefetch), callbacks=[StopAtStep(step)], checkpoint=train.Checkpoint(path, every_steps=1))
    resumed = make()
    again = fit(resumed, callbacks=[StopAtStep(-1)], resume=path)
    assert_same_weights(weights(resumed["model"]), weights(whole["model"]))
    assert figures(again) == figures(history)


def test_a_run_with_other_augmentation_or_other_data_is_not_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    fit(make() | {"epochs": 1}, checkpoint=path)
    with pytest.raises(UsageError, match=r"data.transform: saved Compose.*Cutout\(size=2.*, now Normalize"):
        fit(make(transform=Normalize(0.5, 0.25)), resume=path)
    with pytest.raises(UsageError, match="CRC-32"):
        fit(make(dataset=Subset(images(48), np.arange(24))), resume=path)


def test_labels_of_a_folder_are_checked_before_training(tmp_path: Path) -> None:
    pixels = np.zeros((2, 6, 6), np.uint8)
    files = {f"{name}/1.png": encoded(np.concatenate([pixels, pixels[:1]])) for name in "abcd"}
    dataset = ImageFolder(make_zip(tmp_path / "pictures.zip", files), cache=False)
    model = nn.Sequential(nn.Flatten(), nn.Linear(108, CLASSES))
    with pytest.raises(DataError, match="labels must be integers from 0 to 2: the label at index 3 is 3"):
        train.fit(
            model,
            DataLoader(dataset, 2, shuffle=True),
            loss=nn.CrossEntropyLoss(),
            optimizer=optim.SGD(model.parameters(), lr=0.1),
            epochs=1,
            progress=False,
        )


def test_a_language_model_learns_a_text_by_heart() -> None:
    text = "abcabdabeabf" * 20
    dataset = TextDataset(text, CharTokenizer.train(text), block_size=2, stride=1)
    inputs, targets = dataset.examples_at(np.arange(len(dataset)))
    context = ArrayDataset(np.eye(6, dtype=np.float32)[inputs], targets[:, -1])
    cp.random.seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 6))
    history = train.fit(
        model,
        DataLoader(context, 16, shuffle=True),
        loss=nn.CrossEntropyLoss(),
        optimizer=optim.AdamW(model.parameters(), lr=0.1),
        epochs=8,
        progress=False,
    )
    # Two thirds of the characters are certain; of the third kind, one of four is as good as another: ln(4) / 3 = 0.46.
    assert 0.46 < history.epochs[-1]["loss"] < 0.56
