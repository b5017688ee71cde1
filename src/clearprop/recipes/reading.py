"""What the recipes of networks that read sequences have in common: their sizes, and how they are trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from clearprop import nn
from clearprop.data import ArrayDataset, DataLoader
from clearprop.models.saving import Saved
from clearprop.optim import Adam
from clearprop.optim.lr_scheduler import OneCycleLR
from clearprop.recipes.recipe import Task
from clearprop.recipes.settings import BatchSize, Dropout, Epochs, LearningRate, Option, Settings
from clearprop.recipes.texts import TextFile
from clearprop.train.worst import Show

_WARM_UP = 0.1  # the share of the updates in which the learning rate rises


@dataclass(frozen=True)
class ReadingSettings(Settings):
    """The learning rate rises in the first tenth of the updates, and falls along half a cosine."""

    epochs: Epochs = 8
    batch_size: BatchSize = 32
    lr: LearningRate = 2e-3
    dropout: Dropout = 0.2
    kind: Annotated[str, Option("what reads", choices=("attention", "lstm"))] = "attention"
    width: Annotated[int, Option("numbers that stand for an element", least=2)] = 64
    heads: Annotated[int, Option("of the attention", least=1)] = 4
    layers: Annotated[int, Option("blocks of attention, or layers of the LSTM", least=1)] = 1
    file: TextFile = ""

    @property
    def sizes(self) -> dict[str, Any]:
        """What the networks are told of them."""
        return {name: getattr(self, name) for name in ("kind", "width", "heads", "layers", "dropout")}


def reading_task(
    settings: ReadingSettings,
    saved: Saved,
    parts: Sequence[ArrayDataset],
    *,
    batch: int,
    metrics: Sequence[str],
    exhibits: Callable[[Any, Path], Mapping[str, float | str]],
    class_names: Sequence[str] = (),
    show: Show | None = None,
) -> Task:
    """Cross-entropy and Adam.

    Args:
        saved: how the network is built.
        parts: to train, to validate and to test with.
        batch: examples that are validated and tested with at once.
        metrics, exhibits, class_names, show: see `Task`.
    """
    training, *others = parts
    validation, test = (DataLoader(part, batch) for part in others)
    model = saved.build()
    optimizer = Adam(model.parameters(), lr=settings.lr)
    batches = DataLoader(training, settings.batch_size, shuffle=True, seed=settings.seed)
    updates = settings.epochs * len(batches)
    return Task(
        model=model,
        loss=nn.CrossEntropyLoss(),
        optimizer=optimizer,
        data=batches,
        saved=saved,
        scheduler=OneCycleLR(optimizer, settings.lr, total_steps=updates, pct_start=_WARM_UP, cycle_momentum=False),
        validation=validation,
        test=test,
        metrics=metrics,
        clip_grad_norm=1.0,
        class_names=class_names,
        show=show,
        exhibits=exhibits,
    )
