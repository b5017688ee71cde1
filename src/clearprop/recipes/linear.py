"""Logistic regression and the linear support vector machine, on handwritten digits, with their weights drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from clearprop import nn
from clearprop.models import LinearClassifier
from clearprop.optim import SGD
from clearprop.optim.lr_scheduler import CosineAnnealingLR
from clearprop.recipes.images import IMAGES, image_loaders
from clearprop.recipes.recipe import Recipe, Task
from clearprop.recipes.settings import BatchSize, Epochs, LearningRate, Option, Settings, WeightDecay
from clearprop.recipes.templates import draw_templates

TEMPLATES = "templates.svg"
_NAMES = {"mnist": "MNIST", "digits": "digits of 8×8 pixels"}


@dataclass(frozen=True)
class LinearSettings(Settings):
    """The learning rate falls along half a cosine over all epochs."""

    epochs: Epochs = 20
    batch_size: BatchSize = 100
    lr: LearningRate = 0.05
    weight_decay: WeightDecay = 0.0005
    data_set: Annotated[str, Option("which digits", choices=("mnist", "digits"))] = "mnist"
    loss: Annotated[str, Option("softmax: logistic regression; hinge: SVM", choices=("softmax", "hinge"))] = "softmax"


def _task(settings: LinearSettings, folder: str | None) -> Task:
    loaders = image_loaders(settings.data_set, folder, settings.batch_size, settings.seed)
    about = IMAGES[settings.data_set].classifier
    arguments: dict[str, Any] = {"image": list(about.shape), "outputs": len(about.class_names)}
    model = LinearClassifier(**arguments)
    optimizer = SGD(model.parameters(), lr=settings.lr, momentum=0.9, weight_decay=settings.weight_decay)

    def exhibits(trained: nn.Module, place: Path) -> Mapping[str, str]:
        assert isinstance(trained, LinearClassifier)
        kind = "logistic regression" if settings.loss == "softmax" else "a linear support vector machine"
        title = f"The ten columns of W: {kind} on {_NAMES[settings.data_set]}"
        draw_templates(place / TEMPLATES, trained.templates()[:, 0], about.class_names, title)
        return {"templates": TEMPLATES}

    return Task(
        model=model,
        loss=nn.CrossEntropyLoss() if settings.loss == "softmax" else nn.MultiMarginLoss(),
        optimizer=optimizer,
        data=loaders.training,
        saved=about.saved("LinearClassifier", arguments),
        scheduler=CosineAnnealingLR(optimizer, T_max=settings.epochs * len(loaders.training)),
        validation=loaders.validation,
        test=loaders.test,
        metrics=["accuracy"],
        class_names=about.class_names,
        exhibits=exhibits,
    )


LINEAR = Recipe(
    "linear",
    "logistic regression, or a linear SVM, on digits, its weights drawn as templates: 10 seconds",
    LinearSettings(),
    _task,
)
