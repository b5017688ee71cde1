"""What ``clearprop train`` can train, and how well-tried settings for each look."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from clearprop.data import ArrayDataset, digits, mnist
from clearprop.data.datasets import Split
from clearprop.errors import UsageError
from clearprop.models import ImageClassifier
from clearprop.nn import Module
from clearprop.optim import SGD, Adam, AdamW, Optimizer

OPTIMIZERS = ("adamw", "adam", "sgd")
DIGITS = tuple("0123456789")


@dataclass(frozen=True)
class Settings:
    """All that decides what a run computes; the configuration in its record.

    Args:
        dataset: what to train on.
        epochs: how many; the learning rate falls along half a cosine over all of them.
        batch_size: examples in a batch.
        lr: the highest learning rate.
        hidden: the widths of the hidden layers.
        dropout: the share of hidden units left out in each step.
        shift: how many pixels each image is moved at random, at most.
        optimizer: one of `OPTIMIZERS`.
        weight_decay: of the optimizer.
        patience: epochs without progress after which to stop; 0 to train all of them.
        validation: the share of the training examples that is validated with.
        compile: make each step one native function; the last bits of the weights depend on it.
        seed: of everything random.
    """

    dataset: str
    epochs: int
    batch_size: int
    lr: float
    hidden: tuple[int, ...]
    dropout: float
    shift: int
    optimizer: str = "adamw"
    weight_decay: float = 0.01
    patience: int = 0
    validation: float = 0.1
    compile: bool = True
    seed: int = 0

    def to_config(self) -> dict[str, Any]:
        """The settings as a record of the run keeps them."""
        return asdict(self) | {"hidden": list(self.hidden)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Settings:
        """The settings that a record keeps; UsageError if it is not a record of ``clearprop train``."""
        try:
            settings = cls(**{field.name: config[field.name] for field in fields(cls)})
            return replace(settings, hidden=tuple(settings.hidden))
        except (KeyError, TypeError) as error:
            raise UsageError(
                "this checkpoint is of a run that was not begun with clearprop train",
                hint="train.fit(..., resume=...) in the program that began it",
            ) from error


@dataclass(frozen=True)
class Recipe:
    """A data set with well-tried settings.

    Args:
        about: what it is, in a few words.
        load: gives one of its parts, "train" or "test", from the folder that the user has named, if any.
        height, width, white: see `ImageClassifier`.
        settings: the defaults.
    """

    about: str
    load: Callable[[Split, str | None], ArrayDataset]
    height: int
    width: int
    white: float
    settings: Settings

    def classifier(self, settings: Settings) -> ImageClassifier:
        """The description of the network for such settings."""
        arguments = {
            "image": [1, self.height, self.width],
            "hidden": list(settings.hidden),
            "outputs": len(DIGITS),
            "dropout": settings.dropout,
            "shift": settings.shift,
        }
        return ImageClassifier("image_mlp", arguments, DIGITS, self.height, self.width, self.white, settings.dataset)


RECIPES: Mapping[str, Recipe] = {
    "digits": Recipe(
        about="1,797 handwritten digits of 8×8 pixels, which come with clearprop: a few seconds",
        load=lambda part, folder: digits(part),
        height=8,
        width=8,
        white=16.0,
        settings=Settings("digits", 40, 64, 0.004, (256, 128), 0.3, 0),
    ),
    "mnist": Recipe(
        about="70,000 handwritten digits of 28×28 pixels, downloaded once: half a minute",
        load=lambda part, folder: mnist(part, folder=folder),
        height=28,
        width=28,
        white=255.0,
        settings=Settings("mnist", 12, 256, 0.003, (256, 128), 0.1, 1, validation=1 / 12),
    ),
}


def make_optimizer(settings: Settings, model: Module) -> Optimizer:
    """The optimizer that the settings name."""
    parameters, lr, decay = model.parameters(), settings.lr, settings.weight_decay
    if settings.optimizer == "sgd":
        return SGD(parameters, lr=lr, momentum=0.9, weight_decay=decay)
    return (AdamW if settings.optimizer == "adamw" else Adam)(parameters, lr=lr, weight_decay=decay)
