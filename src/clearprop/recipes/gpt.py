"""A GPT that writes like Shakespeare, character by character."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from clearprop.models.saving import Saved
from clearprop.recipes.recipe import Recipe, Task
from clearprop.recipes.settings import BatchSize, Dropout, Epochs, LearningRate, Option, WeightDecay
from clearprop.recipes.texts import windows
from clearprop.recipes.writing import WritingSettings, characters_of, writing_task


@dataclass(frozen=True)
class GPTSettings(WritingSettings):
    """Small batches and many updates: on two cores that learns fastest."""

    epochs: Epochs = 10
    batch_size: BatchSize = 8
    lr: LearningRate = 3e-3
    weight_decay: WeightDecay = 0.1
    dropout: Dropout = 0.0
    width: Annotated[int, Option("numbers in the vector of a character", least=1)] = 128
    heads: Annotated[int, Option("of the attention", least=1)] = 4
    layers: Annotated[int, Option("blocks of attention and two linear layers", least=1)] = 4
    context: Annotated[int, Option("characters that are looked at, at most", least=1)] = 128


def _task(settings: GPTSettings, folder: str | None) -> Task:
    texts = windows(settings.file, folder, settings.context, settings.context)
    arguments: dict[str, Any] = {
        "vocabulary": texts[0].tokenizer.vocab_size,
        "context": settings.context,
        "width": settings.width,
        "heads": settings.heads,
        "layers": settings.layers,
        "dropout": settings.dropout,
    }
    return writing_task(Saved("GPT", arguments, characters_of(texts[0])), texts, settings)


RECIPE = Recipe("gpt", "a GPT that writes like Shakespeare: ten minutes", GPTSettings(), _task)
