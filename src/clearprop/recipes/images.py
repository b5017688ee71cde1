"""The image data that recipes train on, and how they are prepared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from clearprop.data import Compose, DataLoader, RandomCrop, RandomHorizontalFlip, cifar10, digits, mnist, split
from clearprop.data.batches import Dataset
from clearprop.data.cifar import CLASSES
from clearprop.data.datasets import Split
from clearprop.data.images import ImageDataset
from clearprop.data.transforms import Transform
from clearprop.models import ImageClassifier
from clearprop.recipes.mnist16 import mnist16

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
    "mnist16": ImageData(mnist16, ImageClassifier(DIGITS, 1, 16, 16, 255.0, "mnist16")),
    "cifar10": ImageData(
        lambda part, folder: cifar10(part, folder=folder), ImageClassifier(CLASSES, 3, 32, 32, 255.0, "cifar10")
    ),
}

_VALIDATION = 0.1  # He et al. (2015), section 4.2, too put 5,000 of CIFAR-10's 50,000 images aside
_EVALUATION_BATCH = 500


class Loaders(NamedTuple):
    """Batches to train with, to validate with after each epoch, and to test with at the end."""

    training: DataLoader
    validation: DataLoader | None
    test: DataLoader


def image_loaders(
    name: str,
    folder: str | None,
    batch_size: int,
    seed: int,
    transform: Transform | None = None,
    validation: float = _VALIDATION,
) -> Loaders:
    """The batches of one of `IMAGES`.

    Args:
        folder: where the files are, None for the usual places.
        batch_size: of the training.
        seed: which images are put aside for validation, and in which order the others come.
        transform: augmentation, of the images that are trained with.
        validation: the share of them that is put aside; 0 for none.
    """
    images = IMAGES[name]
    whole = images.load("train", folder)
    training, held_out = split(whole, 1 - validation, seed=seed) if validation else (whole, None)
    return Loaders(
        DataLoader(training, batch_size, shuffle=True, seed=seed, transform=transform),
        None if held_out is None else DataLoader(held_out, _EVALUATION_BATCH),
        DataLoader(images.load("test", folder), _EVALUATION_BATCH),
    )


def augmentation(name: str, shift: int) -> Transform | None:
    """What is done to images that are trained with: moved by up to `shift` pixels; photographs are mirrored, too.

    So did He et al. (2015), section 4.2, with 4 pixels. What comes in at the edges is black for digits, and for
    photographs the grey that is nearest to the mean colour of CIFAR-10.
    """
    about = IMAGES[name].classifier
    if about.channels == 1:
        return RandomCrop((about.height, about.width), padding=shift) if shift else None
    moved = [RandomCrop((about.height, about.width), padding=shift, fill=0.47)] if shift else []
    return Compose([*moved, RandomHorizontalFlip()])


def mean_and_std(name: str, folder: str | None) -> dict[str, list[float]]:
    """What `Standardize` takes: measured on all images of the training, to four digits."""
    images: Any = IMAGES[name].load("train", folder)
    if isinstance(images, ImageDataset):
        measured = images.mean_and_std()
    else:
        pixels = images.arrays[0].astype(np.float64)
        measured = pixels.mean(axis=(0, 2, 3)), pixels.std(axis=(0, 2, 3))
    mean, std = ([round(float(one), 4) for one in each] for each in measured)
    return {"mean": mean, "std": std}
