"""A task of real text: windows of Shakespeare in which one word decides, and where it stands is known.

The speeches are taken without the names of the speakers, as words in small letters. A window is 100 words of which
exactly one is in `LIGHT` or in `DARK`, and that is its class. All else in a window is Shakespeare's, and says nothing,
or little. There are as many windows of either class, and of each range of distances of that word from the end.
The text is cut into 25 parts, of which every fifth is to test with, and of the others three to validate with; no window
reaches over a border.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from clearprop.data import ArrayDataset
from clearprop.errors import DataError

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

LIGHT = frozenset((
    "love", "sweet", "joy", "happy", "gentle", "hope", "comfort", "delight", "bliss", "beauty", "smile",
    "smiles", "glad", "merry", "lovely", "happiness", "mirth", "joyful", "beloved", "loving", "rejoice",
))  # fmt: skip
DARK = frozenset((
    "hate", "death", "grief", "sorrow", "woe", "tears", "blood", "cruel", "weep", "murder", "hell", "curse",
    "revenge", "rage", "misery", "despair", "shame", "slain", "dead",
))  # fmt: skip
CLASSES = ("dark", "light")
LENGTH = 100
"""Words in a window."""
RANGES = 10
"""Of distances: each is a tenth of a window."""
_PARTS = tuple("test" if n % 5 == 4 else "validation" if n % 10 == 2 else "train" for n in range(25))
_UNKNOWN = "<rare>"


class Windows(NamedTuple):
    """Windows, their classes, and how far from the end the word is that decides: 0 if it is the last.

    Attributes:
        words: int64 (N, LENGTH).
        classes: int64 (N,).
        distances: int64 (N,).
        starts: int64 (N,), where in the text a window begins.
    """

    words: Array
    classes: Array
    distances: Array
    starts: Array

    @property
    def ranges(self) -> Array:
        """In which of the `RANGES` each distance is, from 0, the nearest."""
        return self.distances * RANGES // LENGTH

    def dataset(self) -> ArrayDataset:
        """Words and classes."""
        return ArrayDataset(self.words, self.classes)


class Cues:
    """A text and its windows.

    Args:
        play: the text, as a play is written.
        vocabulary: how many words are known, the commonest, beside those that decide; others are one and the same.

    Attributes:
        text: all words of the speeches.
        words: the known words by their numbers; number 0 stands for all others.
    """

    def __init__(self, play: str, vocabulary: int = 2000) -> None:
        self.text = text = spoken(play)
        counted = Counter(text)
        common = [word for word, _ in counted.most_common() if word not in LIGHT | DARK][:vocabulary]
        self.words = (_UNKNOWN, *sorted(LIGHT | DARK), *common)
        numbers = {word: number for number, word in enumerate(self.words)}
        self._tokens = np.array([numbers.get(word, 0) for word in text])
        self._class = np.array([1 if word in LIGHT else 0 if word in DARK else -1 for word in text])

    def windows(self, part: str, each: int, seed: int) -> Windows:
        """As many windows of each class, with the word in each of ten ranges of distances.

        Args:
            part: "train", "validation" or "test".
            each: windows of each class and range, drawn from those that there are; some may be drawn twice.
            seed: of the drawing.

        Raises:
            DataError: there are no such windows.
        """
        starts, places = np.array(list(self._places(part)), np.int64).reshape(-1, 2).T
        words = self._tokens[starts[:, None] + np.arange(LENGTH)]
        all = Windows(words, self._class[places], starts + LENGTH - 1 - places, starts)
        random = np.random.Generator(np.random.Philox(key=[seed, _PARTS.index(part)]))
        groups = [np.flatnonzero((all.classes == c) & (all.ranges == r)) for c in range(2) for r in range(RANGES)]
        if not min(map(len, groups)):
            raise DataError(
                f"the text has too few windows of {LENGTH} words with one word that decides, to {part} with",
                hint="a longer text, in English",
            )
        chosen = np.concatenate([random.choice(group, each) for group in groups])
        return Windows(*(column[chosen] for column in all))

    def read(self, words: Array) -> str:
        """A window as the network reads it."""
        return " ".join(self.words[word] for word in words)

    def _places(self, part: str) -> Iterator[tuple[int, int]]:
        """Where windows with one such word begin, and where the word is."""
        borders = np.linspace(0, len(self._tokens), len(_PARTS) + 1).astype(int)
        for of, low, high in zip(_PARTS, borders[:-1], borders[1:], strict=True):
            if of != part:
                continue
            places = [low - 1, *(low + np.flatnonzero(self._class[low:high] >= 0)), high]
            for before, place, after in zip(places, places[1:], places[2:], strict=False):
                for start in range(max(before + 1, place - LENGTH + 1), min(place, after - LENGTH) + 1):
                    yield start, int(place)


def spoken(play: str) -> list[str]:
    r"""The words that are said in a play, in small letters, without punctuation and the names of the speakers.

    >>> spoken("ROMEO:\nIs the day so young?\n")
    ['is', 'the', 'day', 'so', 'young']
    """
    return re.findall(r"[a-z]+(?:'[a-z]+)*", speeches(play).lower())


def speeches(play: str) -> str:
    """A play without the lines that say who speaks: those that end in a colon, in front of a speech."""
    return re.sub(r"^[^\n]{1,40}:$\n", "", play, flags=re.MULTILINE)
