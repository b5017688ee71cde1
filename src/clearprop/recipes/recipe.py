"""What a recipe is: a name, settings, and a function that makes of settings all that a training needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from clearprop.models.saving import Saved
from clearprop.nn import Module
from clearprop.optim import Optimizer
from clearprop.optim.lr_scheduler import LRScheduler
from clearprop.recipes.settings import Settings
from clearprop.train import Callback
from clearprop.train.metrics import AnyMetric
from clearprop.train.run import Batches
from clearprop.train.worst import Show

Exhibits: TypeAlias = Callable[[Module, Path], Mapping[str, float | str]]


@dataclass(frozen=True)
class Task:
    """All that `train.fit` and `train.evaluate` are given for one run.

    Args:
        model: the network, with new weights.
        loss: of its output and a target.
        optimizer: of its parameters.
        data: batches to train with.
        saved: how the network is built again when its weights are read.
        scheduler: changes the learning rate after every update.
        validation: batches to measure with after every epoch.
        test: batches to measure with at the end.
        metrics: what to measure beside the loss.
        clip_grad_norm: the largest norm of the gradients.
        callbacks: what else is to happen.
        evaluated: the network that is tested and saved, if that is not the one which is trained: an average of it.
        class_names: of a classifier: the test counts who is taken for whom, and keeps the worst mistakes.
        show: makes of an input what is to be seen of it among the worst mistakes.
        exhibits: called with the trained network and the folder of the run; may write pictures and texts there.
            Returns what to tell: numbers are figures of the test, texts are names of files in the folder.

    >>> from clearprop import data, models, nn, optim
    >>> saved = Saved("mlp", {"inputs": 64, "hidden": [], "outputs": 10})
    >>> model = saved.build()
    >>> batches = data.DataLoader(data.digits("train"), batch_size=64)
    >>> task = Task(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1), batches, saved)
    """

    model: Module
    loss: Callable[[Any, Any], Any]
    optimizer: Optimizer
    data: Batches
    saved: Saved
    scheduler: LRScheduler | None = None
    validation: Batches | None = None
    test: Batches | None = None
    metrics: Sequence[AnyMetric] = ()
    clip_grad_norm: float | None = None
    callbacks: Sequence[Callback] = ()
    evaluated: Module | None = None
    class_names: Sequence[str] = ()
    show: Show | None = None
    exhibits: Exhibits | None = None


@dataclass(frozen=True)
class Recipe:
    """A network, data, and settings that are known to work.

    Args:
        name: of ``clearprop train NAME``.
        about: what is learned and how long that takes, in a line.
        settings: the well-tried ones.
        task: makes of settings, and of the folder with the data (None for the usual places), all that is needed;
            `clearprop.random.seed` has been called with the seed before.

    >>> import tempfile
    >>> from clearprop import data, nn, optim, recipes
    >>> @dataclass(frozen=True)
    ... class Own(Settings):
    ...     epochs: int = 2
    ...     batch_size: int = 32
    ...     lr: float = 0.5
    >>> def make_task(settings, folder):
    ...     saved = Saved("mlp", {"inputs": 64, "hidden": [], "outputs": 10})
    ...     model = saved.build()
    ...     batches = data.DataLoader(data.digits("train"), settings.batch_size, shuffle=True, seed=settings.seed)
    ...     return Task(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=settings.lr), batches, saved)
    >>> recipe = Recipe("my digits", "a linear classifier of digits", Own(), make_task)
    >>> history = recipes.run(recipe, tempfile.mkdtemp(), lr=0.2, progress=False)
    >>> history.config["lr"], len(history.epochs)
    (0.2, 2)
    """

    name: str
    about: str
    settings: Settings
    task: Callable[[Any, str | None], Task]
