"""Tables of vectors, and bags of their rows."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from tests.reference.modules.cases import ModuleCase, numbers, of_function, whole

TABLE = {"num_embeddings": 6, "embedding_dim": 3}
WORDS = np.array([[1, 4, 4, 0], [5, 2, 4, 1]])
ROW = np.array([1, 4, 4, 0, 5, 2, 4])
OFFSETS = np.array([0, 2, 2, 5])  # the second bag is empty


def embeddings() -> list[ModuleCase]:
    """Rows at positions of any shape."""
    return [
        ModuleCase("Embedding", TABLE, (WORDS,)),
        ModuleCase("Embedding", TABLE, (np.array(3),)),
        ModuleCase("Embedding", {**TABLE, "padding_idx": 4}, (WORDS,), steps=2),
        ModuleCase("Embedding", {**TABLE, "padding_idx": -1}, (WORDS,)),
        ModuleCase("Embedding", {**TABLE, "scale_grad_by_freq": True}, (WORDS,)),
        ModuleCase("Embedding", {**TABLE, "max_norm": 0.6}, (WORDS,)),
        ModuleCase("Embedding", {**TABLE, "max_norm": 0.7, "norm_type": 1.0, "padding_idx": 0}, (WORDS,), steps=2),
        ModuleCase("tied", inputs=(WORDS,), make=tied, torch_call=torchs_tied),
    ]


def tied(nn: Any) -> Any:
    """A language model with one matrix for its first and its last layer."""

    class Model(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Embedding(6, 3)
            self.hidden = nn.Linear(3, 3)

        def forward(self, x: Any) -> Any:
            return self.words.as_linear(self.hidden(self.words(x)))

    return Model()


def torchs_tied(model: Any, x: Any) -> Any:
    """The same where there is no ``as_linear``."""
    return model.hidden(model.words(x)) @ model.words.weight.T


def bags() -> list[ModuleCase]:
    """In rows and one after the other, with every mode."""
    cases = []
    for mode, padding in itertools.product(("sum", "mean", "max"), (None, 4, 2)):
        arguments = {**TABLE, "mode": mode, "padding_idx": padding}
        cases.append(ModuleCase("EmbeddingBag", arguments, (WORDS,)))
        cases.append(ModuleCase("EmbeddingBag", arguments, (ROW, OFFSETS)))
    last = {**TABLE, "mode": "sum", "include_last_offset": True}
    cases.append(ModuleCase("EmbeddingBag", last, (ROW, np.array([0, 3, 7]))))
    for inputs in ((WORDS, None, numbers(2, 4)), (ROW, OFFSETS, numbers(7))):
        cases.append(ModuleCase("EmbeddingBag", {**TABLE, "mode": "sum"}, inputs))
        cases.append(ModuleCase("EmbeddingBag", {**TABLE, "mode": "sum", "padding_idx": 4}, inputs))
    # All words equally often: torch 2.13 divides the gradient of a word by how often some other word occurs.
    cases.append(ModuleCase("EmbeddingBag", {**TABLE, "scale_grad_by_freq": True}, (np.array([[1, 4], [4, 1]]),)))
    cases.append(ModuleCase("EmbeddingBag", {**TABLE, "max_norm": 0.5}, (whole(3, 2, high=6),)))
    return cases


CASES = [
    *embeddings(),
    *bags(),
    of_function("one_hot", (WORDS,)),
    of_function("one_hot", (ROW,), num_classes=8),
]
