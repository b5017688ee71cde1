"""A task for taggers: text without punctuation, line breaks and capital letters, and what has to be put back where.

The speeches of a play, as small letters and single spaces. Each element has one of four tags: a letter is a
capital or not, and in front of a space there is a comma, a stop, or nothing.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from clearprop.data import ArrayDataset
from clearprop.errors import DataError
from clearprop.recipes.cues import speeches

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

ALPHABET = " abcdefghijklmnopqrstuvwxyz"
"""The elements by their numbers."""
TAGS = ("plain", "capital", "comma", "stop")
"""What is to be put back: a comma stands for a colon and a semicolon too, a stop for marks of question and wonder."""
_PLAIN, _CAPITAL, _COMMA, _STOP = range(4)
_MARKS = {_COMMA: ",", _STOP: "."}
_PARTS = {"train": (0.0, 0.9), "validation": (0.9, 0.95), "test": (0.95, 1.0)}


class Stripped(NamedTuple):
    """A text without what is to be put back, and that: both int64 (characters,)."""

    elements: Array
    tags: Array


def strip(text: str) -> Stripped:
    """Take out of a text what is to be put back. What else is no letter is left out, but for spaces.

    >>> stripped = strip("Good night, good night!  Parting is")
    >>> "".join(ALPHABET[element] for element in stripped.elements)
    'good night good night parting is'
    >>> [TAGS[tag] for tag in stripped.tags[[0, 1, 10, 21, 22]]]
    ['capital', 'plain', 'comma', 'stop', 'capital']
    """
    elements, tags = [], []
    for word, gap in re.findall(r"([a-zA-Z']+)([^a-zA-Z']*)", text):
        for letter in word.replace("'", ""):
            elements.append(ALPHABET.index(letter.lower()))
            tags.append(_CAPITAL if letter.isupper() else _PLAIN)
        elements.append(0)
        tags.append(_STOP if re.search(r"[.?!]", gap) else _COMMA if re.search(r"[,;:]", gap) else _PLAIN)
    return Stripped(np.array(elements[:-1], np.int64), np.array(tags[:-1], np.int64))


def restored(elements: Array, tags: Array) -> str:
    """The text of elements with what the tags say.

    >>> restored(*strip("Good night, good night! Parting is"))
    'Good night, good night. Parting is'
    """
    text = ""
    for element, tag in zip(elements.tolist(), tags.tolist(), strict=True):
        letter = ALPHABET[element]
        text += _MARKS.get(tag, "") + letter if element == 0 else letter.upper() if tag == _CAPITAL else letter
    return text


def restoring(play: str, part: str, length: int) -> ArrayDataset:
    """Windows of the speeches, one behind the other: elements and tags, both (N, length).

    Args:
        play: the text, as a play is written.
        part: "train", the first nine tenths of the text; "validation" or "test", half of the rest each.
        length: of a window.

    Raises:
        DataError: the part makes no window.
    """
    text = speeches(play)
    low, high = (int(share * len(text)) for share in _PARTS[part])
    stripped = strip(text[low:high])
    count = len(stripped.elements) // length
    if not count:
        raise DataError(f"{len(stripped.elements):,} characters make no window of {length:,}", hint="a smaller length")
    return ArrayDataset(*(column[: count * length].reshape(count, length) for column in stripped))
