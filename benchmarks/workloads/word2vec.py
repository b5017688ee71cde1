"""Skip-gram with negative samples (Mikolov et al. 2013); its unit is a word of the text, as in gensim.

Choosing pairs and negatives is part of a step, and the same NumPy code for all but gensim, which does it by itself. A
step takes many pairs at once; gensim goes from pair to pair.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from workloads.base import Array, Batch, Draw, Training, Workload

WINDOW = 5  # the largest; words look 1 to 5 words far, so that 6 pairs come on a word on average
_TABLE = 1 << 18  # places that negatives are drawn from


@dataclass(frozen=True)
class Word2Vec(Workload):
    """``batch`` are the words of a step, a multiple of `WINDOW`."""

    vocabulary: int = 10_000
    width: int = 128
    negatives: int = 5
    text_length: int = 200_000

    @property
    def pairs(self) -> int:
        """How many a step has."""
        return self.batch * (WINDOW + 1)

    def weights(self) -> dict[str, Array]:
        draw = Draw()
        draw.normal("words.weight", (self.vocabulary, self.width), 0.2)
        draw.normal("others.weight", (self.vocabulary, self.width), 0.2)
        return draw.weights

    def data(self) -> Batch:
        return self.batches()()

    def batches(self) -> Callable[[], Batch]:
        """The words of the pairs, [pairs], and for each its neighbour and the negatives, [pairs, 1 + negatives].

        How far the words of a batch look is the same in all batches, as in `clearprop.data.NearWords`.
        """
        text = zipf_text(self.vocabulary, self.text_length)
        random, at = np.random.default_rng(5), -self.batch
        offsets = np.array([i for i in range(-WINDOW, WINDOW + 1) if i])
        word, offset = (abs(offsets) <= np.arange(self.batch)[:, None] % WINDOW + 1).nonzero()
        word += WINDOW
        near = word + offsets[offset]
        table = _negatives(self.vocabulary, self.text_length)

        def following() -> Batch:
            nonlocal at
            at = (at + self.batch) % (len(text) - self.batch - 2 * WINDOW)
            others = np.empty((self.pairs, 1 + self.negatives), np.int32)
            others[:, 0] = text[at + near]
            drawn = random.integers(0, _TABLE, (self.pairs, self.negatives), np.uint32)
            others[:, 1:] = table.take(drawn, mode="clip")  # which does not look whether they are in range
            return text[at + word], others

        return following

    def network(self, lib: Any) -> Any:
        nn = lib.nn

        class Network(nn.Module):
            def __init__(self, vocabulary: int, width: int) -> None:
                super().__init__()
                self.words = nn.Embedding(vocabulary, width)
                self.others = nn.Embedding(vocabulary, width)

            def forward(self, words: Any, others: Any) -> Any:
                return (self.others(others) * self.words(words)[:, None, :]).sum(-1)

        return Network(self.vocabulary, self.width)

    def module_loss(self, lib: Any, network: Any, *batch: Any) -> Any:
        return self._loss(lib.nn.functional.softplus, network(*batch))

    def loss(self, ops: Any, w: Any, *batch: Any) -> Any:
        words, others = batch
        fits = (ops.embedding(w, "others", others) * ops.embedding(w, "words", words)[:, None, :]).sum(-1)
        return self._loss(ops.softplus, fits)

    def _loss(self, softplus: Callable[[Any], Any], fits: Any) -> Any:
        """How well words and others fit, [pairs, 1 + negatives] -> the loss: neighbours shall, negatives shall not."""
        return (softplus(-fits[:, 0]).sum() + softplus(fits[:, 1:]).sum()) / self.pairs

    @property
    def flops(self) -> int:
        return 3 * 2 * self.pairs * (1 + self.negatives) * self.width

    @property
    def optimizer_bytes(self) -> int:
        touched = min(self.vocabulary, self.batch) + min(self.vocabulary, self.pairs * (1 + self.negatives))
        return 8 * touched * self.width


@cache
def zipf_text(vocabulary: int, length: int) -> Array:
    """So many words, int32, as often as in a language (Zipf's law); each occurs once at least."""
    random = np.random.default_rng(4)
    share = 1 / np.arange(1, vocabulary + 1)
    drawn = random.choice(vocabulary, length - vocabulary, p=share / share.sum())
    return random.permutation(np.concatenate([drawn, np.arange(vocabulary)])).astype(np.int32)


def _negatives(vocabulary: int, length: int) -> Array:
    """Words, as often as negatives are drawn: by the power 3/4 of how often they occur."""
    share = np.bincount(zipf_text(vocabulary, length), minlength=vocabulary) ** 0.75
    ends = np.cumsum(share / share.sum())
    return np.searchsorted(ends[:-1], (np.arange(_TABLE) + 0.5) / _TABLE).astype(np.int32)


_ABSENT = {"tinygrad": "it finds a row by comparing its number with all others, which takes minutes a step"}

WORD2VEC = Word2Vec("word2vec", "word2vec", 1000, Training(lr=50.0), _ABSENT, units=(1000, "word"))
