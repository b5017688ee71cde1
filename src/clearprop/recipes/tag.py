"""Capital letters, commas and stops are put back into Shakespeare: a tag for each letter and each space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from clearprop.array import asarray
from clearprop.autodiff import no_grad
from clearprop.data import ArrayDataset
from clearprop.files.atomic import atomic_write
from clearprop.models import SequenceTagger
from clearprop.models.saving import Saved
from clearprop.recipes.reading import ReadingSettings, reading_task
from clearprop.recipes.recipe import Recipe, Task
from clearprop.recipes.restoring import ALPHABET, TAGS, restored, restoring
from clearprop.recipes.settings import BatchSize, Dropout, Epochs, Option
from clearprop.recipes.texts import whole_text
from clearprop.train.metrics import f1_score

_BATCH = 64
_SHOWN = 12


@dataclass(frozen=True)
class TagSettings(ReadingSettings):
    """The learning rate rises in the first tenth of the updates, and falls along half a cosine."""

    epochs: Epochs = 4
    batch_size: BatchSize = 16
    dropout: Dropout = 0.1
    width: Annotated[int, Option("numbers that stand for a letter", least=2)] = 96
    layers: Annotated[int, Option("blocks of attention, or layers of the LSTM", least=1)] = 3
    length: Annotated[int, Option("letters and spaces that are read at once", least=1)] = 128


def _task(settings: TagSettings, folder: str | None) -> Task:
    text = whole_text(settings.file, folder)
    parts = [restoring(text, part, settings.length) for part in ("train", "validation", "test")]
    arguments = {"vocabulary": len(ALPHABET), "tags": len(TAGS), **settings.sizes}
    return reading_task(
        settings,
        Saved("SequenceTagger", arguments, {"alphabet": ALPHABET, "tags": list(TAGS)}),
        parts,
        batch=_BATCH,
        metrics=["accuracy", "macro f1"],
        exhibits=partial(exhibits, parts[-1]),
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
    return {f"{name}_f1": float(score) for name, score in zip(TAGS, scores, strict=True)} | {"restored": "restored.txt"}


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
