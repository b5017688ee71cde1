"""word2vec: vectors for words, so that words which occur in the same company have similar ones.

T. Mikolov, I. Sutskever, K. Chen, G. Corrado, J. Dean, "Distributed representations of words and phrases and their
compositionality", 2013 (skip-gram with negative samples), and T. Mikolov, K. Chen, G. Corrado, J. Dean, "Efficient
estimation of word representations in vector space", 2013 (both architectures). `data.NearWords` makes the batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, TypeAlias

import numpy as np

from clearprop import functional, nn
from clearprop.arguments import whole
from clearprop.array import divide, expand_dims, multiply, sum
from clearprop.array.promotion import ArrayLike
from clearprop.errors import DataError, ShapeError
from clearprop.tensor import Tensor, as_array, as_tensor

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Found: TypeAlias = list[tuple[str, float]]


class SkipGram(nn.Module):
    """From a word, each of those near it is predicted: v'ᵀ v says how well two fit (equation 2, before the softmax).

    Args:
        vocabulary: how many words there are.
        width: of their vectors.

    Attributes:
        words: v of each word, the vectors that are used afterwards.
        others: v', of the words that are predicted; zeros at first.

    >>> import clearprop as cp
    >>> SkipGram(100, 8)(cp.asarray([3, 4]), cp.asarray([[5, 6, 7], [8, 9, 10]])).shape
    (2, 3)
    """

    def __init__(self, vocabulary: int, width: int = 100) -> None:
        self.words, self.others = nn.Embedding(vocabulary, width), nn.Embedding(vocabulary, width)
        _draw(self.words, self.others)

    def forward(self, words: ArrayLike, others: ArrayLike) -> Tensor:
        """Whole numbers (P,) and (P, K) -> (P, K): how well each of the others fits its word."""
        return _fits(self.words(words), self.others(others))


class CBOW(nn.Module):
    """A word is predicted from the mean of those around it: the "continuous bag of words".

    Args, attributes: as of `SkipGram`.

    >>> import clearprop as cp
    >>> model = CBOW(100, 8)
    >>> model(cp.asarray([1, 2, 3, 4, 5, 6]), cp.asarray([0, 4]), cp.asarray([[5, 6, 7], [8, 9, 10]])).shape
    (2, 3)
    """

    def __init__(self, vocabulary: int, width: int = 100) -> None:
        self.words, self.others = nn.EmbeddingBag(vocabulary, width), nn.Embedding(vocabulary, width)
        _draw(self.words, self.others)

    def forward(self, context: ArrayLike, starts: ArrayLike, others: ArrayLike) -> Tensor:
        """Whole numbers (C,), (P,) and (P, K) -> (P, K): how well each of the others fits its context."""
        return _fits(self.words(context, starts), self.others(others))


def negative_sampling(scores: ArrayLike, labels: ArrayLike) -> Tensor:
    """- log σ(s) for each right word and - log σ(-s) for each other one: equation 4, the mean over the predictions.

    Args:
        scores: how well words fit, (P, K).
        labels: 1 for the right words, 0 for the others, (P, K).

    >>> import clearprop as cp
    >>> round(negative_sampling(cp.zeros((2, 6)), cp.asarray([[1.0, 0, 0, 0, 0, 0]] * 2)).item(), 4)  # 6 ln 2
    4.1589
    """
    s = as_tensor(scores)
    if s.ndim != 2 or s.shape != as_tensor(labels).shape:
        raise ShapeError(
            f"negative_sampling: scores have shape {s.shape}, labels {as_tensor(labels).shape}; both are (P, K)"
        )
    total = functional.binary_cross_entropy_with_logits(s, labels, reduction="sum")
    return divide(total, float(s.shape[0]))


class WordVectors:
    """Words with their vectors, to be asked.

    Args:
        words: each once.
        vectors: a row for each, (words, width).

    Attributes:
        words: the same.
        directions: the vectors, of length 1.

    Raises:
        ShapeError: there are not as many rows as words.

    >>> vectors = WordVectors(["king", "queen", "man"], [[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    >>> [word for word, _ in vectors.neighbours("king")]
    ['queen', 'man']
    >>> vectors.neighbours("kin")
    Traceback (most recent call last):
    clearprop.errors.DataError: 'kin' is none of the 3 words that have a vector
    Try: one of them, such as 'king'
    """

    def __init__(self, words: Sequence[str], vectors: Any) -> None:
        rows = as_array(vectors)
        if rows.ndim != 2 or len(rows) != len(words):
            raise ShapeError(
                f"WordVectors: {len(words)} words and vectors of shape {rows.shape}", hint="a row for each"
            )
        self.words = tuple(words)
        self.directions = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(rows.dtype).tiny)
        self._places = {word: place for place, word in enumerate(self.words)}

    def vector(self, word: str) -> Array:
        """The direction of a word, (width,); DataError if it has none."""
        if word not in self._places:
            near = get_close_matches(word, self.words, n=1, cutoff=0.0)
            raise DataError(
                f"{word!r} is none of the {len(self.words)} words that have a vector"[:200],
                hint=f"one of them, such as {near[0]!r}" if near else "",
            )
        return self.directions[self._places[word]]

    def neighbours(self, word: str, count: int = 10) -> Found:
        """The words most like one, with the cosines of the angles between them, most alike first."""
        return self._nearest(self.vector(word), count, {word})

    def analogy(self, first: str, second: str, third: str, count: int = 5) -> Found:
        """What is to `third` as `second` is to `first`: near second - first + third (Mikolov et al. 2013, 4).

        None of the three is an answer. With "man", "king", "woman" it should be "queen".
        """
        target = self.vector(second) - self.vector(first) + self.vector(third)
        length = float(np.linalg.norm(target))
        return self._nearest(target / length if length else target, count, {first, second, third})

    def _nearest(self, direction: Array, count: int, excluded: set[str]) -> Found:
        cosines = self.directions @ direction
        order = np.argsort(-cosines, kind="stable")[: whole("neighbours", "count", count) + len(excluded)]
        found = [(self.words[place], float(cosines[place])) for place in order]
        return [pair for pair in found if pair[0] not in excluded][:count]


def _fits(v: Tensor, others: Tensor) -> Tensor:
    """(P, width), (P, K, width) -> (P, K)."""
    return sum(multiply(others, expand_dims(v, 1)), axis=-1)


def _draw(words: Any, others: nn.Embedding) -> None:
    """As in the program that came with the paper: small vectors for words, zeros for what is predicted."""
    nn.init.uniform_(words.weight, -0.5 / words.embedding_dim, 0.5 / words.embedding_dim)
    nn.init.zeros_(others.weight)
