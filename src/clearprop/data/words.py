"""Words and those near them, for models that learn what a word means from the company it keeps.

T. Mikolov, I. Sutskever, K. Chen, G. Corrado, J. Dean, "Distributed representations of words and phrases and their
compositionality", 2013. `WordText` is a text as numbers of words; `NearWords` hands out, batch after batch, words with
those around them, and with others that are drawn at random.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from clearprop.arguments import number, one_of, whole
from clearprop.data.batches import Array
from clearprop.data.order import checked_seed
from clearprop.errors import DataError, UsageError
from clearprop.tensor import Tensor

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_PLACES_OF_A_WORD = 64  # in the table that others are drawn from, on average: a power of two
_AT_ONCE = 8
"""Batches are drawn together."""
_CHOICES = 1  # block of the generator for the words that are left out; those of the batches follow


class WordText:
    """The words of a text, in small letters, as numbers: the most frequent word is 0.

    Args:
        text: it.
        min_count: words that occur more rarely are left out, as if they were not there.

    Attributes:
        words: the vocabulary, by number.
        counts: how often each occurs, int64 (vocabulary,).
        tokens: the text, int32 (words,).

    Raises:
        DataError: fewer than two words are left.

    >>> text = WordText("To be, or not to be: that is the question. Don't ask!", min_count=2)
    >>> text.words, text.counts.tolist(), text.tokens.tolist()
    (('be', 'to'), [2, 2], [1, 0, 1, 0])
    """

    def __init__(self, text: str, min_count: int = 5) -> None:
        found = _WORD.findall(text.lower())
        least = whole("WordText", "min_count", min_count)
        kept = sorted((-count, word) for word, count in Counter(found).items() if count >= least)
        if len(kept) < 2:
            raise DataError(
                f"WordText: of {len(found)} words of the text {len(kept)} occur {least} times or more",
                hint="a longer text, or min_count=1",
            )
        self.words = tuple(word for _, word in kept)
        self.counts = np.array([-count for count, _ in kept])
        numbers = {word: number for number, word in enumerate(self.words)}
        self.tokens = np.array([numbers[word] for word in found if word in numbers], np.int32)

    @property
    def arrays(self) -> tuple[Array]:
        """The text."""
        return (self.tokens,)

    def __len__(self) -> int:
        return len(self.tokens)

    def __repr__(self) -> str:
        return f"WordText({len(self.tokens):,} words, {len(self.words):,} different ones)"


class NearWords:
    """Batches of words, of words near them, and of others; each loop over it goes through the text once.

    In every epoch frequent words are left out at random, so that rare ones come closer to each other (the paper,
    section 2.3, equation 5); each word that is left looks around as far as it draws, from 1 to `window` words on both
    sides, so near words count more (T. Mikolov et al., "Efficient estimation of word representations in vector space",
    2013, section 3.2). The text is taken as a ring: behind its last word comes the first.

    A batch is a tuple, with P the number of predictions, and others of shape (P, 1 + negatives): the right word, and
    words drawn as often as they occur, to the power 3/4 (section 2.2).

    "skip-gram": words (P,), others, labels; from a word each one near it is predicted, P = batch_size (window + 1).
    "cbow": context (C,), starts (P,), others, labels; a word is predicted from those around it, which stand one behind
    the other from starts[i] on; P = batch_size, C = batch_size (window + 1).

    labels are 1 for the right word and 0 for the others, float32 (P, 1 + negatives). Everything a batch draws depends
    on seed, epoch and the number of the batch alone: a run that is resumed gets the same batches.

    Args:
        dataset: the text.
        architecture: "skip-gram" or "cbow".
        batch_size: words of the text in a batch, a multiple of `window`: each distance is drawn equally often.
        window: how many words on each side are near, at most.
        negatives: words drawn beside each right one.
        subsample: of words that are more frequent than this share of the text some are left out; 0 for none.
        seed: of everything drawn.

    Attributes:
        epoch, position: as those of a `DataLoader`.

    Raises:
        UsageError: a setting out of its range.
        DataError: the text has fewer words than a batch.

    >>> text = WordText("to be or not to be that is the question " * 10, min_count=1)
    >>> words, others, labels = next(iter(NearWords(text, batch_size=20, window=2, negatives=3, subsample=0)))
    >>> words.shape, others.shape, labels[0].tolist()
    ((60,), (60, 4), [1.0, 0.0, 0.0, 0.0])
    """

    def __init__(
        self,
        dataset: WordText,
        architecture: str = "skip-gram",
        batch_size: int = 1000,
        window: int = 5,
        negatives: int = 5,
        subsample: float = 1e-3,
        seed: int = 0,
    ) -> None:
        for name, value in {"batch_size": batch_size, "window": window, "negatives": negatives}.items():
            whole("NearWords", name, value)
        if batch_size % window:
            raise UsageError(
                f"NearWords: batch_size={batch_size} is no multiple of window={window}",
                hint=f"batch_size={max(batch_size // window, 1) * window}",
            )
        self.dataset = dataset
        self.architecture = one_of("NearWords", "architecture", architecture, "skip-gram", "cbow")
        self.batch_size = batch_size
        self.window, self.negatives = window, negatives
        self.subsample = number("NearWords", "subsample", subsample, 0.0)
        self.seed = checked_seed("NearWords", seed)
        self.epoch = self.position = 0
        self._next_start = 0  # where the next loop begins: only after load_state_dict not at 0
        share = dataset.counts / len(dataset)
        self._kept = _share_kept(share, self.subsample)
        self._batches = int(dataset.counts @ self._kept) // batch_size
        if not self._batches:
            raise DataError(
                f"NearWords: of {len(dataset)} words some {int(dataset.counts @ self._kept)} are left after those are "
                f"left out that are too frequent; they make no batch of {batch_size}",
                hint="a longer text, smaller batches, or subsample=0",
            )
        self._table = _table(share**0.75)
        self._make_pattern()

    def _make_pattern(self) -> None:
        """What all batches have in common: how far the first, the second, … of its words looks around."""
        distances = np.arange(self.batch_size) % self.window + 1
        offsets = np.array([i for i in range(-self.window, self.window + 1) if i])
        self._word, offset = (abs(offsets) <= distances[:, None]).nonzero()  # (C,): who looks, and where
        self._offset = offsets[offset]
        self._starts = Tensor(np.cumsum(2 * distances) - 2 * distances)
        labels = np.zeros((self.predictions, 1 + self.negatives), np.float32)
        labels[:, 0] = 1.0
        self._labels = Tensor(labels)

    @property
    def predictions(self) -> int:
        """How many there are in a batch."""
        return self.batch_size * (self.window + 1 if self.architecture == "skip-gram" else 1)

    def __len__(self) -> int:
        """Batches in an epoch."""
        return self._batches

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        self.position, self._next_start = self._next_start, 0
        text = self._thinned()
        while self.position < len(self):
            block, first = divmod(self.position, _AT_ONCE)
            for batch in self._block(text, block)[first:]:
                self.position += 1  # before the batch is used: a checkpoint made while using it counts it as done
                yield batch
        self.epoch, self.position = self.epoch + 1, 0

    def state_dict(self) -> dict[str, int | float | str]:
        """Where the loader is, with what must be equal for it to be continued."""
        return {"epoch": self.epoch, "position": self.position, **self._identity()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where another loader of the same text was; DataError if it had other settings."""
        own = self._identity()
        for name in ({**own, **state}).keys() - {"epoch", "position"}:
            if state.get(name) != own.get(name):
                raise DataError(
                    f"NearWords: the saved state has {name} = {state.get(name)}, this loader has {own.get(name)}",
                    hint="a loader made like the one that was saved",
                )
        self.epoch = state["epoch"]
        self.position = self._next_start = state["position"]

    def _identity(self) -> dict[str, int | float | str]:
        names = ("architecture", "batch_size", "window", "negatives", "subsample", "seed")
        return {"words": len(self.dataset), **{name: getattr(self, name) for name in names}}

    def _draws(self, block: int) -> np.random.Philox:
        """Random numbers that NumPy guarantees to stay the same in all versions (NEP 19)."""
        key = np.array([self.seed % 2**64, self.epoch], np.uint64)
        return np.random.Philox(key=key, counter=np.array([0, 0, 0, block], np.uint64))

    def _thinned(self) -> Array:
        """What is left of the text in this epoch, with some words before and behind it for the windows."""
        tokens = self.dataset.tokens
        chance = (self._draws(_CHOICES).random_raw(len(tokens)) >> np.uint64(11)) * 2.0**-53
        left = np.resize(tokens[chance < self._kept[tokens]], len(self) * self.batch_size)
        return np.pad(left, self.window, mode="wrap")

    def _block(self, text: Array, number: int) -> list[tuple[Tensor, ...]]:
        """Some batches that follow each other: what is drawn for one costs hardly less than for all of them."""
        first = number * _AT_ONCE
        count = min(_AT_ONCE, len(self) - first)
        draws = self._draws(number + _CHOICES + 1)
        order = np.argsort(draws.random_raw(count * self.batch_size).reshape(count, self.batch_size))
        centres = order + (np.arange(first, first + count)[:, None] * self.batch_size + self.window)
        looking = centres.take(self._word, axis=1)  # (count, C)
        near = text[looking + self._offset]
        others = np.empty((count, self.predictions, 1 + self.negatives), np.int32)
        others[..., 1:] = self._drawn(draws, (count, self.predictions, self.negatives))
        if self.architecture == "skip-gram":
            others[..., 0] = near
            words = text[looking]
            return [(Tensor(words[i]), Tensor(others[i]), self._labels) for i in range(count)]
        others[..., 0] = text[centres]
        return [(Tensor(near[i]), self._starts, Tensor(others[i]), self._labels) for i in range(count)]

    def _drawn(self, draws: np.random.Philox, shape: tuple[int, ...]) -> Array:
        """Words, as often as their share of the table says."""
        count = math.prod(shape)
        places = draws.random_raw(-(-count // 2)).view(np.uint32)[:count] & np.uint32(len(self._table) - 1)
        return self._table[places].reshape(shape)


def _share_kept(share: Array, subsample: float) -> Array:
    """How many of each word are left: √(t / f), as in the paper, plus t / f, as in the program that came with it."""
    if not subsample:
        return np.ones_like(share)
    return np.minimum(np.sqrt(subsample / share) + subsample / share, 1.0)


def _table(weight: Array) -> Array:
    """So many places for each word, int32; in all a power of two."""
    places = 1 << (len(weight) * _PLACES_OF_A_WORD - 1).bit_length()
    ends = np.cumsum(weight / weight.sum())
    return np.searchsorted(ends[:-1], (np.arange(places) + 0.5) / places).astype(np.int32)
