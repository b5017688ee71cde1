"""A Transformer that answers problems of digits: strings to reverse, or numbers to add, character by character."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from clearprop import nn
from clearprop.array import all, argmax, asarray, astype, equal, logical_or, mean
from clearprop.autodiff import no_grad
from clearprop.data import DataLoader
from clearprop.dtypes import float32
from clearprop.files.atomic import atomic_write
from clearprop.lens.drawing.saving import Svg
from clearprop.models import Seq2Seq
from clearprop.models.saving import Saved
from clearprop.optim import Adam
from clearprop.optim.lr_scheduler import OneCycleLR
from clearprop.recipes.problems import ALPHABET, BEGIN, END, PADDING, Kind, Problem, decode, kind
from clearprop.recipes.recipe import Recipe, Task
from clearprop.recipes.settings import BatchSize, Dropout, Epochs, LearningRate, Option, Settings
from clearprop.tensor import Tensor
from clearprop.train.drawing.maps import shades
from clearprop.train.drawing.plots import Panel, picture

UPDATES = 350  # in an epoch
_WARM_UP = 0.1  # the share of the updates in which the learning rate rises
TESTED = 2000
_BATCH = 500
_DRAWN = 6
_DIGITS = {"reverse": 12, "add": 3}


@dataclass(frozen=True)
class Seq2SeqSettings(Settings):
    """The learning rate rises in the first tenth, and falls along half a cosine; an epoch is 350 updates."""

    epochs: Epochs = 10
    batch_size: BatchSize = 64
    lr: LearningRate = 2e-3
    dropout: Dropout = 0.0
    task: Annotated[str, Option("what to do with the digits", choices=("reverse", "add"))] = "reverse"
    digits: Annotated[int, Option("of a string, or of a number to add; 0 for 12 and for 3", least=0)] = 0
    width: Annotated[int, Option("numbers that stand for a character", least=2)] = 64
    heads: Annotated[int, Option("of the attention", least=1)] = 4
    layers: Annotated[int, Option("of the encoder, and of the decoder", least=1)] = 2


def exact_accuracy(logits: Any, target: Any) -> Tensor:
    """The share of answers that are right to the last character, given the right characters before each.

    It is the share of those that are right when the network writes them alone, too: up to its first mistake it has
    written what is right.
    """
    right = logical_or(equal(argmax(logits, axis=1), target), equal(target, PADDING))
    return mean(astype(all(right, axis=1), float32))


def _task(settings: Seq2SeqSettings, folder: str | None) -> Task:
    problems = kind(settings.task, settings.digits or _DIGITS[settings.task])
    arguments: dict[str, Any] = {
        "vocabulary": len(ALPHABET),
        "width": settings.width,
        "heads": settings.heads,
        "layers": settings.layers,
        "dropout": settings.dropout,
        "padding": PADDING,
        "begin": BEGIN,
        "end": END,
    }
    model = Seq2Seq(**arguments)
    optimizer = Adam(model.parameters(), lr=settings.lr, betas=(0.9, 0.98))  # section 5.3 of the paper
    training = problems.training(UPDATES * settings.batch_size, settings.seed)
    validated, tested = problems.put_aside("validation", TESTED // 2), problems.put_aside("test", TESTED)
    updates = settings.epochs * UPDATES
    return Task(
        model=model,
        loss=nn.CrossEntropyLoss(ignore_index=PADDING),
        optimizer=optimizer,
        data=DataLoader(training, settings.batch_size, shuffle=True, seed=settings.seed),
        saved=Saved("Seq2Seq", arguments, {"alphabet": ALPHABET, "longest": problems.answer}),
        scheduler=OneCycleLR(optimizer, settings.lr, total_steps=updates, pct_start=_WARM_UP, cycle_momentum=False),
        validation=DataLoader(problems.dataset(validated), _BATCH),
        test=DataLoader(problems.dataset(tested), _BATCH),
        metrics=[exact_accuracy],
        clip_grad_norm=1.0,
        exhibits=partial(exhibits, problems, tested),
    )


def exhibits(problems: Kind, tested: Sequence[Problem], model: Seq2Seq, folder: Path) -> Mapping[str, float | str]:
    """How many answers are exact, all of them written greedily; a list of all; and where the decoder looked."""
    written = [decode(row) for row in model.greedy(problems.dataset(tested).arrays[0], problems.answer + 1)]
    right = [answer == problem.answer for problem, answer in zip(tested, written, strict=True)]
    lines = [
        f"{problem.question} → {answer}" + ("" if is_right else f"   wrong: {problem.answer}")
        for problem, answer, is_right in zip(tested, written, right, strict=True)
    ]
    with atomic_write(folder / "answers.txt") as file:
        file.write(("\n".join(lines) + "\n").encode())
    draw_attention(model, problems, tested[:_DRAWN]).save(folder / "attention.svg")
    return {"greedy_accuracy": float(np.mean(right)), "answers": "answers.txt", "attention": "attention.svg"}


def draw_attention(model: Seq2Seq, problems: Kind, shown: Sequence[Problem]) -> Svg:
    """For each problem, and each layer of the decoder, at which characters it looked for each that it wrote."""
    sources = problems.dataset(shown).arrays[0]
    written = model.greedy(sources, problems.answer + 1)
    begun = np.concatenate([np.full((len(written), 1), BEGIN), written[:, :-1]], axis=1)
    with no_grad():
        _, weights = model.decode(asarray(begun), model.encode(sources), need_weights=True)
    looked = np.stack([layer.numpy().mean(axis=1) for layer in weights], axis=1)  # (problems, layers, T, S)
    rows = [_maps(problem, decode(answer), one) for problem, answer, one in zip(shown, written, looked, strict=True)]
    return picture("Where the decoder looks, mean over the heads", rows)


def _maps(problem: Problem, answer: str, looked: Any) -> list[Panel]:
    """A map for each layer, of what it wrote by what it read."""
    question, rows = problem.question, [*answer, "end"]
    return [
        shades(
            f"{question} → {answer}" if number == 0 else f"layer {number + 1}",
            layer[: len(rows), : len(question)],
            words=f"Rows: what it writes, {answer} and the end. Columns: what it looks at, {question}.",
            rows=rows[: len(layer)],
            columns=list(question),
            cell=(20.0, 20.0),
            most=1.0,
        )
        for number, layer in enumerate(looked)
    ]


SEQ2SEQ = Recipe(
    "seq2seq",
    "a Transformer that reverses strings of digits, or adds numbers, as text: 2 minutes",
    Seq2SeqSettings(),
    _task,
)
