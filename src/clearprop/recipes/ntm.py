"""The copy task of the Neural Turing Machine: read vectors of 8 random bits up to a mark, then write them all again.

Trained on sequences of 1 to 20 vectors; what it has learned is an algorithm if it copies longer ones too (Graves et al.
2014, section 4.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from clearprop.array import asarray, astype, divide, greater_equal, logical_and, maximum, not_equal, sum, where
from clearprop.autodiff import no_grad
from clearprop.data import DataLoader
from clearprop.dtypes import float32
from clearprop.functional import binary_cross_entropy_with_logits, sigmoid
from clearprop.lens.drawing.saving import Svg
from clearprop.models import NTM
from clearprop.models.saving import Saved
from clearprop.optim import Adam
from clearprop.optim.lr_scheduler import CosineAnnealingLR
from clearprop.recipes.recipe import Recipe, Task
from clearprop.recipes.settings import BatchSize, Epochs, LearningRate, Option, Settings
from clearprop.recipes.tasks import Drawn, Example
from clearprop.tensor import Tensor
from clearprop.train.drawing.maps import shades
from clearprop.train.drawing.plots import picture

BITS = 8
LENGTHS = (10, 20, 30, 40, 60)
"""Of the sequences that the trained network is tested with."""
UPDATES = 400  # in an epoch
_TESTED = 128
_NOT_ASKED = -1.0  # a target while the network still reads
_BIT, _STEP = (9.0, 9.0), (9.0, 3.0)  # width and height in the picture


@dataclass(frozen=True)
class NTMSettings(Settings):
    """The learning rate falls along half a cosine; an epoch is 400 updates."""

    epochs: Epochs = 15
    batch_size: BatchSize = 32
    lr: LearningRate = 1e-3
    controller: Annotated[str, Option("what moves the heads", choices=("lstm", "feedforward"))] = "lstm"
    hidden: Annotated[int, Option("units of the controller", least=1)] = 100
    locations: Annotated[int, Option("of the memory", least=3)] = 128
    width: Annotated[int, Option("numbers at each location", least=1)] = 20
    heads: Annotated[int, Option("that read, and as many that write", least=1)] = 1
    longest: Annotated[int, Option("vectors in the longest sequence to train with", least=1)] = 20


def copying(shortest: int, longest: int, random: np.random.Generator) -> Example:
    """A sequence, and what is to come out: (2 longest + 1, 9) and (2 longest + 1, 8), float32.

    The ninth number of the input is the mark. Where nothing is asked for, the target is -1.

    >>> inputs, targets = copying(2, 2, np.random.default_rng(0))
    >>> [int(bits.sum()) for bits in inputs[2:]], bool((targets[3:] == inputs[:2, :8]).all()), float(targets[2, 0])
    ([1, 0, 0], True, -1.0)
    """
    length = int(random.integers(shortest, longest + 1))
    bits = random.integers(0, 2, (length, BITS))
    inputs = np.zeros((2 * longest + 1, BITS + 1), np.float32)
    targets = np.full((2 * longest + 1, BITS), _NOT_ASKED, np.float32)
    inputs[:length, :BITS], inputs[length, BITS] = bits, 1.0
    targets[length + 1 : 2 * length + 1] = bits
    return inputs, targets


def bits_asked(target: Any) -> Tensor:
    """Where a target asks for a bit."""
    return greater_equal(target, 0.0)


def bit_loss(logits: Any, target: Any) -> Tensor:
    """The mean cross-entropy of the bits that are asked for."""
    asked = bits_asked(target)
    losses = binary_cross_entropy_with_logits(logits, maximum(target, 0.0), reduction="none")
    return divide(sum(where(asked, losses, 0.0)), sum(astype(asked, float32)))


def wrong_bits(logits: Any, target: Any) -> Tensor:
    """How many of the bits that are asked for are wrong, per sequence."""
    wrong = logical_and(bits_asked(target), not_equal(greater_equal(logits, 0.0), greater_equal(target, 0.5)))
    return divide(sum(astype(wrong, float32)), logits.shape[0])


def _task(settings: NTMSettings, folder: str | None) -> Task:
    arguments: dict[str, Any] = {
        "inputs": BITS + 1,
        "outputs": BITS,
        "locations": settings.locations,
        "width": settings.width,
        "hidden": settings.hidden,
        "heads": settings.heads,
        "controller": settings.controller,
    }
    model = NTM(**arguments)
    optimizer = Adam(model.parameters(), lr=settings.lr)
    training = Drawn(partial(copying, 1, settings.longest), UPDATES * settings.batch_size, settings.seed)
    return Task(
        model=model,
        loss=bit_loss,
        optimizer=optimizer,
        data=DataLoader(training, settings.batch_size, shuffle=True, seed=settings.seed),
        saved=Saved("NTM", arguments),
        scheduler=CosineAnnealingLR(optimizer, T_max=settings.epochs * UPDATES),
        validation=DataLoader(of_length(settings.longest), _TESTED),
        test=DataLoader(of_length(2 * settings.longest), _TESTED),
        metrics=[wrong_bits],
        clip_grad_norm=0.5,
        exhibits=exhibits,
    )


def of_length(length: int) -> Drawn:
    """Sequences of one length, which are not trained with."""
    return Drawn(partial(copying, length, length), _TESTED, seed=2**62 + length)


def exhibits(model: Any, folder: Path) -> Mapping[str, float | str]:
    """How many bits are wrong at several lengths, and a picture, as figures 4 and 6 of the paper."""
    found: dict[str, float | str] = {}
    for length in LENGTHS:
        inputs, targets = of_length(length).examples_at(np.arange(_TESTED))
        with no_grad():
            found[f"wrong_bits_at_{length}"] = wrong_bits(model(asarray(inputs)), targets).item()
    draw_copies(model).save(folder / "copies.svg")
    return found | {"copies": "copies.svg"}


def draw_copies(model: NTM) -> Svg:
    """What comes out beside what should, for several lengths; and where the heads were while one was copied."""
    rows = []
    for length in LENGTHS[:-1]:
        inputs, targets = of_length(length).examples_at(np.arange(1))
        with no_grad():
            logits, looked = model(asarray(inputs), need_weights=True)
        wanted, out = targets[0, length + 1 :].T, sigmoid(logits)[0, length + 1 :].numpy().T
        said = f"{int(((out >= 0.5) != (wanted >= 0.5)).sum())} of {wanted.size} bits wrong"
        rows.append(
            [
                shades(f"{length} vectors: targets", wanted, words="A column for each vector.", cell=_BIT, most=1.0),
                shades(f"outputs: {said}", out, words=said, cell=_BIT, most=1.0),
            ]
        )
        if length == LENGTHS[1]:
            heads = [
                shades(f"where it {did}", looked[0, :, head].numpy().T, words="A column for each step.", cell=_STEP)
                for did, head in (("wrote", model.heads), ("read", 0))
            ]
    return picture("Copies by a Neural Turing Machine, and the locations of its heads", [*rows, heads])


NTM_COPY = Recipe(
    "ntm",
    "a Neural Turing Machine that learns to copy, and copies what is longer than all it has seen: 3 minutes",
    NTMSettings(),
    _task,
)
