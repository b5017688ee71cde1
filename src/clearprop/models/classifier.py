"""A classifier of images in one file: the weights, and in the metadata all that using them needs.

The file is an ordinary safetensors file. Its metadata say how to build the network again (the name of a function of
this package and its arguments, so that loading a file never runs code of whoever wrote it), the names of the classes,
and what images it takes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np

from clearprop.array import asarray
from clearprop.autodiff import no_grad
from clearprop.errors import ClearpropError, DataError, FileError
from clearprop.files.tensors import load_with_metadata, save
from clearprop.functional import softmax
from clearprop.models.mlp import image_mlp
from clearprop.nn import Module

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

_KEY = "clearprop.image_classifier"
_BUILDERS: Mapping[str, Callable[..., Module]] = {"image_mlp": image_mlp}
_BATCH = 1000


@dataclass(frozen=True)
class ImageClassifier:
    """A network that tells what is on an image, with all that is needed to ask it.

    Args:
        architecture: the name of the function in this package that builds the network, such as ``"image_mlp"``.
        arguments: its arguments, which JSON can say.
        class_names: one for each output of the network.
        height, width: of the images, in pixels, each a brightness.
        white: the brightest value in the files of such images; the network sees brightness / white, from 0 to 1.
        dataset: what it was trained on.

    >>> import tempfile
    >>> arguments = {"image": [1, 8, 8], "hidden": [16], "outputs": 10}
    >>> classifier = ImageClassifier("image_mlp", arguments, tuple("0123456789"), 8, 8, white=16)
    >>> path = tempfile.mkdtemp() + "/weights.safetensors"
    >>> classifier.save(path, classifier.build())
    >>> same, model = ImageClassifier.load(path)
    >>> same == classifier, same.probabilities(model, np.zeros((2, 8, 8), np.float32)).shape
    (True, (2, 10))
    """

    architecture: str
    arguments: dict[str, Any]
    class_names: tuple[str, ...]
    height: int
    width: int
    white: float
    dataset: str = ""

    def build(self) -> Module:
        """The network, with new weights."""
        return _BUILDERS[self.architecture](**self.arguments)

    def save(self, path: str | os.PathLike[str], model: Module) -> None:
        """Write the weights of the network, with this description; FileError if the file cannot be written."""
        save(path, model.state_dict(), metadata={_KEY: json.dumps(asdict(self))})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> tuple[ImageClassifier, Module]:
        """A classifier and its network, in evaluation mode.

        Raises:
            FileError: there is no such file, it is damaged, or it is something else.
        """
        weights, metadata = load_with_metadata(path)
        if _KEY not in metadata:
            raise FileError(
                f"{path} does not say what network its weights are of", hint="weights.safetensors of clearprop train"
            )
        try:
            record = json.loads(metadata[_KEY])
            classifier = cls(**{**record, "class_names": tuple(record["class_names"])})
            model = classifier.build()
            model.load_state_dict(weights)
        except (ClearpropError, ValueError, TypeError, KeyError) as error:
            reason = error.message if isinstance(error, ClearpropError) else f"{type(error).__name__}: {error}"
            raise FileError(
                f"{path}: its network cannot be built: {reason}", hint="pip install -U clearprop"
            ) from error
        return classifier, model.eval()

    def probabilities(self, model: Module, images: Array) -> Array:
        """What the network makes of images: for each the probabilities of the classes.

        Args:
            model: the network, in evaluation mode.
            images: brightness from 0 to 1, of shape (N, height, width).

        Returns:
            float32 of shape (N, classes).

        Raises:
            DataError: the images have another size.
        """
        if images.shape[1:] != (self.height, self.width):
            raise DataError(
                f"the images have shape {images.shape[1:]}; the network takes {self.height} × {self.width} pixels",
                hint=f"resize them to {self.height} × {self.width}",
            )
        batches = [images[start : start + _BATCH] for start in range(0, len(images), _BATCH)]
        with no_grad():
            parts = [softmax(model(asarray(self._as_input(batch)))).numpy() for batch in batches]
        return np.concatenate([np.empty((0, len(self.class_names)), np.float32), *parts])

    def names(self, labels: Sequence[int]) -> list[str]:
        """The names of classes by their numbers."""
        return [self.class_names[label] for label in labels]

    def _as_input(self, images: Array) -> Array:
        return np.ascontiguousarray(images, dtype=np.float32).reshape(len(images), 1, self.height, self.width)
