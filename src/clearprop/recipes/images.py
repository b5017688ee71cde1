"""The image data that recipes train on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from clearprop.data import DataLoader, cifar10, digits, mnist, split
from clearprop.data.cifar import CLASSES
from clearprop.data.batches import Dataset
from clearprop.data.datasets import Split
from clearprop.data.transforms import Transform
from clearprop.models import ImageClassifier

DIGITS = tuple("0123456789")


@dataclass(frozen=True)
class ImageData:
    """Images with classes.

    Args:
        load: gives one part, "train" or "test", from the folder that the user has named, if any.
        classifier: what images they are.
    """

    load: Callable[[Split, str | None], Dataset]
    classifier: ImageClassifier


IMAGES: Mapping[str, ImageData] = {
    "digits": ImageData(lambda part, folder: digits(part), ImageClassifier(DIGITS, 1, 8, 8, 16.0, "digits")),
    "mnist": ImageData(
        lambda part, folder: mnist(part, folder=folder), ImageClassifier(DIGITS, 1, 28, 28, 255.0, "mnist")
    ),
    "cifar10": ImageData(
        lambda part, folder: cifar10(part, folder=folder), ImageClassifier(CLASSES, 3, 32, 32, 255.0, "cifar10")
    ),
}

_VALIDATION = (
    0.1  # of the images to train with; He et al. (2015), section 4.2, too put 5,000 of CIFAR-10's 50,000 aside
)
_EVALUATION_BATCH = 500


class Loaders(NamedTuple):
    """Batches to train with, to validate with after each epoch, and to test with at the end."""

    training: DataLoader
    validation: DataLoader
    test: DataLoader


def image_loaders(
    name: str, folder: str | None, batch_size: int, seed: int, transform: Transform | None = None
) -> Loaders:
    """The batches of one of `IMAGES`.

    Args:
        folder: where the files are, None for the usual places.
        batch_size: of the training.
        seed: which images are put aside for validation, and in which order the others come.
        transform: augmentation, of the images that are trained with.
    """
    images = IMAGES[name]
    training, validation = split(images.load("train", folder), 1 - _VALIDATION, seed=seed)
    return Loaders(
        DataLoader(training, batch_size, shuffle=True, seed=seed, transform=transform),
        DataLoader(validation, _EVALUATION_BATCH),
        DataLoader(images.load("test", folder), _EVALUATION_BATCH),
    )
