"""What the recipes of networks that write have in common: a text, character by character, and a sample of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clearprop import nn
from clearprop.data import CharTokenizer, DataLoader, TextDataset
from clearprop.files.atomic import atomic_write
from clearprop.models import sample
from clearprop.models.saving import Saved
from clearprop.optim import AdamW
from clearprop.optim.lr_scheduler import OneCycleLR
from clearprop.random import Generator
from clearprop.recipes.recipe import Task
from clearprop.recipes.settings import Settings, WeightDecay
from clearprop.recipes.texts import TextFile

SAMPLE = "sample.txt"
_BETAS = (0.9, 0.99)
_WARM_UP = 0.05  # the share of the updates in which the learning rate rises
_HELD_OUT = 40  # windows in a batch that is only measured with
_CHARACTERS, _TEMPERATURE = 1000, 0.8


@dataclass(frozen=True)
class WritingSettings(Settings):
    """What all of them are decided by."""

    weight_decay: WeightDecay = 0.0
    file: TextFile = ""


def writing_task(saved: Saved, texts: tuple[TextDataset, TextDataset], settings: WritingSettings) -> Task:
    """A network that learns to say which character comes next: AdamW, whose rate rises, and falls along half a cosine.

    Only matrices shrink by the weight decay. The end of the text is validation and test in one, as nothing is chosen by
    it; the loss is in nats per character. At last the network writes something, into ``sample.txt``.
    """
    model = saved.build()
    training, validation = texts
    size, seed = settings.batch_size, settings.seed
    loader = DataLoader(training, size, shuffle=True, drop_last=len(training) >= size, seed=seed)
    groups = [
        {"params": [p for p in model.parameters() if p.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = AdamW([group for group in groups if group["params"]], lr=settings.lr, betas=_BETAS)
    updates = settings.epochs * len(loader)
    held_out = DataLoader(validation, _HELD_OUT)
    scheduler = OneCycleLR(optimizer, settings.lr, total_steps=updates, pct_start=_WARM_UP, cycle_momentum=False)

    def exhibit(trained: Any, folder: Path) -> Mapping[str, float | str]:
        start = training.tokenizer.encode(training.text[:1])
        written = sample(trained, start, _CHARACTERS, _TEMPERATURE, generator=Generator(seed))
        with atomic_write(folder / SAMPLE) as file:
            file.write((training.tokenizer.decode([*start, *written]) + "\n").encode())
        return {"sample": SAMPLE}

    return Task(
        model=model,
        loss=nn.CrossEntropyLoss(),
        optimizer=optimizer,
        data=loader,
        saved=saved,
        scheduler=scheduler,
        validation=held_out,
        test=held_out,
        clip_grad_norm=1.0,
        exhibits=exhibit,
    )


def characters_of(text: TextDataset) -> dict[str, str]:
    """What those who use the network must know of its tokens."""
    assert isinstance(text.tokenizer, CharTokenizer)
    return {"characters": "".join(text.tokenizer.characters)}
