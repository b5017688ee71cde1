"""Convolutional networks for handwritten digits and for photographs: two recipes, which differ in the images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from clearprop import nn
from clearprop.models import CNN
from clearprop.optim import SGD
from clearprop.optim.lr_scheduler import OneCycleLR
from clearprop.recipes.images import IMAGES, augmentation, image_loaders, mean_and_std
from clearprop.recipes.recipe import Recipe, Task
from clearprop.recipes.settings import (
    BatchSize,
    Dropout,
    Epochs,
    LearningRate,
    Option,
    Settings,
    Shift,
    WeightDecay,
    Widths,
)


@dataclass(frozen=True)
class CNNSettings(Settings):
    """One cycle of the learning rate, up and down again (Smith, Topin 2017), with Nesterov's momentum of 0.9."""

    epochs: Epochs = 5
    batch_size: BatchSize = 128
    lr: LearningRate = 0.1
    weight_decay: WeightDecay = 0.0005
    widths: Widths = (32, 64, 128)
    convolutions: Annotated[int, Option("in each stage, before images are halved", least=1)] = 2
    dropout: Dropout = 0.0
    shift: Shift = 2
    label_smoothing: Annotated[float, Option("share of the target that all classes have alike", least=0, below=1)] = 0.0


def _task(dataset: str, settings: CNNSettings, folder: str | None) -> Task:
    loaders = image_loaders(dataset, folder, settings.batch_size, settings.seed, augmentation(dataset, settings.shift))
    about = IMAGES[dataset].classifier
    arguments: dict[str, Any] = {
        "image": list(about.shape),
        "widths": list(settings.widths),
        "outputs": len(about.class_names),
        "convolutions": settings.convolutions,
        "dropout": settings.dropout,
        **mean_and_std(dataset, folder),
    }
    model = CNN(**arguments)
    optimizer = SGD(model.parameters(), lr=settings.lr, momentum=0.9, nesterov=True, weight_decay=settings.weight_decay)
    updates = settings.epochs * len(loaders.training)
    return Task(
        model=model,
        loss=nn.CrossEntropyLoss(label_smoothing=settings.label_smoothing),
        optimizer=optimizer,
        data=loaders.training,
        saved=about.saved("CNN", arguments),
        scheduler=OneCycleLR(optimizer, settings.lr, total_steps=updates, cycle_momentum=False),
        validation=loaders.validation,
        test=loaders.test,
        metrics=["accuracy"],
        class_names=about.class_names,
    )


MNIST_CNN = Recipe(
    "mnist-cnn",
    "four convolutions for the digits of MNIST: two minutes",
    CNNSettings(epochs=6, widths=(16, 32), dropout=0.25),
    partial(_task, "mnist"),
)

CIFAR_CNN = Recipe(
    "cifar-cnn",
    "six convolutions for the photographs of CIFAR-10: seven minutes",
    CNNSettings(),
    partial(_task, "cifar10"),
)
