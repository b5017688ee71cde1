"""Capital letters, commas and stops are put back into Shakespeare: a tag for each letter and each space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from clearprop import nn
from clearprop.array import asarray
from clearprop.autodiff import no_grad
from clearprop.data import ArrayDataset, DataLoader
from clearprop.files.atomic import atomic_write
from clearprop.models import SequenceTagger
from clearprop.models.saving import Saved
from clearprop.optim import Adam
from clearprop.optim.lr_scheduler import OneCycleLR
from clearprop.recipes.cues import whole_text
from clearprop.recipes.recipe import Recipe, Task
from clearprop.recipes.restoring import ALPHABET, TAGS, restored, restoring
from clearprop.recipes.settings import BatchSize, Dropout, Epochs, LearningRate, Option, Settings
from clearprop.recipes.writing import TextFile
from clearprop.train.metrics import f1_score

_BATCH = 64
_SHOWN = 12
_WARM_UP = 0.1  # the share of the updates in which the learning rate rises


@dataclass(frozen=True)
class TagSettings(Settings):
    """The learning rate rises in the first tenth of the updates, and falls along half a cosine."""

    epochs: Epochs = 4
    batch_size: BatchSize = 16
    lr: LearningRate = 2e-3
    dropout: Dropout = 0.1
    kind: Annotated[str, Option("what reads", choices=("attention", "lstm"))] = "attention"
    width: Annotated[int, Option("numbers that stand for a letter", least=2)] = 96
    heads: Annotated[int, Option("of the attention", least=1)] = 4
    layers: Annotated[int, Option("blocks of attention, or layers of the LSTM", least=1)] = 3
    length: Annotated[int, Option("letters and spaces that are read at once", least=1)] = 128
    file: TextFile = ""


def _task(settings: TagSettings, folder: str | None) -> Task:
    arguments: dict[str, Any] = {
        "vocabulary": len(ALPHABET),
        "tags": len(TAGS),
        "kind": settings.kind,
        "width": settings.width,
        "heads": settings.heads,
        "layers": settings.layers,
        "dropout": settings.dropout,
    }
    model = SequenceTagger(**arguments)
    optimizer = Adam(model.parameters(), lr=settings.lr)
    text = whole_text(settings.file, folder)
    training, validation, test = (restoring(text, part, settings.length) for part in ("train", "validation", "test"))
    batches = DataLoader(training, settings.batch_size, shuffle=True, seed=settings.seed)
    updates = settings.epochs * len(batches)
    return Task(
        model=model,
        loss=nn.CrossEntropyLoss(),
        optimizer=optimizer,
        data=batches,
        saved=Saved("SequenceTagger", arguments, {"alphabet": ALPHABET, "tags": list(TAGS)}),
        scheduler=OneCycleLR(optimizer, settings.lr, total_steps=updates, pct_start=_WARM_UP, cycle_momentum=False),
        validation=DataLoader(validation, _BATCH),
        test=DataLoader(test, _BATCH),
        metrics=["accuracy", "macro f1"],
        clip_grad_norm=1.0,
        exhibits=partial(exhibits, test),
    )


def exhibits(test: ArrayDataset, model: SequenceTagger, folder: Path) -> Mapping[str, float | str]:
    """F1 of each tag, and some windows as they were, as they are given, and as the network restores them."""
    elements, tags = test.arrays
    found = tagged(model, elements)
    scores: Any = f1_score(tags.reshape(-1), found.reshape(-1), average=None)
    lines = []
    for given, right, mine in zip(elements[:_SHOWN], tags, found, strict=False):
        plain = restored(given, np.zeros_like(right))
        lines += [f"given     {plain}", f"restored  {restored(given, mine)}", f"it was    {restored(given, right)}", ""]
    with atomic_write(folder / "restored.txt") as file:
        file.write("\n".join(lines).encode())
    return {f"f1_{name}": float(score) for name, score in zip(TAGS, scores, strict=True)} | {"restored": "restored.txt"}


def tagged(model: SequenceTagger, elements: Any) -> Any:
    """The tags that the network gives to elements: (N, T) -> (N, T)."""
    batches = (elements[start : start + _BATCH] for start in range(0, len(elements), _BATCH))
    with no_grad():
        return np.concatenate([np.argmax(model(asarray(batch)).numpy(), axis=1) for batch in batches])


TAG = Recipe(
    "tag",
    "capital letters, commas and stops put back into Shakespeare, letter by letter: 3 minutes",
    TagSettings(),
    _task,
)
