"""ResNet on CIFAR-10: a short schedule for an afternoon's patience, and that of He et al. (2015), section 4.2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from clearprop import nn
from clearprop.models import ResNet
from clearprop.optim import SGD
from clearprop.optim.lr_scheduler import LRScheduler, MultiStepLR, OneCycleLR
from clearprop.recipes.images import IMAGES, augmentation, image_loaders, mean_and_std
from clearprop.recipes.recipe import Recipe, Task
from clearprop.recipes.settings import BatchSize, Epochs, LearningRate, Option, Settings, WeightDecay


@dataclass(frozen=True)
class ResNetSettings(Settings):
    """One cycle of the learning rate (Smith, Topin 2017), with Nesterov's momentum of 0.9, unless the schedule says he.

    The paper's own training is ``--schedule he --epochs 182 --batch-size 128 --lr 0.1 --weight-decay 0.0001``: 64,064
    updates, with 45,000 images; the rate is divided by 10 after a half and after three quarters of them. The paper
    reports an error of 8.75 % for 20 layers, 7.51 % for 32, 6.97 % for 56 (table 6).
    """

    epochs: Epochs = 20
    batch_size: BatchSize = 64
    lr: LearningRate = 0.1
    weight_decay: WeightDecay = 0.0003
    depth: Annotated[int, Option("layers with weights: 6n + 2", least=8)] = 20
    residual: Annotated[bool, Option("shortcuts around pairs of layers; without them it is the plain network")] = True
    schedule: Annotated[str, Option("of the learning rate", choices=("one-cycle", "he"))] = "one-cycle"


def _task(settings: ResNetSettings, folder: str | None) -> Task:
    loaders = image_loaders("cifar10", folder, settings.batch_size, settings.seed, augmentation("cifar10", shift=4))
    about = IMAGES["cifar10"].classifier
    arguments: dict[str, Any] = {
        "depth": settings.depth,
        "image": list(about.shape),
        "outputs": len(about.class_names),
        "residual": settings.residual,
        **mean_and_std("cifar10", folder),
    }
    model = ResNet(**arguments)
    nesterov = settings.schedule != "he"
    optimizer = SGD(
        model.parameters(), lr=settings.lr, momentum=0.9, nesterov=nesterov, weight_decay=settings.weight_decay
    )
    return Task(
        model=model,
        loss=nn.CrossEntropyLoss(),
        optimizer=optimizer,
        data=loaders.training,
        saved=about.saved("ResNet", arguments),
        scheduler=_schedule(optimizer, settings, settings.epochs * len(loaders.training)),
        validation=loaders.validation,
        test=loaders.test,
        metrics=["accuracy"],
        class_names=about.class_names,
    )


def _schedule(optimizer: SGD, settings: ResNetSettings, updates: int) -> LRScheduler:
    if settings.schedule == "he":  # "we start with a learning rate of 0.1, divide it by 10 at 32k and 48k iterations"
        return MultiStepLR(optimizer, milestones=[updates // 2, updates * 3 // 4], gamma=0.1)
    return OneCycleLR(optimizer, max_lr=settings.lr, total_steps=updates, pct_start=0.25, cycle_momentum=False)


RESNET = Recipe(
    "resnet",
    "ResNet-20 with augmentation on the photographs of CIFAR-10: 35 minutes",
    ResNetSettings(),
    _task,
)
