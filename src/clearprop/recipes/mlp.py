"""Multilayer perceptrons for handwritten digits: two recipes, which differ in the images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, cast

from clearprop import nn
from clearprop.data import ArrayDataset, DataLoader, split
from clearprop.models import image_mlp
from clearprop.optim.lr_scheduler import CosineAnnealingLR
from clearprop.recipes.images import IMAGES
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

_EVALUATION_BATCH = 500


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
    images = IMAGES[dataset]
    whole = cast(ArrayDataset, images.load("train", folder))
    training, validation = (
        split(whole, 1 - settings.validation, seed=settings.seed) if settings.validation else (whole, None)
    )
    test = images.load("test", folder)
    about = images.classifier
    arguments: dict[str, Any] = {
        "image": list(about.shape),
        "hidden": list(settings.hidden),
        "outputs": len(about.class_names),
        "dropout": settings.dropout,
        "shift": settings.shift,
    }
    model = image_mlp(**arguments)
    optimizer = make_optimizer(settings.optimizer, model, settings.lr, settings.weight_decay)
    batches = DataLoader(training, settings.batch_size, shuffle=True, seed=settings.seed)
    return Task(
        model=model,
        loss=nn.CrossEntropyLoss(),
        optimizer=optimizer,
        data=batches,
        saved=about.saved("image_mlp", arguments),
        scheduler=CosineAnnealingLR(optimizer, T_max=settings.epochs * len(batches)),
        validation=DataLoader(validation, _EVALUATION_BATCH) if validation is not None else None,
        test=DataLoader(test, _EVALUATION_BATCH),
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
