"""Classifiers of images: what a network must be told beside its weights, so that it can be asked about pictures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np

from clearprop.array import asarray
from clearprop.autodiff import no_grad
from clearprop.errors import DataError, FileError
from clearprop.functional import softmax
from clearprop.models.saving import Saved
from clearprop.nn import Module

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

_KEY = "image_classifier"
_BATCH = 500


@dataclass(frozen=True)
class ImageClassifier:
    """What images a network takes, and what its outputs mean.

    Args:
        class_names: one for each output of the network.
        channels: 1 for brightness, 3 for red, green and blue.
        height, width: of the images, in pixels.
        white: the brightest value in the files of such images; the network sees brightness / white, from 0 to 1.
        dataset: what it was trained on.

    >>> import tempfile
    >>> classifier = ImageClassifier(tuple("0123456789"), 1, 8, 8, white=16)
    >>> saved = classifier.saved("image_mlp", {"image": [1, 8, 8], "hidden": [16], "outputs": 10})
    >>> path = tempfile.mkdtemp() + "/weights.safetensors"
    >>> saved.save(path, saved.build())
    >>> same, model = ImageClassifier.load(path)
    >>> same == classifier, same.probabilities(model, np.zeros((2, 1, 8, 8), np.float32)).shape
    (True, (2, 10))
    """

    class_names: tuple[str, ...]
    channels: int
    height: int
    width: int
    white: float
    dataset: str = ""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of an image: (channels, height, width)."""
        return self.channels, self.height, self.width

    def saved(self, builder: str, arguments: dict[str, Any]) -> Saved:
        """How a network for such images is saved; for the arguments see `Saved`."""
        return Saved(builder, arguments, {_KEY: asdict(self)})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> tuple[ImageClassifier, Module]:
        """A classifier and its network, in evaluation mode.

        Raises:
            FileError: there is no such file, it is damaged, or it is something else.
        """
        saved, model = Saved.load(path)
        if _KEY not in saved.extra:
            raise FileError(
                f"{path} holds a {type(model).__name__}, which is no classifier of images",
                hint="a run of an image recipe, such as clearprop train digits",
            )
        try:
            record = saved.extra[_KEY]
            return cls(**{**record, "class_names": tuple(record["class_names"])}), model
        except (TypeError, KeyError) as error:
            raise FileError(
                f"{path} does not say what images it takes: {error}", hint="pip install -U clearprop"
            ) from error

    def probabilities(self, model: Module, images: Array) -> Array:
        """What the network makes of images: for each the probabilities of the classes.

        Args:
            model: the network, in evaluation mode.
            images: brightness from 0 to 1, of shape (N, channels, height, width).

        Returns:
            float32 of shape (N, classes).

        Raises:
            DataError: the images have another shape.
        """
        if images.shape[1:] != self.shape:
            raise DataError(
                f"the images have shape {images.shape[1:]}; the network takes {self.shape}: channels, height, width",
                hint=f"resize them to {self.height} × {self.width}",
            )
        batches = [images[start : start + _BATCH] for start in range(0, len(images), _BATCH)]
        with no_grad():
            parts = [softmax(model(asarray(batch.astype(np.float32)))).numpy() for batch in batches]
        return np.concatenate([np.empty((0, len(self.class_names)), np.float32), *parts])

    def names(self, labels: Sequence[int]) -> list[str]:
        """The names of classes by their numbers."""
        return [self.class_names[label] for label in labels]
