"""The recipes for images, at a small size and with made-up images where the real ones would have to be downloaded."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from clearprop import data, recipes
from clearprop.data.images import ImageDataset
from clearprop.errors import ShapeError, UsageError
from clearprop.models import CNN, ImageClassifier, LeNet1989, LinearClassifier, ResNet
from clearprop.optim.lr_scheduler import MultiStepLR, OneCycleLR
from clearprop.recipes import RECIPES, images, mnist16
from clearprop.recipes.templates import draw_templates


def digits_of(side: int, count: int) -> data.ArrayDataset:
    """Digits of 8×8 pixels, enlarged to more."""
    small, labels = data.digits("train")[:count]
    scale = side // 8
    large = np.kron(small, np.ones((scale, scale), np.float32))
    margin = side - large.shape[2]
    return data.ArrayDataset(np.pad(large, ((0, 0), (0, 0), (0, margin), (0, margin))), labels)


def photographs(count: int) -> ImageDataset:
    """Pictures in ten shades."""
    labels = np.arange(count) % 10
    noise = np.random.default_rng(0).integers(0, 20, (count, 3, 32, 32))
    return ImageDataset((noise + 22 * labels.reshape(-1, 1, 1, 1)).astype(np.uint8), labels, [*"abcdefghij"])


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the place of MNIST and CIFAR-10."""
    sizes = {"train": 300, "test": 100}
    mnist = images.IMAGES["mnist"].classifier
    cifar = images.IMAGES["cifar10"].classifier
    load = {
        "mnist": lambda part, folder: digits_of(28, sizes[part]),
        "cifar10": lambda part, _: photographs(sizes[part]),
    }
    monkeypatch.setitem(images.IMAGES, "mnist", images.ImageData(load["mnist"], mnist))
    monkeypatch.setitem(images.IMAGES, "cifar10", images.ImageData(load["cifar10"], cifar))
    monkeypatch.setattr(mnist16, "mnist", lambda part, folder: digits_of(24, 1400))
    monkeypatch.setattr(mnist16, "TRAINING", 1000)
    monkeypatch.setattr(mnist16, "HELD_OUT", 300)


@pytest.mark.parametrize("loss", ["softmax", "hinge"])
def test_linear_classifiers_learn_digits_and_draw_their_templates(loss: str, tmp_path: Path) -> None:
    history = recipes.run("linear", tmp_path, data_set="digits", loss=loss, progress=False)
    assert history.evaluation.metrics["accuracy"] > 0.93
    picture = ET.fromstring((tmp_path / "templates.svg").read_text())
    said = [one.text or "" for one in picture.iter("{http://www.w3.org/2000/svg}desc")]
    assert sum(one.startswith("Weights from -") for one in said) == 10
    assert history.files["templates"] == str(tmp_path / "templates.svg")
    about, model = ImageClassifier.load(tmp_path / "weights.safetensors")
    assert isinstance(model, LinearClassifier)
    test, labels = data.digits("test")[:]
    right = about.probabilities(model, test).argmax(axis=1) == labels
    assert right.mean() == pytest.approx(history.evaluation.metrics["accuracy"])


@pytest.mark.usefixtures("made_up")
@pytest.mark.parametrize(
    ("name", "kind", "settings"),
    [
        ("mnist-cnn", CNN, {"epochs": 6, "widths": (4, 8), "convolutions": 1, "batch_size": 30}),
        ("cifar-cnn", CNN, {"epochs": 8, "widths": (4, 8), "convolutions": 1, "batch_size": 30}),
        ("resnet", ResNet, {"epochs": 3, "depth": 8, "batch_size": 15}),
        ("lenet-1989", LeNet1989, {"epochs": 3}),
        ("lenet-1989", LeNet1989, {"epochs": 4, "loss": "softmax", "optimizer": "adamw", "lr": 0.003, "batch_size": 8,
                                   "decay": True, "shift": 1, "activation": "relu", "dropout": 0.1}),
    ],
)  # fmt: skip
def test_recipes_run_and_their_networks_come_back(name: str, kind: type, settings: dict, tmp_path: Path) -> None:
    history = recipes.run(name, tmp_path, progress=False, **settings)
    assert history.evaluation.metrics["accuracy"] > 0.4  # 0.1 is chance
    assert (tmp_path / "report.html").exists()
    about, model = ImageClassifier.load(tmp_path / "weights.safetensors")
    assert isinstance(model, kind)
    probabilities = about.probabilities(model, np.zeros((2, *about.shape), np.float32))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.usefixtures("made_up")
def test_schedules_of_the_residual_network() -> None:
    """That of the paper divides the rate by 10 after a half and after three quarters of the updates."""
    recipe = RECIPES["resnet"]
    settings = recipe.settings.changed({"schedule": "he", "epochs": 4, "lr": 0.1, "batch_size": 27})
    task = recipe.task(settings, None)
    assert isinstance(task.scheduler, MultiStepLR)
    rates = []
    for _ in range(4 * len(task.data)):
        rates.append(task.optimizer.param_groups[0]["lr"])
        task.scheduler.step()
    assert rates == pytest.approx([0.1] * 20 + [0.01] * 10 + [0.001] * 10)
    assert isinstance(recipe.task(recipe.settings, None).scheduler, OneCycleLR)
    updates = 182 * -(-45_000 // 128)
    assert updates == pytest.approx(64_000, abs=100)  # what the settings in its help come to


@pytest.mark.usefixtures("made_up")
def test_shrunk_digits() -> None:
    parts = {part: mnist16.mnist16(part) for part in ("train", "validation", "test")}
    assert {part: one.arrays[0].shape for part, one in parts.items()} == {
        "train": (1000, 1, 16, 16),
        "validation": (300, 1, 16, 16),
        "test": (300, 1, 16, 16),
    }
    pixels = parts["train"].arrays[0]
    assert 0.0 <= pixels.min() < 0.1
    assert 0.9 < pixels.max() <= 1.0
    of_training, held_out = ({one.tobytes() for one in parts[part].arrays[0]} for part in ("train", "validation"))
    assert len(of_training & held_out) < 5  # but for images that were equal before


def test_augmentation_is_of_the_kind_that_images_bear() -> None:
    assert images.augmentation("mnist", 0) is None
    assert "RandomHorizontalFlip" not in repr(images.augmentation("mnist", 2))  # a 2 is no mirrored 2
    assert "RandomHorizontalFlip" in repr(images.augmentation("cifar10", 4))
    moved = images.augmentation("cifar10", 4)(np.ones((5, 3, 32, 32), np.float32))
    assert moved.shape == (5, 3, 32, 32)


@pytest.mark.usefixtures("made_up")
def test_brightness_is_measured() -> None:
    found = images.mean_and_std("mnist", None)
    pixels = digits_of(28, 300).arrays[0]
    assert found == {"mean": [pytest.approx(pixels.mean(), abs=1e-4)], "std": [pytest.approx(pixels.std(), abs=1e-4)]}
    assert [len(one) for one in images.mean_and_std("cifar10", None).values()] == [3, 3]


def test_bad_settings() -> None:
    for name, wrong in (
        ("linear", {"loss": "mse"}),
        ("resnet", {"schedule": "step"}),
        ("lenet-1989", {"dropout": 1.0}),
    ):
        with pytest.raises(UsageError, match=next(iter(wrong))):
            RECIPES[name].settings.changed(wrong)


def test_templates_need_a_name_each(tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match="3 classes"):
        draw_templates(tmp_path / "x.svg", np.zeros((2, 4, 4)), ["a", "b", "c"], "")
