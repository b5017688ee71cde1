"""A network in one file: the weights, and in the metadata all that is needed to build it again and to use it.

The file is an ordinary safetensors file. Its metadata name a network of this package and its arguments.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from typing import Any

from clearprop.errors import ClearpropError, FileError, UsageError
from clearprop.files.tensors import load_with_metadata, save
from clearprop.models.builders import BUILDERS
from clearprop.nn import Module

_KEY = "clearprop.model"


@dataclass(frozen=True)
class Saved:
    """How a network is built, and what else those who use it must know.

    Args:
        builder: the name of the class or function of `clearprop.models` that builds it, such as ``"image_mlp"``.
        arguments: its arguments, which JSON can say.
        extra: anything else that JSON can say: names of classes, the vocabulary.

    >>> import tempfile
    >>> saved = Saved("mlp", {"inputs": 4, "hidden": [8], "outputs": 3}, {"class_names": ["a", "b", "c"]})
    >>> path = tempfile.mkdtemp() + "/weights.safetensors"
    >>> saved.save(path, saved.build())
    >>> same, model = Saved.load(path)
    >>> same == saved, model.output.weight.shape
    (True, (8, 3))
    """

    builder: str
    arguments: dict[str, Any]
    extra: dict[str, Any] = field(default_factory=dict)

    def build(self) -> Module:
        """The network, with new weights.

        Raises:
            UsageError: there is no such network.
        """
        if self.builder not in BUILDERS:
            raise UsageError(f"there is no network {self.builder!r}", hint="pip install -U clearprop")
        return BUILDERS[self.builder](**self.arguments)

    def save(self, path: str | os.PathLike[str], model: Module) -> None:
        """Write the weights of the network, with this description; FileError if the file cannot be written."""
        save(path, model.state_dict(), metadata={_KEY: json.dumps(asdict(self))})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> tuple[Saved, Module]:
        """The description in a file and its network, in evaluation mode.

        Raises:
            FileError: there is no such file, it is damaged, or it is something else.
        """
        weights, metadata = load_with_metadata(path)
        if _KEY not in metadata:
            raise FileError(
                f"{path} does not say what network its weights are of", hint="weights.safetensors of clearprop train"
            )
        try:
            saved = cls(**json.loads(metadata[_KEY]))
            model = saved.build()
            model.load_state_dict(weights)
        except (ClearpropError, ValueError, TypeError, KeyError) as error:
            reason = error.message if isinstance(error, ClearpropError) else f"{type(error).__name__}: {error}"
            raise FileError(
                f"{path}: its network cannot be built: {reason}", hint="pip install -U clearprop"
            ) from error
        return saved, model.eval()
