"""A character LSTM or GRU that writes like Shakespeare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from clearprop.models.saving import Saved
from clearprop.recipes.recipe import Recipe, Task
from clearprop.recipes.settings import BatchSize, Dropout, Epochs, LearningRate, Option
from clearprop.recipes.texts import windows
from clearprop.recipes.writing import WritingSettings, characters_of, writing_task

_VALIDATION = 4  # windows of the validation are so many times as long: what is learned on short ones goes on


@dataclass(frozen=True)
class CharRNNSettings(WritingSettings):
    """One layer of width 256 reads windows of 64 characters, each from its beginning."""

    epochs: Epochs = 4
    batch_size: BatchSize = 32
    lr: LearningRate = 5e-3
    dropout: Dropout = 0.2
    cell: Annotated[str, Option("which recurrence", choices=("lstm", "gru"))] = "lstm"
    width: Annotated[int, Option("numbers in the state of a layer", least=1)] = 256
    layers: Annotated[int, Option("recurrent layers", least=1)] = 1
    context: Annotated[int, Option("characters in a window; four times as many in one of the validation", least=1)] = 64


def _task(settings: CharRNNSettings, folder: str | None) -> Task:
    texts = windows(settings.file, folder, settings.context, _VALIDATION * settings.context)
    arguments: dict[str, Any] = {
        "vocabulary": texts[0].tokenizer.vocab_size,
        "width": settings.width,
        "layers": settings.layers,
        "cell": settings.cell,
        "dropout": settings.dropout,
    }
    return writing_task(Saved("CharRNN", arguments, characters_of(texts[0])), texts, settings)


CHAR_RNN = Recipe("char-rnn", "an LSTM or GRU that writes like Shakespeare: two minutes", CharRNNSettings(), _task)
