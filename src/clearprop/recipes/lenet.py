"""The training of 1989, and what one would change today, one thing at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from clearprop import nn
from clearprop.array import one_hot
from clearprop.data import DataLoader
from clearprop.functional import mse_loss
from clearprop.models import LeNet1989
from clearprop.optim import SGD, AdamW, Optimizer
from clearprop.optim.lr_scheduler import CosineAnnealingLR
from clearprop.recipes.images import IMAGES, augmentation
from clearprop.recipes.mnist16 import mnist16
from clearprop.recipes.recipe import Recipe, Task
from clearprop.recipes.settings import BatchSize, Dropout, Epochs, LearningRate, Option, Settings, Shift, WeightDecay
from clearprop.tensor import Tensor

_EVALUATION_BATCH = 500


@dataclass(frozen=True)
class LeNetSettings(Settings):
    """As they stand: the paper's training, 23 passes, one example at a time, squared error.

    The paper divides the rate by an estimate of the second derivative for each weight; here, as in A. Karpathy's
    repetition, one rate serves all.
    """

    epochs: Epochs = 23
    batch_size: BatchSize = 1
    lr: LearningRate = 0.03
    loss: Annotated[
        str, Option("squared error to ±1, or softmax and cross-entropy", choices=("squared", "softmax"))
    ] = "squared"
    optimizer: Annotated[str, Option("what updates the weights", choices=("sgd", "adamw"))] = "sgd"
    weight_decay: WeightDecay = 0.0
    decay: Annotated[bool, Option("let the rate fall along half a cosine, or keep it")] = False
    shift: Shift = 0
    activation: Annotated[str, Option("of the hidden units", choices=("tanh", "relu"))] = "tanh"
    dropout: Dropout = 0.0


def squared_error(output: Any, labels: Any) -> Tensor:
    """The paper's loss: the mean squared difference between the outputs and 1 for the right digit, -1 for the others.

    Args:
        output: (N, 10).
        labels: (N,), whole numbers.

    >>> import clearprop as cp
    >>> squared_error(2.0 * cp.one_hot(cp.tensor([3]), 10) - 1.0, cp.tensor([3])).item()
    0.0
    """
    return mse_loss(output, 2.0 * one_hot(labels, output.shape[1]) - 1.0)


def _task(settings: LeNetSettings, folder: str | None) -> Task:
    about = IMAGES["mnist16"].classifier
    arguments: dict[str, Any] = {
        "activation": settings.activation,
        "squash": settings.loss == "squared",
        "dropout": settings.dropout,
    }
    model = LeNet1989(**arguments)
    optimizer = _optimizer(settings, model)
    batches = DataLoader(
        mnist16("train", folder),
        settings.batch_size,
        shuffle=True,
        seed=settings.seed,
        transform=augmentation("mnist16", settings.shift),
    )
    return Task(
        model=model,
        loss=squared_error if settings.loss == "squared" else nn.CrossEntropyLoss(),
        optimizer=optimizer,
        data=batches,
        saved=about.saved("LeNet1989", arguments),
        scheduler=CosineAnnealingLR(optimizer, T_max=settings.epochs * len(batches)) if settings.decay else None,
        validation=DataLoader(mnist16("validation", folder), _EVALUATION_BATCH),
        test=DataLoader(mnist16("test", folder), _EVALUATION_BATCH),
        metrics=["accuracy"],
        class_names=about.class_names,
    )


def _optimizer(settings: LeNetSettings, model: LeNet1989) -> Optimizer:
    kind = AdamW if settings.optimizer == "adamw" else SGD
    return kind(model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)


LENET_1989 = Recipe(
    "lenet-1989",
    "the network that read zip codes in 1989, trained as then on 7,291 digits: half a minute",
    LeNetSettings(),
    _task,
)
