"""Love or death? One of 100 words of Shakespeare says it.

An LSTM has to carry it to the end; attention looks at it where it stands.
"""

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
from clearprop.data import DataLoader
from clearprop.lens.drawing.saving import Svg
from clearprop.models import SequenceClassifier
from clearprop.models.saving import Saved
from clearprop.optim import Adam
from clearprop.optim.lr_scheduler import OneCycleLR
from clearprop.recipes.cues import CLASSES, RANGES, Cues, Windows, whole_text
from clearprop.recipes.recipe import Recipe, Task
from clearprop.recipes.settings import BatchSize, Dropout, Epochs, LearningRate, Option, Settings
from clearprop.recipes.writing import TextFile
from clearprop.train.maps import reading
from clearprop.train.plots import picture

TRAINED, TESTED = 400, 50  # windows of each class and range of distances
_BATCH = 500
_WARM_UP = 0.1  # the share of the updates in which the learning rate rises


@dataclass(frozen=True)
class ClassifySettings(Settings):
    """The learning rate rises in the first tenth of the updates, and falls along half a cosine."""

    epochs: Epochs = 8
    batch_size: BatchSize = 32
    lr: LearningRate = 2e-3
    dropout: Dropout = 0.2
    kind: Annotated[str, Option("what reads", choices=("attention", "lstm"))] = "attention"
    width: Annotated[int, Option("numbers that stand for a word", least=2)] = 64
    heads: Annotated[int, Option("of the attention", least=1)] = 4
    layers: Annotated[int, Option("blocks of attention, or layers of the LSTM", least=1)] = 1
    vocabulary: Annotated[int, Option("how many words are known, the commonest", least=1)] = 2000
    file: TextFile = ""


def _task(settings: ClassifySettings, folder: str | None) -> Task:
    cues = Cues(whole_text(settings.file, folder), settings.vocabulary)
    arguments: dict[str, Any] = {
        "vocabulary": len(cues.words),
        "classes": len(CLASSES),
        "kind": settings.kind,
        "width": settings.width,
        "heads": settings.heads,
        "layers": settings.layers,
        "dropout": settings.dropout,
    }
    model = SequenceClassifier(**arguments)
    optimizer = Adam(model.parameters(), lr=settings.lr)
    training = cues.windows("train", TRAINED, settings.seed)
    batches = DataLoader(training.dataset(), settings.batch_size, shuffle=True, seed=settings.seed)
    tested = cues.windows("test", TESTED, seed=0)
    updates = settings.epochs * len(batches)
    return Task(
        model=model,
        loss=nn.CrossEntropyLoss(),
        optimizer=optimizer,
        data=batches,
        saved=Saved("SequenceClassifier", arguments, {"words": list(cues.words), "class_names": list(CLASSES)}),
        scheduler=OneCycleLR(optimizer, settings.lr, total_steps=updates, pct_start=_WARM_UP, cycle_momentum=False),
        validation=DataLoader(cues.windows("validation", TESTED, seed=0).dataset(), _BATCH),
        test=DataLoader(tested.dataset(), _BATCH),
        metrics=["accuracy"],
        clip_grad_norm=1.0,
        class_names=CLASSES,
        show=cues.text,
        exhibits=partial(exhibits, cues, tested),
    )


def accuracies(model: SequenceClassifier, windows: Windows) -> list[float]:
    """The share of right answers in each range of distances of the word that decides, from the nearest on."""
    with no_grad():
        answers = np.argmax(model(asarray(windows.words)).numpy(), axis=1)
    right = answers == windows.classes
    return [float(right[windows.ranges == number].mean()) for number in range(RANGES)]


def exhibits(cues: Cues, windows: Windows, model: SequenceClassifier, folder: Path) -> Mapping[str, float | str]:
    """Accuracies by distance; of attention a picture of what it looks at."""
    found: dict[str, float | str] = {
        f"accuracy_{10 * number}_to_{10 * number + 9}": accuracy
        for number, accuracy in enumerate(accuracies(model, windows))
    }
    if model.reader.kind == "attention":
        draw_reading(model, cues, windows).save(folder / "attention.svg")
        found["attention"] = "attention.svg"
    return found


def draw_reading(model: SequenceClassifier, cues: Cues, windows: Windows, shown: int = 6) -> Svg:
    """Windows, each word before a colour as strong as its share of the attention; the farthest words that decide."""
    farthest = np.argsort(-windows.distances, kind="stable")
    _, first = np.unique(windows.words[farthest], axis=0, return_index=True)  # no window twice
    chosen = farthest[np.sort(first)[:: max(1, len(first) // shown)][:shown]]
    with no_grad():
        logits, weights = model(asarray(windows.words[chosen]), need_weights=True)
    rows = []
    for row, scores, shares in zip(chosen, logits.numpy(), weights.numpy(), strict=True):
        text = [cues.words[word] for word in windows.words[row]]
        truth, answer = CLASSES[windows.classes[row]], CLASSES[int(np.argmax(scores))]
        cue = text[len(text) - 1 - int(windows.distances[row])]
        title = f"“{cue}”, {windows.distances[row]} words before the end: {answer}"
        title += "" if truth == answer else f", but it is {truth}"
        rows.append([reading(title, text, shares, words=f"{shares.max():.0%} on “{text[int(np.argmax(shares))]}”.")])
    return picture("What the classifier looks at", rows)


CLASSIFY = Recipe(
    "classify",
    "love or death? one word of a hundred decides: attention against an LSTM: a minute",
    ClassifySettings(),
    _task,
)
