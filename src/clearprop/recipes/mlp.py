"""Multilayer perceptrons for handwritten digits: two recipes, which differ in the images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from clearprop import nn
from clearprop.models import image_mlp
from clearprop.optim.lr_scheduler import CosineAnnealingLR
from clearprop.recipes.images import IMAGES, image_loaders
from clearprop.recipes.optimizers import OptimizerName, make_optimizer
from clearprop.recipes.recipe import Recipe, Task
from clearprop.recipes.settings import (
    BatchSize,
    Dropout,
    Epochs,
    LearningRate,
    Option,
    Patience,
    Settings,
    Shift,
    WeightDecay,
    Widths,
)
from clearprop.train import EarlyStopping


@dataclass(frozen=True)
class MLPSettings(Settings):
    """The learning rate falls along half a cosine over all epochs."""

    epochs: Epochs = 40
    batch_size: BatchSize = 64
    lr: LearningRate = 0.004
    hidden: Widths = (256, 128)
    dropout: Dropout = 0.3
    shift: Shift = 0
    optimizer: OptimizerName = "adamw"
    weight_decay: WeightDecay = 0.01
    patience: Patience = 0
    validation: Annotated[float, Option("the share of the training images to validate with", least=0, below=1)] = 0.1


def _task(dataset: str, settings: MLPSettings, folder: str | None) -> Task:
    loaders = image_loaders(dataset, folder, settings.batch_size, settings.seed, validation=settings.validation)
    about = IMAGES[dataset].classifier
    arguments: dict[str, Any] = {
        "image": list(about.shape),
        "hidden": list(settings.hidden),
        "outputs": len(about.class_names),
        "dropout": settings.dropout,
        "shift": settings.shift,
    }
    model = image_mlp(**arguments)
    optimizer = make_optimizer(settings.optimizer, model, settings.lr, settings.weight_decay)
    return Task(
        model=model,
        loss=nn.CrossEntropyLoss(),
        optimizer=optimizer,
        data=loaders.training,
        saved=about.saved("image_mlp", arguments),
        scheduler=CosineAnnealingLR(optimizer, T_max=settings.epochs * len(loaders.training)),
        validation=loaders.validation,
        test=loaders.test,
        metrics=["accuracy"],
        callbacks=[EarlyStopping(patience=settings.patience)] if settings.patience else [],
        class_names=about.class_names,
    )


DIGITS = Recipe(
    "digits",
    "1,797 handwritten digits of 8×8 pixels, which come with clearprop: a few seconds",
    MLPSettings(),
    partial(_task, "digits"),
)

MNIST = Recipe(
    "mnist",
    "70,000 handwritten digits of 28×28 pixels: half a minute",
    MLPSettings(epochs=12, batch_size=256, lr=0.003, dropout=0.1, shift=1, validation=1 / 12),
    partial(_task, "mnist"),
)
