"""Love or death? One of 100 words of Shakespeare says it.

An LSTM has to carry it to the end; attention looks at it where it stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np

from clearprop.array import asarray
from clearprop.autodiff import no_grad
from clearprop.lens.drawing.saving import Svg
from clearprop.models import SequenceClassifier
from clearprop.models.saving import Saved
from clearprop.recipes.cues import CLASSES, LENGTH, RANGES, Cues, Windows
from clearprop.recipes.reading import ReadingSettings, reading_task
from clearprop.recipes.recipe import Recipe, Task
from clearprop.recipes.settings import Option
from clearprop.recipes.texts import whole_text
from clearprop.train.drawing.maps import reading
from clearprop.train.drawing.plots import picture

TRAINED, TESTED = 400, 50  # windows of each class and range of distances
FAR = "far_accuracy"
"""Of windows whose word stands 50 words before the end or farther."""
_BATCH = 500


@dataclass(frozen=True)
class ClassifySettings(ReadingSettings):
    """The learning rate rises in the first tenth of the updates, and falls along half a cosine."""

    vocabulary: Annotated[int, Option("how many words are known, the commonest", least=1)] = 2000


def _task(settings: ClassifySettings, folder: str | None) -> Task:
    cues = Cues(whole_text(settings.file, folder), settings.vocabulary)
    training = cues.windows("train", TRAINED, settings.seed)
    validation, test = (cues.windows(part, TESTED, seed=0) for part in ("validation", "test"))
    arguments = {"vocabulary": len(cues.words), "classes": len(CLASSES), **settings.sizes}
    return reading_task(
        settings,
        Saved("SequenceClassifier", arguments, {"words": list(cues.words), "class_names": list(CLASSES)}),
        [part.dataset() for part in (training, validation, test)],
        batch=_BATCH,
        metrics=["accuracy"],
        exhibits=partial(exhibits, cues, test),
        class_names=CLASSES,
        show=cues.read,
    )


def accuracies(model: SequenceClassifier, windows: Windows) -> list[float]:
    """The share of right answers in each range of distances of the word that decides, from the nearest on."""
    with no_grad():
        answers = np.argmax(model(asarray(windows.words)).numpy(), axis=1)
    right = answers == windows.classes
    return [float(right[windows.ranges == number].mean()) for number in range(RANGES)]


def exhibits(cues: Cues, windows: Windows, model: SequenceClassifier, folder: Path) -> Mapping[str, float | str]:
    """Accuracies by distance, and of the farther half; of attention a picture of what it looks at."""
    by_range = accuracies(model, windows)
    names = [f"{10 * number}_to_{10 * number + 9}_accuracy" for number in range(RANGES)]
    found: dict[str, float | str] = {**dict(zip(names, by_range, strict=True)), FAR: float(np.mean(by_range[5:]))}
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
        text = cues.text[windows.starts[row] :][:LENGTH]
        truth, answer = CLASSES[windows.classes[row]], CLASSES[int(np.argmax(scores))]
        cue = text[len(text) - 1 - int(windows.distances[row])]
        title = f"“{cue}”, {windows.distances[row]} words before the end: {answer}"
        title += "" if truth == answer else f", but it is {truth}"
        rows.append([reading(title, text, shares, words=f"{shares.max():.0%} on “{text[int(np.argmax(shares))]}”.")])
    return picture("What the classifier looks at", rows)


CLASSIFY = Recipe(
    "classify",
    "love or death? one word of a hundred decides: attention against an LSTM: a minute or two",
    ClassifySettings(),
    _task,
)
